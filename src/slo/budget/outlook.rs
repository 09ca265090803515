//! What comes if it goes on like this, and what comes if nothing goes wrong any more. Both are bounds that hold, not forecasts.

use crate::slo::objective::{Objective, PARTS};
use crate::slo::window::Span;
use crate::units::{Seconds, UnixSeconds};

use super::standing::Hysteresis;
use super::{Budget, Events};

/// What happened of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recent {
    /// Bad events.
    pub bad: Events,
    /// All events.
    pub total: Events,
    /// In which time.
    pub over: Seconds,
}

/// When a budget will be spent if it goes on like of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhaustion {
    /// It burns no faster than it lasts.
    Never,
    /// It is spent.
    Now,
    /// Not before this time.
    At(UnixSeconds),
}

/// The events of a piece of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// Bad events.
    pub bad: Events,
    /// All events.
    pub total: Events,
}

/// When the budget is spent if it goes on like of late: the earliest time, as if nothing bad left the window.
#[must_use]
pub fn exhausted_by(objective: Objective, budget: Budget, recent: Recent, span: Span, now: UnixSeconds) -> Exhaustion {
    if budget.is_spent() {
        return Exhaustion::Now;
    }
    // What goes each second beyond what each second earns, in parts of an event and of the recent time.
    let beyond = recent.bad.wide() * PARTS.cast_signed() - objective.bad_parts() * recent.total.wide();
    if beyond <= 0 {
        return Exhaustion::Never;
    }
    let goes = match span.turns {
        // As the rolling window gains events at its end it loses as many at its beginning: only bad ones change the budget.
        None => recent.bad.wide() * PARTS.cast_signed(),
        Some(_) => beyond,
    };
    let seconds = budget.left().saturating_mul(i128::from(recent.over.0)) / goes.max(1);
    let at = now.plus(Seconds(u64::try_from(seconds).unwrap_or(u64::MAX)));
    match span.turns {
        Some(turns) if at >= turns => Exhaustion::Never,
        Some(_) | None => Exhaustion::At(at),
    }
}

/// When the gate opens again at the latest if no more errors happen, whatever else happens: good events only help.
///
/// `slices` are pieces of equal length of the rolling window, the oldest first, together all of it; of a calendar they are not
/// needed. What is not known to leave the window early is taken to stay to its end.
#[must_use]
pub fn recovers_by(
    objective: Objective,
    span: Span,
    slices: &[Slice],
    Hysteresis { margin, dwell }: Hysteresis,
    now: UnixSeconds,
) -> UnixSeconds {
    if let Some(turns) = span.turns {
        return turns.plus(dwell);
    }
    let count = u64::try_from(slices.len()).unwrap_or(u64::MAX);
    let mut left = count;
    let (mut bad, mut total) = (Some(Events::default()), Some(Events::default()));
    // From the newest on: as long as what is left over is enough, all that is older must leave. In between, a piece may have
    // lost its good events and not yet its bad ones, so that its bad ones count with the pieces that are newer.
    for slice in slices.iter().rev() {
        bad = bad.and_then(|b| Events::try_new(b.get().checked_add(slice.bad.get())?));
        let enough = match (bad, total) {
            (Some(bad), Some(total)) if bad.get() == 0 && total.get() == 0 => true,
            (Some(bad), Some(total)) => Budget::try_new(objective, bad, total).is_some_and(|b| b.exceeds(margin)),
            _ => false,
        };
        if !enough && bad.is_none_or(|b| b.get() > 0) {
            break;
        }
        left -= 1;
        total = total.and_then(|t| Events::try_new(t.get().checked_add(slice.total.get())?));
    }
    let length = u128::from(span.length.0);
    let wait = match count {
        0 => length,
        _ => (length * u128::from(left)).div_ceil(u128::from(count)),
    };
    now.plus(Seconds(u64::try_from(wait).unwrap_or(u64::MAX))).plus(dwell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slo::Margin;
    use proptest::prelude::*;

    const DAY: u64 = 86_400;

    fn events(n: u64) -> Events {
        Events::try_new(n).expect("events")
    }

    fn objective(text: &str) -> Objective {
        Objective::read("x", text).expect("an objective")
    }

    fn rolling(days: u64) -> Span {
        Span { from: UnixSeconds::new(0), length: Seconds(days * DAY), turns: None }
    }

    fn now(days: u64) -> UnixSeconds {
        UnixSeconds::new((days * DAY).cast_signed())
    }

    #[track_caller]
    fn check_exhaustion(span: Span, bad: u64, recent: (u64, u64), expected: Exhaustion) {
        let objective = objective("99");
        let budget = Budget::try_new(objective, events(bad), events(100_000)).expect("a budget");
        let recent = Recent { bad: events(recent.0), total: events(recent.1), over: Seconds(3600) };
        assert_eq!(exhausted_by(objective, budget, recent, span, now(10)), expected);
    }

    #[test]
    fn a_budget_is_spent_as_fast_as_in_the_last_hour() {
        let hours = |n: u64| Exhaustion::At(now(10).plus(Seconds(n * 3600)));
        check_exhaustion(rolling(30), 1000, (0, 100), Exhaustion::Now);
        check_exhaustion(rolling(30), 500, (0, 100), Exhaustion::Never);
        check_exhaustion(rolling(30), 500, (1, 100), Exhaustion::Never);
        check_exhaustion(rolling(30), 500, (100, 1000), hours(5));
        let month = Span { turns: Some(now(11)), ..rolling(30) };
        // Of 100 bad events an hour 10 are earned by the 1000 that happen.
        check_exhaustion(month, 550, (100, 1000), hours(5));
        check_exhaustion(month, 100, (20, 1000), Exhaustion::Never);
        check_exhaustion(month, 500, (0, 0), Exhaustion::Never);
    }

    fn terms(dwell: u64) -> Hysteresis {
        Hysteresis { margin: Margin::read("x", "0").expect("a margin"), dwell: Seconds(dwell) }
    }

    #[track_caller]
    fn check_recovery(slices: &[(u64, u64)], days: u64) {
        let slices: Vec<Slice> =
            slices.iter().map(|(bad, total)| Slice { bad: events(*bad), total: events(*total) }).collect();
        let span = rolling(slices.len().max(10) as u64);
        let by = recovers_by(objective("90"), span, &slices, terms(0), now(100));
        assert_eq!(by, now(100 + days), "{slices:?}");
    }

    #[test]
    fn a_budget_recovers_when_its_errors_leave_the_window() {
        // The errors are in the oldest of ten days: they have left when that day has.
        let quiet = [(0, 100); 9];
        check_recovery(&[&[(200, 200)], quiet.as_slice()].concat(), 1);
        // In the newest: when it leaves, because nothing is known of what comes.
        check_recovery(&[quiet.as_slice(), &[(200, 200)]].concat(), 10);
        // In the middle.
        check_recovery(&[&quiet[..4], &[(200, 200)], &quiet[..5]].concat(), 5);
        // Nothing is known of the pieces: all of the window must pass.
        check_recovery(&[], 10);
        // Nothing bad is in there.
        check_recovery(&[(0, 0); 10], 0);
        let calendar = Span { turns: Some(now(101)), ..rolling(30) };
        assert_eq!(recovers_by(objective("90"), calendar, &[], terms(600), now(100)), now(101).plus(Seconds(600)));
    }

    proptest! {
        #[test]
        fn from_then_on_the_budget_is_never_short_whatever_good_happens(
            pieces in proptest::collection::vec((0_u64..20, 0_u64..100), 1..20), good in 0_u64..200,
        ) {
            let slices: Vec<Slice> = pieces.iter().map(|(bad, more)| Slice { bad: events(*bad), total: events(bad + more) }).collect();
            let count = slices.len() as u64;
            let objective = objective("90");
            let by = recovers_by(objective, rolling(count), &slices, terms(0), now(100));
            let from = by.since(now(100)).0 / DAY;
            // After each number of days from then on, with `good` events on each day since.
            for days in from..=count {
                let kept = slices.iter().skip(days as usize);
                let (bad, total) = kept.fold((0, days * good), |(b, t), s| (b + s.bad.get(), t + s.total.get()));
                let budget = Budget::try_new(objective, events(bad), events(total)).expect("a budget");
                prop_assert!(budget.exceeds(terms(0).margin), "{days} {pieces:?}");
            }
        }
    }
}
