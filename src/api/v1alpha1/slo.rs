//! SLO: a signed objective, with its live error budget in the status.

#![expect(clippy::duplicated_attributes, reason = "each printcolumn of kube repeats the same keys")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Signature, TIME_PATTERN};

/// A number as people write it: digits, and perhaps a point with digits. Never a float: what is signed must have one spelling.
const DECIMAL_PATTERN: &str = "^(0|[1-9][0-9]{0,17})(\\.[0-9]{1,18})?$";
/// A length of time as Prometheus writes it, in one unit.
const DURATION_PATTERN: &str = "^[1-9][0-9]{0,5}[smhdw]$";

/// How good a service has to be, how that is measured, and what happens to changes when its error budget is spent. The same name
/// is replaced in place by its next signed version.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "miax.dev",
    version = "v1alpha1",
    kind = "SLO",
    root = "Slo",
    plural = "slos",
    namespaced,
    status = "SloStatus",
    derive = "PartialEq",
    shortname = "mxslo",
    category = "miax",
    doc = "A signed service level objective; a spent error budget stops changes of the workloads that it binds",
    printcolumn(name = "Objective", type_ = "string", json_path = ".spec.objective"),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(name = "Remaining", type_ = "string", json_path = ".status.budget.remaining"),
    printcolumn(name = "Coverage", type_ = "string", json_path = ".status.budget.coverage"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "Version", type_ = "integer", json_path = ".spec.version", priority = 1),
    printcolumn(name = "Events", type_ = "integer", json_path = ".status.budget.remainingEvents", priority = 1),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("self.version >= oldSelf.version", "version never goes back; to return to an older objective, sign it as the next version"),
    validation = ("self.version != oldSelf.version || (self.audience == oldSelf.audience && self.expiresAt == oldSelf.expiresAt && self.objective == oldSelf.objective && self.indicator == oldSelf.indicator && self.window == oldSelf.window)", "a version is immutable; only signatures may be added: change it under the next version"),
    validation = ("self.version != oldSelf.version || (has(self.description) == has(oldSelf.description) && (!has(self.description) || self.description == oldSelf.description))", "description is immutable within a version"),
    validation = ("self.version != oldSelf.version || (has(self.timeSlices) == has(oldSelf.timeSlices) && (!has(self.timeSlices) || self.timeSlices == oldSelf.timeSlices))", "timeSlices is immutable within a version"),
    validation = ("self.version != oldSelf.version || (has(self.alerts) == has(oldSelf.alerts) && (!has(self.alerts) || self.alerts == oldSelf.alerts))", "alerts is immutable within a version"),
    validation = ("self.version != oldSelf.version || (has(self.gate) == has(oldSelf.gate) && (!has(self.gate) || self.gate == oldSelf.gate))", "gate is immutable within a version"),
    validation = ("self.version != oldSelf.version || has(self.retired) == has(oldSelf.retired)", "retired is immutable within a version"),
    validation = ("self.version != oldSelf.version || oldSelf.signatures.all(o, self.signatures.exists(n, n == o))", "a signature cannot be changed or removed; object or withdraw instead")
)]
pub struct SloSpec {
    /// Names of the clusters that the objective is meant for, as the charter lists them; in a later epoch of its ledger a cluster
    /// is called NAME/EPOCH.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 69)), extend("x-kubernetes-list-type" = "set"))]
    pub audience: Vec<String>,
    /// Version of the objective; a change needs a higher one, and its own signatures.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub version: i64,
    /// Not valid from this time on, in UTC with whole seconds. An objective that has expired has the verdict Unknown.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub expires_at: String,
    /// What it is about, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub description: Option<String>,
    /// How much of it must be good, in percent, as exact decimal text: `99.9`. More than 0 and less than 100.
    #[schemars(regex(pattern = DECIMAL_PATTERN), length(max = 20))]
    pub objective: String,
    /// What is counted.
    pub indicator: Indicator,
    /// Over which time the budget is counted.
    pub window: Window,
    /// Counts good slices of time instead of good events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_slices: Option<TimeSlices>,
    /// When people are alerted; without it the four pairs of windows of the SRE workbook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts: Option<Alerts>,
    /// Which changes stop when the budget is spent; without it none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
    /// Ends the objective: set to true in its last version. Deleting the object alone ends nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [true]))]
    pub retired: Option<bool>,
    /// Who says what about this version.
    #[serde(default)]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["principal", "verb", "seat"])
    )]
    pub signatures: Vec<Signature>,
}

/// What is counted: exactly one kind of indicator. Selectors are PromQL vector selectors with the name of one metric and label
/// matchers, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("[has(self.ratio), has(self.latency), has(self.nativeLatency), has(self.gauge)].filter(x, x).size() == 1", "indicator must hold exactly one of ratio, latency, nativeLatency, gauge")
)]
pub struct Indicator {
    /// Two counters of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioIndicator>,
    /// A histogram with buckets: events up to the threshold are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<LatencyIndicator>,
    /// A native histogram: events up to the threshold are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub native_latency: Option<LatencyIndicator>,
    /// A gauge that is 1 while all is well and 0 while not, for example of a prober.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gauge: Option<GaugeIndicator>,
}

/// Two counters: all events, and the bad or the good ones of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.bad) != has(self.good)", "ratio must hold exactly one of bad, good"))]
pub struct RatioIndicator {
    /// Selector of the counters of bad events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub bad: Option<String>,
    /// Selector of the counters of good events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub good: Option<String>,
    /// Selector of the counters of all events.
    #[schemars(length(min = 1, max = 1024))]
    pub total: String,
}

/// A histogram and how slow is too slow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LatencyIndicator {
    /// Selector of the histogram, by its name without `_bucket` or `_count`.
    #[schemars(length(min = 1, max = 1024))]
    pub histogram: String,
    /// Up to here an event is good, in the histogram's unit, as decimal text. With buckets it must be the upper bound of one.
    #[schemars(regex(pattern = DECIMAL_PATTERN), length(max = 20))]
    pub threshold: String,
}

/// A gauge that is 1 or 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GaugeIndicator {
    /// Selector of the gauges; each of their samples is an event.
    #[schemars(length(min = 1, max = 1024))]
    pub up: String,
}

/// The time that a budget is counted over: exactly one kind of window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.rolling) != has(self.calendar)", "window must hold exactly one of rolling, calendar"))]
pub struct Window {
    /// The last hours, days or weeks: `30d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION_PATTERN), length(max = 7))]
    pub rolling: Option<String>,
    /// Since the calendar last turned over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarWindow>,
}

/// A window that begins anew with the calendar, and its budget with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarWindow {
    /// How long it is. A week begins on Monday.
    #[schemars(extend("enum" = ["Day", "Week", "Month", "Quarter"]))]
    pub period: String,
    /// Time zone of the calendar by its IANA name: `Europe/Berlin`, `UTC`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// Slices of time, each good or bad as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSlices {
    /// A slice is good when at least this many percent of its events are good, as exact decimal text.
    #[schemars(regex(pattern = DECIMAL_PATTERN), length(max = 20))]
    pub objective: String,
}

/// When people are alerted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("(self.policy == 'Custom') == has(self.pairs)", "pairs must be set exactly when policy is Custom"))]
pub struct Alerts {
    /// `Workbook` (14.4 in 1 h, 6 in 6 h, 3 in 1 d, 1 in 3 d), `Pyrra` (its factors, scaled to the window), `Custom`, or `None`.
    #[schemars(extend("enum" = ["Workbook", "Pyrra", "Custom", "None"]))]
    pub policy: String,
    /// Pairs of windows of the policy Custom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    pub pairs: Option<Vec<AlertPair>>,
    /// No alert below this many events in the long window. It never touches the budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_i64))]
    pub min_events: Option<i64>,
}

/// An alert fires while the budget burns this fast in both windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertPair {
    /// `Page` wakes somebody, `Ticket` waits for the day.
    #[schemars(extend("enum" = ["Page", "Ticket"]))]
    pub severity: String,
    /// The long window.
    #[schemars(regex(pattern = DURATION_PATTERN), length(max = 7))]
    pub long: String,
    /// The short window: the alert ends soon after the errors.
    #[schemars(regex(pattern = DURATION_PATTERN), length(max = 7))]
    pub short: String,
    /// How many times faster than the budget lasts, as decimal text.
    #[schemars(regex(pattern = DECIMAL_PATTERN), length(max = 20))]
    pub factor: String,
}

/// What a spent budget stops: changes of pod templates, in namespaces that opted in to the gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.workloads) != has(self.allWorkloads)", "gate must hold exactly one of workloads, allWorkloads")
)]
pub struct Gate {
    /// The workloads of this namespace that it binds. New ones under other names stop with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub workloads: Option<Vec<WorkloadRef>>,
    /// Binds every workload of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = [true]))]
    pub all_workloads: Option<bool>,
    /// What happens while nobody knows how much budget is left: `Deny` (the default), `Warn` or `Allow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Deny", "Warn", "Allow"]))]
    pub on_unknown: Option<String>,
    /// How many percent of the budget must be left before the gate opens again, as decimal text; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DECIMAL_PATTERN), length(max = 20))]
    pub margin: Option<String>,
    /// How long that much must be left; 10m by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DURATION_PATTERN), length(max = 7))]
    pub dwell: Option<String>,
}

/// A workload of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// Its kind.
    #[schemars(extend("enum" = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"]))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What the controller measured, and what webhooks take for the facts of the gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SloStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The version's digest: what signatures are over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Index of the newest ledger entry about this objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger_index: Option<i64>,
    /// `Met`, `Exhausted` or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["Met", "Exhausted", "Unknown"]))]
    pub verdict: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Since when the budget counts as spent, also while the verdict is Unknown; absent while it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent_since: Option<String>,
    /// Since when more than the margin is left again without a break, while the budget counts as spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovering_since: Option<String>,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the verdict was last computed from an answer of Prometheus, by the controller's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated_at: Option<String>,
    /// The time between two evaluations, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i64>,
    /// The budget of the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetStatus>,
    /// How fast the budget burns: 1 spends it exactly in the window.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["window"]))]
    pub burn: Vec<BurnStatus>,
    /// Pod templates that ran while the budget was not spent: back to these a workload may go.
    #[serde(default)]
    pub healthy: Vec<HealthyTemplate>,
    /// `DataAvailable`, `RulesLoaded` and `Ready`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// An error budget, in events and as a share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStatus {
    /// What is left of it as a share, as decimal text: 1 is all, 0 is spent, below 0 is overspent.
    pub remaining: String,
    /// How many more bad events (or slices) it allows; below 0 when it is overspent.
    pub remaining_events: i64,
    /// Bad events of the window.
    pub bad: i64,
    /// All events of the window.
    pub total: i64,
    /// Which share of the window has data, as decimal text from 0 to 1.
    pub coverage: String,
    /// First moment of the window.
    pub from: String,
    /// When it is spent if it goes on like the last hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted_by: Option<String>,
    /// When the gate opens again if no more errors happen; never later than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovers_by: Option<String>,
    /// The query that it comes from.
    pub query: String,
}

/// How fast a budget burns in one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BurnStatus {
    /// Its length.
    pub window: String,
    /// How many times faster than the budget lasts, as decimal text.
    pub rate: String,
}

/// A pod template that ran while the budget was not spent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthyTemplate {
    /// Kind of the workload.
    pub kind: String,
    /// Name of the workload.
    pub name: String,
    /// SHA-256 of the canonical pod template.
    pub template: String,
    /// When it was last seen running while the budget was not spent.
    pub seen: String,
}
