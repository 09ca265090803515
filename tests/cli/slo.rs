//! `miax slo`: objectives offline.

use crate::desk::{Desk, Run};

fn sample(name: &str) -> String {
    format!("{}/config/samples/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn slo(desk: &Desk, arguments: &[&str]) -> Run {
    desk.miax(&[&["slo"], arguments].concat())
}

/// The sample with a text in place of another one.
fn changed(desk: &Desk, file: &str, name: &str, old: &str, new: &str) {
    let text = std::fs::read_to_string(sample(name)).expect("the sample");
    assert!(text.contains(old), "{old}");
    desk.write(file, &text.replace(old, new));
}

#[test]
fn the_samples_are_rendered_in_every_form() {
    let desk = Desk::empty();
    let file = sample("slo-availability.yaml");
    slo(&desk, &["render", "-f", &file])
        .expect_code(0)
        .expect_out("kind: PrometheusRule")
        .expect_out("name: miax-slo-checkout-availability")
        .expect_out("miax_slo: shop/checkout-availability");
    slo(&desk, &["render", "-f", &file, "-o", "configmap"]).expect_code(0).expect_out("kind: ConfigMap");
    let rules = slo(&desk, &["render", "-f", &file, "-o", "file", "--resolution", "1m"]).expect_code(0);
    assert!(rules.out.starts_with("groups:\n") && rules.out.contains("interval: 1m"), "{}", rules.out);
    let all: String = ["slo-availability.yaml", "slo-latency.yaml", "slo-probe.yaml"]
        .map(|name| std::fs::read_to_string(sample(name)).expect("text"))
        .join("---\n");
    desk.write("all.yaml", &all);
    let rules = slo(&desk, &["render", "-f", "all.yaml", "-o", "file"]).expect_code(0);
    assert_eq!(rules.out.matches("name: miax/shop/").count(), 3);
    slo(&desk, &["render", "-f", &file, "--resolution", "1h"]).expect_code(2).expect_err("choose one from 1s to 10m");
    changed(&desk, "ended.yaml", "slo-availability.yaml", "version: 1", "version: 2\n  retired: true");
    slo(&desk, &["render", "-f", "ended.yaml", "-o", "file"]).expect_code(0).expect_err("it has no rules");
}

#[test]
fn what_is_wrong_in_an_objective_is_said() {
    let desk = Desk::empty();
    for (old, new, said) in [
        ("\"99.9\"", "99.9", "quote decimal numbers"),
        ("\"99.9\"", "\"100\"", "leaves no budget"),
        ("namespace: shop", "labels: {}", "metadata.namespace"),
        ("  window:", "  windows: {}\n  window:", "`spec.windows` is not a field of SLO"),
        ("kind: SLO", "kind: Manifest", "is not known here"),
        ("code=~\"5..\"", "code=~\"5..\"} or vector(1) #", "is a calculation"),
    ] {
        changed(&desk, "slo.yaml", "slo-availability.yaml", old, new);
        slo(&desk, &["render", "-f", "slo.yaml"]).expect_code(2).expect_err(said);
    }
}

#[test]
fn lint_says_what_people_do_not_expect() {
    let desk = Desk::empty();
    let file = sample("slo-availability.yaml");
    slo(&desk, &["lint", "-f", &file]).expect_code(0).expect_out("objectives: 1, findings: 0");
    slo(&desk, &["lint", "-f", &file, "--retention", "15d"])
        .expect_code(1)
        .expect_out("longer than the 15d that Prometheus keeps");
    slo(&desk, &["lint", "-f", &file, "--retention", "30d"]).expect_code(0);
    // Both bind checkout: the other one binds all of the namespace.
    let both = slo(&desk, &["lint", "-f", &file, "-f", &sample("slo-probe.yaml")]).expect_code(0);
    both.expect_out("binds Deployment/checkout, and so does shop/checkout-availability");
    slo(&desk, &["lint", "-f", &file, "-f", &file]).expect_code(1).expect_out("stands twice");
    for (old, new, code, said) in [
        ("\"99.9\"", "\"100\"", 1, "leaves no budget"),
        ("2027-12-31", "2020-12-31", 1, "it expired at 2020-12-31T00:00:00Z"),
        ("\"99.9\"", "\"90\"", 0, "never happens at 90 %"),
        ("30d", "1h", 0, "too short for the pairs"),
        ("  gate:\n    workloads:\n      - {kind: Deployment, name: checkout}\n", "", 0, "stops no change"),
        ("  gate:", "  timeSlices: {objective: \"99\"}\n  gate:", 0, ""),
        ("\"99.9\"", "\"99.999\"\n  timeSlices: {objective: \"99\"}", 0, "of 8640 slices not one may be bad"),
        ("version: 1", "version: 2\n  retired: true", 0, "this version ends it"),
    ] {
        changed(&desk, "slo.yaml", "slo-availability.yaml", old, new);
        slo(&desk, &["lint", "-f", "slo.yaml"]).expect_code(code).expect_out(said);
    }
    let json = slo(&desk, &["lint", "-f", "slo.yaml", "-o", "json"]).expect_code(0).json();
    assert_eq!(json["findings"][0]["level"], "Warning");
}

#[test]
fn a_budget_is_said_in_words_and_numbers() {
    let desk = Desk::empty();
    let file = sample("slo-availability.yaml");
    let budget = |bad: &str, more: &[&str]| {
        let arguments = [&["budget", "-f", &file, "--bad", bad, "--total", "1000000"], more].concat();
        slo(&desk, &arguments)
    };
    let met = budget("250", &[]).expect_code(0);
    assert_eq!(
        met.out,
        "shop/checkout-availability: 99.9 % good over the last 30d\n  \
         allowed   1000000 events x 0.001 = 1000 bad events\n  \
         happened  250 bad events\n  \
         left      750 events, 75 % of the budget\n  \
         burn      0.25 times as fast as it lasts\n  \
         coverage  100 % of the window; at least 90 % must be known\n  \
         in time   2592s in which everything fails, at steady traffic\n  \
         verdict   Met\n"
    );
    budget("1000", &[]).expect_code(1).expect_out("verdict   Exhausted").expect_out("more than 1 % are left for 10m");
    budget("250", &["--coverage", "0.5"]).expect_code(2).expect_out("verdict   Unknown");
    budget("250", &["--coverage", "1.5"]).expect_code(2).expect_err("from 0 to 1");
    budget("1000001", &[]).expect_code(2).expect_err("cannot be bad");
    let json = budget("1100", &["-o", "json"]).expect_code(1).json();
    assert_eq!(
        (&json["remaining"], &json["remainingEvents"], &json["burn"]),
        (&"-0.1".into(), &(-100).into(), &"1.1".into())
    );
}

const COMMON: [&str; 6] = ["-n", "shop", "--audience", "prod-eu", "--for", "365d"];

/// Takes a file over, and looks for nothing wrong in what came out.
fn import(desk: &Desk, text: &str, code: i32) -> Run {
    desk.write("theirs.yaml", text);
    let run = slo(desk, &[&["import", "-f", "theirs.yaml"], COMMON.as_slice()].concat()).expect_code(code);
    if !run.out.trim().is_empty() {
        desk.write("ours.yaml", &run.out);
        slo(desk, &["render", "-f", "ours.yaml"]).expect_code(0);
    }
    run
}

#[test]
fn files_of_sloth_are_taken_over() {
    let desk = Desk::empty();
    let text = r#"
version: "prometheus/v1"
service: "myservice"
labels: {owner: "team"}
slos:
  - name: "requests-availability"
    objective: 99.95
    description: "Answers"
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="myservice",code=~"(5..|429)"}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="myservice"}[{{.window}}]))
    alerting:
      name: High
      page_alert: {labels: {severity: pageteam}}
      ticket_alert: {disable: true}
  - name: latency
    objective: 99
    sli:
      events:
        error_query: |
          sum(rate(h_count{job="m"}[{{.window}}])) - sum(rate(h_bucket{job="m",le="0.3"}[{{.window}}]))
        total_query: sum(rate(h_count{job="m"}[{{.window}}]))
  - name: raw
    objective: 99
    sli: {raw: {error_ratio_query: "1 - x"}}
"#;
    import(&desk, text, 1)
        .expect_out("name: myservice-requests-availability")
        .expect_out("objective: '99.95'")
        .expect_out("bad: http_requests_total{code=~\"(5..|429)\",job=\"myservice\"}")
        .expect_out("good: h_bucket{job=\"m\",le=\"0.3\"}")
        .expect_out("policy: Custom")
        .expect_err("service.labels not taken over")
        .expect_err("alerting.page_alert.labels not taken over")
        .expect_err("alerting.name not taken over")
        .expect_err("refused: myservice-raw: its indicator is a ratio that is calculated already")
        .expect_err("taken over: 2, refused: 1");
    let object = r#"
apiVersion: sloth.slok.dev/v1
kind: PrometheusServiceLevel
metadata: {name: x, namespace: other}
spec:
  service: s
  slos:
    - name: a
      objective: 99.9
      sli:
        events:
          errorQuery: sum(rate(a_total{code="500"}[{{.window}}]))
          totalQuery: sum(rate(a_total[{{.window}}]))
"#;
    import(&desk, object, 0)
        .expect_out("name: s-a")
        .expect_out("namespace: shop")
        .expect_err("takes its window from a flag");
}

#[test]
fn objects_of_pyrra_are_taken_over() {
    let desk = Desk::empty();
    let of = |name: &str, indicator: &str| {
        format!(
            "apiVersion: pyrra.dev/v1alpha1\nkind: ServiceLevelObjective\nmetadata: {{name: {name}, namespace: n}}\n\
             spec:\n  target: '99.5'\n  window: 4w\n  indicator:\n    {indicator}\n"
        )
    };
    let ratio = "ratio: {errors: {metric: 'a_total{code=~\"5..\"}'}, total: {metric: a_total}}";
    let latency = "latency: {success: {metric: 'h_bucket{le=\"1\"}'}, total: {metric: h_count}}";
    let native = "latencyNative: {latency: 250ms, total: {metric: 'h{x=\"1\"}'}}";
    let gauge = "bool_gauge: {metric: 'up{job=\"x\"}'}";
    let all = [of("a", ratio), of("b", latency), of("c", native), of("d", gauge)].join("---\n");
    import(&desk, &all, 0)
        .expect_out("objective: '99.5'")
        .expect_out("rolling: 4w")
        .expect_out("policy: Pyrra")
        .expect_out("good: h_bucket{le=\"1\"}")
        .expect_out("threshold: '0.25'")
        .expect_out("up: up{job=\"x\"}");
    let grouped = "ratio: {errors: {metric: a}, total: {metric: b}, grouping: [route]}";
    import(&desk, &of("e", grouped), 1).expect_err("refused: e: it is grouped");
    import(&desk, &of("f", "magic: {}"), 1).expect_err("an indicator `magic` is not known");
}

#[test]
fn documents_of_openslo_are_taken_over() {
    let desk = Desk::empty();
    let text = r#"
apiVersion: openslo/v1
kind: SLI
metadata: {name: errors}
spec:
  ratioMetric:
    counter: true
    good: {metricSource: {type: Prometheus, spec: {query: 'sum(rate(a_total{code="200"}[5m]))'}}}
    total: {metricSource: {type: Prometheus, spec: {query: 'a_total'}}}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: checkout}
spec:
  description: Customers can pay.
  service: checkout
  indicatorRef: errors
  timeWindow:
    - {duration: 1M, isRolling: false, calendar: {startTime: "2026-01-01 00:00:00", timeZone: Europe/Berlin}}
  budgetingMethod: Timeslices
  objectives:
    - {target: 0.999, timeSliceTarget: 0.95, timeSliceWindow: 1m}
    - {targetPercent: 99.5, timeSliceTarget: 0.9, timeSliceWindow: 1m}
  alertPolicies: [{kind: AlertPolicy}]
"#;
    import(&desk, text, 0)
        .expect_out("name: checkout-1")
        .expect_out("objective: '99.9'")
        .expect_out("objective: '95'")
        .expect_out("period: Month")
        .expect_out("timeZone: Europe/Berlin")
        .expect_err("spec.alertPolicies not taken over")
        .expect_err("a slice of 1m becomes one of the resolution")
        .expect_err("turns over with the month");
    import(&desk, &text.replace("counter: true", "counter: false"), 1).expect_err("not said to be counters");
    import(&desk, &text.replace("type: Prometheus", "type: Datadog"), 1).expect_err("comes from Datadog");
    import(&desk, &text.replace("indicatorRef: errors", "indicatorRef: none"), 1).expect_err("is not in the file");
    import(&desk, &text.replace("Timeslices", "RatioTimeslices"), 1).expect_err("is not taken over");
    desk.write("pod.yaml", "kind: Pod\n");
    slo(&desk, &[&["import", "-f", "pod.yaml"], COMMON.as_slice()].concat())
        .expect_code(2)
        .expect_err("Sloth v1, Pyrra");
}

#[test]
fn objectives_are_proposed_for_metrics_that_exist() {
    let desk = Desk::empty();
    desk.write(
        "metrics.txt",
        "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n\
         http_requests_total{code=\"200\",path=\"/a \\\"b\\\"}\"} 990\nhttp_requests_total{code=\"500\"} 10\n\
         # TYPE latency_seconds histogram\nlatency_seconds_bucket{le=\"0.1\"} 500\nlatency_seconds_bucket{le=\"0.5\"} 995\n\
         latency_seconds_bucket{le=\"+Inf\"} 1000\nlatency_seconds_sum 70\nlatency_seconds_count 1000\n\
         # TYPE go_goroutines gauge\ngo_goroutines 7\n# TYPE probe_success gauge\nprobe_success 1\n",
    );
    let run =
        slo(&desk, &[&["new", "-f", "metrics.txt", "--job", "shop", "--objective", "99"], COMMON.as_slice()].concat())
            .expect_code(0)
            .expect_out("bad: http_requests_total{job=\"shop\",code=~\"5..\"}")
            .expect_out("histogram: latency_seconds{job=\"shop\"}")
            .expect_out("threshold: '0.5'")
            .expect_out("up: probe_success{job=\"shop\"}")
            .expect_err("99.50 % of the events so far are within 0.5");
    assert_eq!(run.out.matches("kind: SLO").count(), 3);
    desk.write("slo.yaml", &run.out);
    slo(&desk, &["render", "-f", "slo.yaml"]).expect_code(0);
    desk.write("none.txt", "# TYPE go_goroutines gauge\ngo_goroutines 7\n");
    slo(&desk, &[&["new", "-f", "none.txt"], COMMON.as_slice()].concat()).expect_code(2).expect_err("no metric says");
}
