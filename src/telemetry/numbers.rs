//! What the metrics are told of the ledger.

use crate::ledger::Pressure;
use crate::units::UnixSeconds;

/// The ledger as the last scrape shall see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerNumbers {
    /// Entries in the ledger.
    pub size: u64,
    /// Whether it is read and whole.
    pub whole: bool,
    /// Entries that this process appended.
    pub entries: u64,
    /// Blocks that this process appended.
    pub blocks: u64,
    /// Blocks that another writer created first.
    pub conflicts: u64,
    /// Appends whose answer was lost.
    pub ambiguous: u64,
    /// Refusals that this process folded.
    pub folded: u64,
    /// Those of them that are not in the ledger yet.
    pub unwritten: u64,
    /// Proposals that found no room.
    pub full: u64,
    /// Bytes of blocks in the cluster.
    pub hot_bytes: u64,
    /// Blocks in the cluster.
    pub hot_blocks: u64,
    /// Bytes of blocks that may be in the cluster.
    pub hot_cap: u64,
    /// How full that is.
    pub pressure: Pressure,
    /// When the charter in force ends.
    pub charter_expires: Option<UnixSeconds>,
    /// How many post-mortems, acknowledgements and ratifications are owed.
    pub obligations: u64,
    /// When the first of them is due.
    pub obligation_due: Option<UnixSeconds>,
    /// How many commands wait for people.
    pub held: u64,
    /// How many namespaces are frozen.
    pub frozen: u64,
}
