//! Witnesses of a cluster's log, as processes beside it: they vouch, fall silent, and remember what a cluster forgot.

use std::process::Command;
use std::time::Duration;

use miax::trust::{Quorum, WitnessKey};
use miax::units::UnixSeconds;
use miax_cluster::{Component, ControlPlane, Kubectl, eventually, eventually_within, free_ports};
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, apply, approved, entries, raise, rejects, scale, wait_done, with_workload};

/// How long a controller may need to see what a witness holds, to be sure, and to tell.
const PATIENCE: Duration = Duration::from_secs(60);

/// Witnesses with their keys and stores.
pub(crate) struct Circle {
    dir: tempfile::TempDir,
    members: Vec<(u16, WitnessKey)>,
}

impl Circle {
    pub(crate) fn new<const N: usize>() -> Self {
        let (dir, ports) = (tempfile::tempdir().expect("directory"), free_ports::<N>().expect("ports"));
        let circle = Self { dir, members: Vec::new() };
        let run = |arguments: &[String]| {
            let output = Command::new(env!("CARGO_BIN_EXE_miax")).args(arguments).output().expect("runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let member = |port: u16| {
            run(&["key".into(), "new".into(), circle.path(port, "key")]);
            let key = run(&[circle.arguments(port), vec!["--init".into()]].concat());
            (port, key.trim().parse().expect("a key of a witness"))
        };
        let members = ports.into_iter().map(member).collect();
        Self { members, ..circle }
    }

    fn path(&self, port: u16, what: &str) -> String {
        self.dir.path().join(format!("{port}.{what}")).display().to_string()
    }

    fn arguments(&self, port: u16) -> Vec<String> {
        let (key, store, name) = (self.path(port, "key"), self.path(port, "store"), format!("witness.example/{port}"));
        ["ledger", "witness", "--key", &key, "--store", &store, "--name", &name].map(str::to_owned).into()
    }

    /// What the operator is started with.
    pub(crate) fn flags(&self, quorum: usize, mode: &str, age: &str) -> Vec<String> {
        let witnesses = self.members.iter().map(|(port, key)| format!("--witness=http://127.0.0.1:{port}+{key}"));
        let rest = [
            format!("--witness-quorum={quorum}"),
            format!("--witness-mode={mode}"),
            format!("--witness-max-age={age}"),
        ];
        witnesses.chain(rest).collect()
    }

    /// Starts one beside the cluster whose log it cosigns.
    pub(crate) fn start(&self, stage: &Stage, number: usize) -> Component {
        self.start_at(stage, &anchor(stage.plane().kubectl(), "key"), number)
    }

    /// Starts one beside the cluster `home`, for the log of this key.
    fn start_at(&self, home: &Stage, log: &str, number: usize) -> Component {
        let (port, listen) = (self.members[number].0, format!("127.0.0.1:{}", self.members[number].0));
        let arguments = [self.arguments(port), vec!["--listen".into(), listen, "--log".into(), log.into()]].concat();
        let program = env!("CARGO_BIN_EXE_miax").as_ref();
        home.plane().spawn(&format!("witness-{number}"), program, &arguments).expect("a witness starts")
    }

    fn quorum(&self, needed: usize) -> Quorum {
        Quorum::try_new(self.members.iter().map(|(_, key)| key.clone()).collect(), needed).expect("a quorum")
    }
}

/// A field of the ConfigMap with the checkpoint.
fn anchor(kubectl: &Kubectl, field: &str) -> String {
    let path = format!("jsonpath={{.data.{field}}}");
    kubectl.run(&["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", &path]).unwrap_or_default()
}

fn far_future() -> UnixSeconds {
    UnixSeconds::new(i64::MAX)
}

/// Whether so many witnesses cosigned the newest checkpoint that a quorum of two is known for.
fn witnessed_by(stage: &Stage, circle: &Circle, number: usize) -> Option<()> {
    let note = anchor(stage.plane().kubectl(), "witnessed");
    let found = circle.quorum(1).cosignatures(&note, far_future()).ok()?;
    (found.len() == number).then_some(())
}

#[test]
fn without_witnesses_nothing_is_allowed_until_they_are_back() {
    let circle = Circle::new::<3>();
    let mut stage = raise(ControlPlane::builder(), Vec::new(), circle.flags(2, "warn", "15s"));
    let mut witnesses: Vec<Component> = (0..3).map(|number| circle.start(&stage, number)).collect();
    // Witnesses need the log's key, which the first controller makes; then they can be required.
    stage.reconfigure(circle.flags(2, "require", "15s")).expect("both start again");
    let stage = with_workload(stage);
    let all = eventually(|| witnessed_by(&stage, &circle, 3));
    assert!(all.is_some(), "{}\n{}", anchor(stage.plane().kubectl(), "witnessed"), stage.controller.log());
    // Whoever knows only the log's key still opens it.
    stage.cli().run(&["ledger", "head"]).expect("it verifies");

    // One may be down.
    witnesses[0].kill();
    let file = approved(&stage, "one-down", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "one-down");
    assert!(eventually(|| witnessed_by(&stage, &circle, 2)).is_some(), "{}", stage.controller.log());

    // Two may not.
    witnesses[1].kill();
    let file = approved(&stage, "two-down", &scale("3"));
    let refused = eventually_within(PATIENCE, || {
        let output = stage.plane().kubectl().ask(&["apply", "--dry-run=server", "-f", &stage.file(&file)], "");
        output.expect("kubectl runs").stderr.contains("Unwitnessed").then_some(())
    });
    assert!(refused.is_some(), "{}\n{}", stage.controller.log(), stage.webhook.log());
    let message = rejects(&stage, &file, "Unwitnessed");
    assert!(message.contains("it is allowed again when 2 of them answer"), "{message}");
    let told = |kind: &str| -> Vec<Value> { entries(&stage).into_iter().filter(|e| e["kind"] == kind).collect() };
    // The controller sees it by itself, a moment before or after the webhook.
    let recorded = eventually(|| (!told("unwitnessed").is_empty()).then_some(()));
    assert!(recorded.is_some(), "{}", stage.controller.log());

    // Back with what it remembers, it vouches for what came meanwhile.
    witnesses[1] = circle.start(&stage, 1);
    let allowed = eventually_within(PATIENCE, || apply(&stage, &file).ok.then_some(()));
    assert!(allowed.is_some(), "{}\n{}", stage.controller.log(), witnesses[1].log());
    wait_done(&stage, "two-down");
    let policy = told("policy.set");
    let newest = policy.last().expect("a policy");
    assert_eq!((&newest["mode"], &newest["quorum"]), (&"require".into(), &2.into()), "{policy:?}");
    let ended = eventually(|| Some(told("unwitnessed")).filter(|e| !e.is_empty() && e.len().is_multiple_of(2)));
    let ended = ended.unwrap_or_else(|| panic!("{:?}\n{}", told("unwitnessed"), stage.controller.log()));
    let events = ["-n", "miax-system", "get", "events.events.k8s.io", "-o", "jsonpath={.items[*].reason}"];
    let told =
        eventually(|| stage.plane().kubectl().run(&events).ok().filter(|reasons| reasons.contains("Unwitnessed")));
    assert!(told.is_some(), "an Event tells whoever watches: {}", stage.controller.log());
    for time in ended.chunks(2) {
        assert!(time[0]["until"].is_null() && time[1]["until"].is_string(), "{ended:?}");
        assert_eq!(time[0]["since"], time[1]["since"]);
    }
}

#[test]
fn two_clusters_witness_each_other() {
    let circles = [Circle::new::<1>(), Circle::new::<1>()];
    let mut stages = circles.each_ref().map(|c| raise(ControlPlane::builder(), Vec::new(), c.flags(1, "warn", "15s")));
    let keys = stages.each_ref().map(|stage| anchor(stage.plane().kubectl(), "key"));
    assert_ne!(keys[0], keys[1], "two logs");
    // What vouches for a cluster runs beside the other one.
    let mut witness = circles[0].start_at(&stages[1], &keys[0], 0);
    let _of_the_other = circles[1].start_at(&stages[0], &keys[1], 0);
    for (stage, circle) in stages.iter_mut().zip(&circles) {
        stage.reconfigure(circle.flags(1, "require", "15s")).expect("both start again");
    }
    let [first, second] = stages.map(with_workload);
    for (stage, circle) in [(&first, &circles[0]), (&second, &circles[1])] {
        assert!(eventually(|| witnessed_by(stage, circle, 1)).is_some(), "{}", stage.controller.log());
        let file = approved(stage, "vouched", &scale("2"));
        accepts(stage, &file);
        wait_done(stage, "vouched");
    }

    // The second cluster is cut off from the first: only the one that lost its witness stops.
    witness.kill();
    let file = approved(&first, "alone", &scale("3"));
    let refused = eventually_within(PATIENCE, || {
        let output = first.plane().kubectl().ask(&["apply", "--dry-run=server", "-f", &first.file(&file)], "");
        output.expect("kubectl runs").stderr.contains("Unwitnessed").then_some(())
    });
    assert!(refused.is_some(), "{}\n{}", first.controller.log(), first.webhook.log());
    let other = approved(&second, "meanwhile", &scale("3"));
    accepts(&second, &other);
    wait_done(&second, "meanwhile");
    let _back = circles[0].start_at(&second, &keys[0], 0);
    let allowed = eventually_within(PATIENCE, || apply(&first, &file).ok.then_some(()));
    assert!(allowed.is_some(), "{}\n{}", first.controller.log(), first.webhook.log());
    wait_done(&first, "alone");
}

/// An administrator puts the ledger back to an older state, checkpoint and all.
fn roll_back(stage: &Stage, before: &str, blocks: &[String]) {
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["delete", "validatingadmissionpolicybinding", "miax-ledger"]).expect("the guard is gone");
    for block in blocks {
        let delete = ["-n", "miax-ledger", "delete", "configmap", block.as_str()];
        assert!(eventually(|| kubectl.ask(&delete, "").expect("kubectl runs").ok.then_some(())).is_some(), "{block}");
    }
    kubectl.run_with(&["-n", "miax-system", "replace", "--force", "-f", "-"], before).expect("put back");
}

fn blocks(kubectl: &Kubectl) -> Vec<String> {
    let names = ["-n", "miax-ledger", "get", "configmap", "-o", "jsonpath={.items[*].metadata.name}"];
    let text = kubectl.run(&names).expect("blocks");
    text.split(' ').filter(|name| name.starts_with("ecm-")).map(str::to_owned).collect()
}

#[test]
fn a_cluster_that_forgot_is_reminded_by_its_witness() {
    let circle = Circle::new::<1>();
    let stage = raise(ControlPlane::builder(), Vec::new(), circle.flags(1, "warn", "5m"));
    let _witness = circle.start(&stage, 0);
    let mut stage = with_workload(stage);
    let get = ["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", "json"];
    assert!(eventually(|| witnessed_by(&stage, &circle, 1)).is_some(), "{}", stage.controller.log());
    let kubectl = stage.plane().kubectl();
    let mut before: Value = serde_json::from_str(&kubectl.run(&get).expect("the anchor")).expect("json");
    before["metadata"] = serde_json::json!({"name": "miax-checkpoint", "namespace": "miax-system"});
    // Nothing may lie between the checkpoint that is put back and the blocks that are left.
    let known = blocks(kubectl);
    let file = approved(&stage, "forgotten", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "forgotten");
    let size = stage.ledger_size().expect("it verifies").to_string();
    let seen =
        eventually(|| anchor(stage.plane().kubectl(), "witnessed").lines().nth(1).filter(|n| **n == *size).map(|_| ()));
    assert!(seen.is_some(), "{}", stage.controller.log());
    stage.controller.kill();
    stage.webhook.kill();
    let kubectl = stage.plane().kubectl();
    let later: Vec<String> = blocks(kubectl).into_iter().filter(|name| !known.contains(name)).collect();
    let saved: Vec<String> = later
        .iter()
        .map(|name| kubectl.run(&["-n", "miax-ledger", "get", "configmap", name, "-o", "json"]).expect("a block"))
        .collect();
    roll_back(&stage, &before.to_string(), &later);

    stage.start_unready().expect("both start, and are not ready");
    let told =
        eventually_within(PATIENCE, || (!anchor(stage.plane().kubectl(), "contradiction").is_empty()).then_some(()));
    assert!(told.is_some(), "{}", stage.controller.log());
    let again = approved(&stage, "again", &scale("4"));
    let message = rejects(&stage, &again, "LedgerBroken");
    // The webhook finds the checkpoint beyond its end, or the controller the witness that holds it: whoever is first is told of.
    let told =
        ["the checkpoint vouches for", "a witness holds a checkpoint over"].map(|t| format!("{t} {size} entries"));
    assert!(told.iter().any(|told| message.contains(told)), "{message}");
    // The command is stored, and here it is unused again. Nobody carries it out a second time.
    assert_eq!(blocks(stage.plane().kubectl()), known, "{}", stage.controller.log());

    // Put back as they were, the blocks are what the witness holds. A person restarts what stopped.
    for block in saved {
        let mut object: Value = serde_json::from_str(&block).expect("json");
        let labels = object["metadata"]["labels"].clone();
        object["metadata"] =
            serde_json::json!({"name": object["metadata"]["name"], "namespace": "miax-ledger", "labels": labels});
        stage.plane().kubectl().run_with(&["create", "-f", "-"], &object.to_string()).expect("put back");
    }
    stage.controller.kill();
    stage.webhook.kill();
    stage.restart_controller().expect("the controller starts");
    stage.restart_webhook().expect("the webhook starts");
    let allowed = eventually_within(PATIENCE, || apply(&stage, &again).ok.then_some(()));
    assert!(allowed.is_some(), "{}\n{}", stage.controller.log(), stage.webhook.log());
    assert!(anchor(stage.plane().kubectl(), "contradiction").is_empty());
    wait_done(&stage, "again");
}
