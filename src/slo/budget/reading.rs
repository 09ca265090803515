//! From what Prometheus recorded to a budget: what is missing, old, or no number is said, and never taken for good.

use crate::slo::window::Span;
use crate::slo::{Budgeting, Resolution, Slo};
use crate::units::{Seconds, UnixSeconds};

use super::outlook::Slice;
use super::share::Share;
use super::{Budget, Events};

/// The sums of the recordings over a window, as Prometheus answered them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Sum of the recorded bad events.
    pub bad: f64,
    /// Sum of all recorded events.
    pub total: f64,
    /// How many points were recorded.
    pub points: f64,
    /// When the newest of them was recorded, by the clock of Prometheus.
    pub newest: UnixSeconds,
}

/// How a sample is to be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The window, at the time of the sample.
    pub span: Span,
    /// Since when there can be recordings of what is counted: before that no point is missed.
    pub recorded_since: UnixSeconds,
    /// The time between two points.
    pub resolution: Resolution,
    /// The time of the sample, by the clock of whoever asked.
    pub now: UnixSeconds,
}

/// A budget with how much of its window is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The budget.
    pub budget: Budget,
    /// Which share of the points that should be there is there, rounded down.
    pub coverage: Share,
}

/// Why nobody knows how much budget is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    /// Nothing was recorded in the window.
    #[error("nothing is recorded; look whether the metrics exist and the rules are loaded")]
    Absent,
    /// Too much of the window is missing.
    #[error("only {} of the window are recorded; at least {} must be", coverage.percent(), LEAST_COVERAGE.percent())]
    CoverageLow {
        /// What is there.
        coverage: Share,
    },
    /// The objective has expired.
    #[error("the objective expired at {0}; sign its next version")]
    Expired(UnixSeconds),
    /// The newest point comes from the future.
    #[error("the newest point is {0} ahead; set the clocks")]
    Future(Seconds),
    /// More bad events than events, or fewer than none.
    #[error("{bad} bad of {total} events cannot be; look at the indicator's selectors")]
    Inconsistent {
        /// Bad events, as they came.
        bad: String,
        /// All events, as they came.
        total: String,
    },
    /// A sum is not a number of events.
    #[error("the sum `{0}` is not a number of events")]
    NotANumber(String),
    /// The rules are not loaded, not healthy, or not evaluated of late.
    #[error("the rules do not run in Prometheus: {0}")]
    NotRecorded(String),
    /// The newest point is too old.
    #[error("the newest point is {age} old; at most {most} are allowed")]
    Old {
        /// How old it is.
        age: Seconds,
        /// How old it may be.
        most: Seconds,
    },
    /// Prometheus does not answer.
    #[error("Prometheus does not answer: {0}")]
    Unreachable(String),
}

/// Least share of a window that must be known: 90 %.
pub const LEAST_COVERAGE: Share = Share::millionths(900_000);
/// How far the clocks of Prometheus and of whoever asks may be apart.
const CLOCK_SKEW: Seconds = Seconds(300);
/// Two counters are not read at the same instant: by one event in so many they may disagree, and by one.
const DISAGREEMENT: u64 = 1000;

/// The budget that a sample says, or why it says none.
///
/// # Errors
/// [`Unmeasured`] when the objective expired, and when the sample is absent, old, from the future, thin, or no count of events.
pub fn measure(slo: &Slo, sample: Option<&Sample>, terms: &Terms) -> Result<Reading, Unmeasured> {
    let Terms { span, recorded_since, resolution, now } = *terms;
    if now >= slo.expires_at {
        return Err(Unmeasured::Expired(slo.expires_at));
    }
    let Sample { bad, total, points, newest } = *sample.ok_or(Unmeasured::Absent)?;
    let ahead = newest.since(now);
    if ahead > CLOCK_SKEW {
        return Err(Unmeasured::Future(ahead));
    }
    let (age, most) = (now.since(newest), resolution.oldest());
    if age > most {
        return Err(Unmeasured::Old { age, most });
    }
    let seen = events(points)?;
    if seen == Events::default() {
        return Err(Unmeasured::Absent);
    }
    let expected = resolution.points(now.since(span.from.max(recorded_since)));
    let coverage = match expected {
        0 => Share::ALL,
        _ => Share::down(i128::from(seen.get().min(expected)), i128::from(expected)),
    };
    if coverage < LEAST_COVERAGE {
        return Err(Unmeasured::CoverageLow { coverage });
    }
    let slice = Slice::read(bad, total)?;
    budget(slo, slice, span.length, resolution).map(|budget| Reading { budget, coverage })
}

fn budget(slo: &Slo, slice: Slice, length: Seconds, resolution: Resolution) -> Result<Budget, Unmeasured> {
    let Slice { bad, total } = slice;
    let total = match slo.budgeting {
        Budgeting::Occurrences => total,
        // How many slices a window has is known before they happen.
        Budgeting::TimeSlices(_) => Events(resolution.points(length)).max(total),
    };
    let wrong = || Unmeasured::Inconsistent { bad: bad.to_string(), total: total.to_string() };
    Budget::try_new(slo.objective, bad, total).ok_or_else(wrong)
}

impl Slice {
    /// Sums of Prometheus as whole events. Counters that disagree by little are taken for agreeing: in an outage every event is
    /// bad, and one too many must not turn what is known into what nobody knows.
    ///
    /// # Errors
    /// [`Unmeasured::NotANumber`] for what is no number of events, [`Unmeasured::Inconsistent`] when more were bad than happened, or
    /// fewer than none.
    pub fn read(bad: f64, total: f64) -> Result<Self, Unmeasured> {
        let total = events(total)?;
        let slack = (total.get() / DISAGREEMENT).max(1) as f64;
        let most = total.get() as f64;
        if !bad.is_finite() {
            return Err(Unmeasured::NotANumber(bad.to_string()));
        }
        if bad < -slack || bad > most + slack {
            return Err(Unmeasured::Inconsistent { bad: bad.to_string(), total: total.to_string() });
        }
        Ok(Self { bad: events(bad.clamp(0.0, most))?, total })
    }
}

/// A sum of Prometheus as whole events.
fn events(sum: f64) -> Result<Events, Unmeasured> {
    Events::of_sum(sum).ok_or_else(|| Unmeasured::NotANumber(sum.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::tests::slo;
    use proptest::prelude::*;

    const NOW: i64 = 1_795_514_400;
    const WINDOW: i64 = 30 * 86_400;

    fn terms() -> Terms {
        let now = UnixSeconds::new(NOW);
        let span = Span { from: UnixSeconds::new(NOW - WINDOW), length: Seconds(WINDOW.cast_unsigned()), turns: None };
        Terms { span, recorded_since: UnixSeconds::new(0), resolution: Resolution::DEFAULT, now }
    }

    fn sample() -> Sample {
        Sample { bad: 250.0, total: 1_000_000.0, points: 8640.0, newest: UnixSeconds::new(NOW - 100) }
    }

    #[track_caller]
    fn check(sample: Sample, terms: &Terms, expected: Result<(&str, &str), &str>) {
        let found = measure(&slo(|_| ()), Some(&sample), terms).map_err(|e| e.to_string());
        let words = found.as_ref().map(|r| (r.budget.remaining().to_string(), r.coverage.to_string()));
        match expected {
            Ok((remaining, coverage)) => assert_eq!(words, Ok((remaining.to_owned(), coverage.to_owned()))),
            Err(part) => assert!(words.as_ref().is_err_and(|e| e.contains(part)), "{words:?}"),
        }
    }

    #[test]
    fn what_is_missing_old_or_no_number_is_unknown_and_never_met() {
        let (s, t) = (sample(), terms());
        check(s, &t, Ok(("0.75", "1")));
        assert_eq!(measure(&slo(|_| ()), None, &t), Err(Unmeasured::Absent));
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            check(Sample { bad: wrong, ..s }, &t, Err("is not a number of events"));
            check(Sample { total: wrong, ..s }, &t, Err("is not a number of events"));
            check(Sample { points: wrong, ..s }, &t, Err("is not a number of events"));
        }
        check(Sample { total: 1e17, ..s }, &t, Err("is not a number of events"));
        check(Sample { total: -5.0, ..s }, &t, Err("is not a number of events"));
        check(Sample { points: 0.0, ..s }, &t, Err("nothing is recorded"));
        check(Sample { newest: UnixSeconds::new(NOW - 610), ..s }, &t, Ok(("0.75", "1")));
        check(Sample { newest: UnixSeconds::new(NOW - 611), ..s }, &t, Err("the newest point is 611s old"));
        check(Sample { newest: UnixSeconds::new(NOW + 300), ..s }, &t, Ok(("0.75", "1")));
        check(Sample { newest: UnixSeconds::new(NOW + 301), ..s }, &t, Err("is 301s ahead"));
        let late = Terms { now: "2030-01-01T00:00:00Z".parse().expect("a time"), ..t };
        check(s, &late, Err("expired at 2030-01-01T00:00:00Z"));
    }

    #[test]
    fn counters_that_disagree_by_little_agree() {
        let (s, t) = (sample(), terms());
        check(Sample { bad: 1_000_999.0, ..s }, &t, Ok(("-999", "1")));
        check(Sample { bad: 1_001_001.0, ..s }, &t, Err("1001001 bad of 1000000 events cannot be"));
        check(Sample { bad: -1000.0, ..s }, &t, Ok(("1", "1")));
        check(Sample { bad: -1001.0, ..s }, &t, Err("-1001 bad of 1000000 events cannot be"));
        check(Sample { bad: 0.0, total: 0.0, ..s }, &t, Ok(("1", "1")));
        check(Sample { bad: 1.0, total: 0.0, ..s }, &t, Ok(("1", "1")));
        check(Sample { bad: 2.0, total: 0.0, ..s }, &t, Err("cannot be"));
    }

    #[test]
    fn half_a_window_is_unknown_unless_it_only_began() {
        let (s, t) = (sample(), terms());
        // Prometheus keeps 15 days of the 30.
        check(Sample { points: 4320.0, ..s }, &t, Err("only 50 % of the window are recorded; at least 90 % must be"));
        check(Sample { points: 7776.0, ..s }, &t, Ok(("0.75", "0.9")));
        check(Sample { points: 7775.0, ..s }, &t, Err("only 89.9884 %"));
        // More points than expected say nothing more.
        check(Sample { points: 9000.0, ..s }, &t, Ok(("0.75", "1")));
        let begun = Terms { recorded_since: UnixSeconds::new(NOW - 3600), ..t };
        check(Sample { points: 12.0, ..s }, &begun, Ok(("0.75", "1")));
        check(Sample { points: 10.0, ..s }, &begun, Err("only 83.3333 %"));
        let just_now = Terms { recorded_since: UnixSeconds::new(NOW - 10), ..t };
        check(Sample { points: 1.0, ..s }, &just_now, Ok(("0.75", "1")));
        check(Sample { points: 0.0, ..s }, &just_now, Err("nothing is recorded"));
    }

    #[test]
    fn the_slices_of_a_window_are_known_before_they_happen() {
        let slices = slo(|spec| {
            spec.time_slices = Some(crate::api::v1alpha1::TimeSlices { objective: "95".to_owned() });
        });
        let began = Terms { recorded_since: UnixSeconds::new(NOW - 3000), ..terms() };
        let s = Sample { bad: 2.0, total: 10.0, points: 10.0, ..sample() };
        let budget = measure(&slices, Some(&s), &began).expect("a budget").budget;
        // Of 8640 slices 8 may be bad.
        assert_eq!((budget.total(), budget.remaining_events()), (Events(8640), 6));
    }

    proptest! {
        #[test]
        fn whatever_prometheus_answers_is_no_budget_above_all_and_no_panic(
            bad in any::<f64>(), total in any::<f64>(), points in any::<f64>(), newest in any::<i64>(), now in any::<i64>(),
            since in any::<i64>(), resolution in 1_u64..=600,
        ) {
            let terms = Terms { now: UnixSeconds::new(now), recorded_since: UnixSeconds::new(since), resolution: Resolution::try_new(Seconds(resolution)).expect("a resolution"), ..terms() };
            let sample = Sample { bad, total, points, newest: UnixSeconds::new(newest) };
            if let Ok(Reading { budget, coverage }) = measure(&slo(|_| ()), Some(&sample), &terms) {
                prop_assert!(budget.remaining() <= Share::ALL);
                prop_assert!(coverage <= Share::ALL && coverage >= LEAST_COVERAGE);
                prop_assert!(points >= 0.5);
            }
        }
    }
}
