//! What is asked: one change of one governed object.

use serde_json::{Map, Value, json};

use crate::api::GovernedKind;
use crate::trust::{CanonicalBytes, CanonicalError, canonical_json};
use crate::units::Digest;

/// What the caller wants to do with the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Operation {
    /// Create it.
    Create,
    /// Replace, patch or apply it.
    Update,
    /// Delete it.
    Delete,
}

impl Operation {
    /// The word, as in an AdmissionReview but in normal case.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "Create",
            Self::Update => "Update",
            Self::Delete => "Delete",
        }
    }
}

/// One change of one governed object, as the API server asks about it. Nothing in here is an authority except the
/// signatures inside `object`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// UID of the admission request: the same UID is recorded once. Empty when a person asks offline.
    pub uid: String,
    /// What is asked.
    pub operation: Operation,
    /// Kind of the object, by the resource that the API server matched.
    pub kind: GovernedKind,
    /// Namespace of the object; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The object as it would be stored; `None` for a deletion.
    pub object: Option<Value>,
    /// The object as it is stored; `None` for a creation.
    pub old: Option<Value>,
    /// Who sent the request. Recorded, never trusted (R41): through GitOps it is always the syncer.
    pub actor: String,
}

impl Request {
    /// SHA-256 of the canonical JSON of `{operation, object, old}`, with a digest in the place of each object. It tells
    /// later which bytes were judged, signatures included: the digest of a document does not cover those.
    ///
    /// `None` for what has no canonical bytes; such an object is refused.
    #[must_use]
    pub fn inputs(&self) -> Option<Digest> {
        // A digest for each: two objects together may be larger and deeper than one document may be.
        let digest = |object: &Option<Value>| object.as_ref().map(object_digest).transpose();
        let (object, old) = (digest(&self.object).ok()?, digest(&self.old).ok()?);
        let inputs = json!({"operation": self.operation.as_str(), "object": object, "old": old});
        canonical_json(&inputs).ok().map(|bytes| bytes.digest())
    }
}

/// SHA-256 of the canonical JSON of what has authority in an object: apiVersion, kind, its names, and the whole spec.
fn object_digest(object: &Value) -> Result<Digest, CanonicalError> {
    authority(object).map(|bytes| bytes.digest())
}

/// The canonical JSON of what has authority in an object.
///
/// # Errors
/// Those of [`canonical_json`].
pub fn authority(object: &Value) -> Result<CanonicalBytes, CanonicalError> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let names = present(metadata, &["name", "namespace", "generateName"]);
    let mut parts = present(object, &["apiVersion", "kind", "spec"]);
    parts.insert("metadata".to_owned(), Value::Object(names));
    canonical_json(&Value::Object(parts))
}

/// The fields of these names that hold something. A file may leave out what the API server writes as empty.
fn present(value: &Value, names: &[&str]) -> Map<String, Value> {
    let field = |name: &&str| value.get(*name).map(|v| ((*name).to_owned(), v.clone()));
    names.iter().filter_map(field).filter(|(_, v)| !v.is_null() && v.as_str() != Some("")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(object: Value) -> Request {
        Request {
            uid: "u".to_owned(),
            operation: Operation::Create,
            kind: GovernedKind::ControlCommand,
            namespace: "shop".to_owned(),
            name: "a".to_owned(),
            object: Some(object),
            old: None,
            actor: "robot".to_owned(),
        }
    }

    #[test]
    fn the_inputs_are_everything_that_has_authority_and_nothing_else() {
        let object = json!({
            "apiVersion": "miax.dev/v1alpha1", "kind": "ControlCommand", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"reason": "sale", "signatures": [{"value": "x"}]},
        });
        let digest = request(object.clone()).inputs().expect("canonical");
        let changed = |pointer: &str, value: Value| {
            let mut other = object.clone();
            *other.pointer_mut(pointer).expect(pointer) = value;
            request(other).inputs().expect("canonical")
        };
        let names = |more: Value| changed("/metadata", more);
        // The same document, as the API server holds it and as somebody else sends it.
        let stored = json!({"name": "a", "namespace": "shop", "generateName": "", "uid": "1", "labels": {"a": "b"}});
        assert_eq!(names(stored), digest);
        let resent = Request { uid: "v".to_owned(), actor: "eve".to_owned(), ..request(object.clone()) };
        assert_eq!(resent.inputs(), Some(digest));
        for other in [
            changed("/kind", json!("Manifest")),
            changed("/apiVersion", json!("miax.dev/v1")),
            changed("/spec/reason", json!("whim")),
            changed("/spec/signatures", json!([])),
            names(json!({"name": "b", "namespace": "shop"})),
            names(json!({"name": "a"})),
            names(json!({"name": "a", "namespace": "shop", "generateName": "a-"})),
        ] {
            assert_ne!(other, digest);
        }
        let update = Request { operation: Operation::Update, ..request(object.clone()) };
        let replaced = Request { old: Some(object.clone()), ..update.clone() };
        let created = Request { operation: Operation::Create, ..replaced.clone() };
        let digests = [Some(digest), update.inputs(), replaced.inputs(), created.inputs()];
        let different: std::collections::BTreeSet<_> = digests.iter().flatten().collect();
        assert_eq!(different.len(), digests.len(), "the operation and the old object count");
    }

    #[test]
    fn what_has_no_canonical_bytes_has_no_inputs() {
        assert_eq!(request(json!({"spec": {"ratio": 0.5}})).inputs(), None);
        let old = Some(json!({"spec": {"ratio": 0.5}}));
        assert_eq!(Request { old, ..request(json!({})) }.inputs(), None);
    }
}
