//! What commands do, and to which workload.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::names::{LEDGER_NAMESPACE, SYSTEM_NAMESPACE};
use crate::api::reason::Reason;
use crate::api::v1alpha1 as api;
use crate::units::Digest;

use super::document::{Document, DocumentError};

/// Kinds of workload that commands act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WorkloadKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
}

/// A workload, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Target {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a command does to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkloadAction {
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
    /// Changes named places of it.
    Patch(Patch),
}

/// Named places of a workload and what they shall hold; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// How many replicas.
    pub replicas: Option<u32>,
    /// Containers, with their changes.
    pub containers: Vec<api::ContainerPatch>,
}

/// What a command does to the constitution's own state; its whole effect is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum StateAction {
    /// Makes a key worthless from now on.
    RevokeKey {
        /// Its fingerprint.
        key: String,
    },
    /// Stops a command of a lower organ that is not done yet.
    Veto {
        /// Digest of the command.
        command: Digest,
    },
    /// The post-mortem of a command.
    Review {
        /// Digest of the command.
        command: Digest,
        /// What was found.
        findings: String,
    },
    /// Confirms an emergency amendment.
    RatifyAmendment {
        /// Digest of the charter.
        charter: Digest,
    },
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// It changes a workload: an executor carries it out.
    Workload {
        /// How.
        action: WorkloadAction,
        /// Which one.
        target: Target,
    },
    /// It changes State: being recorded is being done.
    State(StateAction),
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
    pub const NAMES: [&'static str; 8] =
        ["Scale", "Restart", "Rollback", "Patch", "RevokeKey", "Veto", "Review", "RatifyAmendment"];

    /// The name that rules match.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Workload { action: WorkloadAction::Scale { .. }, .. } => "Scale",
            Self::Workload { action: WorkloadAction::Restart, .. } => "Restart",
            Self::Workload { action: WorkloadAction::Rollback { .. }, .. } => "Rollback",
            Self::Workload { action: WorkloadAction::Patch(_), .. } => "Patch",
            Self::State(StateAction::RevokeKey { .. }) => "RevokeKey",
            Self::State(StateAction::Veto { .. }) => "Veto",
            Self::State(StateAction::Review { .. }) => "Review",
            Self::State(StateAction::RatifyAmendment { .. }) => "RatifyAmendment",
        }
    }

    /// The workload that it changes, if it changes one.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        match self {
            Self::Workload { target, .. } => Some(target),
            Self::State(_) => None,
        }
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Workload { action, target } => match action {
                WorkloadAction::Scale { replicas } => format!("Scale {target} to {replicas}"),
                WorkloadAction::Restart => format!("Restart {target}"),
                WorkloadAction::Rollback { revision } => format!("Rollback {target} to revision {revision}"),
                WorkloadAction::Patch(patch) => format!("Patch {target}: {}", patch.summary()),
            },
            Self::State(StateAction::RevokeKey { key }) => format!("Revoke the key {key}"),
            Self::State(StateAction::Veto { command }) => format!("Veto the command {command}"),
            Self::State(StateAction::Review { command, .. }) => format!("Review the command {command}"),
            Self::State(StateAction::RatifyAmendment { charter }) => format!("Ratify the emergency charter {charter}"),
        }
    }
}

impl Patch {
    /// Every change, in a few words.
    fn summary(&self) -> String {
        let Self { replicas, containers } = self;
        let mut changes: Vec<String> = replicas.iter().map(|r| format!("{r} replicas")).collect();
        for api::ContainerPatch { name, image, env, requests, limits } in containers {
            changes.extend(image.iter().map(|i| format!("{name} runs {i}")));
            changes.extend(env.iter().map(|e| format!("{name} has {}={}", e.name, e.value)));
            changes.extend(requests.iter().map(|(what, amount)| format!("{name} requests {what} {amount}")));
            changes.extend(limits.iter().map(|(what, amount)| format!("{name} is limited to {what} {amount}")));
        }
        changes.join(", ")
    }
}

impl WorkloadAction {
    /// Whether the action exists for the kind.
    #[must_use]
    pub fn exists_for(&self, kind: WorkloadKind) -> bool {
        match (self, kind) {
            // A DaemonSet runs one pod a node; there is nothing to scale.
            (Self::Scale { .. } | Self::Patch(Patch { replicas: Some(_), .. }), WorkloadKind::DaemonSet) => false,
            (Self::Scale { .. }, WorkloadKind::Deployment | WorkloadKind::StatefulSet)
            | (
                Self::Restart | Self::Rollback { .. } | Self::Patch(_),
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

/// Reads the action of a command and checks that it makes sense.
pub(super) fn read_action(raw: &api::Action, document: &Document) -> Result<Action, DocumentError> {
    let api::Action { type_, scale, restart, rollback, patch, revoke_key, veto, review, ratify_amendment } = raw;
    let set = [
        scale.is_some(),
        restart.is_some(),
        rollback.is_some(),
        patch.is_some(),
        revoke_key.is_some(),
        veto.is_some(),
        review.is_some(),
        ratify_amendment.is_some(),
    ];
    // Exactly one field: with `type` saying one thing and a second field another, people would read the wrong one.
    let only = set.iter().filter(|s| **s).count() == 1;
    if !only {
        return Err(unknown(type_));
    }
    if let ("Scale", Some(raw)) = (type_.as_str(), scale) {
        return on_workload(WorkloadAction::Scale { replicas: read_replicas(raw.replicas)? }, &raw.target, document);
    }
    if let ("Restart", Some(raw)) = (type_.as_str(), restart) {
        return on_workload(WorkloadAction::Restart, &raw.target, document);
    }
    if let ("Rollback", Some(raw)) = (type_.as_str(), rollback) {
        let revision = u64::try_from(raw.revision).ok().filter(|r| *r > 0).ok_or_else(|| {
            let message = format!("revision is {}; it must be at least 1", raw.revision);
            DocumentError::new(Reason::FieldInvalid, message)
        })?;
        return on_workload(WorkloadAction::Rollback { revision }, &raw.target, document);
    }
    if let ("Patch", Some(raw)) = (type_.as_str(), patch) {
        return on_workload(WorkloadAction::Patch(read_patch(raw)?), &raw.target, document);
    }
    if let ("RevokeKey", Some(raw)) = (type_.as_str(), revoke_key) {
        return Ok(Action::State(StateAction::RevokeKey { key: raw.key.clone() }));
    }
    if let ("Veto", Some(raw)) = (type_.as_str(), veto) {
        return Ok(Action::State(StateAction::Veto { command: read_digest("veto.command", &raw.command)? }));
    }
    if let ("Review", Some(raw)) = (type_.as_str(), review) {
        if raw.findings.trim().is_empty() {
            return Err(DocumentError::new(Reason::FieldInvalid, "review.findings is empty; say what was found"));
        }
        let (command, findings) = (read_digest("review.command", &raw.command)?, raw.findings.clone());
        return Ok(Action::State(StateAction::Review { command, findings }));
    }
    if let ("RatifyAmendment", Some(raw)) = (type_.as_str(), ratify_amendment) {
        let charter = read_digest("ratifyAmendment.charter", &raw.charter)?;
        return Ok(Action::State(StateAction::RatifyAmendment { charter }));
    }
    Err(unknown(type_))
}

fn unknown(name: &str) -> DocumentError {
    let message = format!(
        "spec.action.type `{name}` with its field is not one action; write one of {} and the field of that name",
        Action::NAMES.join(", ")
    );
    DocumentError::new(Reason::ActionUnknown, message)
}

fn read_patch(raw: &api::PatchAction) -> Result<Patch, DocumentError> {
    let api::PatchAction { target: _, replicas, containers } = raw;
    let invalid = |message: String| DocumentError::new(Reason::FieldInvalid, message);
    for container in containers {
        let api::ContainerPatch { name, image, env, requests, limits } = container;
        if image.is_none() && env.is_empty() && requests.is_empty() && limits.is_empty() {
            return Err(invalid(format!("patch.containers: nothing changes in `{name}`")));
        }
        if containers.iter().filter(|c| c.name == *name).count() > 1 {
            return Err(invalid(format!("patch.containers: `{name}` stands twice")));
        }
        if let Some(twice) = env.iter().find(|e| env.iter().filter(|o| o.name == e.name).count() > 1) {
            return Err(invalid(format!("patch.containers: `{}` stands twice in the env of `{name}`", twice.name)));
        }
    }
    if replicas.is_none() && containers.is_empty() {
        return Err(invalid("patch changes nothing; name replicas or containers".to_owned()));
    }
    Ok(Patch { replicas: replicas.map(read_replicas).transpose()?, containers: containers.clone() })
}

fn on_workload(action: WorkloadAction, raw: &api::TargetRef, document: &Document) -> Result<Action, DocumentError> {
    let target = read_target(raw, document)?;
    if !action.exists_for(target.kind) {
        let action = Action::Workload { action, target };
        let kind = action.target().map(|t| t.kind.as_str()).unwrap_or_default();
        let message = format!("{} does not exist for a {kind}", action.name());
        return Err(DocumentError::new(Reason::ActionNotForKind, message));
    }
    Ok(Action::Workload { action, target })
}

fn read_replicas(raw: i32) -> Result<u32, DocumentError> {
    u32::try_from(raw).ok().filter(|_| raw <= MAX_REPLICAS).ok_or_else(|| {
        let message = format!("replicas is {raw}; it must be 0 to {MAX_REPLICAS}");
        DocumentError::new(Reason::ReplicasInvalid, message)
    })
}

fn read_digest(field: &str, text: &str) -> Result<Digest, DocumentError> {
    text.parse().map_err(|e| DocumentError::new(Reason::FieldInvalid, format!("spec.action.{field}: {e}")))
}

fn read_target(raw: &api::TargetRef, document: &Document) -> Result<Target, DocumentError> {
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
