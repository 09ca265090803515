//! The event that begins a new epoch: what is left of the ledger before it, and who decided to go on with that (ADR 0025).

use serde::{Deserialize, Serialize};

use crate::units::{BlockNumber, Digest, UnixSeconds};

use super::{ObjectRef, SignerRef};

/// The end of the ledger was lost for good, and people decided to go on with what is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochOpenEvent {
    /// Number of the epoch.
    pub epoch: u16,
    /// How many blocks of the epochs before are kept.
    pub blocks: BlockNumber,
    /// How many entries these hold.
    pub entries: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The command that opens it.
    pub object: ObjectRef,
    /// Its digest.
    pub digest: Digest,
    /// Its whole text, as JSON, with every signature.
    pub command: String,
    /// The verified signatures that carry it.
    pub signers: Vec<SignerRef>,
    /// The time that the check used.
    pub now: UnixSeconds,
}
