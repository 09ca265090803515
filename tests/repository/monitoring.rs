//! What watches Miax: alerts and dashboard ask for metrics that exist, and each alert fires when it must and not before.

use std::collections::BTreeSet;

use miax::api::reason::Reason;
use promql_parser::parser::{Expr, VectorSelector, parse};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::chart::rendered;
use crate::root;

const ON: &str = "monitoring.podMonitor.enabled=true,monitoring.rules.enabled=true,monitoring.dashboard.enabled=true";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

/// The one object of a kind and name in the chart with everything that watches.
fn watching(kind: &str, name: &str) -> Value {
    let of = |o: &Value| (text(o, "/kind"), text(o, "/metadata/name")) == (kind, name);
    rendered(&["--set", ON]).into_iter().find(of).expect(kind)
}

/// A text in an object; empty when there is none.
fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list in an object; empty when there is none.
fn list(value: &Value, pointer: &str) -> Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// The alerts of the chart.
fn alerts() -> Vec<Value> {
    list(&watching("PrometheusRule", "miax"), "/spec/groups").iter().flat_map(|group| list(group, "/rules")).collect()
}

/// What the dashboard asks, panel by panel.
fn panels() -> Vec<(String, String)> {
    let dashboard = watching("ConfigMap", "miax-dashboard");
    assert_eq!(text(&dashboard, "/metadata/labels/grafana_dashboard"), "1");
    let dashboard: Value = serde_json::from_str(text(&dashboard, "/data/miax.json")).expect("json");
    let asked = |panel: &Value| {
        let of = |target: &Value| (text(panel, "/title").to_owned(), text(target, "/expr").to_owned());
        list(panel, "/targets").iter().map(of).collect::<Vec<_>>()
    };
    list(&dashboard, "/panels").iter().flat_map(asked).collect()
}

/// Every name that a series of the operator may have, from the page that is generated from the code.
fn series() -> BTreeSet<String> {
    let page = read("docs/reference/metrics.md");
    let operator = page.split("\n## ").next().expect("the operator's part");
    let mut names = BTreeSet::new();
    for line in operator.lines().filter(|l| l.starts_with("| `miax_")) {
        let name = line.split('`').nth(1).expect("a name");
        match line.split('|').nth(2).expect("a type").trim() {
            "histogram" => names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}"))),
            _ => names.extend([name.to_owned()]),
        }
    }
    names
}

/// The selectors of an expression.
struct Selectors(Vec<VectorSelector>);

impl ExprVisitor for Selectors {
    type Error = std::convert::Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
        match expression {
            Expr::VectorSelector(selector) => self.0.push(selector.clone()),
            Expr::MatrixSelector(matrix) => self.0.push(matrix.vs.clone()),
            _ => {}
        }
        Ok(true)
    }
}

#[test]
fn alerts_and_dashboard_ask_for_metrics_that_exist() {
    let known = series();
    let reasons: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    let alerts = alerts();
    let of_alerts = alerts.iter().map(|a| (text(a, "/alert").to_owned(), text(a, "/expr").to_owned()));
    let asked: Vec<(String, String)> = of_alerts.chain(panels()).collect();
    assert!(asked.len() > 40, "{}", asked.len());
    for (place, query) in asked {
        let mut selectors = Selectors(Vec::new());
        let expression = parse(&query).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(walk_expr(&mut selectors, &expression), Ok(true));
        assert!(!selectors.0.is_empty(), "{place} asks for nothing");
        for VectorSelector { name, matchers, .. } in selectors.0 {
            let name = name.unwrap_or_default();
            assert!(known.contains(&name), "{place}: nothing is called `{name}`");
            for reason in matchers.matchers.iter().filter(|m| m.name == "reason") {
                assert!(reasons.contains(reason.value.as_str()), "{place}: {reason} is no reason");
            }
        }
    }
}

/// How a heading of a page is linked.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn every_alert_says_what_happened_and_where_to_read_on() {
    for alert in alerts() {
        let name = text(&alert, "/alert");
        assert!(["critical", "warning"].contains(&text(&alert, "/labels/severity")), "{name}");
        let of = |what: &str| alert["annotations"][what].as_str().unwrap_or_default();
        assert!(!of("summary").is_empty() && !of("description").is_empty(), "{name}");
        let (page, part) = of("runbook").split_once('#').unwrap_or((of("runbook"), ""));
        assert!(page.starts_with("docs/operations/"), "{name}");
        let there = read(page).lines().any(|l| l.starts_with('#') && (part.is_empty() || anchor(l) == part));
        assert!(there, "{name}: {page} has no part `{part}`");
        assert!(read("docs/operations/monitoring.md").contains(&format!("`{name}`")), "{name} is not on the page");
    }
}

#[test]
fn nothing_watches_by_default_and_every_pod_is_scraped_when_it_does() {
    let kinds = ["PodMonitor", "ServiceMonitor", "PrometheusRule", "ConfigMap"];
    assert!(!rendered(&[]).iter().any(|o| kinds.contains(&text(o, "/kind"))));
    let monitor = watching("PodMonitor", "miax");
    let scraped = &monitor["spec"]["podMetricsEndpoints"][0];
    let port = &scraped["port"];
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().expect("labels");
    // A ServiceMonitor scrapes the same pods in the same way, through a Service that lists them, ready or not.
    let others = rendered(&["--set", "monitoring.serviceMonitor.enabled=true"]);
    let other = |kind: &str, name: &str| {
        let found = others.iter().find(|o| (text(o, "/kind"), text(o, "/metadata/name")) == (kind, name));
        found.expect(kind)
    };
    let (service, by_service) = (other("Service", "miax-metrics"), other("ServiceMonitor", "miax"));
    assert_eq!(&by_service["spec"]["endpoints"][0], scraped);
    assert_eq!(by_service["spec"]["selector"]["matchLabels"], service["metadata"]["labels"]);
    assert_eq!(service["spec"]["selector"].as_object(), Some(wanted));
    assert_eq!((&service["spec"]["ports"][0]["name"], &service["spec"]["ports"][0]["targetPort"]), (port, port));
    assert_eq!(service["spec"]["publishNotReadyAddresses"], true);
    let deployments: Vec<Value> = rendered(&[]).into_iter().filter(|o| o["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 2);
    for deployment in deployments {
        let pod = &deployment["spec"]["template"];
        let ports = pod["spec"]["containers"][0]["ports"].as_array().expect("ports");
        assert!(ports.iter().any(|p| &p["name"] == port));
        assert!(wanted.iter().all(|(label, value)| &pod["metadata"]["labels"][label] == value));
    }
}

/// Three hours, a sample a minute, of a cluster in which all is well: a standby controller audits nothing and serves nothing.
const WELL: [(&str, &str); 20] = [
    (r#"miax_ledger_whole{role="webhook"}"#, "0 0 1x200"),
    (r#"miax_ledger_whole{role="controller"}"#, "1x200"),
    (r#"miax_ledger_audits_total{role="webhook",result="good"}"#, "0+1x200"),
    (r#"miax_ledger_audits_total{role="webhook",result="tampered"}"#, "0x200"),
    (r#"miax_ledger_audit_good_timestamp_seconds{role="webhook"}"#, "0+60x200"),
    (r#"miax_ledger_audit_good_timestamp_seconds{role="controller",pod="leads"}"#, "0+60x200"),
    (r#"miax_ledger_audit_good_timestamp_seconds{role="controller",pod="waits"}"#, "0x200"),
    (r#"miax_admission_decisions_total{reason="LedgerUnavailable"}"#, "0x200"),
    (r#"miax_admission_decisions_total{reason="Unwitnessed"}"#, "0x200"),
    ("miax_ledger_contradicted", "0x200"),
    ("miax_ledger_witness_lag_seconds", "30x200"),
    ("miax_ledger_pressure", "1x200"),
    ("miax_archives_failing", "0x200"),
    ("miax_archive_lag_entries", SEALED),
    ("miax_guards_broken", "0x200"),
    (r#"miax_webhook_certificate_expiry_timestamp_seconds{role="webhook"}"#, "9000000x200"),
    (r#"miax_webhook_certificate_expiry_timestamp_seconds{role="controller"}"#, "0x200"),
    ("miax_charter_expiry_timestamp_seconds", "9000000x200"),
    (DUE, "0x200"),
    (r#"miax_reconcile_total{kind="ControlCommand",result="error"}"#, "0+1x40 40x160"),
];

/// A lag that a seal lets fall once in 50 minutes, and never to 0.
const SEALED: &str = "300+9x49 300+9x49 300+9x49 300+9x49";

/// What changes when something is wrong, and the alert that this is.
const WRONG: [(&str, &str, &str); 18] = [
    ("MiaxNotScraped", r#"miax_ledger_whole{role="controller"}"#, "_x200"),
    ("MiaxLedgerBroken", r#"miax_ledger_whole{role="webhook"}"#, "1x170 0x30"),
    ("MiaxLedgerAuditFound", r#"miax_ledger_audits_total{role="webhook",result="tampered"}"#, "0x170 1x30"),
    ("MiaxLedgerNotAudited", r#"miax_ledger_audit_good_timestamp_seconds{role="webhook"}"#, "0+60x120 7200x80"),
    ("MiaxLedgerNotAudited", r#"miax_ledger_audit_good_timestamp_seconds{role="controller",pod="leads"}"#, "0x200"),
    ("MiaxLedgerNotWritten", r#"miax_admission_decisions_total{reason="LedgerUnavailable"}"#, "0x170 1+1x30"),
    ("MiaxLedgerContradicted", "miax_ledger_contradicted", "0x170 1x30"),
    ("MiaxLedgerUnwitnessed", "miax_ledger_witness_lag_seconds", "0x170 90x30"),
    ("MiaxLedgerUnwitnessed", r#"miax_admission_decisions_total{reason="Unwitnessed"}"#, "0x170 1+1x30"),
    ("MiaxLedgerNearlyFull", "miax_ledger_pressure", "2x200"),
    ("MiaxLedgerFull", "miax_ledger_pressure", "3x200"),
    ("MiaxArchiveFailing", "miax_archives_failing", "0x150 1x50"),
    ("MiaxArchiveNotSealed", "miax_archive_lag_entries", "300+9x80 1000x120"),
    ("MiaxGuardsBroken", "miax_guards_broken", "0x170 1x30"),
    (
        "MiaxWebhookCertificateEnds",
        r#"miax_webhook_certificate_expiry_timestamp_seconds{role="webhook"}"#,
        "600000x200",
    ),
    ("MiaxCharterEnds", "miax_charter_expiry_timestamp_seconds", "1200000x200"),
    ("MiaxObligationOverdue", DUE, "10000x200"),
    ("MiaxReconcileFails", r#"miax_reconcile_total{kind="ControlCommand",result="error"}"#, "0x100 1+1x100"),
];

/// 0 says that nothing is owed.
const DUE: &str = "miax_obligation_due_timestamp_seconds";

#[test]
fn each_alert_fires_for_its_cause_alone() {
    let folder = TempDir::new().expect("a folder");
    let rules = folder.path().join("rules.json");
    std::fs::write(&rules, watching("PrometheusRule", "miax")["spec"].to_string()).expect("written");
    let said = miax_cluster::promtool(&["check", "rules", &rules.to_string_lossy()]).expect("promtool runs");
    assert!(said.ok, "{}{}", said.stdout, said.stderr);

    let test = |name: &str, changed: (&str, &str), fires: Option<&str>| {
        let of = |(series, values): (&str, &str)| json!({ "series": series, "values": if series == changed.0 { changed.1 } else { values } });
        let inputs: Vec<Value> = WELL.into_iter().map(of).collect();
        assert!(inputs.iter().any(|i| i["series"] == changed.0), "{} is not a series of the table", changed.0);
        let fires = fires.map(|alert| json!({ "labels": format!("{{alertname=\"{alert}\"}}"), "value": 1 }));
        let asked = r#"group by (alertname) (ALERTS{alertstate="firing"})"#;
        json!({ "name": name, "interval": "1m", "input_series": inputs, "promql_expr_test":
            [{ "expr": asked, "eval_time": "3h", "exp_samples": Vec::from_iter(fires) }] })
    };
    let tested: BTreeSet<&str> = WRONG.iter().map(|(alert, ..)| *alert).collect();
    let alerts = alerts();
    assert_eq!(tested, alerts.iter().map(|a| text(a, "/alert")).collect::<BTreeSet<_>>(), "each alert has a case");
    let wrong = WRONG.iter().map(|(alert, series, values)| test(alert, (series, values), Some(alert)));
    let well = [test("all is well", (DUE, "0x200"), None), test("owed, in time", (DUE, "20000x200"), None)];
    let tests: Vec<Value> = wrong.chain(well).collect();
    let file = json!({ "rule_files": [rules], "evaluation_interval": "1m", "tests": tests });
    let path = folder.path().join("test.json");
    std::fs::write(&path, file.to_string()).expect("written");
    let said = miax_cluster::promtool(&["test", "rules", &path.to_string_lossy()]).expect("promtool runs");
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
}
