//! What users write: the kinds of the group `miax.dev`, their schemas and their limits. Doc comments on fields become the
//! descriptions of the CRDs.
//!
//! Must not: decide. The structs here are loose on purpose (strings with schema limits); `constitution` parses them into
//! closed types, and that parse is what admission, controllers and CLI share.

pub mod condition;
mod gated;
pub mod names;
pub mod reason;
pub mod v1alpha1;

pub use gated::GatedKind;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// The API group of all kinds.
pub const GROUP: &str = "miax.dev";
/// The one served version (ADR 0004: signed bytes name it, so two versions would be two documents).
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of all kinds.
pub const API_VERSION: &str = "miax.dev/v1alpha1";

/// A kind whose every change is judged and recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum GovernedKind {
    /// A signed, versioned document; cluster scoped.
    Manifest,
    /// A signed request for one action; namespaced.
    ControlCommand,
    /// A signed objective; namespaced.
    #[serde(rename = "SLO")]
    Slo,
}

impl GovernedKind {
    /// Every kind: drives CRD generation, webhook rules and RBAC, so that none of them can forget one.
    pub const ALL: [Self; 3] = [Self::Manifest, Self::ControlCommand, Self::Slo];

    /// The `kind` field.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Manifest => "Manifest",
            Self::ControlCommand => "ControlCommand",
            Self::Slo => "SLO",
        }
    }

    /// The resource name in URLs, RBAC rules and signature subjects.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Manifest => "manifests",
            Self::ControlCommand => "controlcommands",
            Self::Slo => "slos",
        }
    }

    /// Whether objects of the kind live in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        match self {
            Self::Manifest => false,
            Self::ControlCommand | Self::Slo => true,
        }
    }

    /// The kind with this `kind` field, if it is governed.
    #[must_use]
    pub fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.kind() == kind)
    }

    /// The definition to install, as generated from the types.
    #[must_use]
    pub fn crd(self) -> CustomResourceDefinition {
        match self {
            Self::Manifest => v1alpha1::Manifest::crd(),
            Self::ControlCommand => v1alpha1::ControlCommand::crd(),
            Self::Slo => v1alpha1::Slo::crd(),
        }
    }
}
