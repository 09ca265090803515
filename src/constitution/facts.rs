//! Facts: the inputs of a judgement that are not in the ledger. Those that were used are written into the entry, so that
//! the decision can be judged again later with the same answer.

use serde::{Deserialize, Serialize};

use crate::units::{Digest, Seconds, UnixSeconds};

/// What is known at the moment of a judgement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The time, read once for the whole decision (R17).
    pub now: UnixSeconds,
    /// UID of this cluster's `kube-system` namespace.
    pub cluster_uid: String,
    /// Digest of charter version 1, by the operator's configuration; `None` refuses every first charter.
    pub genesis: Option<Digest>,
    /// The workload that the command names.
    pub target: TargetFact,
    /// The error budgets that a change of a workload may stand under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetFact>,
}

/// What the status of an objective says, and of the change that is asked about. The verdict itself stands in the ledger: this
/// tells how fresh it is, and the numbers for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetFact {
    /// Name of the objective.
    pub slo: String,
    /// Digest of the version that was measured.
    pub digest: Digest,
    /// When it was last measured.
    pub evaluated_at: UnixSeconds,
    /// The time between two measurements.
    pub interval: Seconds,
    /// When the pod template that is asked for was last seen running on this workload while the budget was not spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy: Option<UnixSeconds>,
    /// The numbers, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub numbers: String,
}

/// What is known of the workload that a command names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TargetFact {
    /// The document names no target.
    NotNamed,
    /// The view of the cluster is not complete or too old; refuses.
    Stale,
    /// There is no such workload.
    Missing,
    /// It exists.
    Found(TargetState),
}

/// The observed state of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetState {
    /// UID of the object.
    pub uid: String,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}
