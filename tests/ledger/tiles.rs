//! Archives: what is laid out is what the blocks lead to, can be continued from its end alone, and gives the blocks back.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use miax::ledger::{
    ArchiveName, ArchiveObject, Block, ChainError, Finding, FindingClass, Head, TileCheck, TileKind, TileName, Tiling,
    TilingError, read_blocks, tiles_of,
};
use miax::units::LogIndex;
use proptest::prelude::*;

use super::log::{Blocks, checkpoint, log, signed};

type Objects = BTreeMap<String, Vec<u8>>;

fn store(objects: &mut Objects, new: Vec<ArchiveObject>) {
    for ArchiveObject { name, bytes } in new {
        let before = objects.insert(name.to_string(), bytes.clone());
        assert!(before.is_none_or(|b| b == bytes), "{name} was written twice with other bytes");
    }
}

/// The archive of a log, with the tiles that each of these numbers of blocks ended with.
fn archive(blocks: &Blocks, head: &Head, ends: &[usize]) -> (Objects, Tiling) {
    let (mut objects, mut tiling) = (Objects::new(), Tiling::default());
    for (number, (_, parts)) in (1..).zip(blocks) {
        store(&mut objects, tiling.append(parts, head).expect("the next block"));
        if ends.contains(&number) {
            store(&mut objects, tiling.edge());
        }
    }
    (objects, tiling)
}

fn check(objects: &Objects, blocks: &Blocks, size: u64) -> Vec<Finding> {
    let opened: Vec<Block> = blocks.iter().map(|(_, parts)| Block::open(parts).expect("opens").0).collect();
    let right: Vec<_> =
        blocks.iter().zip(&opened).map(|((name, parts), block)| (name.as_str(), parts, block)).collect();
    TileCheck::new(&right).objects(objects, size)
}

/// 66,048 entries: the smallest whole numbers of blocks that fill a tile of level 1.
static LARGE: LazyLock<(Blocks, Head)> = LazyLock::new(|| {
    let mut sizes = vec![255];
    sizes.extend([256; 257]);
    log(&sizes)
});

static SMALL: LazyLock<(Blocks, Head)> = LazyLock::new(|| log(&[3, 40, 212, 9, 100]));

#[test]
fn an_archive_holds_every_tile_of_its_size_and_nothing_else() {
    for (blocks, head) in [&*LARGE, &*SMALL] {
        let (objects, tiling) = archive(blocks, head, &[blocks.len()]);
        let size = head.next_index().0;
        assert_eq!((tiling.size(), tiling.root(), tiling.next_block()), (size, head.root(), head.next_block()));
        let names: Vec<String> = tiles_of(size).map(|t| t.to_string()).collect();
        assert_eq!(objects.len(), names.len());
        assert!(names.iter().all(|n| objects.contains_key(n)));
        assert_eq!(check(&objects, blocks, size), []);
    }
}

#[test]
fn an_archive_gives_the_blocks_back_as_they_were() {
    let (blocks, head) = &*SMALL;
    let (objects, _) = archive(blocks, head, &[blocks.len()]);
    let names = tiles_of(head.next_index().0).filter(|t| t.kind == TileKind::Blocks);
    let back: Result<Blocks, _> = names.flat_map(|t| read_blocks(&objects[&t.to_string()])).collect();
    assert_eq!(back.as_ref(), Ok(blocks));
}

#[test]
fn an_archive_is_continued_from_its_end_alone() {
    for (blocks, head) in [&*SMALL, &log(&[255]), &log(&[255, 1]), &log(&[255, 256, 256])] {
        let mut before = Head::genesis(super::log::trust());
        for number in 0..=blocks.len() {
            let (objects, _) = archive(&blocks[..number].to_vec(), head, &[number]);
            let vouched = signed(&checkpoint(&before));
            let mut resumed =
                Tiling::resume(&vouched, head, |name| objects.get(&name.to_string()).cloned()).expect("resumes");
            let mut all = objects;
            for (_, parts) in &blocks[number..] {
                store(&mut all, resumed.append(parts, head).expect("the next block"));
            }
            store(&mut all, resumed.edge());
            assert_eq!(check(&all, blocks, head.next_index().0), [], "after {number} blocks");
            if let Some((_, parts)) = blocks.get(number) {
                before.fold(parts).expect("folds");
            }
        }
    }
}

#[test]
fn an_archive_with_a_damaged_end_is_not_continued() {
    let (blocks, head) = &*SMALL;
    let (objects, _) = archive(blocks, head, &[blocks.len()]);
    let vouched = signed(&checkpoint(head));
    let size = head.next_index().0;
    for name in Tiling::needed(size) {
        let resume = |change: &dyn Fn(Vec<u8>) -> Option<Vec<u8>>| {
            Tiling::resume(&vouched, head, |asked| {
                let bytes = objects.get(&asked.to_string()).cloned()?;
                if asked == name { change(bytes) } else { Some(bytes) }
            })
            .map(|t| t.size())
        };
        assert_eq!(resume(&|_| None), Err(TilingError::Missing(name)));
        resume(&|mut b| b.pop().map(|_| b)).expect_err("cut");
        // Of the whole object only the last block matters, which the next one cites.
        for at in [1, 2, 40, 100] {
            let flip = |mut b: Vec<u8>| {
                let at = b.len() - 1 - at % b.len();
                b[at] ^= 1;
                Some(b)
            };
            resume(&flip).expect_err("flipped");
        }
        assert_eq!(resume(&Some), Ok(size));
    }
}

#[test]
fn only_the_next_block_of_the_log_is_archived() {
    let (blocks, head) = &*SMALL;
    let mut tiling = Tiling::default();
    tiling.append(&blocks[0].1, head).expect("the first");
    let refused = |parts| tiling.clone().append(parts, head).expect_err("refused");
    assert!(matches!(refused(&blocks[0].1), ChainError::Number { .. }));
    assert!(matches!(refused(&blocks[2].1), ChainError::Number { .. }));
    let (other, other_head) = super::log::log_from(7, &[3, 40]);
    assert!(matches!(refused(&other[1].1), ChainError::Previous));
    let stranger = Head::genesis(super::log::trust());
    let unknown = tiling.clone().append(&blocks[1].1, &stranger).expect_err("refused");
    assert!(matches!(unknown, ChainError::WriterUnknown(_)));
    let mut unsealed = blocks[1].1.clone();
    unsealed.seal.clone_from(&other[1].1.seal);
    assert!(matches!(refused(&unsealed), ChainError::Block(_)));
    let mut edge = blocks[1].1.clone();
    edge.edge[0] ^= 1;
    assert_eq!(refused(&edge), ChainError::Edge);
    assert_eq!(other_head.next_index(), LogIndex(44));
}

#[track_caller]
fn check_found(name: &str, objects: &Objects, object: &str, class: FindingClass, entry: Option<u64>, part: &str) {
    let (blocks, head) = &*SMALL;
    let findings = check(objects, blocks, head.next_index().0);
    let found = findings.iter().find(|f| f.object == object).unwrap_or_else(|| panic!("{name}: nothing was found"));
    assert_eq!((found.class, found.entry), (class, entry.map(LogIndex)), "{name}: {found:?}");
    assert!(found.message.contains(part), "{name}: {}", found.message);
}

#[test]
fn what_is_wrong_with_an_archive_is_named_with_its_first_entry() {
    use FindingClass::{Incomplete, Tampered};
    let (blocks, head) = &*SMALL;
    let (whole, _) = archive(blocks, head, &[1, blocks.len()]);
    let change = |object: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        let mut objects = whole.clone();
        edit(objects.get_mut(object).expect(object));
        objects
    };
    let flip = |object: &str, at: usize| change(object, &|bytes| bytes[at] ^= 1);
    let found = |name: &str, objects: Objects, object: &str, entry: u64, part: &str| {
        check_found(name, &objects, object, Tampered, Some(entry), part);
    };
    let (hashes, entries, old) = ("tile/0/001.p/109", "tile/entries/001.p/109", "tile/0/000.p/4");
    found("a hash", flip(hashes, 7 * 32), hashes, 263, "hash 7 of the tile is not that of the entries");
    found("a hash above", flip("tile/1/000.p/1", 3), "tile/1/000.p/1", 0, "hash 0");
    found("a tile of an older size", flip(old, 2 * 32 + 5), old, 2, "hash 2");
    found("a cut tile", change(hashes, &|b| b.truncate(64)), hashes, 258, "the tile has 64 bytes");
    found("a longer tile", change(hashes, &|b| b.push(0)), hashes, 365, "the tile has 3489 bytes");
    let entry = 2 + usize::from(u16::from_be_bytes([whole[entries][0], whole[entries][1]]));
    found("an entry", flip(entries, entry + 5), entries, 257, "the entry is not the one of the block");
    found("a length", flip(entries, entry), entries, 257, "the");
    found("a cut bundle", change(entries, &|b| b.truncate(entry + 1)), entries, 257, "cut off in this entry");
    found("more entries", change(entries, &|b| b.extend([0, 0])), entries, 365, "goes on after its 109 entries");
    found("a block", flip("blocks/000", 30), "blocks/000", 0, "not the one of the log");
    found("more blocks", change("blocks/000", &|b| b.push(b'\n')), "blocks/000", 256, "goes on after the blocks");

    let mut swapped = whole.clone();
    swapped.insert("tile/0/000".into(), whole["tile/entries/000"].clone());
    swapped.insert("tile/entries/000".into(), whole["tile/0/000"].clone());
    found("two objects changed places", swapped.clone(), "tile/0/000", 0, "the tile has");
    found("two objects changed places", swapped, "tile/entries/000", 0, "the");

    let mut missing = whole.clone();
    missing.remove(entries);
    check_found("a missing bundle", &missing, entries, Incomplete, Some(256), "the tile is missing");
    let mut more = whole.clone();
    more.insert("tile/0/00x".into(), Vec::new());
    check_found("a strange object", &more, "tile/0/00x", Tampered, None, "not the name of an object of an archive");
}

#[test]
fn lines_that_are_not_blocks_are_refused_in_their_place() {
    let (blocks, head) = &*SMALL;
    let (objects, _) = archive(blocks, head, &[blocks.len()]);
    let whole = String::from_utf8(objects["blocks/000"].clone()).expect("text");
    let refused = |text: &str, good: usize, part: &str| {
        let mut read = read_blocks(text.as_bytes());
        let error = read.pop().expect("a line").expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
        assert!(read.len() == good && read.iter().all(Result::is_ok), "{error}");
    };
    refused(whole.strip_suffix('\n').expect("a line"), 2, "line 3 is cut off");
    refused(&whole.replacen("{\"edge\"", "{ \"edge\"", 1), 0, "line 1 is not a block in canonical JSON");
    let (first, rest) = whole.split_once('\n').expect("two lines");
    refused(&format!("{first}\n{{}}\n{rest}"), 1, "line 2");
    refused(&format!("{}\n", "x".repeat(300_000)), 0, "has 300001 bytes");
    let more = whole.replacen("\"seal\"", "\"seal2\":1,\"seal\"", 1);
    refused(&more, 0, "line 1");
}

proptest! {
    #[test]
    fn no_mutation_of_an_archive_is_missed(
        object in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0_u8..8, kind in 0..4
    ) {
        let (blocks, head) = &*SMALL;
        static WHOLE: LazyLock<Objects> = LazyLock::new(|| archive(&SMALL.0, &SMALL.1, &[2, SMALL.0.len()]).0);
        let mut objects = WHOLE.clone();
        let name = object.get(&WHOLE.keys().collect::<Vec<_>>()).to_string();
        let bytes = objects.get_mut(&name).expect("an object");
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] ^= 1_u8 << bit,
            1 => bytes.truncate(at),
            2 => bytes.insert(at, bytes[at] ^ 1),
            _ => { bytes.remove(at); }
        }
        let findings = check(&objects, blocks, head.next_index().0);
        prop_assert!(findings.iter().any(|f| f.object == name), "{name}: {findings:?}");
    }
}

#[test]
fn every_level_has_its_place() {
    let name = ArchiveName::Tile(TileName { kind: TileKind::Hashes(2), index: 0, width: 1 });
    let (objects, _) = archive(&LARGE.0, &LARGE.1, &[LARGE.0.len()]);
    let (one, two) = (&objects["tile/1/000"], &objects[&name.to_string()]);
    assert_eq!((one.len(), two.len()), (256 * 32, 32));
}
