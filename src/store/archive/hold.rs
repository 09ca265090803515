//! Whether an archive gives back blocks as the cluster has them: read again before they leave the cluster.

use std::collections::BTreeMap;

use crate::ledger::{ArchiveName, Block, BlockParts, TileKind, TileName, read_blocks, tiles_of};

use super::{ArchiveError, ArchiveStore};

impl ArchiveStore {
    /// Reads everything again that holds these blocks, and compares it byte by byte. The archive is sealed over `sealed` entries.
    ///
    /// # Errors
    /// [`ArchiveError::Differs`] for what is gone or another one, [`ArchiveError::Late`], [`ArchiveError::Ledger`],
    /// [`ArchiveError::Refused`].
    pub async fn holds(&self, sealed: u64, blocks: &[(String, BlockParts)]) -> Result<(), ArchiveError> {
        let mut by_tile: BTreeMap<TileName, Vec<&(String, BlockParts)>> = BTreeMap::new();
        let tiles: Vec<TileName> = tiles_of(sealed).filter(|tile| tile.kind == TileKind::Blocks).collect();
        for named in blocks {
            let (block, _) = Block::open(&named.1)
                .map_err(|e| ArchiveError::Ledger { number: 0, what: format!("`{}`: {e}", named.0) })?;
            let (header, number) = (&block.header, block.header.number.0);
            let tile = tiles.iter().find(|t| t.first() <= header.first.0 && header.size <= t.end());
            let tile = tile.ok_or_else(|| ArchiveError::Ledger { number, what: "it is not sealed".to_owned() })?;
            by_tile.entry(*tile).or_default().push(named);
        }
        for (tile, expected) in by_tile {
            let name = ArchiveName::Tile(tile);
            let gone = ArchiveError::Differs { name, what: "was sealed, but is not there" };
            let found = read_blocks(&self.read(name).await?.ok_or(gone)?);
            if !expected.iter().all(|block| found.iter().any(|f| f.as_ref().is_ok_and(|f| f == *block))) {
                return Err(ArchiveError::Differs { name, what: "does not hold the blocks that are in the cluster" });
            }
        }
        Ok(())
    }
}
