//! Pruning in operation: what two archives hold and a witness has seen leaves the cluster, whoever starts begins at the snapshot,
//! and what must be there is missed.

use std::time::Duration;

use miax_cluster::{ControlPlane, eventually_within};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::audits::{accepted_again, delete_behind_the_guard, dump, ledger, refused_because};
use crate::support::{accepts, approved, entries, raise, scale, wait_done, with_workload};
use crate::witnesses::Circle;

/// How long it may take until blocks are archived, witnessed and gone.
const PATIENCE: Duration = Duration::from_secs(120);

/// Names of what is in the ledger's namespace.
fn names(stage: &Stage) -> Vec<String> {
    let get = ["-n", "miax-ledger", "get", "configmap", "-o", "jsonpath={.items[*].metadata.name}"];
    let all = stage.plane().kubectl().run(&get).expect("listed");
    all.split_whitespace().filter(|name| name.starts_with("ecm-")).map(str::to_owned).collect()
}

/// Lets the controllers delete.
fn allow_pruning(stage: &Stage) {
    let url = format!("https://127.0.0.1:{}", stage.webhook_port());
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_miax-operator"))
        .args(["manifests", "--url", &url, "--prune"])
        .output()
        .expect("the operator runs");
    let manifests = String::from_utf8(output.stdout).expect("UTF-8");
    stage.plane().kubectl().run_with(&["apply", "--server-side", "-f", "-"], &manifests).expect("applied");
}

#[test]
fn what_two_archives_hold_leaves_the_cluster_and_everything_goes_on() {
    let circle = Circle::new::<1>();
    let mut stage = raise(ControlPlane::builder(), Vec::new(), circle.flags(1, "warn", "15s"));
    let _witness = circle.start(&stage, 0);
    allow_pruning(&stage);
    let mut arguments = Vec::new();
    let places = ["cold", "far"].map(|name| {
        let directory = stage.plane().directory().join(format!("archive-{name}"));
        std::fs::create_dir(&directory).expect("directory");
        arguments.extend(["--archive".to_owned(), format!("{name}=file://{}", directory.display())]);
        directory
    });
    let more = ["--archive-patience", "1", "--ledger-cap", "1", "--prune", "--keep-blocks", "8"];
    arguments.extend(more.map(str::to_owned));
    stage.controller.terminate();
    stage.restart_controller_with(&arguments).expect("it starts");
    let mut stage = with_workload(stage);
    for (name, replicas) in [("first", "2"), ("second", "3"), ("third", "4")] {
        accepts(&stage, &approved(&stage, name, &scale(replicas)));
        wait_done(&stage, name);
    }
    let first = "ecm-0000-0000000000000000".to_owned();
    let gone = eventually_within(PATIENCE, || (!names(&stage).contains(&first)).then_some(()));
    assert!(gone.is_some(), "{:?}\n{}", names(&stage), stage.controller.log());

    // Whoever was there goes on, and so does whoever starts.
    accepts(&stage, &approved(&stage, "fourth", &scale("5")));
    wait_done(&stage, "fourth");
    stage.controller.terminate();
    stage.webhook.terminate();
    stage.restart_controller_with(&arguments).expect("it starts at the snapshot");
    stage.restart_webhook().expect("it starts at the snapshot");
    accepts(&stage, &approved(&stage, "fifth", &scale("6")));
    wait_done(&stage, "fifth");
    let pruned: Vec<Value> = entries(&stage).into_iter().filter(|e| e["kind"] == "prune").collect();
    assert!(!pruned.is_empty(), "the entry that means the snapshot is there");

    // The dump verifies from its snapshot on, and with an archive from the first entry on.
    stage.controller.terminate();
    dump(&stage, "pruned.json");
    let head: Value =
        serde_json::from_str(&stage.cli().run(&["ledger", "head", "-o", "json"]).expect("head")).expect("json");
    let key = head["key"].as_str().expect("a key").to_owned();
    let verify = |more: &[&str]| {
        let arguments = [&["verify", "pruned.json", "--key", &key], more].concat();
        let (ok, report, said) = ledger(&stage, &arguments);
        assert!(ok, "{report} {said}");
        report
    };
    let report = verify(&[]);
    let begin = report["snapshot"]["block"].as_u64().expect("it begins at a block");
    assert!(begin > 0 && report["first"].as_u64() > Some(0), "{report}");
    for place in &places {
        let place = place.display().to_string();
        let whole = verify(&["--archive", &place]);
        assert_eq!((whole["first"].as_u64(), &whole["entries"]), (Some(0), &report["entries"]));
        let (ok, archive, said) = ledger(&stage, &["verify", &place, "--key", &key]);
        assert!(ok, "{archive} {said}");
    }

    // What must be there is missed.
    let file = approved(&stage, "sixth", &scale("7"));
    let name = format!("ecm-0000-{begin:016x}");
    delete_behind_the_guard(&stage, &name);
    refused_because(&stage, &file, &name);
    // Only what must be there comes back from the archive; then the replica goes on.
    let place = places[0].display().to_string();
    let (ok, report, said) = ledger(&stage, &["restore", &place]);
    assert!(ok && report["restored"] == json!([name]), "{report} {said}");
    accepted_again(&stage, &file);
    // All of it, when it is asked for.
    let (ok, report, said) = ledger(&stage, &["restore", &place, "--all", "--dry-run"]);
    assert!(ok && report["restored"][0] == json!(first), "{report} {said}");
}
