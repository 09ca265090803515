//! A ledger whose end is lost for good: people open an epoch that goes on with what is left (ADR 0025).

use miax_cluster::Output;
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::audits::{delete_behind_the_guard, dump, ledger};
use crate::support::{QUORUM, accepts, approve, approved, entries, rejects, scale, sign_all, stage, wait_done};

fn names_and_firsts(stage: &Stage) -> Vec<(String, u64)> {
    let get = ["-n", "miax-ledger", "get", "configmap", "-o", "json"];
    let list: Value = serde_json::from_str(&stage.plane().kubectl().run(&get).expect("blocks")).expect("json");
    let blocks = list["items"].as_array().expect("items").iter().filter_map(|map| {
        let header: Value = serde_json::from_str(map["data"]["header"].as_str()?).ok()?;
        Some((map["metadata"]["name"].as_str()?.to_owned(), header["first"].as_u64()?))
    });
    blocks.collect()
}

/// Deletes the block that holds this entry, and everything after it.
fn lose_from(stage: &Stage, entry: u64) {
    let blocks = names_and_firsts(stage);
    let from = blocks.iter().rposition(|(_, first)| *first <= entry).expect("a block holds it");
    // The last but one stays as evidence: it is no part of what is kept, and no part of the epoch.
    let lost = blocks.len() - from;
    let evidence = (lost > 2).then(|| blocks.len() - 2);
    for (place, (name, _)) in blocks.iter().enumerate().skip(from) {
        if Some(place) != evidence {
            delete_behind_the_guard(stage, name);
        }
    }
}

/// Waits until the checkpoint is over so many entries.
#[track_caller]
fn checkpointed(stage: &Stage, size: u64) {
    let get = ["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", "jsonpath={.data.checkpoint}"];
    let reached = || {
        let note = stage.plane().kubectl().run(&get).ok()?;
        (note.lines().nth(1)? == size.to_string()).then_some(())
    };
    assert!(miax_cluster::eventually(reached).is_some(), "{}", stage.controller.log());
}

fn open_epoch(stage: &Stage, file: &str) -> Output {
    let kubeconfig = stage.plane().kubeconfig().display().to_string();
    let run = std::process::Command::new(env!("CARGO_BIN_EXE_miax-operator"))
        .args(["open-epoch", &stage.file(file), "--kubeconfig", &kubeconfig])
        .output()
        .expect("the operator runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { ok: run.status.success(), stdout: text(&run.stdout), stderr: text(&run.stderr) }
}

#[test]
fn a_ledger_whose_end_is_lost_goes_on_by_a_signed_command_and_nothing_runs_twice() {
    let mut stage = stage();
    let key = stage.cli().run(&["ledger", "head", "-o", "json"]).expect("whole");
    let key: Value = serde_json::from_str(&key).expect("json");
    let key = key["key"].as_str().expect("a key").to_owned();
    let first = approved(&stage, "first", &scale("2"));
    accepts(&stage, &first);
    wait_done(&stage, "first");
    let begin = entries(&stage).into_iter().find(|e| e["kind"] == "effect.begin").expect("it began");
    let whole = stage.ledger_size().expect("whole");
    checkpointed(&stage, whole);
    stage.controller.kill();
    stage.webhook.kill();
    lose_from(&stage, begin["index"].as_u64().expect("an index"));
    dump(&stage, "left.json");

    let draft =
        ["draft", "open-epoch", "left.json", "--key", &key, "--reason", "the disk is gone", "--audience", "demo"];
    let more = ["--name", "epoch-1", "--out", "epoch.yaml"];
    stage.cli().run(&[&draft[..], &more].concat()).expect("drafted");
    let early = open_epoch(&stage, "epoch.yaml");
    assert!(!early.ok && early.stderr.contains("Unsigned"), "{}", early.stderr);
    sign_all(&stage, "epoch.yaml", &QUORUM[..4]);
    let early = open_epoch(&stage, "epoch.yaml");
    assert!(!early.ok && early.stderr.contains("SeatsMissing"), "{}", early.stderr);
    assert_eq!(names_and_firsts(&stage).iter().filter(|(name, _)| name.starts_with("ecm-0001-")).count(), 0);
    sign_all(&stage, "epoch.yaml", &QUORUM[4..]);
    for time in ["first", "again"] {
        let opened = open_epoch(&stage, "epoch.yaml");
        assert!(opened.ok && opened.stdout.contains("the epoch 1 of the ledger is open"), "{time}: {}", opened.stderr);
    }
    // A checkpoint vouches for the epoch before anybody starts: on a pruned ledger nobody would begin without one.
    let get = ["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", "jsonpath={.data.checkpoint}"];
    let note = stage.plane().kubectl().run(&get).expect("the checkpoint");
    assert!(note.lines().next().is_some_and(|origin| origin.ends_with("/1")), "{note}");
    stage.restart_controller().expect("the controller starts");
    stage.restart_webhook().expect("the webhook starts");

    // The command that was used in the part that is lost stands in the cluster, and is worth nothing any more.
    let message = rejects(&stage, &approved(&stage, "second", &scale("3")), "AudienceForeign");
    assert!(message.contains("this cluster is `demo/1` since the epoch 1"), "{message}");
    let fixed = ["-n", "shop", "--impact", "Critical", "--reason", "test", "--audience", "demo/1", "--name", "third"];
    let scale = ["draft", "scale", "deployment/checkout", "--replicas", "4", "--out", "third.yaml"];
    stage.cli().run(&[&scale[..], &fixed].concat()).expect("drafted");
    approve(&stage, "third.yaml");
    accepts(&stage, "third.yaml");
    wait_done(&stage, "third");
    let all = entries(&stage);
    let begun: Vec<&str> =
        all.iter().filter(|e| e["kind"] == "effect.begin").filter_map(|e| e["object"]["name"].as_str()).collect();
    assert_eq!(begun, ["third"], "what ran before does not run again");
    let opening = all.iter().find(|e| e["kind"] == "epoch.open").expect("an entry");
    assert_eq!((&opening["epoch"], &opening["index"]), (&json!(1), &opening["entries"]));
    assert!(opening["command"].as_str().is_some_and(|c| c.contains("tina") && c.contains("checkpoint")), "{opening}");

    // Whoever knows the log by the key that it began with verifies it as before, from a dump too.
    checkpointed(&stage, stage.ledger_size().expect("whole"));
    dump(&stage, "after.json");
    let (ok, report, said) = ledger(&stage, &["verify", "after.json", "--key", &key]);
    assert!(ok, "{report} {said}");
    ledger(&stage, &["unpack", "plain", "--dump", "after.json", "--key", &key]);
    let script = format!("{}/docs/verify/verify.py", env!("CARGO_MANIFEST_DIR"));
    let python = std::process::Command::new("python3").args([&script, &stage.file("plain"), &key]).output();
    let python = python.expect("python3 runs");
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    let (ok, report, said) = ledger(&stage, &["audit"]);
    assert!(ok, "{report} {said}");
}
