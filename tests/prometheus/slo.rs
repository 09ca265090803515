//! Objectives as a real Prometheus records them: the rules are those that were rendered, and the sums are what happened.

use std::collections::BTreeMap;

use miax::api::v1alpha1::SloSpec;
use miax::controllers::prometheus::{Credentials, Number, Prometheus};
use miax::controllers::slo::{Known, Recorded, Round, RulesState, Wanted, loaded, measure};
use miax::slo::rules::{Group, render};
use miax::slo::{Resolution, Slo, SloName};
use miax::units::Seconds;
use miax_cluster::{Exporter, Prometheus as Real, eventually};
use serde_json::{Value, json};

use crate::support::{client, runtime};

const RESOLUTION: Seconds = Seconds(1);

pub(crate) fn resolution() -> Resolution {
    Resolution::try_new(RESOLUTION).expect("a resolution")
}

/// An objective in the namespace shop.
pub(crate) fn objective(name: &str, indicator: &Value, window: &Value, more: &Value) -> (SloName, Slo) {
    let mut spec = json!({
        "audience": ["demo"], "version": 1, "expiresAt": "2999-01-01T00:00:00Z", "objective": "99.9",
        "indicator": indicator, "window": window, "signatures": [],
    });
    for (field, value) in more.as_object().expect("fields") {
        spec[field] = value.clone();
    }
    let spec: SloSpec = serde_json::from_value(spec).expect("a spec");
    (SloName::try_new("shop", name).expect("a name"), Slo::try_from(&spec).expect("an objective"))
}

pub(crate) fn ratio() -> Value {
    json!({"ratio": {"bad": "http_requests_total{code=~\"5..\"}", "total": "http_requests_total"}})
}

fn rolling() -> Value {
    json!({"rolling": "1h"})
}

fn every_kind() -> Vec<(SloName, Slo)> {
    let histogram = json!({"histogram": "http_request_duration_seconds", "threshold": "0.25"});
    let good = json!({"ratio": {"good": "http_requests_total{code!~\"5..\",path!=\"/a\\\"b\\\\c\"}", "total": "http_requests_total"}});
    let calendar = json!({"calendar": {"period": "Month", "timeZone": "Europe/Berlin"}});
    let none = json!({});
    vec![
        objective("ratio", &ratio(), &rolling(), &none),
        objective("good", &good, &json!({"rolling": "4w"}), &json!({"alerts": {"policy": "Pyrra", "minEvents": 100}})),
        objective("latency", &json!({"latency": histogram}), &json!({"rolling": "30d"}), &none),
        objective("native", &json!({"nativeLatency": histogram}), &calendar, &json!({"alerts": {"policy": "None"}})),
        objective("up.to.date", &json!({"gauge": {"up": "service_ready"}}), &calendar, &none),
        objective("slices", &ratio(), &rolling(), &json!({"timeSlices": {"objective": "99"}})),
    ]
}

pub(crate) fn groups(objectives: &[(SloName, Slo)]) -> Vec<Group> {
    objectives.iter().map(|(name, slo)| render(name, slo, resolution()).expect("rules")).collect()
}

pub(crate) fn file(groups: &[Group]) -> String {
    json!({"groups": groups.iter().map(Group::to_value).collect::<Vec<_>>()}).to_string()
}

/// A question about rules, and all that it is asked with.
pub(crate) struct Asking {
    on: tokio::runtime::Runtime,
    client: Prometheus,
    known: Known,
}

impl Asking {
    pub(crate) fn new(real: &Real) -> Self {
        Self { on: runtime(), client: client(real, Credentials::default()), known: Known::default() }
    }

    fn states(&mut self, groups: &[Group]) -> Vec<RulesState> {
        let Self { on, client, known } = self;
        on.block_on(async {
            let at = client.clock().await.expect("a clock");
            loaded(client, groups, resolution(), at, known).await
        })
    }

    /// Waits until all groups stand so.
    #[track_caller]
    pub(crate) fn become_all(&mut self, groups: &[Group], is_so: impl Fn(&RulesState) -> bool) {
        let found = eventually(|| self.states(groups).iter().all(&is_so).then_some(()));
        assert!(found.is_some(), "{:#?}", self.states(groups));
    }

    /// Serves until something is recorded of each objective, also for alerts.
    #[track_caller]
    pub(crate) fn become_recorded(&self, objectives: &[(SloName, Slo)], exporter: &Exporter) {
        let known = |r: &Recorded| matches!(r.sample, Ok(Some(_))) && r.recent.is_some() && !r.ratios.is_empty();
        let found = eventually(|| {
            exporter.serve(90, 10);
            self.round(objectives).recorded.iter().all(known).then_some(())
        });
        assert!(found.is_some(), "{:#?}", self.round(objectives));
    }

    fn round(&self, objectives: &[(SloName, Slo)]) -> Round {
        let groups = groups(objectives);
        let wanted: Vec<Wanted<'_>> =
            objectives.iter().zip(&groups).map(|((_, slo), group)| Wanted { group, window: &slo.window }).collect();
        self.on.block_on(measure(&self.client, &wanted, resolution())).expect("a round")
    }
}

#[test]
fn the_rules_of_every_kind_run_as_they_were_rendered() {
    let exporter = Exporter::start().expect("an exporter");
    let groups = groups(&every_kind());
    let real = Real::builder().target(exporter.address()).rules("slo", &file(&groups)).start().expect("ready");
    let mut asking = Asking::new(&real);
    asking.become_all(&groups, |state| *state == RulesState::Loaded);
    assert!(asking.states(&groups).iter().all(|state| *state == RulesState::Loaded), "what is known is known again");
}

#[test]
fn rules_that_are_gone_changed_or_there_twice_are_told() {
    let exporter = Exporter::start().expect("an exporter");
    let groups = groups(&[objective("ratio", &ratio(), &rolling(), &json!({}))]);
    let real = Real::builder().target(exporter.address()).start().expect("ready");
    let mut asking = Asking::new(&real);
    assert_eq!(asking.states(&groups), [RulesState::NotThere]);
    real.set_rules("slo", &file(&groups)).expect("loaded");
    asking.become_all(&groups, |state| *state == RulesState::Loaded);
    let mut check = |text: String, part: &str| {
        assert!(text != file(&groups), "{part}");
        real.set_rules("slo", &text).expect("loaded");
        asking.become_all(&groups, |state| matches!(state, RulesState::Other { what } if what.contains(part)));
    };
    let one = self::groups(&[objective("ratio", &ratio(), &rolling(), &json!({"objective": "99.5"}))]);
    check(file(&one), "not of sha256:");
    check(file(&groups).replace("code=~\\\"5..\\\"", "code=~\\\"4..\\\""), "miax:slo_bad:increase has another query");
    check(
        file(&groups).replace("\"miax:slo_points:window\"", "\"miax:slo_dots:window\""),
        "in the place of miax:slo_points",
    );
    check(file(&groups).replace("\"interval\":\"1s\"", "\"interval\":\"2s\""), "every 2000 ms, not every 1s");
    real.set_rules("slo", &file(&groups)).expect("loaded");
    real.set_rules("again", &file(&groups)).expect("loaded");
    asking.become_all(&groups, |state| *state == RulesState::Repeated { times: 2 });
    real.remove_rules("again").expect("forgotten");
    real.remove_rules("slo").expect("forgotten");
    assert_eq!(asking.states(&groups), [RulesState::NotThere]);
    drop(real);
    let unknown =
        asking.on.block_on(loaded(&asking.client, &groups, resolution(), crate::support::now(), &mut asking.known));
    assert!(
        matches!(unknown.as_slice(), [RulesState::Unknown { why }] if why.contains("cannot be reached")),
        "{unknown:?}"
    );
}

#[test]
fn sums_are_what_happened_for_each_objective_alone() {
    let exporter = Exporter::start().expect("an exporter");
    let histogram = json!({"histogram": "http_request_duration_seconds", "threshold": "0.25"});
    let missing = json!({"ratio": {"bad": "no_such_total{code=\"500\"}", "total": "no_such_total"}});
    let day = json!({"calendar": {"period": "Day", "timeZone": "UTC"}});
    let objectives = [
        objective("rolling", &ratio(), &rolling(), &json!({})),
        objective("day.1", &ratio(), &day, &json!({})),
        objective("up", &json!({"gauge": {"up": "service_ready"}}), &rolling(), &json!({})),
        objective("latency", &json!({"latency": histogram}), &json!({"rolling": "30d"}), &json!({})),
        objective("native", &json!({"nativeLatency": histogram}), &rolling(), &json!({})),
        objective("missing", &missing, &rolling(), &json!({})),
        objective("no-rules", &ratio(), &json!({"calendar": {"period": "Week", "timeZone": "UTC"}}), &json!({})),
    ];
    let groups = groups(&objectives[..6]);
    let real = Real::builder().target(exporter.address()).native_histograms().rules("slo", &file(&groups));
    let real = real.start().expect("ready");
    let asking = Asking::new(&real);
    let of = |index: usize| asking.round(&objectives).recorded[index].sample.clone().expect("no series is wrong");
    // Counted is what comes after a counter was first seen.
    let counted = [0, 1, 3, 4];
    let seen = || counted.iter().all(|index| of(*index).is_some_and(|sample| sample.points >= 2.0)).then_some(());
    assert!(eventually(seen).is_some(), "{:#?}\n{}", asking.round(&objectives), real.log());
    exporter.serve(990, 10);
    exporter.observe(0.25, 990);
    exporter.observe(0.26, 10);
    for index in counted {
        let all = eventually(|| of(index).filter(|sample| sample.total >= 1000.0));
        let sample = all.unwrap_or_else(|| panic!("{index}: {:?}", of(index)));
        assert_eq!((sample.bad, sample.total), (10.0, 1000.0), "{index}");
    }
    let round = asking.round(&objectives);
    let [rolling, day, up, _, _, missing, unknown] = round.recorded.as_slice() else { panic!("{round:?}") };
    let recent = rolling.recent.expect("recorded");
    assert_eq!((recent.0.get(), recent.1.get()), (10.0, 1000.0));
    assert_eq!(day.recent, rolling.recent);
    assert_eq!(rolling.ratios, BTreeMap::new(), "no alert looks beyond a window of an hour");
    let share = || asking.round(&objectives).recorded[3].ratios.get(&Seconds(3600)).copied().map(Number::get);
    assert_eq!(eventually(|| share().filter(|share| *share > 0.0)), Some(0.01));
    assert_eq!(up.sample.clone().expect("well").expect("recorded").bad, 0.0);
    assert_eq!((&missing.sample, &unknown.sample), (&Ok(None), &Ok(None)));
    let at = miax::units::UnixSeconds::from(round.at);
    let newest = rolling.sample.clone().expect("well").expect("recorded").newest;
    assert!(at.since(newest) <= Seconds(3), "{newest} is not new at {at}");
    // Sums of what was go on; the newest point does not.
    let without = file(&groups).replace("\"record\":\"miax:slo_bad:increase\"", "\"record\":\"miax:gone\"");
    assert!(without != file(&groups));
    real.set_rules("slo", &without).expect("loaded");
    let old = eventually(|| {
        let round = asking.round(&objectives);
        let newest = round.recorded[0].sample.clone().ok()??.newest;
        (miax::units::UnixSeconds::from(round.at).since(newest) > resolution().oldest()).then_some(())
    });
    assert!(old.is_some(), "{:#?}", asking.round(&objectives));
}
