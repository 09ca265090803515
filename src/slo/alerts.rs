//! When people are alerted: pairs of a long and a short window, and how fast the budget must burn in both.
//! Source: The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".

use crate::api::v1alpha1 as raw;
use crate::units::Seconds;

use super::decimal::Decimal;
use super::error::{Problem, SloError};
use super::window::{Window, duration};

/// When people are alerted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// How the pairs are chosen.
    pub policy: AlertPolicy,
    /// No alert below this many events in the long window; 0 when there is no such floor.
    pub min_events: u64,
}

/// How the pairs are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertPolicy {
    /// The workbook's: 2 % of the budget in 1 h, 5 % in 6 h, 10 % in 1 d, 10 % in 3 d.
    Workbook,
    /// Pyrra's: 14, 7, 2 and 1 times too fast, in windows that are scaled from 28 d.
    Pyrra,
    /// These; from one to four.
    Custom(Vec<AlertPair>),
    /// Nobody is alerted of burn rates.
    None,
}

/// An alert fires while the budget burns this fast in both windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPair {
    /// Whom it alerts.
    pub severity: Severity,
    /// The long window.
    pub long: Seconds,
    /// The short window, shorter than the long one.
    pub short: Seconds,
    /// How many times faster than the budget lasts; more than 0.
    pub factor: Decimal,
}

/// Whom an alert is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Somebody is woken.
    Page,
    /// Somebody looks at it by day.
    Ticket,
}

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 86_400;

/// Severity, percent of the budget, long window, short window.
const WORKBOOK: [(Severity, u64, u64, u64); 4] = [
    (Severity::Page, 2, HOUR, 5 * MINUTE),
    (Severity::Page, 5, 6 * HOUR, 30 * MINUTE),
    (Severity::Ticket, 10, DAY, 2 * HOUR),
    (Severity::Ticket, 10, 3 * DAY, 6 * HOUR),
];

/// Severity, factor, long window, short window of an objective over 28 d.
const PYRRA: [(Severity, u64, u64, u64); 4] = [
    (Severity::Page, 14, HOUR, 5 * MINUTE),
    (Severity::Page, 7, 6 * HOUR, 30 * MINUTE),
    (Severity::Ticket, 2, DAY, 2 * HOUR),
    (Severity::Ticket, 1, 4 * DAY, 6 * HOUR),
];
const PYRRA_WINDOW: u64 = 28 * DAY;

impl Severity {
    /// Its word, as a label of alerts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }
}

impl Alerts {
    /// What holds when nothing is written.
    pub const DEFAULT: Self = Self { policy: AlertPolicy::Workbook, min_events: 0 };

    /// Reads when people are alerted.
    ///
    /// # Errors
    /// [`SloError`] below `path` when the policy is unknown, or a pair does not fit the window.
    pub fn read(path: &str, spec: &raw::Alerts, window: &Window) -> Result<Self, SloError> {
        let raw::Alerts { policy, pairs, min_events } = spec;
        let pairs_path = format!("{path}.pairs");
        let policy = match (policy.as_str(), pairs) {
            ("Custom", Some(pairs)) => AlertPolicy::Custom(read_pairs(&pairs_path, pairs, window)?),
            ("Custom", None) => {
                let message = "is missing; the policy Custom needs one to four pairs".to_owned();
                return Err(SloError::new(pairs_path, Problem::Unfit(message)));
            }
            ("Workbook" | "Pyrra" | "None", Some(_)) => {
                let message = format!("belongs to the policy Custom; the policy is {policy}");
                return Err(SloError::new(pairs_path, Problem::Unfit(message)));
            }
            ("Workbook", None) => AlertPolicy::Workbook,
            ("Pyrra", None) => AlertPolicy::Pyrra,
            ("None", None) => AlertPolicy::None,
            (other, _) => {
                let problem = Problem::Choice { found: other.to_owned(), allowed: "Workbook, Pyrra, Custom, None" };
                return Err(SloError::new(format!("{path}.policy"), problem));
            }
        };
        let min_events = match min_events {
            None => 0,
            Some(n) => u64::try_from(*n).ok().filter(|n| *n > 0).ok_or_else(|| {
                let problem = Problem::Range { found: n.to_string(), range: "a whole number of at least 1" };
                SloError::new(format!("{path}.minEvents"), problem)
            })?,
        };
        Ok(Self { policy, min_events })
    }

    /// The pairs for a window. A pair that would need more than the window, and one that is the same as another, is left
    /// away; a factor is at least 1, because what burns slower lasts.
    #[must_use]
    pub fn pairs(&self, window: &Window) -> Vec<AlertPair> {
        let length = window.nominal().0;
        let all: Vec<AlertPair> = match &self.policy {
            AlertPolicy::None => Vec::new(),
            AlertPolicy::Custom(pairs) => return pairs.clone(),
            AlertPolicy::Workbook => WORKBOOK
                .map(|(severity, percent, long, short)| AlertPair {
                    severity,
                    long: Seconds(long),
                    short: Seconds(short),
                    factor: share_of_budget(percent, length, long),
                })
                .into(),
            AlertPolicy::Pyrra => PYRRA
                .map(|(severity, factor, long, short)| AlertPair {
                    severity,
                    long: scaled(long, length),
                    short: scaled(short, length),
                    factor: Decimal::whole(factor),
                })
                .into(),
        };
        let mut kept: Vec<AlertPair> = Vec::new();
        for pair in all.into_iter().filter(|p| p.long.0 < length && p.short < p.long) {
            if !kept.iter().any(|k| k.long == pair.long) {
                kept.push(pair);
            }
        }
        kept
    }
}

/// How many times too fast a budget burns when `percent` of it are spent in `long`: rounded up to hundredths, at least 1.
fn share_of_budget(percent: u64, window: u64, long: u64) -> Decimal {
    let hundredths = (percent * window).div_ceil(long);
    Decimal::shortest(u128::from(hundredths), 2).max(Decimal::ONE)
}

/// A length that belongs to 28 d, scaled to another window: whole minutes, at least one.
fn scaled(length: u64, window: u64) -> Seconds {
    let minutes = (length * window).div_ceil(PYRRA_WINDOW * MINUTE);
    Seconds(minutes.max(1) * MINUTE)
}

fn read_pairs(path: &str, pairs: &[raw::AlertPair], window: &Window) -> Result<Vec<AlertPair>, SloError> {
    if pairs.is_empty() || pairs.len() > 4 {
        let problem = Problem::Range { found: format!("{} pairs", pairs.len()), range: "one to four pairs" };
        return Err(SloError::new(path, problem));
    }
    let read = pairs.iter().enumerate().map(|(index, pair)| read_pair(&format!("{path}[{index}]"), pair, window));
    let read: Vec<AlertPair> = read.collect::<Result<_, _>>()?;
    for (index, pair) in read.iter().enumerate() {
        if read.iter().take(index).any(|p| p.long == pair.long) {
            return Err(SloError::new(format!("{path}[{index}].long"), Problem::Duplicate(pair.long.to_string())));
        }
    }
    Ok(read)
}

fn read_pair(path: &str, pair: &raw::AlertPair, window: &Window) -> Result<AlertPair, SloError> {
    let raw::AlertPair { severity, long, short, factor } = pair;
    let severity = match severity.as_str() {
        "Page" => Severity::Page,
        "Ticket" => Severity::Ticket,
        other => {
            let problem = Problem::Choice { found: other.to_owned(), allowed: "Page, Ticket" };
            return Err(SloError::new(format!("{path}.severity"), problem));
        }
    };
    let (long_path, short_path) = (format!("{path}.long"), format!("{path}.short"));
    let (long, short) = (duration(&long_path, long)?, duration(&short_path, short)?);
    if long > window.nominal() {
        let message = format!("{long} is longer than the window of the budget; shorten it");
        return Err(SloError::new(long_path, Problem::Unfit(message)));
    }
    if short >= long {
        let message = format!("{short} is not shorter than the long window, {long}");
        return Err(SloError::new(short_path, Problem::Unfit(message)));
    }
    let path = format!("{path}.factor");
    let decimal: Decimal = factor.parse().map_err(|_| SloError::new(&path, Problem::Decimal(factor.clone())))?;
    let most = Decimal::whole(MOST_FACTOR);
    if decimal == Decimal::whole(0) || decimal > most || decimal.places() > FACTOR_PLACES {
        let range = "more than 0 and at most 1000000, with at most six digits after the point";
        return Err(SloError::new(path, Problem::Range { found: factor.clone(), range }));
    }
    Ok(AlertPair { severity, long, short, factor: decimal })
}

/// Largest factor: far beyond what any objective can burn in practice.
const MOST_FACTOR: u64 = 1_000_000;
/// Most digits after the point of a factor, so that its product with an error ratio is exact.
const FACTOR_PLACES: u32 = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rolling(days: u64) -> Window {
        Window::Rolling(Seconds(days * DAY))
    }

    fn words(policy: AlertPolicy, window: &Window) -> Vec<String> {
        let pairs = Alerts { policy, min_events: 0 }.pairs(window);
        pairs.iter().map(|p| format!("{} {} in {} and {}", p.severity.as_str(), p.factor, p.long, p.short)).collect()
    }

    #[test]
    fn over_30_days_the_pairs_are_those_of_the_workbook() {
        let expected =
            ["page 14.4 in 1h and 5m", "page 6 in 6h and 30m", "ticket 3 in 1d and 2h", "ticket 1 in 3d and 6h"];
        assert_eq!(words(AlertPolicy::Workbook, &rolling(30)), expected);
        assert_eq!(
            words(AlertPolicy::Workbook, &rolling(7)),
            ["page 3.36 in 1h and 5m", "page 1.4 in 6h and 30m", "ticket 1 in 1d and 2h", "ticket 1 in 3d and 6h"]
        );
        assert_eq!(words(AlertPolicy::Workbook, &Window::Rolling(Seconds(HOUR))), [""; 0]);
    }

    #[test]
    fn over_28_days_the_pairs_are_those_of_pyrra() {
        let expected =
            ["page 14 in 1h and 5m", "page 7 in 6h and 30m", "ticket 2 in 1d and 2h", "ticket 1 in 4d and 6h"];
        assert_eq!(words(AlertPolicy::Pyrra, &rolling(28)), expected);
        assert_eq!(words(AlertPolicy::Pyrra, &rolling(14))[0], "page 14 in 30m and 3m");
        assert_eq!(words(AlertPolicy::None, &rolling(28)), [""; 0]);
    }

    proptest! {
        #[test]
        fn thresholds_are_the_percent_of_the_budget_times_window_by_long_window(days in 1_u64..=92) {
            let pairs = Alerts::DEFAULT.pairs(&rolling(days));
            for pair in &pairs {
                let percent = WORKBOOK.iter().find(|row| row.2 == pair.long.0).expect("a row").1;
                let exact = percent as f64 / 100.0 * (days * DAY) as f64 / pair.long.0 as f64;
                let factor: f64 = pair.factor.to_string().parse().expect("a number");
                prop_assert!((factor - exact.max(1.0)).abs() <= 0.01, "{factor} {exact}");
            }
        }
    }

    #[track_caller]
    fn check(change: impl Fn(&mut raw::AlertPair), expected: Result<(), &str>) {
        let text = str::to_owned;
        let mut pair =
            raw::AlertPair { severity: text("Page"), long: text("1h"), short: text("5m"), factor: text("10") };
        change(&mut pair);
        let spec = raw::Alerts { policy: text("Custom"), pairs: Some(vec![pair]), min_events: None };
        let found = Alerts::read("spec.alerts", &spec, &rolling(7)).map(|_| ()).map_err(|e| e.to_string());
        match expected {
            Ok(()) => assert_eq!(found, Ok(())),
            Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn a_pair_of_ones_own_fits_the_window() {
        check(|_| (), Ok(()));
        check(|p| p.severity = "Fax".into(), Err("spec.alerts.pairs[0].severity: `Fax` is not one of Page, Ticket"));
        check(|p| p.long = "8d".into(), Err("longer than the window"));
        check(|p| p.short = "1h".into(), Err("not shorter than the long window"));
        check(|p| p.short = "x".into(), Err("spec.alerts.pairs[0].short: `x` is not a length"));
        check(|p| p.factor = "0".into(), Err("out of range"));
        check(|p| p.factor = "0.0000001".into(), Err("out of range"));
        check(|p| p.factor = "1000001".into(), Err("out of range"));
        check(|p| p.factor = "fast".into(), Err("not a decimal number"));
    }

    #[test]
    fn the_policy_and_its_pairs_belong_together() {
        let read = |policy: &str, pairs, min_events| {
            let spec = raw::Alerts { policy: policy.to_owned(), pairs, min_events };
            Alerts::read("spec.alerts", &spec, &rolling(7)).map_err(|e| e.to_string())
        };
        assert_eq!(read("Workbook", None, Some(5)), Ok(Alerts { policy: AlertPolicy::Workbook, min_events: 5 }));
        assert!(read("Custom", None, None).is_err_and(|e| e.contains("is missing")));
        assert!(read("Custom", Some(Vec::new()), None).is_err_and(|e| e.contains("one to four pairs")));
        assert!(read("None", Some(Vec::new()), None).is_err_and(|e| e.contains("belongs to the policy Custom")));
        assert!(read("Sloth", None, None).is_err_and(|e| e.contains("is not one of")));
        assert!(read("None", None, Some(0)).is_err_and(|e| e.contains("minEvents: `0` is out of range")));
    }
}
