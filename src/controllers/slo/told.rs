//! A measurement in the words and numbers of the status.

use std::collections::BTreeMap;

use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::reason::Reason;
use crate::api::v1alpha1::{BudgetStatus, BurnStatus, HealthyTemplate};
use crate::constitution::SloDocument;
use crate::slo::Resolution;
use crate::slo::budget::{Events, Exhaustion, Latch, Reading, Recent, Share, Unmeasured, burn_of, exhausted_by};
use crate::slo::rules::Group;
use crate::units::{Seconds, UnixSeconds};

use super::loaded::RulesState;
use super::round::Recorded;
use super::table::Measurement;

/// The time that "of late" is, as the recordings are asked for.
const RECENT: Seconds = Seconds(3600);

/// What Prometheus says about one objective.
pub(super) struct Answer {
    /// What is recorded of it, or why Prometheus cannot be asked.
    pub(super) recorded: Result<Recorded, String>,
    /// Whether its rules run.
    pub(super) rules: RulesState,
}

/// A measurement, to be told.
pub(super) struct Told<'a> {
    pub(super) document: &'a SloDocument,
    pub(super) group: &'a Group,
    pub(super) reading: &'a Result<Reading, Unmeasured>,
    pub(super) answer: &'a Answer,
}

impl Answer {
    pub(super) fn unreachable(why: &str) -> Self {
        Self { recorded: Err(why.to_owned()), rules: RulesState::Unknown { why: why.to_owned() } }
    }

    /// What happened in the last hour.
    fn recent(&self) -> Option<Recent> {
        let (bad, total) = self.recorded.as_ref().ok()?.recent?;
        Some(Recent { bad: Events::of_sum(bad.get())?, total: Events::of_sum(total.get())?, over: RECENT })
    }
}

impl Told<'_> {
    /// Why the verdict is what it is.
    pub(super) fn message(&self) -> String {
        let asked = self.document.asks_for();
        match self.reading {
            Ok(Reading { budget, coverage }) => format!(
                "{asked}: {} of the budget is left ({} events; {} of {} bad, coverage {})",
                budget.remaining().percent(),
                budget.remaining_events(),
                budget.bad(),
                budget.total(),
                coverage.percent()
            ),
            Err(why) => format!("{asked}: {why}"),
        }
    }

    /// The measurement as the status holds it.
    pub(super) fn measurement(
        &self,
        resolution: Resolution,
        latch: Latch,
        healthy: Vec<HealthyTemplate>,
        now: UnixSeconds,
    ) -> Measurement {
        Measurement {
            digest: self.document.document.digest,
            evaluated_at: now,
            interval: resolution.length(),
            latch,
            budget: self.reading.as_ref().ok().map(|reading| self.budget(reading, now)),
            burn: self.burn(),
            healthy,
            message: self.message(),
            observations: vec![available(self.reading), loaded(&self.answer.rules)],
        }
    }

    fn budget(&self, reading: &Reading, now: UnixSeconds) -> BudgetStatus {
        let Reading { budget, coverage } = reading;
        let slo = &self.document.slo;
        let span = slo.window.at(now);
        let exhaustion = self.answer.recent().map(|recent| exhausted_by(slo.objective, *budget, recent, span, now));
        let exhausted_by = match exhaustion {
            Some(Exhaustion::At(at)) => Some(at.to_string()),
            Some(Exhaustion::Now) => Some(now.to_string()),
            Some(Exhaustion::Never) | None => None,
        };
        // Without new errors every bad event has left the window when it has passed once; a page of the calendar turns.
        let recovered = span.turns.unwrap_or_else(|| now.plus(span.length)).plus(slo.hysteresis().dwell);
        BudgetStatus {
            remaining: budget.remaining().to_string(),
            remaining_events: budget.remaining_events(),
            bad: count(budget.bad().get()),
            total: count(budget.total().get()),
            coverage: coverage.to_string(),
            from: span.from.to_string(),
            exhausted_by,
            recovers_by: budget.is_spent().then(|| recovered.to_string()),
            query: query(self.group),
        }
    }

    /// How fast it burns: in the windows that alerts look at, and in the whole one.
    fn burn(&self) -> Vec<BurnStatus> {
        let objective = self.document.slo.objective;
        let ratios = self.answer.recorded.as_ref().map(|r| &r.ratios).into_iter().flatten();
        let recorded = ratios.filter_map(|(over, ratio)| Some((*over, burn_of(objective, ratio.get())?.to_string())));
        let whole =
            self.reading.as_ref().ok().map(|r| (self.document.slo.window.nominal(), r.budget.burn().to_string()));
        // By window, so that each stands there once: the list is a map.
        let rates: BTreeMap<Seconds, String> = recorded.chain(whole).collect();
        rates.into_iter().map(|(window, rate)| BurnStatus { window: window.to_string(), rate }).collect()
    }
}

/// The two sums that the budget comes from.
fn query(group: &Group) -> String {
    let recordings = group.recordings();
    format!("{} and {}", recordings.of(crate::slo::rules::BAD), recordings.of(crate::slo::rules::TOTAL))
}

fn count(events: u64) -> i64 {
    i64::try_from(events).unwrap_or(i64::MAX)
}

fn available(reading: &Result<Reading, Unmeasured>) -> Observation {
    let (status, reason, message) = match reading {
        Ok(Reading { coverage, .. }) => {
            let all = *coverage >= Share::ALL;
            let message = if all {
                "all of the window is known".to_owned()
            } else {
                format!("{} of the window is known", coverage.percent())
            };
            (ConditionStatus::True, Reason::DataAvailable, message)
        }
        Err(why @ Unmeasured::Unreachable(_)) => {
            (ConditionStatus::Unknown, Reason::PrometheusUnavailable, why.to_string())
        }
        Err(why) => (ConditionStatus::False, Reason::DataMissing, why.to_string()),
    };
    Observation { kind: ConditionType::DataAvailable, status, reason, message }
}

fn loaded(rules: &RulesState) -> Observation {
    let (status, reason) = match rules {
        RulesState::Loaded => (ConditionStatus::True, Reason::RulesLoaded),
        RulesState::Unknown { .. } => (ConditionStatus::Unknown, Reason::PrometheusUnavailable),
        RulesState::NotThere
        | RulesState::Repeated { .. }
        | RulesState::Other { .. }
        | RulesState::Unhealthy { .. }
        | RulesState::NotEvaluated { .. } => (ConditionStatus::False, Reason::RulesNotLoaded),
    };
    Observation { kind: ConditionType::RulesLoaded, status, reason, message: rules.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::budget::{Budget, Reading, Unmeasured};
    use crate::slo::rules::render;
    use crate::slo::{Objective, SloName};
    use serde_json::json;

    fn now() -> UnixSeconds {
        UnixSeconds::new(1_795_514_400)
    }

    fn document(window: serde_json::Value) -> SloDocument {
        let object = json!({
            "apiVersion": "miax.dev/v1alpha1", "kind": "SLO", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {
                "audience": ["prod"], "version": 1, "expiresAt": "2026-12-30T00:00:00Z", "objective": "99",
                "indicator": {"gauge": {"up": "probe_success"}}, "window": window, "signatures": [],
            },
        });
        SloDocument::read(&object).expect("an objective")
    }

    fn told(window: serde_json::Value, bad: u64, rules: RulesState) -> Measurement {
        let document = document(window);
        let group = render(&SloName::try_new("shop", "a").expect("a name"), &document.slo, Resolution::DEFAULT);
        let events = |n| Events::try_new(n).expect("events");
        let objective = Objective::read("x", "99").expect("an objective");
        let budget = Budget::try_new(objective, events(bad), events(1000)).expect("a budget");
        let reading = Ok(Reading { budget, coverage: Share::ALL });
        let number = |n: f64| crate::controllers::prometheus::Number::try_new(&n.to_string()).expect("a number");
        let recent = Some((number(5.0), number(100.0)));
        let ratios = BTreeMap::from([(Seconds(3600), number(0.05))]);
        let answer = Answer { recorded: Ok(Recorded { sample: Ok(None), recent, ratios }), rules };
        let group = group.expect("rules");
        let told = Told { document: &document, group: &group, reading: &reading, answer: &answer };
        told.measurement(Resolution::DEFAULT, Latch::Open, Vec::new(), now())
    }

    #[test]
    fn a_status_says_what_is_left_how_fast_it_burns_and_when_it_comes_back() {
        let rolling = told(json!({"rolling": "30d"}), 25, RulesState::Loaded);
        let budget = rolling.budget.expect("a budget");
        assert_eq!(
            (budget.remaining.as_str(), budget.remaining_events, budget.bad, budget.total),
            ("-1.5", -15, 25, 1000)
        );
        assert_eq!(budget.recovers_by, Some(now().plus(Seconds(30 * 86_400 + 600)).to_string()));
        let burn: Vec<_> = rolling.burn.iter().map(|b| (b.window.as_str(), b.rate.as_str())).collect();
        assert_eq!(burn, [("1h", "5"), ("30d", "2.5")]);
        assert!(
            rolling.message.contains("-150 % of the budget is left (-15 events; 25 of 1000 bad"),
            "{}",
            rolling.message
        );
        let calendar = told(json!({"calendar": {"period": "Month", "timeZone": "UTC"}}), 1, RulesState::Loaded);
        let budget = calendar.budget.expect("a budget");
        assert_eq!((budget.from.as_str(), budget.recovers_by), ("2026-11-01T00:00:00Z", None));
        assert!(budget.exhausted_by.is_some(), "at five times the rate that it lasts");
    }

    #[test]
    fn conditions_say_whether_there_is_data_and_whether_the_rules_run() {
        use ConditionStatus::{False, True, Unknown};
        let rules = |state| told(json!({"rolling": "30d"}), 1, state).observations.remove(1);
        let check = |seen: Observation, expected| assert_eq!((seen.status, seen.reason), expected);
        check(rules(RulesState::Loaded), (True, Reason::RulesLoaded));
        check(rules(RulesState::NotThere), (False, Reason::RulesNotLoaded));
        check(rules(RulesState::Unknown { why: "x".into() }), (Unknown, Reason::PrometheusUnavailable));
        let data = |reading: Result<Reading, Unmeasured>| available(&reading);
        check(data(Err(Unmeasured::Absent)), (False, Reason::DataMissing));
        check(data(Err(Unmeasured::Unreachable("x".into()))), (Unknown, Reason::PrometheusUnavailable));
        let all = told(json!({"rolling": "30d"}), 1, RulesState::Loaded).observations.remove(0);
        check(all, (True, Reason::DataAvailable));
    }
}
