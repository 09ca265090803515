//! What is counted.

use sha2::{Digest as _, Sha256};

use crate::api::v1alpha1 as raw;
use crate::units::hex;

use super::decimal::Decimal;
use super::error::{Problem, SloError};
use super::objective::Objective;
use super::resolution::Resolution;
use super::selector::Selector;

/// What is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indicator {
    /// Counters of bad events and of all events.
    BadOfTotal {
        /// The bad ones.
        bad: Selector,
        /// All of them.
        total: Selector,
    },
    /// Counters of good events and of all events.
    GoodOfTotal {
        /// The good ones.
        good: Selector,
        /// All of them.
        total: Selector,
    },
    /// A histogram with buckets; events up to the threshold are good.
    Latency(Histogram),
    /// A native histogram; events up to the threshold are good.
    NativeLatency(Histogram),
    /// Gauges that are 1 or 0; each sample is an event.
    Gauge(Selector),
}

/// A histogram and a threshold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    /// Its series, by the name without `_bucket` or `_count`.
    pub selector: Selector,
    /// Up to here an event is good, in the histogram's unit; more than 0.
    pub threshold: Decimal,
}

/// How good and bad events spend the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budgeting {
    /// Each bad event spends of it.
    Occurrences,
    /// Each slice of time spends of it in which less than this share of events is good. A slice is as long as the resolution.
    TimeSlices(Objective),
}

/// Which series of recordings belong to what is counted: 16 hex digits. Whatever is counted in another way has another one, so
/// that a budget never mixes what cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IndicatorId([u8; 8]);

/// Changes whenever the recordings count in another way.
const COUNTING: &str = "miax.dev/slo/1";

impl Indicator {
    /// Reads an indicator.
    ///
    /// # Errors
    /// [`SloError`] below `path` when it is not exactly one, or a selector is more than a selector.
    pub fn read(path: &str, spec: &raw::Indicator) -> Result<Self, SloError> {
        let raw::Indicator { ratio, latency, native_latency, gauge } = spec;
        match (ratio, latency, native_latency, gauge) {
            (Some(ratio), None, None, None) => read_ratio(&format!("{path}.ratio"), ratio),
            (None, Some(latency), None, None) => {
                let path = format!("{path}.latency");
                let histogram = Histogram::read(&path, latency)?;
                // The bucket is chosen by the threshold.
                if histogram.selector.speaks_of("le") {
                    let wrong = "matches `le`; the threshold says that".to_owned();
                    let found = latency.histogram.clone();
                    return Err(SloError::new(format!("{path}.histogram"), Problem::Selector { found, wrong }));
                }
                Ok(Self::Latency(histogram))
            }
            (None, None, Some(latency), None) => {
                Histogram::read(&format!("{path}.nativeLatency"), latency).map(Self::NativeLatency)
            }
            (None, None, None, Some(raw::GaugeIndicator { up })) => {
                Selector::read(&format!("{path}.gauge.up"), up).map(Self::Gauge)
            }
            _ => Err(SloError::new(path, Problem::ExactlyOne("ratio, latency, nativeLatency, gauge"))),
        }
    }

    /// The identity of what is counted, with how it is counted and how often.
    #[must_use]
    pub fn id(&self, budgeting: Budgeting, resolution: Resolution) -> IndicatorId {
        let mut hash = Sha256::new();
        let slices = match budgeting {
            Budgeting::Occurrences => "occurrences".to_owned(),
            Budgeting::TimeSlices(objective) => format!("slices {objective}"),
        };
        // A line end stands in no selector, so that no two lists of lines are alike.
        for line in [COUNTING, &self.words(), &slices, &resolution.to_string()] {
            hash.update(line);
            hash.update("\n");
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        IndicatorId([a, b, c, d, e, f, g, h])
    }

    /// What is counted, for people.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::BadOfTotal { bad, total } => format!("bad {bad} of {total}"),
            Self::GoodOfTotal { good, total } => format!("good {good} of {total}"),
            Self::Latency(Histogram { selector, threshold }) => format!("{selector} up to {threshold}"),
            Self::NativeLatency(Histogram { selector, threshold }) => format!("native {selector} up to {threshold}"),
            Self::Gauge(selector) => format!("samples of {selector} that are 1"),
        }
    }
}

impl std::fmt::Display for IndicatorId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Histogram {
    fn read(path: &str, spec: &raw::LatencyIndicator) -> Result<Self, SloError> {
        let raw::LatencyIndicator { histogram, threshold } = spec;
        let selector_path = format!("{path}.histogram");
        let selector = Selector::read(&selector_path, histogram)?;
        if let Some(suffix) = ["_bucket", "_count", "_sum"].into_iter().find(|s| selector.metric().ends_with(s)) {
            let wrong = format!("names a part of a histogram; leave `{suffix}` away");
            return Err(SloError::new(selector_path, Problem::Selector { found: histogram.clone(), wrong }));
        }
        let path = format!("{path}.threshold");
        let decimal = threshold.parse().map_err(|_| SloError::new(&path, Problem::Decimal(threshold.clone())))?;
        if decimal == Decimal::whole(0) {
            return Err(SloError::new(path, Problem::Range { found: threshold.clone(), range: "more than 0" }));
        }
        Ok(Self { selector, threshold: decimal })
    }
}

fn read_ratio(path: &str, spec: &raw::RatioIndicator) -> Result<Indicator, SloError> {
    let raw::RatioIndicator { bad, good, total } = spec;
    let total = Selector::read(&format!("{path}.total"), total)?;
    let read = |name: &str, text: &str| -> Result<Selector, SloError> {
        let path = format!("{path}.{name}");
        let part = Selector::read(&path, text)?;
        if part == total {
            let message = format!("selects the same as total; say what makes an event {name}");
            return Err(SloError::new(path, Problem::Unfit(message)));
        }
        Ok(part)
    };
    match (bad, good) {
        (Some(bad), None) => Ok(Indicator::BadOfTotal { bad: read("bad", bad)?, total }),
        (None, Some(good)) => Ok(Indicator::GoodOfTotal { good: read("good", good)?, total }),
        (Some(_), Some(_)) | (None, None) => Err(SloError::new(path, Problem::ExactlyOne("bad, good"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Seconds;

    fn ratio(bad: Option<&str>, good: Option<&str>, total: &str) -> raw::Indicator {
        let text = |t: Option<&str>| t.map(str::to_owned);
        let ratio = raw::RatioIndicator { bad: text(bad), good: text(good), total: total.to_owned() };
        raw::Indicator { ratio: Some(ratio), latency: None, native_latency: None, gauge: None }
    }

    fn latency(histogram: &str, threshold: &str) -> raw::Indicator {
        let latency = raw::LatencyIndicator { histogram: histogram.to_owned(), threshold: threshold.to_owned() };
        raw::Indicator { ratio: None, latency: Some(latency), native_latency: None, gauge: None }
    }

    #[track_caller]
    fn check(spec: &raw::Indicator, expected: Result<&str, &str>) {
        let found = Indicator::read("spec.indicator", spec).map(|i| i.words()).map_err(|e| e.to_string());
        match expected {
            Ok(words) => assert_eq!(found.as_deref(), Ok(words)),
            Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{found:?}"),
        }
    }

    #[test]
    fn an_indicator_is_exactly_one_of_four() {
        check(&ratio(Some("a_total{code=~'5..'}"), None, "a_total"), Ok("bad a_total{code=~\"5..\"} of a_total"));
        check(&ratio(None, Some("a_total{code='200'}"), "a_total"), Ok("good a_total{code=\"200\"} of a_total"));
        check(&ratio(Some("a"), Some("b"), "c"), Err("spec.indicator.ratio: must hold exactly one of bad, good"));
        check(&ratio(None, None, "c"), Err("exactly one of bad, good"));
        check(&ratio(Some("c{}"), None, "c"), Err("spec.indicator.ratio.bad: selects the same as total"));
        check(&ratio(Some("rate(c[5m])"), None, "c"), Err("spec.indicator.ratio.bad: `rate(c[5m])` is a function"));
        check(&latency("h{job='x'}", "0.30"), Ok("h{job=\"x\"} up to 0.3"));
        check(&latency("h_bucket", "0.3"), Err("leave `_bucket` away"));
        check(&latency("h{le='0.3'}", "0.3"), Err("the threshold says that"));
        check(&latency("h", "0"), Err("spec.indicator.latency.threshold: `0` is out of range"));
        check(&latency("h", "+Inf"), Err("not a decimal number"));
        let none = raw::Indicator { ratio: None, latency: None, native_latency: None, gauge: None };
        check(&none, Err("exactly one of ratio, latency, nativeLatency, gauge"));
        let gauge = raw::GaugeIndicator { up: "probe_success{job='x'}".to_owned() };
        check(
            &raw::Indicator { gauge: Some(gauge.clone()), ..none },
            Ok("samples of probe_success{job=\"x\"} that are 1"),
        );
        check(&raw::Indicator { gauge: Some(gauge), ..latency("h", "1") }, Err("exactly one of"));
    }

    #[test]
    fn another_way_to_count_has_another_identity() {
        let read = |spec: &raw::Indicator| Indicator::read("x", spec).expect("an indicator");
        let (one, same) =
            (read(&ratio(Some("a{x='1'}"), None, "b")), read(&ratio(Some("a{ x = \"1\" }"), None, "b{}")));
        let five = Resolution::DEFAULT;
        assert_eq!(one.id(Budgeting::Occurrences, five), same.id(Budgeting::Occurrences, five));
        assert_eq!(one.id(Budgeting::Occurrences, five).to_string().len(), 16);
        let slices = |text| Budgeting::TimeSlices(Objective::read("x", text).expect("an objective"));
        let ids = [
            one.id(Budgeting::Occurrences, five),
            one.id(Budgeting::Occurrences, Resolution::try_new(Seconds(60)).expect("a resolution")),
            one.id(slices("99"), five),
            one.id(slices("99.5"), five),
            read(&ratio(None, Some("a{x='1'}"), "b")).id(Budgeting::Occurrences, five),
            read(&latency("b", "1")).id(Budgeting::Occurrences, five),
            read(&latency("b", "2")).id(Budgeting::Occurrences, five),
        ];
        let different: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(different.len(), ids.len());
    }
}
