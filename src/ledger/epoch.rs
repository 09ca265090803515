//! Epochs: a ledger whose end was lost for good goes on with what is left of it, under a new origin (ADR 0025).
//!
//! The tree, the numbers of blocks and the indices of entries go on; the names of blocks, the origin and with it the names of the
//! log's keys are those of the new epoch. What was lost of the epoch before can never be mistaken for a part of it.

use serde_json::Value;

use crate::units::{BlockNumber, Digest};

use super::block::block_name;
use super::chain::{ChainError, Head, LogTrust};
use super::entry::Entry;

/// Kind of the entry that an epoch begins with. It counts only as the first entry of the first block of its epoch.
const EPOCH_OPEN: &str = "epoch.open";

/// Which block belongs to which epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The first block of each epoch after the first.
    starts: Vec<BlockNumber>,
}

impl Lineage {
    /// The lineage that the names of blocks say. It is a claim: whether an epoch was opened rightly is told by folding its first
    /// block.
    #[must_use]
    pub fn claimed(names: impl IntoIterator<Item = (u16, BlockNumber)>) -> Self {
        let mut starts: Vec<BlockNumber> = Vec::new();
        for (epoch, number) in names {
            let Some(place) = usize::from(epoch).checked_sub(1) else { continue };
            if starts.len() <= place {
                starts.resize(place + 1, BlockNumber(u64::MAX));
            }
            if let Some(start) = starts.get_mut(place) {
                *start = (*start).min(number);
            }
        }
        // An epoch without blocks ended where it began.
        let mut next = BlockNumber(u64::MAX);
        for start in starts.iter_mut().rev() {
            *start = (*start).min(next);
            next = *start;
        }
        Self { starts }
    }

    /// The newest epoch.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        u16::try_from(self.starts.len()).unwrap_or(u16::MAX)
    }

    /// The epoch that the block of this number belongs to.
    #[must_use]
    pub fn epoch_of(&self, number: BlockNumber) -> u16 {
        u16::try_from(self.starts.partition_point(|start| *start <= number)).unwrap_or(u16::MAX)
    }

    /// Whether a block belongs to the ledger; else it was lost when a later epoch was opened, or is of an epoch that nobody opened.
    #[must_use]
    pub fn holds(&self, epoch: u16, number: BlockNumber) -> bool {
        self.epoch_of(number) == epoch
    }

    /// Name of the block of this number.
    #[must_use]
    pub fn name_of(&self, number: BlockNumber) -> String {
        block_name(self.epoch_of(number), number)
    }

    /// The first block of each epoch after the first.
    pub(super) fn starts(&self) -> &[BlockNumber] {
        &self.starts
    }

    /// The lineage with these first blocks; `None` when they are not in order.
    pub(super) fn of_starts(starts: &[BlockNumber]) -> Option<Self> {
        starts.is_sorted().then(|| Self { starts: starts.to_vec() })
    }
}

impl LogTrust {
    /// The same log in another of its epochs: its origin ends in the number, and its key is named by that.
    #[must_use]
    pub fn in_epoch(&self, epoch: u16) -> Self {
        let Self { origin, epoch: current, key } = self;
        let Some(log) = origin.strip_suffix(&format!("/{current}")).filter(|_| epoch != *current) else {
            return self.clone();
        };
        let origin = format!("{log}/{epoch}");
        Self { key: key.renamed(&origin), origin, epoch }
    }
}

impl Head {
    /// Which block belongs to which epoch.
    #[must_use]
    pub fn lineage(&self) -> &Lineage {
        &self.lineage
    }

    /// The end of the same chain as the beginning of the next epoch: the log's keys have the names of the new origin.
    #[must_use]
    pub fn next_epoch(&self) -> Self {
        let trust = self.trust.in_epoch(self.trust.epoch.saturating_add(1));
        let mut lineage = self.lineage.as_ref().clone();
        lineage.starts.push(self.next);
        Self {
            keys: self.keys.renamed(&trust.origin).into(),
            trust: trust.into(),
            lineage: lineage.into(),
            ..self.clone()
        }
    }

    /// The same, if this entry opens the next epoch with exactly what is here. By whose decision is told by its meaning.
    ///
    /// # Errors
    /// [`ChainError::Opening`].
    pub(super) fn opened_by(&self, first: &Entry) -> Result<Self, ChainError> {
        let wrong = |what: &str| ChainError::Opening(what.to_owned());
        if first.kind != EPOCH_OPEN {
            return Err(wrong("it does not begin with an entry that opens the epoch"));
        }
        let number = |name: &str| first.fields.get(name).and_then(Value::as_u64);
        let root = first.fields.get("root").and_then(Value::as_str).and_then(|text| text.parse::<Digest>().ok());
        let opened = self.next_epoch();
        if number("epoch") != Some(opened.trust.epoch.into()) {
            return Err(wrong("the entry opens another epoch"));
        }
        let kept = (number("blocks"), number("entries"), root);
        if kept != (Some(self.next.0), Some(self.next_index().0), Some(self.root())) {
            return Err(wrong("the entry goes on from another ledger"));
        }
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_says_which_blocks_count() {
        let name = |epoch, number| (epoch, BlockNumber(number));
        let one = Lineage::claimed([name(0, 0), name(0, 1)]);
        assert!(one.epoch() == 0 && one.holds(0, BlockNumber(7)) && !one.holds(1, BlockNumber(7)));
        let two = Lineage::claimed([name(0, 0), name(0, 1), name(0, 2), name(1, 2), name(1, 3)]);
        assert_eq!(two.epoch(), 1);
        assert!(two.holds(0, BlockNumber(1)) && !two.holds(0, BlockNumber(2)), "what came after is lost");
        assert!(two.holds(1, BlockNumber(2)) && !two.holds(1, BlockNumber(1)));
        assert_eq!(two.name_of(BlockNumber(1)), "ecm-0000-0000000000000001");
        assert_eq!(two.name_of(BlockNumber(9)), "ecm-0001-0000000000000009");
        // A later epoch goes on from before the whole one between.
        let three = Lineage::claimed([name(1, 5), name(2, 3)]);
        assert_eq!((three.epoch_of(BlockNumber(2)), three.epoch_of(BlockNumber(4))), (0, 2));
        assert!(!three.holds(1, BlockNumber(5)));
    }

    #[test]
    fn a_log_has_another_name_in_each_epoch_and_the_same_key() {
        let key = crate::trust::NoteSigner::try_new("miax.dev/ecm/c/0", &[1; 32]).expect("name").verifier();
        let first = LogTrust { origin: key.name().to_owned(), epoch: 0, key };
        let third = first.in_epoch(2);
        assert_eq!((third.origin.as_str(), third.epoch, third.key.name()), ("miax.dev/ecm/c/2", 2, "miax.dev/ecm/c/2"));
        assert_ne!(third.key.to_string(), first.key.to_string());
        assert_eq!(third.in_epoch(0), first);
    }
}
