//! Which archives hold how much of the ledger.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex};

use super::super::event::{ArchiveSealEvent, Event};
use super::super::proposal::{Outcome, Reply};
use super::{State, StateError};

/// What an archive holds, by the entry that sealed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Archived {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The entry.
    pub index: LogIndex,
}

/// All archives.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Archives {
    sealed: imbl::OrdMap<Arc<str>, Archived>,
    /// Number of entries up to the last one that says more than that the ledger was kept.
    substance: u64,
}

impl State {
    /// What an archive holds by the ledger; `None` before its first seal.
    #[must_use]
    pub fn archived(&self, store: &str) -> Option<&Archived> {
        self.archives.sealed.get(store)
    }

    /// Every archive that was ever sealed, by name.
    pub fn archives(&self) -> impl Iterator<Item = (&str, &Archived)> {
        self.archives.sealed.iter().map(|(name, archived)| (name.as_ref(), archived))
    }

    /// Number of entries up to the last one that is worth an archive: a seal alone would only lead to the next seal.
    #[must_use]
    pub fn substance(&self) -> u64 {
        self.archives.substance
    }

    /// What sealing an archive leads to. A second report of the same seal, or one that does not go on from the last, is not
    /// recorded.
    pub(in super::super) fn seal_archive(&self, event: &ArchiveSealEvent) -> Outcome {
        let events = if self.continues(event) { vec![Event::ArchiveSeal(event.clone())] } else { Vec::new() };
        Outcome { events, reply: Reply::Done }
    }

    fn continues(&self, event: &ArchiveSealEvent) -> bool {
        let before = self.archived(&event.store).map_or(0, |a| a.size);
        event.from == before && event.to > before && event.to <= self.next.0
    }

    pub(super) fn archive_sealed(&mut self, index: LogIndex, event: &ArchiveSealEvent) -> Result<(), StateError> {
        if !self.continues(event) {
            return Err(StateError::ArchiveOrder { index, store: event.store.clone() });
        }
        let ArchiveSealEvent { store, from: _, to, root, count: _, objects: _, now: _ } = event;
        self.archives.sealed.insert(store.as_str().into(), Archived { size: *to, root: *root, index });
        Ok(())
    }

    /// Notes whether an entry says more than that the ledger was kept.
    pub(super) fn note_substance(&mut self, index: LogIndex, event: &Event) {
        match event {
            // What only says how the ledger is kept comes again by itself.
            Event::ArchiveSeal(_)
            | Event::Prune(_)
            | Event::KeyAdd(_)
            | Event::PolicySet(_)
            | Event::Unwitnessed(_) => {}
            Event::Decision(_)
            | Event::Stored(_)
            | Event::Document(_)
            | Event::Adopt(_)
            | Event::EffectBegin(_)
            | Event::EffectDone(_)
            | Event::EffectFailed(_)
            | Event::EffectUndone(_)
            | Event::Enact(_)
            | Event::EpochOpen(_)
            | Event::KeyRetire(_)
            | Event::KeyRevoke(_)
            | Event::Flood(_)
            | Event::Recover(_)
            | Event::SloSet(_)
            | Event::SloVerdict(_)
            | Event::Lapse(_) => self.archives.substance = index.0 + 1,
        }
    }
}
