//! What a signature is over: an in-toto Statement v1 in DSSE pre-authentication encoding. The object stores the fields;
//! the verifier rebuilds these bytes.

use serde_json::{Value, json};

use crate::units::{Digest, UnixSeconds};

use super::canonical::{CanonicalError, canonical_json};

/// The DSSE payload type of in-toto statements.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE_TYPE: &str = "https://miax.dev/approval/v1";

/// What a signer says about a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Wrote it.
    Author,
    /// Approves it.
    Approve,
    /// Objects to it.
    Object,
    /// Takes an approval or objection back.
    Withdraw,
}

impl Verb {
    /// Every verb.
    pub const ALL: [Self; 4] = [Self::Author, Self::Approve, Self::Object, Self::Withdraw];

    /// The word in the object and in the statement.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Author => "author",
            Self::Approve => "approve",
            Self::Object => "object",
            Self::Withdraw => "withdraw",
        }
    }

    /// The verb with this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|v| v.as_str() == text)
    }
}

/// The document that a statement is about: `<plural>.miax.dev/<namespace>/<name>`, without the namespace for
/// cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// The subject of an object. Kubernetes names hold no slash, so that no two objects share a subject.
    #[must_use]
    pub fn new(plural: &str, namespace: &str, name: &str) -> Self {
        if namespace.is_empty() {
            Self(format!("{plural}.miax.dev/{name}"))
        } else {
            Self(format!("{plural}.miax.dev/{namespace}/{name}"))
        }
    }
}

/// Everything that a signature is over.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// Which document.
    pub subject: &'a Subject,
    /// Its digest.
    pub digest: Digest,
    /// What is said.
    pub verb: Verb,
    /// For which organ.
    pub seat: &'a str,
    /// By whom.
    pub principal: &'a str,
    /// For which clusters.
    pub audience: &'a [String],
    /// When.
    pub signed_at: UnixSeconds,
    /// The signer's remark.
    pub comment: Option<&'a str>,
}

impl Statement<'_> {
    /// The statement as canonical JSON: the DSSE payload.
    ///
    /// # Errors
    /// [`CanonicalError::TooLarge`] for a remark beyond all limits.
    pub fn payload(&self) -> Result<Vec<u8>, CanonicalError> {
        let mut predicate = json!({
            "verb": self.verb.as_str(),
            "seat": self.seat,
            "principal": self.principal,
            "audience": self.audience,
            "signedAt": self.signed_at.to_string(),
        });
        if let (Some(comment), Value::Object(map)) = (self.comment, &mut predicate) {
            map.insert("comment".to_owned(), Value::from(comment));
        }
        let statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": [{"name": self.subject.0, "digest": {"sha256": self.digest.hex()}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": predicate,
        });
        canonical_json(&statement).map(super::CanonicalBytes::into_vec)
    }

    /// The bytes that are signed: DSSE v1 pre-authentication encoding of the payload.
    ///
    /// # Errors
    /// Those of [`Statement::payload`].
    pub fn signed_bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        let payload = self.payload()?;
        let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_bytes_are_fixed() {
        let audience = ["prod-eu".to_owned()];
        let subject = Subject::new("controlcommands", "shop", "scale");
        let statement = Statement {
            subject: &subject,
            digest: Digest([0xab; 32]),
            verb: Verb::Approve,
            seat: "SRE",
            principal: "dana",
            audience: &audience,
            signed_at: UnixSeconds::new(1_795_514_400),
            comment: Some("ok"),
        };
        let expected = concat!(
            "DSSEv1 28 application/vnd.in-toto+json 426 ",
            r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{"audience":["prod-eu"],"comment":"ok","#,
            r#""principal":"dana","seat":"SRE","signedAt":"2026-11-24T10:00:00Z","verb":"approve"},"#,
            r#""predicateType":"https://miax.dev/approval/v1","subject":[{"digest":{"sha256":"#,
            r#""abababababababababababababababababababababababababababababababab"},"#,
            r#""name":"controlcommands.miax.dev/shop/scale"}]}"#
        );
        let found = String::from_utf8(statement.signed_bytes().expect("bytes")).expect("utf-8");
        assert_eq!(found.split_once('{').expect("payload").1, expected.split_once('{').expect("payload").1);
        let length = found.len() - found.find('{').expect("payload");
        assert!(found.starts_with(&format!("DSSEv1 28 application/vnd.in-toto+json {length} {{")));
    }

    #[test]
    fn cluster_scoped_subjects_have_no_namespace() {
        assert_eq!(Subject::new("manifests", "", "constitution-v1").0, "manifests.miax.dev/constitution-v1");
    }
}
