//! Ledgers whose first blocks have left the cluster: where the walk over one begins, and whether the ledger means that place.

use std::collections::BTreeMap;

use crate::constitution::{Event, State};
use crate::ledger::{Block, Check, Finding, FindingClass, LogTrust, Report, block_name, parse_block_name};
use crate::store::{Recorded, Snapshot, read_snapshot, snapshot_name, unpack_snapshot};
use crate::units::{BlockNumber, Digest, LogIndex};

use super::dump::Dump;
use super::output::Failure;
use super::source::Verified;

/// The packed parts of a snapshot, by their number.
pub(super) type Parts = BTreeMap<usize, Vec<u8>>;

/// Where a ledger begins that was pruned.
#[derive(Clone)]
pub(super) struct Began {
    /// The first block.
    pub(super) block: BlockNumber,
    /// The entry that means the snapshot; `None` when none does.
    pub(super) meant: Option<LogIndex>,
    /// State before the first block.
    pub(super) state: State,
    digest: Digest,
}

/// The snapshot that the walk begins with; `None` when the first block is here, or no snapshot is. The one that the dump names
/// goes before others.
pub(super) fn snapshot_of(dump: &Dump, trust: &LogTrust) -> Option<Result<Snapshot, Finding>> {
    let first = block_name(0, BlockNumber(0));
    if dump.blocks.iter().any(|(name, _)| *name == first) {
        return None;
    }
    let of_block = |block| dump.snapshots.iter().find(|((_, found), _)| *found == block);
    // What the dump names may have been replaced by a newer one while it was read.
    let named = dump.claims.as_ref().and_then(|claims| claims.snapshot).filter(|block| of_block(*block).is_some());
    let block = named.or_else(|| dump.snapshots.keys().map(|(_, block)| *block).max())?;
    let ((epoch, _), parts) = of_block(block)?;
    let wrong = |class, what: String| {
        let name = snapshot_name(*epoch, block, 0);
        Finding::new(Check::ArchiveAndPrune, class, name, None, what)
    };
    if parts.is_empty() || parts.keys().copied().ne(0..parts.len()) {
        let what = "a part of the snapshot that the ledger begins with is missing".to_owned();
        return Some(Err(wrong(FindingClass::Incomplete, what)));
    }
    let bytes = unpack_snapshot(parts.values().map(Vec::as_slice));
    let read = bytes.and_then(|bytes| read_snapshot(&bytes, trust));
    let read = read.map_err(|e| wrong(FindingClass::Tampered, e.to_string()));
    Some(read.and_then(|snapshot| match snapshot.head.next_block() == block {
        true => Ok(snapshot),
        false => Err(wrong(FindingClass::Tampered, format!("it is of block {}", snapshot.head.next_block()))),
    }))
}

impl Began {
    pub(super) fn at(snapshot: &Snapshot) -> Self {
        let Snapshot { head, state, digest } = snapshot;
        Self { block: head.next_block(), meant: None, state: state.clone(), digest: *digest }
    }

    /// Looks for the entry that means the snapshot. Without one, or while no checkpoint covers it, the snapshot is only what
    /// somebody has put there.
    pub(super) fn find_meaning(&mut self, entries: &[Recorded], report: &Report, epoch: u16) -> Option<Finding> {
        let means = |r: &&Recorded| match &r.event {
            Event::Prune(event) => (event.block, event.snapshot) == (self.block, self.digest),
            _ => false,
        };
        self.meant = entries.iter().find(means).map(|r| r.index);
        let covered = report.checkpoint.unwrap_or(0);
        let (class, what) = match self.meant {
            Some(index) if index.0 < covered => return None,
            Some(index) => {
                let what = format!(
                    "no checkpoint covers entry {index}, which means this snapshot; without one it proves nothing"
                );
                (FindingClass::Incomplete, what)
            }
            // When the walk ended early, it may be in what was not looked at.
            None if !report.is_whole() => return None,
            None => (FindingClass::Tampered, "no entry of the ledger means this snapshot".to_owned()),
        };
        let name = snapshot_name(epoch, self.block, 0);
        Some(Finding::new(Check::ArchiveAndPrune, class, name, self.meant, what))
    }

    /// The line for people.
    pub(super) fn text(&self) -> String {
        let meant = self.meant.map_or_else(|| "no entry means it".to_owned(), |i| format!("entry {i} means it"));
        format!("it begins at block {} with a snapshot; {meant}; --archive DIR reads what was before too", self.block)
    }
}

impl Dump {
    /// Puts the blocks of an archive before the first one that is here.
    pub(super) fn complete(&mut self, older: Self) {
        let lineage = self.lineage();
        let held = |name: &str| parse_block_name(name).filter(|(epoch, number)| lineage.holds(*epoch, *number));
        let first = self.blocks.iter().filter_map(|(name, _)| held(name)).map(|(_, number)| number).min();
        // What it calls otherwise than blocks stands in their place, and is found there.
        let number = |name: &str| parse_block_name(name).map(|(_, number)| number);
        let before = |(name, _): &(String, _)| first.is_none_or(|first| number(name).is_none_or(|n| n < first));
        let mut blocks: Vec<_> = older.blocks.into_iter().filter(before).collect();
        blocks.append(&mut self.blocks);
        self.blocks = blocks;
    }
}

impl Verified {
    /// For what is made of every entry from the first one on.
    pub(super) fn all_blocks(&self) -> Result<&[Block], Failure> {
        match self.report.first.0 {
            0 => Ok(&self.blocks),
            first => Err(Failure::new(format!("the ledger begins with entry {first} here; those before are needed"))
                .with_next("give --archive DIR, an archive that holds them")),
        }
    }
}
