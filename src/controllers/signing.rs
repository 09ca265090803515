//! The log's signature on a checkpoint: a line by every key that is held here and vouches for its size, and what the cluster
//! says that was signed before.

use crate::ledger::{Checkpoint, LogKeys, VouchError};
use crate::store::{HeldKeys, LogSigner, SignError, sign_note};
use crate::trust::NoteVerifier;

/// Why a checkpoint is not signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SigningError {
    #[error(
        "no key of the Secret miax-ledger-key vouches for a log of {0} entries; restore the Secret from its backup"
    )]
    NoKey(u64),
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Signs checkpoints, each once: who holds a key may be slow, and need not give the same signature twice.
pub(super) struct Signing {
    held: HeldKeys,
    last: Option<Signed>,
}

struct Signed {
    checkpoint: Checkpoint,
    by: Vec<NoteVerifier>,
    note: String,
}

impl Signing {
    pub(super) fn new(held: HeldKeys) -> Self {
        Self { held, last: None }
    }

    /// Keys by which a checkpoint may contradict a log of this size whose own keys these are.
    pub(super) fn beside(&self, keys: &LogKeys, size: u64) -> LogKeys {
        self.held.borrow().beside(keys, size)
    }

    /// The note. While one key follows another both vouch, a line each: who knows either can open it.
    pub(super) async fn sign(&mut self, checkpoint: &Checkpoint, keys: &LogKeys) -> Result<String, SigningError> {
        let held = self.held.borrow().signers.clone();
        let vouches = |signer: &std::sync::Arc<dyn LogSigner>| keys.vouches(&signer.verifier(), checkpoint.size);
        let signers: Vec<_> = held.into_iter().filter(vouches).collect();
        if signers.is_empty() {
            return Err(SigningError::NoKey(checkpoint.size));
        }
        let by: Vec<NoteVerifier> = signers.iter().map(|signer| signer.verifier()).collect();
        if let Some(last) = self.last.as_ref().filter(|last| last.checkpoint == *checkpoint && last.by == by) {
            return Ok(last.note.clone());
        }
        let note = sign_note(&checkpoint.text(), &signers).await?;
        self.last = Some(Signed { checkpoint: checkpoint.clone(), by, note: note.clone() });
        Ok(note)
    }
}

/// What the cluster says that was vouched for; `None` before the first checkpoint, and for one that is void because its only
/// key was revoked: the next takes its place.
pub(super) fn known(note: &str, keys: &LogKeys) -> Result<Option<Checkpoint>, VouchError> {
    if note.is_empty() {
        return Ok(None);
    }
    match keys.open(note) {
        Ok(checkpoint) => Ok(Some(checkpoint)),
        Err(VouchError::OutsideOfWindow { size, last }) => {
            tracing::warn!(size, last, "the checkpoint in the cluster is void: its key vouches for less");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::KeyChange;
    use crate::store::LogKeyring;
    use crate::trust::{NoteSigner, open_note};
    use crate::units::{Digest, LogIndex};
    use std::sync::Arc;

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::try_new(ORIGIN, &[seed; 32]).expect("name")
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint { origin: ORIGIN.into(), size, root: Digest([7; 32]) }
    }

    /// A log of 10 entries where the second key is added, and of 20 where the first is retired.
    fn rotated() -> LogKeys {
        let mut keys = LogKeys::new(ORIGIN, signer(1).verifier());
        for (index, change) in
            [(10, KeyChange::Add(signer(2).verifier())), (20, KeyChange::Retire(signer(1).verifier()))]
        {
            let text = change.text(ORIGIN);
            let lines: String = [1, 2].map(|seed| signer(seed).line(&text).expect("signs")).concat();
            keys.apply(LogIndex(index), &change, &format!("{text}\n{lines}")).expect("taken in");
        }
        keys
    }

    #[tokio::test]
    async fn whoever_vouches_for_a_size_signs_it_and_nobody_else() {
        let signers = [1, 2, 3].map(|seed| Arc::new(signer(seed)) as Arc<dyn LogSigner>).to_vec();
        let held = tokio::sync::watch::channel(LogKeyring { signers, revoked: None }).1;
        let mut signing = Signing::new(held);
        for (size, expected) in [(10, [true, false, false]), (15, [true, true, false]), (21, [false, true, false])] {
            let note = signing.sign(&checkpoint(size), &rotated()).await.expect("signed");
            let lines = [1, 2, 3].map(|seed| open_note(&note, &signer(seed).verifier()).is_ok());
            assert_eq!(lines, expected, "{size}");
            assert_eq!(signing.sign(&checkpoint(size), &rotated()).await.expect("signed"), note);
            assert_eq!(known(&note, &rotated()).expect("opens"), Some(checkpoint(size)));
        }
        let stranger = tokio::sync::watch::channel(LogKeyring { signers: vec![Arc::new(signer(3))], revoked: None }).1;
        let refused = Signing::new(stranger).sign(&checkpoint(21), &rotated()).await.expect_err("nobody vouches");
        assert!(refused.to_string().contains("restore the Secret from its backup"), "{refused}");
    }

    #[test]
    fn a_checkpoint_that_only_a_key_without_right_signed_is_void() {
        let by = |seed: u8, size| checkpoint(size).sign(&signer(seed)).expect("signs");
        assert_eq!(known("", &rotated()), Ok(None));
        assert_eq!(known(&by(1, 20), &rotated()), Ok(Some(checkpoint(20))));
        assert_eq!(known(&by(1, 21), &rotated()), Ok(None), "the next one takes its place");
        assert!(known(&by(3, 20), &rotated()).is_err(), "that is no key of the log");
    }
}
