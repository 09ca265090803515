//! The proof type: whoever holds a [`Verified`] knows that every signature of the document verifies over its bytes.

use crate::units::{Digest, UnixSeconds};

use super::key::{KeyId, PublicKey};
use super::signature::{SignatureError, SignatureFormat, verify};
use super::statement::{Statement, Subject, Verb};

/// A signature as a document claims it.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Who claims to have signed.
    pub principal: &'a str,
    /// What is said.
    pub verb: Verb,
    /// For which organ.
    pub seat: &'a str,
    /// When.
    pub signed_at: UnixSeconds,
    /// Fingerprint that selects one of the principal's keys.
    pub key: &'a str,
    /// Encoding of `value`.
    pub format: SignatureFormat,
    /// The signature.
    pub value: &'a str,
    /// The remark.
    pub comment: Option<&'a str>,
}

/// Where keys come from. The location of keys is never taken from the document under test (R14): whoever verifies brings
/// the keyring of the charter in force. An implementation computes key identities itself (R2) and gives one owner a key.
pub trait Keyring {
    /// The keys of a principal; `None` when there is no such principal.
    fn keys_of(&self, principal: &str) -> Option<&[(KeyId, PublicKey)]>;
    /// Who owns the key with this fingerprint; `None` when nobody does.
    fn owner_of(&self, fingerprint: &str) -> Option<&str>;
}

/// Why a claim does not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature {index} of `{principal}`: {kind}")]
pub struct ClaimError {
    /// Position in the document's list.
    pub index: usize,
    /// Who claims to have signed.
    pub principal: String,
    /// What is wrong.
    pub kind: ClaimErrorKind,
}

/// What is wrong with a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimErrorKind {
    /// The key belongs to somebody else.
    #[error("the key belongs to `{owner}`")]
    KeyOfAnotherPrincipal {
        /// To whom.
        owner: String,
    },
    /// Nobody has this key.
    #[error("no principal has this key")]
    KeyUnknown,
    /// There is no such principal.
    #[error("there is no such principal in the charter")]
    PrincipalUnknown,
    /// The signature itself is wrong.
    #[error("{0}")]
    Signature(SignatureError),
}

/// A signature that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedSignature {
    principal: String,
    verb: Verb,
    seat: String,
    signed_at: UnixSeconds,
    key: KeyId,
    hardware: bool,
}

impl VerifiedSignature {
    /// Who signed.
    #[must_use]
    pub fn principal(&self) -> &str {
        &self.principal
    }

    /// What was said.
    #[must_use]
    pub fn verb(&self) -> Verb {
        self.verb
    }

    /// For which organ. Whether the principal holds it is counted elsewhere.
    #[must_use]
    pub fn seat(&self) -> &str {
        &self.seat
    }

    /// When, by the signer's clock.
    #[must_use]
    pub fn signed_at(&self) -> UnixSeconds {
        self.signed_at
    }

    /// With which key.
    #[must_use]
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// Whether the key is one in hardware.
    #[must_use]
    pub fn is_hardware(&self) -> bool {
        self.hardware
    }
}

/// A document whose signatures all verify. The only constructor is [`verify_all`].
#[derive(Clone, Debug)]
pub struct Verified<T> {
    document: T,
    signatures: Vec<VerifiedSignature>,
}

impl<T> Verified<T> {
    /// The document.
    #[must_use]
    pub fn document(&self) -> &T {
        &self.document
    }

    /// Its signatures, in the order of the document.
    #[must_use]
    pub fn signatures(&self) -> &[VerifiedSignature] {
        &self.signatures
    }
}

/// Verifies every claim over the document's digest. One that does not verify refuses the whole document: an invalid extra
/// signature never helps, and silence about it would hide an attack (R6).
///
/// # Errors
/// A [`ClaimError`] for each claim that does not stand.
pub fn verify_all<T>(
    document: T,
    subject: &Subject,
    digest: Digest,
    audience: &[String],
    claims: &[Claim<'_>],
    keyring: &impl Keyring,
) -> Result<Verified<T>, Vec<ClaimError>> {
    let mut signatures = Vec::with_capacity(claims.len());
    let mut errors = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        match verify_claim(subject, digest, audience, claim, keyring) {
            Ok(signature) => signatures.push(signature),
            Err(kind) => errors.push(ClaimError { index, principal: claim.principal.to_owned(), kind }),
        }
    }
    if errors.is_empty() { Ok(Verified { document, signatures }) } else { Err(errors) }
}

fn verify_claim(
    subject: &Subject,
    digest: Digest,
    audience: &[String],
    claim: &Claim<'_>,
    keyring: &impl Keyring,
) -> Result<VerifiedSignature, ClaimErrorKind> {
    let keys = keyring.keys_of(claim.principal).ok_or(ClaimErrorKind::PrincipalUnknown)?;
    let Some((id, key)) = keys.iter().find(|(id, _)| id.as_str() == claim.key) else {
        return Err(match keyring.owner_of(claim.key) {
            Some(owner) => ClaimErrorKind::KeyOfAnotherPrincipal { owner: owner.to_owned() },
            None => ClaimErrorKind::KeyUnknown,
        });
    };
    let statement = Statement {
        subject,
        digest,
        verb: claim.verb,
        seat: claim.seat,
        principal: claim.principal,
        audience,
        signed_at: claim.signed_at,
        comment: claim.comment,
    };
    let message = statement.signed_bytes().map_err(|_| ClaimErrorKind::Signature(SignatureError::BadSignature))?;
    verify(key, claim.format, claim.value, &message).map_err(ClaimErrorKind::Signature)?;
    Ok(VerifiedSignature {
        principal: claim.principal.to_owned(),
        verb: claim.verb,
        seat: claim.seat.to_owned(),
        signed_at: claim.signed_at,
        key: id.clone(),
        hardware: key.key_type().is_hardware(),
    })
}
