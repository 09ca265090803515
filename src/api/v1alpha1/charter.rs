//! The charter: the constitution as data. The engine knows mechanisms only; every name, rank, quorum and period is here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TIME_PATTERN;

/// Pattern of the name of an organ, a principal, a rule or a cluster.
const NAME_PATTERN: &str = "^[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?$";

/// Who exists, who may sign with which key, and which seats must sign for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Charter {
    /// The clusters that this charter governs.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub clusters: Vec<Cluster>,
    /// The chain of command. Rank 1 is the highest; several organs may share a rank.
    #[schemars(length(min = 1, max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub organs: Vec<Organ>,
    /// People and machines, their keys and the seats that they hold.
    #[schemars(length(min = 1, max = 512), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub principals: Vec<Principal>,
    /// Which organ may send which signal to which other.
    #[schemars(length(min = 1, max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["signal"]))]
    pub routing: Vec<Route>,
    /// Which seats must sign for what. Every rule that matches must be satisfied; what no rule matches is refused.
    #[schemars(length(min = 1, max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub rules: Vec<Rule>,
    /// Where the impact of a command is raised, whatever its author wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub impacts: Vec<ImpactFloor>,
    /// What no rule can relax: checked after all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub floors: Vec<Floor>,
    /// Who may sign for an organ without holding its seat, for what, where and until when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub delegations: Vec<Delegation>,
    /// Findings of `miax charter lint` that the signers accept, each with its reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "atomic"))]
    pub waivers: Vec<Waiver>,
}

/// A cluster that the charter governs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The name that documents put into their audience.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// UID of the cluster's `kube-system` namespace.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
}

/// An organ of the chain of command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Organ {
    /// Its name, for example `CEK`.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Its rank; 1 is the highest.
    #[schemars(range(min = 1, max = 99))]
    pub rank: i32,
}

/// A person or a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Principal {
    /// The name that signatures carry.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// `Person` or `Machine`. A seat is filled by persons unless the rule says `by: Any`.
    #[schemars(extend("enum" = ["Person", "Machine"]))]
    pub kind: String,
    /// Public keys. Several keys are still one principal.
    #[schemars(length(min = 1, max = 8), extend("x-kubernetes-list-type" = "atomic"))]
    pub keys: Vec<KeySpec>,
    /// The organs that the principal signs for.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub seats: Vec<String>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeySpec {
    /// What kind of key it is; the `sk` forms are hardware keys.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["sshEd25519", "sshEcdsaP256", "sshSkEd25519", "sshSkEcdsaP256", "ed25519", "ecdsaP256"]))]
    pub type_: String,
    /// For the ssh forms the line of the `.pub` file, else the bytes in base64.
    #[schemars(length(min = 1, max = 1024))]
    pub public: String,
    /// The key signs nothing from this time on, in UTC with whole seconds. Keys of machines should have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub expires_at: Option<String>,
}

/// Lets a principal sign for an organ whose seat they do not hold: for named actions, in named namespaces, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delegation {
    /// The organ that delegates.
    #[schemars(length(min = 1, max = 63))]
    pub from: String,
    /// The principal who may sign for it.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,
    /// Only for these actions; each must be one that the organ has a say in.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub actions: Vec<String>,
    /// Only for commands about these namespaces.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// The delegation ends at this time, in UTC with whole seconds.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: String,
}

/// A row of the routing table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The signal.
    #[schemars(extend("enum" = [
        "PolicyManifest", "SchemaDeploy", "TelemetryStream", "AlertIncident", "ControlCommand", "ExtensionRequest",
        "FileIngest", "AuditEntry",
    ]))]
    pub signal: String,
    /// Organs that may originate it.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub from: Vec<String>,
    /// Organs that it goes to; the first one executes.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "atomic"))]
    pub to: Vec<String>,
    /// How it travels.
    #[schemars(length(min = 1, max = 63))]
    pub channel: String,
    /// How urgent it is: `Low`, `Medium`, `High` or `Critical`.
    #[schemars(extend("enum" = ["Low", "Medium", "High", "Critical"]))]
    pub priority: String,
}

/// Which seats must sign for what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Name of the rule, cited by denials.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// The article of the constitution that the rule implements, cited by denials.
    #[schemars(length(min = 1, max = 16))]
    pub article: String,
    /// What the rule is about.
    #[serde(rename = "match")]
    pub match_: RuleMatch,
    /// Organs that may author; empty means those that the routing table lets originate the signal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub author: Vec<String>,
    /// The seats that must approve; all of them.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub require: Vec<Requirement>,
    /// How long a document may be valid at most, from its first signature to its expiry, for example `4h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[0-9]+[smhd]$"))]
    pub max_validity: Option<String>,
    /// For `emergencyCharter`: how long after its first signature such a charter must be ratified at the latest, for
    /// example `72h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[0-9]+[smhd]$"))]
    pub ratify_within: Option<String>,
    /// How soon after a command of this rule began its post-mortem is due, for example `120h`. While one is overdue, the rule
    /// allows nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[0-9]+[smhd]$"))]
    pub post_mortem_within: Option<String>,
    /// For Override: how soon after it the highest organ must have acknowledged it, for example `24h`. While one is overdue,
    /// the rule allows nothing more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[0-9]+[smhd]$"))]
    pub acknowledge_within: Option<String>,
    /// For the kind SLO: how soon after its budget was spent a Mitigate or a Review must stand, for example `120h`. While one is
    /// overdue, the rule allows no change of an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 16), regex(pattern = "^[0-9]+[smhd]$"))]
    pub mitigate_within: Option<String>,
    /// `Enforce` (the default), `Warn` or `Observe`. With the last two the rule decides nothing and only tells what it would
    /// refuse; a command needs a rule that is enforced beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Enforce", "Warn", "Observe"]))]
    pub mode: Option<String>,
    /// `Refuse` (the default) or `Hold`: whether a command that only waits for people is refused, or stored without effect
    /// until they have signed in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Refuse", "Hold"]))]
    pub pending: Option<String>,
    /// For Override: the organs whose decisions may be overridden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub overrides: Vec<String>,
}

/// What a rule is about: commands by action, or manifests by body. Both are never matched by one rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleMatch {
    /// Actions of commands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub actions: Vec<String>,
    /// Bodies of manifests: `charter`, or `emergencyCharter` for a charter with `ratifyBy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub manifests: Vec<String>,
    /// Other signed kinds: `SLO`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub kinds: Vec<String>,
    /// Only commands of this impact, after the charter raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Normal", "High", "Critical"]))]
    pub impact: Option<String>,
    /// Only commands whose target, and objects that, are in one of these namespaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
}

/// Seats to fill: either `seat` with `count`, or `pool` with `count` or `fraction`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The organ whose seat it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub seat: Option<String>,
    /// Several organs, any of whose holders may fill the seats.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub pool: Vec<String>,
    /// How many different principals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 512))]
    pub count: Option<i32>,
    /// For a pool: which share of all its different holders must approve, for example `2/3`. Approvals for other seats
    /// of the rule count here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 9), regex(pattern = "^[0-9]{1,4}/[0-9]{1,4}$"))]
    pub fraction: Option<String>,
    /// `Person` (the default) or `Any`, which lets machines fill the seat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Person", "Any"]))]
    pub by: Option<String>,
    /// Only `true` may be written: the seat is filled by signatures of hardware keys (the `sk` forms) alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [true]))]
    pub require_hardware: Option<bool>,
}

/// Raises the impact of commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImpactFloor {
    /// Only these actions; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub actions: Vec<String>,
    /// Only targets in these namespaces; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// The lowest impact that such a command can have.
    #[schemars(extend("enum" = ["Normal", "High", "Critical"]))]
    pub at_least: String,
}

/// The fewest people who must agree, whatever the rules say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Floor {
    /// Only these actions; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub actions: Vec<String>,
    /// Only targets in these namespaces; empty means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
    /// Only commands of at least this impact, after the charter raised it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Normal", "High", "Critical"]))]
    pub impact: Option<String>,
    /// How many different persons must have authored or approved. Machines do not count.
    #[schemars(range(min = 1, max = 512))]
    pub min_persons: i32,
}

/// An accepted finding of the charter lint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiver {
    /// Name of the finding, for example `LostKeyBlocksRule`.
    #[schemars(length(min = 1, max = 63))]
    pub finding: String,
    /// What it is about, as the lint names it.
    #[schemars(length(min = 1, max = 128))]
    pub subject: String,
    /// Why it is accepted; signed with the charter and shown for ever.
    #[schemars(length(min = 1, max = 512))]
    pub reason: String,
}
