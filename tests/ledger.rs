//! The ledger's laws: what is appended verifies, and what is changed is found and named.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "ledger/epochs.rs"]
mod epochs;
#[path = "ledger/forks.rs"]
mod forks;
#[path = "ledger/insider.rs"]
mod insider;
#[path = "ledger/log.rs"]
mod log;
#[path = "ledger/proofs.rs"]
mod proofs;
#[path = "ledger/tamper.rs"]
mod tamper;
#[path = "ledger/tiles.rs"]
mod tiles;

use miax::ledger::{Check, Checkpoint, FindingClass, Head, Outcome, Report, Scope, Writer, outcomes};
use miax::trust::NoteSigner;
use miax::units::{BlockNumber, LogIndex, UnixMillis};
use proptest::prelude::*;

use log::{Blocks, ORIGIN, WHOLE, checkpoint, entry, log, log_from, trust, verify, writer};

#[track_caller]
fn check_found(
    name: &str,
    blocks: &Blocks,
    head: &Head,
    (check, class): (Check, FindingClass),
    entry: Option<u64>,
    part: &str,
) {
    let report = verify(blocks, vec![checkpoint(head)]);
    let finding = report.findings.first().unwrap_or_else(|| panic!("{name}: nothing was found"));
    let found = (finding.check, finding.class, finding.entry);
    assert_eq!(found, (Some(check), class, entry.map(LogIndex)), "{name}: {finding:?}");
    let outcomes = outcomes(&report, &Scope::default());
    let failed: Vec<Check> =
        outcomes.iter().filter(|(_, o)| matches!(o, Outcome::Failed(_))).map(|(c, _)| *c).collect();
    assert_eq!(failed, [check], "{name}");
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
    check_found(
        "one digit of entry 6",
        &changed,
        &head,
        (Check::LeafHashes, Tampered),
        Some(6),
        "the entry was changed",
    );

    let mut cut = whole.clone();
    cut.pop();
    check_found(
        "the last block is gone",
        &cut,
        &head,
        (Check::LargestKnownSize, Incomplete),
        Some(11),
        "the end of the ledger is missing",
    );

    let mut gap = whole.clone();
    gap.remove(1);
    check_found("a block is gone", &gap, &head, (Check::DenseBlocks, Tampered), Some(4), "the block is missing");

    let mut swapped = whole.clone();
    let (a, b) = (swapped[1].1.clone(), swapped[2].1.clone());
    (swapped[1].1, swapped[2].1) = (b, a);
    check_found(
        "two blocks changed places",
        &swapped,
        &head,
        (Check::DenseBlocks, Tampered),
        Some(4),
        "block 2 stands where block 1 should",
    );

    let mut twice = whole.clone();
    twice.insert(1, whole[0].clone());
    check_found("a block stands twice", &twice, &head, (Check::DenseBlocks, Tampered), Some(4), "it stands where");

    let mut header = whole.clone();
    header[2].1.header = header[2].1.header.replace("\"to\":6", "\"to\":7");
    check_found("a header", &header, &head, (Check::WriterSeal, Tampered), Some(9), "the header was changed");

    let mut edge = whole.clone();
    edge[2].1.edge[0] ^= 1;
    check_found("an edge", &edge, &head, (Check::TreeRoot, Tampered), Some(9), "the edge of the tree was changed");

    let mut form = whole.clone();
    form[3].1.header = form[3].1.header.replace("\"v\":1,", "\"v\":2,");
    check_found(
        "a newer form",
        &form,
        &head,
        (Check::UnknownForms, FindingClass::Unsupported),
        Some(11),
        "use a newer one",
    );

    let (other, _) = log_from(1, &[3, 5, 2, 5]);
    check_found(
        "a rewritten end",
        &other,
        &head,
        (Check::CheckpointRoot, Tampered),
        None,
        "is not the one that the checkpoint vouches for",
    );
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
fn every_point_says_what_became_of_it() {
    let (blocks, head) = log(&[3, 5]);
    let said = |report: &Report, scope: &Scope| {
        let word = |o: &Outcome| match o {
            Outcome::Passed { entries } => format!("passed {entries}"),
            Outcome::Failed(finding) => format!("{} {:?}", finding.class.as_str(), finding.entry.map(|e| e.0)),
            Outcome::NotApplicable { because } => (*because).to_owned(),
        };
        outcomes(report, scope).iter().map(|(c, o)| (c.point(), word(o))).collect::<Vec<_>>()
    };
    let whole = said(&verify(&blocks, vec![checkpoint(&head)]), &Scope { documents: 1, ..Scope::default() });
    assert_eq!(whole.iter().map(|(point, _)| *point).collect::<Vec<_>>(), (1..=25).collect::<Vec<_>>());
    let passed: Vec<usize> = whole.iter().filter(|(_, word)| word == "passed 9").map(|(point, _)| *point).collect();
    assert_eq!(passed, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 22, 23, 24]);
    let two = said(&verify(&blocks, vec![checkpoint(&head), checkpoint(&log(&[3]).1)]), &Scope::default());
    assert_eq!(two[15].1, "passed 9");
    let bare = said(&verify(&blocks, Vec::new()), &Scope::default());
    assert_eq!((bare[13].1.as_str(), bare[21].1.starts_with("no checkpoint")), ("no checkpoint was given", true));

    let mut broken = blocks.clone();
    broken[1].1.edge[0] ^= 1;
    let broken = said(&verify(&broken, vec![checkpoint(&head)]), &Scope::default());
    assert_eq!((broken[10].1.as_str(), broken[0].1.as_str()), ("tampered Some(4)", "passed 4"));
    assert!(broken[14].1.contains("no checkpoint was given whose entries are here"), "{broken:?}");
    assert!(broken[21].1.contains("the walk ended before it"), "{broken:?}");
    let nothing = said(&verify(&Vec::new(), Vec::new()), &Scope::default());
    assert!(
        nothing.iter().all(|(_, word)| !word.starts_with("passed")),
        "nothing passes where nothing is: {nothing:?}"
    );
}

#[test]
fn numbers_of_blocks_are_dense() {
    let (blocks, head) = log(&[1, 1]);
    assert_eq!(head.next_block(), BlockNumber(2));
    assert_eq!(blocks[1].0, "ecm-0000-0000000000000001");
}

#[test]
fn a_few_hundred_of_the_tamper_run_are_all_found() {
    let sample = tamper::Sample::new();
    let mut found = std::collections::BTreeMap::new();
    for seed in 0..400 {
        match tamper::tamper(&sample, seed) {
            Ok(Some(what)) => *found.entry(what).or_insert(0) += 1,
            Ok(None) => {}
            Err(missed) => panic!("seed {seed}: {missed}"),
        }
    }
    assert!(found.len() == 3 && found.values().sum::<i32>() > 380, "{found:?}");
}
