//! The log's key is followed by another on a running cluster, as docs/operations/log-keys.md says, and one is revoked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::trust::NoteSigner;
use miax_cluster::eventually;
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{accepts, approved, entries, scale, stage, wait_done};

/// Changes the Secret of the log's keys; null takes a field away.
fn set(stage: &Stage, data: &Value) {
    let patch = json!({"data": data}).to_string();
    let arguments = ["-n", "miax-system", "patch", "secret", "miax-ledger-key", "--type=merge", "-p", &patch];
    stage.plane().kubectl().run(&arguments).expect("the owner of the Secret changes it");
}

fn anchor(stage: &Stage, field: &str) -> String {
    let path = format!("jsonpath={{.data.{field}}}");
    let arguments = ["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", &path];
    stage.plane().kubectl().run(&arguments).expect("the anchor is there")
}

/// Waits until the newest checkpoint is signed by exactly these.
#[track_caller]
fn signed_by(stage: &Stage, keys: &[&NoteSigner]) {
    let names = |note: &str| note.lines().filter(|line| line.starts_with('\u{2014}')).count();
    let seen = eventually(|| {
        let note = anchor(stage, "checkpoint");
        let opens = keys.iter().all(|key| miax::trust::open_note(&note, &key.verifier()).is_ok());
        (opens && names(&note) == keys.len()).then_some(())
    });
    assert!(seen.is_some(), "{}\n{}", anchor(stage, "checkpoint"), stage.controller.log());
}

#[track_caller]
fn waits_for(stage: &Stage, kind: &str, public: &NoteSigner) {
    let public = public.verifier().to_string();
    let is_it = |e: &Value| e["kind"] == kind && e["public"] == public.as_str();
    let seen = eventually(|| entries(stage).iter().any(is_it).then_some(()));
    assert!(seen.is_some(), "no {kind}: {}", stage.controller.log());
}

#[track_caller]
fn a_command_passes(stage: &Stage, name: &str, replicas: &str) {
    let file = approved(stage, name, &scale(replicas));
    accepts(stage, &file);
    wait_done(stage, name);
}

#[test]
fn a_key_follows_another_and_one_is_revoked() {
    let mut stage = stage();
    let origin = anchor(&stage, "origin");
    let first_public = anchor(&stage, "key");
    let key = |seed: u8| NoteSigner::try_new(&origin, &[seed; 32]).expect("a key");
    let (second, third) = (key(2), key(3));
    let seed = |seed: u8| json!(STANDARD.encode([seed; 32]));

    // Both vouch for a while: who knows only the first can still open every checkpoint.
    set(&stage, &json!({"next": seed(2)}));
    waits_for(&stage, "key.add", &second);
    let first_opens = |note: &str| miax::trust::open_note(note, &first_public.parse().expect("a key")).is_ok();
    let both = eventually(|| {
        let note = anchor(&stage, "checkpoint");
        let second_opens = miax::trust::open_note(&note, &second.verifier()).is_ok();
        (first_opens(&note) && second_opens).then_some(())
    });
    assert!(both.is_some(), "{}", anchor(&stage, "checkpoint"));
    a_command_passes(&stage, "overlap", "3");

    // The first ends. Nobody restarts anything.
    set(&stage, &json!({"seed": seed(2), "next": null}));
    let retired = eventually(|| entries(&stage).iter().any(|e| e["kind"] == "key.retire").then_some(()));
    assert!(retired.is_some(), "{}", stage.controller.log());
    signed_by(&stage, &[&second]);
    a_command_passes(&stage, "after", "4");

    // What starts now has never seen the first.
    assert!(stage.controller.terminate() && stage.webhook.terminate(), "asked to end, they end well");
    stage.restart_controller().expect("a controller starts");
    stage.restart_webhook().expect("a webhook starts");
    a_command_passes(&stage, "restarted", "5");

    // The second is in wrong hands: a third is added, and the second is void beyond the last good size.
    set(&stage, &json!({"next": seed(3)}));
    waits_for(&stage, "key.add", &third);
    let wish = STANDARD.encode(format!("{} 20", second.verifier()));
    set(&stage, &json!({"seed": seed(3), "next": null, "revoke": wish}));
    waits_for(&stage, "key.revoke", &second);
    signed_by(&stage, &[&third]);
    a_command_passes(&stage, "revoked", "6");

    // The whole history verifies with the key that it began with.
    let dump = stage.plane().kubectl().run(&["get", "configmap", "-A", "-o", "json"]).expect("a dump");
    std::fs::write(stage.file("ledger.json"), dump).expect("written");
    let told = stage.cli().run(&["ledger", "verify", "ledger.json", "--key", &first_public]).expect("it verifies");
    assert!(told.contains("was compared"), "{told}");
}
