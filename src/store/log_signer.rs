//! The seam to whoever holds a log's key: this process, or a service or device that never gives it away.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::ledger::LogKeys;
use crate::trust::{NoteError, NoteSigner, NoteVerifier, Unsigned};
use crate::units::Digest;

/// Why a log's key did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Whoever holds the key did not answer, or refused.
    #[error("the holder of the log's key did not sign: {0}")]
    Holder(String),
    /// What came is no signature, or the text is no note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// Signs notes for a log.
///
/// Contract. *Consistency*: every line is by the key of `verifier`, which never changes. *Retries*: none; the caller asks
/// again, and two signatures of one text do no harm. *Concurrency*: any number of callers. *Attacker*: whoever can ask may have
/// anything signed that they like; witnesses find a second history.
pub trait LogSigner: Send + Sync {
    /// The public part.
    fn verifier(&self) -> NoteVerifier;

    /// The signature line for this text, which ends in a newline.
    fn sign_line<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<String, SignError>>;
}

/// Holds a P-256 key and signs digests with it, as a key management service or a PKCS#11 device does.
///
/// Contract. The answer is ASN.1, or the two numbers of 32 bytes. It is verified, so that a wrong one does no harm. A call that
/// takes longer than its caller waits is given up. *Attacker*: whoever owns the device owns the log's key.
pub trait DigestSigner: Send + Sync {
    /// Signs a SHA-256 digest.
    fn sign_digest(&self, digest: Digest) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// A log's key in a device.
pub struct DeviceKey<D> {
    key: NoteVerifier,
    device: D,
}

impl<D: DigestSigner> DeviceKey<D> {
    /// The key of this name whose SubjectPublicKeyInfo is this, in DER, as the device exports it.
    ///
    /// # Errors
    /// [`NoteError::Name`]; [`NoteError::Key`] when it is no P-256 key.
    pub fn try_new(name: &str, spki: &[u8], device: D) -> Result<Self, NoteError> {
        Ok(Self { key: NoteVerifier::p256(name, spki)?, device })
    }
}

impl LogSigner for NoteSigner {
    fn verifier(&self) -> NoteVerifier {
        Self::verifier(self)
    }

    fn sign_line<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<String, SignError>> {
        let line = self.line(text).map_err(SignError::Note);
        Box::pin(async move { line })
    }
}

impl<D: DigestSigner> LogSigner for DeviceKey<D> {
    fn verifier(&self) -> NoteVerifier {
        self.key.clone()
    }

    fn sign_line<'a>(&'a self, text: &'a str) -> BoxFuture<'a, Result<String, SignError>> {
        Box::pin(async move {
            let note = Unsigned::try_new(text, &self.key)?;
            let answer = self.device.sign_digest(note.digest()).await.map_err(SignError::Holder)?;
            Ok(note.line(&answer)?)
        })
    }
}

/// What this process holds of the log's keys. It is read again while the process runs, so that a key can follow another.
#[derive(Clone, Default)]
pub struct LogKeyring {
    /// Whoever signs, the one that is used first in front.
    pub signers: Vec<Arc<dyn LogSigner>>,
    /// A key that is in wrong hands, and the largest size that is known to be right.
    pub revoked: Option<(NoteVerifier, u64)>,
}

impl LogKeyring {
    /// The public keys.
    pub fn verifiers(&self) -> impl Iterator<Item = NoteVerifier> {
        self.signers.iter().map(|signer| signer.verifier())
    }

    /// Keys by which a checkpoint may contradict a log of this size whose own keys these are: a log that was set back to before
    /// a `key.add` does not know the key that vouches against it, but who holds it does.
    #[must_use]
    pub fn beside(&self, keys: &LogKeys, size: u64) -> LogKeys {
        keys.with_held(size, self.verifiers())
    }
}

/// A keyring that follows what its owner puts into it.
pub type HeldKeys = watch::Receiver<LogKeyring>;

/// A keyring of one key, for good.
#[must_use]
pub fn held(signer: impl LogSigner + 'static) -> HeldKeys {
    watch::channel(LogKeyring { signers: vec![Arc::new(signer)], revoked: None }).1
}

/// A note of this text that all of these signed, a line each. None of them may be missing: during a rotation both must vouch.
///
/// # Errors
/// [`SignError`] of the first that did not sign.
pub async fn sign_note(text: &str, signers: &[Arc<dyn LogSigner>]) -> Result<String, SignError> {
    let mut note = format!("{text}\n");
    for signer in signers {
        note.push_str(&signer.sign_line(text).await?);
    }
    Ok(note)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::open_note;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;
    use p256::ecdsa::{Signature, SigningKey};
    use p256::pkcs8::EncodePublicKey as _;

    /// A device in software: it answers in either form, late or wrongly.
    struct Device {
        key: SigningKey,
        answer: fn(Signature) -> Result<Vec<u8>, String>,
    }

    impl DigestSigner for Device {
        fn sign_digest(&self, digest: Digest) -> BoxFuture<'_, Result<Vec<u8>, String>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                let signature = self.key.sign_prehash(&digest.0).map_err(|e| e.to_string())?;
                (self.answer)(signature)
            })
        }
    }

    fn device(answer: fn(Signature) -> Result<Vec<u8>, String>) -> DeviceKey<Device> {
        let key = SigningKey::from_slice(&[7; 32]).expect("a key");
        let spki = key.verifying_key().to_public_key_der().expect("a point").as_bytes().to_vec();
        DeviceKey::try_new("example.com/log", &spki, Device { key, answer }).expect("a key")
    }

    #[tokio::test]
    async fn a_device_and_a_file_sign_one_note() {
        let file = NoteSigner::try_new("example.com/log", &[1; 32]).expect("name");
        let verifier = file.verifier();
        for answer in [|s: Signature| Ok(s.to_bytes().to_vec()), |s: Signature| Ok(s.to_der().as_bytes().to_vec())] {
            let file: Arc<dyn LogSigner> = Arc::new(NoteSigner::try_new("example.com/log", &[1; 32]).expect("name"));
            let device: Arc<dyn LogSigner> = Arc::new(device(answer));
            let note = sign_note("a log\n7\n", &[file, device.clone()]).await.expect("both sign");
            assert_eq!(open_note(&note, &verifier), Ok("a log\n7\n"));
            assert_eq!(open_note(&note, &device.verifier()), Ok("a log\n7\n"));
        }
    }

    #[tokio::test]
    async fn a_device_that_fails_or_lies_signs_nothing() {
        let check = async |answer: fn(Signature) -> Result<Vec<u8>, String>, part: &str| {
            let signers: [Arc<dyn LogSigner>; 1] = [Arc::new(device(answer))];
            let error = sign_note("a log\n7\n", &signers).await.expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        };
        check(|_| Err("the token was removed".into()), "did not sign: the token was removed").await;
        check(|_| Ok(vec![0; 64]), "does not verify").await;
        check(|s| Ok(s.to_bytes()[1..].to_vec()), "does not verify").await;
    }
}
