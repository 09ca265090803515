//! The verdict over time: spent as soon as nothing is left, good again only when enough was left for long enough.

use crate::slo::objective::Margin;
use crate::slo::{Gate, Slo};
use crate::units::{Seconds, UnixSeconds};

use super::Budget;
use super::reading::Unmeasured;

/// What is known of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Verdict {
    /// Some of it is left.
    Met,
    /// It is spent, or was and has not recovered for long enough.
    Exhausted,
    /// Nobody knows how much is left.
    Unknown,
}

/// A verdict, since when it stands, and what must not be forgotten while nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when it is this one.
    pub since: UnixSeconds,
    /// Whether the budget counts as spent.
    pub latch: Latch,
}

/// Whether a budget counts as spent. A time without data does not forgive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// It does not.
    Open,
    /// It does.
    Spent {
        /// Since when.
        since: UnixSeconds,
        /// Since when more than the margin is left again, without a break.
        recovering: Option<UnixSeconds>,
    },
}

/// When a spent budget counts as recovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hysteresis {
    /// More than this must be left.
    pub margin: Margin,
    /// For at least so long.
    pub dwell: Seconds,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "Met",
            Self::Exhausted => "Exhausted",
            Self::Unknown => "Unknown",
        }
    }

    /// Reads its word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Met, Self::Exhausted, Self::Unknown].into_iter().find(|v| v.as_str() == text)
    }
}

impl Slo {
    /// When its spent budget counts as recovered; what holds without a gate is what holds when a gate says nothing.
    #[must_use]
    pub fn hysteresis(&self) -> Hysteresis {
        let said = self.gate.as_ref().map(|Gate { margin, dwell, .. }| Hysteresis { margin: *margin, dwell: *dwell });
        said.unwrap_or(Hysteresis { margin: Margin::DEFAULT, dwell: Gate::DWELL })
    }
}

/// The next standing, from the last one and from what was measured now.
#[must_use]
pub fn step(
    previous: Option<&Standing>,
    measured: Result<Budget, &Unmeasured>,
    hysteresis: Hysteresis,
    now: UnixSeconds,
) -> Standing {
    let latch = match (previous.map_or(Latch::Open, |p| p.latch), measured) {
        (Latch::Open, Ok(budget)) if budget.is_spent() => Latch::Spent { since: now, recovering: None },
        (Latch::Open, Ok(_) | Err(_)) => Latch::Open,
        (Latch::Spent { since, recovering }, Ok(budget)) => recover(since, recovering, budget, hysteresis, now),
        (Latch::Spent { since, recovering: _ }, Err(_)) => Latch::Spent { since, recovering: None },
    };
    let verdict = match (measured, latch) {
        (Err(_), _) => Verdict::Unknown,
        (Ok(_), Latch::Open) => Verdict::Met,
        (Ok(_), Latch::Spent { .. }) => Verdict::Exhausted,
    };
    let since = previous.filter(|p| p.verdict == verdict).map_or(now, |p| p.since);
    Standing { verdict, since, latch }
}

fn recover(
    since: UnixSeconds,
    recovering: Option<UnixSeconds>,
    budget: Budget,
    Hysteresis { margin, dwell }: Hysteresis,
    now: UnixSeconds,
) -> Latch {
    if !budget.exceeds(margin) {
        return Latch::Spent { since, recovering: None };
    }
    // A clock that was set back does not shorten the dwell: what lies in the future begins anew.
    let recovering = recovering.filter(|r| *r <= now).unwrap_or(now);
    match now.since(recovering) >= dwell {
        true => Latch::Open,
        false => Latch::Spent { since, recovering: Some(recovering) },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Events;
    use super::*;
    use crate::slo::Objective;
    use proptest::prelude::*;

    /// Of 1000 events 100 may be bad, so that a bad event is a percent of the budget.
    fn left(percent: i64) -> Budget {
        let events = |n: i64| Events::try_new(n.cast_unsigned()).expect("events");
        let objective = Objective::read("x", "90").expect("an objective");
        Budget::try_new(objective, events(100 - percent), events(1000)).expect("a budget")
    }

    fn hysteresis() -> Hysteresis {
        Hysteresis { margin: Margin::read("x", "5").expect("a margin"), dwell: Seconds(600) }
    }

    /// The verdicts of a course of what was left, five minutes apart; `None` is no data.
    fn verdicts(course: &[Option<i64>]) -> Vec<(&'static str, i64)> {
        let mut standing: Option<Standing> = None;
        let times = (0..).step_by(300).map(UnixSeconds::new);
        let step = |(percent, now): (&Option<i64>, UnixSeconds)| {
            let measured = percent.map(left).ok_or(&Unmeasured::Absent);
            let next = step(standing.as_ref(), measured, hysteresis(), now);
            standing = Some(next);
            (next.verdict.as_str(), next.since.get())
        };
        course.iter().zip(times).map(step).collect()
    }

    #[test]
    fn a_budget_is_spent_at_once_and_recovers_above_the_margin_after_the_dwell() {
        let course = [Some(50), Some(1), Some(0), Some(3), Some(6), Some(6), Some(6), Some(1), Some(-20)];
        assert_eq!(
            verdicts(&course),
            [
                ("Met", 0),
                ("Met", 0),
                ("Exhausted", 600),
                ("Exhausted", 600),
                ("Exhausted", 600),
                ("Exhausted", 600),
                ("Met", 1800),
                ("Met", 1800),
                ("Exhausted", 2400)
            ]
        );
    }

    #[test]
    fn a_break_in_the_recovery_begins_it_anew() {
        let course = [Some(0), Some(6), Some(5), Some(6), Some(6), Some(6)];
        let words: Vec<&str> = verdicts(&course).into_iter().map(|(word, _)| word).collect();
        assert_eq!(words, ["Exhausted", "Exhausted", "Exhausted", "Exhausted", "Exhausted", "Met"]);
    }

    #[test]
    fn a_time_without_data_does_not_forgive() {
        let course = [Some(0), None, Some(3), None, Some(6), Some(6), Some(6)];
        let words: Vec<&str> = verdicts(&course).into_iter().map(|(word, _)| word).collect();
        assert_eq!(words, ["Exhausted", "Unknown", "Exhausted", "Unknown", "Exhausted", "Exhausted", "Met"]);
        let words: Vec<&str> = verdicts(&[None, Some(3), None, Some(3)]).into_iter().map(|(word, _)| word).collect();
        assert_eq!(words, ["Unknown", "Met", "Unknown", "Met"]);
    }

    #[test]
    fn a_clock_that_is_set_back_shortens_no_dwell() {
        let at = |previous: &Standing, now| step(Some(previous), Ok(left(50)), hysteresis(), UnixSeconds::new(now));
        let spent = step(None, Ok(left(0)), hysteresis(), UnixSeconds::new(10_000));
        let recovering = at(&spent, 10_300);
        let back = at(&recovering, 9_000);
        assert_eq!(
            back.latch,
            Latch::Spent { since: UnixSeconds::new(10_000), recovering: Some(UnixSeconds::new(9_000)) }
        );
        assert_eq!(at(&back, 9_599).verdict, Verdict::Exhausted);
        assert_eq!(at(&back, 9_600).verdict, Verdict::Met);
    }

    proptest! {
        #[test]
        fn a_verdict_is_never_met_without_data_nor_while_spent_and_never_flaps(
            course in proptest::collection::vec(proptest::option::weighted(0.9, -10_i64..=20), 1..60),
        ) {
            let found = verdicts(&course);
            for (index, (percent, (verdict, since))) in course.iter().zip(&found).enumerate() {
                match percent {
                    None => prop_assert_eq!(*verdict, "Unknown"),
                    Some(left) if *left <= 0 => prop_assert_eq!(*verdict, "Exhausted"),
                    Some(_) => prop_assert!(*verdict != "Unknown"),
                }
                let now = 300 * index as i64;
                prop_assert!(*since <= now);
                // Out of Exhausted only after three good measurements in a row, ten minutes apart in all.
                if let Some(spent) = course.iter().take(index).rposition(|p| p.is_some_and(|left| left <= 0)).filter(|_| *verdict == "Met") {
                    let after: Vec<&Option<i64>> = course.iter().take(index + 1).skip(spent + 1).collect();
                    prop_assert!(after.windows(3).any(|w| w.iter().all(|p| p.is_some_and(|left| left > 5))), "{course:?}");
                }
            }
        }
    }
}
