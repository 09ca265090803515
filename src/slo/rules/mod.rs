//! The rules by which Prometheus records an objective and alerts of it, as values.
//!
//! Must not: paste a text of a user into a query. Everything longer than the resolution is a sum of what was recorded at the
//! resolution, divided at the end: never a mean of ratios.

mod alerting;
mod counting;
mod pack;
mod recordings;

pub use pack::{MOST_BYTES, Packed, WARN_BYTES, object_name, pack};
pub use recordings::{
    BAD, BAD_WINDOW, INDICATOR_LABEL, POINTS_WINDOW, Recordings, SLO_LABEL, TOTAL, TOTAL_WINDOW, newest_query,
};

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::units::{Digest, Seconds};

use super::alerts::Severity;
use super::name::SloName;
use super::resolution::Resolution;
use super::{Budgeting, Life, Slo, Window};
use counting::Counting;

/// The rules of one objective: at most 14, which make at most 12 series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    recordings: Recordings,
    resolution: Resolution,
    rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Record { name: String, expression: String },
    Alert(Alert),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Alert {
    name: AlertName,
    expression: String,
    /// How long it must be true.
    hold: Option<Seconds>,
    severity: Severity,
    summary: String,
    description: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AlertName {
    Absent,
    Burning,
    Spent,
}

/// Annotation of every alert: the digest of its group, by which the live rules can be told from others.
pub const DIGEST_ANNOTATION: &str = "miax_rules";

impl AlertName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "MiaxSloAbsent",
            Self::Burning => "MiaxErrorBudgetBurning",
            Self::Spent => "MiaxErrorBudgetSpent",
        }
    }
}

/// The rules of an objective; `None` when it has ended.
#[must_use]
pub fn render(name: &SloName, slo: &Slo, resolution: Resolution) -> Option<Group> {
    match slo.life {
        Life::Active => {}
        Life::Retired => return None,
    }
    let recordings = Recordings::new(name.clone(), slo.indicator.id(slo.budgeting, resolution));
    let mut rules = base(slo, &recordings, resolution);
    let record = |name: &str, expression| Rule::Record { name: name.to_owned(), expression };
    if let Window::Rolling(length) = slo.window {
        rules.push(record(TOTAL_WINDOW, recordings.sum(TOTAL, length)));
        rules.push(record(BAD_WINDOW, recordings.sum(BAD, length)));
        rules.push(record(POINTS_WINDOW, recordings.points(length)));
    }
    for (pair, _) in alerting::pairs(slo) {
        rules.push(record(&Recordings::ratio_name(pair.long), recordings.error_ratio(pair.long)));
    }
    rules.extend(alerting::alerts(slo, &recordings, resolution).into_iter().map(Rule::Alert));
    Some(Group { recordings, resolution, rules })
}

/// What is counted at the resolution. All else is sums of these two.
fn base(slo: &Slo, recordings: &Recordings, resolution: Resolution) -> Vec<Rule> {
    let counting = Counting::new(&slo.indicator, resolution);
    let (total, bad) = match slo.budgeting {
        Budgeting::Occurrences => {
            let total = counting.total();
            // Recorded just before in this evaluation.
            (total, counting.bad(&format!("sum({})", recordings.of(TOTAL))))
        }
        Budgeting::TimeSlices(objective) => {
            let events = format!("({})", counting.total());
            let (allowed, of) = objective.error_fraction();
            let bad = format!("{of} * ({}) > bool {allowed} * {events}", counting.bad(&events));
            (format!("0 * {events} + 1"), bad)
        }
    };
    // One point that is no number would make every sum over it none.
    let number = |expression: String| format!("({expression}) > -Inf < +Inf");
    [(TOTAL, total), (BAD, bad)]
        .into_iter()
        .map(|(name, expression)| Rule::Record { name: name.to_owned(), expression: number(expression) })
        .collect()
}

impl Group {
    /// Its name: `miax/<namespace>/<name>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("miax/{}", self.recordings.slo())
    }

    /// The series that it records.
    #[must_use]
    pub fn recordings(&self) -> &Recordings {
        &self.recordings
    }

    /// How many rules it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has none; it never has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The names of its rules with their queries, in their order.
    #[must_use]
    pub fn queries(&self) -> Vec<(&str, &str)> {
        self.rules
            .iter()
            .map(|rule| match rule {
                Rule::Record { name, expression } => (name.as_str(), expression.as_str()),
                Rule::Alert(alert) => (alert.name.as_str(), alert.expression.as_str()),
            })
            .collect()
    }

    /// The times over which it records the share of bad events, for alerts.
    pub fn ratios(&self) -> impl Iterator<Item = Seconds> {
        self.rules.iter().filter_map(|rule| match rule {
            Rule::Record { name, expression: _ } => Recordings::ratio_over(name),
            Rule::Alert(_) => None,
        })
    }

    /// SHA-256 of the group without this digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.value(None).to_string()).into())
    }

    /// The group as rule files and PrometheusRule objects hold it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        self.value(Some(self.digest()))
    }

    fn value(&self, digest: Option<Digest>) -> Value {
        let rules: Vec<Value> = self.rules.iter().map(|rule| self.rule(rule, digest)).collect();
        json!({ "name": self.name(), "interval": self.resolution.to_string(), "rules": rules })
    }

    fn rule(&self, rule: &Rule, digest: Option<Digest>) -> Value {
        let mut labels: Map<String, Value> =
            self.recordings.labels().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        match rule {
            Rule::Record { name, expression } => json!({ "record": name, "expr": expression, "labels": labels }),
            Rule::Alert(Alert { name, expression, hold, severity, summary, description }) => {
                labels.insert("severity".to_owned(), severity.as_str().into());
                let mut annotations = json!({ "summary": summary, "description": description });
                if let (Some(digest), Some(map)) = (digest, annotations.as_object_mut()) {
                    map.insert(DIGEST_ANNOTATION.to_owned(), digest.to_string().into());
                }
                let mut value =
                    json!({ "alert": name.as_str(), "expr": expression, "labels": labels, "annotations": annotations });
                if let (Some(hold), Some(map)) = (hold, value.as_object_mut()) {
                    map.insert("for".to_owned(), hold.to_string().into());
                }
                value
            }
        }
    }
}

#[cfg(test)]
mod tests;
