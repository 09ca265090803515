//! An archive as a directory: what it holds, read but not verified, and what is wrong with it beside its blocks.

use std::collections::BTreeMap;
use std::path::Path;

use crate::constitution::Event;
use crate::ledger::{
    ArchiveName, Block, BlockParts, Check, Checkpoint, Finding, FindingClass, LogKeys, SignedCheckpoint, TileCheck,
    TileKind, TileName, read_blocks,
};
use crate::store::Recorded;

use super::dump::{Claims, Dump, read_file};
use super::output::Failure;

/// How deep the directories of an archive are: a number of 64 bits has seven groups of digits.
const MAX_DEPTH: usize = 12;
/// What a directory has that is an archive.
const FOLDERS: [&str; 3] = ["blocks", "checkpoints", "tile"];
/// What object stores put into the name of a file that they have not finished.
const UNFINISHED: char = '#';

/// The objects of an archive, by name.
#[derive(Debug, Default)]
pub(super) struct Archived {
    objects: BTreeMap<String, Vec<u8>>,
}

/// What the checkpoints of an archive vouch for.
#[derive(Default)]
pub(super) struct Vouched {
    /// Those that are kept for ever, each with its name.
    pub(super) checkpoints: Vec<(Checkpoint, String)>,
    /// The largest size that one of them is over.
    pub(super) size: u64,
    /// Those that are wrong.
    pub(super) wrong: Vec<Finding>,
}

impl Archived {
    /// Whether a directory is an archive.
    pub(super) fn is_at(path: &Path) -> bool {
        FOLDERS.iter().any(|folder| path.join(folder).is_dir())
    }

    /// Reads every object.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let mut archived = Self::default();
        for folder in FOLDERS {
            let inside = path.join(folder);
            if inside.is_dir() {
                archived.add(&inside, folder, 0)?;
            }
        }
        for name in [ArchiveName::Checkpoint, ArchiveName::Key].map(|n| n.to_string()) {
            let file = path.join(&name);
            if file.is_file() {
                archived.objects.insert(name, read_file(&file)?);
            }
        }
        Ok(archived)
    }

    fn add(&mut self, path: &Path, name: &str, depth: usize) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        if depth > MAX_DEPTH {
            return Err(Failure::new(format!("{}: deeper than an archive is", path.display())));
        }
        for entry in std::fs::read_dir(path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let own = entry.file_name().to_string_lossy().into_owned();
            let (name, inside) = (format!("{name}/{own}"), entry.path());
            if inside.is_dir() {
                self.add(&inside, &name, depth + 1)?;
            } else if !own.contains(UNFINISHED) {
                self.objects.insert(name, read_file(&inside)?);
            }
        }
        Ok(())
    }

    /// The blocks and claims of the archive, as of any other dump.
    pub(super) fn dump(self) -> Dump {
        let text = |name: ArchiveName| {
            let bytes = self.objects.get(&name.to_string()).map(Vec::as_slice).unwrap_or_default();
            String::from_utf8_lossy(bytes).into_owned()
        };
        let key = text(ArchiveName::Key).trim_end().to_owned();
        let mut checkpoint = text(ArchiveName::Checkpoint);
        if checkpoint.is_empty()
            && let Some(last) = self.checkpoints().into_keys().next_back()
        {
            checkpoint = text(ArchiveName::CheckpointAt(last));
        }
        let claims = Some(Claims { key, checkpoint, ..Claims::default() });
        let mut blocks = Vec::new();
        for (name, bytes) in self.block_objects() {
            let found = read_blocks(bytes);
            blocks.extend(found.into_iter().map(|block| match block {
                Ok((block, parts)) => (block, Ok(parts)),
                Err(error) => (name.to_string(), Err(error.to_string())),
            }));
        }
        Dump { blocks, snapshots: BTreeMap::new(), claims, archived: Some(self), live: false }
    }

    /// Of each bundle the object that holds most of its blocks, in the order of the log.
    fn block_objects(&self) -> Vec<(TileName, &Vec<u8>)> {
        let mut widest: BTreeMap<u64, (TileName, &Vec<u8>)> = BTreeMap::new();
        for (name, bytes) in &self.objects {
            if let Ok(ArchiveName::Tile(tile @ TileName { kind: TileKind::Blocks, index, width })) = name.parse()
                && widest.get(&index).is_none_or(|(known, _)| known.width < width)
            {
                widest.insert(index, (tile, bytes));
            }
        }
        widest.into_values().collect()
    }

    fn checkpoints(&self) -> BTreeMap<u64, &Vec<u8>> {
        let sizes = self.objects.iter().filter_map(|(name, bytes)| match name.parse() {
            Ok(ArchiveName::CheckpointAt(size)) => Some((size, bytes)),
            Ok(ArchiveName::Checkpoint | ArchiveName::Key | ArchiveName::Tile(_)) | Err(_) => None,
        });
        sizes.collect()
    }

    /// What its checkpoints vouch for.
    pub(super) fn vouched(&self, keys: &LogKeys) -> Vouched {
        let open = |bytes: &[u8]| SignedCheckpoint::open_with(&String::from_utf8_lossy(bytes), keys);
        let mut vouched = Vouched::default();
        for (size, bytes) in self.checkpoints() {
            let name = ArchiveName::CheckpointAt(size).to_string();
            let message = match open(bytes) {
                Ok(signed) if signed.checkpoint().size == size => {
                    vouched.size = vouched.size.max(size);
                    vouched.checkpoints.push((signed.checkpoint().clone(), name));
                    continue;
                }
                Ok(signed) => format!("the checkpoint is over {} entries", signed.checkpoint().size),
                Err(error) => error.to_string(),
            };
            vouched.wrong.push(Finding::new(Check::CheckpointSignatures, FindingClass::Tampered, name, None, message));
        }
        let mut missing = |name: ArchiveName, message: &str| {
            let (check, class) = (Check::ArchiveAndPrune, FindingClass::Incomplete);
            vouched.wrong.push(Finding::new(check, class, name.to_string(), None, message));
        };
        // One that does not open is reported as that of any dump.
        let newest = self.objects.get(&ArchiveName::Checkpoint.to_string()).filter(|bytes| !bytes.is_empty());
        match newest.map(|bytes| open(bytes)) {
            Some(Ok(newest)) => {
                let size = newest.checkpoint().size;
                vouched.size = vouched.size.max(size);
                // It is kept before it becomes the newest one.
                if !self.objects.contains_key(&ArchiveName::CheckpointAt(size).to_string()) {
                    missing(ArchiveName::CheckpointAt(size), "the checkpoint that was kept for ever is missing");
                }
            }
            Some(Err(_)) => {}
            None => missing(ArchiveName::Checkpoint, "the newest checkpoint is missing or empty"),
        }
        vouched
    }

    /// What is wrong with the tiles, by the blocks that are right; `size` is what the archive vouches for.
    pub(super) fn check(&self, tiles: &TileCheck, size: u64) -> Vec<Finding> {
        tiles.objects(&self.objects, size)
    }
}

/// What every tile of an archive of this ledger must be.
pub(super) fn tiles_of(parts: &[(String, BlockParts)], blocks: &[Block]) -> TileCheck {
    let right = parts.iter().zip(blocks).map(|((name, parts), block)| (name.as_str(), parts, block));
    TileCheck::new(&right.collect::<Vec<_>>())
}

/// What is wrong with the seals of archives: each must be about exactly the objects that the entries before it lead to.
pub(super) fn check_seals(entries: &[Recorded], tiles: &TileCheck) -> Vec<Finding> {
    let wrong = |recorded: &Recorded| {
        let Event::ArchiveSeal(seal) = &recorded.event else { return None };
        let found = tiles.growth(seal.from, seal.to).map(|(root, g)| (root, g.count(), g.digest()));
        let message = format!("the seal of the archive `{}` is not about what this ledger leads to", seal.store);
        let (check, class) = (Check::ArchiveAndPrune, FindingClass::Tampered);
        let finding = Finding::new(check, class, format!("archive {}", seal.store), Some(recorded.index), message);
        (found != Some((seal.root, seal.count, seal.objects))).then_some(finding)
    };
    entries.iter().filter_map(wrong).collect()
}
