//! The Merkle tree of RFC 6962, section 2.1, over the entries of the ledger, as a compact range: the roots of the perfect
//! subtrees that cover all leaves so far, largest first. That is all a writer needs to append, and a verifier to check.

use sha2::{Digest as _, Sha256};

use crate::units::Digest;

/// Prefix of a leaf before hashing (RFC 6962).
const LEAF: [u8; 1] = [0];
/// Prefix of an inner node.
const NODE: [u8; 1] = [1];

/// Hash of a leaf: SHA-256 of a zero byte and the entry's bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update(LEAF).chain_update(entry).finalize().into())
}

pub(super) fn node_hash(left: &Digest, right: &Digest) -> Digest {
    // In one piece: three small updates of the hasher cost a third more.
    let mut bytes = [0; 65];
    let [prefix, children @ ..] = &mut bytes;
    [*prefix] = NODE;
    let (first, second) = children.split_at_mut(32);
    first.copy_from_slice(&left.0);
    second.copy_from_slice(&right.0);
    Digest(Sha256::digest(bytes).into())
}

/// The tree after a number of leaves. At most 64 hashes, whatever the number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactRange {
    size: u64,
    /// Roots of perfect subtrees, one for each bit that is set in `size`, the largest first.
    nodes: Vec<Digest>,
}

impl CompactRange {
    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The perfect subtrees with their heights, the largest first.
    pub(super) fn subtrees(&self) -> impl Iterator<Item = (usize, Digest)> {
        let heights = (0..u64::BITS).rev().filter(|height| self.size >> height & 1 == 1);
        heights.filter_map(|height| usize::try_from(height).ok()).zip(self.nodes.iter().copied())
    }

    /// Appends a leaf by its hash.
    pub fn append(&mut self, leaf: Digest) {
        let mut node = leaf;
        // Each trailing one bit is a perfect subtree of the same height as `node`; both together are the next one.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    /// Appends a perfect subtree of 2^`height` leaves by its root. `false`, and nothing is appended, when such a subtree does
    /// not begin here, or the leaves could not be counted any more.
    pub(super) fn append_subtree(&mut self, height: u32, root: Digest) -> bool {
        let next = 1_u64.checked_shl(height).and_then(|leaves| self.size.checked_add(leaves));
        let (Some(next), true) = (next, self.size == 0 || self.size.trailing_zeros() >= height) else { return false };
        let mut node = root;
        for _ in 0..(self.size >> height).trailing_ones() {
            if let Some(left) = self.nodes.pop() {
                node = node_hash(&left, &node);
            }
        }
        self.nodes.push(node);
        self.size = next;
        true
    }

    /// The root hash; of no leaves it is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut from_right = self.nodes.iter().rev();
        match from_right.next() {
            None => Digest(Sha256::digest([]).into()),
            Some(last) => from_right.fold(*last, |right, left| node_hash(left, &right)),
        }
    }

    /// The hashes one after another, 32 bytes each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.nodes.iter().flat_map(|n| n.0).collect()
    }

    /// Reads what [`CompactRange::to_bytes`] wrote for `size` leaves; `None` when the number of bytes does not fit. Whether
    /// the hashes are true is told by comparing [`CompactRange::root`] with a signed one.
    #[must_use]
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let expected = usize::try_from(size.count_ones()).ok()?;
        let fits = rest.is_empty() && hashes.len() == expected;
        fits.then(|| Self { size, nodes: hashes.iter().copied().map(Digest).collect() })
    }
}

/// The heights of the perfect subtrees that lead from the first `old` leaves to the first `new`, in their order.
pub(super) fn heights(old: u64, new: u64) -> Vec<u32> {
    let (mut at, mut heights) = (old, Vec::new());
    while let Some(rest) = new.checked_sub(at).filter(|rest| *rest > 0) {
        let height = rest.ilog2().min(at.trailing_zeros());
        heights.push(height);
        at += 1 << height;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::hex;
    use proptest::prelude::*;

    /// The definition of RFC 6962, word for word.
    fn root_by_definition(leaves: &[Vec<u8>]) -> Digest {
        match leaves {
            [] => Digest(Sha256::digest([]).into()),
            [one] => leaf_hash(one),
            many => {
                let split = many.len().next_power_of_two() / 2;
                node_hash(&root_by_definition(&many[..split]), &root_by_definition(&many[split..]))
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_certificate_transparency_test_vectors() {
        // Leaves and roots of certificate-transparency-go's and Trillian's reference tree.
        let leaves: [&[u8]; 8] = [
            b"",
            b"\x00",
            b"\x10",
            b"\x20\x21",
            b"\x30\x31",
            b"\x40\x41\x42\x43",
            b"\x50\x51\x52\x53\x54\x55\x56\x57",
            b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
        ];
        let roots = [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ];
        for (size, root) in roots {
            let mut range = CompactRange::default();
            leaves[..size].iter().for_each(|l| range.append(leaf_hash(l)));
            assert_eq!(hex(&range.root().0), root, "{size} leaves");
        }
    }

    #[test]
    fn a_subtree_is_appended_where_it_begins_and_nowhere_else() {
        let mut range = CompactRange::default();
        let node = leaf_hash(b"");
        assert!(range.append_subtree(0, node));
        assert!(!range.append_subtree(1, node), "two leaves do not begin at the second");
        assert!(!range.append_subtree(64, node) && range.size() == 1);
        assert!(CompactRange::default().append_subtree(63, node));
        assert_eq!(heights(0, 11), [3, 1, 0]);
        assert_eq!(heights(3, 11), [0, 2, 1, 0]);
        assert_eq!((heights(5, 5), heights(6, 5)), (vec![], vec![]));
        assert_eq!(heights(0, u64::MAX).len(), 64);
    }

    proptest! {
        #[test]
        fn a_compact_range_is_the_tree_and_reads_back(
            leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..4), 0..300)
        ) {
            let mut range = CompactRange::default();
            leaves.iter().for_each(|l| range.append(leaf_hash(l)));
            prop_assert_eq!(range.root(), root_by_definition(&leaves));
            let back = CompactRange::from_bytes(range.size(), &range.to_bytes());
            prop_assert_eq!(back.as_ref(), Some(&range));
            prop_assert_eq!(CompactRange::from_bytes(range.size() * 2 + 1, &range.to_bytes()), None);
        }
    }
}
