//! That a ledger which was found broken is whole again.

use serde::{Deserialize, Serialize};

use crate::units::{Digest, UnixSeconds};

/// The ledger was broken, and every byte of it is there again. Nothing was allowed in between. State ignores it: it is for
/// whoever reads the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoverEvent {
    /// What was found wrong first, in a sentence.
    pub what: String,
    /// When that was.
    pub since: UnixSeconds,
    /// Number of entries that were hashed again and found right.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// When they were.
    pub now: UnixSeconds,
}
