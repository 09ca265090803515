//! ControlCommand: a signed request for one action.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn of kube repeats the same keys")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DIGEST_PATTERN, Signature, TIME_PATTERN};

/// A request for one action, with its approvals inside. It is judged by the charter at admission and again right before
/// the action; the ledger remembers that it was used, so that it works once.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "miax.dev",
    version = "v1alpha1",
    kind = "ControlCommand",
    namespaced,
    status = "ControlCommandStatus",
    derive = "PartialEq",
    shortname = "mxcmd",
    category = "miax",
    doc = "A signed request for one action in its namespace, with its approvals inside",
    printcolumn(name = "Action", type_ = "string", json_path = ".spec.action.type"),
    printcolumn(name = "Impact", type_ = "string", json_path = ".spec.impact"),
    printcolumn(name = "Approved", type_ = "string", json_path = ".status.conditions[?(@.type==\"Approved\")].status"),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Succeeded\")].status"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Succeeded\")].reason"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Index", type_ = "integer", json_path = ".status.ledgerIndex", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.audience == oldSelf.audience && self.action == oldSelf.action && self.impact == oldSelf.impact && self.reason == oldSelf.reason && self.expiresAt == oldSelf.expiresAt", "spec is immutable; only signatures may be added"),
    validation = ("has(self.ticket) == has(oldSelf.ticket) && (!has(self.ticket) || self.ticket == oldSelf.ticket)", "ticket is immutable"),
    validation = ("has(self.notBefore) == has(oldSelf.notBefore) && (!has(self.notBefore) || self.notBefore == oldSelf.notBefore)", "notBefore is immutable"),
    validation = ("has(self.precondition) == has(oldSelf.precondition) && (!has(self.precondition) || self.precondition == oldSelf.precondition)", "precondition is immutable"),
    validation = ("oldSelf.signatures.all(o, self.signatures.exists(n, n == o))", "a signature cannot be changed or removed; object or withdraw instead")
)]
pub struct ControlCommandSpec {
    /// Names of the clusters that the command is meant for, as the charter lists them.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub audience: Vec<String>,
    /// What to do: exactly one action.
    pub action: Action,
    /// How much is at stake; the charter may raise it, never lower it.
    #[schemars(extend("enum" = ["Normal", "High", "Critical"]))]
    pub impact: String,
    /// Why it is done, for the people who approve it and for the record.
    #[schemars(length(min = 1, max = 1024))]
    pub reason: String,
    /// A ticket that tells more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub ticket: Option<String>,
    /// Not valid before this time, in UTC with whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub not_before: Option<String>,
    /// Not valid from this time on, in UTC with whole seconds. The charter's rule sets how far ahead it may lie.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub expires_at: String,
    /// The state that the target must still be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
    /// Who says what about this command.
    #[serde(default)]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["principal", "verb", "seat"])
    )]
    pub signatures: Vec<Signature>,
}

/// Exactly one action; `type` names it and the field of the same name holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("(self.type == 'Scale') == has(self.scale)", "scale must be set exactly when type is Scale"),
    validation = ("(self.type == 'Restart') == has(self.restart)", "restart must be set exactly when type is Restart"),
    validation = ("(self.type == 'Rollback') == has(self.rollback)", "rollback must be set exactly when type is Rollback"),
    validation = ("(self.type == 'Patch') == has(self.patch)", "patch must be set exactly when type is Patch"),
    validation = ("(self.type == 'RevokeKey') == has(self.revokeKey)", "revokeKey must be set exactly when type is RevokeKey"),
    validation = ("(self.type == 'Veto') == has(self.veto)", "veto must be set exactly when type is Veto"),
    validation = ("(self.type == 'Review') == has(self.review)", "review must be set exactly when type is Review"),
    validation = ("(self.type == 'RatifyAmendment') == has(self.ratifyAmendment)", "ratifyAmendment must be set exactly when type is RatifyAmendment")
)]
pub struct Action {
    /// `Scale`, `Restart`, `Rollback`, `Patch`, `RevokeKey`, `Veto`, `Review` or `RatifyAmendment`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["Scale", "Restart", "Rollback", "Patch", "RevokeKey", "Veto", "Review", "RatifyAmendment"]))]
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
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
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

/// The "from" state of a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Precondition {
    /// `metadata.generation` that the target must still have.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub generation: i64,
}

/// What the controller saw; never an authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlCommandStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The object's digest: what signatures are over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Index of the newest ledger entry about this command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_index: Option<i64>,
    /// `Verified`, `Approved`, `Recorded` and `Succeeded`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
