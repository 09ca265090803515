//! Public keys and their identity.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use ssh_key::public::{EcdsaPublicKey, Ed25519PublicKey, KeyData};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg};

/// What kind of key a charter lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// OpenSSH Ed25519.
    SshEd25519,
    /// OpenSSH ECDSA on P-256.
    SshEcdsaP256,
    /// OpenSSH Ed25519 on a hardware key.
    SshSkEd25519,
    /// OpenSSH ECDSA on P-256 on a hardware key.
    SshSkEcdsaP256,
    /// Raw Ed25519: 32 bytes in base64.
    Ed25519,
    /// Raw ECDSA on P-256: a SEC 1 point in base64.
    EcdsaP256,
}

/// Identity of a key: the OpenSSH fingerprint of the key's bytes. The same key has the same identity whether it is listed
/// in its raw or its OpenSSH form, so that it cannot count as two (R2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

/// A public key that can verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    pub(super) kind: KeyType,
    /// The key in OpenSSH's structure, which also gives the fingerprint.
    pub(super) key: KeyData,
}

/// Why a text is not a usable public key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not base64.
    #[error("the public key is not base64")]
    Base64,
    /// The key is of another type than the one that is named.
    #[error("the public key is not of the type {expected}")]
    OtherType {
        /// The type that is named.
        expected: &'static str,
    },
    /// The text is not a public key.
    #[error("the public key cannot be read; for ssh keys write the line of the .pub file")]
    Unreadable,
    /// Anyone could sign for this key.
    #[error("the public key is a weak point for which anyone could sign")]
    Weak,
}

impl KeyType {
    /// Every type.
    pub const ALL: [Self; 6] = [
        Self::SshEd25519,
        Self::SshEcdsaP256,
        Self::SshSkEd25519,
        Self::SshSkEcdsaP256,
        Self::Ed25519,
        Self::EcdsaP256,
    ];
    /// The words for messages.
    pub const CHOICES: &'static str = "sshEd25519, sshEcdsaP256, sshSkEd25519, sshSkEcdsaP256, ed25519, ecdsaP256";

    /// The word in the charter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SshEd25519 => "sshEd25519",
            Self::SshEcdsaP256 => "sshEcdsaP256",
            Self::SshSkEd25519 => "sshSkEd25519",
            Self::SshSkEcdsaP256 => "sshSkEcdsaP256",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsaP256",
        }
    }

    /// The type with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.as_str() == text)
    }

    /// The type of an OpenSSH public key, if Miax knows it.
    fn of_ssh(key: &KeyData) -> Option<Self> {
        match key.algorithm() {
            Algorithm::Ed25519 => Some(Self::SshEd25519),
            Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 } => Some(Self::SshEcdsaP256),
            Algorithm::SkEd25519 => Some(Self::SshSkEd25519),
            Algorithm::SkEcdsaSha2NistP256 => Some(Self::SshSkEcdsaP256),
            _ => None,
        }
    }

    /// Whether the secret part cannot leave its hardware.
    #[must_use]
    pub fn is_hardware(self) -> bool {
        match self {
            Self::SshSkEd25519 | Self::SshSkEcdsaP256 => true,
            Self::SshEd25519 | Self::SshEcdsaP256 | Self::Ed25519 | Self::EcdsaP256 => false,
        }
    }

    /// Whether the key signs in the SSHSIG format.
    #[must_use]
    pub fn is_ssh(self) -> bool {
        match self {
            Self::SshEd25519 | Self::SshEcdsaP256 | Self::SshSkEd25519 | Self::SshSkEcdsaP256 => true,
            Self::Ed25519 | Self::EcdsaP256 => false,
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl KeyId {
    /// The fingerprint's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PublicKey {
    /// Reads a key of this type.
    ///
    /// # Errors
    /// Every variant of [`KeyError`].
    pub fn parse(kind: KeyType, text: &str) -> Result<Self, KeyError> {
        let key = if kind.is_ssh() { Self::parse_ssh(kind, text)? } else { Self::parse_raw(kind, text)? };
        if let KeyData::Ed25519(point) = &key {
            refuse_weak(&point.0)?;
        }
        if let KeyData::SkEd25519(sk) = &key {
            refuse_weak(&sk.public_key().0)?;
        }
        Ok(Self { kind, key })
    }

    /// Reads the line of a `.pub` file, whatever type Miax knows it is.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`], [`KeyError::Weak`].
    pub fn parse_ssh_line(text: &str) -> Result<Self, KeyError> {
        let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| KeyError::Unreadable)?;
        let kind = KeyType::of_ssh(key.key_data()).ok_or(KeyError::Unreadable)?;
        Self::parse(kind, text)
    }

    /// Reads a key in the form of the SSH protocol, as an agent lists it; `None` for types that Miax does not know.
    #[must_use]
    pub fn from_ssh_blob(blob: &[u8]) -> Option<Self> {
        let key = ssh_key::PublicKey::from_bytes(blob).ok()?;
        let kind = KeyType::of_ssh(key.key_data())?;
        Self::parse(kind, &key.to_openssh().ok()?).ok()
    }

    fn parse_ssh(kind: KeyType, text: &str) -> Result<KeyData, KeyError> {
        let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|_| KeyError::Unreadable)?;
        match KeyType::of_ssh(key.key_data()) {
            Some(found) if found == kind => Ok(key.key_data().clone()),
            _ => Err(KeyError::OtherType { expected: kind.as_str() }),
        }
    }

    fn parse_raw(kind: KeyType, text: &str) -> Result<KeyData, KeyError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| KeyError::Base64)?;
        let other = KeyError::OtherType { expected: kind.as_str() };
        if kind == KeyType::Ed25519 {
            let point: [u8; 32] = bytes.try_into().map_err(|_| other)?;
            return Ok(KeyData::Ed25519(Ed25519PublicKey(point)));
        }
        let point = p256::PublicKey::from_sec1_bytes(&bytes).map_err(|_| other)?;
        Ok(KeyData::Ecdsa(EcdsaPublicKey::NistP256(point.to_encoded_point(false))))
    }

    /// The key of an Ed25519 point, in its raw form.
    pub(super) fn from_ed25519(point: [u8; 32]) -> Self {
        Self { kind: KeyType::Ed25519, key: KeyData::Ed25519(Ed25519PublicKey(point)) }
    }

    /// What kind of key it is.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.kind
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(self.key.fingerprint(HashAlg::Sha256).to_string())
    }

    /// The text for the charter's `public` field.
    #[must_use]
    pub fn text(&self) -> String {
        match (&self.key, self.kind.is_ssh()) {
            (KeyData::Ed25519(point), false) => STANDARD.encode(point.0),
            (KeyData::Ecdsa(EcdsaPublicKey::NistP256(point)), false) => STANDARD.encode(point.as_bytes()),
            _ => ssh_key::PublicKey::new(self.key.clone(), "").to_openssh().unwrap_or_default().trim().to_owned(),
        }
    }
}

fn refuse_weak(point: &[u8; 32]) -> Result<(), KeyError> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| KeyError::Unreadable)?;
    if key.is_weak() { Err(KeyError::Weak) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti alice@host";

    #[test]
    fn a_key_has_one_identity_in_both_forms() {
        let ssh = PublicKey::parse(KeyType::SshEd25519, ED).expect("ssh");
        let KeyData::Ed25519(point) = &ssh.key else { panic!("ed25519") };
        let raw = PublicKey::parse(KeyType::Ed25519, &STANDARD.encode(point.0)).expect("raw");
        assert_eq!(ssh.id(), raw.id());
        assert_eq!(ssh.id().as_str(), "SHA256:UCUiLr7Pjs9wFFJMDByLgc3NrtdU344OgUM45wZPcIQ");
    }

    #[test]
    fn keys_that_cannot_carry_a_signature_are_refused() {
        let check = |kind, text: &str, expected| assert_eq!(PublicKey::parse(kind, text), Err(expected), "{text}");
        check(KeyType::SshEcdsaP256, ED, KeyError::OtherType { expected: "sshEcdsaP256" });
        check(KeyType::SshEd25519, "ssh-ed25519 AAAA", KeyError::Unreadable);
        check(KeyType::Ed25519, "***", KeyError::Base64);
        check(KeyType::Ed25519, "AAAA", KeyError::OtherType { expected: "ed25519" });
        check(KeyType::EcdsaP256, &STANDARD.encode([4_u8; 65]), KeyError::OtherType { expected: "ecdsaP256" });
        // The neutral element: every signature would verify.
        let mut neutral = [0_u8; 32];
        neutral[0] = 1;
        check(KeyType::Ed25519, &STANDARD.encode(neutral), KeyError::Weak);
    }

    #[test]
    fn the_text_reads_back() {
        let key = PublicKey::parse(KeyType::SshEd25519, ED).expect("ssh");
        assert_eq!(PublicKey::parse(KeyType::SshEd25519, &key.text()).map(|k| k.id()), Ok(key.id()));
    }
}
