//! What happened to the ledger itself: it was copied out of the cluster, or its oldest blocks left the cluster.

use serde::{Deserialize, Serialize};

use crate::units::{BlockNumber, Digest, UnixSeconds};

/// An archive holds the ledger up to here, and every object of it was read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArchiveSealEvent {
    /// Name of the archive, by the operator's configuration.
    pub store: String,
    /// Number of entries that it held before.
    pub from: u64,
    /// Number of entries that it holds now.
    pub to: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// How many objects were added.
    pub count: u64,
    /// Digest over the names and digests of these objects: of each a line with its name and its digest, in the order of names.
    pub objects: Digest,
    /// When they were read back.
    pub now: UnixSeconds,
}

/// Blocks before a number leave the cluster: archives hold them, and whoever starts begins at the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PruneEvent {
    /// The first block that stays.
    pub block: BlockNumber,
    /// Number of entries before it.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// Digest of the snapshot: State and the end of the chain at the begin of this block.
    pub snapshot: Digest,
    /// When the archives were read again.
    pub now: UnixSeconds,
}
