//! Writers: keys of processes, which seal blocks, and how a key of the log vouches for them.

use serde_json::{Map, Value};

use crate::trust::{NoteError, NoteSigner, NoteVerifier};
use crate::units::UnixMillis;

use super::entry::{Entry, EntryError};

/// Kind of the entry that introduces a writer's key. It counts only as the first entry of a block.
pub(super) const KEY_ADD: &str = "key.add";

/// A writer's secret key with the entry that introduces it.
#[derive(Debug)]
pub struct Writer {
    pub(super) signer: NoteSigner,
    introduction: Map<String, Value>,
    not_after: UnixMillis,
}

/// A writer's key that no key of the log has vouched for yet.
#[derive(Debug)]
pub struct WriterDraft {
    signer: NoteSigner,
    text: String,
    not_after: UnixMillis,
}

/// Why a writer cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriterError {
    /// Signing the introduction failed.
    #[error("the writer's key cannot be introduced: {0}")]
    Note(#[from] NoteError),
}

/// What the log's key signs to introduce a writer.
pub(super) fn introduction_text(origin: &str, verifier: &NoteVerifier, not_after: UnixMillis) -> String {
    format!("miax.dev/writer/v1\n{origin}\n{verifier}\n{not_after}\n")
}

impl WriterDraft {
    /// A writer from 32 secret random bytes that the caller brings.
    ///
    /// # Errors
    /// [`WriterError::Note`] when the name cannot name a key.
    pub fn try_new(origin: &str, name: &str, seed: &[u8; 32], not_after: UnixMillis) -> Result<Self, WriterError> {
        let signer = NoteSigner::try_new(name, seed)?;
        let text = introduction_text(origin, &signer.verifier(), not_after);
        Ok(Self { signer, text, not_after })
    }

    /// What a key of the log must sign.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The writer, with the signature line of a key of the log. Whether it holds is told by the first fold.
    #[must_use]
    pub fn introduced(self, line: &str) -> Writer {
        let Self { signer, text, not_after } = self;
        let introduction = Map::from_iter([
            ("name".to_owned(), Value::from(signer.name())),
            ("public".to_owned(), Value::from(signer.verifier().to_string())),
            ("notAfter".to_owned(), Value::from(not_after.0)),
            ("proof".to_owned(), Value::from(format!("{text}\n{line}"))),
        ]);
        Writer { signer, introduction, not_after }
    }
}

impl Writer {
    /// A writer from 32 secret random bytes that the caller brings, introduced by the log's key.
    ///
    /// # Errors
    /// [`WriterError::Note`] when the name cannot name a key.
    pub fn try_new(
        origin: &str,
        log_key: &NoteSigner,
        name: &str,
        seed: &[u8; 32],
        not_after: UnixMillis,
    ) -> Result<Self, WriterError> {
        let draft = WriterDraft::try_new(origin, name, seed, not_after)?;
        let line = log_key.line(draft.text())?;
        Ok(draft.introduced(&line))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.signer.name()
    }

    /// When its key expires.
    #[must_use]
    pub fn not_after(&self) -> UnixMillis {
        self.not_after
    }

    /// The entry that must be the first of its first block.
    ///
    /// # Errors
    /// Those of [`Entry::encode`].
    pub fn introduce(&self, now: UnixMillis) -> Result<Vec<u8>, EntryError> {
        let (kind, writer) = (KEY_ADD.to_owned(), self.name().to_owned());
        Entry { kind, time: now, writer, fields: self.introduction.clone() }.encode()
    }
}
