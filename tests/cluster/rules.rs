//! Where the rules of objectives are put: ConfigMaps, and PrometheusRules where that kind exists. Nobody has to answer for that.

use miax_cluster::eventually;
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::prometheus_rules::prometheus_rules;
use crate::support::{OWNERS, accepts, objective, objective_with, stage};

fn measure(stage: &mut Stage) {
    // Nobody listens there: rules are put where they belong all the same.
    let flags = ["--prometheus-url", "http://127.0.0.1:9", "--slo-resolution", "1s"].map(str::to_owned);
    stage.controller.kill();
    stage.restart_controller_with(&flags).expect("the controllers are ready");
}

#[track_caller]
fn found(stage: &Stage, what: &[&str], holds: impl Fn(&Value) -> bool) -> Value {
    let arguments = [what, &["-o", "json", "--ignore-not-found"]].concat();
    let object = || {
        let text = stage.plane().kubectl().run(&arguments).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    let seen = eventually(|| Some(object()).filter(&holds));
    assert!(seen.is_some(), "{what:?}: {}\n{}", object(), stage.controller.log());
    seen.unwrap_or_default()
}

#[test]
fn rules_are_put_where_prometheus_reads_them_and_taken_away_with_the_objective() {
    let mut stage = stage();
    measure(&mut stage);
    accepts(&stage, &objective(&stage, "availability", &OWNERS));
    let map = ["-n", "miax-system", "get", "configmap", "miax-slo-rules-0"];
    let rules = found(&stage, &map, Value::is_object)["data"].to_string();
    assert!(rules.contains("miax/shop/availability") && rules.contains("miax:slo_bad:increase"), "{rules}");
    let status = found(&stage, &["-n", "shop", "get", "slo", "availability"], |o| o["status"]["verdict"] == "Unknown");
    let conditions = status["status"]["conditions"].to_string();
    assert!(conditions.contains("PrometheusUnavailable"), "{conditions}");

    stage.plane().kubectl().run_with(&["create", "-f", "-"], &prometheus_rules().to_string()).expect("the kind");
    measure(&mut stage);
    let object = ["-n", "shop", "get", "prometheusrule", "miax-slo-availability"];
    let group = found(&stage, &object, Value::is_object)["spec"]["groups"][0].clone();
    assert_eq!((&group["name"], &group["interval"]), (&json!("miax/shop/availability"), &json!("1s")));
    let last = |spec: &mut Value| {
        spec["version"] = json!(2);
        spec["retired"] = json!(true);
    };
    accepts(&stage, &objective_with(&stage, "availability", last, &OWNERS));
    found(&stage, &object, Value::is_null);
}
