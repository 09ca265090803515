//! The answer to an instant query with a range: the points of each series, as they were recorded. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::units::UnixMillis;

use super::answer::{Envelope, moment};
use super::error::{PrometheusError, SeriesError, quoted};
use super::vector::{Number, Sample, result};

/// The points of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// Its labels, with its name as `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Its points, the oldest first.
    pub points: Vec<(UnixMillis, Result<Number, SeriesError>)>,
}

#[derive(Deserialize)]
struct Element<'a> {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    #[serde(borrow, default)]
    values: Vec<Sample<'a>>,
    #[serde(borrow, default)]
    histograms: Vec<(&'a serde_json::value::RawValue, serde::de::IgnoredAny)>,
}

/// The points that an answer holds, asked about a moment.
pub(super) fn read(envelope: &Envelope, at: UnixMillis) -> Result<Vec<Points>, PrometheusError> {
    let elements: Vec<Element<'_>> = result(&envelope.read()?, "matrix")?;
    elements.into_iter().map(|element| points(element, at)).collect()
}

fn points(element: Element<'_>, at: UnixMillis) -> Result<Points, PrometheusError> {
    let Element { metric: labels, values, histograms } = element;
    let time = |text: &str| moment(text).ok_or_else(|| PrometheusError::Form(format!("`{}` is no time", quoted(text))));
    let numbers = values.iter().map(|Sample(when, text)| Ok((time(when.get())?, Number::try_new(text))));
    let shapes = histograms.iter().map(|(when, _)| Ok((time(when.get())?, Err(SeriesError::Histogram))));
    let points: Result<Vec<_>, PrometheusError> = numbers.chain(shapes).collect();
    let mut points = points?;
    points.sort_by_key(|(when, _)| *when);
    if let Some((found, value)) = points.last_mut()
        && *found > at
    {
        *value = Err(SeriesError::Time { asked: at, found: *found });
    }
    Ok(Points { labels, points })
}

#[cfg(test)]
mod tests {
    use super::super::answer::open;
    use super::*;

    const AT: UnixMillis = UnixMillis(1_700_000_000_500);

    fn read_all(result: &str) -> Result<Vec<Points>, PrometheusError> {
        let body = format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#);
        read(&open(200, body.as_bytes()).expect("an envelope"), AT)
    }

    #[test]
    fn points_have_their_own_times_and_none_is_of_the_future() {
        let of = |text: &str| {
            let [series] = read_all(text).expect("a matrix").try_into().expect("one series");
            let points = series.points.into_iter();
            points.map(|(when, value)| (when.0, value.map(Number::get))).collect::<Vec<_>>()
        };
        let (at, before) = (AT.0, AT.0 - 300_000);
        assert_eq!(
            of(r#"[{"metric":{},"values":[[1699999700.5,"1"],[1700000000.5,"NaN"]]}]"#),
            [(before, Ok(1.0)), (at, Err(SeriesError::NotANumber))]
        );
        assert_eq!(
            of(r#"[{"metric":{},"values":[[1700000000.5,"2"]],"histograms":[[1699999700.5,{"count":"1"}]]}]"#),
            [(before, Err(SeriesError::Histogram)), (at, Ok(2.0))]
        );
        let found = UnixMillis(AT.0 + 1);
        assert_eq!(
            of(r#"[{"metric":{},"values":[[1700000000.501,"2"]]}]"#),
            [(found.0, Err(SeriesError::Time { asked: AT, found }))]
        );
        assert_eq!(of(r#"[{"metric":{"a":"b"}}]"#), []);
        assert_eq!(read_all("[]").expect("none"), []);
        assert!(read_all(r#"[{"metric":{},"values":[["now","2"]]}]"#).is_err());
        assert!(read_all(r#"[{"metric":{},"values":[1]}]"#).is_err());
    }
}
