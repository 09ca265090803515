//! What commands do, and to which workload.

use std::fmt;

use crate::api::names::{LEDGER_NAMESPACE, SYSTEM_NAMESPACE};
use crate::api::reason::Reason;
use crate::api::v1alpha1 as api;

use super::document::{Document, DocumentError};

/// Kinds of workload that commands act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
}

/// A workload, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Target {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a command does to its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sets the number of replicas.
    Scale {
        /// How many.
        replicas: u32,
    },
    /// Restarts all pods.
    Restart,
    /// Brings a revision's pod template back.
    Rollback {
        /// The revision.
        revision: u64,
    },
}

/// Most replicas that a command may ask for; the schema of the CRD has the same number.
const MAX_REPLICAS: i32 = 100_000;

/// Namespaces whose workloads no command reaches: Kubernetes itself and Miax.
const PROTECTED: [&str; 3] = ["kube-system", SYSTEM_NAMESPACE, LEDGER_NAMESPACE];

impl WorkloadKind {
    /// Every kind; drives the caches and the RBAC.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The `kind` field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The resource name.
    #[must_use]
    pub fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }
}

impl Action {
    /// Every action's name.
    pub const NAMES: [&'static str; 3] = ["Scale", "Restart", "Rollback"];

    /// The name that rules match.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scale { .. } => "Scale",
            Self::Restart => "Restart",
            Self::Rollback { .. } => "Rollback",
        }
    }

    /// Whether the action exists for the kind.
    #[must_use]
    pub fn exists_for(&self, kind: WorkloadKind) -> bool {
        match (self, kind) {
            // A DaemonSet runs one pod a node; there is nothing to scale.
            (Self::Scale { .. }, WorkloadKind::DaemonSet) => false,
            (Self::Scale { .. }, WorkloadKind::Deployment | WorkloadKind::StatefulSet)
            | (
                Self::Restart | Self::Rollback { .. },
                WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::DaemonSet,
            ) => true,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

pub(super) fn read_action(raw: &api::Action) -> Result<(Action, &api::TargetRef), DocumentError> {
    let api::Action { type_, scale, restart, rollback } = raw;
    match (type_.as_str(), scale, restart, rollback) {
        ("Scale", Some(scale), None, None) => {
            let replicas = u32::try_from(scale.replicas).ok().filter(|_| scale.replicas <= MAX_REPLICAS);
            let replicas = replicas.ok_or_else(|| {
                let message = format!("replicas is {}; it must be 0 to {MAX_REPLICAS}", scale.replicas);
                DocumentError::new(Reason::ReplicasInvalid, message)
            })?;
            Ok((Action::Scale { replicas }, &scale.target))
        }
        ("Restart", None, Some(restart), None) => Ok((Action::Restart, &restart.target)),
        ("Rollback", None, None, Some(rollback)) => {
            let revision = u64::try_from(rollback.revision).ok().filter(|r| *r > 0).ok_or_else(|| {
                let message = format!("revision is {}; it must be at least 1", rollback.revision);
                DocumentError::new(Reason::FieldInvalid, message)
            })?;
            Ok((Action::Rollback { revision }, &rollback.target))
        }
        (other, ..) => {
            let message = format!(
                "spec.action.type `{other}` with its field is not one action; write one of {} and the field of that name",
                Action::NAMES.join(", ")
            );
            Err(DocumentError::new(Reason::ActionUnknown, message))
        }
    }
}

pub(super) fn read_target(raw: &api::TargetRef, document: &Document) -> Result<Target, DocumentError> {
    let api::TargetRef { api_version, kind, name, namespace } = raw;
    let kind = WorkloadKind::ALL.into_iter().find(|k| api_version == "apps/v1" && k.as_str() == kind);
    let kind = kind.ok_or_else(|| {
        let message = format!("target `{api_version}, {}` is not a Deployment, StatefulSet or DaemonSet", raw.kind);
        DocumentError::new(Reason::ActionNotForKind, message)
    })?;
    let own = document.object.namespace.as_str();
    let namespace = namespace.as_deref().unwrap_or(own);
    if own != SYSTEM_NAMESPACE && namespace != own {
        let message = format!(
            "the target is in `{namespace}`, the command in `{own}`; create the command in `{namespace}` or in {SYSTEM_NAMESPACE}"
        );
        return Err(DocumentError::new(Reason::TargetInOtherNamespace, message));
    }
    if PROTECTED.contains(&namespace) {
        let message = format!("workloads in `{namespace}` are out of reach of commands");
        return Err(DocumentError::new(Reason::TargetProtected, message));
    }
    // The name becomes part of a URL that is requested with the executor's rights (rule: no encoded paths).
    let plain =
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c));
    if !plain || namespace.is_empty() {
        return Err(DocumentError::new(Reason::FieldInvalid, format!("target name `{name}` is not a Kubernetes name")));
    }
    Ok(Target { kind, namespace: namespace.to_owned(), name: name.clone() })
}
