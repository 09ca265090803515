//! Proofs: made and checked as RFC 6962 defines them, and worth nothing when a single bit is another one.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::ledger::{
    Checkpoint, CompactRange, ConsistencyProof, HashTree, InclusionProof, InclusionText, ProofError, ProofText,
    ProofTextError, SignedCheckpoint, leaf_hash,
};
use miax::trust::{Cosigner, Quorum, SigningKey, sha256};
use miax::units::{Digest, LogIndex, UnixSeconds};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::log::{ORIGIN, log_key, signed};

fn leaf(number: u64) -> Digest {
    leaf_hash(&number.to_be_bytes())
}

fn tree(size: u64) -> HashTree {
    let mut tree = HashTree::default();
    (0..size).for_each(|n| tree.append(leaf(n)));
    tree
}

fn head(tree: &HashTree, size: u64) -> SignedCheckpoint {
    signed(&Checkpoint { origin: ORIGIN.into(), size, root: tree.root(size).expect("a root") })
}

/// The definitions of RFC 6962, section 2.1, word for word; what was computed once is kept.
#[derive(Default)]
struct Definition(HashMap<(u64, u64), Digest>);

impl Definition {
    /// MTH over the leaves `from..to`.
    fn root(&mut self, from: u64, to: u64) -> Digest {
        if to == from {
            return sha256(b"");
        }
        if to - from == 1 {
            return leaf(from);
        }
        if let Some(known) = self.0.get(&(from, to)) {
            return *known;
        }
        let k = from + half(to - from);
        let (left, right) = (self.root(from, k), self.root(k, to));
        let node = sha256(&[&[1][..], &left.0, &right.0].concat());
        self.0.insert((from, to), node);
        node
    }

    /// PATH(m, D[from:to]).
    fn path(&mut self, m: u64, from: u64, to: u64) -> Vec<Digest> {
        if to - from == 1 {
            return Vec::new();
        }
        let k = half(to - from);
        let (mut path, other) = match m < k {
            true => (self.path(m, from, from + k), self.root(from + k, to)),
            false => (self.path(m - k, from + k, to), self.root(from, from + k)),
        };
        path.push(other);
        path
    }

    /// SUBPROOF(m, D[from:to], whole).
    fn subproof(&mut self, m: u64, from: u64, to: u64, whole: bool) -> Vec<Digest> {
        if m == to - from {
            return if whole { Vec::new() } else { vec![self.root(from, to)] };
        }
        let k = half(to - from);
        let (mut path, other) = match m <= k {
            true => (self.subproof(m, from, from + k, whole), self.root(from + k, to)),
            false => (self.subproof(m - k, from + k, to, false), self.root(from, from + k)),
        };
        path.push(other);
        path
    }
}

/// The largest power of two smaller than `n`.
fn half(n: u64) -> u64 {
    n.next_power_of_two() / 2
}

#[test]
fn every_proof_of_every_small_tree_is_the_defined_one_and_verifies() {
    let (tree, mut definition) = (tree(300), Definition::default());
    let heads: Vec<SignedCheckpoint> = (0..=300).map(|size| head(&tree, size)).collect();
    for (size, new) in (0_u64..).zip(&heads) {
        assert_eq!(new.checkpoint().root, definition.root(0, size), "{size} entries");
        for index in 0..size {
            let proof = tree.inclusion(LogIndex(index), size).expect("a proof");
            assert_eq!(proof.hashes, definition.path(index, 0, size), "entry {index} of {size}");
            assert_eq!(proof.verify(&leaf(index), new), Ok(()), "entry {index} of {size}");
        }
        for (old, before) in (0..=size).zip(&heads) {
            let proof = tree.consistency(old, size).expect("a proof");
            let defined = if old == 0 { Vec::new() } else { definition.subproof(old, 0, size, true) };
            assert_eq!(proof.hashes, defined, "{old} in {size}");
            assert_eq!(proof.verify(before, new), Ok(()), "{old} in {size}");
        }
        assert_eq!(tree.inclusion(LogIndex(size), size), None);
        assert_eq!(tree.consistency(size + 1, size), None);
    }
    assert_eq!((tree.inclusion(LogIndex(0), 301), tree.consistency(1, 301)), (None, None));
}

#[test]
fn a_proof_is_about_one_entry_of_one_signed_root() {
    let tree = tree(100);
    let (new, proof) = (head(&tree, 100), tree.inclusion(LogIndex(70), 100).expect("a proof"));
    let with = |index: u64, hashes: &[Digest]| InclusionProof { index: LogIndex(index), hashes: hashes.to_vec() };
    assert_eq!(proof.verify(&leaf(71), &new), Err(ProofError::Root { size: 100 }), "another entry");
    assert_eq!(with(71, &proof.hashes).verify(&leaf(70), &new), Err(ProofError::Root { size: 100 }), "another index");
    let beyond = Err(ProofError::Beyond { index: LogIndex(100), size: 100 });
    assert_eq!(with(100, &proof.hashes).verify(&leaf(70), &new), beyond);
    let length = |found| Err(ProofError::Length { found, expected: 7 });
    assert_eq!(with(70, &proof.hashes[1..]).verify(&leaf(70), &new), length(6), "one hash fewer");
    assert_eq!(with(70, &[&proof.hashes[..], &[leaf(0)]].concat()).verify(&leaf(70), &new), length(8), "one more");
    assert_eq!(with(70, &vec![leaf(0); 100_000]).verify(&leaf(70), &new), length(100_000));
    // An inner node is no entry: the prefix of leaves keeps them apart.
    let above = with(35, &proof.hashes[1..]);
    assert!(above.verify(&leaf(70), &head(&tree, 50)).is_err());
    // The same proof for a root that the log never signed.
    assert_eq!(proof.verify(&leaf(70), &head(&tree, 99)), Err(ProofError::Root { size: 99 }));
    let huge = signed(&Checkpoint { origin: ORIGIN.into(), size: u64::MAX, root: leaf(1) });
    assert!(with(u64::MAX - 1, &proof.hashes).verify(&leaf(70), &huge).is_err());
    let forged = signed(&Checkpoint { origin: ORIGIN.into(), size: 0, root: sha256(b"") });
    assert!(with(0, &[]).verify(&leaf(0), &forged).is_err(), "nothing is in a log of no entries");
}

#[test]
fn a_checkpoint_that_nobody_signed_proves_nothing() {
    let tree = tree(3);
    let root = tree.root(3).expect("a root");
    let unsigned = format!("{ORIGIN}\n3\n{}\n", STANDARD.encode(root.0));
    let key = log_key().verifier();
    assert!(SignedCheckpoint::open(&unsigned, ORIGIN, &key).is_err());
    assert!(SignedCheckpoint::open(&format!("{unsigned}\n"), ORIGIN, &key).is_err());
    let other = miax::trust::NoteSigner::try_new(ORIGIN, &[9; 32]).expect("name").sign(&unsigned).expect("signs");
    assert!(SignedCheckpoint::open(&other, ORIGIN, &key).is_err());
}

#[test]
fn a_consistency_proof_is_about_two_signed_roots_of_one_log() {
    let tree = tree(100);
    let (old, new) = (head(&tree, 37), head(&tree, 100));
    let proof = tree.consistency(37, 100).expect("a proof");
    let with = |size: u64, hashes: &[Digest]| ConsistencyProof { old: size, hashes: hashes.to_vec() };
    let length = |found| Err(ProofError::Length { found, expected: proof.hashes.len() });
    assert_eq!(proof.verify(&new, &old), Err(ProofError::Size { found: 37, expected: 100 }));
    assert_eq!(with(100, &proof.hashes).verify(&new, &old), Err(ProofError::Smaller { old: 100, new: 37 }));
    assert_eq!(with(37, &proof.hashes[1..]).verify(&old, &new), length(proof.hashes.len() - 1));
    let more = [&proof.hashes[..], &[leaf(0)]].concat();
    assert_eq!(with(37, &more).verify(&old, &new), length(more.len()));
    let fork = signed(&Checkpoint { root: leaf(5), ..old.checkpoint().clone() });
    assert_eq!(proof.verify(&fork, &new), Err(ProofError::Root { size: 37 }));
    let fork = signed(&Checkpoint { root: leaf(5), ..new.checkpoint().clone() });
    assert_eq!(proof.verify(&old, &fork), Err(ProofError::Root { size: 100 }));
    assert_eq!(with(100, &[]).verify(&new, &fork), Err(ProofError::Root { size: 100 }), "a fork at one size");
    let empty = signed(&Checkpoint { origin: ORIGIN.into(), size: 0, root: sha256(b"") });
    assert_eq!(with(0, &[leaf(0)]).verify(&empty, &new), Err(ProofError::Length { found: 1, expected: 0 }));
    let name = "miax.dev/ecm/other/0";
    let key = miax::trust::NoteSigner::try_new(name, &[1; 32]).expect("name");
    let note = Checkpoint { origin: name.into(), ..new.checkpoint().clone() }.sign(&key).expect("signs");
    let other = SignedCheckpoint::open(&note, name, &key.verifier()).expect("opens");
    assert!(matches!(proof.verify(&old, &other), Err(ProofError::Origins { .. })));
}

fn text(index: u64, size: u64, extra: Option<Vec<u8>>) -> String {
    let tree = tree(size);
    let checkpoint = head(&tree, size).checkpoint().sign(&log_key()).expect("signs");
    InclusionText { extra, proof: tree.inclusion(LogIndex(index), size).expect("a proof"), checkpoint }.to_string()
}

#[test]
fn proofs_have_the_form_of_c2sp_and_one_spelling() {
    let text = text(2, 3, Some(b"{}".to_vec()));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra e30=", "index 2"]);
    assert_eq!((lines[4], lines[5], lines[6]), ("", ORIGIN, "3"));
    let check = |old: &str, new: &str, expected: ProofTextError| {
        assert!(text.contains(old), "{old}");
        assert_eq!(text.replacen(old, new, 1).parse::<ProofText>(), Err(expected), "{old} -> {new}");
    };
    check("@v1", "@v2", ProofTextError::Header);
    check("index 2", "index 02", ProofTextError::Number { line: 3, word: "index" });
    check("index 2", "index +2", ProofTextError::Number { line: 3, word: "index" });
    check("index 2", "index 18446744073709551616", ProofTextError::Number { line: 3, word: "index" });
    check("index 2\n", "", ProofTextError::Number { line: 3, word: "index" });
    check("e30=", "e31=", ProofTextError::Extra { line: 2 });
    check("e30=", &"A".repeat(1 << 16), ProofTextError::Extra { line: 2 });
    check(lines[3], "AAAA", ProofTextError::Hash { line: 4 });
    check(lines[3], &format!("{}\r", lines[3]), ProofTextError::Hash { line: 4 });
    check(lines[3], &[lines[3]; 65].join("\n"), ProofTextError::TooLong);
    check("\n\n", "\n", ProofTextError::Hash { line: 5 });
    assert_eq!("index 1".parse::<ProofText>(), Err(ProofTextError::CheckpointMissing));
    assert_eq!("c2sp.org/tlog-proof@v1\nindex 0\n\n".parse::<ProofText>(), Err(ProofTextError::CheckpointMissing));
}

#[test]
fn a_proof_among_a_million_entries_with_three_witnesses_is_small() {
    let origin = "miax.dev/ecm/0f7c0000-0000-4000-8000-000000000001/0";
    let tree = tree(1 << 20);
    let key = miax::trust::NoteSigner::try_new(origin, &[1; 32]).expect("name");
    let root = tree.root(tree.size()).expect("a root");
    let mut note = Checkpoint { origin: origin.into(), size: tree.size(), root }.sign(&key).expect("signs");
    let at = UnixSeconds::new(1_795_514_400);
    let witnesses = [1, 2, 3].map(|n| {
        let key = SigningKey::from_ed25519_seed(&[n; 32]);
        Cosigner::try_new(&format!("witness{n}.example.org"), &key).expect("name").expect("Ed25519")
    });
    let body = format!("{}\n", note.split_once("\n\n").expect("a note").0);
    note.extend(witnesses.iter().map(|w| w.cosign(&body, at).expect("cosigned")));
    let quorum = Quorum::try_new(witnesses.iter().map(Cosigner::verifier).collect(), 3).expect("a quorum");
    assert_eq!(quorum.reached(&note, at), Ok(Some(at)));
    let proof = tree.inclusion(LogIndex(700_000), tree.size()).expect("a proof");
    assert_eq!(proof.hashes.len(), 20);
    let signed = SignedCheckpoint::open(&note, origin, &key.verifier()).expect("other lines are left alone");
    assert_eq!(proof.verify(&leaf(700_000), &signed), Ok(()));
    let text = InclusionText { extra: None, proof, checkpoint: note }.to_string();
    assert!(text.len() <= 1_600, "{} bytes", text.len());
}

#[test]
fn a_tree_that_begins_later_or_forgets_proves_the_same_growth() {
    let whole = tree(70);
    for begin in 0..=40 {
        let mut range = CompactRange::default();
        (0..begin).for_each(|n| range.append(leaf(n)));
        let mut later = HashTree::after(&range);
        let mut forgetful = tree(40);
        forgetful.forget_before(begin);
        (begin..70).for_each(|n| later.append(leaf(n)));
        (40..70).for_each(|n| forgetful.append(leaf(n)));
        assert_eq!((later.size(), forgetful.size()), (70, 70));
        for old in begin..=70 {
            assert_eq!(later.root(old), whole.root(old), "{begin} {old}");
            assert_eq!(forgetful.root(old), whole.root(old), "{begin} {old}");
            for size in old..=70 {
                let proof = whole.consistency(old, size);
                assert_eq!(later.consistency(old, size), proof, "{begin} {old} {size}");
                assert_eq!(forgetful.consistency(old, size), proof, "{begin} {old} {size}");
            }
        }
    }
    let mut later = tree(70);
    later.forget_before(64);
    assert_eq!(later.consistency(31, 70), None, "what was left out proves nothing");
}

/// Whether a text proves the entry, by the log's key alone.
fn proves(text: &str, entry: &[u8]) -> bool {
    let Ok(ProofText::Inclusion(InclusionText { extra: _, proof, checkpoint })) = text.parse() else { return false };
    let signed = SignedCheckpoint::open(&checkpoint, ORIGIN, &log_key().verifier());
    signed.is_ok_and(|signed| proof.verify(&leaf_hash(entry), &signed).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000, failure_persistence: None, rng_seed: RngSeed::Fixed(6962), ..ProptestConfig::default()
    })]

    /// Ten thousand random changes of one proof, none of which proves anything.
    #[test]
    fn no_change_of_a_proof_is_missed(at in 0..10_000_usize, byte in any::<u8>(), kind in 0..4_u8) {
        let whole = &*PROOF;
        let mut bytes = whole.clone().into_bytes();
        let at = at % bytes.len();
        match kind {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            2 => drop(bytes.remove(at)),
            _ => bytes.truncate(at),
        }
        let changed = String::from_utf8_lossy(&bytes).into_owned();
        prop_assume!(changed != *whole);
        prop_assert!(!proves(&changed, &70_u64.to_be_bytes()), "proves:\n{changed}");
    }

    #[test]
    fn every_proof_of_a_random_tree_verifies_and_of_another_does_not(size in 1..5_000_u64, a in any::<u64>(), b in any::<u64>()) {
        let tree = &*TREE;
        let (index, other) = (a % size, b % size);
        let new = head(tree, size);
        let proof = tree.inclusion(LogIndex(index), size).expect("a proof");
        prop_assert_eq!(proof.verify(&leaf(index), &new), Ok(()));
        prop_assert_eq!(proof.verify(&leaf(other), &new).is_ok(), index == other);
        let growth = tree.consistency(other, size).expect("a proof");
        prop_assert_eq!(growth.verify(&head(tree, other), &new), Ok(()));
    }

    #[test]
    fn no_text_makes_the_reader_of_proofs_panic(text in ".{0,200}", tail in "(c2sp.org/tlog-proof@v1|old 1)\n(index [0-9]{1,20}\n)?([A-Za-z0-9+/=]{0,44}\n){0,4}\n.{0,40}") {
        let _ = text.parse::<ProofText>();
        if let Ok(proof) = tail.parse::<ProofText>() {
            let back = match &proof {
                ProofText::Inclusion(text) => text.to_string(),
                ProofText::Consistency(text) => text.to_string(),
            };
            prop_assert_eq!(back, tail);
        }
    }
}

static PROOF: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| text(70, 100, None));
static TREE: std::sync::LazyLock<HashTree> = std::sync::LazyLock::new(|| tree(5_000));

#[test]
fn the_proof_that_is_changed_at_random_proves_its_entry() {
    assert!(proves(&PROOF, &70_u64.to_be_bytes()));
    assert!(!proves(&PROOF, &71_u64.to_be_bytes()));
}
