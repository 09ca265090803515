//! What the sequencer makes of what is in the store: blocks of other writers are folded; one that was deleted, replaced or
//! is missing breaks the ledger off, for good, until a person looks and restarts.

use std::sync::Arc;

use crate::ledger::{BlockParts, Checkpoint, block_name};
use crate::units::BlockNumber;

use super::super::block_store::BlockStore;
use super::super::follow::StoreEvent;
use super::super::handle::{Confirmed, Health, View};
use super::super::replay::replay;
use super::{Sequencer, fingerprint};

impl<S: BlockStore> Sequencer<S> {
    pub(super) fn publish(&self) {
        let (state, head, health) = (self.state.clone(), self.head.clone(), self.health.clone());
        let view = View { state, head, health, confirmed: self.confirmed };
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn break_off(&mut self, what: String) {
        if !matches!(self.health, Health::Broken(_)) {
            tracing::error!(what, "the ledger is broken; nothing is allowed any more");
            self.health = Health::Broken(what);
            self.publish();
        }
    }

    /// Takes in what the watch of the store saw.
    pub(super) fn observe(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::ListBegins => self.listing = Some(vec![false; self.prints.len()]),
            StoreEvent::Seen(name, number, Ok(parts)) => self.seen(&name, number, &parts),
            StoreEvent::Seen(_, _, Err(error)) => self.break_off(error.to_string()),
            StoreEvent::Deleted(name) => self.break_off(format!("`{name}` was deleted")),
            StoreEvent::ListEnds => self.listed(),
            StoreEvent::Alarm(what) => self.break_off(what),
        }
    }

    pub(super) fn listed(&mut self) {
        if let Some(seen) = self.listing.take()
            && let Some(gone) = seen.iter().position(|s| !s)
        {
            let number = BlockNumber(u64::try_from(gone).unwrap_or(u64::MAX));
            let name = block_name(self.head.trust().epoch, number);
            return self.break_off(format!("`{name}` is gone"));
        }
        // A restored etcd or a cut tail: an earlier run has vouched for more than there is.
        if let Some(promised) = self.promised.take() {
            let (size, here) = (promised.size, self.head.next_index());
            return self.break_off(format!("the checkpoint vouches for {size} entries, but only {here} are there"));
        }
        if self.health == Health::Starting {
            self.health = Health::Whole;
            tracing::info!(entries = self.head.next_index().0, "the ledger is read and whole");
        }
        self.publish();
    }

    pub(super) fn seen(&mut self, name: &str, number: BlockNumber, parts: &BlockParts) {
        let position = usize::try_from(number.0).unwrap_or(usize::MAX);
        if let Some(slot) = self.listing.as_mut().and_then(|seen| seen.get_mut(position)) {
            *slot = true;
        }
        match self.prints.get(position) {
            Some(known) if *known == fingerprint(parts) => self.confirm(number),
            Some(_) => self.break_off(format!("`{name}` was replaced by another block")),
            None if number == self.head.next_block() => self.take_in(parts),
            None => self.break_off(format!("`{name}` is there, but block {} is not", self.head.next_block())),
        }
    }

    /// A block was read back from the store as we know it: what lies before its end may be vouched for.
    pub(super) fn confirm(&mut self, number: BlockNumber) {
        let before = self.confirmed;
        while let Some((_, end)) = self.unconfirmed.pop_front_if(|(n, _)| *n <= number) {
            self.confirmed = end;
        }
        if before != self.confirmed {
            self.publish();
        }
    }

    pub(super) fn end(&self) -> Confirmed {
        Confirmed { size: self.head.next_index().0, root: Some(self.head.root()) }
    }

    /// Compares the checkpoint of an earlier run once its size is reached. Checkpoints are made at the ends of blocks.
    pub(super) fn keep_promise(&mut self) {
        let reached = |c: &mut Checkpoint| c.size <= self.head.next_index().0;
        if let Some(promised) = self.promised.take_if(reached)
            && (promised.size, promised.root) != (self.head.next_index().0, self.head.root())
        {
            self.break_off(format!(
                "the first {} entries are not those that the checkpoint vouches for",
                promised.size
            ));
        }
    }

    /// Folds another writer's block.
    pub(super) fn take_in(&mut self, parts: &BlockParts) {
        let name = block_name(self.head.trust().epoch, self.head.next_block());
        let folded = self.head.fold(parts).map_err(|e| e.to_string());
        match folded.and_then(|block| replay(&block, &mut self.state).map_err(|e| e.to_string())) {
            Ok(_) => {
                self.prints.push(fingerprint(parts));
                self.alone_for = 0;
                self.unconfirmed.clear();
                self.confirmed = self.end();
                self.keep_promise();
                // While the ledger is read at the start, nobody needs each step.
                if self.health != Health::Starting {
                    self.publish();
                }
            }
            Err(what) => self.break_off(format!("`{name}`: {what}")),
        }
    }
}
