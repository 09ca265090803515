//! A signed document: what admission, executor and CLI share before they look at the kind. Reading one computes the
//! digest from exactly the bytes that were signed, and proves that the typed view lost nothing of them (R10, R11).

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::reason::Reason;
use crate::api::v1alpha1::Signature;
use crate::api::{API_VERSION, GovernedKind};
use crate::trust::{
    CanonicalError, Claim, ClaimError, ClaimErrorKind, Keyring, SignatureError, SignatureFormat, Subject, Verb,
    Verified, signed_view, verify_all,
};
use crate::units::{Digest, UnixSeconds};

use super::charter::Charter;
use super::decision::{Finding, NextStep};
use super::event::ObjectRef;

/// What every signed document carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Which object.
    pub object: ObjectRef,
    /// Its kind.
    pub kind: GovernedKind,
    /// SHA-256 of its canonical bytes: what signatures are over.
    pub digest: Digest,
    /// The clusters it is meant for.
    pub audience: Vec<String>,
    /// Not valid before.
    pub not_before: Option<UnixSeconds>,
    /// Not valid from here on.
    pub expires_at: UnixSeconds,
    /// The signatures, not verified.
    pub signatures: Vec<SignatureFields>,
}

/// A signature with its words read, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureFields {
    /// Who claims to sign.
    pub principal: String,
    /// What is said.
    pub verb: Verb,
    /// For which organ.
    pub seat: String,
    /// When, by the signer's clock.
    pub signed_at: UnixSeconds,
    /// Fingerprint that selects the key.
    pub key: String,
    /// Encoding of `value`.
    pub format: SignatureFormat,
    /// The signature.
    pub value: String,
    /// The remark.
    pub comment: Option<String>,
}

/// Why an object is not a signed document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DocumentError {
    /// The word.
    pub reason: Reason,
    /// What is wrong and where.
    pub message: String,
}

impl DocumentError {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl From<DocumentError> for Finding {
    fn from(error: DocumentError) -> Self {
        let DocumentError { reason, message } = error;
        Self { reason, message, rule: None, next: None }
    }
}

/// Reads the spec of an object of this kind and everything that all documents share.
///
/// `fields` takes what is common from the typed spec: audience, not before, expires at, signatures.
pub(super) fn read<S, F>(object: &Value, kind: GovernedKind, fields: F) -> Result<(Document, S), DocumentError>
where
    S: DeserializeOwned + Serialize,
    F: Fn(&S) -> (&[String], Option<&str>, &str, &[Signature]),
{
    check_kind(object, kind)?;
    let canonical = signed_view(object).map_err(|e| canonical_error(&e))?;
    let spec_value = object.get("spec").unwrap_or(&Value::Null);
    let spec: S = serde_json::from_value(spec_value.clone())
        .map_err(|e| DocumentError::new(Reason::FieldInvalid, format!("spec: {e}")))?;
    let back =
        serde_json::to_value(&spec).map_err(|e| DocumentError::new(Reason::FieldInvalid, format!("spec: {e}")))?;
    if let Some(path) = first_lost(spec_value, &back, "spec") {
        let message = format!("`{path}` is not a field of {}; remove it or check its spelling", kind.kind());
        return Err(DocumentError::new(Reason::FieldUnknown, message));
    }
    let (audience, not_before, expires_at, signatures) = fields(&spec);
    if audience.iter().all(|a| a.is_empty()) {
        return Err(DocumentError::new(
            Reason::AudienceMissing,
            "spec.audience is empty; name the clusters that the document is meant for",
        ));
    }
    let metadata = object.get("metadata");
    let text = |key: &str| metadata.and_then(|m| m.get(key)).and_then(Value::as_str).unwrap_or_default();
    let document = Document {
        object: ObjectRef::new(kind, text("namespace"), text("name")),
        kind,
        digest: canonical.digest(),
        audience: audience.to_vec(),
        not_before: not_before.map(|t| time("spec.notBefore", t)).transpose()?,
        expires_at: time("spec.expiresAt", expires_at)?,
        signatures: signatures.iter().enumerate().map(|(i, s)| read_signature(i, s)).collect::<Result<_, _>>()?,
    };
    Ok((document, spec))
}

impl Document {
    /// What signatures name: `<plural>.miax.dev/<namespace>/<name>`.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::new(self.kind.plural(), &self.object.namespace, &self.object.name)
    }

    /// The same document with only some of its signatures.
    pub(super) fn with_signatures(&self, keep: impl Fn(&SignatureFields) -> bool) -> Self {
        let signatures = self.signatures.iter().filter(|s| keep(s)).cloned().collect();
        Self { signatures, ..self.clone() }
    }

    /// Verifies every signature with the keys of `keyring`. One that does not verify refuses the document (R6).
    ///
    /// # Errors
    /// A finding for each signature that does not verify.
    pub fn verify<T>(&self, body: T, keyring: &impl Keyring) -> Result<Verified<T>, Vec<Finding>> {
        let claims: Vec<Claim<'_>> = self.signatures.iter().map(SignatureFields::claim).collect();
        verify_all(body, &self.subject(), self.digest, &self.audience, &claims, keyring)
            .map_err(|errors| self.claim_findings(&errors))
    }

    /// A finding for each claim that does not stand. A document that changed after signing breaks every signature in the
    /// same way; that is said once.
    fn claim_findings(&self, errors: &[ClaimError]) -> Vec<Finding> {
        let changed = |e: &&ClaimError| e.kind == ClaimErrorKind::Signature(SignatureError::BadSignature);
        let (bad, other): (Vec<&ClaimError>, Vec<&ClaimError>) = errors.iter().partition(changed);
        let mut findings: Vec<Finding> = bad.first().map(|e| self.claim_finding(e)).into_iter().collect();
        if let (Some(finding), true) = (findings.first_mut(), bad.len() > 1) {
            let names: Vec<String> = bad.iter().map(|e| format!("`{}`", e.principal)).collect();
            finding.message = format!("the signatures of {} do not verify over this document", names.join(", "));
        }
        findings.extend(other.into_iter().map(|e| self.claim_finding(e)));
        findings
    }

    fn claim_finding(&self, error: &ClaimError) -> Finding {
        let (reason, next) = match &error.kind {
            ClaimErrorKind::PrincipalUnknown => (Reason::PrincipalUnknown, None),
            ClaimErrorKind::KeyUnknown => (Reason::KeyUnknown, None),
            ClaimErrorKind::KeyOfAnotherPrincipal { .. } => (Reason::KeyOfAnotherPrincipal, None),
            ClaimErrorKind::Signature(source) => signature_reason(source),
        };
        let next = next.map(|step: &str| NextStep::Do(step.to_owned()));
        Finding { reason, message: format!("signature of `{}`: {}", error.principal, error.kind), rule: None, next }
    }
}

fn signature_reason(error: &SignatureError) -> (Reason, Option<&'static str>) {
    match error {
        SignatureError::BadSignature => (
            Reason::SignatureInvalid,
            Some("the document, its audience or the signature changed after signing; sign this version again"),
        ),
        SignatureError::MalformedBase64 | SignatureError::MalformedSignature | SignatureError::FormatMismatch => {
            (Reason::SignatureMalformed, None)
        }
        SignatureError::PresenceMissing => (Reason::PresenceMissing, Some("sign again and touch the key")),
        SignatureError::WrongKey => (Reason::KeyUnknown, None),
        SignatureError::WrongNamespace { .. } => {
            (Reason::SignatureNamespaceWrong, Some("sign with `miax sign` or `ssh-keygen -Y sign -n miax.dev`"))
        }
    }
}

impl SignatureFields {
    /// Whether the charter knows the signer with this key and in this seat. Says nothing about the signature itself.
    pub(super) fn fits(&self, charter: &Charter) -> bool {
        charter.owner_of(&self.key) == Some(self.principal.as_str()) && charter.holds(&self.principal, &self.seat)
    }

    fn claim(&self) -> Claim<'_> {
        Claim {
            principal: &self.principal,
            verb: self.verb,
            seat: &self.seat,
            signed_at: self.signed_at,
            key: &self.key,
            format: self.format,
            value: &self.value,
            comment: self.comment.as_deref(),
        }
    }
}

fn check_kind(object: &Value, kind: GovernedKind) -> Result<(), DocumentError> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("apiVersion") == API_VERSION && text("kind") == kind.kind() {
        return Ok(());
    }
    let found = format!("{}, {}", text("apiVersion"), text("kind"));
    let message = format!("`{found}` is not known here; write apiVersion {API_VERSION} and kind {}", kind.kind());
    Err(DocumentError::new(Reason::KindUnknown, message))
}

fn canonical_error(error: &CanonicalError) -> DocumentError {
    let reason = match error {
        CanonicalError::FieldMissing { .. } | CanonicalError::FieldType { .. } => Reason::FieldInvalid,
        CanonicalError::Float { .. } | CanonicalError::IntegerRange { .. } => Reason::FloatFound,
        CanonicalError::NameGenerated => Reason::NameInvalid,
        CanonicalError::TooDeep { .. } => Reason::TooDeep,
        CanonicalError::TooLarge { .. } => Reason::TooLarge,
        CanonicalError::Write(_) => Reason::FieldInvalid,
    };
    DocumentError::new(reason, error.to_string())
}

pub(super) fn time(place: &str, text: &str) -> Result<UnixSeconds, DocumentError> {
    text.parse().map_err(|e| DocumentError::new(Reason::FieldInvalid, format!("{place}: {e}")))
}

fn read_signature(index: usize, raw: &Signature) -> Result<SignatureFields, DocumentError> {
    let Signature { principal, verb, seat, signed_at, key, format, value, comment } = raw;
    let choice = |field: &str, value: &str, allowed: &str| {
        let message = format!("spec.signatures[{index}].{field}: `{value}` is not one of {allowed}");
        DocumentError::new(Reason::FieldInvalid, message)
    };
    Ok(SignatureFields {
        principal: principal.clone(),
        verb: Verb::parse(verb).ok_or_else(|| choice("verb", verb, "author, approve, object, withdraw"))?,
        seat: seat.clone(),
        signed_at: time(&format!("spec.signatures[{index}].signedAt"), signed_at)?,
        key: key.clone(),
        format: SignatureFormat::parse(format).ok_or_else(|| choice("format", format, "sshsig, ed25519, ecdsaP256"))?,
        value: value.clone(),
        comment: comment.clone(),
    })
}

/// The path of the first thing of `original` that the typed view lost.
fn first_lost(original: &Value, back: &Value, path: &str) -> Option<String> {
    match (original, back) {
        (Value::Object(a), Value::Object(b)) => a.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match b.get(key) {
                Some(other) => first_lost(value, other, &path),
                None => Some(path),
            }
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (x, y))| first_lost(x, y, &format!("{path}[{i}]")))
        }
        (a, b) => (a != b).then(|| path.to_owned()),
    }
}
