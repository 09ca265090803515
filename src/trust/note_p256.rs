//! Keys of notes on the curve P-256 (type 0x02 of <https://c2sp.org/signed-note>): what a key management service or a PKCS#11
//! device has, which takes a digest and never gives the key away.
//!
//! The identity of such a key is the hash of its SubjectPublicKeyInfo alone; the signature is ASN.1 over SHA-256 of the text.

use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use sha2::{Digest as _, Sha256};

use crate::units::Digest;

use super::canonical::sha256;
use super::note::{NoteError, NoteVerifier, signature_line};

/// Signature type of ECDSA in the note format.
pub(super) const TYPE_ECDSA: u8 = 0x02;

/// The SubjectPublicKeyInfo of a key, in DER.
pub(super) fn spki(key: &VerifyingKey) -> Vec<u8> {
    // A point of the curve always has one.
    key.to_public_key_der().map(|der| der.as_bytes().to_vec()).unwrap_or_default()
}

/// Reads a key from its SubjectPublicKeyInfo in DER, which has one spelling.
pub(super) fn read_spki(der: &[u8]) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_public_key_der(der).ok()?;
    (spki(&key) == der).then_some(key)
}

pub(super) fn key_hash(key: &VerifyingKey) -> [u8; 4] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(spki(key)).into();
    [a, b, c, d]
}

pub(super) fn verify(key: &VerifyingKey, text: &str, der: &[u8]) -> bool {
    let signature = Signature::from_der(der);
    signature.is_ok_and(|s| key.verify_prehash(&sha256(text.as_bytes()).0, &s).is_ok())
}

/// A note that somebody else signs: what they are given, and what is made of their answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsigned<'a> {
    text: &'a str,
    key: &'a NoteVerifier,
}

impl<'a> Unsigned<'a> {
    /// A note that the owner of a P-256 key shall sign.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when the text does not end in a newline.
    pub fn try_new(text: &'a str, key: &'a NoteVerifier) -> Result<Self, NoteError> {
        if text.ends_with('\n') { Ok(Self { text, key }) } else { Err(NoteError::Malformed) }
    }

    /// What is signed: SHA-256 of the text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.text.as_bytes())
    }

    /// The signature line from the answer of whoever holds the key: ASN.1, as services give it, or the two numbers of 32 bytes
    /// one after another, as PKCS#11 does. An answer is not believed: it is verified first.
    ///
    /// # Errors
    /// [`NoteError::Wrong`] when it is no signature of this text by this key.
    pub fn line(&self, answer: &[u8]) -> Result<String, NoteError> {
        let wrong = || NoteError::Wrong(self.key.name().to_owned());
        let signature = match answer.len() {
            64 => Signature::from_slice(answer),
            _ => Signature::from_der(answer),
        };
        let der = signature.map_err(|_| wrong())?.to_der();
        let blob = [&self.key.hash()[..], der.as_bytes()].concat();
        if !self.key.verify(self.text, &blob) {
            return Err(wrong());
        }
        Ok(signature_line(self.key.name(), &blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::open_note;
    use p256::ecdsa::SigningKey;
    use p256::ecdsa::signature::hazmat::PrehashSigner as _;

    fn device(seed: u8) -> SigningKey {
        SigningKey::from_slice(&[seed; 32]).expect("a key")
    }

    fn key(device: &SigningKey) -> NoteVerifier {
        NoteVerifier::p256("example.com/log", &spki(device.verifying_key())).expect("a key")
    }

    fn sign(device: &SigningKey, digest: &Digest) -> Signature {
        device.sign_prehash(&digest.0).expect("signs")
    }

    #[test]
    fn both_forms_of_an_answer_make_a_note_that_opens() {
        let device = device(7);
        let key = key(&device);
        let note = Unsigned::try_new("a log\n5\n", &key).expect("text");
        let signature = sign(&device, &note.digest());
        for answer in [signature.to_bytes().to_vec(), signature.to_der().as_bytes().to_vec()] {
            let whole = format!("a log\n5\n\n{}", note.line(&answer).expect("a signature"));
            assert_eq!(open_note(&whole, &key), Ok("a log\n5\n"));
            assert!(matches!(open_note(&whole.replace("\n5\n", "\n6\n"), &key), Err(NoteError::Wrong(_))));
        }
    }

    #[test]
    fn an_answer_is_not_believed() {
        let (right, wrong) = (device(7), device(8));
        let key = key(&right);
        let note = Unsigned::try_new("text\n", &key).expect("text");
        let refused = |name: &str, answer: &[u8]| {
            assert_eq!(note.line(answer), Err(NoteError::Wrong("example.com/log".into())), "{name}");
        };
        refused("nothing", b"");
        refused("zeros", &[0; 64]);
        refused("another key", sign(&wrong, &note.digest()).to_der().as_bytes());
        refused("another text", &sign(&right, &sha256(b"x")).to_bytes());
        let mut long = sign(&right, &note.digest()).to_der().as_bytes().to_vec();
        long.push(0);
        refused("a byte too many", &long);
        assert_eq!(Unsigned::try_new("no end", &key), Err(NoteError::Malformed));
    }

    #[test]
    fn a_p256_key_has_one_spelling() {
        let key = key(&device(7));
        let text = key.to_string();
        assert_eq!(text.parse(), Ok(key.clone()));
        let (_, hash, encoded) = {
            let mut parts = text.splitn(3, '+');
            (parts.next(), parts.next().expect("hash"), parts.next().expect("key"))
        };
        assert!(
            encoded.starts_with("AjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA"),
            "type 2, then the SPKI of P-256: {encoded}"
        );
        for wrong in [
            text.replace(hash, "00000000"),
            text.replace("+Aj", "+Aj".to_lowercase().as_str()),
            text.split_at(text.len() - 8).0.to_owned(),
        ] {
            assert!(wrong.parse::<NoteVerifier>().is_err(), "{wrong}");
        }
    }
}
