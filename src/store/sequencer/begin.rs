//! Where a process begins that does not read the ledger from its first entry, and what may be gone from the store.

use std::collections::BTreeMap;

use crate::constitution::Event;
use crate::ledger::{BlockParts, parse_block_name};
use crate::units::{BlockNumber, Digest, LogIndex};

use super::super::block_store::BlockStore;
use super::super::replay::Recorded;
use super::super::snapshot::Snapshot;
use super::Sequencer;
use super::room::fingerprint;

/// What is known of the blocks in the store: the digest of each as stored, and its bytes.
#[derive(Default)]
pub(super) struct Prints(BTreeMap<BlockNumber, (Digest, usize)>);

/// A snapshot that a process began with, until the ledger vouches for it.
pub(super) struct Begin {
    block: BlockNumber,
    digest: Digest,
    /// The entry that means this snapshot.
    meant: Option<LogIndex>,
    /// Number of entries that the log's key vouches for.
    promised: u64,
}

impl Prints {
    pub(super) fn add(&mut self, number: BlockNumber, parts: &BlockParts, bytes: usize) {
        self.0.insert(number, (fingerprint(parts), bytes));
    }

    pub(super) fn get(&self, number: BlockNumber) -> Option<Digest> {
        self.0.get(&number).map(|(digest, _)| *digest)
    }

    pub(super) fn numbers(&self) -> impl Iterator<Item = BlockNumber> {
        self.0.keys().copied()
    }

    fn remove(&mut self, number: BlockNumber) -> Option<usize> {
        self.0.remove(&number).map(|(_, bytes)| bytes)
    }
}

impl<S: BlockStore> Sequencer<S> {
    /// Begins with a snapshot instead of the first entry. Nothing is decided before an entry after it means this snapshot, and
    /// what the blocks must lead to covers that entry.
    #[must_use]
    pub fn with_snapshot(mut self, snapshot: Snapshot) -> Self {
        let Snapshot { head, state, digest } = snapshot;
        let promised = self.promised.as_ref().map_or(0, |c| c.size);
        self.begin = Some(Begin { block: head.next_block(), digest, meant: None, promised });
        (self.first, self.head, self.state) = (head.next_block(), head, state);
        self.publish();
        self
    }

    /// The first block that must be in the store.
    pub(super) fn minimum(&self) -> BlockNumber {
        self.state.pruned().map_or(self.first, |pruned| pruned.block.max(self.first))
    }

    /// A block is not in the store any more. Gives its number when it had to be.
    pub(super) fn gone(&mut self, name: &str) -> Option<BlockNumber> {
        let (_, number) = parse_block_name(name)?;
        if number >= self.minimum() {
            return Some(number);
        }
        self.forget(number);
        None
    }

    /// Forgets a block that may be gone.
    pub(super) fn forget(&mut self, number: BlockNumber) {
        if let Some(bytes) = self.prints.remove(number) {
            self.hot.remove(bytes);
            self.publish();
        }
    }

    /// Looks whether one of these entries means the snapshot that we began with.
    pub(super) fn note_meaning(&mut self, recorded: &[Recorded]) {
        let Some(begin) = &mut self.begin else { return };
        let means = |r: &Recorded| match &r.event {
            Event::Prune(event) => (event.block, event.snapshot) == (begin.block, begin.digest),
            _ => false,
        };
        begin.meant = begin.meant.or_else(|| recorded.iter().find(|r| means(r)).map(|r| r.index));
    }

    /// What is wrong with the snapshot that we began with, now that everything was read.
    pub(super) fn end_of_begin(&mut self) -> Option<String> {
        let Begin { block, digest: _, meant, promised } = self.begin.take()?;
        match meant {
            None => Some(format!("no entry means the snapshot at block {block}")),
            Some(index) if index.0 >= promised => {
                Some(format!("no checkpoint vouches for entry {index}, which means the snapshot at block {block}"))
            }
            Some(_) => None,
        }
    }
}
