//! A checkpoint: the signed head of the log in the form of <https://c2sp.org/tlog-checkpoint>, exactly three lines.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::trust::{NoteError, NoteSigner, NoteVerifier, WitnessKey, open_note};
use crate::units::Digest;

use super::log_keys::{LogKeys, VouchError};

/// Size and root of the log at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Digest,
}

/// A checkpoint that the log's key signed, or that a witness cosigned: what proofs are checked against. Its constructors check
/// the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint(Checkpoint);

/// Why a text is not a checkpoint of the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The text is not a checkpoint.
    #[error("the text is not a checkpoint: origin, size and root on three lines")]
    Malformed,
    /// The note does not open.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is a checkpoint of another log.
    #[error("the checkpoint is of the log `{0}`")]
    Origin(String),
}

/// What is made of lines after the third.
#[derive(Clone, Copy)]
enum Extensions {
    /// Our own log writes none: nobody could check them.
    Refused,
    /// Other logs may write them; they mean nothing to a witness.
    Ignored,
}

impl Checkpoint {
    /// What is signed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    /// The signed note.
    ///
    /// # Errors
    /// [`NoteError`] when the text cannot be a note.
    pub fn sign(&self, key: &NoteSigner) -> Result<String, NoteError> {
        key.sign(&self.text())
    }

    /// Opens a checkpoint of the log `origin` that `key` signed.
    ///
    /// # Errors
    /// Every variant of [`CheckpointError`].
    pub fn open(note: &str, origin: &str, key: &NoteVerifier) -> Result<Self, CheckpointError> {
        Self::read(open_note(note, key)?, origin, Extensions::Refused)
    }

    fn read(text: &str, origin: &str, extensions: Extensions) -> Result<Self, CheckpointError> {
        let mut lines = text.lines();
        let (Some(found), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(CheckpointError::Malformed);
        };
        let fits = match extensions {
            Extensions::Refused => lines.next().is_none(),
            Extensions::Ignored => lines.all(|line| !line.is_empty()),
        };
        if !fits {
            return Err(CheckpointError::Malformed);
        }
        if found != origin {
            return Err(CheckpointError::Origin(found.to_owned()));
        }
        let number = size.parse::<u64>().ok().filter(|n| n.to_string() == size);
        let root = STANDARD.decode(root).ok().and_then(|bytes| bytes.try_into().ok()).map(Digest);
        let (Some(size), Some(root)) = (number, root) else { return Err(CheckpointError::Malformed) };
        Ok(Self { origin: found.to_owned(), size, root })
    }

    /// The origin that a note claims, before any key is known; only to choose one.
    #[must_use]
    pub fn claimed_origin(note: &str) -> Option<&str> {
        note.lines().next().filter(|l| !l.is_empty())
    }
}

impl SignedCheckpoint {
    /// Opens a checkpoint of the log `origin` that `key` signed.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn open(note: &str, origin: &str, key: &NoteVerifier) -> Result<Self, CheckpointError> {
        Checkpoint::open(note, origin, key).map(Self)
    }

    /// Opens a checkpoint of the log whose keys these are: one that vouches for its size must have signed it.
    ///
    /// # Errors
    /// Those of [`LogKeys::open`].
    pub fn open_with(note: &str, keys: &LogKeys) -> Result<Self, VouchError> {
        keys.open(note).map(Self)
    }

    /// Opens a checkpoint of any log, for a witness: it may have extension lines, which are not empty and are not read.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn open_extended(note: &str, origin: &str, key: &NoteVerifier) -> Result<Self, CheckpointError> {
        Checkpoint::read(open_note(note, key)?, origin, Extensions::Ignored).map(Self)
    }

    /// Opens a checkpoint of any log that this witness cosigned; whether the log signed it, the witness checked.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub fn open_cosigned(note: &str, origin: &str, witness: &WitnessKey) -> Result<Self, CheckpointError> {
        Checkpoint::read(witness.open(note)?, origin, Extensions::Ignored).map(Self)
    }

    /// What was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_opens_for_its_log_only() {
        let key = NoteSigner::try_new("miax.dev/ecm/c/0", &[1; 32]).expect("name");
        let checkpoint = Checkpoint { origin: "miax.dev/ecm/c/0".into(), size: 7, root: Digest([9; 32]) };
        let note = checkpoint.sign(&key).expect("signs");
        let open = |note: &str, origin: &str| Checkpoint::open(note, origin, &key.verifier());
        assert_eq!(open(&note, "miax.dev/ecm/c/0"), Ok(checkpoint));
        assert_eq!(open(&note, "other"), Err(CheckpointError::Origin("miax.dev/ecm/c/0".into())));
        assert!(matches!(open(&note.replace("\n7\n", "\n8\n"), "miax.dev/ecm/c/0"), Err(CheckpointError::Note(_))));
        for text in ["miax.dev/ecm/c/0\n07\nAAAA\n", "miax.dev/ecm/c/0\n7\n", "miax.dev/ecm/c/0\n7\nx\ny\n"] {
            let note = key.sign(text).expect("signs");
            assert_eq!(open(&note, "miax.dev/ecm/c/0"), Err(CheckpointError::Malformed), "{text}");
        }
    }

    #[test]
    fn a_witness_reads_checkpoints_with_extension_lines_and_our_log_has_none() {
        let key = NoteSigner::try_new("log", &[1; 32]).expect("name");
        let root = STANDARD.encode([9; 32]);
        let check = |text: String, strict: bool, extended: bool| {
            let note = key.sign(&text).expect("signs");
            assert_eq!(SignedCheckpoint::open(&note, "log", &key.verifier()).is_ok(), strict, "{text}");
            assert_eq!(SignedCheckpoint::open_extended(&note, "log", &key.verifier()).is_ok(), extended, "{text}");
        };
        check(format!("log\n7\n{root}\n"), true, true);
        check(format!("log\n7\n{root}\nmore\n"), false, true);
        check(format!("log\n7\n{root}\n\nmore\n"), false, false);
        check(format!("log\n7\n{root}\n\n"), false, false);
        check("log\n7\n".to_owned(), false, false);
        check(format!("log\n07\n{root}\nmore\n"), false, false);
    }
}
