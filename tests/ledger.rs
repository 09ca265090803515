//! The ledger's laws: what is appended verifies, and what is changed is found and named.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "ledger/insider.rs"]
mod insider;
#[path = "ledger/log.rs"]
mod log;
#[path = "ledger/proofs.rs"]
mod proofs;

use miax::ledger::{Checkpoint, FindingClass, Head, Writer};
use miax::trust::NoteSigner;
use miax::units::{BlockNumber, LogIndex, UnixMillis};
use proptest::prelude::*;

use log::{Blocks, ORIGIN, WHOLE, checkpoint, entry, log, log_from, trust, verify, writer};

#[track_caller]
fn check_found(name: &str, blocks: &Blocks, head: &Head, class: FindingClass, entry: Option<u64>, part: &str) {
    let report = verify(blocks, vec![checkpoint(head)]);
    let finding = report.findings.first().unwrap_or_else(|| panic!("{name}: nothing was found"));
    assert_eq!((finding.class, finding.entry), (class, entry.map(LogIndex)), "{name}: {finding:?}");
    assert!(finding.message.contains(part), "{name}: {}", finding.message);
}

#[test]
fn what_is_appended_verifies() {
    let (blocks, head) = log(&[3, 1, 251, 256, 7]);
    let report = verify(&blocks, vec![checkpoint(&head)]);
    assert!(report.is_whole(), "{report:?}");
    assert_eq!((report.blocks, report.entries, report.checkpoint), (5, 519, Some(519)));
}

#[test]
fn every_kind_of_change_is_found_and_named() {
    use FindingClass::{Incomplete, Tampered};
    let (whole, head) = log(&[3, 5, 2, 4]);

    let mut changed = whole.clone();
    let bundle = zstd::bulk::decompress(&changed[1].1.entries, 1 << 20).expect("inflates");
    let at = bundle.windows(11).position(|w| w == b"\"number\":5,").expect("entry 6 holds number 5");
    let mut edited = bundle;
    edited[at + 9] = b'9';
    changed[1].1.entries = zstd::bulk::compress(&edited, 3).expect("packs");
    check_found("one digit of entry 6", &changed, &head, Tampered, Some(6), "the entry was changed");

    let mut cut = whole.clone();
    cut.pop();
    check_found("the last block is gone", &cut, &head, Incomplete, Some(11), "the end of the ledger is missing");

    let mut gap = whole.clone();
    gap.remove(1);
    check_found("a block is gone", &gap, &head, Tampered, Some(4), "the block is missing");

    let mut swapped = whole.clone();
    let (a, b) = (swapped[1].1.clone(), swapped[2].1.clone());
    (swapped[1].1, swapped[2].1) = (b, a);
    check_found("two blocks changed places", &swapped, &head, Tampered, Some(4), "block 2 stands where block 1 should");

    let mut twice = whole.clone();
    twice.insert(1, whole[0].clone());
    check_found("a block stands twice", &twice, &head, Tampered, Some(4), "it stands where");

    let mut header = whole.clone();
    header[2].1.header = header[2].1.header.replace("\"to\":6", "\"to\":7");
    check_found("a header", &header, &head, Tampered, Some(9), "the header was changed");

    let mut edge = whole.clone();
    edge[2].1.edge[0] ^= 1;
    check_found("an edge", &edge, &head, Tampered, Some(9), "the edge of the tree was changed");

    let mut form = whole.clone();
    form[3].1.header = form[3].1.header.replace("\"v\":1,", "\"v\":2,");
    check_found("a newer form", &form, &head, FindingClass::Unsupported, Some(11), "use a newer one");

    let (other, _) = log_from(1, &[3, 5, 2, 5]);
    check_found("a rewritten end", &other, &head, Tampered, None, "is not the one that the checkpoint vouches for");
}

#[test]
fn a_stranger_cannot_write() {
    let stranger = NoteSigner::try_new(ORIGIN, &[9; 32]).expect("name");
    let forged =
        Writer::try_new(ORIGIN, &stranger, "miax.dev/writer/x", &[3; 32], UnixMillis(1_000_000)).expect("made");
    let head = Head::genesis(trust());
    let propose = |entries: &[Vec<u8>], writer: &Writer, to| {
        let parts = head.propose(entries, writer, UnixMillis(5), UnixMillis(to)).expect("block");
        head.clone().fold(&parts).expect_err("refused").to_string()
    };
    let introduced = forged.introduce(UnixMillis(5)).expect("introduction");
    assert!(propose(&[introduced], &forged, 6).contains("introduction of the writer is wrong"));
    let known = writer("miax.dev/writer/a", 2);
    assert!(propose(&[entry(0)], &known, 6).contains("was never introduced"));
    let introduced = known.introduce(UnixMillis(5)).expect("introduction");
    assert!(propose(&[introduced], &known, 1_000_001).contains("had expired"));
}

#[test]
fn a_block_never_crosses_a_multiple_of_256_entries() {
    let (_, head) = log(&[200]);
    let entries: Vec<Vec<u8>> = (0..56).map(entry).collect();
    let writer = writer("miax.dev/writer/a", 2);
    assert!(head.propose(&entries, &writer, UnixMillis(5), UnixMillis(6)).is_err());
    assert!(head.propose(&entries[..55], &writer, UnixMillis(5), UnixMillis(6)).is_ok());
}

#[test]
fn a_checkpoint_inside_of_a_block_is_compared_too() {
    let (blocks, _) = log(&[3, 5]);
    let (_, small) = log(&[3, 2]);
    assert!(verify(&blocks, vec![checkpoint(&small)]).is_whole());
    let wrong = Checkpoint { root: checkpoint(&log(&[3]).1).root, ..checkpoint(&small) };
    assert!(!verify(&blocks, vec![wrong]).is_whole());
}

/// How a mutation changes a dump; `usize`s are taken modulo what is there.
#[derive(Clone, Debug)]
enum Mutation {
    FlipEntries(usize, usize, u8),
    FlipEdge(usize, usize, u8),
    FlipHeader(usize, usize, u8),
    FlipSeal(usize, usize, u8),
    Truncate(usize, usize),
    Remove(usize),
    Duplicate(usize, usize),
    Swap(usize, usize),
    CutTail(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let n = 0..10_000_usize;
    let bit = (0..8_u8).prop_map(|b| 1 << b);
    prop_oneof![
        4 => (n.clone(), n.clone(), bit.clone()).prop_map(|(b, i, x)| Mutation::FlipEntries(b, i, x)),
        1 => (n.clone(), n.clone(), bit.clone()).prop_map(|(b, i, x)| Mutation::FlipEdge(b, i, x)),
        2 => (n.clone(), n.clone(), bit.clone()).prop_map(|(b, i, x)| Mutation::FlipHeader(b, i, x)),
        2 => (n.clone(), n.clone(), bit).prop_map(|(b, i, x)| Mutation::FlipSeal(b, i, x)),
        1 => (n.clone(), n.clone()).prop_map(|(b, i)| Mutation::Truncate(b, i)),
        1 => n.clone().prop_map(Mutation::Remove),
        1 => (n.clone(), n.clone()).prop_map(|(b, i)| Mutation::Duplicate(b, i)),
        1 => (n.clone(), n.clone()).prop_map(|(b, i)| Mutation::Swap(b, i)),
        1 => n.prop_map(Mutation::CutTail),
    ]
}

fn flip_text(text: &mut String, at: usize, bit: u8) {
    let mut bytes = std::mem::take(text).into_bytes();
    let at = at % bytes.len();
    bytes[at] ^= bit & 0x7f;
    *text = String::from_utf8_lossy(&bytes).into_owned();
}

fn mutate(blocks: &mut Blocks, mutation: &Mutation) {
    let count = blocks.len();
    let flip = |bytes: &mut Vec<u8>, at: usize, bit: u8| {
        let at = at % bytes.len();
        bytes[at] ^= bit;
    };
    match *mutation {
        Mutation::FlipEntries(block, at, bit) => flip(&mut blocks[block % count].1.entries, at, bit),
        Mutation::FlipEdge(block, at, bit) => flip(&mut blocks[block % count].1.edge, at, bit),
        Mutation::FlipHeader(block, at, bit) => flip_text(&mut blocks[block % count].1.header, at, bit),
        Mutation::FlipSeal(block, at, bit) => flip_text(&mut blocks[block % count].1.seal, at, bit),
        Mutation::Truncate(block, at) => {
            let bytes = &mut blocks[block % count].1.entries;
            bytes.truncate(at % bytes.len());
        }
        Mutation::Remove(block) => drop(blocks.remove(block % count)),
        Mutation::Duplicate(from, to) => {
            let copy = blocks[from % count].clone();
            blocks.insert(to % (count + 1), copy);
        }
        Mutation::Swap(a, b) => {
            let (a, b) = (a % count, b % count);
            let other = blocks[b].1.clone();
            blocks[b].1 = std::mem::replace(&mut blocks[a].1, other);
        }
        Mutation::CutTail(keep) => blocks.truncate(keep % count),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// DESIGN section 15: ten thousand random mutations, none missed, the first bad index named.
    #[test]
    fn no_mutation_is_missed(mutation in mutation()) {
        let (whole, head) = (&WHOLE.0, &WHOLE.1);
        let mut blocks = whole.clone();
        mutate(&mut blocks, &mutation);
        prop_assume!(blocks != *whole);
        let touched = blocks.iter().zip(whole).take_while(|(a, b)| a == b).count();
        let report = verify(&blocks, vec![checkpoint(head)]);
        prop_assert!(!report.is_whole(), "missed: {mutation:?}");
        let mut head = Head::genesis(trust());
        for (_, parts) in &whole[..touched] {
            head.fold(parts).expect("folds");
        }
        let entry = report.findings[0].entry;
        prop_assert!(entry.is_some_and(|e| e >= head.next_index()), "{mutation:?}: {entry:?}");
        prop_assert!(report.blocks == touched as u64, "{mutation:?}: {} blocks pass", report.blocks);
    }
}

#[test]
fn numbers_of_blocks_are_dense() {
    let (blocks, head) = log(&[1, 1]);
    assert_eq!(head.next_block(), BlockNumber(2));
    assert_eq!(blocks[1].0, "ecm-0000-0000000000000001");
}
