//! Inclusion proofs among a million entries: how fast one is checked, and how large its text is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::ledger::{Checkpoint, HashTree, InclusionProof, InclusionText, SignedCheckpoint, leaf_hash};
use miax::trust::NoteSigner;
use miax::units::{Digest, LogIndex};

use crate::{Row, now, per_second};

const ORIGIN: &str = "miax.dev/ecm/0f7c0000-0000-4000-8000-000000000001/0";
const ENTRIES: u64 = 1_000_000;
const PROOFS: u64 = 400_000;

fn leaf(number: u64) -> Digest {
    leaf_hash(&number.to_be_bytes())
}

pub(crate) fn rows() -> Vec<Row> {
    let mut tree = HashTree::default();
    (0..ENTRIES).for_each(|n| tree.append(leaf(n)));
    let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name");
    let root = tree.root(ENTRIES).expect("a root");
    let mut checkpoint = Checkpoint { origin: ORIGIN.into(), size: ENTRIES, root }.sign(&key).expect("signs");
    let signed = SignedCheckpoint::open(&checkpoint, ORIGIN, &key.verifier()).expect("opens");
    // Spread over the log, so that the paths are of every kind.
    let proofs: Vec<(Digest, InclusionProof)> = (0..PROOFS)
        .map(|n| n * 7_919 % ENTRIES)
        .map(|n| (leaf(n), tree.inclusion(LogIndex(n), ENTRIES).expect("a proof")))
        .collect();
    let started = now();
    let right = proofs.iter().filter(|(leaf, proof)| proof.verify(leaf, &signed).is_ok()).count();
    let speed = per_second(right, started.elapsed());
    assert_eq!(right, proofs.len());
    for witness in 1..=3 {
        checkpoint += &format!("\u{2014} witness{witness}.example.org {}\n", STANDARD.encode([witness; 76]));
    }
    let longest = proofs.into_iter().map(|(_, proof)| proof).max_by_key(|p| p.hashes.len()).expect("proofs");
    let hashes = longest.hashes.len();
    let size = InclusionText { extra: None, proof: longest, checkpoint }.to_string().len();
    vec![
        Row::new(
            format!("inclusion proofs of {hashes} hashes checked, one core"),
            format!("{speed:.0}/s"),
            ">= 400,000/s",
            speed >= 4e5,
        ),
        Row::new("text of such a proof, with three witnesses", format!("{size} B"), "<= 1,700 B", size <= 1_700),
    ]
}
