//! What the gate looks at: everything that runs pods.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::GatedKind;

use super::{Target, WorkloadKind};

/// An object that runs pods, with its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatedTarget {
    /// Its kind.
    pub kind: GatedKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<WorkloadKind> for GatedKind {
    fn from(kind: WorkloadKind) -> Self {
        match kind {
            WorkloadKind::Deployment => Self::Deployment,
            WorkloadKind::StatefulSet => Self::StatefulSet,
            WorkloadKind::DaemonSet => Self::DaemonSet,
        }
    }
}

impl GatedTarget {
    /// The same as commands name it; `None` for kinds that no command acts on.
    #[must_use]
    pub fn workload(&self) -> Option<Target> {
        let Self { kind, namespace, name } = self;
        let kind = WorkloadKind::ALL.into_iter().find(|k| GatedKind::from(*k) == *kind)?;
        Some(Target { kind, namespace: namespace.clone(), name: name.clone() })
    }

    /// How people write it: `deployment/checkout`.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}/{}", self.kind.as_str().to_lowercase(), self.name)
    }
}

impl fmt::Display for GatedTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}
