//! The controllers keep archives: what is sealed verifies without the cluster, and a damaged archive stops nothing but itself.

use miax_cluster::eventually;
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, approved, entries, scale, stage, wait_done};

/// The seals of an archive: from and to.
fn seals(stage: &Stage, store: &str) -> Vec<(u64, u64)> {
    let size = |e: &Value, field: &str| e[field].as_u64().expect("a number");
    let all = entries(stage);
    let of_store = all.iter().filter(|e| e["kind"] == "archive.seal" && e["store"] == store);
    of_store.map(|e| (size(e, "from"), size(e, "to"))).collect()
}

/// Waits until an archive holds this entry.
#[track_caller]
fn wait_sealed(stage: &Stage, store: &str, size: u64) -> Vec<(u64, u64)> {
    let found = eventually(|| Some(seals(stage, store)).filter(|s| s.last().is_some_and(|(_, to)| *to >= size)));
    assert!(found.is_some(), "{store} is not sealed up to {size}:\n{}", stage.controller.log());
    found.unwrap_or_default()
}

#[test]
fn archives_hold_the_ledger_and_verify_without_the_cluster() {
    let mut stage = stage();
    let places = ["cold", "far"].map(|name| {
        let directory = stage.plane().directory().join(format!("archive-{name}"));
        std::fs::create_dir(&directory).expect("directory");
        (name, directory)
    });
    let named =
        places.iter().flat_map(|(name, path)| ["--archive".into(), format!("{name}=file://{}", path.display())]);
    let arguments: Vec<String> = named.chain(["--archive-patience".into(), "1".into()]).collect();
    stage.controller.terminate();
    stage.restart_controller_with(&arguments).expect("it starts");

    accepts(&stage, &approved(&stage, "first", &scale("3")));
    wait_done(&stage, "first");
    let head: Value =
        serde_json::from_str(&stage.cli().run(&["ledger", "head", "-o", "json"]).expect("head")).expect("json");
    let key = head["key"].as_str().expect("a key").to_owned();
    let done = |stage: &Stage| {
        let of = |e: &&Value| e["kind"] == "effect.done";
        entries(stage).iter().rfind(of).and_then(|e| e["index"].as_u64()).expect("it is done") + 1
    };
    let verified = |stage: &Stage, place: &str| {
        let arguments = ["ledger", "verify", place, "--key", &key, "-o", "json"];
        serde_json::from_str::<Value>(&stage.cli().run(&arguments).expect("it verifies")).expect("json")
    };
    for (name, path) in &places {
        let sealed = wait_sealed(&stage, name, done(&stage));
        assert_eq!(sealed.first().map(|(from, _)| *from), Some(0));
        let report = verified(&stage, &path.display().to_string());
        assert_eq!(
            (&report["whole"], report["entries"].as_u64()),
            (&Value::Bool(true), sealed.last().map(|(_, to)| *to))
        );
    }

    // Another process goes on from what is there.
    stage.controller.terminate();
    stage.restart_controller_with(&arguments).expect("it starts");
    accepts(&stage, &approved(&stage, "second", &scale("4")));
    wait_done(&stage, "second");
    for (name, path) in &places {
        let sealed = wait_sealed(&stage, name, done(&stage));
        assert!(sealed.windows(2).all(|w| w[0].1 == w[1].0), "each goes on from the one before: {sealed:?}");
        verified(&stage, &path.display().to_string());
    }

    // One archive is damaged where the next process goes on from it: it stops, the other one and the cluster do not.
    stage.controller.terminate();
    let (name, path) = &places[0];
    let held = seals(&stage, name).last().expect("sealed").1;
    let object = path.join(format!("tile/0/000.p/{held}"));
    std::fs::write(&object, b"damaged").expect("written");
    stage.restart_controller_with(&arguments).expect("it starts");
    accepts(&stage, &approved(&stage, "third", &scale("5")));
    wait_done(&stage, "third");
    wait_sealed(&stage, places[1].0, done(&stage));
    let complains = || stage.controller.log().contains("the archive does not grow").then_some(());
    assert!(eventually(complains).is_some(), "{}", stage.controller.log());
    assert_eq!(seals(&stage, name).last().map(|(_, to)| *to), Some(held));
    assert_eq!(std::fs::read(&object).expect("there"), b"damaged", "nothing is replaced");
}
