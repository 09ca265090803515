//! The chain: each block cites the one before and the tree after it. Writer and verifier walk it with the same
//! [`Head::fold`], so that what is written is what verifies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::trust::{NoteVerifier, sha256};
use crate::units::{BlockNumber, Digest, LogIndex, UnixMillis};

use super::block::{
    Block, BlockError, BlockParts, Header, MAX_BLOCK_BYTES, MAX_BLOCK_ENTRIES, compress, leaf_prefixes, pack, seal,
};
use super::entry::Entry;
use super::epoch::Lineage;
use super::key_change::KeyChange;
use super::log_keys::LogKeys;
use super::tree::{CompactRange, leaf_hash};
use super::writer::{KEY_ADD, Writer, introduction_text};

/// What a verifier must know beforehand: which log, and the key that vouches for its writers and checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTrust {
    /// Origin of the log: `<owner>/ecm/<cluster uid>/<epoch>`.
    pub origin: String,
    /// Epoch of the log.
    pub epoch: u16,
    /// The log's key.
    pub key: NoteVerifier,
}

/// The end of the chain. A value: folding a block gives the next one.
#[derive(Clone, Debug)]
pub struct Head {
    pub(super) trust: Arc<LogTrust>,
    pub(super) lineage: Arc<Lineage>,
    pub(super) next: BlockNumber,
    pub(super) previous: Digest,
    pub(super) range: CompactRange,
    pub(super) writers: Arc<BTreeMap<String, (NoteVerifier, UnixMillis)>>,
    pub(super) keys: Arc<LogKeys>,
}

/// Why a block does not continue the chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The block itself is wrong.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The compact range is not the tree of the header.
    #[error("the edge of the tree was changed")]
    Edge,
    /// The header is of another epoch than this one and the next.
    #[error("the block is of the epoch {found}, the log is in {expected}")]
    Epoch {
        /// What stands there.
        found: u16,
        /// What should.
        expected: u16,
    },
    /// The header's first index or size does not continue the log.
    #[error("the block begins with entry {found}, but entry {expected} comes next")]
    First {
        /// What stands there.
        found: LogIndex,
        /// What should.
        expected: LogIndex,
    },
    /// The first entry of a block cannot be read although it introduces the writer.
    #[error("the introduction of the writer is wrong: {0}")]
    Introduction(String),
    /// The first entry of a block changes the log's keys, but may not.
    #[error("the change of the log's keys is refused: {0}")]
    LogKeys(String),
    /// The number is not the next one.
    #[error("block {found} stands where block {expected} should")]
    Number {
        /// What stands there.
        found: BlockNumber,
        /// What should.
        expected: BlockNumber,
    },
    /// The first block of a new epoch does not open it.
    #[error("the new epoch is not opened rightly: {0}")]
    Opening(String),
    /// The block does not cite the one before.
    #[error("the block does not continue the one before it: one of them was replaced")]
    Previous,
    /// The root after the block is not that of the header.
    #[error("the root of the tree is not that of the entries")]
    Root,
    /// The writer is unknown.
    #[error("the writer `{0}` was never introduced by the log's key")]
    WriterUnknown(String),
    /// The writer's key had expired.
    #[error("the key of the writer `{0}` had expired")]
    WriterExpired(String),
}

/// How many entries fit into a block that begins at `first`.
#[must_use]
pub fn boundary_room(first: LogIndex) -> usize {
    let used = first.0 % MAX_BLOCK_ENTRIES as u64;
    MAX_BLOCK_ENTRIES - usize::try_from(used).unwrap_or(0)
}

impl Head {
    /// The head of a log without entries, in its first epoch.
    #[must_use]
    pub fn genesis(trust: LogTrust) -> Self {
        let trust = trust.in_epoch(0);
        Self {
            keys: Arc::new(LogKeys::new(&trust.origin, trust.key.clone())),
            trust: Arc::new(trust),
            lineage: Arc::default(),
            next: BlockNumber(0),
            previous: Digest([0; 32]),
            range: CompactRange::default(),
            writers: Arc::default(),
        }
    }

    /// Which log it is.
    #[must_use]
    pub fn trust(&self) -> &LogTrust {
        &self.trust
    }

    /// Number of the next block.
    #[must_use]
    pub fn next_block(&self) -> BlockNumber {
        self.next
    }

    /// Index of the next entry.
    #[must_use]
    pub fn next_index(&self) -> LogIndex {
        LogIndex(self.range.size())
    }

    /// The tree over all entries so far.
    pub(super) fn range(&self) -> &CompactRange {
        &self.range
    }

    /// RFC 6962 root of all entries so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.range.root()
    }

    /// The log's own keys, as the entries so far have left them.
    #[must_use]
    pub fn log_keys(&self) -> &LogKeys {
        &self.keys
    }

    /// Whether the next block may begin with this entry, as far as it introduces a writer or changes the log's keys.
    ///
    /// # Errors
    /// [`ChainError::LogKeys`], [`ChainError::Introduction`].
    pub fn may_begin_with(&self, entry: &[u8]) -> Result<(), ChainError> {
        let entry = introduction(entry)?;
        self.introduced_by(&entry)?;
        self.keys_after(&entry).map(drop)
    }

    /// Whether the log knows the writer.
    #[must_use]
    pub fn knows(&self, writer: &Writer) -> bool {
        self.writers.contains_key(writer.name())
    }

    /// The key of a writer that the log knows.
    pub(super) fn writer_key(&self, name: &str) -> Option<&NoteVerifier> {
        self.writers.get(name).map(|(key, _)| key)
    }

    /// Packs entries as the next block. Sealing is not appending: the block counts when it is stored.
    ///
    /// # Errors
    /// [`BlockError::Limit`] for more entries or bytes than a block holds, [`BlockError::Pack`], [`BlockError::Seal`].
    pub fn propose(
        &self,
        entries: &[Vec<u8>],
        writer: &Writer,
        from: UnixMillis,
        to: UnixMillis,
    ) -> Result<BlockParts, BlockError> {
        let room = boundary_room(self.next_index());
        if entries.is_empty() || entries.len() > room {
            return Err(BlockError::Limit { what: "the number of entries", found: entries.len(), most: room });
        }
        let bundle = pack(entries)?;
        let packed = compress(&bundle)?;
        if packed.len() > MAX_BLOCK_BYTES {
            return Err(BlockError::Limit { what: "the packed size", found: packed.len(), most: MAX_BLOCK_BYTES });
        }
        let leaves: Vec<Digest> = entries.iter().map(|e| leaf_hash(e)).collect();
        let mut range = self.range.clone();
        leaves.iter().for_each(|l| range.append(*l));
        let header = Header {
            v: Header::FORMAT,
            epoch: self.trust.epoch,
            number: self.next,
            first: self.next_index(),
            count: u32::try_from(entries.len()).unwrap_or(u32::MAX),
            previous: self.previous,
            size: range.size(),
            root: range.root(),
            packed: sha256(&packed),
            leaves: leaf_prefixes(&leaves),
            writer: writer.name().to_owned(),
            from,
            to,
        };
        let edge = range.to_bytes();
        let (header, seal) = seal(&self.trust.origin, &header, &writer.signer)?;
        Ok(BlockParts { header, seal, entries: packed, edge })
    }

    /// Checks a block completely and takes it in. On an error the head is unchanged.
    ///
    /// # Errors
    /// [`ChainError`]: which check failed, and the first entry that is wrong where it can be told.
    pub fn fold(&mut self, parts: &BlockParts) -> Result<Block, ChainError> {
        let (block, leaves) = Block::open(parts)?;
        let header = &block.header;
        let mut heading = block.entries();
        let opened = match header.epoch.checked_sub(self.trust.epoch) {
            Some(0) => None,
            Some(1) => heading.next().map(|first| self.opened_by(&introduction(first)?)).transpose()?,
            _ => return Err(ChainError::Epoch { found: header.epoch, expected: self.trust.epoch }),
        };
        let base = opened.as_ref().unwrap_or(self);
        if header.number != self.next {
            return Err(ChainError::Number { found: header.number, expected: self.next });
        }
        if header.first != self.next_index() {
            return Err(ChainError::First { found: header.first, expected: self.next_index() });
        }
        let first = heading.next().map(introduction).transpose()?;
        let introduced = first.as_ref().map(|first| base.introduced_by(first)).transpose()?.flatten();
        let keys = first.as_ref().map(|first| base.keys_after(first)).transpose()?.flatten();
        let known = introduced.as_ref().filter(|(name, ..)| *name == header.writer).map(|(_, key, end)| (key, *end));
        let (writer, not_after) = match known {
            Some(writer) => writer,
            None => match base.writers.get(&header.writer) {
                Some((key, end)) => (key, *end),
                None => return Err(ChainError::WriterUnknown(header.writer.clone())),
            },
        };
        block.check_seal(&parts.seal, &base.trust.origin, writer)?;
        if header.to > not_after {
            return Err(ChainError::WriterExpired(header.writer.clone()));
        }
        if header.previous != self.previous {
            return Err(ChainError::Previous);
        }
        let range = grown(&self.range, &leaves, header, &parts.edge)?;
        drop(heading);
        if let Some(opened) = opened {
            *self = opened;
        }
        self.range = range;
        self.previous = block.digest;
        self.next = BlockNumber(self.next.0 + 1);
        if let Some((name, key, end)) = introduced {
            Arc::make_mut(&mut self.writers).insert(name, (key, end));
        }
        if let Some(keys) = keys {
            self.keys = Arc::new(keys);
        }
        Ok(block)
    }

    /// The log's keys after the block's first entry, if that changes them.
    fn keys_after(&self, first: &Entry) -> Result<Option<LogKeys>, ChainError> {
        let Some((change, proof)) = KeyChange::read(first).map_err(ChainError::LogKeys)? else { return Ok(None) };
        let mut keys = self.keys.as_ref().clone();
        keys.apply(self.next_index(), &change, proof).map_err(ChainError::LogKeys)?;
        Ok(Some(keys))
    }

    /// The writer that the block's first entry introduces, if it does. One proof by the log's key is enough for ever: a
    /// name cannot be introduced again with another key.
    fn introduced_by(&self, entry: &Entry) -> Result<Option<Introduced>, ChainError> {
        let introduced = introduction_in(entry, &self.keys)?;
        if let Some((name, key, _)) = &introduced
            && self.writers.get(name).is_some_and(|(known, _)| known != key)
        {
            let what = format!("`{name}` was introduced before with another key");
            return Err(ChainError::Introduction(what));
        }
        Ok(introduced)
    }
}

/// A writer that an entry introduces: name, key, and when the key expires.
pub(super) type Introduced = (String, NoteVerifier, UnixMillis);

fn introduction(entry: &[u8]) -> Result<Entry, ChainError> {
    Entry::decode(entry).map_err(|e| ChainError::Introduction(e.to_string()))
}

/// Reads the introduction of a writer and checks that the log's key vouches for it; `None` for an entry of another kind.
pub(super) fn read_introduction(entry: &[u8], keys: &LogKeys) -> Result<Option<Introduced>, ChainError> {
    introduction_in(&introduction(entry)?, keys)
}

/// The same of an entry that is read, with the keys that vouch where it stands.
fn introduction_in(entry: &Entry, keys: &LogKeys) -> Result<Option<Introduced>, ChainError> {
    let wrong = |what: &dyn std::fmt::Display| ChainError::Introduction(what.to_string());
    if entry.kind != KEY_ADD || matches!(KeyChange::read(entry), Ok(Some(_)) | Err(_)) {
        return Ok(None);
    }
    let text = |name: &str| {
        entry.fields.get(name).and_then(Value::as_str).ok_or_else(|| wrong(&format!("`{name}` is missing")))
    };
    let not_after = entry.fields.get("notAfter").and_then(Value::as_u64).map(UnixMillis);
    let not_after = not_after.ok_or_else(|| wrong(&"`notAfter` is missing"))?;
    let key: NoteVerifier = text("public")?.parse().map_err(|e| wrong(&e))?;
    let name = text("name")?;
    let signed = keys.vouched(text("proof")?).map_err(|e| wrong(&e))?;
    if signed != introduction_text(keys.origin(), &key, not_after) || key.name() != name {
        return Err(wrong(&"the log's key vouches for another one"));
    }
    Ok(Some((name.to_owned(), key, not_after)))
}

/// The tree with the leaves of a block, if header and edge of the block say the same.
pub(super) fn grown(
    range: &CompactRange,
    leaves: &[Digest],
    header: &Header,
    edge: &[u8],
) -> Result<CompactRange, ChainError> {
    let mut range = range.clone();
    leaves.iter().for_each(|leaf| range.append(*leaf));
    if range.root() != header.root || range.size() != header.size {
        return Err(ChainError::Root);
    }
    if range.to_bytes() != edge {
        return Err(ChainError::Edge);
    }
    Ok(range)
}
