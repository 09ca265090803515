//! Each question of the client.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use miax::controllers::prometheus::{
    Credentials, Health, LiveGroup, Number, Prometheus, PrometheusError, Retention, RuleKind, SeriesError, Server,
};
use miax::units::Seconds;
use miax_cluster::{Exporter, Prometheus as Real, eventually};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::{client, runtime};

/// A group of one recording rule that carries our label.
fn group(name: &str, expression: &str) -> Value {
    let rule =
        json!({"record": format!("t:{name}"), "expr": expression, "labels": {"miax_slo": format!("shop/{name}")}});
    json!({"name": format!("miax/shop/{name}"), "rules": [rule]})
}

/// What an expression gives now, by the label `miax_slo`.
fn values(on: &Runtime, client: &Prometheus, expression: &str) -> BTreeMap<String, Result<f64, SeriesError>> {
    let answer = on.block_on(async { client.query(expression, client.clock().await.expect("a clock")).await });
    let values = answer.expect("an answer").by_label("miax_slo");
    values.into_iter().map(|(name, value)| (name, value.map(Number::get))).collect()
}

#[test]
fn values_are_those_of_prometheus_and_one_bad_series_spoils_no_other() {
    let exporter = Exporter::start().expect("an exporter");
    exporter.serve(123_456_789_012_345, 7);
    exporter.also("t{miax_slo=\"nan\"} NaN\nt{miax_slo=\"inf\"} +Inf\nt{miax_slo=\"minus\"} -3\nt{miax_slo=\"small\"} 1e-9\nt{miax_slo=\"two\",a=\"1\"} 1\nt{miax_slo=\"two\",a=\"2\"} 1\n");
    let rules = json!({"groups": [group("good", "sum(http_requests_total{code=\"200\"})"), group("bad", "sum(http_requests_total{code=\"500\"}) / 2")]});
    let real = Real::builder().target(exporter.address()).rules("own", &rules.to_string()).start().expect("ready");
    let (on, client) = (runtime(), client(&real, Credentials::default()));
    let recorded = || Some(values(&on, &client, r#"{__name__=~"t:.*"}"#)).filter(|found| found.len() == 2);
    let expected = [("shop/good", 123_456_789_012_345.0), ("shop/bad", 3.5)];
    let expected = expected.map(|(name, value)| (name.to_owned(), Ok(value)));
    assert_eq!(eventually(recorded), Some(BTreeMap::from(expected)), "{}", real.log());
    let expected = [
        ("nan", Err(SeriesError::NotANumber)),
        ("inf", Err(SeriesError::Infinite)),
        ("minus", Ok(-3.0)),
        ("small", Ok(1e-9)),
        ("two", Err(SeriesError::Duplicate)),
    ];
    assert_eq!(values(&on, &client, "t"), expected.map(|(name, value)| (name.to_owned(), value)).into());
    assert_eq!(values(&on, &client, "nothing_has_this_name"), BTreeMap::new());
    // More names than an address could hold.
    let many = (0..4000).fold("t:good".to_owned(), |text, n| format!("{text}|a-name-that-is-long-{n}"));
    assert_eq!(values(&on, &client, &format!("{{__name__=~\"{many}\"}}")).len(), 1);
}

#[test]
fn a_question_that_is_none_is_named() {
    let real = Real::builder().start().expect("ready");
    let (on, client) = (runtime(), client(&real, Credentials::default()));
    let ask = |expression| {
        on.block_on(async { client.query(expression, client.clock().await.expect("a clock")).await })
            .expect_err("refused")
    };
    assert!(matches!(ask("sum("), PrometheusError::Api { kind, .. } if kind == "bad_data"));
    assert!(matches!(ask("up[1m]"), PrometheusError::Type { found, .. } if found == "matrix"));
    assert!(matches!(ask("time()"), PrometheusError::Type { found, .. } if found == "scalar"));
}

#[test]
fn it_says_what_it_is_and_how_long_it_keeps_samples() {
    let on = runtime();
    let check = |arguments: &[&str], retention| {
        let builder = arguments.iter().fold(Real::builder(), |builder, argument| builder.argument(argument));
        let real = builder.start().expect("ready");
        let server = on.block_on(client(&real, Credentials::default()).server()).expect("an answer");
        assert_eq!(server, Server { version: "3.16.0".to_owned(), retention }, "{arguments:?}");
    };
    check(&[], Retention::Time(Seconds(15 * 86_400)));
    check(
        &["--storage.tsdb.retention.time=9w", "--storage.tsdb.retention.size=1GB"],
        Retention::Time(Seconds(63 * 86_400)),
    );
    check(&["--storage.tsdb.retention.size=1GB"], Retention::Unknown);
}

fn rules(on: &Runtime, client: &Prometheus) -> Vec<LiveGroup> {
    let mut groups = Vec::new();
    on.block_on(client.rules("miax_slo", |group| groups.push(group))).expect("an answer");
    groups
}

#[test]
fn rules_are_listed_page_by_page_with_their_health() {
    let exporter = Exporter::start().expect("an exporter");
    let mut groups: Vec<Value> = (0..450).map(|n| group(&format!("s{n}"), "vector(1)")).collect();
    groups.push(group("failing", "http_requests_total + on() http_requests_total"));
    let alert = json!({"alert": "A", "expr": "vector(1)", "labels": {"miax_slo": "shop/alert"}, "annotations": {"miax_rules": "d1"}});
    groups.push(json!({"name": "miax/shop/alert", "interval": "1h", "rules": [alert]}));
    groups.push(json!({"name": "of others", "rules": [{"record": "x", "expr": "vector(1)"}]}));
    let rules_file = json!({"groups": groups}).to_string();
    let real = Real::builder().target(exporter.address()).rules("own", &rules_file).start().expect("ready");
    let (on, client) = (runtime(), client(&real, Credentials::default()));
    let of = |groups: &[LiveGroup], name: &str| groups.iter().find(|g| g.name == name).cloned().expect("the group");
    let evaluated = || {
        let groups = rules(&on, &client);
        let well = groups.iter().filter(|g| g.rules.iter().all(|r| r.health == Health::Well)).count();
        let failing = of(&groups, "miax/shop/failing").rules;
        (well >= 450 && failing.iter().all(|r| matches!(r.health, Health::Failed(_)))).then_some(groups)
    };
    let groups = eventually(evaluated).expect("all rules are evaluated");
    assert_eq!(groups.len(), 452, "each once, and none of others");
    let failing = of(&groups, "miax/shop/failing");
    assert!(failing.last_evaluation.is_some());
    let errors = failing.rules.iter().fold(String::new(), |mut text, rule| {
        let _ = write!(text, "{:?}", rule.health);
        text
    });
    assert!(errors.contains("duplicate series"), "{errors}");
    let alert = of(&groups, "miax/shop/alert").rules;
    let [alert] = alert.as_slice() else { panic!("{alert:?}") };
    assert_eq!((alert.kind, alert.name.as_str(), alert.query.as_str()), (RuleKind::Alerting, "A", "vector(1)"));
    assert_eq!(alert.annotations, BTreeMap::from([("miax_rules".to_owned(), "d1".to_owned())]));
    assert_eq!(alert.labels, BTreeMap::from([("miax_slo".to_owned(), "shop/alert".to_owned())]));
}

#[test]
fn one_that_dies_is_asked_again_when_it_is_back() {
    let mut real = Real::builder().start().expect("ready");
    let (on, client) = (runtime(), client(&real, Credentials::default()));
    assert!(on.block_on(client.clock()).is_ok());
    real.stop();
    assert!(matches!(on.block_on(client.clock()), Err(PrometheusError::Unreachable(_))));
    real.start_again().expect("it comes back");
    assert!(on.block_on(client.clock()).is_ok());
}

#[test]
fn it_asks_who_we_are() {
    let real = Real::builder().mutual_tls().start().expect("ready");
    let file = |name: &str| real.directory().join(name);
    let authorities = Some(file("ca.crt"));
    let nobody = Credentials { authorities: authorities.clone(), ..Credentials::default() };
    let certificate = Some((file("client.crt"), file("client.key")));
    let somebody = Credentials { authorities, certificate, token: None };
    let on = runtime();
    on.block_on(client(&real, somebody).clock()).expect("it answers");
    let refused = on.block_on(client(&real, nobody).clock());
    assert!(matches!(refused, Err(PrometheusError::Unreachable(_) | PrometheusError::Cut(_))), "{refused:?}");
}
