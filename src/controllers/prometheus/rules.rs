//! The rules that a Prometheus runs now, with their health.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;

use crate::units::{Millis, UnixMillis};

use super::client::Prometheus;
use super::error::{PrometheusError, quoted};

/// How many groups one answer holds at most, with a server that knows pages.
const PAGE: &str = "200";
/// How many pages are read before the server is taken for one that never ends.
const MOST_PAGES: usize = 1000;

/// A group of rules as it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveGroup {
    /// Its name.
    pub name: String,
    /// How often it is evaluated.
    pub interval: Millis,
    /// When all of it was last evaluated, by the clock of Prometheus; nothing before the first time.
    pub last_evaluation: Option<UnixMillis>,
    /// Its rules that were asked for, in order.
    pub rules: Vec<LiveRule>,
}

/// A rule as it is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRule {
    /// Recording or alert.
    pub kind: RuleKind,
    /// Name of the series or of the alert.
    pub name: String,
    /// Its expression, as Prometheus writes it.
    pub query: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations; a recording has none.
    pub annotations: BTreeMap<String, String>,
    /// How its last evaluation went.
    pub health: Health,
}

/// What a rule makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleKind {
    /// Alerts.
    Alerting,
    /// Samples.
    Recording,
}

/// How the last evaluation of a rule went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It failed, with this error.
    Failed(String),
    /// It was not evaluated yet.
    Unknown,
    /// It went well.
    Well,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    groups: Vec<Group>,
    #[serde(default)]
    group_next_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    /// In seconds.
    interval: f64,
    last_evaluation: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(rename = "type")]
    kind: RuleKind,
    name: String,
    query: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    health: Word,
    #[serde(default)]
    last_error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Ok,
    Err,
    Unknown,
}

impl Prometheus {
    /// The groups that hold a rule with this label, whatever its value, given to `each` as they come: thousands of groups are
    /// never in memory together, unless the server knows no pages.
    ///
    /// # Errors
    /// Those of [`Prometheus::query`].
    pub async fn rules(&self, label: &str, mut each: impl FnMut(LiveGroup)) -> Result<(), PrometheusError> {
        let matching = format!("{{{label}!=\"\"}}");
        let mut token = String::new();
        for _ in 0..MOST_PAGES {
            let mut query = vec![("match[]", matching.as_str()), ("exclude_alerts", "true"), ("group_limit", PAGE)];
            if !token.is_empty() {
                query.push(("group_next_token", &token));
            }
            let page = self.get("/api/v1/rules", &query).await?;
            let Page { groups, group_next_token } = page.read()?;
            for group in groups {
                each(group.understood()?);
            }
            if group_next_token.is_empty() {
                return Ok(());
            }
            token = group_next_token;
        }
        Err(PrometheusError::Form("its list of rules has no end".to_owned()))
    }
}

impl Group {
    fn understood(self) -> Result<LiveGroup, PrometheusError> {
        let Self { name, interval, last_evaluation, rules } = self;
        let last_evaluation = moment(&last_evaluation)?;
        let rules = rules.into_iter().map(|rule| {
            let Rule { kind, name, query, labels, annotations, health, last_error } = rule;
            let health = match health {
                Word::Ok => Health::Well,
                Word::Err => Health::Failed(quoted(&last_error)),
                Word::Unknown => Health::Unknown,
            };
            LiveRule { kind, name, query, labels, annotations, health }
        });
        // Whatever is no length of time becomes 0, which no group has.
        let interval = Millis((interval * 1000.0).round() as u64);
        Ok(LiveGroup { name, interval, last_evaluation, rules: rules.collect() })
    }
}

/// A time in RFC 3339. What was never done has the first day of year 1.
fn moment(text: &str) -> Result<Option<UnixMillis>, PrometheusError> {
    let wrong = || PrometheusError::Form(format!("`{}` is no time", quoted(text)));
    let time: Timestamp = text.parse().map_err(|_| wrong())?;
    Ok(u64::try_from(time.as_millisecond()).ok().map(UnixMillis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_any_zone_and_may_be_missing() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(moment(text).expect("a time"), expected.map(UnixMillis), "{text}");
        };
        check("2023-11-14T22:13:20.5Z", Some(1_700_000_000_500));
        check("2023-11-14T23:13:20.500123456+01:00", Some(1_700_000_000_500));
        check("0001-01-01T00:00:00Z", None);
        assert!(moment("yesterday").is_err() && moment("").is_err());
    }
}
