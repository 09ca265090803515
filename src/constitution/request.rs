//! What is asked: one change of one governed object.

use serde_json::Value;

use crate::api::GovernedKind;

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
#[derive(Clone, Debug, PartialEq)]
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
