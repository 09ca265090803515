//! Software keys that sign: OpenSSH private keys and raw key files. A signature by an ssh-agent is only put together here.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use ssh_encoding::{Decode as _, Encode as _};
use ssh_key::private::KeypairData;
use ssh_key::{HashAlg, PrivateKey, SshSig};
use zeroize::Zeroizing;

use crate::api::names::SSHSIG_NAMESPACE;

use super::key::{KeyType, PublicKey};
use super::signature::SignatureFormat;

/// First line of a raw key file, before the base64 of the 32 secret bytes.
const RAW_ED25519: &str = "miax-key-v1 ed25519 ";
const RAW_P256: &str = "miax-key-v1 ecdsaP256 ";

/// A secret key. `Debug` prints its identity only.
pub struct SigningKey(Inner);

enum Inner {
    Ssh(Box<PrivateKey>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
    P256(Box<p256::ecdsa::SigningKey>),
}

/// Why a key cannot sign.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// The agent's answer is not a signature.
    #[error("the agent's answer is not a signature of this key")]
    Agent,
    /// The private key is encrypted and no passphrase was given, or a wrong one.
    #[error("the private key is encrypted; give its passphrase or add it to ssh-agent")]
    Encrypted,
    /// The secret part is in hardware.
    #[error("the secret part of this key is in hardware; add it to ssh-agent and sign with --agent")]
    Hardware,
    /// Miax does not know this type of key.
    #[error("keys of this type are not supported; use Ed25519 or ECDSA P-256")]
    KeyType,
    /// Signing failed.
    #[error("signing failed")]
    Sign,
    /// The text is not a private key.
    #[error("the file is neither an OpenSSH private key nor a miax key file")]
    Unreadable,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.public().map(|k| k.id().to_string()).unwrap_or_default();
        f.debug_tuple("SigningKey").field(&id).finish()
    }
}

impl SigningKey {
    /// A raw Ed25519 key from 32 secret random bytes that the caller brings.
    #[must_use]
    pub fn from_ed25519_seed(seed: &[u8; 32]) -> Self {
        Self(Inner::Ed25519(Box::new(ed25519_dalek::SigningKey::from_bytes(seed))))
    }

    /// Reads a key file: OpenSSH, or one line of Miax's raw form.
    ///
    /// # Errors
    /// [`SignerError::Encrypted`], [`SignerError::Hardware`], [`SignerError::KeyType`], [`SignerError::Unreadable`].
    pub fn read(text: &str, passphrase: Option<&str>) -> Result<Self, SignerError> {
        let raw = |encoded: &str| -> Result<Zeroizing<[u8; 32]>, SignerError> {
            let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).map_err(|_| SignerError::Unreadable)?);
            Ok(Zeroizing::new(bytes.as_slice().try_into().map_err(|_| SignerError::Unreadable)?))
        };
        if let Some(encoded) = text.strip_prefix(RAW_ED25519) {
            return Ok(Self::from_ed25519_seed(&*raw(encoded)?));
        }
        if let Some(encoded) = text.strip_prefix(RAW_P256) {
            let key = p256::ecdsa::SigningKey::from_slice(raw(encoded)?.as_slice());
            return Ok(Self(Inner::P256(Box::new(key.map_err(|_| SignerError::Unreadable)?))));
        }
        Self::read_openssh(text, passphrase)
    }

    fn read_openssh(text: &str, passphrase: Option<&str>) -> Result<Self, SignerError> {
        let mut key = PrivateKey::from_openssh(text).map_err(|_| SignerError::Unreadable)?;
        if key.is_encrypted() {
            key = key.decrypt(passphrase.ok_or(SignerError::Encrypted)?).map_err(|_| SignerError::Encrypted)?;
        }
        match key.key_data() {
            KeypairData::Ed25519(_) | KeypairData::Ecdsa(ssh_key::private::EcdsaKeypair::NistP256 { .. }) => {
                Ok(Self(Inner::Ssh(Box::new(key))))
            }
            KeypairData::SkEd25519(_) | KeypairData::SkEcdsaSha2NistP256(_) => Err(SignerError::Hardware),
            _ => Err(SignerError::KeyType),
        }
    }

    /// The raw key file of an Ed25519 key; `None` for other keys.
    #[must_use]
    pub fn to_raw_file(&self) -> Option<Zeroizing<String>> {
        match &self.0 {
            Inner::Ed25519(key) => Some(Zeroizing::new(format!("{RAW_ED25519}{}\n", STANDARD.encode(key.as_bytes())))),
            Inner::P256(key) => Some(Zeroizing::new(format!("{RAW_P256}{}\n", STANDARD.encode(key.to_bytes())))),
            Inner::Ssh(_) => None,
        }
    }

    /// The secret itself when it is a raw Ed25519 key, for what has a form of signatures of its own.
    pub(super) fn ed25519(&self) -> Option<&ed25519_dalek::SigningKey> {
        match &self.0 {
            Inner::Ed25519(key) => Some(key),
            Inner::P256(_) | Inner::Ssh(_) => None,
        }
    }

    /// The public key.
    ///
    /// # Errors
    /// [`SignerError::KeyType`] when Miax cannot verify such a key.
    pub fn public(&self) -> Result<PublicKey, SignerError> {
        let key = match &self.0 {
            Inner::Ssh(key) => PublicKey::parse_ssh_line(&key.public_key().to_openssh().unwrap_or_default()),
            Inner::Ed25519(key) => Ok(PublicKey::from_ed25519(key.verifying_key().to_bytes())),
            Inner::P256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                PublicKey::parse(KeyType::EcdsaP256, &STANDARD.encode(point.as_bytes()))
            }
        };
        key.map_err(|_| SignerError::KeyType)
    }

    /// Signs `message`; gives the format and the `value` for the object.
    ///
    /// # Errors
    /// [`SignerError::Sign`].
    pub fn sign(&self, message: &[u8]) -> Result<(SignatureFormat, String), SignerError> {
        match &self.0 {
            Inner::Ssh(key) => {
                let sig = SshSig::sign(key.as_ref(), SSHSIG_NAMESPACE, HashAlg::Sha512, message);
                Ok((SignatureFormat::Sshsig, encode(&sig.map_err(|_| SignerError::Sign)?)?))
            }
            Inner::Ed25519(key) => Ok((SignatureFormat::Ed25519, STANDARD.encode(key.sign(message).to_bytes()))),
            Inner::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                let low = signature.normalize_s().unwrap_or(signature);
                Ok((SignatureFormat::EcdsaP256, STANDARD.encode(low.to_bytes())))
            }
        }
    }
}

fn encode(sig: &SshSig) -> Result<String, SignerError> {
    let mut blob = Vec::new();
    sig.encode(&mut blob).map_err(|_| SignerError::Sign)?;
    Ok(STANDARD.encode(blob))
}

/// The bytes that an ssh-agent must sign for an SSHSIG signature over `message`.
///
/// # Errors
/// [`SignerError::Sign`].
pub fn ssh_signed_data(message: &[u8]) -> Result<Vec<u8>, SignerError> {
    SshSig::signed_data(SSHSIG_NAMESPACE, HashAlg::Sha512, message).map_err(|_| SignerError::Sign)
}

/// Puts the signature blob of an ssh-agent and the public key together to the `value` for the object.
///
/// # Errors
/// [`SignerError::Agent`] when the blob is not a signature.
pub fn assemble_agent_signature(key: &PublicKey, blob: &[u8]) -> Result<String, SignerError> {
    let mut reader = blob;
    let signature = ssh_key::Signature::decode(&mut reader).map_err(|_| SignerError::Agent)?;
    let sig = SshSig::new(key.key.clone(), SSHSIG_NAMESPACE, HashAlg::Sha512, signature);
    encode(&sig.map_err(|_| SignerError::Agent)?)
}
