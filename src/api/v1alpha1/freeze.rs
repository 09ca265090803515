//! Freezes of a namespace, and how they end.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{DIGEST_PATTERN, NAMESPACE_PATTERN, TIME_PATTERN};

/// Pattern of a time of day to the minute; a day ends at 24:00.
const HOURS_PATTERN: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$";
/// Pattern of a day of the week.
const WEEK_PATTERN: &str = "^(Mon|Tue|Wed|Thu|Fri|Sat|Sun)$";
/// Pattern of a day.
const DAY_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$";

/// Freezes a namespace, beside what freezes it already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FreezeAction {
    /// Only for commands in `miax-system`: the namespace. Elsewhere a command freezes its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE_PATTERN))]
    pub namespace: Option<String>,
    /// The freeze ends by itself at this time, in UTC with whole seconds; without it, it lasts until it is thawed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: Option<String>,
    /// The freeze holds only in these windows; without it, it always does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<FreezeCalendar>,
    /// Seats that all must sign a waiver for it, instead of those that may thaw; beside those of the rules for Waive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub way_out: Vec<String>,
}

/// When a freeze holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreezeCalendar {
    /// Time zone of the windows by its IANA name: `Europe/Berlin`, `UTC`.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// The namespace is frozen while at least one of them is open.
    #[schemars(length(min = 1, max = 16), extend("x-kubernetes-list-type" = "atomic"))]
    pub windows: Vec<FreezeWindow>,
}

/// A window of a calendar: hours of some days. At least one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = ("has(self.from) == has(self.to)", "from and to go together"))]
pub struct FreezeWindow {
    /// Days of the week on which it opens; without them, every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7), inner(regex(pattern = WEEK_PATTERN), length(max = 3)), extend("x-kubernetes-list-type" = "set"))]
    pub days: Vec<String>,
    /// When it opens, as clocks in the time zone show it: `16:00`. Without it, it is open all day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = HOURS_PATTERN), length(max = 5))]
    pub from: Option<String>,
    /// When it closes; `24:00` is the end of the day, and what is earlier than `from` is on the day after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = HOURS_PATTERN), length(max = 5))]
    pub to: Option<String>,
    /// The first day on which it opens: `2026-12-20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY_PATTERN), length(max = 10))]
    pub first_day: Option<String>,
    /// The last day on which it opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = DAY_PATTERN), length(max = 10))]
    pub last_day: Option<String>,
}

/// Ends freezes of a namespace, or lets them rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ThawAction {
    /// Only for commands in `miax-system`: the namespace. Elsewhere a command thaws its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = NAMESPACE_PATTERN))]
    pub namespace: Option<String>,
    /// Digest of the one Freeze command whose freeze it is about. Without it, it is about all of the namespace; but a calendar is
    /// ended by its digest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = DIGEST_PATTERN))]
    pub freeze: Option<String>,
    /// They only rest until this time, in UTC with whole seconds, and hold again then; without it, they end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub until: Option<String>,
}
