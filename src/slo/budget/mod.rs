//! Error budgets, exactly: how many events may be bad, how many were, and what is left.
//!
//! Must not: compare floats. Sums become whole events first; then everything is whole numbers.

mod outlook;
mod reading;
mod share;
mod standing;

pub use outlook::{Exhaustion, Recent, Slice, exhausted_by, recovers_by};
pub use reading::{LEAST_COVERAGE, Reading, Sample, Terms, Unmeasured, measure};
pub use share::Share;
pub use standing::{Hysteresis, Latch, Standing, Verdict, step};

use super::objective::{Margin, Objective, PARTS};

/// A number of events (or slices of time): at most 2^53, up to where a float of Prometheus counts one by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Events(u64);

impl Events {
    /// Most events.
    pub const MOST: Self = Self(1 << 53);

    /// So many events; `None` when they are too many to be counted one by one.
    #[must_use]
    pub fn try_new(number: u64) -> Option<Self> {
        Some(Self(number)).filter(|e| *e <= Self::MOST)
    }

    /// A sum of Prometheus as whole events; `None` when it is no number of them.
    #[must_use]
    pub fn of_sum(sum: f64) -> Option<Self> {
        let rounded = sum.round();
        // Also false for NaN.
        (0.0..=Self::MOST.0 as f64).contains(&rounded).then_some(Self(rounded as u64))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    fn wide(self) -> i128 {
        i128::from(self.0)
    }
}

impl std::fmt::Display for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// The error budget of a window. Where nothing happened nothing is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    objective: Objective,
    bad: Events,
    total: Events,
}

impl Budget {
    /// The budget of an objective after so many events; `None` when more were bad than happened.
    #[must_use]
    pub fn try_new(objective: Objective, bad: Events, total: Events) -> Option<Self> {
        (bad <= total).then_some(Self { objective, bad, total })
    }

    /// How many events were bad.
    #[must_use]
    pub fn bad(self) -> Events {
        self.bad
    }

    /// How many events there were.
    #[must_use]
    pub fn total(self) -> Events {
        self.total
    }

    /// What may be bad, in parts of an event: at most 2^53 * 10^11, far inside of 128 bits.
    fn allowed(self) -> i128 {
        self.objective.bad_parts() * self.total.wide()
    }

    /// What is left, in parts of an event.
    fn left(self) -> i128 {
        self.allowed() - self.bad.wide() * PARTS.cast_signed()
    }

    /// Whether nothing is left of it. Without events it is whole.
    #[must_use]
    pub fn is_spent(self) -> bool {
        self.total.0 > 0 && self.left() <= 0
    }

    /// Whether more than a share of it is left.
    #[must_use]
    pub fn exceeds(self, margin: Margin) -> bool {
        // At most 2^53 * 10^22 on both sides, which is less than 2^127.
        self.total.0 == 0 || self.left() * PARTS.cast_signed() > margin.parts() * self.allowed()
    }

    /// What is left of it as a share, rounded down: 1 is all, 0 is spent, below 0 is overspent.
    #[must_use]
    pub fn remaining(self) -> Share {
        match self.total.0 {
            0 => Share::ALL,
            _ => Share::down(self.left(), self.allowed()),
        }
    }

    /// How many more of the events that there were could have been bad; below 0 when too many were.
    #[must_use]
    pub fn remaining_events(self) -> i64 {
        i64::try_from(self.left().div_euclid(PARTS.cast_signed())).unwrap_or(i64::MIN)
    }

    /// How many times faster it was spent than it lasts, rounded up: 1 spends it exactly in the window.
    #[must_use]
    pub fn burn(self) -> Share {
        Share::up(self.bad.wide() * PARTS.cast_signed(), self.allowed())
    }
}

/// How many times faster than it lasts a budget is spent where this share of all events is bad, for people: 1 spends it exactly in the
/// window. `None` for what is no share.
#[must_use]
pub fn burn_of(objective: Objective, ratio: f64) -> Option<Share> {
    let times = ratio * PARTS as f64 / objective.bad_parts() as f64;
    let millionths = (times * Share::ALL.get() as f64).round();
    (0.0..=1e15).contains(&millionths).then_some(Share::millionths(millionths as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn objective(text: &str) -> Objective {
        Objective::read("x", text).expect("an objective")
    }

    #[test]
    fn a_share_of_bad_events_burns_as_fast_as_the_budget_that_it_makes() {
        let burn = |ratio| burn_of(objective("99.9"), ratio).map(Share::get);
        assert_eq!(burn(0.0144), Some(14_400_000));
        assert_eq!(burn(0.0), Some(0));
        assert_eq!([burn(-0.1), burn(f64::NAN), burn(f64::INFINITY)], [None; 3]);
    }

    fn budget(percent: &str, bad: u64, total: u64) -> Budget {
        Budget::try_new(objective(percent), Events(bad), Events(total)).expect("a budget")
    }

    #[track_caller]
    fn check(percent: &str, (bad, total): (u64, u64), (remaining, events, burn): (&str, i64, &str), spent: bool) {
        let b = budget(percent, bad, total);
        let found = (b.remaining().to_string(), b.remaining_events(), b.burn().to_string());
        assert_eq!(found, (remaining.to_owned(), events, burn.to_owned()), "{percent} {bad} of {total}");
        assert_eq!(b.is_spent(), spent, "{percent} {bad} of {total}");
    }

    #[test]
    fn a_budget_is_counted_exactly() {
        check("99.9", (0, 1_000_000), ("1", 1000, "0"), false);
        check("99.9", (250, 1_000_000), ("0.75", 750, "0.25"), false);
        check("99.9", (999, 1_000_000), ("0.001", 1, "0.999"), false);
        check("99.9", (1000, 1_000_000), ("0", 0, "1"), true);
        check("99.9", (1001, 1_000_000), ("-0.001", -1, "1.001"), true);
        check("99.9", (1_000_000, 1_000_000), ("-999", -999_000, "1000"), true);
        // Where nothing happened nothing is spent.
        check("99.9", (0, 0), ("1", 0, "0"), false);
        // Less than one event is allowed: the first bad one spends more than all.
        check("99.9", (0, 500), ("1", 0, "0"), false);
        check("99.9", (1, 500), ("-1", -1, "2"), true);
        // Spent by less than a share can show.
        check("99.999999999", (90_071, 9_007_199_254_740_992), ("0.000011", 0, "0.999989"), false);
        check("0.000000001", (1 << 53, 1 << 53), ("-0.000001", -90_072, "1.000001"), true);
        assert_eq!(Budget::try_new(objective("99"), Events(2), Events(1)), None);
        assert_eq!(Events::try_new((1 << 53) + 1), None);
    }

    #[test]
    fn a_margin_is_exceeded_only_by_more() {
        let margin = |text| Margin::read("x", text).expect("a margin");
        assert!(!budget("99.9", 990, 1_000_000).exceeds(margin("1")));
        assert!(budget("99.9", 989, 1_000_000).exceeds(margin("1")));
        assert!(!budget("99.9", 1000, 1_000_000).exceeds(margin("0")));
        assert!(budget("99.9", 999, 1_000_000).exceeds(margin("0")));
        assert!(budget("99.9", 0, 0).exceeds(margin("99.9")));
    }

    proptest! {
        #[test]
        fn a_budget_is_what_counting_event_by_event_says(events in proptest::collection::vec(any::<bool>(), 0..400), good in 1_u64..100) {
            // Of 100 events `good` must be good: each event earns, each bad one costs 100.
            let mut left: i64 = 0;
            for bad in &events {
                left += 100 - good.cast_signed() - if *bad { 100 } else { 0 };
            }
            let bad = events.iter().filter(|b| **b).count() as u64;
            let budget = budget(&good.to_string(), bad, events.len() as u64);
            prop_assert_eq!(budget.is_spent(), !events.is_empty() && left <= 0);
            prop_assert_eq!(budget.remaining_events(), left.div_euclid(100));
        }

        #[test]
        fn a_budget_is_never_above_all_of_it_and_every_bad_event_lowers_it(
            parts in 1_u64..100_000_000_000, bad in 0_u64..1 << 52, more in 1_u64..1000, good in 0_u64..1 << 52,
        ) {
            let percent = Decimal::shortest(u128::from(parts), 9).to_string();
            let total = bad + more + good;
            let (less, worse) = (budget(&percent, bad, total), budget(&percent, bad + more, total));
            prop_assert!(less.remaining() <= Share::ALL && worse.remaining() <= less.remaining());
            prop_assert!(worse.remaining_events() < less.remaining_events());
            prop_assert!(less.burn() <= worse.burn());
            prop_assert_eq!(less.is_spent(), less.burn() >= Share::ALL && !less.exceeds(Margin::read("x", "0").expect("0")));
            prop_assert!(!less.is_spent() || worse.is_spent());
        }
    }

    use super::super::decimal::Decimal;
}
