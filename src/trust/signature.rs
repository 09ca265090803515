//! Verification of one signature over one message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::signature::Verifier as _;
use ssh_encoding::Decode as _;
use ssh_key::public::{EcdsaPublicKey, KeyData};
use ssh_key::{HashAlg, SshSig};

use crate::api::names::SSHSIG_NAMESPACE;

use super::key::{KeyType, PublicKey};

/// How a signature's `value` is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureFormat {
    /// OpenSSH's SSHSIG blob in base64, without armour lines.
    Sshsig,
    /// 64 bytes of RFC 8032 in base64.
    Ed25519,
    /// r and s, 32 bytes each, with the low s, in base64: one spelling for one signature.
    EcdsaP256,
}

/// Why a signature does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The mathematics say no: another message, another key, or altered bytes.
    #[error("it does not verify over this document")]
    BadSignature,
    /// The format does not fit to the key's type.
    #[error("its format does not fit to the type of the key")]
    FormatMismatch,
    /// `value` is not base64.
    #[error("its value is not base64")]
    MalformedBase64,
    /// The bytes are not a signature.
    #[error("its value is not a signature")]
    MalformedSignature,
    /// A hardware key signed without its user's touch.
    #[error("the hardware key signed without a touch")]
    PresenceMissing,
    /// An SSHSIG blob names another key.
    #[error("it was made with another key")]
    WrongKey,
    /// An SSHSIG blob was made for another purpose.
    #[error("it was made for the namespace `{found}`, not `{SSHSIG_NAMESPACE}`")]
    WrongNamespace {
        /// The namespace that it was made for.
        found: String,
    },
}

/// Flag of a FIDO assertion: the user was present.
const USER_PRESENT: u8 = 0x01;
/// Flags (1 byte) and counter (4 bytes) that end an sk- signature blob.
const SK_TRAILER: usize = 5;

impl SignatureFormat {
    /// Every format.
    pub const ALL: [Self; 3] = [Self::Sshsig, Self::Ed25519, Self::EcdsaP256];

    /// The word in the object.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sshsig => "sshsig",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsaP256",
        }
    }

    /// The format with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|f| f.as_str() == text)
    }
}

/// Verifies `value` over `message` with `key`.
///
/// # Errors
/// Every variant of [`SignatureError`].
pub fn verify(key: &PublicKey, format: SignatureFormat, value: &str, message: &[u8]) -> Result<(), SignatureError> {
    let bytes = STANDARD.decode(value).map_err(|_| SignatureError::MalformedBase64)?;
    match (format, key.kind) {
        (SignatureFormat::Ed25519, KeyType::Ed25519) => verify_ed25519(&key.key, &bytes, message),
        (SignatureFormat::EcdsaP256, KeyType::EcdsaP256) => verify_p256(&key.key, &bytes, message),
        (
            SignatureFormat::Sshsig,
            KeyType::SshEd25519 | KeyType::SshEcdsaP256 | KeyType::SshSkEd25519 | KeyType::SshSkEcdsaP256,
        ) => verify_sshsig(key, &bytes, message),
        _ => Err(SignatureError::FormatMismatch),
    }
}

/// Strict verification: small-order and non-canonical points are refused, so that one message has one verdict everywhere.
fn verify_ed25519(key: &KeyData, signature: &[u8], message: &[u8]) -> Result<(), SignatureError> {
    let KeyData::Ed25519(point) = key else { return Err(SignatureError::FormatMismatch) };
    let key = ed25519_dalek::VerifyingKey::from_bytes(&point.0).map_err(|_| SignatureError::BadSignature)?;
    let signature = ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError::MalformedSignature)?;
    key.verify_strict(message, &signature).map_err(|_| SignatureError::BadSignature)
}

fn verify_p256(key: &KeyData, signature: &[u8], message: &[u8]) -> Result<(), SignatureError> {
    let KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)) = key else { return Err(SignatureError::FormatMismatch) };
    let key = p256::ecdsa::VerifyingKey::from_encoded_point(point).map_err(|_| SignatureError::BadSignature)?;
    let signature = p256::ecdsa::Signature::from_slice(signature).map_err(|_| SignatureError::MalformedSignature)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureError::MalformedSignature);
    }
    key.verify(message, &signature).map_err(|_| SignatureError::BadSignature)
}

fn verify_sshsig(key: &PublicKey, blob: &[u8], message: &[u8]) -> Result<(), SignatureError> {
    let mut reader = blob;
    let sig = SshSig::decode(&mut reader).map_err(|_| SignatureError::MalformedSignature)?;
    // Trailing bytes, a non-empty reserved field or another version would be a second spelling of one signature.
    if !reader.is_empty() || !sig.reserved().is_empty() || sig.version() != SshSig::VERSION {
        return Err(SignatureError::MalformedSignature);
    }
    if sig.namespace() != SSHSIG_NAMESPACE {
        return Err(SignatureError::WrongNamespace { found: sig.namespace().chars().take(64).collect() });
    }
    if *sig.public_key() != key.key {
        return Err(SignatureError::WrongKey);
    }
    if key.kind.is_hardware() {
        let bytes = sig.signature_bytes();
        let flags = bytes.len().checked_sub(SK_TRAILER).and_then(|at| bytes.get(at));
        if flags.ok_or(SignatureError::MalformedSignature)? & USER_PRESENT == 0 {
            return Err(SignatureError::PresenceMissing);
        }
    }
    let signed =
        SshSig::signed_data(SSHSIG_NAMESPACE, hash(&sig)?, message).map_err(|_| SignatureError::MalformedSignature)?;
    match key.kind {
        KeyType::SshEd25519 => verify_ed25519(&key.key, sig.signature_bytes(), &signed),
        _ => key.key.verify(&signed, sig.signature()).map_err(|_| SignatureError::BadSignature),
    }
}

fn hash(sig: &SshSig) -> Result<HashAlg, SignatureError> {
    match sig.hash_alg() {
        known @ (HashAlg::Sha256 | HashAlg::Sha512) => Ok(known),
        _ => Err(SignatureError::MalformedSignature),
    }
}
