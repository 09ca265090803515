//! Manifest: an immutable, signed, versioned document.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn of kube repeats the same keys")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Charter, Signature, TIME_PATTERN};

/// A signed, versioned document named `<id>-v<version>`. Its body is exactly one document.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "miax.dev",
    version = "v1alpha1",
    kind = "Manifest",
    status = "ManifestStatus",
    derive = "PartialEq",
    shortname = "mxman",
    category = "miax",
    doc = "An immutable, signed, versioned document; the body charter is the constitution of the cluster",
    printcolumn(name = "Id", type_ = "string", json_path = ".spec.id"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".spec.version"),
    printcolumn(name = "Authority", type_ = "string", json_path = ".spec.authority"),
    printcolumn(name = "Active", type_ = "string", json_path = ".status.conditions[?(@.type==\"Active\")].status"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.audience == oldSelf.audience && self.id == oldSelf.id && self.version == oldSelf.version && self.authority == oldSelf.authority && self.expiresAt == oldSelf.expiresAt", "spec is immutable; only signatures may be added: every approval was for what it was, and would be void"),
    validation = ("has(self.ratifyBy) == has(oldSelf.ratifyBy) && (!has(self.ratifyBy) || self.ratifyBy == oldSelf.ratifyBy)", "ratifyBy is immutable"),
    validation = ("self.body == oldSelf.body", "body is immutable; publish the next version instead"),
    validation = ("oldSelf.signatures.all(o, self.signatures.exists(n, n == o))", "a signature cannot be changed or removed; object or withdraw instead")
)]
pub struct ManifestSpec {
    /// Names of the clusters that the document is meant for, as the charter lists them; in a later epoch of its ledger a cluster is
    /// called NAME/EPOCH.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 69)), extend("x-kubernetes-list-type" = "set"))]
    pub audience: Vec<String>,
    /// Name of the document; all its versions share it.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub id: String,
    /// Version of the document. For a charter exactly the previous one plus 1.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub version: i64,
    /// The organ under whose authority the document stands; CEK for a charter.
    #[schemars(length(min = 1, max = 63))]
    pub authority: String,
    /// Not valid from this time on, in UTC with whole seconds.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub expires_at: String,
    /// Only for an emergency amendment: it lapses at this time, and the charter before it is in force again, unless a
    /// RatifyAmendment command confirms it before. In UTC with whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub ratify_by: Option<String>,
    /// The document itself.
    pub body: ManifestBody,
    /// Who says what about this document.
    #[serde(default)]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["principal", "verb", "seat"])
    )]
    pub signatures: Vec<Signature>,
}

/// Exactly one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.charter)", "body must hold exactly one document: charter"))]
pub struct ManifestBody {
    /// The constitution: organs, people, keys, routes and rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter: Option<Charter>,
}

/// What the controller saw; never an authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The object's digest: what signatures are over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Index of the newest ledger entry about this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_index: Option<i64>,
    /// `Verified`, `Recorded`, `Active` and `Ready`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
