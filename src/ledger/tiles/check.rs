//! Compares every object of an archive with what the verified blocks lead to. The objects say nothing of their own: each
//! byte is computed again.

use std::collections::BTreeMap;

use crate::trust::sha256;
use crate::units::{Digest, LogIndex};

use super::super::audit::Check;
use super::super::block::{Block, BlockParts};
use super::super::proof::HashTree;
use super::super::tree::leaf_hash;
use super::super::verify::{Finding, FindingClass};
use super::blocks::write_block;
use super::growth::{Growth, added};
use super::name::{ArchiveName, TileKind, TileName, WIDTH, subtree, tiles_of};
use super::tiling::to_bytes;

/// What every tile must be, from blocks that are right.
pub struct TileCheck {
    tree: HashTree,
    /// Entries of all blocks, each with its length before it.
    entries: Vec<Vec<u8>>,
    /// First index, end and line of each block.
    blocks: Vec<(u64, u64, Vec<u8>)>,
}

impl TileCheck {
    /// Takes the blocks of a log from its first one on, each with its name, which the verifier has found right.
    #[must_use]
    pub fn new(blocks: &[(&str, &BlockParts, &Block)]) -> Self {
        let mut expected = Self { tree: HashTree::default(), entries: Vec::new(), blocks: Vec::new() };
        for (name, parts, block) in blocks {
            for entry in block.entries() {
                expected.tree.append(leaf_hash(entry));
                // An entry of a block has at most 16 KiB; the length always fits.
                let length = u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes();
                expected.entries.push([&length, entry].concat());
            }
            // What cannot be written compares unequal to everything.
            let line = write_block(name, parts).unwrap_or_default();
            expected.blocks.push((block.header.first.0, block.header.size, line));
        }
        expected
    }

    /// Compares the tiles among `objects`, by name, with the blocks, and looks whether each tile is there that an archive of
    /// `size` entries has. What lies beyond the blocks is not looked at: the verifier has said by then what is wrong.
    #[must_use]
    pub fn objects(&self, objects: &BTreeMap<String, Vec<u8>>, size: u64) -> Vec<Finding> {
        let known = self.tree.size();
        let mut findings = Vec::new();
        for (name, bytes) in objects {
            match name.parse() {
                Ok(ArchiveName::Tile(tile)) if tile.end() <= known => {
                    if let Some((at, message)) = self.compare(&tile, bytes) {
                        findings.push(finding(FindingClass::Tampered, &tile, at, message));
                    }
                }
                Ok(
                    ArchiveName::Tile(_) | ArchiveName::Checkpoint | ArchiveName::CheckpointAt(_) | ArchiveName::Key,
                ) => {}
                Err(error) => {
                    let (check, class) = (Check::ArchiveAndPrune, FindingClass::Tampered);
                    findings.push(Finding::new(check, class, name.as_str(), None, error.to_string()));
                }
            }
        }
        // Blocks that are missing are named by the verifier, each by its own name.
        let tiles = tiles_of(size.min(known)).filter(|t| t.kind != TileKind::Blocks);
        let missing = tiles.filter(|t| !objects.contains_key(&t.to_string()));
        findings.extend(missing.map(|t| {
            let message = "the tile is missing; the blocks have what was in it".to_owned();
            finding(FindingClass::Incomplete, &t, t.first(), message)
        }));
        findings
    }

    /// What an archive adds when it grows from `from` to `to` entries, and the root over them; `None` when the blocks end
    /// before, or no block ends there.
    #[must_use]
    pub fn growth(&self, from: u64, to: u64) -> Option<(Digest, Growth)> {
        let root = self.tree.root(to)?;
        self.blocks.iter().find(|(_, end, _)| *end == to)?;
        let mut growth = Growth::default();
        for tile in added(from, to) {
            growth.add(&ArchiveName::Tile(tile), &sha256(&self.bytes(&tile)));
        }
        Some((root, growth))
    }

    fn bytes(&self, tile: &TileName) -> Vec<u8> {
        let (first, end) = (tile.first(), tile.end());
        match tile.kind {
            TileKind::Hashes(level) => to_bytes(self.hashes(tile, level)),
            TileKind::Entries => slice(&self.entries, first, u64::from(tile.width)).concat(),
            TileKind::Blocks => {
                let inside = self.blocks.iter().filter(|(begins, ends, _)| *begins >= first && *ends <= end);
                inside.flat_map(|(_, _, line)| line.iter().copied()).collect()
            }
        }
    }

    fn hashes(&self, tile: &TileName, level: u8) -> &[Digest] {
        let first = tile.index.saturating_mul(WIDTH);
        slice(self.tree.level(8 * u32::from(level)), first, u64::from(tile.width))
    }

    /// The first entry that a tile is wrong about, and how; `None` when it is right.
    fn compare(&self, tile: &TileName, bytes: &[u8]) -> Option<(u64, String)> {
        match tile.kind {
            TileKind::Hashes(level) => self.compare_hashes(tile, level, bytes),
            TileKind::Entries => self.compare_entries(tile, bytes),
            TileKind::Blocks => self.compare_blocks(tile, bytes),
        }
    }

    fn compare_hashes(&self, tile: &TileName, level: u8, bytes: &[u8]) -> Option<(u64, String)> {
        let right = to_bytes(self.hashes(tile, level));
        if right == bytes {
            return None;
        }
        let good = right.chunks(32).zip(bytes.chunks(32)).take_while(|(a, b)| a == b).count();
        let at = tile.first().saturating_add((good as u64).saturating_mul(subtree(level)));
        let message = match bytes.len() == right.len() {
            true => format!("hash {good} of the tile is not that of the entries"),
            false => format!("the tile has {} bytes; {} hashes have {}", bytes.len(), tile.width, right.len()),
        };
        Some((at, message))
    }

    fn compare_entries(&self, tile: &TileName, bytes: &[u8]) -> Option<(u64, String)> {
        let (mut rest, mut at) = (bytes, tile.first());
        for entry in slice(&self.entries, at, u64::from(tile.width)) {
            let Some(more) = rest.strip_prefix(entry.as_slice()) else {
                let message = match split_entry(rest) {
                    Some(_) => "the entry is not the one of the block",
                    None => "the bundle is cut off in this entry",
                };
                return Some((at, message.to_owned()));
            };
            (rest, at) = (more, at + 1);
        }
        (!rest.is_empty()).then(|| (at, format!("the bundle goes on after its {} entries", tile.width)))
    }

    fn compare_blocks(&self, tile: &TileName, bytes: &[u8]) -> Option<(u64, String)> {
        let (first, end) = (tile.first(), tile.end());
        let mut rest = bytes;
        for (begins, _, line) in self.blocks.iter().filter(|(begins, ends, _)| *begins >= first && *ends <= end) {
            match rest.strip_prefix(line.as_slice()) {
                Some(more) if !line.is_empty() => rest = more,
                Some(_) | None => return Some((*begins, "the block is not the one of the log".to_owned())),
            }
        }
        (!rest.is_empty()).then(|| (end, format!("the object goes on after the blocks of its {} entries", tile.width)))
    }
}

fn finding(class: FindingClass, tile: &TileName, at: u64, message: String) -> Finding {
    Finding::new(Check::ArchiveAndPrune, class, tile.to_string(), Some(LogIndex(at)), message)
}

fn slice<T>(all: &[T], first: u64, count: u64) -> &[T] {
    let range = usize::try_from(first).ok().zip(usize::try_from(first.saturating_add(count)).ok());
    range.and_then(|(from, to)| all.get(from..to)).unwrap_or_default()
}

/// The first entry of a bundle and what follows it; `None` when the bundle ends before.
fn split_entry(bundle: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bundle.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}
