//! What an auditor remembers from one run to the next: how far the log was whole, so that it is noticed when it is set back
//! or rewritten, and so that a run can begin there.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::trust::{CanonicalError, canonical_json, read_canonical};
use crate::units::{BlockNumber, Digest, UnixMillis, hex, unhex};

use super::chain::{Head, LogTrust};
use super::checkpoint::Checkpoint;
use super::epoch::Lineage;
use super::log_keys::{KeyWindow, LogKeys};
use super::tree::CompactRange;

/// The form, in the field `format`.
const FORMAT: &str = "miax.dev/audit-state/v1";

/// How far an audit came. Nobody signs it: it is worth as much as the place where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditState {
    format: String,
    /// Origin of the log.
    origin: String,
    /// Number of entries.
    size: u64,
    /// Root of the tree over them.
    root: Digest,
    /// Number of blocks.
    blocks: BlockNumber,
    /// Digest of the last block's header.
    previous: Digest,
    /// The compact range, in hex.
    edge: String,
    /// The writers that were introduced so far.
    writers: Vec<KnownWriter>,
    /// The log's keys, when there was ever another one than the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<KeyWindow>,
    /// The first block of each epoch after the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    epochs: Vec<BlockNumber>,
}

/// A writer that the log's key introduced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct KnownWriter {
    pub(super) public: String,
    pub(super) not_after: UnixMillis,
}

/// Why a text is not the state of an audit of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuditStateError {
    /// Its parts do not belong together.
    #[error("its {0} does not fit the rest; it was changed")]
    Contradiction(&'static str),
    /// It is of another log.
    #[error("it is of the log `{0}`")]
    Origin(String),
    /// The text is not of the form.
    #[error("it is not the state of an audit: {0}")]
    Unreadable(String),
}

impl AuditState {
    /// The state after everything up to this head was whole.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        let Head { trust, lineage, next, previous, range, writers, keys } = head;
        let writers = writers.values().map(|(key, end)| KnownWriter { public: key.to_string(), not_after: *end });
        Self {
            format: FORMAT.to_owned(),
            origin: trust.origin.clone(),
            size: range.size(),
            root: range.root(),
            blocks: *next,
            previous: *previous,
            edge: hex(&range.to_bytes()),
            writers: writers.collect(),
            keys: if keys.is_rotated() { keys.windows() } else { Vec::new() },
            epochs: lineage.starts().to_vec(),
        }
    }

    /// The state as canonical JSON on one line.
    ///
    /// # Errors
    /// [`CanonicalError`] when it cannot be written: a size of 2^53 and more.
    pub fn to_text(&self) -> Result<String, CanonicalError> {
        let bytes = canonical_json(&serde_json::to_value(self).unwrap_or_default())?.into_vec();
        Ok(format!("{}\n", String::from_utf8_lossy(&bytes)))
    }

    /// Reads the state of an audit of the log `origin`.
    ///
    /// # Errors
    /// [`AuditStateError::Unreadable`], [`AuditStateError::Origin`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, AuditStateError> {
        let wrong = |what: &dyn std::fmt::Display| AuditStateError::Unreadable(what.to_string());
        let value = read_canonical(text.strip_suffix('\n').unwrap_or(text).as_bytes());
        let value = value.ok_or_else(|| wrong(&"it is not canonical JSON"))?;
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        if format != FORMAT {
            return Err(wrong(&format!("it has the form `{format}`; this version of miax reads {FORMAT}")));
        }
        let state: Self = serde_json::from_value(value).map_err(|e| wrong(&e))?;
        if state.origin == origin { Ok(state) } else { Err(AuditStateError::Origin(state.origin)) }
    }

    /// Size and root: what the log must still contain.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { origin: self.origin.clone(), size: self.size, root: self.root }
    }

    /// Number of blocks.
    #[must_use]
    pub fn blocks(&self) -> BlockNumber {
        self.blocks
    }

    /// Digest of the last block's header.
    #[must_use]
    pub fn previous(&self) -> Digest {
        self.previous
    }

    /// The head from which a run goes on.
    ///
    /// # Errors
    /// [`AuditStateError::Contradiction`].
    pub fn resume(&self, trust: LogTrust) -> Result<Head, AuditStateError> {
        let Self { format: _, origin: _, size, root, blocks, previous, edge, writers, keys, epochs } = self;
        let range = unhex(edge).and_then(|bytes| CompactRange::from_bytes(*size, &bytes));
        let range = range.filter(|range| range.root() == *root).ok_or(AuditStateError::Contradiction("edge"))?;
        let writer = |known: &KnownWriter| {
            let key: crate::trust::NoteVerifier = known.public.parse().ok()?;
            Some((key.name().to_owned(), (key, known.not_after)))
        };
        let writers = writers.iter().map(writer).collect::<Option<_>>();
        let writers = std::sync::Arc::new(writers.ok_or(AuditStateError::Contradiction("list of writers"))?);
        let keys = match keys.as_slice() {
            [] => LogKeys::new(&trust.origin, trust.key.clone()),
            windows => LogKeys::of_windows(&trust, windows).ok_or(AuditStateError::Contradiction("list of keys"))?,
        };
        let lineage = Lineage::of_starts(epochs).filter(|lineage| lineage.epoch() == trust.epoch);
        let lineage = std::sync::Arc::new(lineage.ok_or(AuditStateError::Contradiction("list of epochs"))?);
        let (trust, keys) = (std::sync::Arc::new(trust), std::sync::Arc::new(keys));
        Ok(Head { trust, lineage, next: *blocks, previous: *previous, range, writers, keys })
    }
}
