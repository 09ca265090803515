//! What somebody can write who holds a writer's key and signs whatever they want: the seal is right, the rest is not.

use miax::constitution::State;
use miax::ledger::{BlockParts, Check, Entry, Head, LogTrust, Writer, block_name, leaf_hash};
use miax::store::replay;
use miax::trust::{NoteSigner, canonical_json, sha256};
use miax::units::{BlockNumber, UnixMillis, hex};
use serde_json::{Map, Value, json};

use crate::log::{Blocks, ORIGIN, entry, log, log_from, log_key, trust, verify, writer};

const WRITER: &str = "miax.dev/writer/a";

/// The block with another header, sealed anew.
fn resealed(parts: &BlockParts, change: impl FnOnce(&mut Value)) -> BlockParts {
    let mut header: Value = serde_json::from_str(&parts.header).expect("json");
    change(&mut header);
    let text = String::from_utf8(canonical_json(&header).expect("canonical").into_vec()).expect("UTF-8");
    sealed_as(parts, text, &header["number"])
}

fn sealed_as(parts: &BlockParts, header: String, number: &Value) -> BlockParts {
    let digest = sha256(header.as_bytes());
    let key = NoteSigner::try_new(WRITER, &[2; 32]).expect("name");
    let seal = key.sign(&format!("miax.dev/block/v1\n{ORIGIN}\n{number}\n{digest}\n")).expect("signs");
    BlockParts { header, seal, ..parts.clone() }
}

/// The block with other packed bytes, and a header that fits them.
fn repacked(parts: &BlockParts, bundle: &[u8], leaves: &str) -> BlockParts {
    let packed = zstd::bulk::compress(bundle, 19).expect("packs");
    let changed = BlockParts { entries: packed, ..parts.clone() };
    resealed(&changed, |h| {
        h["packed"] = json!(sha256(&changed.entries));
        h["leaves"] = json!(leaves);
    })
}

/// Asserts that the last block, changed so, is refused, its first entry named, and the point that did not hold.
#[track_caller]
fn refuses(blocks: &Blocks, check: Check, changed: BlockParts, part: &str) {
    refuses_as(blocks, &[check], changed, part);
}

/// The same when it is one of several points.
#[track_caller]
fn refuses_as(blocks: &Blocks, checks: &[Check], changed: BlockParts, part: &str) {
    let mut blocks = blocks.clone();
    let (name, before) = blocks.pop().expect("a block");
    let first = serde_json::from_str::<Value>(&before.header).expect("json")["first"].as_u64();
    blocks.push((name, changed));
    let report = verify(&blocks, Vec::new());
    let finding = report.findings.first().expect("something is wrong");
    assert!(finding.message.contains(part), "{part}: {}", finding.message);
    assert_eq!(finding.entry.map(|e| e.0), first, "{}", finding.message);
    assert!(finding.check.is_some_and(|c| checks.contains(&c)), "{:?}: {}", finding.check, finding.message);
}

#[test]
fn what_is_sealed_anew_without_a_change_verifies() {
    let (mut blocks, _) = log(&[3, 5]);
    let (name, last) = blocks.pop().expect("a block");
    blocks.push((name, resealed(&last, |_| {})));
    assert!(verify(&blocks, Vec::new()).is_whole(), "else the tests below prove nothing");
}

#[test]
fn a_block_of_another_epoch_or_number_is_refused() {
    let (blocks, _) = log(&[3, 5]);
    let last = &blocks[1].1;
    refuses(&blocks, Check::OriginAndEpoch, resealed(last, |h| h["epoch"] = json!(2)), "of the epoch 2");
    refuses(
        &blocks,
        Check::EpochLinks,
        resealed(last, |h| h["epoch"] = json!(1)),
        "does not begin with an entry that opens",
    );
    refuses(
        &blocks,
        Check::DenseBlocks,
        resealed(last, |h| h["number"] = json!(2)),
        "block 2 stands where block 1 should",
    );
    let mut other = blocks.clone();
    other[1].0 = block_name(2, BlockNumber(1));
    assert!(verify(&other, Vec::new()).findings[0].message.contains("it stands where"));
}

#[test]
fn a_header_has_one_spelling() {
    let (blocks, _) = log(&[3, 5]);
    let last = &blocks[1].1;
    for (old, new, part) in [
        ("{\"count\":5", "{ \"count\":5", "not canonical"),
        ("{\"count\":5", "{\"count\":5.0", "not a whole number"),
        ("{\"count\":5", "{\"count\":5,\"count\":5", "stands twice"),
        ("\"count\":5,\"epoch\":0", "\"epoch\":0,\"count\":5", "not canonical"),
        ("{\"count\":5", "{\"comment\":\"x\",\"count\":5", "unknown field"),
        ("\"epoch\":0,", "", "missing field"),
    ] {
        assert!(last.header.contains(old), "{old}");
        refuses(&blocks, Check::CanonicalHeader, sealed_as(last, last.header.replacen(old, new, 1), &json!(1)), part);
    }
}

#[test]
fn blocks_of_another_history_are_refused() {
    let (blocks, _) = log(&[3, 5]);
    let (other, _) = log_from(7, &[3, 5]);
    // The log's key and the writer are the same; only what came before differs.
    refuses(&blocks, Check::PreviousDigest, other[1].1.clone(), "does not continue the one before it");
    let mut spliced = blocks[1].1.clone();
    spliced.entries.clone_from(&other[1].1.entries);
    refuses(&blocks, Check::LeafHashes, spliced, "the entry was changed");
}

#[test]
fn a_header_that_contradicts_itself_is_refused() {
    let (blocks, _) = log(&[3, 5]);
    let last = &blocks[1].1;
    refuses(&blocks, Check::ContiguousIndices, resealed(last, |h| h["count"] = json!(6)), "contradict each other");
    refuses(&blocks, Check::ContiguousIndices, resealed(last, |h| h["size"] = json!(10)), "contradict each other");
    let beyond = |h: &mut Value| {
        h["count"] = json!(253);
        h["size"] = json!(257);
    };
    refuses(&blocks, Check::ContiguousIndices, resealed(last, beyond), "crosses a multiple of 256");
    let shifted = |h: &mut Value| {
        h["first"] = json!(5);
        h["size"] = json!(10);
    };
    let report_of_first = resealed(last, shifted);
    let mut moved = blocks.clone();
    moved[1].1 = report_of_first;
    assert!(verify(&moved, Vec::new()).findings[0].message.contains("begins with entry 5, but entry 4"));
    refuses(&blocks, Check::TreeRoot, resealed(last, |h| h["root"] = json!(sha256(b"x"))), "the root of the tree");
    refuses(
        &blocks,
        Check::PackedDigest,
        resealed(last, |h| h["packed"] = json!(sha256(b"x"))),
        "packed bytes were changed",
    );
    refuses(&blocks, Check::CanonicalHeader, resealed(last, |h| h["leaves"] = json!("xx")), "leaves is not hex");
    refuses(&blocks, Check::WriterSeal, resealed(last, |h| h["to"] = json!(1_000_001)), "had expired");
    refuses(
        &blocks,
        Check::WriterSeal,
        resealed(last, |h| h["writer"] = json!("miax.dev/writer/b")),
        "never introduced",
    );
    let edge = BlockParts { edge: vec![0; 33], ..last.clone() };
    refuses(&blocks, Check::TreeRoot, edge, "the edge of the tree");
}

#[test]
fn a_sealed_bomb_is_refused() {
    let (blocks, _) = log(&[3, 5]);
    let last = &blocks[1].1;
    let bomb = repacked(last, &vec![0; 64 << 20], "00");
    assert!(bomb.entries.len() < 64 * 1024, "it must pass the limit of what is packed");
    let mut bombed = blocks.clone();
    bombed[1].1 = bomb;
    assert!(!verify(&bombed, Vec::new()).is_whole());
    let large = BlockParts { entries: vec![0; 64 * 1024 + 1], ..last.clone() };
    refuses(&blocks, Check::SizeLimits, large, "the packed size is 65537");
}

#[test]
fn lengths_of_entries_that_lie_are_refused() {
    let (blocks, _) = log(&[3, 5]);
    let last = &blocks[1].1;
    let bundle = zstd::bulk::decompress(&last.entries, 1 << 20).expect("inflates");
    let leaves: String = (3..8).map(|n| hex(&leaf_hash(&entry(n)).0[..4])).collect();
    let first = usize::from(bundle[1]);
    for length in [0, first - 1, first + 1, bundle.len(), 0xffff] {
        let mut lied = bundle.clone();
        lied[..2].copy_from_slice(&u16::try_from(length).expect("short").to_be_bytes());
        refuses_as(&blocks, &[Check::LeafHashes, Check::EntryForm], repacked(last, &lied, &leaves), "entr");
    }
    // Bytes after the last entry, and half an entry at the end.
    for (changed, entry) in [([&bundle[..], b"\0"].concat(), 9), (bundle[..bundle.len() - 1].to_vec(), 8)] {
        let mut longer = blocks.clone();
        longer[1].1 = repacked(last, &changed, &leaves);
        let report = verify(&longer, Vec::new());
        assert_eq!(report.findings[0].entry.map(|e| e.0), Some(entry), "{report:?}");
    }
}

#[test]
fn a_writer_has_one_key_for_ever() {
    let (_, head) = log(&[3]);
    let again = Writer::try_new(ORIGIN, &log_key(), WRITER, &[4; 32], UnixMillis(1_000_000)).expect("writer");
    let introduction = again.introduce(UnixMillis(5)).expect("introduction");
    let parts = head.propose(&[introduction], &again, UnixMillis(5), UnixMillis(6)).expect("block");
    let error = head.clone().fold(&parts).expect_err("refused").to_string();
    assert!(error.contains("introduced before with another key"), "{error}");
}

#[test]
fn an_introduction_for_another_log_is_refused() {
    let other = "miax.dev/ecm/other/0";
    let key = NoteSigner::try_new(other, &[1; 32]).expect("name");
    let stranger = Writer::try_new(other, &key, WRITER, &[2; 32], UnixMillis(1_000_000)).expect("writer");
    let head = Head::genesis(LogTrust { key: key.verifier(), ..trust() });
    let introduction = stranger.introduce(UnixMillis(5)).expect("introduction");
    let parts = head.propose(&[introduction], &stranger, UnixMillis(5), UnixMillis(6)).expect("block");
    let error = head.clone().fold(&parts).expect_err("refused").to_string();
    assert!(error.contains("vouches for another one"), "{error}");
}

/// A log of one block with this entry in it, sealed by a writer who does not look at it.
fn with(bytes: &[u8]) -> Result<(), String> {
    let writer = writer(WRITER, 2);
    let mut head = Head::genesis(trust());
    let entries = [writer.introduce(UnixMillis(5)).expect("introduction"), bytes.to_vec()];
    let parts = head.propose(&entries, &writer, UnixMillis(5), UnixMillis(6)).expect("block");
    let block = head.fold(&parts).expect("the bytes are what was sealed");
    replay(&block, &mut State::default()).map(drop).map_err(|e| {
        assert_eq!(e.index().0, 1, "{e}");
        format!("{}{e}", if e.is_unsupported() { "unsupported: " } else { "" })
    })
}

#[test]
fn sealed_nonsense_is_found_by_its_meaning() {
    let check = |bytes: &[u8], part: &str| {
        let error = with(bytes).expect_err(part);
        assert!(error.contains(part) && !error.starts_with("unsupported"), "{error}");
    };
    check(b"\xff\xfe", "not canonical");
    check(b"", "not canonical");
    check(b"{\"v\":1 }", "not canonical");
    check(br#"{"kind":"stored","kind":"stored","time":1,"v":1,"writer":"w"}"#, "not canonical");
    check(br#"{"kind":"stored","time":1.5,"v":1,"writer":"w"}"#, "not canonical");
    check(br#"{"kind":"stored","time":1,"v":1,"writer":"w"}"#, "not readable");
    check(b"[1]", "not an object");
    let mut fields = Map::new();
    fields.insert("piece".into(), "\u{0}".into());
    let part = Entry { kind: "document".into(), time: UnixMillis(1), writer: "w".into(), fields };
    check(&part.encode().expect("entry"), "not readable");
}

#[test]
fn what_is_newer_is_reported_and_not_skipped() {
    for bytes in [
        &br#"{"kind":"tomorrow","time":1,"v":1,"writer":"w"}"#[..],
        &br#"{"kind":"stored","time":1,"v":2,"writer":"w"}"#[..],
    ] {
        let error = with(bytes).expect_err("a newer entry");
        assert!(error.starts_with("unsupported") && error.contains("use a newer one"), "{error}");
    }
}
