//! Names of the archive's objects. A number is written in groups of three digits, all but the last with an `x` before them,
//! so that no file has the name of a directory (tlog-tiles, "Merkle Tree").

use std::fmt;
use std::str::FromStr;

use super::super::block::MAX_BLOCK_ENTRIES;

/// How many hashes or entries a whole tile holds.
pub(super) const WIDTH: u64 = MAX_BLOCK_ENTRIES as u64;
/// The same, as the width of a tile.
pub(super) const WHOLE: u16 = 256;
/// Bits of an index that one level takes.
const LEVEL_BITS: u32 = WIDTH.ilog2();
/// The highest level that a tree of 64-bit size can have.
const TOP_LEVEL: u8 = 7;
/// What separates the width of a tile that is not whole.
const PARTIAL: &str = ".p/";

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// The blocks with the entries of the bundle of the same index, as the cluster stores them.
    Blocks,
    /// Entries, each with its length in two bytes before it.
    Entries,
    /// Hashes of perfect subtrees of 256 to the power of this level, 0 to 7, entries.
    Hashes(u8),
}

/// One tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileName {
    /// What it holds.
    pub kind: TileKind,
    /// Its place among those of its kind, from 0.
    pub index: u64,
    /// How many hashes or entries it holds, 1 to 256. For blocks: of how many entries.
    pub width: u16,
}

/// The name of an object of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveName {
    /// The newest checkpoint: the only object that is replaced.
    Checkpoint,
    /// A checkpoint over this many entries, for ever.
    CheckpointAt(u64),
    /// The log's verifier key.
    Key,
    /// A tile.
    Tile(TileName),
}

/// The text is not the name of an object of an archive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of an object of an archive")]
pub struct NameError(String);

impl TileKind {
    fn level(self) -> u8 {
        match self {
            Self::Blocks | Self::Entries => 0,
            Self::Hashes(level) => level,
        }
    }
}

impl TileName {
    /// Index of the first entry below it.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.index.checked_mul(WIDTH).map_or(u64::MAX, |n| self.scale(n))
    }

    /// Index after the last entry below it.
    #[must_use]
    pub fn end(&self) -> u64 {
        let last = self.index.checked_mul(WIDTH).and_then(|n| n.checked_add(u64::from(self.width)));
        last.map_or(u64::MAX, |n| self.scale(n))
    }

    /// Whether it will never grow.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.width == WHOLE
    }

    fn scale(&self, count: u64) -> u64 {
        count.saturating_mul(subtree(self.kind.level()))
    }
}

/// How many entries lie below one hash of a level.
pub(super) fn subtree(level: u8) -> u64 {
    1_u64.checked_shl(LEVEL_BITS * u32::from(level)).unwrap_or(u64::MAX)
}

/// Every tile that an archive of this many entries holds, of all kinds and levels.
pub fn tiles_of(size: u64) -> impl Iterator<Item = TileName> {
    let levels = (0..=TOP_LEVEL).map(TileKind::Hashes).take_while(move |k| size >= subtree(k.level()));
    let bottom = [TileKind::Blocks, TileKind::Entries].into_iter().filter(move |_| size > 0);
    bottom.chain(levels).flat_map(move |kind| {
        let count = size / subtree(kind.level());
        let rest = u16::try_from(count % WIDTH).unwrap_or(0);
        let whole = (0..count / WIDTH).map(move |index| TileName { kind, index, width: WHOLE });
        let edge = (rest > 0).then_some(TileName { kind, index: count / WIDTH, width: rest });
        whole.chain(edge)
    })
}

/// A number in groups of three digits, all but the last with an `x`.
fn write_number(number: u64) -> String {
    let mut text = format!("{:03}", number % 1000);
    let mut rest = number / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

/// Reads what [`write_number`] wrote, and no other spelling of it.
fn read_number(text: &str) -> Option<u64> {
    let digits: String = text.split('/').map(|group| group.strip_prefix('x').unwrap_or(group)).collect();
    let number = digits.parse().ok()?;
    (write_number(number) == text).then_some(number)
}

impl fmt::Display for TileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Blocks => write!(f, "blocks/")?,
            TileKind::Entries => write!(f, "tile/entries/")?,
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        write!(f, "{}", write_number(self.index))?;
        if self.is_whole() { Ok(()) } else { write!(f, "{PARTIAL}{}", self.width) }
    }
}

impl fmt::Display for ArchiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => write!(f, "checkpoint"),
            Self::CheckpointAt(size) => write!(f, "checkpoints/{}", write_number(*size)),
            Self::Key => write!(f, "key"),
            Self::Tile(tile) => tile.fmt(f),
        }
    }
}

impl FromStr for TileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let read = || {
            let (kind, rest) = match text.strip_prefix("blocks/") {
                Some(rest) => (TileKind::Blocks, rest),
                None => match text.strip_prefix("tile/")?.split_once('/')? {
                    ("entries", rest) => (TileKind::Entries, rest),
                    (level, rest) => (TileKind::Hashes(level.parse().ok().filter(|l| *l <= TOP_LEVEL)?), rest),
                },
            };
            let (index, width) = match rest.split_once(PARTIAL) {
                Some((index, width)) => (index, width.parse().ok().filter(|w| (1..WIDTH).contains(&u64::from(*w)))?),
                None => (rest, WHOLE),
            };
            let name = Self { kind, index: read_number(index)?, width };
            // One name, one spelling: no leading zeros, no sign.
            (name.to_string() == text).then_some(name)
        };
        read().ok_or_else(|| NameError(text.to_owned()))
    }
}

impl FromStr for ArchiveName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "checkpoint" => Ok(Self::Checkpoint),
            "key" => Ok(Self::Key),
            _ => match text.strip_prefix("checkpoints/") {
                Some(size) => read_number(size).map(Self::CheckpointAt).ok_or_else(|| NameError(text.to_owned())),
                None => text.parse().map(Self::Tile),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: TileKind, index: u64, width: u16) {
        let name = TileName { kind, index, width };
        assert_eq!((name.to_string().as_str(), text.parse()), (text, Ok(name)));
    }

    #[test]
    fn names_are_those_of_the_specification() {
        check("tile/0/x001/x234/067", TileKind::Hashes(0), 1_234_067, 256);
        check("tile/2/000.p/1", TileKind::Hashes(2), 0, 1);
        check("tile/entries/x273/000.p/112", TileKind::Entries, 273_000, 112);
        check("blocks/999", TileKind::Blocks, 999, 256);
        let names = ["checkpoint", "key", "checkpoints/x070/000", "tile/7/000.p/255"];
        for name in names {
            assert_eq!(name.parse::<ArchiveName>().map(|n| n.to_string()).as_deref(), Ok(name));
        }
        let wrong = [
            "tile/8/000",
            "tile/00/000",
            "tile/0/0000",
            "tile/0/x000/000",
            "tile/0/1",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/+1/000",
            "tile/0/x001/1",
            "tile/0/",
            "blocks/../key",
            "checkpoints/1",
            "",
            "tile/0/000#1",
        ];
        for name in wrong {
            assert_eq!(name.parse::<ArchiveName>(), Err(NameError(name.to_owned())));
        }
    }

    #[test]
    fn a_tree_has_the_tiles_of_the_specification() {
        let count = |size: u64, kind: TileKind| {
            let of_kind = tiles_of(size).filter(|t| t.kind == kind);
            of_kind.fold(
                (0, None),
                |(whole, edge), t| if t.is_whole() { (whole + 1, edge) } else { (whole, Some(t.width)) },
            )
        };
        // The example of tlog-tiles, "Partial Tiles".
        assert_eq!(count(70_000, TileKind::Hashes(0)), (273, Some(112)));
        assert_eq!(count(70_000, TileKind::Hashes(1)), (1, Some(17)));
        assert_eq!(count(70_000, TileKind::Hashes(2)), (0, Some(1)));
        assert_eq!(count(70_000, TileKind::Hashes(3)), (0, None));
        assert_eq!(count(70_000, TileKind::Entries), (273, Some(112)));
        assert_eq!(count(256, TileKind::Hashes(0)), (1, None));
        assert_eq!(count(256, TileKind::Hashes(1)), (0, Some(1)));
        assert_eq!(tiles_of(0).count(), 0);
    }

    #[test]
    fn a_tile_knows_the_entries_below_it() {
        let name = TileName { kind: TileKind::Hashes(1), index: 2, width: 3 };
        assert_eq!((name.first(), name.end()), (2 * 65_536, 2 * 65_536 + 3 * 256));
        let beyond = TileName { kind: TileKind::Hashes(7), index: u64::MAX, width: 256 };
        assert_eq!((beyond.first(), beyond.end()), (u64::MAX, u64::MAX));
    }
}
