//! What commands do, and to which workload.

mod calendar;
mod gated;
mod government;
mod read;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::{GatedKind, v1alpha1 as api};
use crate::units::UnixSeconds;

use super::charter::Signal;

pub use calendar::{Calendar, CalendarError, YEAR_AHEAD};
pub use gated::GatedTarget;
pub use government::{Mitigation, OpenEpoch, StateAction};
pub(super) use read::read_action;

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
    /// Cuts its pods off from the network.
    Isolate {
        /// When that ends by itself.
        until: UnixSeconds,
    },
}

/// Named places of a workload and what they shall hold; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// How many replicas.
    pub replicas: Option<u32>,
    /// Containers, with their changes.
    pub containers: Vec<api::ContainerPatch>,
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

/// What waivers call the freeze of a namespace.
pub const FREEZE: &str = "freeze";

impl WorkloadKind {
    /// Every kind; drives the caches and the RBAC.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The `kind` field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        GatedKind::from(self).as_str()
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
    pub const NAMES: [&'static str; 17] = [
        "Scale",
        "Restart",
        "Rollback",
        "Patch",
        "Isolate",
        "Freeze",
        "Thaw",
        "Waive",
        "RevokeKey",
        "RatifyAmendment",
        "Override",
        "Veto",
        "AcknowledgeOverride",
        "AcknowledgeIncident",
        "Review",
        "OpenEpoch",
        "Mitigate",
    ];
    /// The names, for messages.
    pub(super) const CHOICES: &'static str = "Scale, Restart, Rollback, Patch, Isolate, Freeze, Thaw, Waive, RevokeKey, \
         RatifyAmendment, Override, Veto, AcknowledgeOverride, AcknowledgeIncident, Review, OpenEpoch, Mitigate";

    /// The name that rules match.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Workload { action, .. } => match action {
                WorkloadAction::Scale { .. } => "Scale",
                WorkloadAction::Restart => "Restart",
                WorkloadAction::Rollback { .. } => "Rollback",
                WorkloadAction::Patch(_) => "Patch",
                WorkloadAction::Isolate { .. } => "Isolate",
            },
            Self::State(action) => match action {
                StateAction::Freeze { .. } => "Freeze",
                StateAction::Thaw { .. } => "Thaw",
                StateAction::Waive { .. } => "Waive",
                StateAction::RevokeKey { .. } => "RevokeKey",
                StateAction::RatifyAmendment { .. } => "RatifyAmendment",
                StateAction::Override { .. } => "Override",
                StateAction::Veto { .. } => "Veto",
                StateAction::AcknowledgeOverride { .. } => "AcknowledgeOverride",
                StateAction::AcknowledgeIncident { .. } => "AcknowledgeIncident",
                StateAction::Review { .. } => "Review",
                StateAction::OpenEpoch(_) => "OpenEpoch",
                StateAction::Mitigate(_) => "Mitigate",
            },
        }
    }

    /// The row of the routing table that the action is sent by; `None` for acts of government, which only the ledger receives.
    #[must_use]
    pub fn signal(&self) -> Option<Signal> {
        match self {
            Self::Workload { .. } => Some(Signal::ControlCommand),
            Self::State(StateAction::AcknowledgeIncident { .. }) => Some(Signal::AlertIncident),
            Self::State(
                StateAction::Freeze { .. }
                | StateAction::Thaw { .. }
                | StateAction::Waive { .. }
                | StateAction::RevokeKey { .. }
                | StateAction::RatifyAmendment { .. }
                | StateAction::Override { .. }
                | StateAction::Veto { .. }
                | StateAction::AcknowledgeOverride { .. }
                | StateAction::Review { .. }
                | StateAction::OpenEpoch(_)
                | StateAction::Mitigate(_),
            ) => None,
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

    /// The namespace that it is about, if it is about one.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Workload { target, .. } | Self::State(StateAction::Waive { target, .. }) => Some(&target.namespace),
            Self::State(StateAction::Freeze { namespace, .. } | StateAction::Thaw { namespace, .. }) => Some(namespace),
            Self::State(StateAction::Mitigate(plan)) => Some(&plan.target.namespace),
            Self::State(
                StateAction::RevokeKey { .. }
                | StateAction::RatifyAmendment { .. }
                | StateAction::Override { .. }
                | StateAction::Veto { .. }
                | StateAction::AcknowledgeOverride { .. }
                | StateAction::AcknowledgeIncident { .. }
                | StateAction::Review { .. }
                | StateAction::OpenEpoch(_),
            ) => None,
        }
    }

    /// When its effect ends by itself.
    #[must_use]
    pub fn until(&self) -> Option<UnixSeconds> {
        match self {
            Self::Workload { action: WorkloadAction::Isolate { until }, .. }
            | Self::State(StateAction::Waive { until, .. } | StateAction::Override { until, .. }) => Some(*until),
            Self::State(StateAction::Freeze { until, .. } | StateAction::Thaw { until, .. }) => *until,
            Self::State(StateAction::Mitigate(plan)) => Some(plan.until),
            Self::Workload { .. } | Self::State(_) => None,
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
                WorkloadAction::Isolate { until } => format!("Isolate {target} until {until}"),
            },
            Self::State(action) => action.summary(),
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
                Self::Restart | Self::Rollback { .. } | Self::Patch(_) | Self::Isolate { .. },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_every_action() {
        assert_eq!(Action::CHOICES.split(", ").collect::<Vec<_>>(), Action::NAMES);
    }
}
