//! Forks: what is found between copies of a log, and what the proof of it shows to others.

use miax::ledger::{
    Checkpoint, Culprit, Difference, ForkError, ForkProof, Head, LogCopy, LogKeys, Sealed, SignedCheckpoint, Statement,
    find_fork,
};
use miax::trust::{NoteSigner, sha256};
use miax::units::{BlockNumber, LogIndex, UnixMillis};
use proptest::prelude::*;

use crate::log::{Blocks, ORIGIN, checkpoint, entry, log, log_from, log_key, trust, writer};

fn keys() -> LogKeys {
    LogKeys::new(ORIGIN, log_key().verifier())
}

fn statement(checkpoint: &Checkpoint) -> Statement {
    statement_by(checkpoint, &log_key())
}

fn statement_by(checkpoint: &Checkpoint, key: &NoteSigner) -> Statement {
    let note = checkpoint.sign(key).expect("signs");
    let signed = SignedCheckpoint::open(&note, ORIGIN, &key.verifier()).expect("opens");
    Statement { note, signed }
}

fn copy(blocks: &Blocks, checkpoints: &[&Head]) -> LogCopy {
    let mut copy = LogCopy::default();
    blocks.iter().for_each(|(_, parts)| assert!(copy.push(parts)));
    checkpoints.iter().for_each(|head| copy.vouch_all([statement(&checkpoint(head))]));
    copy
}

/// Asserts what the proof of a fork between these copies shows, also after it was written and read.
#[track_caller]
fn shows(copies: &[&LogCopy], part: &str) -> (ForkProof, Culprit) {
    let proof = find_fork(copies, &keys(), 0).expect("a fork");
    let text = proof.to_text().expect("a text");
    assert_eq!(ForkProof::parse(&text).as_ref(), Ok(&proof));
    let fork = proof.check(&keys(), 0).expect("it holds");
    assert!(fork.what.contains(part), "{}", fork.what);
    (proof, fork.culprit)
}

fn log_key_misbehaved() -> Culprit {
    Culprit::LogKey(trust().key.to_string())
}

#[test]
fn copies_of_one_log_agree_as_far_as_both_go() {
    let (long, head) = log(&[3, 5, 2]);
    let (short, earlier) = log(&[3, 5]);
    let (a, b) = (copy(&long, &[&head, &earlier]), copy(&short, &[&earlier]));
    assert_eq!(a.compare(&b), Difference::None { common: 9 });
    assert_eq!(b.compare(&a), Difference::None { common: 9 });
    assert_eq!(find_fork(&[&a, &b], &keys(), 0), None);
    assert_eq!(find_fork(&[&LogCopy::default(), &a], &keys(), 0), None);
}

#[test]
fn two_roots_of_one_size_show_that_the_log_key_misbehaved() {
    let ((ours, head), (other, forked)) = (log(&[3, 5]), log_from(7, &[3, 5]));
    let (a, b) = (copy(&ours, &[&head]), copy(&other, &[&forked]));
    assert_eq!(a.compare(&b), Difference::Parted { block: BlockNumber(0), entry: LogIndex(1) });
    let (proof, culprit) = shows(&[&a, &b], "two roots over 9 entries");
    assert!(matches!(proof, ForkProof::Roots { .. }));
    assert_eq!(culprit, log_key_misbehaved());
}

#[test]
fn a_checkpoint_that_does_not_continue_another_is_shown_with_the_tree() {
    let ((_, old), (other, forked)) = (log(&[3, 5]), log_from(7, &[3, 5, 40, 200]));
    // Nobody needs to have the older history any more: its checkpoint was kept.
    let mut kept = LogCopy::default();
    kept.vouch_all([statement(&checkpoint(&old))]);
    let (proof, culprit) = shows(&[&kept, &copy(&other, &[&forked])], "whose first 9 have the root");
    let ForkProof::Histories { older, newer, nodes } = &proof else { panic!("{proof:?}") };
    assert_eq!(culprit, log_key_misbehaved());
    // A proof that was made wrong shows nothing.
    let wrong = |older: &str, newer: &str, nodes: &[miax::units::Digest]| {
        let (older, newer) = (older.to_owned(), newer.to_owned());
        ForkProof::Histories { older, newer, nodes: nodes.to_vec() }.check(&keys(), 0).expect_err("it shows nothing")
    };
    let bad_nodes = ForkError::Nodes { size: 249 };
    assert_eq!(wrong(older, newer, &nodes[1..]), bad_nodes);
    assert_eq!(wrong(older, newer, &[nodes.clone(), vec![nodes[0]]].concat()), bad_nodes);
    let mut changed = nodes.clone();
    changed[0].0[0] ^= 1;
    assert_eq!(wrong(older, newer, &changed), bad_nodes);
    assert_eq!(wrong(newer, older, nodes), ForkError::Nodes { size: 9 });
    let honest = statement(&checkpoint(&log_from(7, &[3, 5]).1));
    assert_eq!(wrong(&honest.note, newer, nodes), ForkError::Consistent);
    assert_eq!(
        ForkProof::Roots { first: older.clone(), second: newer.clone() }.check(&keys(), 0),
        Err(ForkError::Consistent)
    );
    assert_eq!(
        ForkProof::Roots { first: older.clone(), second: older.clone() }.check(&keys(), 0),
        Err(ForkError::Consistent)
    );
}

#[test]
fn a_fork_is_proven_with_each_key_of_a_log_that_was_rotated_and_across_them() {
    let (first, second) = (log_key(), NoteSigner::try_new(ORIGIN, &[9; 32]).expect("name"));
    let both = LogKeys::unread(ORIGIN, [first.verifier(), second.verifier()]);
    let ((ours, head), (other, forked)) = (log(&[3, 5]), log_from(7, &[3, 5]));
    let found = |by: &NoteSigner, by_other: &NoteSigner| {
        let (mut a, mut b) = (copy(&ours, &[]), copy(&other, &[]));
        a.vouch_all([statement_by(&checkpoint(&head), by)]);
        b.vouch_all([statement_by(&checkpoint(&forked), by_other)]);
        find_fork(&[&a, &b], &both, 0).expect("a fork")
    };
    for key in [&first, &second] {
        let proof = found(key, key);
        let fork = proof.check(&LogKeys::new(ORIGIN, key.verifier()), 0).expect("its own key is enough");
        assert_eq!(fork.culprit, Culprit::LogKey(key.verifier().to_string()));
        assert_eq!(proof.check(&both, 0), Ok(fork), "who knows both names the one that signed both");
    }
    // One key vouched for one history, and the one that followed it for another: whoever holds them told both.
    let across = found(&first, &second);
    let culprit = across.check(&both, 0).expect("it holds").culprit;
    assert_eq!(culprit, Culprit::LogKeys(first.verifier().to_string(), second.verifier().to_string()));
    assert!(matches!(across.check(&keys(), 0), Err(ForkError::Checkpoint(_))), "with one key alone it shows nothing");
}

#[test]
fn two_blocks_of_one_number_by_one_writer_show_that_it_misbehaved() {
    let (ours, other) = (log(&[3, 5]).0, log_from(7, &[3, 5]).0);
    let (a, b) = (copy(&ours, &[]), copy(&other, &[]));
    let (proof, culprit) = shows(&[&a, &b], "block 0 was sealed twice");
    assert_eq!(culprit, Culprit::Writer(key_of_the_writer()));
    let ForkProof::Blocks { first, second } = proof else { panic!("two blocks") };
    let check = |first: &Sealed, second: &Sealed| {
        ForkProof::Blocks { first: first.clone(), second: second.clone() }.check(&keys(), 0)
    };
    assert_eq!(check(&first, &first), Err(ForkError::Consistent), "one block twice is no fork");
    let later = Sealed { header: ours[1].1.header.clone(), seal: ours[1].1.seal.clone(), ..first.clone() };
    assert_eq!(check(&first, &later), Err(ForkError::Consistent), "two numbers are no fork");
    let unsealed = Sealed { seal: first.seal.clone(), ..second.clone() };
    assert!(matches!(check(&first, &unsealed), Err(ForkError::Block(_))));
    let unknown = Sealed { introduction: String::from_utf8(entry(1)).expect("UTF-8"), ..second.clone() };
    assert!(matches!(check(&first, &unknown), Err(ForkError::Introduction(_))));
    let stranger = NoteSigner::try_new(ORIGIN, &[9; 32]).expect("name").verifier();
    assert!(matches!(
        ForkProof::Blocks { first: first.clone(), second }.check(&LogKeys::new(ORIGIN, stranger), 0),
        Err(ForkError::Introduction(_))
    ));
    assert_eq!(ForkProof::Blocks { second: first.clone(), first }.check(&keys(), 1), Err(ForkError::Epoch(0)));
}

fn key_of_the_writer() -> String {
    let introduction = writer("miax.dev/writer/a", 2).introduce(UnixMillis(5)).expect("introduction");
    let value: serde_json::Value = serde_json::from_slice(&introduction).expect("json");
    value["public"].as_str().expect("a key").to_owned()
}

#[test]
fn two_writers_that_race_are_not_accused() {
    let (ours, head) = log(&[3]);
    let with = |name: &str, seed: u8| {
        let other = writer(name, seed);
        let introduction = other.introduce(UnixMillis(5)).expect("introduction");
        let parts = head.propose(&[introduction, entry(90)], &other, UnixMillis(5), UnixMillis(6)).expect("block");
        let mut blocks = ours.clone();
        blocks.push((miax::ledger::block_name(0, BlockNumber(1)), parts));
        copy(&blocks, &[])
    };
    let (a, b) = (with("miax.dev/writer/b", 5), with("miax.dev/writer/c", 6));
    assert_eq!(a.compare(&b), Difference::Parted { block: BlockNumber(1), entry: LogIndex(4) });
    let (_, culprit) = shows(&[&a, &b], "block 1 was sealed twice");
    assert!(matches!(&culprit, Culprit::Nobody(one, other) if one != other), "{culprit}");
}

#[test]
fn a_text_that_is_no_fork_proof_is_refused() {
    let check = |text: &str, part: &str| {
        let error = ForkProof::parse(text).expect_err("refused").to_string();
        assert!(error.contains(part), "{error}");
    };
    check("", "not a canonical JSON object");
    check("[]", "not a canonical JSON object");
    check("{}", "`format` is missing");
    check(r#"{"format":"miax.dev/fork-proof/v2","kind":"roots"}"#, "this version of miax reads");
    check(r#"{"format":"miax.dev/fork-proof/v1","kind":"other"}"#, "unknown variant");
    check(r#"{"format":"miax.dev/fork-proof/v1","kind":"roots"}"#, "missing field");
    check(r#"{"extra":1,"first":"","format":"miax.dev/fork-proof/v1","kind":"roots","second":""}"#, "unknown field");
    check(r#"{"kind":"roots","first":"","second":"","format":"miax.dev/fork-proof/v1"}"#, "canonical");
    let unsigned = ForkProof::Roots { first: "x".into(), second: "y".into() };
    assert!(matches!(unsigned.check(&keys(), 0), Err(ForkError::Checkpoint(_))));
}

#[test]
fn what_does_not_open_is_no_part_of_a_copy() {
    let (blocks, _) = log(&[3, 5]);
    let mut copy = LogCopy::default();
    assert!(!copy.push(&blocks[1].1), "it does not begin at the beginning");
    let mut damaged = blocks[0].1.clone();
    damaged.entries[9] ^= 1;
    assert!(!copy.push(&damaged) && copy.size() == 0);
    assert!(copy.push(&blocks[0].1) && copy.size() == 4);
    assert!(!copy.push(&blocks[0].1) && copy.size() == 4, "a block twice");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Of any two checkpoints of one history nothing can be shown, of any two that part before the older one something can.
    #[test]
    fn a_fork_is_shown_exactly_when_there_is_one(old in 1..120_u64, more in 0..120_u64, part in 0..240_u64) {
        let new = old + more;
        let tree = |salt: u64| {
            let mut tree = miax::ledger::HashTree::default();
            (0..new).for_each(|n| tree.append(sha256(&(n + if n >= part { salt } else { 0 }).to_be_bytes())));
            tree
        };
        let (ours, other) = (tree(0), tree(1_000));
        let at = |tree: &miax::ledger::HashTree, size| statement(&Checkpoint {
            origin: ORIGIN.into(), size, root: tree.root(size).expect("a root"),
        });
        let mut copy = LogCopy::of_tree(other.clone());
        copy.vouch_all([at(&other, new)]);
        let mut kept = LogCopy::default();
        kept.vouch_all([at(&ours, old)]);
        prop_assert_eq!(find_fork(&[&kept, &copy], &keys(), 0).is_some(), part < old);
    }
}
