//! What a Prometheus says of itself: its version, and for how long it keeps samples.

use serde::Deserialize;

use crate::units::Seconds;

use super::client::Prometheus;
use super::error::{PrometheusError, quoted};

/// What a Prometheus says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its version.
    pub version: String,
    /// How long it keeps samples.
    pub retention: Retention,
}

/// For how long samples are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// For this time at most; a limit of size may end them earlier.
    Time(Seconds),
    /// It does not say: a limit of size alone, or another program that answers the same questions.
    Unknown,
}

#[derive(Deserialize)]
struct Build {
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Runtime {
    storage_retention: String,
}

impl Prometheus {
    /// Asks what it is.
    ///
    /// # Errors
    /// Those of [`Prometheus::query`].
    pub async fn server(&self) -> Result<Server, PrometheusError> {
        let Build { version } = self.get("/api/v1/status/buildinfo", &[]).await?.read()?;
        let retention = match self.get("/api/v1/status/runtimeinfo", &[]).await {
            Ok(answer) => {
                let Runtime { storage_retention } = answer.read()?;
                retention(&storage_retention)
            }
            // Programs that only answer queries have no storage of their own to tell of.
            Err(PrometheusError::Status { code: 404 }) => Retention::Unknown,
            Err(error) => return Err(error),
        };
        Ok(Server { version: quoted(&version), retention })
    }
}

/// Reads `15d`, `1y2w`, `30d or 10GiB`, `10GiB`.
fn retention(text: &str) -> Retention {
    text.split(" or ").find_map(duration).map_or(Retention::Unknown, Retention::Time)
}

/// Reads a length of time as Prometheus writes it, for example `1w3d` or `1m30s`; whole seconds of it.
fn duration(text: &str) -> Option<Seconds> {
    let (mut rest, mut millis) = (text, 0_u64);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at_checked(end)?;
        let unit: &str = tail.split(|c: char| c.is_ascii_digit()).next()?;
        let length = UNITS.iter().find(|(name, _)| *name == unit)?.1;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(length)?)?;
        rest = tail.strip_prefix(unit)?;
    }
    (!text.is_empty()).then_some(Seconds(millis / 1000))
}

/// Units of a length of time, in milliseconds. A year has 365 days there.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_a_time_or_not_known() {
        let check = |text: &str, expected: Option<u64>| {
            let expected = expected.map_or(Retention::Unknown, |s| Retention::Time(Seconds(s)));
            assert_eq!(retention(text), expected, "{text}");
        };
        check("15d", Some(15 * 86_400));
        check("2w1d", Some(15 * 86_400));
        check("1y or 10GiB", Some(365 * 86_400));
        check("1m30s500ms", Some(90));
        check("10GiB", None);
        check("80%", None);
        check("10GiB or 80%", None);
        check("", None);
        check("15", None);
        check("d", None);
        check("99999999999999999999d", None);
        check("9999999999999999999y", None);
    }
}
