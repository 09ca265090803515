//! C2SP signed notes (<https://c2sp.org/signed-note>): a text, an empty line, and signature lines. Seals and checkpoints
//! of the ledger are such notes, so that tools which are not ours can open them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::units::{hex, unhex};

use super::note_p256;

/// Signature type of Ed25519 in the note format.
const TYPE_ED25519: u8 = 0x01;
/// What begins a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";
/// Longest note that is opened; a checkpoint or a seal is far below.
const MAX_NOTE: usize = 64 * 1024;

/// A named secret key that signs notes.
pub struct NoteSigner {
    name: String,
    key: SigningKey,
}

/// A named public key that notes are opened with; written `name+hash+key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    hash: [u8; 4],
    key: NoteKey,
}

/// The types of keys that notes are opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NoteKey {
    Ed25519(VerifyingKey),
    /// What a service or device has that does not know Ed25519.
    P256(p256::ecdsa::VerifyingKey),
}

/// Why a note cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is not a verifier key.
    #[error("`{0}` is not a note verifier key; it looks like name+1a2b3c4d+base64")]
    Key(String),
    /// The text is not a signed note.
    #[error("the text is not a signed note")]
    Malformed,
    /// A name has a space or a plus sign, or is empty.
    #[error("`{0}` cannot name a note key; it must not be empty or hold spaces or plus signs")]
    Name(String),
    /// None of the keys signed it.
    #[error("the note is not signed by `{0}`")]
    Unsigned(String),
    /// A line of one of the keys does not verify.
    #[error("the signature of `{0}` does not verify")]
    Wrong(String),
}

pub(super) fn key_hash(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let digest = Sha256::new().chain_update(name).chain_update([b'\n', kind]).chain_update(key).finalize();
    let [a, b, c, d, ..]: [u8; 32] = digest.into();
    [a, b, c, d]
}

pub(super) fn check_name(name: &str) -> Result<(), NoteError> {
    let wrong = name.is_empty() || name.chars().any(|c| c.is_whitespace() || c == '+');
    if wrong { Err(NoteError::Name(name.to_owned())) } else { Ok(()) }
}

impl std::fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("NoteSigner").field(&self.name).finish()
    }
}

impl NoteSigner {
    /// A signer from 32 secret bytes that the caller brings.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn try_new(name: &str, seed: &[u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), key: SigningKey::from_bytes(seed) })
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public part.
    #[must_use]
    pub fn verifier(&self) -> NoteVerifier {
        let key = self.key.verifying_key();
        let hash = key_hash(&self.name, TYPE_ED25519, &key);
        NoteVerifier { name: self.name.clone(), hash, key: NoteKey::Ed25519(key) }
    }

    /// Signs `text`, which must end in a newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when it does not.
    pub fn sign(&self, text: &str) -> Result<String, NoteError> {
        Ok(format!("{text}\n{}", self.line(text)?))
    }

    /// The signature line for `text`, which must end in a newline.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when it does not.
    pub fn line(&self, text: &str) -> Result<String, NoteError> {
        if !text.ends_with('\n') {
            return Err(NoteError::Malformed);
        }
        let mut blob = key_hash(&self.name, TYPE_ED25519, &self.key.verifying_key()).to_vec();
        blob.extend_from_slice(&self.key.sign(text.as_bytes()).to_bytes());
        Ok(signature_line(&self.name, &blob))
    }
}

impl NoteVerifier {
    /// A key on the curve P-256, from its SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// [`NoteError::Name`]; [`NoteError::Key`] when the bytes are no such key.
    pub fn p256(name: &str, spki: &[u8]) -> Result<Self, NoteError> {
        check_name(name)?;
        let key = note_p256::read_spki(spki).ok_or_else(|| NoteError::Key(STANDARD.encode(spki)))?;
        Ok(Self { name: name.to_owned(), hash: note_p256::key_hash(&key), key: NoteKey::P256(key) })
    }

    /// The same key under another name, which must be one.
    #[must_use]
    pub fn renamed(&self, name: &str) -> Self {
        let hash = match &self.key {
            NoteKey::Ed25519(key) => key_hash(name, TYPE_ED25519, key),
            NoteKey::P256(key) => note_p256::key_hash(key),
        };
        Self { name: name.to_owned(), hash, key: self.key.clone() }
    }

    pub(super) fn hash(&self) -> [u8; 4] {
        self.hash
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The note with this key's signature alone: what others wrote below it is left out.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::Unsigned`], [`NoteError::Wrong`].
    pub fn without_others(&self, note: &str) -> Result<String, NoteError> {
        let text = open_note(note, self)?;
        let lines = Note::split(note)?;
        // Every line of this key was verified; one is enough.
        let blob = lines.of(&self.name, &self.hash).next().ok_or_else(|| NoteError::Unsigned(self.name.clone()))?;
        Ok(format!("{text}\n{}", signature_line(&self.name, blob)))
    }

    pub(super) fn verify(&self, text: &str, blob: &[u8]) -> bool {
        let Some(bytes) = blob.get(4..) else { return false };
        match &self.key {
            NoteKey::Ed25519(key) => {
                let signature = ed25519_dalek::Signature::from_slice(bytes);
                signature.is_ok_and(|s| key.verify_strict(text.as_bytes(), &s).is_ok())
            }
            NoteKey::P256(key) => note_p256::verify(key, text, bytes),
        }
    }
}

impl std::fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.key {
            NoteKey::Ed25519(key) => write_key(f, &self.name, TYPE_ED25519, key),
            NoteKey::P256(key) => {
                let bytes = [&[note_p256::TYPE_ECDSA][..], &note_p256::spki(key)].concat();
                write!(f, "{}+{}+{}", self.name, hex(&self.hash), STANDARD.encode(bytes))
            }
        }
    }
}

impl std::str::FromStr for NoteVerifier {
    type Err = NoteError;

    /// Reads `name+hash+key`.
    ///
    /// # Errors
    /// [`NoteError::Key`] for anything else, a hash that is not that of the key included; [`NoteError::Name`].
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let mut parts = text.trim().splitn(3, '+');
        if let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next())
            && let Some(spki) =
                STANDARD.decode(key).ok().as_deref().and_then(|b| b.strip_prefix(&[note_p256::TYPE_ECDSA]))
        {
            let key = Self::p256(name, spki)?;
            return if unhex(hash).as_deref() == Some(&key.hash) {
                Ok(key)
            } else {
                Err(NoteError::Key(text.to_owned()))
            };
        }
        let (name, hash, key) = read_key(text, TYPE_ED25519)?;
        Ok(Self { name, hash, key: NoteKey::Ed25519(key) })
    }
}

/// Writes a verifier key of this signature type.
pub(super) fn write_key(f: &mut std::fmt::Formatter<'_>, name: &str, kind: u8, key: &VerifyingKey) -> std::fmt::Result {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(key.as_bytes());
    write!(f, "{name}+{}+{}", hex(&key_hash(name, kind, key)), STANDARD.encode(bytes))
}

/// Reads a verifier key of this signature type: name, hash and key.
pub(super) fn read_key(text: &str, kind: u8) -> Result<(String, [u8; 4], VerifyingKey), NoteError> {
    let wrong = || NoteError::Key(text.to_owned());
    let mut parts = text.trim().splitn(3, '+');
    let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(wrong());
    };
    check_name(name)?;
    let bytes = STANDARD.decode(key).map_err(|_| wrong())?;
    let point = bytes.strip_prefix(&[kind]).ok_or_else(wrong)?;
    let point: &[u8; 32] = point.try_into().map_err(|_| wrong())?;
    let key = VerifyingKey::from_bytes(point).map_err(|_| wrong())?;
    let found = key_hash(name, kind, &key);
    if unhex(hash).as_deref() != Some(&found) || key.is_weak() {
        return Err(wrong());
    }
    Ok((name.to_owned(), found, key))
}

/// One signature line.
pub(super) fn signature_line(name: &str, blob: &[u8]) -> String {
    format!("{SIGNATURE_PREFIX}{name} {}\n", STANDARD.encode(blob))
}

/// A note taken apart: its text, and each signature line with its name and bytes.
pub(super) struct Note<'a> {
    pub(super) text: &'a str,
    pub(super) lines: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    pub(super) fn split(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE || note.chars().any(|c| c < ' ' && c != '\n') {
            return Err(NoteError::Malformed);
        }
        let at = note.rfind("\n\n").ok_or(NoteError::Malformed)?;
        let (text, signatures) = note.split_at_checked(at + 1).ok_or(NoteError::Malformed)?;
        let signatures = signatures.strip_prefix('\n').filter(|s| s.ends_with('\n')).ok_or(NoteError::Malformed)?;
        let line = |line: &'a str| {
            let (name, blob) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
            Some((name, STANDARD.decode(blob).ok()?))
        };
        let lines = signatures.lines().map(|l| line(l).ok_or(NoteError::Malformed)).collect::<Result<_, _>>()?;
        Ok(Self { text, lines })
    }

    /// The bytes of the lines of one key.
    pub(super) fn of<'b>(&'b self, name: &'b str, hash: &'b [u8; 4]) -> impl Iterator<Item = &'b [u8]> {
        self.lines.iter().filter(move |(n, blob)| *n == name && blob.starts_with(hash)).map(|(_, b)| b.as_slice())
    }
}

/// Opens a note: gives its text when `key` signed it. Lines of other keys are ignored, as the format demands.
///
/// # Errors
/// [`NoteError::Malformed`], [`NoteError::Unsigned`], [`NoteError::Wrong`].
pub fn open_note<'a>(note: &'a str, key: &NoteVerifier) -> Result<&'a str, NoteError> {
    let note = Note::split(note)?;
    let mut found = false;
    for blob in note.of(&key.name, &key.hash) {
        if !key.verify(note.text, blob) {
            return Err(NoteError::Wrong(key.name.clone()));
        }
        found = true;
    }
    if found { Ok(note.text) } else { Err(NoteError::Unsigned(key.name.clone())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_go_note_package_opens() {
        // Key and note of golang.org/x/mod/sumdb/note's documentation: an independent implementation's bytes.
        let key: NoteVerifier =
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().expect("key");
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
        assert!(open_note(note, &key).expect("opens").starts_with("If you think"));
        assert_eq!(key.to_string(), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
        assert_eq!(open_note(&note.replace("answer", "Answer"), &key), Err(NoteError::Wrong("PeterNeumann".into())));
    }

    #[test]
    fn a_note_opens_only_with_its_key() {
        let signer = NoteSigner::try_new("miax.dev/a", &[7; 32]).expect("name");
        let other = NoteSigner::try_new("miax.dev/b", &[8; 32]).expect("name");
        let note = signer.sign("hello\n\nworld\n").expect("signed");
        assert_eq!(open_note(&note, &signer.verifier()), Ok("hello\n\nworld\n"));
        assert_eq!(open_note(&note, &other.verifier()), Err(NoteError::Unsigned("miax.dev/b".into())));
        assert_eq!(open_note("hello\n", &signer.verifier()), Err(NoteError::Malformed));
        assert_eq!(signer.sign("hello"), Err(NoteError::Malformed));
        let both =
            format!("{note}{}", other.sign("hello\n\nworld\n").expect("signed").split_at("hello\n\nworld\n\n".len()).1);
        assert_eq!(open_note(&both, &other.verifier()), Ok("hello\n\nworld\n"));
        assert_eq!(signer.verifier().without_others(&both), Ok(note));
        assert!(NoteSigner::try_new("a b", &[7; 32]).is_err());
    }
}
