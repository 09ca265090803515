//! ControlCommand: a signed request for one action.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn of kube repeats the same keys")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Action, Signature, TIME_PATTERN};

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
    validation = ("self.audience == oldSelf.audience && self.action == oldSelf.action && self.impact == oldSelf.impact && self.reason == oldSelf.reason && self.expiresAt == oldSelf.expiresAt", "spec is immutable; only signatures may be added: every approval was for what it was, and would be void"),
    validation = ("has(self.ticket) == has(oldSelf.ticket) && (!has(self.ticket) || self.ticket == oldSelf.ticket)", "ticket is immutable"),
    validation = ("has(self.notBefore) == has(oldSelf.notBefore) && (!has(self.notBefore) || self.notBefore == oldSelf.notBefore)", "notBefore is immutable"),
    validation = ("has(self.precondition) == has(oldSelf.precondition) && (!has(self.precondition) || self.precondition == oldSelf.precondition)", "precondition is immutable"),
    validation = ("oldSelf.signatures.all(o, self.signatures.exists(n, n == o))", "a signature cannot be changed or removed; object or withdraw instead")
)]
pub struct ControlCommandSpec {
    /// Names of the clusters that the command is meant for, as the charter lists them; in a later epoch of its ledger a cluster is
    /// called NAME/EPOCH.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 69)), extend("x-kubernetes-list-type" = "set"))]
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
