//! From blocks to the archive's objects, in order. Only the right edge of the tree is kept, so that an archive of any size
//! is continued from a few small objects.

use crate::units::{BlockNumber, Digest, LogIndex};

use super::super::block::{Block, BlockParts, block_name};
use super::super::chain::{ChainError, Head, grown};
use super::super::checkpoint::SignedCheckpoint;
use super::super::tree::CompactRange;
use super::blocks::{read_blocks, write_block};
use super::name::{ArchiveName, TileKind, TileName, WHOLE, WIDTH, tiles_of};

/// An object of an archive. Its bytes never change, but for [`ArchiveName::Checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveObject {
    /// Its name.
    pub name: ArchiveName,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The end of an archive: what its next objects are made from. A value: appending a block gives the next one.
#[derive(Clone, Debug, Default)]
pub struct Tiling {
    next: BlockNumber,
    previous: Option<Digest>,
    range: CompactRange,
    /// Entries after the last whole bundle.
    entries: Vec<u8>,
    /// The blocks with them.
    blocks: Vec<u8>,
    /// Of each level the hashes after the last whole tile.
    levels: Vec<Vec<Digest>>,
}

/// Why an archive cannot be continued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TilingError {
    /// An object that the end of the archive is read from is not what it should be.
    #[error("the archive's `{name}` is damaged: {what}")]
    Damaged {
        /// Which object.
        name: TileName,
        /// What is wrong.
        what: String,
    },
    /// An object that the end of the archive is read from is not there.
    #[error("the archive's `{0}` is missing")]
    Missing(TileName),
    /// The objects are not those of the archive's checkpoint.
    #[error("the tiles of the archive do not lead to the root that its checkpoint over {0} entries vouches for")]
    Root(u64),
}

impl Tiling {
    /// Number of entries so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// Root of the tree over them.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.range.root()
    }

    /// Number of the next block.
    #[must_use]
    pub fn next_block(&self) -> BlockNumber {
        self.next
    }

    /// Takes the next block in, checked against what came before and against the writers that `log` knows; gives the tiles
    /// that are whole now. On an error nothing changes.
    ///
    /// # Errors
    /// [`ChainError`]: the block is not the next one of the log.
    pub fn append(&mut self, parts: &BlockParts, log: &Head) -> Result<Vec<ArchiveObject>, ChainError> {
        let (block, leaves) = Block::open(parts)?;
        let range = self.check(&block, &leaves, parts, log)?;
        let name = block_name(block.header.epoch, block.header.number);
        let line = write_block(&name, parts)?;
        self.entries.extend_from_slice(block.bundle());
        self.blocks.extend_from_slice(&line);
        let mut whole = Vec::new();
        // A block never crosses a multiple of 256 entries: at most one bundle ends, and it ends with the block.
        if range.size().is_multiple_of(WIDTH) {
            let index = range.size() / WIDTH - 1;
            whole.push(object(TileKind::Blocks, index, WHOLE, std::mem::take(&mut self.blocks)));
            whole.push(object(TileKind::Entries, index, WHOLE, std::mem::take(&mut self.entries)));
        }
        let before = self.range.size();
        for (count, leaf) in (before + 1..).zip(leaves) {
            self.push(0, leaf, count, &mut whole);
        }
        self.range = range;
        self.previous = Some(block.digest);
        self.next = BlockNumber(self.next.0 + 1);
        Ok(whole)
    }

    fn check(
        &self,
        block: &Block,
        leaves: &[Digest],
        parts: &BlockParts,
        log: &Head,
    ) -> Result<CompactRange, ChainError> {
        let header = &block.header;
        let expected = log.lineage().epoch_of(self.next);
        if header.epoch != expected {
            return Err(ChainError::Epoch { found: header.epoch, expected });
        }
        if header.number != self.next {
            return Err(ChainError::Number { found: header.number, expected: self.next });
        }
        if header.first.0 != self.size() {
            return Err(ChainError::First { found: header.first, expected: LogIndex(self.size()) });
        }
        let writer = log.writer_key(&header.writer);
        let writer = writer.ok_or_else(|| ChainError::WriterUnknown(header.writer.clone()))?;
        block.check_seal(&parts.seal, &log.trust().in_epoch(header.epoch).origin, writer)?;
        if header.previous != self.previous.unwrap_or(Digest([0; 32])) {
            return Err(ChainError::Previous);
        }
        grown(&self.range, leaves, header, &parts.edge)
    }

    /// Adds a hash to a level; what is whole goes out, and its root to the next level. `count` is the number of hashes of
    /// this level from then on.
    fn push(&mut self, level: u8, hash: Digest, count: u64, whole: &mut Vec<ArchiveObject>) {
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize(place + 1, Vec::new());
        }
        let Some(hashes) = self.levels.get_mut(place) else { return };
        hashes.push(hash);
        if hashes.len() == usize::from(WHOLE) {
            let hashes = std::mem::take(hashes);
            let index = count / WIDTH - 1;
            whole.push(object(TileKind::Hashes(level), index, WHOLE, to_bytes(&hashes)));
            self.push(level + 1, root_of(&hashes), count / WIDTH, whole);
        }
    }

    /// The tiles that are not whole: with them the archive is complete for its size, as a checkpoint over it needs.
    #[must_use]
    pub fn edge(&self) -> Vec<ArchiveObject> {
        let edge = tiles_of(self.size()).filter(|t| !t.is_whole());
        let bytes = |kind| match kind {
            TileKind::Blocks => self.blocks.clone(),
            TileKind::Entries => self.entries.clone(),
            TileKind::Hashes(level) => self.levels.get(usize::from(level)).map(|h| to_bytes(h)).unwrap_or_default(),
        };
        edge.map(|t| object(t.kind, t.index, t.width, bytes(t.kind))).collect()
    }

    /// The objects from which [`Tiling::resume`] continues an archive of this size.
    #[must_use]
    pub fn needed(size: u64) -> Vec<TileName> {
        let mut names: Vec<TileName> = tiles_of(size).filter(|t| !t.is_whole()).collect();
        // The last block of the last whole bundle is cited by the next one.
        if let Some(index) = (size / WIDTH).checked_sub(1) {
            names.insert(0, TileName { kind: TileKind::Blocks, index, width: WHOLE });
        }
        names
    }

    /// Continues an archive: `read` gives the objects of [`Tiling::needed`] for the checkpoint's size. The blocks after the
    /// last whole bundle are taken in once more, so that nothing of them is believed.
    ///
    /// # Errors
    /// [`TilingError`]: an object is missing or damaged, or they do not lead to the signed root.
    pub fn resume(
        checkpoint: &SignedCheckpoint,
        log: &Head,
        mut read: impl FnMut(TileName) -> Option<Vec<u8>>,
    ) -> Result<Self, TilingError> {
        let size = checkpoint.checkpoint().size;
        let whole = size - size % WIDTH;
        let mut objects = Vec::new();
        for name in Self::needed(size) {
            objects.push((name, read(name).ok_or(TilingError::Missing(name))?));
        }
        let mut tiling = Self::default();
        for (name, bytes) in &objects {
            if let TileKind::Hashes(level @ 1..) = name.kind {
                tiling.take_hashes(*name, level, bytes)?;
            }
        }
        tiling.range = CompactRange::from_bytes(whole, &tiling.peaks()).ok_or(TilingError::Root(size))?;
        for (name, bytes) in objects.iter().filter(|(name, _)| name.kind == TileKind::Blocks) {
            tiling.take_blocks(*name, bytes, log)?;
        }
        if tiling.size() != size || (size > 0 && tiling.root() != checkpoint.checkpoint().root) {
            return Err(TilingError::Root(size));
        }
        let edge = tiling.edge();
        let differs = |(name, bytes): &&(TileName, Vec<u8>)| {
            !name.is_whole() && !edge.iter().any(|o| o.name == ArchiveName::Tile(*name) && o.bytes == *bytes)
        };
        match objects.iter().find(differs) {
            None => Ok(tiling),
            Some((name, _)) => {
                Err(TilingError::Damaged { name: *name, what: "it is not what the blocks lead to".to_owned() })
            }
        }
    }

    fn take_hashes(&mut self, name: TileName, level: u8, bytes: &[u8]) -> Result<(), TilingError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() != usize::from(name.width) {
            let what = "it has another number of hashes than its name says".to_owned();
            return Err(TilingError::Damaged { name, what });
        }
        let place = usize::from(level);
        self.levels.resize(self.levels.len().max(place + 1), Vec::new());
        if let Some(slot) = self.levels.get_mut(place) {
            *slot = hashes.iter().copied().map(Digest).collect();
        }
        Ok(())
    }

    /// Goes on after the last block of a whole object, or takes in those of the last one, which is not whole.
    fn take_blocks(&mut self, name: TileName, bytes: &[u8], log: &Head) -> Result<(), TilingError> {
        let damaged = |what: &dyn std::fmt::Display| TilingError::Damaged { name, what: what.to_string() };
        let mut blocks = Vec::new();
        for block in read_blocks(bytes) {
            blocks.push(block.map_err(|e| damaged(&e))?.1);
        }
        if !name.is_whole() {
            for parts in &blocks {
                self.append(parts, log).map_err(|e| damaged(&e))?;
            }
            return Ok(());
        }
        let parts = blocks.last().ok_or_else(|| damaged(&"it is empty"))?;
        let (block, _) = Block::open(parts).map_err(|e| damaged(&e))?;
        let header = &block.header;
        let writer = log.writer_key(&header.writer).ok_or_else(|| damaged(&"its last writer is not known"))?;
        block.check_seal(&parts.seal, &log.trust().origin, writer).map_err(|e| damaged(&e))?;
        if header.size != self.size() || header.root != self.root() {
            return Err(damaged(&"its last block does not end with the tree of the tiles"));
        }
        self.next = BlockNumber(header.number.0 + 1);
        self.previous = Some(block.digest);
        Ok(())
    }

    /// The roots of the perfect subtrees that cover all entries of whole bundles, the largest first.
    fn peaks(&self) -> Vec<u8> {
        let of_level = |hashes: &Vec<Digest>| {
            let mut range = CompactRange::default();
            hashes.iter().for_each(|h| range.append(*h));
            range.to_bytes()
        };
        self.levels.iter().rev().flat_map(of_level).collect()
    }
}

fn object(kind: TileKind, index: u64, width: u16, bytes: Vec<u8>) -> ArchiveObject {
    ArchiveObject { name: ArchiveName::Tile(TileName { kind, index, width }), bytes }
}

pub(super) fn to_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.0).collect()
}

fn root_of(hashes: &[Digest]) -> Digest {
    let mut range = CompactRange::default();
    hashes.iter().for_each(|h| range.append(*h));
    range.root()
}
