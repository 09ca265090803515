//! A Prometheus scrapes what a test exports, evaluates its rules, loads others, keeps its data, and opens to whom it should.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use miax_cluster::{Exporter, Output, Prometheus, eventually, promtool};

const RULES: &str = r#"{"groups": [{"name": "g", "rules": [{"record": "bad:sum", "expr": "sum(http_requests_total{code=\"500\"})"}]}]}"#;

fn query(prometheus: &Prometheus, expression: &str) -> String {
    promtool(&["query", "instant", prometheus.url(), expression]).expect("promtool runs").stdout
}

#[track_caller]
fn becomes(prometheus: &Prometheus, expression: &str, value: &str) {
    let found = eventually(|| query(prometheus, expression).contains(&format!("=> {value} @")).then_some(()));
    assert!(found.is_some(), "{expression}: {}\n{}", query(prometheus, expression), prometheus.log());
}

#[test]
fn it_scrapes_and_evaluates_and_keeps_what_it_has() {
    let exporter = Exporter::start().expect("an exporter");
    exporter.serve(90, 10);
    exporter.observe(0.2, 3);
    exporter.also("more 7\n");
    let mut prometheus = Prometheus::builder().target(exporter.address()).rules("own", RULES).start().expect("ready");
    becomes(&prometheus, "bad:sum", "10");
    becomes(&prometheus, r#"http_request_duration_seconds_bucket{le="0.25"}"#, "3");
    becomes(&prometheus, "more + service_ready", "8");
    exporter.serve(0, 5);
    becomes(&prometheus, "bad:sum", "15");
    exporter.set_ready(false);
    exporter.restart();
    becomes(&prometheus, "bad:sum", "0");
    becomes(&prometheus, "service_ready", "0");
    exporter.set_silent(true);
    becomes(&prometheus, "up", "0");
    prometheus.set_rules("own", &RULES.replace("bad:sum", "bad:all")).expect("loaded");
    let error = prometheus.set_rules("own", "{\"groups\": [{\"name\": 1, \"rules\": 2}]}").expect_err("no rules");
    assert!(error.to_string().contains("cannot unmarshal"), "{error}");
    prometheus.remove_rules("own").expect("forgotten");
    assert!(exporter.scrapes() >= 3, "one for each value that was seen");
    prometheus.stop();
    prometheus.start_again().expect("it comes back");
    becomes(&prometheus, "max_over_time(bad:sum[10m])", "15");
}

#[test]
fn it_begins_with_a_history() {
    let history = "# TYPE old counter\nold_total 1 1700000000\nold_total 4 1700000060\n# EOF\n";
    let never = "--storage.tsdb.retention.time=100y";
    let prometheus = Prometheus::builder().history(history).argument(never).start().expect("ready");
    let asked = ["query", "instant", "--time=1700000060", prometheus.url(), "old_total"];
    assert!(promtool(&asked).expect("promtool runs").stdout.contains("=> 4 @"));
    let error = Prometheus::builder().history("no\n").start().err().expect("no history");
    assert!(error.to_string().contains("create-blocks-from"), "{error}");
}

#[test]
fn it_opens_to_those_with_a_certificate() {
    let prometheus = Prometheus::builder().mutual_tls().start().expect("ready");
    let ask = |file: &str| {
        let path = prometheus.directory().join(file).display().to_string();
        let config = format!("--http.config.file={path}");
        promtool(&["check", "healthy", &config, &format!("--url={}", prometheus.url())]).expect("promtool runs")
    };
    let Output { ok, stderr, .. } = ask("client.json");
    assert!(ok, "{stderr}");
    let stranger = r#"{"tls_config": {"ca_file": "ca.crt"}}"#;
    std::fs::write(prometheus.directory().join("stranger.json"), stranger).expect("written");
    assert!(!ask("stranger.json").ok, "it knows the authority, and has no certificate");
}

#[test]
fn promtool_says_what_is_wrong_with_rules() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rules.yaml").display().to_string();
    std::fs::write(&path, RULES).expect("written");
    assert!(promtool(&["check", "rules", &path]).expect("promtool runs").ok);
    std::fs::write(&path, RULES.replace("sum(", "sun(")).expect("written");
    let Output { ok, stderr, .. } = promtool(&["check", "rules", &path]).expect("promtool runs");
    assert!(!ok && stderr.contains("unknown function"), "{stderr}");
}
