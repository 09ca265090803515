//! Events on governed objects, as `kubectl describe` shows them.

use std::collections::BTreeMap;

use miax_cluster::eventually;
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, approved, entries, scale, stage, wait_done, wait_field};

/// The Events about an object: how often each type and reason was told.
fn told(stage: &Stage, namespace: &str, name: &str) -> BTreeMap<String, u64> {
    let get = ["-n", namespace, "get", "events.events.k8s.io", "-o", "json"];
    let list: Value = serde_json::from_str(&stage.plane().kubectl().run(&get).expect("events")).expect("json");
    let mut found = BTreeMap::new();
    for event in list["items"].as_array().expect("items").iter().filter(|e| e["regarding"]["name"] == name) {
        assert_eq!(event["reportingController"], "miax-controller");
        assert!(event["note"].as_str().is_some_and(|n| !n.is_empty()), "{event}");
        let word = |key: &str| event[key].as_str().expect(key).to_owned();
        let times = event["series"]["count"].as_u64().unwrap_or(1);
        // A slow machine may show that the effect runs; a fast one goes straight to its end.
        if event["reason"] == "EffectRunning" {
            continue;
        }
        *found.entry(format!("{} {} {}", word("type"), word("action"), word("reason"))).or_default() += times;
    }
    found
}

#[track_caller]
fn wait_told(stage: &Stage, namespace: &str, name: &str, expected: &[&str]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|e| ((*e).to_owned(), 1)).collect();
    let found = eventually(|| (told(stage, namespace, name) == expected).then_some(()));
    assert!(found.is_some(), "{name}: {:?} instead of {expected:?}", told(stage, namespace, name));
}

#[test]
fn every_transition_is_an_event_once() {
    let mut stage = stage();
    let done = approved(&stage, "done", &scale("3"));
    accepts(&stage, &done);
    wait_done(&stage, "done");
    let lost = approved(&stage, "lost", &["rollback", "deployment/checkout", "--to-revision", "99"]);
    accepts(&stage, &lost);
    let reason = r#".status.conditions[?(@.type=="Succeeded")].reason"#;
    wait_field(&stage, "mxcmd/lost", reason, "EffectFailed");

    let check = |stage: &Stage| {
        wait_told(stage, "default", "constitution-v1", &["Normal Active Adopted"]);
        let (approved, owed) = ("Normal Approved QuorumComplete", "Normal Answered ObligationDue");
        wait_told(stage, "shop", "done", &[approved, "Normal Succeeded EffectDone", owed]);
        wait_told(stage, "shop", "lost", &[approved, "Warning Succeeded EffectFailed", owed]);
    };
    check(&stage);
    let before = entries(&stage).len();
    // A new controller looks at everything again, and has no news. When it has carried out the next command it has looked.
    stage.controller.terminate();
    stage.restart_controller().expect("it starts");
    let next = approved(&stage, "next", &scale("4"));
    accepts(&stage, &next);
    wait_done(&stage, "next");
    check(&stage);
    assert!(entries(&stage).len() > before);
}
