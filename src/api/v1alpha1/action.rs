//! What a command can do: a closed union, one struct an action.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DIGEST_PATTERN, FreezeAction, NAMESPACE_PATTERN, TIME_PATTERN, ThawAction, WorkloadRef};

/// Exactly one action; `type` names it and the field of the same name holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(self.type == 'Scale') == has(self.scale)", "scale must be set exactly when type is Scale"),
    validation = ("(self.type == 'Restart') == has(self.restart)", "restart must be set exactly when type is Restart"),
    validation = ("(self.type == 'Rollback') == has(self.rollback)", "rollback must be set exactly when type is Rollback"),
    validation = ("(self.type == 'Patch') == has(self.patch)", "patch must be set exactly when type is Patch"),
    validation = ("(self.type == 'Isolate') == has(self.isolate)", "isolate must be set exactly when type is Isolate"),
    validation = ("(self.type == 'Freeze') == has(self.freeze)", "freeze must be set exactly when type is Freeze"),
    validation = ("(self.type == 'Thaw') == has(self.thaw)", "thaw must be set exactly when type is Thaw"),
    validation = ("(self.type == 'Waive') == has(self.waive)", "waive must be set exactly when type is Waive"),
    validation = ("(self.type == 'RevokeKey') == has(self.revokeKey)", "revokeKey must be set exactly when type is RevokeKey"),
    validation = ("(self.type == 'RatifyAmendment') == has(self.ratifyAmendment)", "ratifyAmendment must be set exactly when type is RatifyAmendment"),
    validation = ("(self.type == 'Override') == has(self.override)", "override must be set exactly when type is Override"),
    validation = ("(self.type == 'Veto') == has(self.veto)", "veto must be set exactly when type is Veto"),
    validation = ("(self.type == 'AcknowledgeOverride') == has(self.acknowledgeOverride)", "acknowledgeOverride must be set exactly when type is AcknowledgeOverride"),
    validation = ("(self.type == 'AcknowledgeIncident') == has(self.acknowledgeIncident)", "acknowledgeIncident must be set exactly when type is AcknowledgeIncident"),
    validation = ("(self.type == 'Review') == has(self.review)", "review must be set exactly when type is Review"),
    validation = ("(self.type == 'OpenEpoch') == has(self.openEpoch)", "openEpoch must be set exactly when type is OpenEpoch"),
    validation = ("(self.type == 'Mitigate') == has(self.mitigate)", "mitigate must be set exactly when type is Mitigate")
)]
pub struct Action {
    /// Its name.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = [
        "Scale", "Restart", "Rollback", "Patch", "Isolate", "Freeze", "Thaw", "Waive", "RevokeKey", "RatifyAmendment",
        "Override", "Veto", "AcknowledgeOverride", "AcknowledgeIncident", "Review", "OpenEpoch", "Mitigate",
    ]))]
    pub type_: String,
    /// Sets the number of replicas of a Deployment or StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<ScaleAction>,
    /// Restarts the pods of a Deployment, StatefulSet or DaemonSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartAction>,
    /// Brings a Deployment, StatefulSet or DaemonSet back to a named revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackAction>,
    /// Changes images, environment, resources or the number of replicas of a workload, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<PatchAction>,
    /// Cuts a workload's pods off from the network, in both directions, for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolate: Option<IsolateAction>,
    /// Lets no pod template of a namespace change, but by commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freeze: Option<FreezeAction>,
    /// Ends a freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thaw: Option<ThawAction>,
    /// Takes one workload out of one rule, or out of a freeze, for a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waive: Option<WaiveAction>,
    /// Suspends a freeze or a veto of another organ, for a time; the highest organ must acknowledge it.
    #[serde(rename = "override", default, skip_serializing_if = "Option::is_none")]
    pub override_: Option<OverrideAction>,
    /// Says that the highest organ has seen an override; ends the obligation that the override opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_override: Option<AcknowledgeOverrideAction>,
    /// Says that an incident was seen, by those who raise alerts and those who receive them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_incident: Option<AcknowledgeIncidentAction>,
    /// Makes a key worthless from now on. What it signed before stays valid history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke_key: Option<RevokeKeyAction>,
    /// Stops a command of a lower organ that is not done yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub veto: Option<VetoAction>,
    /// The post-mortem of a command; ends the obligation that the command opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<ReviewAction>,
    /// Confirms an emergency amendment; judged by the charter before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratify_amendment: Option<RatifyAmendmentAction>,
    /// Goes on with what is left of a ledger whose end is lost for good. The operator takes it from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_epoch: Option<OpenEpochAction>,
    /// A plan for a spent error budget: lets one workload change to one pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigate: Option<MitigateAction>,
}

/// A workload to act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// `apps/v1`.
    #[schemars(extend("enum" = ["apps/v1"]))]
    pub api_version: String,
    /// `Deployment`, `StatefulSet` or `DaemonSet`.
    #[schemars(extend("enum" = ["Deployment", "StatefulSet", "DaemonSet"]))]
    pub kind: String,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub name: String,
    /// Only for commands in `miax-system`: the namespace of the workload. Elsewhere a command acts in its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE_PATTERN))]
    pub namespace: Option<String>,
}

/// Sets the number of replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleAction {
    /// The workload.
    pub target: TargetRef,
    /// How many replicas it shall have.
    #[schemars(range(min = 0, max = 100_000))]
    pub replicas: i32,
}

/// Restarts all pods, as `kubectl rollout restart` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestartAction {
    /// The workload.
    pub target: TargetRef,
}

/// Brings the pod template of a revision back, as `kubectl rollout undo --to-revision` does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollbackAction {
    /// The workload.
    pub target: TargetRef,
    /// The revision, as `kubectl rollout history` lists it.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub revision: i64,
}

/// Changes a workload in named places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchAction {
    /// The workload.
    pub target: TargetRef,
    /// How many replicas it shall have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000))]
    pub replicas: Option<i32>,
    /// Containers that the workload has already, and what changes in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub containers: Vec<ContainerPatch>,
}

/// What changes in one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerPatch {
    /// Name of the container.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Its image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,
    /// Variables of its environment, with their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub env: Vec<EnvPatch>,
    /// Requested amounts by resource, for example `cpu: 500m`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub requests: BTreeMap<String, String>,
    /// Limits by resource, for example `memory: 1Gi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub limits: BTreeMap<String, String>,
}

/// A variable of the environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvPatch {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its value.
    #[schemars(length(max = 4096))]
    pub value: String,
}

/// Cuts a workload off from the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IsolateAction {
    /// The workload.
    pub target: TargetRef,
    /// The isolation ends by itself at this time, in UTC with whole seconds.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: String,
}

/// Takes one workload out of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaiveAction {
    /// Name of a rule of the charter whose seats need not be filled, or `freeze`.
    #[schemars(length(min = 1, max = 63))]
    pub rule: String,
    /// The workload.
    pub target: TargetRef,
    /// The waiver ends at this time, in UTC with whole seconds, and never later than the command expires.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: String,
}

/// Suspends a decision of another organ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OverrideAction {
    /// Digest of the Freeze or Veto command.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub decision: String,
    /// The override ends at this time, in UTC with whole seconds, and never later than the command expires.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: String,
}

/// Says that the highest organ has seen an override.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcknowledgeOverrideAction {
    /// Digest of the Override command.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub command: String,
}

/// Says that an incident was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AcknowledgeIncidentAction {
    /// Name of the incident, as the alerting system knows it.
    #[schemars(length(min = 1, max = 253))]
    pub incident: String,
}

/// Makes a key worthless.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevokeKeyAction {
    /// Fingerprint of the key, as the charter's signatures carry it and `ssh-keygen -l` prints it.
    #[schemars(length(min = 1, max = 64))]
    pub key: String,
}

/// Stops a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VetoAction {
    /// Digest of the command.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub command: String,
}

/// The post-mortem of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReviewAction {
    /// Digest of the command.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub command: String,
    /// What was found: a summary, or where the post-mortem is.
    #[schemars(length(min = 1, max = 1024))]
    pub findings: String,
}

/// Confirms an emergency amendment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RatifyAmendmentAction {
    /// Digest of the emergency charter.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub charter: String,
}

/// Goes on with what is left of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenEpochAction {
    /// Number of the new epoch: one more than that of the ledger.
    #[schemars(range(min = 1, max = 65535))]
    pub epoch: i64,
    /// How many blocks are kept.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub blocks: i64,
    /// How many entries these hold.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub entries: i64,
    /// Root of the tree over them.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub root: String,
    /// The largest checkpoint of the ledger that anybody holds, as a signed note: what it vouches for beyond `entries` is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub checkpoint: Option<String>,
}

/// A plan for a spent error budget: one workload may change to exactly one pod template. What it does and why is the command's
/// reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MitigateAction {
    /// Name of the objective whose budget is spent.
    #[schemars(length(min = 1, max = 253))]
    pub slo: String,
    /// Digest of its version: under another version the plan is void.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub objective: String,
    /// Namespace of the objective and the workload, when the command stands in miax-system; else it is the command's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE_PATTERN))]
    pub namespace: Option<String>,
    /// The workload.
    pub target: WorkloadRef,
    /// Digest of the one pod template that it may have, as the refusal and `kubectl --dry-run=server` tell it.
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub template: String,
    /// How many times; a second change to the same template needs a second use.
    #[schemars(range(min = 1, max = 100))]
    pub uses: i32,
    /// When the plan ends, in UTC with whole seconds.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: String,
}
