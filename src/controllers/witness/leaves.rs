//! The leaf hashes of the log, read from the store on their own: the proofs for witnesses are made of what is stored, not of what
//! this process believes. They reach back to where the witness that is furthest behind stands.

use crate::ledger::{Block, BlockError, BlockParts, CompactRange, HashTree, Lineage};
use crate::store::{BlockStore, Confirmed, ReadError};
use crate::units::{BlockNumber, Digest};

/// Beyond this many leaves, those that no witness needs are dropped.
const SPARE: u64 = 1 << 16;

/// Why there are no leaf hashes.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum LeafError {
    #[error("block {0} is not in the store")]
    Missing(BlockNumber),
    #[error(transparent)]
    Block(#[from] BlockError),
    #[error("the edge of block {0} does not fit its size")]
    Edge(BlockNumber),
    #[error("a block ends at {found} entries, the checkpoint at {expected}")]
    End { found: u64, expected: u64 },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the blocks in the store do not lead to the root over {0} entries")]
    Root(u64),
}

/// The tree over the log, from some size on.
pub(super) struct Leaves<S> {
    store: S,
    lineage: Lineage,
    tree: HashTree,
    begin: u64,
    next: BlockNumber,
}

impl<S: BlockStore> Leaves<S> {
    pub(super) fn new(store: S, lineage: Lineage) -> Self {
        Self { store, lineage, tree: HashTree::default(), begin: u64::MAX, next: BlockNumber(0) }
    }

    pub(super) fn tree(&self) -> &HashTree {
        &self.tree
    }

    /// Reads what is missing between `from` and `end`, which lies before the block `tip`; the root is compared.
    pub(super) async fn reach(&mut self, from: u64, end: Confirmed, tip: BlockNumber) -> Result<(), LeafError> {
        let Confirmed { size, root: Some(root) } = end else { return Ok(()) };
        if from < self.begin {
            self.begin_at(from.min(size), tip).await?;
        }
        let grown = self.grow(size, root).await;
        if grown.is_err() {
            // Whatever is wrong, the next time everything is read anew.
            self.begin = u64::MAX;
        }
        grown
    }

    async fn grow(&mut self, size: u64, root: Digest) -> Result<(), LeafError> {
        while self.tree.size() < size {
            let (_, leaves) = Block::open(&self.read(self.next).await?)?;
            leaves.into_iter().for_each(|leaf| self.tree.append(leaf));
            self.next = BlockNumber(self.next.0 + 1);
        }
        match self.tree.size() {
            found if found != size => Err(LeafError::End { found, expected: size }),
            _ if self.tree.root(size) != Some(root) => Err(LeafError::Root(size)),
            _ => Ok(()),
        }
    }

    /// Drops what no witness needs that vouches for this size.
    pub(super) fn forget_before(&mut self, size: u64) {
        if size.saturating_sub(self.begin) > SPARE {
            self.tree.forget_before(size);
            self.begin = size;
        }
    }

    /// Begins with the block that holds the entry `from`.
    async fn begin_at(&mut self, from: u64, tip: BlockNumber) -> Result<(), LeafError> {
        let (mut low, mut high) = (0, tip.0);
        // The last block that begins at or before `from`. One that is gone was before it: only old ones are pruned.
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            let middle_block = BlockNumber(middle);
            match self.store.read(self.lineage.epoch_of(middle_block), middle_block).await? {
                Some(parts) if Block::open(&parts)?.0.header.first.0 > from => high = middle,
                Some(_) | None => low = middle,
            }
        }
        let range = match low.checked_sub(1).map(BlockNumber) {
            None => CompactRange::default(),
            Some(before) => {
                let parts = self.read(before).await?;
                let size = Block::open(&parts)?.0.header.size;
                CompactRange::from_bytes(size, &parts.edge).ok_or(LeafError::Edge(before))?
            }
        };
        self.begin = range.size();
        self.tree = HashTree::after(&range);
        self.next = BlockNumber(low);
        Ok(())
    }

    async fn read(&self, number: BlockNumber) -> Result<BlockParts, LeafError> {
        self.store.read(self.lineage.epoch_of(number), number).await?.ok_or(LeafError::Missing(number))
    }
}
