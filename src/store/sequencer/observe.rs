//! What the sequencer makes of what is in the store: blocks of other writers are folded; one that was deleted, replaced or
//! is missing breaks the ledger off, until an audit has found every byte of it again, or a person looks and restarts.

use std::sync::Arc;

use crate::ledger::{BlockParts, Checkpoint, block_name};
use crate::units::BlockNumber;

use super::super::block_store::{BlockStore, ReadError};
use super::super::follow::StoreEvent;
use super::super::handle::{AppendError, Confirmed, Health, View};
use super::super::replay::replay;
use super::Sequencer;
use super::room::fingerprint;

impl<S: BlockStore> Sequencer<S> {
    pub(super) fn publish(&self) {
        let (state, head, health) = (self.state.clone(), self.head.clone(), self.health.clone());
        let (confirmed, hot, budget) = (self.confirmed, self.hot, self.budget);
        let view = View { state, head, health, confirmed, hot, budget };
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn break_off(&mut self, what: String) {
        self.undisturbed = false;
        if !matches!(self.health, Health::Broken(_)) {
            tracing::error!(what, "the ledger is broken; nothing is allowed any more");
            self.health = Health::Broken(what);
            self.publish();
        }
    }

    /// Takes in what the watch of the store saw.
    pub(super) fn observe(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::ListBegins => self.listing = Some(self.prints.numbers().collect()),
            StoreEvent::Seen(name, number, Ok(parts)) => self.seen(&name, number, &parts),
            StoreEvent::Seen(_, _, Err(error)) => self.break_off(error.to_string()),
            StoreEvent::Deleted(name) => {
                if self.gone(&name).is_some() {
                    self.break_off(format!("`{name}` was deleted"));
                }
            }
            StoreEvent::ListEnds => self.listed(),
            StoreEvent::Alarm(what) => {
                // What the store holds cannot disprove what somebody else holds.
                self.past_help = true;
                self.break_off(what);
            }
            StoreEvent::Interrupted => self.end_in_doubt = true,
            StoreEvent::AuditBegins => self.undisturbed = true,
            StoreEvent::Audited(first, blocks) => self.audited(first, &blocks),
            StoreEvent::AuditFailed(what) => self.break_off(what),
        }
    }

    pub(super) fn listed(&mut self) {
        for number in self.listing.take().unwrap_or_default() {
            let name = self.head.lineage().name_of(number);
            if self.gone(&name).is_some() {
                return self.break_off(format!("`{name}` is gone"));
            }
        }
        // A restored etcd or a cut tail: somebody vouched for more than there is. It stays promised: only blocks that lead
        // there keep it, and until then no audit can find the ledger whole, however right all is that is there.
        if let Some(promised) = &self.promised {
            let (size, here) = (promised.size, self.head.next_index());
            return self.break_off(format!("the checkpoint vouches for {size} entries, but only {here} are there"));
        }
        if let Some(what) = self.end_of_begin() {
            // Right by itself as it may be: no audit of the store can tell whether it is ours.
            self.past_help = true;
            return self.break_off(what);
        }
        if self.health == Health::Starting {
            self.health = Health::Whole;
            tracing::info!(entries = self.head.next_index().0, "the ledger is read and whole");
        }
        self.publish();
    }

    pub(super) fn seen(&mut self, name: &str, number: BlockNumber, parts: &BlockParts) {
        if let Some(unseen) = &mut self.listing {
            unseen.remove(&number);
        }
        match self.prints.get(number) {
            Some(known) if known == fingerprint(parts) => self.confirm(number),
            Some(_) => self.break_off(format!("`{name}` was replaced by another block")),
            None if number == self.head.next_block() => self.take_in(parts),
            // It may be gone, so nobody looks at it.
            None if number < self.minimum() => {}
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

    /// Reads the last block again. A create does not tell whether the block before is there: after the store was set back it
    /// would leave a hole, and allow something by a history that is gone.
    pub(super) async fn look_at_end(&mut self) -> Result<(), AppendError> {
        let number = BlockNumber(self.head.next_block().0.saturating_sub(1));
        let Some(known) = self.prints.get(number) else {
            self.end_in_doubt = false;
            return Ok(());
        };
        let epoch = self.head.lineage().epoch_of(number);
        match self.store.read(epoch, number).await {
            Ok(Some(parts)) if fingerprint(&parts) == known => self.end_in_doubt = false,
            Ok(Some(_)) => self.break_off(format!("`{}` was replaced by another block", block_name(epoch, number))),
            Ok(None) => self.break_off(format!("`{}` is gone", block_name(epoch, number))),
            Err(ReadError::NotABlock { name, what }) => self.break_off(format!("`{name}` is not a block: {what}")),
            Err(ReadError::Unavailable(what)) => return Err(AppendError::Refused(what)),
        }
        Ok(())
    }

    /// Compares what an audit has read and found right with what we know. A ledger that was broken off is taken up again when
    /// everything that we ever knew of it is there as it was, and nothing wrong was seen since the audit began to read.
    fn audited(&mut self, first: BlockNumber, blocks: &[BlockParts]) {
        let numbered = || (first.0..).map(BlockNumber).zip(blocks);
        let differs = |(number, parts): &(BlockNumber, &BlockParts)| {
            self.prints.get(*number).is_some_and(|known| known != fingerprint(parts))
        };
        if let Some((number, _)) = numbered().find(differs) {
            let name = self.head.lineage().name_of(number);
            return self.break_off(format!("`{name}` was replaced by another block"));
        }
        let next = self.head.next_block();
        let end = first.0.saturating_add(u64::try_from(blocks.len()).unwrap_or(u64::MAX));
        let is_all = first <= self.minimum() && end >= next.0;
        let can_help = self.undisturbed && !self.past_help && self.listing.is_none() && is_all;
        if !matches!(self.health, Health::Broken(_)) || !can_help {
            return;
        }
        for (_, parts) in numbered().skip_while(|(number, _)| *number < next) {
            self.take_in(parts);
            if !self.undisturbed {
                return;
            }
        }
        if self.promised.is_some() {
            return;
        }
        self.unconfirmed.clear();
        self.confirmed = self.end();
        self.health = Health::Whole;
        tracing::warn!(entries = self.head.next_index().0, "the ledger is whole again");
        self.publish();
    }

    /// Compares the checkpoint of an earlier run once its size is reached. Checkpoints are made at the ends of blocks.
    pub(super) fn keep_promise(&mut self) {
        let reached = |c: &mut Checkpoint| c.size <= self.head.next_index().0;
        if let Some(promised) = self.promised.take_if(reached)
            && (promised.size, promised.root) != (self.head.next_index().0, self.head.root())
        {
            // Another history, right by itself: an audit of the store cannot tell.
            self.past_help = true;
            self.break_off(format!(
                "the first {} entries are not those that the checkpoint vouches for",
                promised.size
            ));
        }
    }

    /// Folds another writer's block.
    pub(super) fn take_in(&mut self, parts: &BlockParts) {
        let number = self.head.next_block();
        let name = self.head.lineage().name_of(number);
        let folded = self.head.fold(parts).map_err(|e| e.to_string());
        match folded.and_then(|block| replay(&block, &mut self.state).map_err(|e| e.to_string())) {
            Ok(recorded) => {
                self.note_meaning(&recorded);
                self.remember(number, parts);
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
