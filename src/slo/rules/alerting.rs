//! Alerts: on burn rates, on a budget that is spent, and on nothing being recorded.

use crate::slo::alerts::{AlertPair, Severity};
use crate::slo::resolution::Resolution;
use crate::slo::{Budgeting, Decimal, Slo, Window};
use crate::units::Seconds;

use super::recordings::{BAD, BAD_WINDOW, Recordings, TOTAL, TOTAL_WINDOW};
use super::{Alert, AlertName};

/// The pairs of windows that can fire at all: a factor that needs as many errors as there are events never does.
pub(super) fn pairs(slo: &Slo) -> Vec<(AlertPair, Decimal)> {
    let pairs = slo.alerts.pairs(&slo.window).into_iter();
    pairs.filter_map(|pair| Some((pair.clone(), share(slo, &pair)?))).collect()
}

/// The share of bad events beyond which a pair fires.
fn share(slo: &Slo, pair: &AlertPair) -> Option<Decimal> {
    pair.factor.times(slo.objective.error_ratio()).filter(|share| *share < Decimal::ONE)
}

/// The alerts of an objective; their order is that of the group.
pub(super) fn alerts(slo: &Slo, recordings: &Recordings, resolution: Resolution) -> Vec<Alert> {
    let mut alerts: Vec<Alert> = [Severity::Page, Severity::Ticket]
        .into_iter()
        .filter_map(|s| burning(slo, recordings, resolution, s))
        .collect();
    alerts.extend(spent(slo, recordings, resolution));
    alerts.push(absent(recordings, resolution));
    alerts
}

/// One alert for all pairs of a severity.
fn burning(slo: &Slo, recordings: &Recordings, resolution: Resolution, severity: Severity) -> Option<Alert> {
    let of_severity = pairs(slo).into_iter().filter(|(pair, _)| pair.severity == severity);
    let (mut conditions, mut words) = (Vec::new(), Vec::new());
    for (pair, share) in of_severity {
        let AlertPair { severity: _, long, short, factor } = pair;
        // What is shorter than the time between two recordings cannot be seen.
        let short = short.max(resolution.length());
        let floor = match slo.alerts.min_events {
            0 => String::new(),
            least => format!(" and {} >= {least}", recordings.sum(TOTAL, long)),
        };
        conditions.push(format!(
            "({} > {share} and {} > {share} * {}{floor})",
            recordings.of(&Recordings::ratio_name(long)),
            recordings.sum(BAD, short),
            recordings.sum(TOTAL, short),
        ));
        words.push(format!("{factor} times in {long} and {short}"));
    }
    let described = words.join(", or ");
    (!conditions.is_empty()).then(|| Alert {
        name: AlertName::Burning,
        expression: conditions.join(" or "),
        hold: None,
        severity,
        summary: format!("The error budget of {} burns too fast", recordings.slo()),
        description: format!("It burns more than {described} as fast as it lasts over {}.", slo.window),
    })
}

/// The budget of a rolling window is spent. What a calendar's window is only whoever knows the calendar can say.
fn spent(slo: &Slo, recordings: &Recordings, resolution: Resolution) -> Option<Alert> {
    let Window::Rolling(length) = slo.window else { return None };
    let (allowed, of) = slo.objective.error_fraction();
    let (bad, total) = (recordings.of(BAD_WINDOW), recordings.of(TOTAL_WINDOW));
    // Whole numbers: a product of floats would be a little more or less than what is allowed.
    let expression = match slo.budgeting {
        Budgeting::Occurrences => format!("{of} * {bad} >= {allowed} * {total} and {total} > 0"),
        Budgeting::TimeSlices(_) => format!("{of} * {bad} >= {}", allowed * u128::from(resolution.points(length))),
    };
    let gate = match &slo.gate {
        Some(_) => "Changes of the workloads that it binds are refused.",
        None => "It binds no workload.",
    };
    Some(Alert {
        name: AlertName::Spent,
        expression,
        hold: None,
        severity: Severity::Ticket,
        summary: format!("The error budget of {} is spent", recordings.slo()),
        description: format!("Nothing is left of it over {}. {gate}", slo.window),
    })
}

/// Nothing is recorded any more.
fn absent(recordings: &Recordings, resolution: Resolution) -> Alert {
    let length = Seconds(resolution.length().0 * 2);
    Alert {
        name: AlertName::Absent,
        expression: format!("absent_over_time({}[{length}])", recordings.of(BAD)),
        hold: Some(length),
        severity: Severity::Ticket,
        summary: format!("Nothing is recorded of {}", recordings.slo()),
        description: format!(
            "Without data nobody knows how much error budget is left; below {} of the window the verdict is Unknown.",
            crate::slo::budget::LEAST_COVERAGE.percent()
        ),
    }
}
