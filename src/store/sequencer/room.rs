//! Whether there is room for what a proposal leads to, and what takes it: the blocks that are in the store.

use crate::constitution::{Event, Verdict};
use crate::ledger::{BlockParts, Budget, EntryClass, HotSize};
use crate::trust::sha256;
use crate::units::{BlockNumber, Digest};

use super::super::block_store::BlockStore;
use super::super::handle::AppendError;
use super::Sequencer;

impl<S: BlockStore> Sequencer<S> {
    /// Keeps the blocks in the store below this budget; without it the default one holds.
    #[must_use]
    pub fn with_budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Remembers a block that was taken in.
    pub(super) fn remember(&mut self, number: BlockNumber, parts: &BlockParts) {
        let BlockParts { header, seal, entries, edge } = parts;
        let bytes = header.len() + seal.len() + entries.len() + edge.len();
        self.prints.add(number, parts, bytes);
        self.hot.add(bytes);
    }

    /// Whether entries of this class find room, with all `bytes` that are appended in the same round.
    pub(super) fn find_room(&self, bytes: usize, class: EntryClass) -> Result<(), AppendError> {
        let HotSize { bytes: used, blocks: _ } = self.hot;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        match self.budget.admits(self.hot, bytes, class) {
            true => Ok(()),
            false => Err(AppendError::Full { class, used, cap: self.budget.cap() }),
        }
    }
}

/// Digest of a block as it is stored.
pub(super) fn fingerprint(parts: &BlockParts) -> Digest {
    let BlockParts { header, seal, entries, edge } = parts;
    let each = [header.as_bytes(), seal.as_bytes(), entries, edge].map(|bytes| sha256(bytes).0);
    sha256(each.as_flattened())
}

/// What the entries of one proposal are worth: as much as the one that is worth most.
pub(super) fn class_of(events: &[Event]) -> EntryClass {
    events.iter().map(class).max().unwrap_or(EntryClass::Closing)
}

fn class(event: &Event) -> EntryClass {
    match event {
        Event::Decision(e) => match e.verdict {
            Verdict::Deny => EntryClass::Refusal,
            Verdict::Allow => EntryClass::Ordinary,
        },
        // It counts refusals, and is one as far as room goes.
        Event::Flood(_) => EntryClass::Refusal,
        Event::Stored(_)
        | Event::Document(_)
        | Event::Adopt(_)
        | Event::EffectBegin(_)
        | Event::SloSet(_)
        | Event::Enact(_) => EntryClass::Ordinary,
        Event::EffectDone(_)
        | Event::EffectFailed(_)
        | Event::EffectUndone(_)
        | Event::Lapse(_)
        | Event::KeyAdd(_)
        | Event::EpochOpen(_)
        | Event::KeyRetire(_)
        | Event::KeyRevoke(_)
        | Event::Prune(_)
        | Event::PolicySet(_)
        | Event::Unwitnessed(_)
        | Event::Recover(_)
        // Without it a gate stays shut, or open, for want of room.
        | Event::SloVerdict(_)
        | Event::ArchiveSeal(_) => EntryClass::Closing,
    }
}
