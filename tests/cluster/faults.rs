//! What goes wrong in the cluster, for real: killed processes, a lost API server, a ledger that somebody touched.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use miax_cluster::{eventually, eventually_within};
use miax_stage::Stage;
use serde_json::json;

use crate::support::{accepts, approved, entries, scale, stage, wait_done, wait_field};

/// A webhook that accepts connections and never answers: the executor's patch hangs in the API server.
fn black_hole() -> (String, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("address").port();
    let config = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "black-hole"},
        "webhooks": [{
            "name": "black-hole.example.com",
            "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "timeoutSeconds": 30,
            "rules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["deployments/scale"],
            }],
        }],
    });
    (config.to_string(), listener)
}

/// Submits a command whose action hangs, and kills the executor between begin and done. The action never reached etcd.
fn die_in_the_middle(stage: &mut Stage, name: &str, replicas: &str) {
    let (config, listener) = black_hole();
    stage.plane().kubectl().run_with(&["apply", "-f", "-"], &config).expect("the black hole is there");
    let file = approved(stage, name, &scale(replicas));
    accepts(stage, &file);
    let (mut held, _) = listener.accept().expect("the executor's patch hangs in the API server");
    let _ = held.read(&mut [0; 64]);
    let running = r#".status.conditions[?(@.type=="Succeeded")].reason"#;
    wait_field(stage, &format!("mxcmd/{name}"), running, "EffectRunning");
    stage.controller.kill();
    stage.plane().kubectl().run(&["delete", "validatingwebhookconfiguration", "black-hole"]).expect("deleted");
}

#[test]
fn an_executor_that_dies_between_begin_and_done_is_continued_once() {
    let mut stage = stage();
    die_in_the_middle(&mut stage, "slow", "4");
    stage.restart_controller().expect("another controller starts");
    let succeeded = r#".status.conditions[?(@.type=="Succeeded")].reason"#;
    wait_field(&stage, "mxcmd/slow", succeeded, "EffectDone");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "4");
    let effects = |name: &str| {
        let all = entries(&stage);
        let of = all.iter().filter(|e| e["object"]["name"] == name && e["kind"].to_string().contains("effect"));
        of.map(|e| e["kind"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(effects("slow"), ["effect.begin", "effect.done"]);
    assert!(stage.controller.terminate(), "asked to end, it ends well");
    stage.restart_controller().expect("a controller starts");

    // Somebody else changes the target meanwhile: nobody can tell any more, and it is not tried again.
    die_in_the_middle(&mut stage, "disturbed", "6");
    let image = ["-n", "shop", "set", "image", "deployment/checkout", "checkout=registry.example/checkout:2"];
    stage.plane().kubectl().run(&image).expect("changed");
    stage.restart_controller().expect("another controller starts");
    wait_field(&stage, "mxcmd/disturbed", succeeded, "EffectUnknown");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "4");
}

#[test]
fn an_api_server_that_is_gone_for_30_seconds_costs_nothing() {
    let mut stage = stage();
    let first = approved(&stage, "before", &scale("2"));
    accepts(&stage, &first);
    wait_done(&stage, "before");
    stage.plane_mut().stop_api_server();
    assert!(eventually_within(Duration::from_secs(30), || None::<()>).is_none());
    assert!(stage.webhook.is_running(), "{}", stage.webhook.log());
    stage.plane_mut().start_api_server().expect("the API server is back");
    // The controller may have given its lease up meanwhile, as every controller does; a cluster starts it anew.
    if !stage.controller.is_running() {
        stage.restart_controller().expect("a controller starts");
    }
    let file = approved(&stage, "after", &scale("5"));
    let accepted = eventually_within(Duration::from_secs(60), || crate::support::apply(&stage, &file).ok.then_some(()));
    assert!(accepted.is_some(), "{:?}\n{}", crate::support::apply(&stage, &file), stage.webhook.log());
    assert!(
        eventually_within(Duration::from_secs(60), || {
            stage.wait_for("controlcommand/after", &["-n", "shop"], "Succeeded").ok()
        })
        .is_some(),
        "{}",
        stage.controller.log()
    );
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "5");
}

#[test]
fn a_webhook_that_is_killed_loses_no_decision() {
    let mut stage = stage();
    let before = entries(&stage).len();
    let file = approved(&stage, "first", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "first");
    stage.webhook.kill();
    let refused = crate::support::apply(&stage, &approved(&stage, "during", &scale("3")));
    assert!(!refused.ok && refused.stderr.contains("failed calling webhook"), "fail closed: {}", refused.stderr);
    stage.restart_webhook().expect("the webhook starts again");
    accepts(&stage, "during.yaml");
    wait_done(&stage, "during");
    assert!(entries(&stage).len() > before + 8);
    assert!(stage.webhook.terminate(), "asked to end, it ends well");
}

#[test]
fn a_ledger_that_was_touched_is_shouted_about_and_allows_nothing() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    let file = approved(&stage, "first", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "first");
    let name = "ecm-0000-0000000000000001";
    let block = kubectl.run(&["-n", "miax-ledger", "get", "configmap", name, "-o", "json"]).expect("a block");
    let update = kubectl
        .ask(&["-n", "miax-ledger", "patch", "configmap", name, "--type=merge", "-p", r#"{"data":{"seal":"x"}}"#], "");
    let update = update.expect("kubectl runs").stderr;
    let kept = ["field is immutable when `immutable` is set", "the ledger is append-only"];
    assert!(kept.iter().any(|k| update.contains(k)), "{update}");
    // Whoever may change policies can take the guard away; a policy takes a moment to end.
    kubectl.run(&["delete", "validatingadmissionpolicybinding", "miax-ledger"]).expect("the guard is gone");
    let delete = ["-n", "miax-ledger", "delete", "configmap", name];
    let deleted = eventually(|| kubectl.ask(&delete, "").expect("kubectl runs").ok.then_some(()));
    assert!(deleted.is_some(), "an administrator can delete it");
    let next = approved(&stage, "second", &scale("3"));
    let denied = eventually(|| {
        let output = crate::support::apply(&stage, &next);
        output.stderr.contains("LedgerBroken").then_some(output.stderr)
    });
    let denied = denied.expect("denied");
    assert!(denied.contains(&format!("`{name}` was deleted")), "{denied}");
    assert!(stage.webhook.log().contains("the ledger is broken"), "the log shouts");
    // Put back as it was, it is whole again for whoever reads it, and after an audit for this replica too.
    let mut object: serde_json::Value = serde_json::from_str(&block).expect("json");
    object["metadata"] = json!({"name": name, "namespace": "miax-ledger", "labels": object["metadata"]["labels"]});
    kubectl.run_with(&["create", "-f", "-"], &object.to_string()).expect("put back");
    stage.cli().run(&["ledger", "head"]).expect("it verifies again");
    let accepted = eventually_within(Duration::from_secs(60), || crate::support::apply(&stage, &next).ok.then_some(()));
    assert!(accepted.is_some(), "{}", stage.webhook.log());
}
