//! The ledger in operation: what was taken away or set back is found and stops everything, what is restored byte for byte is
//! taken up again, and the ledger says so.

use std::path::{Path, PathBuf};
use std::time::Duration;

use miax_cluster::{ClusterError, ControlPlane, eventually, eventually_within};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{accepts, apply, approved, entries, scale, stage, stage_with, wait_done};

/// Blocks and checkpoint of the cluster in a file, as an administrator keeps them.
pub(crate) fn dump(stage: &Stage, file: &str) {
    let get = |namespace: &str, more: &[&str]| -> Vec<Value> {
        let all = [&["-n", namespace, "get", "configmap", "-o", "json"], more].concat();
        let value: Value = serde_json::from_str(&stage.plane().kubectl().run(&all).expect("read")).expect("json");
        value["items"].as_array().cloned().unwrap_or_else(|| vec![value])
    };
    let items = [get("miax-ledger", &[]), get("miax-system", &["miax-checkpoint"])].concat();
    std::fs::write(stage.file(file), json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string())
        .expect("written");
}

/// What `miax ledger` prints as JSON, whatever it answers.
pub(crate) fn ledger(stage: &Stage, arguments: &[&str]) -> (bool, Value, String) {
    let output = stage.cli().ask(&[&["ledger"], arguments, &["-o", "json"]].concat()).expect("miax runs");
    (output.ok, serde_json::from_str(&output.stdout).unwrap_or_default(), output.stderr)
}

/// Deletes an object as somebody does who may change policies; the guard comes back afterwards.
pub(crate) fn delete_behind_the_guard(stage: &Stage, name: &str) {
    let kubectl = stage.plane().kubectl();
    let binding = ["get", "validatingadmissionpolicybinding", "miax-ledger", "-o", "json"];
    let mut guard: Value = serde_json::from_str(&kubectl.run(&binding).expect("the guard")).expect("json");
    kubectl.run(&["delete", "validatingadmissionpolicybinding", "miax-ledger"]).expect("the guard is gone");
    let delete = ["-n", "miax-ledger", "delete", "configmap", name];
    let deleted = eventually(|| kubectl.ask(&delete, "").expect("kubectl runs").ok.then_some(()));
    assert!(deleted.is_some(), "an administrator can delete it");
    guard["metadata"] = json!({"name": "miax-ledger"});
    kubectl.run_with(&["create", "-f", "-"], &guard.to_string()).expect("the guard is back");
}

#[track_caller]
pub(crate) fn refused_because(stage: &Stage, file: &str, part: &str) {
    let refused = eventually_within(Duration::from_secs(60), || {
        let stderr = apply(stage, file).stderr;
        (stderr.contains("LedgerBroken") && stderr.contains(part)).then_some(())
    });
    assert!(refused.is_some(), "{part}: {}\n{}", apply(stage, file).stderr, stage.webhook.log());
}

#[track_caller]
pub(crate) fn accepted_again(stage: &Stage, file: &str) {
    let accepted = eventually_within(Duration::from_secs(90), || apply(stage, file).ok.then_some(()));
    assert!(accepted.is_some(), "{}\n{}", apply(stage, file).stderr, stage.webhook.log());
}

/// Whether an Event about the ledger was told.
fn is_told(stage: &Stage, reason: &str) -> Option<()> {
    let get = ["-n", "miax-system", "get", "events.events.k8s.io", "-o", "json"];
    let list: Value = serde_json::from_str(&stage.plane().kubectl().run(&get).ok()?).ok()?;
    let about = |e: &Value| e["regarding"]["name"] == "miax-checkpoint" && e["reason"] == reason;
    list["items"].as_array()?.iter().any(about).then_some(())
}

#[test]
fn what_was_deleted_is_restored_and_the_operator_goes_on_and_says_so() {
    let stage = stage();
    let first = approved(&stage, "first", &scale("2"));
    accepts(&stage, &first);
    wait_done(&stage, "first");
    dump(&stage, "kept.json");
    let name = "ecm-0000-0000000000000001";
    delete_behind_the_guard(&stage, name);
    let second = approved(&stage, "second", &scale("3"));
    refused_because(&stage, &second, name);
    assert!(eventually(|| is_told(&stage, "LedgerBroken")).is_some(), "{}", stage.controller.log());
    let (ok, report, _) = ledger(&stage, &["audit", "--against", "kept.json"]);
    assert_eq!((ok, &report["verdict"], &report["findings"][0]["object"]), (false, &json!("tampered"), &json!(name)));

    // A copy that was touched is not written back, and neither is one that ends too early.
    let text = std::fs::read_to_string(stage.file("kept.json")).expect("kept");
    std::fs::write(stage.file("touched.json"), text.replacen("miax.dev/block/v1", "miax.dev/block/v2", 1))
        .expect("written");
    let (ok, _, said) = ledger(&stage, &["restore", "touched.json"]);
    assert!(!ok && said.contains("does not verify by itself"), "{said}");
    let (ok, report, said) = ledger(&stage, &["restore", "kept.json", "--dry-run"]);
    assert!(ok && report["restored"] == json!([name]), "{report} {said}");
    let get = ["-n", "miax-ledger", "get", "configmap", name];
    assert!(!stage.plane().kubectl().ask(&get, "").expect("kubectl runs").ok, "a dry run writes nothing");
    let (ok, report, said) = ledger(&stage, &["restore", "kept.json"]);
    assert!(ok && report["restored"] == json!([name]), "{report} {said}");
    let (ok, report, _) = ledger(&stage, &["restore", "kept.json"]);
    assert!(ok && report["restored"] == json!([]), "a second time there is nothing to do: {report}");

    accepted_again(&stage, &second);
    wait_done(&stage, "second");
    let recovered =
        eventually_within(Duration::from_secs(60), || entries(&stage).into_iter().find(|e| e["kind"] == "recover"));
    assert!(recovered.is_some(), "no entry: {}", stage.controller.log());
    let recovered = recovered.expect("an entry");
    assert!(recovered["what"].as_str().is_some_and(|what| what.contains(name)), "{recovered}");
    assert!(eventually(|| is_told(&stage, "LedgerWhole")).is_some(), "{}", stage.controller.log());
}

fn copy(from: &Path, to: &Path) -> Result<(), ClusterError> {
    let status = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    let status = status.map_err(|source| ClusterError::Io { what: "cp cannot be run".to_owned(), source })?;
    assert!(status.success(), "copied");
    Ok(())
}

fn set_back(plane: &mut ControlPlane, backup: &Path) {
    plane
        .with_data_at_rest(|data| {
            std::fs::remove_dir_all(data)
                .map_err(|source| ClusterError::Io { what: "the data cannot be removed".to_owned(), source })?;
            copy(backup, data)
        })
        .expect("the cluster is set back");
}

#[test]
fn a_cluster_that_is_set_back_to_a_backup_allows_nothing_until_the_end_of_the_ledger_is_back() {
    let mut stage = stage_with(ControlPlane::builder(), ["--audit-period", "5"].map(str::to_owned).to_vec());
    let first = approved(&stage, "first", &scale("2"));
    accepts(&stage, &first);
    wait_done(&stage, "first");
    let backup = PathBuf::from(stage.file("backup"));
    stage.plane_mut().with_data_at_rest(|data| copy(data, &backup)).expect("backed up");
    let second = approved(&stage, "second", &scale("3"));
    accepted_again(&stage, &second);
    if !stage.controller.is_running() {
        stage.restart_controller().expect("a controller starts");
    }
    wait_done(&stage, "second");
    let (ok, _, said) = ledger(&stage, &["audit", "--state", "audit.json"]);
    assert!(ok, "{said}");
    dump(&stage, "kept.json");
    // Whoever sets a cluster back stops the controllers first: one that starts on the backup knows of nothing that came later.
    stage.controller.kill();
    set_back(stage.plane_mut(), &backup);

    let third = approved(&stage, "third", &scale("4"));
    refused_because(&stage, &third, "ecm-0000-");
    let (ok, _, said) = ledger(&stage, &["audit"]);
    assert!(ok, "by itself it is whole, because its checkpoint was set back with it: {said}");
    let (ok, report, _) = ledger(&stage, &["audit", "--state", "audit.json"]);
    let found = &report["findings"][0];
    assert_eq!((ok, &report["verdict"], &found["check"]), (false, &json!("tampered"), &json!("largest-known-size")));
    let (ok, report, said) = ledger(&stage, &["restore", "kept.json"]);
    assert!(ok && report["restored"].as_array().is_some_and(|names| !names.is_empty()), "{report} {said}");
    stage.restart_controller().expect("a controller starts");
    accepted_again(&stage, &third);
    wait_done(&stage, "third");
    let (ok, _, said) = ledger(&stage, &["audit", "--state", "audit.json", "--against", "kept.json"]);
    assert!(ok, "{said}");
}
