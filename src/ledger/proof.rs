//! Proofs of RFC 6962, section 2.1: that an entry is in the tree of a signed checkpoint, and that one signed checkpoint is a
//! continuation of another. A proof is checked against a [`SignedCheckpoint`] only: a root that nobody signed proves nothing.

use std::collections::BTreeMap;

use crate::units::{Digest, LogIndex};

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::tree::{CompactRange, heights, node_hash};

/// Most hashes in a proof: the height of a tree whose size fits 64 bits.
pub(super) const MAX_PROOF: usize = 64;

/// The perfect subtrees over the entries, from which proofs are made: all of them, or those that a log needs which has proven
/// its growth up to some size already.
#[derive(Clone, Debug, Default)]
pub struct HashTree {
    /// The hashes of the perfect subtrees of 2^n entries at the n-th place; leaf hashes first.
    levels: Vec<Level>,
}

/// The perfect subtrees of one height, without the first ones.
#[derive(Clone, Debug, Default)]
struct Level {
    left_out: u64,
    nodes: Vec<Digest>,
}

impl Level {
    /// How many there are, those that were left out included.
    fn count(&self) -> u64 {
        self.left_out + self.nodes.len() as u64
    }

    fn get(&self, index: u64) -> Option<Digest> {
        self.nodes.get(usize::try_from(index.checked_sub(self.left_out)?).ok()?).copied()
    }
}

/// How many subtrees of this height are no longer needed once `size` entries were proven: all but the one on the right edge.
fn needless(size: u64, height: usize) -> u64 {
    let count = u32::try_from(height).ok().and_then(|height| size.checked_shr(height)).unwrap_or(0);
    count - count % 2
}

/// That an entry is in a tree: the hashes from its sibling up to the child of the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Which entry.
    pub index: LogIndex,
    /// The hashes.
    pub hashes: Vec<Digest>,
}

/// That a tree continues a smaller one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Size of the smaller tree.
    pub old: u64,
    /// The hashes.
    pub hashes: Vec<Digest>,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The entry is not covered.
    #[error("entry {index} is not in a tree of {size} entries")]
    Beyond {
        /// Which entry.
        index: LogIndex,
        /// Size of the tree.
        size: u64,
    },
    /// The number of hashes is wrong.
    #[error("the proof has {found} hashes; {expected} are needed")]
    Length {
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// The two checkpoints are of different logs.
    #[error("the checkpoints are of two logs: `{old}` and `{new}`")]
    Origins {
        /// Origin of the smaller one.
        old: String,
        /// Origin of the larger one.
        new: String,
    },
    /// The hashes do not lead to the signed root.
    #[error("the proof does not lead to the root that the checkpoint over {size} entries vouches for")]
    Root {
        /// Size of the checkpoint.
        size: u64,
    },
    /// The proof is about another size.
    #[error("the proof begins at {found} entries, the older checkpoint is over {expected}")]
    Size {
        /// What the proof says.
        found: u64,
        /// What the checkpoint says.
        expected: u64,
    },
    /// The older checkpoint is larger.
    #[error(
        "the older checkpoint is over {old} entries, the newer one over {new}: it is the other way round, or a rollback"
    )]
    Smaller {
        /// Size of the older one.
        old: u64,
        /// Size of the newer one.
        new: u64,
    },
}

impl HashTree {
    /// A tree that begins after these entries: it proves growth from there on, and nothing of before.
    #[must_use]
    pub fn after(range: &CompactRange) -> Self {
        // The subtree of each height on the right edge, where there is one; the highest is always there.
        let edge: BTreeMap<usize, Digest> = range.subtrees().collect();
        let highest = edge.last_key_value().map_or(0, |(height, _)| height + 1);
        let level = |height| Level {
            left_out: needless(range.size(), height),
            nodes: edge.get(&height).copied().into_iter().collect(),
        };
        Self { levels: (0..highest).map(level).collect() }
    }

    /// Drops what only proofs from below `size` need.
    pub fn forget_before(&mut self, size: u64) {
        let size = size.min(self.size());
        for (height, level) in self.levels.iter_mut().enumerate() {
            let more = needless(size, height).saturating_sub(level.left_out);
            let more = usize::try_from(more).unwrap_or(usize::MAX).min(level.nodes.len());
            level.nodes.drain(..more);
            level.left_out += more as u64;
        }
    }

    /// Number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, Level::count)
    }

    /// The hashes of all perfect subtrees of 2^`height` entries; none when some were left out.
    pub(super) fn level(&self, height: u32) -> &[Digest] {
        let level = usize::try_from(height).ok().and_then(|h| self.levels.get(h)).filter(|level| level.left_out == 0);
        level.map_or(&[], |level| &level.nodes)
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut node = leaf;
        for height in 0.. {
            let Some(level) = self.levels.get_mut(height) else {
                self.levels.push(Level { left_out: 0, nodes: vec![node] });
                return;
            };
            level.nodes.push(node);
            // Two halves are there only when the number is even; then they are a perfect subtree of the next height.
            match level.nodes.as_slice() {
                [.., left, right] if level.count().is_multiple_of(2) => node = node_hash(left, right),
                _ => return,
            }
        }
    }

    /// The root over the first `size` entries; `None` when there are fewer, or what it needs was left out.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Digest> {
        match size {
            0 => Some(CompactRange::default().root()),
            _ => self.range(0, size),
        }
    }

    /// The proof that an entry is in the tree over the first `size` entries; `None` when it is not.
    #[must_use]
    pub fn inclusion(&self, index: LogIndex, size: u64) -> Option<InclusionProof> {
        if index.0 >= size || size > self.size() {
            return None;
        }
        let (mut first, mut count, mut hashes) = (0, size, Vec::new());
        while count > 1 {
            let left = split(count);
            if index.0 < first + left {
                hashes.push(self.range(first + left, count - left)?);
                count = left;
            } else {
                hashes.push(self.range(first, left)?);
                (first, count) = (first + left, count - left);
            }
        }
        hashes.reverse();
        Some(InclusionProof { index, hashes })
    }

    /// The proof that the tree over the first `size` entries continues that over the first `old`; `None` when it does not.
    #[must_use]
    pub fn consistency(&self, old: u64, size: u64) -> Option<ConsistencyProof> {
        if old > size || size > self.size() {
            return None;
        }
        let (mut first, mut count, mut hashes) = (0, size, Vec::new());
        // RFC 6962, 2.1.2: the old tree itself is not part of the proof while it is a subtree from the first leaf on.
        let mut whole = true;
        while old > 0 && first + count != old {
            let left = split(count);
            if old <= first + left {
                hashes.push(self.range(first + left, count - left)?);
                count = left;
            } else {
                hashes.push(self.range(first, left)?);
                (first, count, whole) = (first + left, count - left, false);
            }
        }
        if !whole {
            hashes.push(self.range(first, count)?);
        }
        hashes.reverse();
        Some(ConsistencyProof { old, hashes })
    }

    /// The roots of the perfect subtrees that lead from the first `old` leaves to the first `new`; `None` when there are fewer
    /// leaves.
    pub(super) fn subtrees(&self, old: u64, new: u64) -> Option<Vec<Digest>> {
        let mut at = old;
        let root = |height: u32| {
            let root = self.levels.get(usize::try_from(height).ok()?)?.get(at >> height);
            at += 1 << height;
            root
        };
        if new > self.size() { None } else { heights(old, new).into_iter().map(root).collect() }
    }

    /// Root of `count` leaves from `first` on, as they hang together in the tree: `first` is a multiple of the largest power
    /// of two below them. `count` is at least 1.
    fn range(&self, first: u64, count: u64) -> Option<Digest> {
        if count.is_power_of_two() {
            let height = count.trailing_zeros();
            return self.levels.get(usize::try_from(height).ok()?)?.get(first >> height);
        }
        let left = split(count);
        Some(node_hash(&self.range(first, left)?, &self.range(first + left, count - left)?))
    }
}

/// The largest power of two below `count`, which is at least 2: how many leaves are left of the root.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

impl InclusionProof {
    /// Checks that the entry with this leaf hash is in the log at the proof's index.
    ///
    /// # Errors
    /// [`ProofError::Beyond`], [`ProofError::Length`], [`ProofError::Root`].
    pub fn verify(&self, leaf: &Digest, signed: &SignedCheckpoint) -> Result<(), ProofError> {
        let Self { index, hashes } = self;
        let Checkpoint { origin: _, size, root } = signed.checkpoint();
        if index.0 >= *size {
            return Err(ProofError::Beyond { index: *index, size: *size });
        }
        let (inner, border) = shape(index.0, *size);
        check_length(hashes, inner + border)?;
        let (low, high) = hashes.split_at_checked(inner).unwrap_or_default();
        let found = right_of(left_and_right(*leaf, low, index.0), high);
        if found == *root { Ok(()) } else { Err(ProofError::Root { size: *size }) }
    }
}

impl ConsistencyProof {
    /// Checks that `new` continues `old`: nothing that `old` vouches for was changed or removed.
    ///
    /// # Errors
    /// Every variant of [`ProofError`] except [`ProofError::Beyond`].
    pub fn verify(&self, old: &SignedCheckpoint, new: &SignedCheckpoint) -> Result<(), ProofError> {
        let (old, new) = (old.checkpoint(), new.checkpoint());
        if old.origin != new.origin {
            return Err(ProofError::Origins { old: old.origin.clone(), new: new.origin.clone() });
        }
        if self.old != old.size {
            return Err(ProofError::Size { found: self.old, expected: old.size });
        }
        if old.size > new.size {
            return Err(ProofError::Smaller { old: old.size, new: new.size });
        }
        if old.size == 0 || old.size == new.size {
            check_length(&self.hashes, 0)?;
            // What is of no entries is continued by everything; what is of as many must be the same.
            let same = old.size == 0 || old.root == new.root;
            return if same { Ok(()) } else { Err(ProofError::Root { size: new.size }) };
        }
        self.verify_growth(old, new)
    }

    fn verify_growth(&self, old: &Checkpoint, new: &Checkpoint) -> Result<(), ProofError> {
        let last = old.size - 1;
        let (inner, border) = shape(last, new.size);
        // The last leaf of the old tree is the right corner of a perfect subtree: the walk starts at that subtree's root.
        let skip = old.size.trailing_zeros();
        let inner = inner.saturating_sub(usize::try_from(skip).unwrap_or(MAX_PROOF));
        // When the old tree is that subtree, its root is known and not in the proof.
        let whole = old.size.is_power_of_two();
        check_length(&self.hashes, inner + border + usize::from(!whole))?;
        let (seed, path) = match (whole, self.hashes.split_first()) {
            (false, Some((seed, path))) => (*seed, path),
            (true, _) | (false, None) => (old.root, self.hashes.as_slice()),
        };
        let (low, high) = path.split_at_checked(inner).unwrap_or_default();
        let position = last.checked_shr(skip).unwrap_or(0);
        let left_only = low.iter().zip(0..).filter(|(_, height)| position >> height & 1 == 1);
        let before = right_of(left_only.fold(seed, |node, (hash, _)| node_hash(hash, &node)), high);
        let after = right_of(left_and_right(seed, low, position), high);
        if before != old.root {
            return Err(ProofError::Root { size: old.size });
        }
        if after == new.root { Ok(()) } else { Err(ProofError::Root { size: new.size }) }
    }
}

/// How many hashes of an inclusion proof are below the point where the path to the entry leaves the right edge of the tree,
/// where siblings stand on both sides, and how many above, where they stand on the left only.
fn shape(index: u64, size: u64) -> (usize, usize) {
    let inner = u64::BITS - (index ^ (size - 1)).leading_zeros();
    let border = index.checked_shr(inner).unwrap_or(0).count_ones();
    // Both are at most 64.
    (usize::try_from(inner).unwrap_or(MAX_PROOF), usize::try_from(border).unwrap_or(MAX_PROOF))
}

fn check_length(hashes: &[Digest], expected: usize) -> Result<(), ProofError> {
    let found = hashes.len();
    if found == expected { Ok(()) } else { Err(ProofError::Length { found, expected }) }
}

/// Walks up where siblings stand on the side that the bits of the position tell.
fn left_and_right(leaf: Digest, path: &[Digest], position: u64) -> Digest {
    path.iter().zip(0_u32..).fold(leaf, |node, (hash, height)| match position >> height & 1 {
        0 => node_hash(&node, hash),
        _ => node_hash(hash, &node),
    })
}

/// Walks up the right edge.
fn right_of(node: Digest, path: &[Digest]) -> Digest {
    path.iter().fold(node, |node, hash| node_hash(hash, &node))
}
