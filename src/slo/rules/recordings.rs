//! The series that an objective is recorded in, and the queries that read them.

use crate::slo::indicator::IndicatorId;
use crate::slo::name::SloName;
use crate::slo::resolution::Resolution;
use crate::slo::selector::quoted;
use crate::units::Seconds;

/// Label that holds the namespace and name of an objective.
pub const SLO_LABEL: &str = "miax_slo";
/// Label that holds the identity of what is counted.
pub const INDICATOR_LABEL: &str = "miax_indicator";
/// Bad events since the evaluation before.
pub const BAD: &str = "miax:slo_bad:increase";
/// All events since the evaluation before.
pub const TOTAL: &str = "miax:slo_total:increase";
/// Bad events of a rolling window.
pub const BAD_WINDOW: &str = "miax:slo_bad:window";
/// All events of a rolling window.
pub const TOTAL_WINDOW: &str = "miax:slo_total:window";
/// Evaluations of a rolling window.
pub const POINTS_WINDOW: &str = "miax:slo_points:window";
/// What the recorded share of bad events is called, before its time.
const RATIO: &str = "miax:slo_errors:ratio_";

/// The series of an objective, as long as it counts the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recordings {
    slo: SloName,
    indicator: IndicatorId,
}

impl Recordings {
    /// The series of an objective.
    #[must_use]
    pub fn new(slo: SloName, indicator: IndicatorId) -> Self {
        Self { slo, indicator }
    }

    /// Its labels, by name.
    #[must_use]
    pub fn labels(&self) -> [(&'static str, String); 2] {
        [(INDICATOR_LABEL, self.indicator.to_string()), (SLO_LABEL, self.slo.to_string())]
    }

    /// Which objective.
    #[must_use]
    pub fn slo(&self) -> &SloName {
        &self.slo
    }

    /// A selector of its one series with this name.
    #[must_use]
    pub fn of(&self, record: &str) -> String {
        let labels = self.labels().map(|(name, value)| format!("{name}={}", quoted(&value)));
        format!("{record}{{{}}}", labels.join(","))
    }

    /// The sum of a recording over a time that ends now.
    #[must_use]
    pub fn sum(&self, record: &str, over: Seconds) -> String {
        format!("sum_over_time({}[{over}])", self.of(record))
    }

    /// How many evaluations there were in a time that ends now.
    #[must_use]
    pub fn points(&self, over: Seconds) -> String {
        format!("count_over_time({}[{over}])", self.of(BAD))
    }

    /// The share of bad events in a time that ends now; no answer where nothing happened.
    #[must_use]
    pub fn error_ratio(&self, over: Seconds) -> String {
        format!("{} / ({} > 0)", self.sum(BAD, over), self.sum(TOTAL, over))
    }

    /// Name of the recorded share of bad events in a time.
    #[must_use]
    pub fn ratio_name(over: Seconds) -> String {
        format!("{RATIO}{over}")
    }

    /// The time of a recorded share of bad events, by its name.
    #[must_use]
    pub fn ratio_over(name: &str) -> Option<Seconds> {
        name.strip_prefix(RATIO)?.parse().ok()
    }
}

/// A query for the newest points of what all objectives count, with their times.
#[must_use]
pub fn newest_query(resolution: Resolution) -> String {
    format!("{BAD}[{}]", resolution.oldest())
}
