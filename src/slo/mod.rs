//! Service level objectives as closed types: what is promised, what is counted, and how much error budget is left.
//!
//! Must not: read a clock or ask Prometheus. What was measured arrives as numbers; what is to be recorded leaves as rules.

mod alerts;
pub mod budget;
mod counted;
mod decimal;
mod error;
mod gate;
mod indicator;
mod name;
mod objective;
mod pattern;
mod resolution;
pub mod rules;
mod selector;
mod window;
mod zone;

pub use alerts::{AlertPair, AlertPolicy, Alerts, Severity};
pub use counted::{Counted, counted};
pub use decimal::{Decimal, NotDecimal};
pub use error::{Problem, SloError};
pub use gate::{Bound, Gate, OnUnknown, Workload};
pub use indicator::{Budgeting, Histogram, Indicator, IndicatorId};
pub use name::SloName;
pub use objective::{Margin, Objective};
pub use resolution::{Resolution, ResolutionError};
pub use selector::Selector;
pub use window::{Calendar, LONGEST_WINDOW, Period, SHORTEST_WINDOW, Span, Window};
pub use zone::Zone;

use crate::api::v1alpha1::{SloSpec, TimeSlices};
use crate::units::UnixSeconds;

/// An objective, parsed. Whoever holds one needs the raw spec no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slo {
    /// Its version, at least 1.
    pub version: u64,
    /// Not valid from here on; then the verdict is Unknown.
    pub expires_at: UnixSeconds,
    /// What it is about.
    pub description: Option<String>,
    /// How much must be good.
    pub objective: Objective,
    /// What is counted.
    pub indicator: Indicator,
    /// How bad events spend the budget.
    pub budgeting: Budgeting,
    /// Over which time.
    pub window: Window,
    /// When people are alerted.
    pub alerts: Alerts,
    /// Which changes stop when the budget is spent.
    pub gate: Option<Gate>,
    /// Whether this version ends it.
    pub life: Life,
}

/// Whether an objective goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It is measured and its gate stands.
    Active,
    /// This version ended it.
    Retired,
}

impl TryFrom<&SloSpec> for Slo {
    type Error = SloError;

    /// Reads a spec. Admission, controller, fold and CLI call this one function; the audience and the signatures are of every
    /// signed document and are read there.
    ///
    /// # Errors
    /// [`SloError`]: the first field that cannot be taken.
    fn try_from(spec: &SloSpec) -> Result<Self, SloError> {
        let SloSpec {
            audience: _,
            version,
            expires_at,
            description,
            objective,
            indicator,
            window,
            time_slices,
            alerts,
            gate,
            retired,
            signatures: _,
        } = spec;
        let range = "a whole number of at least 1";
        let version = u64::try_from(*version)
            .ok()
            .filter(|v| *v > 0)
            .ok_or_else(|| SloError::new("spec.version", Problem::Range { found: version.to_string(), range }))?;
        let expires_at =
            expires_at.parse().map_err(|_| SloError::new("spec.expiresAt", Problem::Time(expires_at.clone())))?;
        let window = Window::read("spec.window", window)?;
        let life = match retired {
            None => Life::Active,
            Some(true) => Life::Retired,
            Some(false) => {
                let problem = Problem::Choice { found: "false".to_owned(), allowed: "true; or leave it away" };
                return Err(SloError::new("spec.retired", problem));
            }
        };
        let budgeting = match time_slices {
            None => Budgeting::Occurrences,
            Some(TimeSlices { objective }) => {
                Budgeting::TimeSlices(Objective::read("spec.timeSlices.objective", objective)?)
            }
        };
        Ok(Self {
            version,
            expires_at,
            description: description.clone(),
            objective: Objective::read("spec.objective", objective)?,
            indicator: Indicator::read("spec.indicator", indicator)?,
            budgeting,
            alerts: alerts.as_ref().map_or(Ok(Alerts::DEFAULT), |a| Alerts::read("spec.alerts", a, &window))?,
            window,
            gate: gate.as_ref().map(|g| Gate::read("spec.gate", g)).transpose()?,
            life,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1 as raw;

    /// The spec that tests change.
    pub(crate) fn spec() -> SloSpec {
        let text = str::to_owned;
        let ratio = raw::RatioIndicator {
            bad: Some(text("http_requests_total{job=\"shop\",code=~\"5..\"}")),
            good: None,
            total: text("http_requests_total{job=\"shop\"}"),
        };
        SloSpec {
            audience: vec![text("prod-eu")],
            version: 1,
            expires_at: text("2030-01-01T00:00:00Z"),
            description: None,
            objective: text("99.9"),
            indicator: raw::Indicator { ratio: Some(ratio), latency: None, native_latency: None, gauge: None },
            window: raw::Window { rolling: Some(text("30d")), calendar: None },
            time_slices: None,
            alerts: None,
            gate: None,
            retired: None,
            signatures: Vec::new(),
        }
    }

    /// An objective, changed.
    pub(crate) fn slo(change: impl Fn(&mut SloSpec)) -> Slo {
        let mut spec = spec();
        change(&mut spec);
        Slo::try_from(&spec).expect("an objective")
    }

    #[track_caller]
    fn check(change: impl Fn(&mut SloSpec), expected: &str) {
        let mut spec = spec();
        change(&mut spec);
        let error = Slo::try_from(&spec).expect_err("refused").to_string();
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn a_spec_says_which_field_is_wrong() {
        check(|s| s.version = 0, "spec.version: `0` is out of range; write a whole number of at least 1");
        check(|s| s.expires_at = "tomorrow".into(), "spec.expiresAt: `tomorrow` is not a time");
        check(|s| s.objective = "100".into(), "spec.objective: an objective of `100` percent leaves no budget");
        check(|s| s.objective = "0".into(), "spec.objective: an objective of `0` percent promises nothing");
        check(|s| s.window.rolling = None, "spec.window: must hold exactly one of rolling, calendar");
        check(|s| s.window.rolling = Some("1y".into()), "spec.window.rolling: `1y` is not a length of time");
        check(|s| s.indicator.ratio = None, "spec.indicator: must hold exactly one of");
        check(|s| s.time_slices = Some(raw::TimeSlices { objective: "100".into() }), "spec.timeSlices.objective: ");
        check(|s| s.retired = Some(false), "spec.retired: `false` is not one of true");
        let gate = raw::Gate { workloads: None, all_workloads: None, on_unknown: None, margin: None, dwell: None };
        check(move |s| s.gate = Some(gate.clone()), "spec.gate: must hold exactly one of workloads, allWorkloads");
        let alerts = raw::Alerts { policy: "x".into(), pairs: None, min_events: None };
        check(move |s| s.alerts = Some(alerts.clone()), "spec.alerts.policy: `x` is not one of");
    }

    #[test]
    fn what_is_left_away_has_a_meaning() {
        let slo = slo(|_| ());
        assert_eq!((slo.alerts, slo.gate, slo.life), (Alerts::DEFAULT, None, Life::Active));
        assert_eq!(slo.budgeting, Budgeting::Occurrences);
    }
}
