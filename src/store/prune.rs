//! Pruning: blocks that archives hold leave the cluster, and a snapshot stands in their place.
//!
//! The order, and the world after a crash at each step:
//! 1. the parts of a snapshot are created and read back: nobody looks for them. The next run finds them, or makes others; those
//!    that nobody means are removed in step 4.
//! 2. the entry `prune`: the blocks before it may go. All are still there.
//! 3. a checkpoint that the witnesses cosigned covers that entry, and the cluster says where to begin: whoever starts begins at
//!    the snapshot, and does not look at what is before it.
//! 4. blocks are deleted, the oldest first, then snapshots that nobody begins at. What is left over is deleted by the next run.

use std::future::Future;

use crate::constitution::{PruneEvent, Pruned, State};
use crate::ledger::{Block, BlockParts, Head, Lineage, LogTrust, block_name, parse_block_name};
use crate::trust::sha256;
use crate::units::{BlockNumber, UnixSeconds};

use super::archive::{ArchiveError, ArchiveStore};
use super::block_store::{BlockStore, CreateError, ReadError};
use super::handle::View;
use super::replay::{ReplayError, replay};
use super::snapshot::{
    Snapshot, SnapshotError, pack_snapshot, parse_snapshot_name, read_snapshot, snapshot_name, unpack_snapshot,
    write_snapshot,
};

/// Most blocks that one entry `prune` is about.
const MOST: u64 = 512;
/// How many archives must hold what is deleted.
const ARCHIVES: usize = 2;

/// A store from which old blocks are removed, and which holds snapshots.
///
/// Contract, beside that of [`BlockStore`]. *Consistency*: [`HotStore::names`] shows everything that was there when it was
/// asked. *Retries*: none here; removing what is gone is no error. *Attacker*: whoever owns the store can remove more; what may
/// be gone is told by the ledger alone.
pub trait HotStore: BlockStore {
    /// Names of all blocks and parts of snapshots.
    fn names(&self) -> impl Future<Output = Result<Vec<String>, ReadError>> + Send;

    /// Creates a part of a snapshot, where nothing is of this name.
    fn create_part(&self, name: &str, packed: &[u8]) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// Reads a part of a snapshot; `None` when it is not there.
    fn read_part(&self, name: &str) -> impl Future<Output = Result<Option<Vec<u8>>, ReadError>> + Send;

    /// Removes a block or a part of a snapshot.
    fn remove(&self, name: &str) -> impl Future<Output = Result<(), CreateError>> + Send;
}

/// Why nothing is pruned.
#[derive(Debug, thiserror::Error)]
pub enum PruneError {
    /// An archive does not give back what it holds.
    #[error("the archive `{archive}` does not hold what would be deleted: {source}")]
    Archive {
        /// Name of the archive.
        archive: String,
        /// What is wrong.
        source: ArchiveError,
    },
    /// A block is not what it was.
    #[error("block {number} cannot be pruned: {what}")]
    Block {
        /// Which block.
        number: BlockNumber,
        /// What is wrong.
        what: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An entry makes no sense.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The snapshot is wrong.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Another object has the name of a part of the snapshot.
    #[error("`{0}` is another object than the part of the snapshot that is to be kept; delete it by hand")]
    Taken(String),
    /// The store refused.
    #[error("`{name}`: {source}")]
    Write {
        /// Which object.
        name: String,
        /// What it said.
        source: CreateError,
    },
}

/// What may be pruned now.
#[derive(Clone, Copy, Debug)]
pub struct Pruning<'a> {
    /// What this replica knows.
    pub view: &'a View,
    /// How many entries a quorum of the witnesses vouches for, and every one of them has seen.
    pub covered: u64,
    /// The archives; all of them must hold what goes.
    pub archives: &'a [ArchiveStore],
    /// How many blocks stay at least.
    pub keep: u64,
    /// When it is looked at.
    pub now: UnixSeconds,
}

impl Pruning<'_> {
    fn begin(&self) -> BlockNumber {
        self.view.state.pruned().map_or(BlockNumber(0), |p| p.block)
    }

    /// How many entries are in every archive and seen by every witness.
    fn limit(&self) -> u64 {
        if self.archives.len() < ARCHIVES {
            return 0;
        }
        let sealed = self.archives.iter().map(|a| self.view.state.archived(a.name()).map_or(0, |sealed| sealed.size));
        sealed.min().unwrap_or(0).min(self.covered)
    }

    /// The first block that must stay by its number; `None` when too few could go to be worth a snapshot.
    fn most(&self) -> Option<BlockNumber> {
        let begin = self.begin().0;
        let most = self.view.head.next_block().0.saturating_sub(self.keep).min(begin + MOST);
        (most >= begin + self.least() && self.limit() > 0).then_some(BlockNumber(most))
    }

    fn least(&self) -> u64 {
        (self.keep / 4).clamp(1, 64)
    }
}

/// Makes everything ready to prune the oldest blocks, and gives the entry to record; `None` when there is nothing to prune.
///
/// # Errors
/// Every variant of [`PruneError`]; nothing was deleted, and the next try repeats it.
pub async fn prepare<S: HotStore>(store: &S, pruning: Pruning<'_>) -> Result<Option<PruneEvent>, PruneError> {
    let Some(most) = pruning.most() else { return Ok(None) };
    let trust = pruning.view.head.trust();
    let Snapshot { mut head, mut state, digest: _ } = match pruning.view.state.pruned() {
        None => Snapshot { head: Head::genesis(trust.clone()), state: State::default(), digest: sha256(&[]) },
        Some(pruned) => known_snapshot(store, pruned, pruning.view).await?,
    };
    let first = head.next_block();
    let gone = fold(store, pruning.view.head.lineage(), (&mut head, &mut state), (most, pruning.limit())).await?;
    if head.next_block().0 < first.0 + pruning.least() {
        return Ok(None);
    }
    for archive in pruning.archives {
        let sealed = pruning.view.state.archived(archive.name()).map_or(0, |sealed| sealed.size);
        let held = archive.holds(sealed, &gone).await;
        held.map_err(|source| PruneError::Archive { archive: archive.name().to_owned(), source })?;
    }
    // State holds every command that ever was: writing it takes a while, and nobody else should wait for it.
    let (end, fold) = (head.clone(), state);
    let written = tokio::task::spawn_blocking(move || write_snapshot(&end, &fold)).await;
    let bytes = written.map_err(|e| SnapshotError::Unreadable(e.to_string()))??;
    keep_snapshot(store, &head, &bytes).await?;
    let (block, size, root) = (head.next_block(), head.next_index().0, head.root());
    Ok(Some(PruneEvent { block, size, root, snapshot: sha256(&bytes), now: pruning.now }))
}

/// Folds blocks up to `most`, as far as they and one more end within `limit` entries: the one that stays first has been seen by
/// every witness too, so that proofs for witnesses never need what is gone. Gives the blocks.
async fn fold<S: HotStore>(
    store: &S,
    lineage: &Lineage,
    (head, state): (&mut Head, &mut State),
    (most, limit): (BlockNumber, u64),
) -> Result<Vec<(String, BlockParts)>, PruneError> {
    let mut gone = Vec::new();
    let mut waits: Option<BlockParts> = None;
    for number in (head.next_block().0..=most.0).map(BlockNumber) {
        let wrong = |what: String| PruneError::Block { number, what };
        let parts =
            store.read(lineage.epoch_of(number), number).await?.ok_or_else(|| wrong("it is not there".to_owned()))?;
        let end = Block::open(&parts).map_err(|e| wrong(e.to_string()))?.0.header.size;
        if end > limit {
            break;
        }
        if let Some(before) = waits.replace(parts) {
            let name = lineage.name_of(head.next_block());
            let block = head.fold(&before).map_err(|e| wrong(e.to_string()))?;
            replay(&block, state)?;
            gone.push((name, before));
        }
    }
    Ok(gone)
}

/// Creates the parts of a snapshot and reads them back. A part that an earlier run left may be packed by another version; what
/// counts is what is in it.
async fn keep_snapshot<S: HotStore>(store: &S, head: &Head, bytes: &[u8]) -> Result<(), PruneError> {
    let (epoch, block) = (head.trust().epoch, head.next_block());
    for (number, packed) in pack_snapshot(bytes)?.iter().enumerate() {
        let name = snapshot_name(epoch, block, number);
        let inside = |packed: &[u8]| unpack_snapshot(std::iter::once(packed));
        let expected = inside(packed)?;
        match store.create_part(&name, packed).await {
            // What counts is what the store gives back, whatever it answered.
            Ok(()) | Err(CreateError::Exists | CreateError::Unknown(_)) => {}
            Err(source @ CreateError::Refused(_)) => return Err(PruneError::Write { name, source }),
        }
        let found = store.read_part(&name).await?;
        let found = found.ok_or_else(|| ReadError::Unavailable(format!("`{name}` was created, but is not there")))?;
        if !inside(&found).is_ok_and(|found| found == expected) {
            return Err(PruneError::Taken(name));
        }
    }
    Ok(())
}

/// Reads the snapshot that an entry `prune` means.
async fn known_snapshot<S: HotStore>(store: &S, pruned: &Pruned, view: &View) -> Result<Snapshot, PruneError> {
    let trust = view.head.trust();
    let bytes = load_snapshot(store, pruned.block, &store.names().await?).await?;
    let snapshot = read_snapshot(&bytes, trust)?;
    match snapshot.digest == pruned.snapshot {
        true => Ok(snapshot),
        false => Err(SnapshotError::Unreadable(format!("it is not the one that entry {} means", pruned.index)).into()),
    }
}

/// The bytes of the snapshot at the begin of a block.
///
/// # Errors
/// [`PruneError::Read`], [`PruneError::Snapshot`].
pub async fn load_snapshot<S: HotStore>(
    store: &S,
    block: BlockNumber,
    names: &[String],
) -> Result<Vec<u8>, PruneError> {
    let named = names.iter().filter_map(|n| parse_snapshot_name(n)).filter(|(_, found, _)| *found == block);
    let mut found: Vec<_> = named.collect();
    found.sort_unstable();
    let mut parts = Vec::new();
    for (number, (epoch, _, _)) in found.into_iter().enumerate() {
        let name = snapshot_name(epoch, block, number);
        let part = store.read_part(&name).await?;
        parts.push(part.ok_or_else(|| SnapshotError::Unreadable(format!("`{name}` is missing")))?);
    }
    if parts.is_empty() {
        return Err(SnapshotError::Unreadable(format!("the snapshot at block {block} is missing")).into());
    }
    Ok(unpack_snapshot(parts.iter().map(Vec::as_slice))?)
}

/// Where whoever starts begins: at the snapshot that the cluster names, or else at the newest one when the first block is gone.
/// `None`: at the first entry. Whether it is the ledger's own is told by what follows it.
///
/// # Errors
/// Those of [`load_snapshot`], when there is one that cannot be read.
pub async fn begin<S: HotStore>(
    store: &S,
    named: Option<BlockNumber>,
    trust: &LogTrust,
) -> Result<Option<Snapshot>, PruneError> {
    let names = store.names().await?;
    let first = block_name(0, BlockNumber(0));
    let blocks = || names.iter().filter_map(|n| parse_snapshot_name(n)).map(|(_, block, _)| block);
    let newest = || blocks().max().filter(|_| !names.contains(&first));
    let Some(block) = named.or_else(newest) else { return Ok(None) };
    if names.contains(&first) && !blocks().any(|found| found == block) {
        // The snapshot was deleted, and everything was restored from an archive.
        return Ok(None);
    }
    let bytes = load_snapshot(store, block, &names).await?;
    Ok(Some(read_snapshot(&bytes, trust)?))
}

/// Removes what nobody begins with any more, the oldest block first, at most so many objects; gives how many.
///
/// # Errors
/// [`PruneError::Read`], [`PruneError::Write`]: the rest is removed by the next run.
pub async fn sweep_pruned<S: HotStore>(
    store: &S,
    lineage: &Lineage,
    pruned: &Pruned,
    most: usize,
) -> Result<usize, PruneError> {
    let names = store.names().await?;
    // What was lost when an epoch was opened stays: it is evidence, and in no archive.
    let is_old = |name: &&String| parse_block_name(name).is_some_and(|(e, n)| n < pruned.block && lineage.holds(e, n));
    let is_left = |name: &&String| parse_snapshot_name(name).is_some_and(|(_, block, _)| block < pruned.block);
    let mut old: Vec<&String> = names.iter().filter(is_old).collect();
    // Names are of fixed width: their order is the order of the log.
    old.sort();
    let all: Vec<&String> = old.into_iter().chain(names.iter().filter(is_left)).take(most).collect();
    for name in &all {
        store.remove(name).await.map_err(|source| PruneError::Write { name: (*name).clone(), source })?;
    }
    Ok(all.len())
}
