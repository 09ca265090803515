//! What the gate looks at: everything that runs pods.

use serde::{Deserialize, Serialize};

/// Kinds of object whose pod templates the gate judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum GatedKind {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 ReplicaSet; by option.
    ReplicaSet,
    /// batch/v1 Job; by option.
    Job,
    /// batch/v1 CronJob; by option.
    CronJob,
    /// v1 Pod; by option.
    Pod,
}

impl GatedKind {
    /// Every kind.
    pub const ALL: [Self; 7] =
        [Self::Deployment, Self::StatefulSet, Self::DaemonSet, Self::ReplicaSet, Self::Job, Self::CronJob, Self::Pod];
    /// Those that the gate judges by option.
    pub const OPTIONAL: [Self; 4] = [Self::ReplicaSet, Self::Job, Self::CronJob, Self::Pod];

    /// The `kind` field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::Pod => "Pod",
        }
    }

    /// The API group; empty for the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => "apps",
            Self::Job | Self::CronJob => "batch",
            Self::Pod => "",
        }
    }

    /// The resources whose writes can change what runs: an ephemeral container comes by a subresource.
    #[must_use]
    pub fn gated_resources(self) -> &'static [&'static str] {
        match self {
            Self::Deployment => &["deployments"],
            Self::StatefulSet => &["statefulsets"],
            Self::DaemonSet => &["daemonsets"],
            Self::ReplicaSet => &["replicasets"],
            Self::Job => &["jobs"],
            Self::CronJob => &["cronjobs"],
            Self::Pod => &["pods", "pods/ephemeralcontainers"],
        }
    }

    /// The kind with this `kind` field.
    #[must_use]
    pub fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == kind)
    }
}

impl std::str::FromStr for GatedKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let optional = Self::OPTIONAL.map(Self::as_str).join(", ");
        Self::from_kind(text).ok_or_else(|| format!("`{text}` is not one of {optional}"))
    }
}
