//! A fork proof: what shows to everybody, by the log's key alone, that a log told two histories. It holds signed statements
//! that no honest holder of their key makes both of, so that it needs no trust in whoever brings it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::trust::{CanonicalError, NoteVerifier, canonical_json, read_canonical, sha256};
use crate::units::{BlockNumber, Digest};

use super::block::{BlockError, Header};
use super::chain::{ChainError, Introduced, read_introduction};
use super::checkpoint::{Checkpoint, CheckpointError};
use super::log_keys::LogKeys;
use super::tree::{CompactRange, heights};

/// The form, in the field `format`.
const FORMAT: &str = "miax.dev/fork-proof/v1";

/// Two statements that cannot both be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum ForkProof {
    /// Two signed checkpoints of one size with different roots.
    Roots {
        /// One, a signed note.
        first: String,
        /// The other.
        second: String,
    },
    /// Two signed checkpoints of which the newer does not continue the older. A consistency proof that fails shows nothing:
    /// it may only be a wrong one. This one opens the newer tree and shows which root it has at the older size.
    Histories {
        /// The smaller checkpoint, a signed note.
        older: String,
        /// The larger one.
        newer: String,
        /// The roots of the perfect subtrees of the newer tree: those that end at the older size, then those up to the newer.
        nodes: Vec<Digest>,
    },
    /// Two sealed blocks of one number.
    Blocks {
        /// One.
        first: Sealed,
        /// The other.
        second: Sealed,
    },
}

/// What shows that a writer sealed a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sealed {
    /// The block's header, exactly as it was sealed.
    pub header: String,
    /// The seal, a signed note.
    pub seal: String,
    /// The entry by which the log's key introduced the writer.
    pub introduction: String,
}

/// Who made both statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Whoever holds the log's key.
    LogKey(String),
    /// Two keys of the log, one of which followed the other: whoever holds them told two histories.
    LogKeys(String, String),
    /// Whoever holds this key of a writer.
    Writer(String),
    /// Two writers sealed a block each. Whoever loses a race does so too, so that this names nobody; it shows that one of
    /// the two was replaced, if both were stored.
    Nobody(String, String),
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// Who made both statements.
    pub culprit: Culprit,
    /// What contradicts what, in a sentence.
    pub what: String,
}

/// Why a text shows no fork.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkError {
    /// A header or a seal is wrong.
    #[error("a block in the proof is wrong: {0}")]
    Block(#[from] BlockError),
    /// A checkpoint does not open.
    #[error("a checkpoint in the proof: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Both statements can be true.
    #[error("the two statements do not contradict each other")]
    Consistent,
    /// A block is of another epoch.
    #[error("a block in the proof is of the epoch {0}")]
    Epoch(u16),
    /// The form is of another version.
    #[error("the proof has the form `{0}`; this version of miax reads {FORMAT}")]
    Format(String),
    /// The introduction of a writer is wrong.
    #[error("a writer in the proof: {0}")]
    Introduction(ChainError),
    /// The nodes are not those of the newer tree.
    #[error("the nodes in the proof are not the tree that the checkpoint over {size} entries vouches for")]
    Nodes {
        /// Its size.
        size: u64,
    },
    /// The text is not a proof.
    #[error("this is not a fork proof: {0}")]
    Unreadable(String),
}

impl ForkProof {
    /// The proof as canonical JSON on one line.
    ///
    /// # Errors
    /// [`CanonicalError`] when it cannot be written, which a proof that was checked never is.
    pub fn to_text(&self) -> Result<String, CanonicalError> {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(map) = &mut value {
            map.insert("format".to_owned(), Value::from(FORMAT));
        }
        let bytes = canonical_json(&value)?.into_vec();
        Ok(format!("{}\n", String::from_utf8_lossy(&bytes)))
    }

    /// Reads a proof. There is one spelling.
    ///
    /// # Errors
    /// [`ForkError::Unreadable`], [`ForkError::Format`].
    pub fn parse(text: &str) -> Result<Self, ForkError> {
        let wrong = |what: &str| ForkError::Unreadable(what.to_owned());
        let value = read_canonical(text.strip_suffix('\n').unwrap_or(text).as_bytes());
        let Some(Value::Object(mut map)) = value else { return Err(wrong("it is not a canonical JSON object")) };
        match map.remove("format") {
            Some(Value::String(format)) if format == FORMAT => {}
            Some(Value::String(format)) => return Err(ForkError::Format(format)),
            Some(_) | None => return Err(wrong("the field `format` is missing")),
        }
        serde_json::from_value(Value::Object(map)).map_err(|e| ForkError::Unreadable(e.to_string()))
    }

    /// Checks that both statements were made, and contradict each other.
    ///
    /// # Errors
    /// Every variant of [`ForkError`] except [`ForkError::Unreadable`] and [`ForkError::Format`].
    pub fn check(&self, keys: &LogKeys, epoch: u16) -> Result<Fork, ForkError> {
        match self {
            Self::Roots { first, second } => {
                let ((first, by_first), (second, by_second)) = (keys.signed(first)?, keys.signed(second)?);
                if first.size != second.size || first.root == second.root {
                    return Err(ForkError::Consistent);
                }
                let (size, one, other) = (first.size, first.root, second.root);
                let what = format!("the log's key signed two roots over {size} entries: {one} and {other}");
                Ok(Fork { culprit: Culprit::of_log(&by_first, &by_second), what })
            }
            Self::Histories { older, newer, nodes } => {
                let ((older, by_older), (newer, by_newer)) = (keys.signed(older)?, keys.signed(newer)?);
                let root = root_within(&newer, older.size, nodes).ok_or(ForkError::Nodes { size: newer.size })?;
                if root == older.root {
                    return Err(ForkError::Consistent);
                }
                let Checkpoint { origin: _, size, root: signed } = older;
                let what = format!(
                    "the log's key signed {signed} over {size} entries, and a log of {} entries whose first {size} have the root {root}",
                    newer.size
                );
                Ok(Fork { culprit: Culprit::of_log(&by_older, &by_newer), what })
            }
            Self::Blocks { first, second } => {
                let ((number, one, writer), (other_number, other, other_writer)) =
                    (first.open(keys, epoch)?, second.open(keys, epoch)?);
                if number != other_number || one == other {
                    return Err(ForkError::Consistent);
                }
                let what = format!("block {number} was sealed twice: {one} and {other}");
                let culprit = match (writer.1 == other_writer.1, writer, other_writer) {
                    (true, (_, key, _), _) => Culprit::Writer(key.to_string()),
                    (false, (_, key, _), (_, other, _)) => Culprit::Nobody(key.to_string(), other.to_string()),
                };
                Ok(Fork { culprit, what })
            }
        }
    }
}

/// The root that the first `size` entries have in the tree of `newer`; `None` when the nodes are not of that tree.
fn root_within(newer: &Checkpoint, size: u64, nodes: &[Digest]) -> Option<Digest> {
    let (kept, grown) = (heights(0, size), heights(size, newer.size));
    if size > newer.size || kept.len() + grown.len() != nodes.len() {
        return None;
    }
    let (first, rest) = nodes.split_at_checked(kept.len())?;
    let mut range = CompactRange::default();
    let append = |range: &mut CompactRange, heights: &[u32], nodes: &[Digest]| {
        heights.iter().zip(nodes).all(|(height, node)| range.append_subtree(*height, *node))
    };
    if !append(&mut range, &kept, first) {
        return None;
    }
    let root = range.root();
    (append(&mut range, &grown, rest) && range.root() == newer.root).then_some(root)
}

impl Sealed {
    /// Number and digest of the block, and the writer who sealed it.
    fn open(&self, keys: &LogKeys, epoch: u16) -> Result<(BlockNumber, Digest, Introduced), ForkError> {
        let Self { header: text, seal, introduction } = self;
        let header = Header::read(text)?;
        if header.epoch != epoch {
            return Err(ForkError::Epoch(header.epoch));
        }
        let introduced = read_introduction(introduction.as_bytes(), keys).map_err(ForkError::Introduction)?;
        let unknown = || ForkError::Introduction(ChainError::WriterUnknown(header.writer.clone()));
        let writer = introduced.filter(|(name, ..)| *name == header.writer).ok_or_else(unknown)?;
        let digest = sha256(text.as_bytes());
        header.check_seal(&digest, seal, keys.origin(), &writer.1)?;
        Ok((header.number, digest, writer))
    }
}

impl Culprit {
    /// Who signed both of two statements; when no single key did, one for each.
    fn of_log(first: &[&NoteVerifier], second: &[&NoteVerifier]) -> Self {
        let name = |key: Option<&&NoteVerifier>| key.map(ToString::to_string).unwrap_or_default();
        match first.iter().find(|key| second.contains(key)) {
            Some(both) => Self::LogKey(both.to_string()),
            None => Self::LogKeys(name(first.first()), name(second.first())),
        }
    }

    /// In a word.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::LogKey(_) | Self::LogKeys(..) => "log key",
            Self::Writer(_) => "writer",
            Self::Nobody(..) => "nobody",
        }
    }

    /// The keys that made the statements.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        match self {
            Self::LogKey(key) | Self::Writer(key) => vec![key],
            Self::LogKeys(one, other) | Self::Nobody(one, other) => vec![one, other],
        }
    }
}

impl std::fmt::Display for Culprit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LogKey(key) => write!(f, "the log's key misbehaved: {key}"),
            Self::LogKeys(one, other) => {
                write!(f, "keys of the log misbehaved, of which one followed the other: {one} and {other}")
            }
            Self::Writer(key) => write!(f, "a writer's key misbehaved: {key}"),
            Self::Nobody(one, other) => write!(
                f,
                "no key is proven to misbehave: two writers sealed a block each, and whoever loses a race does so too: {one} and {other}"
            ),
        }
    }
}
