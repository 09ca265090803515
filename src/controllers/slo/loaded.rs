//! Whether Prometheus runs exactly the rules of an objective: a rule that exists is not a rule that runs.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use promql_parser::parser::parse;
use sha2::{Digest as _, Sha256};

use crate::controllers::prometheus::{Health, LiveGroup, LiveRule, Prometheus, PrometheusError, RuleKind};
use crate::slo::Resolution;
use crate::slo::rules::{DIGEST_ANNOTATION, Group, SLO_LABEL};
use crate::units::{Digest, Seconds, UnixMillis};

/// Whether Prometheus runs the rules of an objective.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RulesState {
    /// Exactly these rules, all well, evaluated of late.
    Loaded,
    /// The group is not there.
    NotThere,
    /// It is there more than once: everything would be counted as often.
    Repeated {
        /// How often.
        times: usize,
    },
    /// It is there, and is not what was rendered.
    Other {
        /// What is different.
        what: String,
    },
    /// A rule of it failed when it was last evaluated.
    Unhealthy {
        /// Which rule.
        rule: String,
        /// What Prometheus says.
        error: String,
    },
    /// It was not evaluated, or too long ago.
    NotEvaluated {
        /// How long ago by the clock of Prometheus; nothing when it never was.
        ago: Option<Seconds>,
    },
    /// Prometheus does not say.
    Unknown {
        /// Why.
        why: String,
    },
}

impl std::fmt::Display for RulesState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Loaded => write!(f, "the rules are loaded, well, and evaluated"),
            Self::NotThere => write!(f, "Prometheus has no such rules; look whether it selects them"),
            Self::Repeated { times } => write!(f, "the rules are loaded {times} times; remove the others"),
            Self::Other { what } => write!(f, "Prometheus runs other rules under this name: {what}"),
            Self::Unhealthy { rule, error } => write!(f, "the rule {rule} fails: {error}"),
            Self::NotEvaluated { ago: None } => write!(f, "the rules were not evaluated yet"),
            Self::NotEvaluated { ago: Some(ago) } => write!(f, "the rules were last evaluated {ago} ago"),
            Self::Unknown { why } => write!(f, "nobody knows whether the rules run: {why}"),
        }
    }
}

/// Queries that Prometheus writes differently and that were found to mean the same: parsing thousands of them again in every
/// round would take longer than all the rest.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<String, (Digest, Digest)>);

/// How the rules of each group stand in Prometheus, at one moment of its clock; in the order of the groups.
pub async fn loaded(
    prometheus: &Prometheus,
    groups: &[impl Borrow<Group>],
    resolution: Resolution,
    at: UnixMillis,
    known: &mut Known,
) -> Vec<RulesState> {
    let mut found: BTreeMap<String, (RulesState, usize)> = BTreeMap::new();
    let groups = || groups.iter().map(Borrow::borrow);
    let expected: BTreeMap<String, &Group> = groups().map(|group: &Group| (group.name(), group)).collect();
    let asked = prometheus.rules(SLO_LABEL, |live| {
        if let Some(group) = expected.get(&live.name) {
            let state = state(group, &live, resolution, at, known);
            found.entry(live.name).and_modify(|(_, times)| *times += 1).or_insert((state, 1));
        }
    });
    let unknown = asked.await.err().map(|error: PrometheusError| RulesState::Unknown { why: error.to_string() });
    known.0.retain(|name, _| expected.contains_key(name));
    let of = |group: &Group| match (&unknown, found.get(&group.name())) {
        (Some(unknown), _) => unknown.clone(),
        (None, None) => RulesState::NotThere,
        (None, Some((state, 1))) => state.clone(),
        (None, Some((_, times))) => RulesState::Repeated { times: *times },
    };
    groups().map(of).collect()
}

/// How one group stands.
fn state(group: &Group, live: &LiveGroup, resolution: Resolution, at: UnixMillis, known: &mut Known) -> RulesState {
    let LiveGroup { name: _, interval, last_evaluation, rules } = live;
    if let Err(what) = is_same(group, rules, known) {
        return RulesState::Other { what };
    }
    if interval.0 != resolution.length().0.saturating_mul(1000) {
        return RulesState::Other {
            what: format!("they are evaluated every {} ms, not every {resolution}", interval.0),
        };
    }
    for LiveRule { kind: _, name, query: _, labels: _, annotations: _, health } in rules {
        match health {
            Health::Well => {}
            Health::Failed(error) => return RulesState::Unhealthy { rule: name.clone(), error: error.clone() },
            Health::Unknown => return RulesState::NotEvaluated { ago: None },
        }
    }
    match last_evaluation.map(|last| Seconds(at.0.saturating_sub(last.0) / 1000)) {
        Some(ago) if ago <= resolution.oldest() => RulesState::Loaded,
        ago => RulesState::NotEvaluated { ago },
    }
}

/// Whether live rules are those of a group; else what is different.
fn is_same(group: &Group, live: &[LiveRule], known: &mut Known) -> Result<(), String> {
    let digest = group.digest();
    let alerts = live.iter().filter(|rule| rule.kind == RuleKind::Alerting);
    let expected = digest.to_string();
    if let Some(other) = alerts.map(|rule| rule.annotations.get(DIGEST_ANNOTATION)).find(|d| *d != Some(&expected)) {
        let other = other.map_or_else(|| "without a digest".to_owned(), |d| format!("of the digest {d}"));
        return Err(format!("they are {other}, not of {expected}"));
    }
    let queries = group.queries();
    if queries.len() != live.len() {
        return Err(format!("they are {}, not {}", live.len(), queries.len()));
    }
    let labels = group.recordings().labels();
    let mut differently_written = Vec::new();
    for ((name, query), rule) in queries.iter().zip(live) {
        if *name != rule.name {
            return Err(format!("there is {} in the place of {name}", rule.name));
        }
        if labels.iter().any(|(label, value)| rule.labels.get(*label) != Some(value)) {
            return Err(format!("{name} has other labels"));
        }
        if *query != rule.query {
            differently_written.push((*name, *query, rule.query.as_str()));
        }
    }
    if differently_written.is_empty() {
        return Ok(());
    }
    let written = Digest(Sha256::digest(format!("{differently_written:?}")).into());
    if known.0.get(&group.name()) == Some(&(digest, written)) {
        return Ok(());
    }
    // Prometheus shows a query as its own printer writes it, four weeks as `4w`: whether it is the same, its meaning says.
    let differs = |(_, ours, theirs): &&(&str, &str, &str)| match (parse(ours), parse(theirs)) {
        (Ok(ours), Ok(theirs)) => ours != theirs,
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => true,
    };
    match differently_written.iter().find(differs) {
        Some((name, _, _)) => Err(format!("{name} has another query")),
        None => {
            known.0.insert(group.name(), (digest, written));
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::SloSpec;
    use crate::slo::rules::render;
    use crate::slo::{Slo, SloName};
    use crate::units::Millis;

    const AT: UnixMillis = UnixMillis(1_700_000_000_000);

    fn group() -> Group {
        let spec: SloSpec = serde_json::from_value(serde_json::json!({
            "audience": ["demo"], "version": 1, "expiresAt": "2999-01-01T00:00:00Z", "objective": "99.9",
            "indicator": {"gauge": {"up": "ready"}}, "window": {"rolling": "30d"}, "signatures": [],
        }))
        .expect("a spec");
        let slo = Slo::try_from(&spec).expect("an objective");
        render(&SloName::try_new("shop", "a").expect("a name"), &slo, Resolution::DEFAULT).expect("rules")
    }

    /// The group as Prometheus shows it when all is well.
    fn live(group: &Group) -> LiveGroup {
        let text = |text: &str| text.to_owned();
        let value = group.to_value();
        let rules = value["rules"].as_array().expect("rules").iter().map(|rule| {
            let map = |field: &str| serde_json::from_value(rule[field].clone()).unwrap_or_default();
            let (kind, name) = match (rule["record"].as_str(), rule["alert"].as_str()) {
                (Some(name), None) => (RuleKind::Recording, name),
                (None, Some(name)) => (RuleKind::Alerting, name),
                other => panic!("{other:?}"),
            };
            LiveRule {
                kind,
                name: text(name),
                query: text(rule["expr"].as_str().expect("a query")),
                labels: map("labels"),
                annotations: map("annotations"),
                health: Health::Well,
            }
        });
        let last = Some(UnixMillis(AT.0 - 1000));
        LiveGroup { name: group.name(), interval: Millis(300_000), last_evaluation: last, rules: rules.collect() }
    }

    #[test]
    fn only_rules_that_are_the_same_and_well_and_evaluated_are_loaded() {
        let group = group();
        let check = |change: &dyn Fn(&mut LiveGroup), expected: &str| {
            let mut live = live(&group);
            change(&mut live);
            let state = state(&group, &live, Resolution::DEFAULT, AT, &mut Known::default());
            assert!(state.to_string().contains(expected), "{expected}: {state:?}");
        };
        check(&|_| (), "loaded, well");
        check(&|live| live.rules[0].query = format!("  ( {} ) ", live.rules[0].query), "has another query");
        check(&|live| live.rules[0].query = live.rules[0].query.replace("5m", "300s"), "loaded, well");
        check(&|live| live.rules[0].query = live.rules[0].query.replace("5m", "6m"), "has another query");
        check(&|live| live.rules[0].query = "no query".to_owned(), "has another query");
        check(&|live| live.rules.swap(0, 1), "in the place of");
        check(&|live| drop(live.rules.pop()), "they are");
        check(&|live| drop(live.rules.remove(0)), "they are");
        check(&|live| drop(live.rules[0].labels.remove(SLO_LABEL)), "has other labels");
        check(&|live| live.rules.iter_mut().for_each(|r| r.annotations.clear()), "without a digest");
        let other = |live: &mut LiveGroup| {
            let alert = live.rules.last_mut().expect("an alert");
            alert.annotations.insert(DIGEST_ANNOTATION.to_owned(), "sha256:1".to_owned());
        };
        check(&other, "of the digest sha256:1");
        check(&|live| live.interval = Millis(60_000), "every 60000 ms, not every 5m");
        check(&|live| live.rules[1].health = Health::Failed("too many".to_owned()), "fails: too many");
        check(&|live| live.rules[1].health = Health::Unknown, "not evaluated yet");
        check(&|live| live.last_evaluation = None, "not evaluated yet");
        check(&|live| live.last_evaluation = Some(UnixMillis(AT.0 - 610_000)), "loaded, well");
        check(&|live| live.last_evaluation = Some(UnixMillis(AT.0 - 611_000)), "last evaluated 611s ago");
        check(&|live| live.last_evaluation = Some(UnixMillis(AT.0 + 5000)), "loaded, well");
    }

    #[test]
    fn what_was_accepted_once_is_not_accepted_when_it_changes() {
        let (group, mut known) = (group(), Known::default());
        let mut live = live(&group);
        for _ in 0..2 {
            assert_eq!(state(&group, &live, Resolution::DEFAULT, AT, &mut known), RulesState::Loaded);
        }
        live.rules[0].query.push_str(" + 1");
        let changed = state(&group, &live, Resolution::DEFAULT, AT, &mut known);
        assert!(matches!(changed, RulesState::Other { .. }), "{changed:?}");
    }
}
