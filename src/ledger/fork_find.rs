//! Looks for a fork between copies of one log: what the cluster has, what a peer, an archive or a witness has, and checkpoints
//! that were kept.

use crate::units::{BlockNumber, Digest, LogIndex};

use super::block::{Block, BlockParts};
use super::chain::read_introduction;
use super::checkpoint::SignedCheckpoint;
use super::fork::{ForkProof, Sealed};
use super::log_keys::LogKeys;
use super::proof::HashTree;

/// A copy of the log, as far as its blocks open: whether they are right is the verifier's matter. A proof that is made of it
/// is checked like everybody's.
#[derive(Debug, Default)]
pub struct LogCopy {
    blocks: Vec<(Block, BlockParts)>,
    tree: HashTree,
    checkpoints: Vec<Statement>,
}

/// A checkpoint that the log's key signed, as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The signed note.
    pub note: String,
    /// What was signed.
    pub signed: SignedCheckpoint,
}

/// How two copies differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// As far as both go, they are the same.
    None {
        /// How many entries both have.
        common: u64,
    },
    /// They part.
    Parted {
        /// The first block that is another one.
        block: BlockNumber,
        /// The first entry that is another one, or where one of them ends its block.
        entry: LogIndex,
    },
}

impl LogCopy {
    /// A copy of which the hashes alone are known.
    #[must_use]
    pub fn of_tree(tree: HashTree) -> Self {
        Self { tree, ..Self::default() }
    }

    /// Takes the next block in; `false`, and nothing is taken, when it does not open or is not the next one.
    pub fn push(&mut self, parts: &BlockParts) -> bool {
        let Ok((block, leaves)) = Block::open(parts) else { return false };
        if block.header.first.0 != self.tree.size() {
            return false;
        }
        leaves.into_iter().for_each(|leaf| self.tree.append(leaf));
        self.blocks.push((block, parts.clone()));
        true
    }

    /// Adds checkpoints that came with the copy.
    pub fn vouch_all(&mut self, statements: impl IntoIterator<Item = Statement>) {
        self.checkpoints.extend(statements);
    }

    /// The root over its first `size` entries; `None` when there are fewer.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Digest> {
        self.tree.root(size)
    }

    /// Number of entries.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Where this copy and the other part.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Difference {
        let pairs = self.blocks.iter().zip(&other.blocks);
        match pairs.map(|((a, _), (b, _))| (a, b)).find(|(a, b)| a.digest != b.digest) {
            None => Difference::None { common: self.size().min(other.size()) },
            Some((a, b)) => {
                let same = a.entries().zip(b.entries()).take_while(|(x, y)| x == y).count();
                let entry = LogIndex(a.header.first.0 + u64::try_from(same).unwrap_or(0));
                Difference::Parted { block: a.header.number, entry }
            }
        }
    }

    /// The entry that introduces a writer.
    fn introduction(&self, writer: &str, keys: &LogKeys) -> Option<String> {
        let firsts = self.blocks.iter().filter_map(|(block, _)| block.entries().next());
        let of_writer = |entry: &&[u8]| {
            read_introduction(entry, keys).is_ok_and(|found| found.is_some_and(|(name, ..)| name == writer))
        };
        firsts.into_iter().find(of_writer).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn sealed(&self, number: BlockNumber, keys: &LogKeys) -> Option<Sealed> {
        let (block, parts) = self.blocks.get(usize::try_from(number.0).ok()?)?;
        let introduction = self.introduction(&block.header.writer, keys)?;
        let BlockParts { header, seal, entries: _, edge: _ } = parts.clone();
        Some(Sealed { header, seal, introduction })
    }
}

/// The proof that these copies of one log do not belong together; `None` when they do, as far as can be shown. Two signed
/// checkpoints go first, because they name the log's key; else two sealed blocks of one number.
#[must_use]
pub fn find_fork(copies: &[&LogCopy], keys: &LogKeys, epoch: u16) -> Option<ForkProof> {
    // What a key signed shows that it misbehaved, also where it vouches for nothing any more.
    let keys = &LogKeys::unread(keys.origin(), keys.all().cloned());
    let statements: Vec<&Statement> = copies.iter().flat_map(|copy| &copy.checkpoints).collect();
    let pairs = |count: usize| (0..count).flat_map(move |i| (0..i).map(move |j| (j, i)));
    let of_checkpoints = pairs(statements.len()).find_map(|(i, j)| {
        let (a, b) = (statements.get(i)?, statements.get(j)?);
        let (older, newer) = if a.size() <= b.size() { (a, b) } else { (b, a) };
        shows(fork_of_checkpoints(older, newer, copies)?, keys, epoch)
    });
    of_checkpoints.or_else(|| {
        pairs(copies.len()).find_map(|(i, j)| {
            let (a, b) = (copies.get(i)?, copies.get(j)?);
            let Difference::Parted { block, entry: _ } = a.compare(b) else { return None };
            let proof = ForkProof::Blocks { first: a.sealed(block, keys)?, second: b.sealed(block, keys)? };
            shows(proof, keys, epoch)
        })
    })
}

/// What is handed on is what others will find right.
fn shows(proof: ForkProof, keys: &LogKeys, epoch: u16) -> Option<ForkProof> {
    proof.check(keys, epoch).is_ok().then_some(proof)
}

fn fork_of_checkpoints(older: &Statement, newer: &Statement, copies: &[&LogCopy]) -> Option<ForkProof> {
    let (first, second) = (older.note.clone(), newer.note.clone());
    if older.size() == newer.size() {
        return Some(ForkProof::Roots { first, second });
    }
    // Any copy of the newer tree will do, whoever has it.
    let vouched = |copy: &&&LogCopy| copy.tree.root(newer.size()) == Some(newer.signed.checkpoint().root);
    let tree = &copies.iter().find(vouched)?.tree;
    let nodes = [tree.subtrees(0, older.size())?, tree.subtrees(older.size(), newer.size())?].concat();
    Some(ForkProof::Histories { older: first, newer: second, nodes })
}

impl Statement {
    fn size(&self) -> u64 {
        self.signed.checkpoint().size
    }
}
