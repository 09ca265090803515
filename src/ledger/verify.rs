//! The verifier: walks every block of a dump, re-hashes every byte, and names what is wrong. It needs no network and trusts
//! nothing but the log's key.

use crate::units::{BlockNumber, Digest, LogIndex};

use super::audit::Check;
use super::block::{Block, BlockError, BlockParts, block_name, parse_block_name};
use super::chain::{ChainError, Head, LogTrust};
use super::checkpoint::Checkpoint;

/// What kind of trouble a finding is, the worst first. The first says that the log is not what it was; the others, that
/// this could not be told. The verifier's exit code tells them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingClass {
    /// Something was changed, replaced or removed.
    Tampered,
    /// Something is missing that may only not have been dumped.
    Incomplete,
    /// Too few witnesses have seen the log as it is here.
    Unwitnessed,
    /// Something is of a version that this program does not know.
    Unsupported,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which point did not hold; `None` for what is no point of the list.
    pub check: Option<Check>,
    /// What kind of trouble.
    pub class: FindingClass,
    /// Name of the block's object.
    pub object: String,
    /// The first entry that cannot be relied on, where it can be told.
    pub entry: Option<LogIndex>,
    /// One sentence for people.
    pub message: String,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Number of blocks that are right.
    pub blocks: u64,
    /// Number of entries that are right.
    pub entries: u64,
    /// The first entry that was looked at: 0, but for a run that goes on where an earlier one ended.
    pub first: LogIndex,
    /// Root of the tree over them.
    pub root: Digest,
    /// Size of the newest checkpoint that was compared.
    pub checkpoint: Option<u64>,
    /// How many checkpoints were given.
    pub checkpoints: usize,
    /// How many of them were compared.
    pub compared: usize,
    /// What is wrong; the log is whole when there is nothing.
    pub findings: Vec<Finding>,
}

/// Verifies a log block by block, in order.
pub struct Verifier {
    head: Head,
    first: LogIndex,
    /// Checkpoints still to be compared, smallest first, each with the name of what it was read from.
    checkpoints: Vec<(Checkpoint, String)>,
    given: usize,
    compared: usize,
    newest: Option<u64>,
    findings: Vec<Finding>,
    broken: bool,
}

impl FindingClass {
    /// Every class, the worst first.
    pub const ALL: [Self; 4] = [Self::Tampered, Self::Incomplete, Self::Unwitnessed, Self::Unsupported];

    /// The word in the report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tampered => "tampered",
            Self::Incomplete => "incomplete",
            Self::Unwitnessed => "unwitnessed",
            Self::Unsupported => "unsupported",
        }
    }

    /// The worst class of these findings; `None` without any.
    #[must_use]
    pub fn worst(findings: &[Finding]) -> Option<Self> {
        findings.iter().map(|f| f.class).min()
    }
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}

impl Verifier {
    /// A verifier for the log that `trust` names, which also compares these checkpoints with what it computes.
    #[must_use]
    pub fn new(trust: LogTrust, checkpoints: Vec<(Checkpoint, String)>) -> Self {
        Self::resume(Head::genesis(trust), checkpoints)
    }

    /// The same from a head on, up to which the log was whole before: blocks before it are not looked at, and checkpoints
    /// below it cannot be compared any more.
    #[must_use]
    pub fn resume(head: Head, mut checkpoints: Vec<(Checkpoint, String)>) -> Self {
        let (first, root) = (head.next_index(), head.root());
        checkpoints.retain(|(c, _)| c.size >= first.0);
        let given = checkpoints.len();
        checkpoints.sort_by_key(|(c, _)| c.size);
        let mut verifier =
            Self { head, first, given, checkpoints, compared: 0, newest: None, findings: Vec::new(), broken: false };
        verifier.compare_checkpoints(first.0, &root, "checkpoint");
        verifier
    }

    /// The end of what is verified so far.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the next block in. Gives it when it is right, so that the caller can look at its entries. After the first
    /// block that is wrong the rest cannot be relied on and is not looked at: `None`.
    pub fn block(&mut self, name: &str, parts: &BlockParts) -> Option<Block> {
        if self.broken {
            return None;
        }
        let expected = self.head.next_block();
        if let Some((_, number)) = parse_block_name(name)
            && number > expected
        {
            self.missing(expected, name);
            return None;
        }
        // The first block of the next epoch may come, and whether it is that is told by the fold.
        let here = [self.head.trust().epoch, self.head.trust().epoch.saturating_add(1)];
        if !here.map(|epoch| block_name(epoch, expected)).iter().any(|expected| expected == name) {
            self.misplaced(expected, name);
            return None;
        }
        let mut after = self.head.clone();
        match after.fold(parts) {
            Ok(_) if after.lineage().name_of(expected) != name => {
                self.misplaced(expected, name);
                None
            }
            Ok(block) => {
                let before = std::mem::replace(&mut self.head, after);
                self.compare_within(&before, &block, name);
                (!self.broken).then_some(block)
            }
            Err(error) => {
                let (check, class, entry) = classify(&error, &self.head);
                self.fail(check, class, name, Some(entry), error.to_string());
                None
            }
        }
    }

    /// Reports an object of the ledger that is not a block.
    pub fn unreadable(&mut self, name: &str, message: String) {
        if !self.broken {
            let next = self.head.next_index();
            self.fail(Check::DenseBlocks, FindingClass::Tampered, name, Some(next), message);
        }
    }

    /// Ends the verification.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let (entries, blocks) = (self.head.next_index().0, self.head.next_block().0);
        if !self.broken
            && let Some((checkpoint, place)) = self.checkpoints.pop()
        {
            // A checkpoint beyond the data: the tail is cut off, or the dump was taken before the checkpoint.
            let missing = self.head.lineage().name_of(self.head.next_block());
            let message = format!(
                "{place} vouches for {} entries, but only {entries} are here; the end of the ledger is missing",
                checkpoint.size
            );
            let (check, class) = (Check::LargestKnownSize, FindingClass::Incomplete);
            self.fail(check, class, &missing, Some(LogIndex(entries)), message);
        }
        let Self { head, first, checkpoints: _, given, compared, newest, findings, broken: _ } = self;
        let root = head.root();
        Report { blocks, entries, first, root, checkpoint: newest, checkpoints: given, compared, findings }
    }

    fn misplaced(&mut self, expected: BlockNumber, found: &str) {
        let message = format!("it stands where {} should", self.head.lineage().name_of(expected));
        let next = Some(self.head.next_index());
        self.fail(Check::DenseBlocks, FindingClass::Tampered, found, next, message);
    }

    fn missing(&mut self, expected: BlockNumber, found: &str) {
        let name = self.head.lineage().name_of(expected);
        let message = format!("the block is missing: {found} comes next");
        self.fail(Check::DenseBlocks, FindingClass::Tampered, &name, Some(self.head.next_index()), message);
    }

    fn fail(&mut self, check: Check, class: FindingClass, object: &str, entry: Option<LogIndex>, message: String) {
        self.broken = true;
        self.findings.push(Finding::new(check, class, object, entry, message));
    }

    /// Compares the checkpoints whose size lies inside of the block: most end at a block's end, but none needs to.
    fn compare_within(&mut self, before: &Head, block: &Block, name: &str) {
        let first = before.next_index().0;
        let end = self.head.next_index().0;
        if self.checkpoints.first().is_none_or(|(c, _)| c.size > end) {
            return;
        }
        if self.checkpoints.first().is_some_and(|(c, _)| c.size == end) {
            let root = self.head.root();
            return self.compare_checkpoints(end, &root, name);
        }
        let mut range = before.range().clone();
        for (size, entry) in (first + 1..).zip(block.entries()) {
            range.append(super::tree::leaf_hash(entry));
            self.compare_checkpoints(size, &range.root(), name);
        }
    }

    fn compare_checkpoints(&mut self, size: u64, root: &Digest, name: &str) {
        while let Some((checkpoint, place)) = self.checkpoints.first().filter(|(c, _)| c.size == size).cloned() {
            self.checkpoints.remove(0);
            // A log of no entries has nothing to compare.
            if size > 0 && checkpoint.root != *root {
                let message = format!("the root after {size} entries is not the one that {place} vouches for");
                self.fail(Check::CheckpointRoot, FindingClass::Tampered, name, None, message);
            }
            self.compared += 1;
            self.newest = Some(size);
        }
    }
}

fn classify(error: &ChainError, before: &Head) -> (Check, FindingClass, LogIndex) {
    use FindingClass::{Tampered, Unsupported};
    let (check, class) = match error {
        ChainError::Block(block) => match block {
            BlockError::EntryChanged { index } => return (Check::LeafHashes, Tampered, *index),
            BlockError::EntriesDamaged { index } => return (Check::EntryForm, Tampered, *index),
            BlockError::Format(_) => (Check::UnknownForms, Unsupported),
            BlockError::Header(_) => (Check::CanonicalHeader, Tampered),
            BlockError::Limit { .. } => (Check::SizeLimits, Tampered),
            BlockError::Numbers(_) => (Check::ContiguousIndices, Tampered),
            BlockError::Packing | BlockError::Pack(_) => (Check::PackedDigest, Tampered),
            BlockError::Seal(_) | BlockError::SealOfAnother => (Check::WriterSeal, Tampered),
        },
        ChainError::Edge | ChainError::Root => (Check::TreeRoot, Tampered),
        ChainError::Epoch { .. } => (Check::OriginAndEpoch, Tampered),
        ChainError::First { .. } => (Check::ContiguousIndices, Tampered),
        ChainError::Introduction(_) | ChainError::LogKeys(_) => (Check::KeyEvents, Tampered),
        ChainError::Number { .. } => (Check::DenseBlocks, Tampered),
        ChainError::Opening(_) => (Check::EpochLinks, Tampered),
        ChainError::Previous => (Check::PreviousDigest, Tampered),
        ChainError::WriterUnknown(_) | ChainError::WriterExpired(_) => (Check::WriterSeal, Tampered),
    };
    (check, class, before.next_index())
}
