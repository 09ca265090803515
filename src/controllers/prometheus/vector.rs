//! The answer to an instant query: one number for each series, or why there is none. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::units::UnixMillis;

use super::answer::{Envelope, moment};
use super::error::{PrometheusError, SeriesError, quoted};

/// A finite number, bit by bit the one that Prometheus holds: it writes so many digits that no two numbers share them, and counts
/// one by one up to 2^53.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Number(f64);

/// A series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: Result<Number, SeriesError>,
}

/// The answer to an instant query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vector {
    /// Its series, as Prometheus lists them.
    pub series: Vec<Series>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Form<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

/// A moment and a value.
#[derive(Deserialize)]
pub(super) struct Sample<'a>(#[serde(borrow)] pub(super) &'a RawValue, pub(super) String);

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(borrow)]
    value: Option<Sample<'a>>,
    #[serde(borrow)]
    histogram: Option<&'a RawValue>,
}

impl Number {
    /// Reads a value as Prometheus writes it.
    ///
    /// # Errors
    /// [`SeriesError::NotANumber`], [`SeriesError::Infinite`], [`SeriesError::Unreadable`].
    pub fn try_new(text: &str) -> Result<Self, SeriesError> {
        match text {
            "NaN" => return Err(SeriesError::NotANumber),
            "+Inf" | "-Inf" => return Err(SeriesError::Infinite),
            _ => {}
        }
        let wrong = || SeriesError::Unreadable(quoted(text));
        // Rust reads more spellings than Go writes.
        let number: f64 = if is_decimal(text) { text.parse().map_err(|_| wrong())? } else { return Err(wrong()) };
        if number.is_finite() { Ok(Self(number)) } else { Err(SeriesError::Infinite) }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }
}

/// Whether this is a decimal as Go writes one.
fn is_decimal(text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix('-').unwrap_or(text);
    let (number, exponent) = text.split_once('e').unwrap_or((text, "+0"));
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    is_number(whole) && is_number(part) && exponent.strip_prefix(['+', '-']).is_some_and(is_number)
}

impl Vector {
    /// The values by one label. What has the same value of it as another series is worth nothing, for nobody knows which of both
    /// counts.
    #[must_use]
    pub fn by_label(self, label: &str) -> BTreeMap<String, Result<Number, SeriesError>> {
        let mut all = BTreeMap::new();
        for Series { mut labels, value } in self.series {
            let name = labels.remove(label).unwrap_or_default();
            all.entry(name).and_modify(|known| *known = Err(SeriesError::Duplicate)).or_insert(value);
        }
        all
    }
}

/// The vector that an answer holds, asked about a moment.
pub(super) fn read(envelope: &Envelope, at: UnixMillis) -> Result<Vector, PrometheusError> {
    let elements: Vec<Element<'_>> = result(&envelope.read()?, "vector")?;
    let series = elements.into_iter().map(|Element { metric, value, histogram }| {
        let value = match (value, histogram) {
            (Some(Sample(moment, text)), None) => of_moment(moment, at).and_then(|()| Number::try_new(&text)),
            (None, Some(_)) => Err(SeriesError::Histogram),
            (Some(_), Some(_)) | (None, None) => Err(SeriesError::Unreadable(String::new())),
        };
        Series { labels: metric, value }
    });
    Ok(Vector { series: series.collect() })
}

/// The time that an answer to `time()` holds.
pub(super) fn clock(envelope: &Envelope) -> Result<UnixMillis, PrometheusError> {
    let Sample(at, _) = result(&envelope.read()?, "scalar")?;
    moment(at.get()).ok_or_else(|| PrometheusError::Form(format!("`{}` is no time", quoted(at.get()))))
}

/// The result of an answer, if it is of the type that the question's answers have.
pub(super) fn result<'a, T: Deserialize<'a>>(form: &Form<'a>, expected: &'static str) -> Result<T, PrometheusError> {
    let Form { result_type, result } = form;
    if result_type != expected {
        return Err(PrometheusError::Type { expected, found: quoted(result_type) });
    }
    serde_json::from_str(result.get()).map_err(|error| PrometheusError::Form(quoted(&error.to_string())))
}

fn of_moment(text: &RawValue, asked: UnixMillis) -> Result<(), SeriesError> {
    let found = moment(text.get()).ok_or_else(|| SeriesError::Unreadable(quoted(text.get())))?;
    if found == asked { Ok(()) } else { Err(SeriesError::Time { asked, found }) }
}

#[cfg(test)]
mod tests {
    use super::super::answer::open;
    use super::*;

    const AT: UnixMillis = UnixMillis(1_700_000_000_500);

    fn answer(data: &str) -> Envelope {
        open(200, format!(r#"{{"status":"success","data":{data}}}"#).as_bytes()).expect("an envelope")
    }

    fn vector(result: &str) -> Result<Vector, PrometheusError> {
        read(&answer(&format!(r#"{{"resultType":"vector","result":{result}}}"#)), AT)
    }

    #[test]
    fn a_value_is_the_number_that_prometheus_holds_or_refused() {
        let check = |text: &str, expected: Result<f64, SeriesError>| {
            assert_eq!(Number::try_new(text).map(Number::get), expected, "{text}");
        };
        check("0", Ok(0.0));
        check("-0", Ok(0.0));
        check("-3.5", Ok(-3.5));
        check("9007199254740991", Ok(9_007_199_254_740_991.0));
        check("12345678901234567000", Ok(12_345_678_901_234_567_000.0));
        check("0.30000000000000004", Ok(0.1 + 0.2));
        check("1.5e+21", Ok(1.5e21));
        check("1e-07", Ok(1e-7));
        check("NaN", Err(SeriesError::NotANumber));
        check("+Inf", Err(SeriesError::Infinite));
        check("-Inf", Err(SeriesError::Infinite));
        check("1e+999", Err(SeriesError::Infinite));
        for text in [
            "", "-", ".", "1.", ".5", "1e", "1e5", "0x10", "1 ", " 1", "+1", "nan", "inf", "1,5", "1_000", "--1",
            "\u{661}",
        ] {
            check(text, Err(SeriesError::Unreadable(quoted(text))));
        }
    }

    #[test]
    fn each_series_stands_for_itself() {
        let text = r#"[
            {"metric": {"s": "good"}, "value": [1700000000.5, "7"]},
            {"metric": {"s": "twice", "replica": "a"}, "value": [1700000000.5, "7"]},
            {"metric": {"s": "nan"}, "value": [1700000000.500, "NaN"]},
            {"metric": {"s": "twice", "replica": "b"}, "value": [1700000000.5, "7"]},
            {"metric": {"s": "old"}, "value": [1699999700.5, "7"]},
            {"metric": {"s": "shape"}, "histogram": [1700000000.5, {"count": "7"}]},
            {"metric": {"s": "none"}},
            {"metric": {}, "value": [1700000000.5, "1"]}
        ]"#;
        let found = vector(text).expect("a vector").by_label("s");
        let check = |name: &str, expected: Result<f64, SeriesError>| {
            assert_eq!(found.get(name).expect(name).clone().map(Number::get), expected, "{name}");
        };
        check("good", Ok(7.0));
        check("twice", Err(SeriesError::Duplicate));
        check("nan", Err(SeriesError::NotANumber));
        check("old", Err(SeriesError::Time { asked: AT, found: UnixMillis(1_699_999_700_500) }));
        check("shape", Err(SeriesError::Histogram));
        check("none", Err(SeriesError::Unreadable(String::new())));
        check("", Ok(1.0));
        assert_eq!(found.len(), 7);
        assert_eq!(vector("[]").expect("an empty vector"), Vector::default());
    }

    #[test]
    fn what_is_no_vector_is_refused_as_a_whole() {
        let check = |data: &str, expected: &str| {
            let error = read(&answer(data), AT).expect_err("refused").to_string();
            assert!(error.contains(expected), "{data}: {error}");
        };
        check(r#"{"resultType":"matrix","result":[]}"#, "with a matrix, not with a vector");
        check(r#"{"resultType":"scalar","result":[1,"1"]}"#, "with a scalar, not with a vector");
        check(r#"{"resultType":"vector","result":{}}"#, "expected a sequence");
        check(r#"{"resultType":"vector","result":[{"metric":{},"value":[1,2]}]}"#, "expected a string");
        check(r#"{"resultType":"vector","result":[{"metric":{"a":1},"value":[1,"2"]}]}"#, "expected a string");
        check(r#"{"resultType":"vector"}"#, "missing field `result`");
        check(r#"{"result":[]}"#, "missing field `resultType`");
        check("[]", "is not what its API answers");
    }

    #[test]
    fn the_clock_is_a_scalar() {
        let at = |result: &str| clock(&answer(&format!(r#"{{"resultType":"scalar","result":{result}}}"#)));
        assert_eq!(at(r#"[1700000000.5, "1700000000.5"]"#).expect("a time"), AT);
        assert!(at(r#"["now", "1"]"#).is_err());
        assert!(clock(&answer(r#"{"resultType":"vector","result":[]}"#)).is_err());
    }
}
