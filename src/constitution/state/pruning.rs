//! How far the ledger was pruned: which blocks may be missing in the cluster, and what whoever starts begins with.

use serde::{Deserialize, Serialize};

use crate::units::{BlockNumber, Digest, LogIndex};

use super::super::event::{Event, PruneEvent};
use super::super::proposal::{Outcome, Reply};
use super::{State, StateError};

/// How many archives must hold what is pruned.
const ARCHIVES: usize = 2;

/// How far the ledger was pruned, by the entry that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pruned {
    /// The entry.
    pub index: LogIndex,
    /// The first block that must be there.
    pub block: BlockNumber,
    /// Number of entries before it.
    pub size: u64,
    /// Digest of the snapshot at its begin.
    pub snapshot: Digest,
}

impl State {
    /// How far the ledger was pruned; `None` when it never was.
    #[must_use]
    pub fn pruned(&self) -> Option<&Pruned> {
        self.pruned.as_deref()
    }

    /// What pruning leads to. What does not go on from the last time, or is not in two archives, is not recorded.
    pub(in super::super) fn observe_prune(&self, event: &PruneEvent) -> Outcome {
        let events = if self.may_prune(event) { vec![Event::Prune(event.clone())] } else { Vec::new() };
        Outcome { events, reply: Reply::Done }
    }

    fn may_prune(&self, event: &PruneEvent) -> bool {
        let PruneEvent { block, size, root: _, snapshot: _, now: _ } = event;
        let (known, before) = self.pruned().map_or((BlockNumber(0), 0), |p| (p.block, p.size));
        let holding = self.archives().filter(|(_, archived)| archived.size >= *size).count();
        *block > known && *size > before && *size <= self.next.0 && holding >= ARCHIVES
    }

    pub(super) fn set_pruned(&mut self, index: LogIndex, event: &PruneEvent) -> Result<(), StateError> {
        if !self.may_prune(event) {
            return Err(StateError::PruneOrder { index });
        }
        let PruneEvent { block, size, root: _, snapshot, now: _ } = event;
        self.pruned = Some(Pruned { index, block: *block, size: *size, snapshot: *snapshot }.into());
        Ok(())
    }
}
