//! Bad input, as a real API server passes it on: the schema refuses some, the webhook the rest, and nothing is lost.

use miax_cluster::Output;
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, apply, approve, approved, draft, entries, rejects, scale, stage, wait_done};

/// Changes the text of a file.
fn edit(stage: &Stage, from: &str, to: &str, change: impl Fn(&str) -> String) -> String {
    let text = std::fs::read_to_string(stage.file(from)).expect("reads");
    let changed = change(&text);
    assert_ne!(text, changed, "{to}: the change changes nothing");
    std::fs::write(stage.file(to), changed).expect("written");
    to.to_owned()
}

#[track_caller]
fn schema_refuses(stage: &Stage, name: &str, file: &str, part: &str) {
    let Output { ok, stderr, .. } = apply(stage, file);
    assert!(!ok && stderr.contains(part), "{name}: {stderr}");
}

#[test]
fn bad_documents_are_refused_where_they_arrive() {
    let stage = stage();
    let good = approved(&stage, "good", &scale("3"));
    let before = entries(&stage).len();
    let spoil = |to: &str, from: &str, into: &str| edit(&stage, &good, to, |t| t.replacen(from, into, 1));
    let refuse = |name: &str, from: &str, into: &str, part: &str| {
        schema_refuses(&stage, name, &spoil("spoiled.yaml", from, into), part);
    };
    refuse("replicas below zero", "replicas: 3", "replicas: -3", "should be greater than or equal to 0");
    refuse("a float", "replicas: 3", "replicas: 3.5", "must be of type integer");
    refuse("an unknown field", "  impact:", "  force: true\n  impact:", "unknown field \"spec.force\"");
    refuse("an unknown action", "type: Scale", "type: Explode", "Unsupported value: \"Explode\"");
    refuse("two actions", "type: Scale", "type: Restart", "scale must be set exactly when type is Scale");
    refuse("no audience", "  - demo\n", "", "spec.audience");
    refuse("another version", "miax.dev/v1alpha1", "miax.dev/v1", "no matches for kind");
    assert_eq!(entries(&stage).len(), before, "what the schema refuses never reaches the ledger");

    rejects(&stage, &spoil("audience.yaml", "- demo", "- prod"), "AudienceForeign");
    rejects(
        &stage,
        &spoil("namespace.yaml", "        kind: Deployment", "        kind: Deployment\n        namespace: bank"),
        "TargetInOtherNamespace",
    );
    let generated = edit(&stage, &good, "generated.yaml", |t| t.replacen("  name: good", "  generateName: good-", 1));
    let Output { ok, stderr, .. } =
        stage.plane().kubectl().ask(&["create", "-f", &stage.file(&generated)], "").expect("kubectl runs");
    assert!(!ok && stderr.contains("NameInvalid"), "{stderr}");
    assert_eq!(entries(&stage).len(), before + 3, "every refusal of the webhook is an entry");

    // The same file, offline, by the CLI: the words are the same.
    let duplicate = spoil("duplicate.yaml", "  impact: Critical", "  impact: Critical\n  impact: Normal");
    // kubectl takes the last of two keys; that is not what was signed.
    rejects(&stage, &duplicate, "SignatureInvalid");
    let Output { ok, stderr, .. } = stage.cli().ask(&["show", "-f", &duplicate]).expect("runs");
    assert!(!ok && stderr.contains("`spec.impact` stands twice"), "{stderr}");
    accepts(&stage, &good);
    wait_done(&stage, "good");
}

#[test]
fn what_is_stored_is_what_was_signed_and_stays_so() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    let file = approved(&stage, "kept", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "kept");
    // The digest survives the API server: nothing is defaulted, pruned or spelt in another way.
    let stored = kubectl.run(&["-n", "shop", "get", "mxcmd", "kept", "-o", "json"]).expect("stored");
    std::fs::write(stage.file("stored.json"), stored).expect("written");
    let digest = |file: &str| {
        let text = stage.cli().run(&["show", "-f", file, "-o", "json"]).expect("shown");
        serde_json::from_str::<Value>(&text).expect("json")["digest"].clone()
    };
    assert_eq!(digest(&file), digest("stored.json"));
    let charter = kubectl.run(&["get", "mxman", "constitution-v1", "-o", "json"]).expect("stored");
    std::fs::write(stage.file("charter.json"), charter).expect("written");
    assert_eq!(digest("constitution-v1.yaml"), digest("charter.json"));

    let before = entries(&stage).len();
    let again = kubectl.run(&["apply", "-f", &stage.file(&file)]).expect("applied");
    assert!(again.contains("unchanged"), "{again}");
    kubectl.run(&["-n", "shop", "label", "mxcmd", "kept", "team=checkout"]).expect("labels have no authority");
    assert_eq!(entries(&stage).len(), before, "an identical re-apply is not recorded");

    let patch = |patch: &str| {
        let command = ["-n", "shop", "patch", "mxcmd", "kept", "--type=merge", "-p", patch];
        kubectl.ask(&command, "").expect("kubectl runs").stderr
    };
    assert!(patch(r#"{"spec":{"reason":"other"}}"#).contains("spec is immutable"));
    assert!(patch(r#"{"spec":{"signatures":[]}}"#).contains("a signature cannot be changed or removed"));
    let refused = kubectl.ask(&["delete", "mxman", "constitution-v1"], "").expect("kubectl runs").stderr;
    assert!(refused.contains("CharterInForce"), "{refused}");
    kubectl.run(&["-n", "shop", "delete", "mxcmd", "--all"]).expect("commands may go");
    let deleted = entries(&stage).iter().filter(|e| e["operation"] == "Delete").count();
    assert_eq!(deleted, 2, "the refused deletion and the collection's one");
}

#[test]
fn another_charter_cannot_come_first_and_commands_need_one() {
    let stage = stage();
    let file = draft(&stage, "next", &scale("2"));
    approve(&stage, &file);
    let text = std::fs::read_to_string(stage.file("constitution-v1.yaml")).expect("reads");
    let skipped = text.replace("constitution-v1", "constitution-v3").replace("version: 1", "version: 3");
    std::fs::write(stage.file("skipped.yaml"), skipped).expect("written");
    rejects(&stage, "skipped.yaml", "VersionNotNext");
    accepts(&stage, &file);
}
