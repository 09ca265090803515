//! How events are counted: PromQL for the increase of counters between two evaluations.
//!
//! `increase` of Prometheus knows only the samples inside of its range, and guesses what was before the first and after the last of
//! them. Of steady traffic the guess is right; of a burst it is wrong by as much as the interval of scrapes is of the range, and what
//! a counter shows when it appears is never counted. So each evaluation takes the last value of its range less the last value
//! before it: what one evaluation ends with the next one begins with, and a sum over any number of them is the difference of two
//! values, exactly. A counter that began at zero in between counts with its value: after a reset, or when its target was seen before
//! it. What cannot be known that way is left to `increase`: a reset among the samples of the range, and a target that nobody scraped
//! before, whose counters may hold the events of years.

use crate::slo::decimal::Decimal;
use crate::slo::indicator::{Histogram, Indicator};
use crate::slo::resolution::Resolution;
use crate::slo::selector::Selector;
use crate::units::Seconds;

/// How many ranges back the last value before a range may lie: as long may a target be unseen before its events are lost.
const PATIENCE: u64 = 3;

/// PromQL for the events of one evaluation, without labels.
pub(super) struct Counting<'a> {
    indicator: &'a Indicator,
    resolution: Resolution,
}

impl<'a> Counting<'a> {
    pub(super) fn new(indicator: &'a Indicator, resolution: Resolution) -> Self {
        Self { indicator, resolution }
    }

    /// All events.
    pub(super) fn total(&self) -> String {
        match self.indicator {
            Indicator::BadOfTotal { bad: _, total } | Indicator::GoodOfTotal { good: _, total } => {
                format!("sum({})", self.increase(total, total))
            }
            Indicator::Latency(Histogram { selector, threshold: _ }) => {
                let count = selector.of_suffix("_count");
                format!("sum({})", self.increase(&count, &count))
            }
            Indicator::NativeLatency(Histogram { selector, threshold: _ }) => {
                format!("histogram_count(sum({}))", self.increase(selector, selector))
            }
            Indicator::Gauge(up) => format!("sum(count_over_time({}))", self.range(up)),
        }
    }

    /// The bad ones of them; `total` is PromQL for all of them, without labels. There is no answer where there is none to `total`.
    pub(super) fn bad(&self, total: &str) -> String {
        match self.indicator {
            // Counters of errors often exist only after the first one.
            Indicator::BadOfTotal { bad, total: all } => {
                format!("(sum({}) or vector(0)) and {total}", self.increase(bad, all))
            }
            Indicator::GoodOfTotal { good, total: all } => {
                format!("{total} - (sum({}) or vector(0))", self.increase(good, all))
            }
            // A histogram has all of its buckets or none: without this one nobody knows what was good.
            Indicator::Latency(Histogram { selector, threshold }) => {
                let bucket = selector.of_suffix("_bucket").with_one_of("le", &spellings(*threshold));
                format!("{total} - sum({})", self.increase(&bucket, &selector.of_suffix("_count")))
            }
            // A share of nothing is not a number, and is no answer to the comparison.
            Indicator::NativeLatency(Histogram { selector, threshold }) => {
                let sum = format!("sum({})", self.increase(selector, selector));
                format!("(histogram_count({sum}) * histogram_fraction({threshold}, +Inf, {sum}) > 0) or 0 * {total}")
            }
            Indicator::Gauge(up) => format!("{total} - sum(sum_over_time({}))", self.range(up)),
        }
    }

    /// A range vector that ends as long ago as a scrape may take.
    fn range(&self, series: &Selector) -> String {
        let lag = self.resolution.lag();
        match lag.0 {
            0 => format!("{series}[{}]", self.resolution),
            _ => format!("{series}[{}] offset {lag}", self.resolution),
        }
    }

    /// The increase of each counter; `known` selects counters that a target has from its first scrape on.
    fn increase(&self, counters: &Selector, known: &Selector) -> String {
        let (length, lag) = (self.resolution.length().0, self.resolution.lag().0);
        let (before, all) = (Seconds(PATIENCE * length), Seconds((PATIENCE + 1) * length));
        let back = Seconds(length + lag);
        let long = |series: &Selector| match lag {
            0 => format!("{series}[{all}]"),
            _ => format!("{series}[{all}] offset {}", Seconds(lag)),
        };
        let (now, whole) = (self.range(counters), long(counters));
        let earlier = format!("{counters}[{before}] offset {back}");
        [
            // No more resets up to now than before: the difference of two values.
            format!("(last_over_time({now}) - last_over_time({earlier})) and (resets({whole}) == resets({earlier}))"),
            // It began at zero since: by a reset, or because it is seen less often than its target.
            format!(
                "last_over_time({now}) and (resets({now}) == 0) and (resets({whole}) > resets({earlier}) or \
                 count_over_time({whole}) < on (job, instance) group_left () \
                 max by (job, instance) (count_over_time({})))",
                long(known)
            ),
            format!("increase({now})"),
        ]
        .join(" or ")
    }
}

/// How the upper bound of a bucket is written: Prometheus 3 writes floats like Go with a point, what it scraped before and what
/// others wrote may have none.
fn spellings(bound: Decimal) -> Vec<String> {
    let plain = bound.to_string();
    let mut all = vec![plain.clone()];
    if !plain.contains('.') {
        all.push(format!("{plain}.0"));
    }
    all.extend(exponent(&plain));
    all
}

/// The same with an exponent, as Go's shortest form writes it from a million on and below a ten-thousandth.
fn exponent(plain: &str) -> Option<String> {
    let (whole, part) = plain.split_once('.').unwrap_or((plain, ""));
    let digits = format!("{whole}{part}");
    let first = digits.find(|c| c != '0')?;
    let power = i64::try_from(whole.len()).ok()? - 1 - i64::try_from(first).ok()?;
    if (-4..6).contains(&power) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    let (head, tail) = significant.split_at_checked(1)?;
    let point = if tail.is_empty() { "" } else { "." };
    let sign = if power < 0 { '-' } else { '+' };
    Some(format!("{head}{point}{tail}e{sign}{:02}", power.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_found_however_it_is_written() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(spellings(text.parse().expect("a decimal")), expected);
        };
        check("0.3", &["0.3"]);
        check("1", &["1", "1.0"]);
        check("2.5", &["2.5"]);
        check("100000", &["100000", "100000.0"]);
        check("1000000", &["1000000", "1000000.0", "1e+06"]);
        check("2500000", &["2500000", "2500000.0", "2.5e+06"]);
        check("1234567.5", &["1234567.5", "1.2345675e+06"]);
        check("0.0001", &["0.0001"]);
        check("0.00001", &["0.00001", "1e-05"]);
        check("0.000025", &["0.000025", "2.5e-05"]);
    }
}
