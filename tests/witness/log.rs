//! A log that asks for cosignatures: two histories that are equal up to some size, under one key.

use miax::ledger::{AddCheckpoint, Checkpoint, ConsistencyProof, HashTree, leaf_hash};
use miax::trust::{NoteSigner, sha256};
use miax::units::hex;

pub const ORIGIN: &str = "miax.dev/ecm/test/0";

pub struct Log {
    pub origin: String,
    pub key: NoteSigner,
    pub tree: HashTree,
}

impl Log {
    pub fn new() -> Self {
        Self::with_salt("a")
    }

    /// The same log with another history.
    pub fn with_salt(salt: &str) -> Self {
        let mut tree = HashTree::default();
        (0..64).for_each(|n| tree.append(leaf_hash(format!("{salt}{n}").as_bytes())));
        Self { origin: ORIGIN.to_owned(), key: NoteSigner::try_new(ORIGIN, &[1; 32]).expect("key"), tree }
    }

    pub fn named(origin: &str, seed: u8) -> Self {
        let key = NoteSigner::try_new(origin, &[seed; 32]).expect("key");
        Self { origin: origin.to_owned(), key, ..Self::new() }
    }

    pub fn note(&self, size: u64) -> String {
        let root = self.tree.root(size).expect("root");
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&self.key).expect("signed")
    }

    pub fn asked(&self, old: u64, size: u64) -> AddCheckpoint {
        let none = ConsistencyProof { old, hashes: Vec::new() };
        AddCheckpoint { proof: self.tree.consistency(old, size).unwrap_or(none), note: self.note(size) }
    }

    pub fn hash(&self) -> String {
        hex(&sha256(self.origin.as_bytes()).0)
    }
}
