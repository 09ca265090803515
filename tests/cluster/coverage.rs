//! Every way that the API server knows to change an object of ours: a test for each cell of docs/reference/coverage.md, all on
//! one stage.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use miax::api::GovernedKind;
use miax_cluster::{Output, eventually};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{OWNERS, accepts, approved, draft, entries, objective, objective_with, stage, wait_done};

/// It is never dropped; the janitor ends it when this process does.
static STAGE: LazyLock<Stage> = LazyLock::new(stage);
/// A charter that nobody signed.
static NEXT: LazyLock<String> = LazyLock::new(|| {
    let file = STAGE.cli().run(&["charter", "next", "-f", "constitution-v1.yaml"]).expect("the next version");
    std::fs::read_to_string(STAGE.file(file.trim())).expect("reads")
});

/// Held by whoever changes the charter in force, asks to, or counts the decisions about it: all tests share it, while each has
/// commands and objectives of its own.
static CHARTER: Mutex<()> = Mutex::new(());

fn alone(kind: GovernedKind) -> Option<MutexGuard<'static, ()>> {
    match kind {
        GovernedKind::ControlCommand | GovernedKind::Slo => None,
        GovernedKind::Manifest => Some(CHARTER.lock().unwrap_or_else(PoisonError::into_inner)),
    }
}

const RESTART: [&str; 2] = ["restart", "deployment/checkout"];

fn ask_with(arguments: &[&str], input: &str) -> Output {
    STAGE.plane().kubectl().ask(arguments, input).expect("kubectl runs")
}

fn ask(arguments: &[&str]) -> Output {
    ask_with(arguments, "")
}

fn scope(kind: GovernedKind) -> &'static [&'static str] {
    match kind {
        GovernedKind::ControlCommand | GovernedKind::Slo => &["-n", "shop"],
        GovernedKind::Manifest => &[],
    }
}

/// An object that nobody signed, which only this test knows. Manifests are numbered.
fn unsigned(kind: GovernedKind, number: u32) -> (String, String) {
    match kind {
        GovernedKind::ControlCommand => {
            let name = format!("unsigned-{number}");
            let file = draft(&STAGE, &name, &RESTART);
            (name, STAGE.file(&file))
        }
        GovernedKind::Slo => {
            let name = format!("unsigned-{number}");
            let file = objective(&STAGE, &name, &[]);
            (name, STAGE.file(&file))
        }
        GovernedKind::Manifest => {
            let name = format!("constitution-v{number}");
            let path = STAGE.file(&format!("{name}.yaml"));
            let text = NEXT.replace("constitution-v2", &name).replace("version: 2", &format!("version: {number}"));
            std::fs::write(&path, text).expect("written");
            (name, path)
        }
    }
}

/// An object that is stored and signed: a command of this name that was carried out, an objective that holds, or the charter in
/// force.
fn stored(kind: GovernedKind, name: &str) -> String {
    match kind {
        GovernedKind::ControlCommand => {
            let file = approved(&STAGE, name, &RESTART);
            accepts(&STAGE, &file);
            wait_done(&STAGE, name);
            name.to_owned()
        }
        GovernedKind::Slo => {
            let file = objective(&STAGE, name, &OWNERS);
            accepts(&STAGE, &file);
            let held = STAGE.wait_for(&format!("slo/{name}"), &["-n", "shop"], "Recorded");
            assert!(held.is_ok(), "{name}: {}", STAGE.controller.log());
            name.to_owned()
        }
        GovernedKind::Manifest => "constitution-v1".to_owned(),
    }
}

fn live(kind: GovernedKind, name: &str) -> Value {
    let Output { ok, stdout, stderr } = ask(&[scope(kind), &["get", kind.plural(), name, "-o", "json"]].concat());
    assert!(ok, "{name}: {stderr}");
    serde_json::from_str(&stdout).expect("json")
}

fn patch(kind: GovernedKind, name: &str, form: &str, patch: &Value) -> Output {
    ask(&[scope(kind), &["patch", kind.plural(), name, "--type", form, "-p", &patch.to_string()]].concat())
}

/// Decisions about this object in the ledger.
fn decisions(kind: GovernedKind, name: &str) -> Vec<String> {
    let about =
        |e: &&Value| e["kind"] == "decision" && e["object"]["kind"] == kind.kind() && e["object"]["name"] == name;
    let words = |e: &Value| format!("{} {}", word(&e["operation"]), word(&e["verdict"]));
    entries(&STAGE).iter().filter(about).map(words).collect()
}

fn word(value: &Value) -> &str {
    value.as_str().expect("a word")
}

#[track_caller]
fn denied(output: &Output, reason: &str) {
    let Output { ok, stderr, .. } = output;
    assert!(!ok && stderr.contains("denied the request") && stderr.contains(&format!("{reason}: ")), "{stderr}");
}

#[track_caller]
fn refused_by_schema(output: &Output, part: &str) {
    let Output { ok, stderr, .. } = output;
    assert!(!ok && stderr.contains(part), "{stderr}");
}

#[test]
fn a_create_is_judged_and_recorded() {
    for kind in GovernedKind::ALL {
        let (name, path) = unsigned(kind, 11);
        denied(&ask(&["create", "-f", &path]), "Unsigned");
        assert_eq!(decisions(kind, &name), ["Create Deny"]);
        let name = stored(kind, "created");
        assert_eq!(decisions(kind, &name).iter().filter(|d| *d == "Create Allow").count(), 1, "{name}");
    }
}

#[test]
fn a_server_side_apply_that_creates_is_judged_and_recorded() {
    for kind in GovernedKind::ALL {
        let (name, path) = unsigned(kind, 12);
        denied(&ask(&["apply", "--server-side", "-f", &path]), "Unsigned");
        assert_eq!(decisions(kind, &name), ["Create Deny"]);
    }
}

#[test]
fn a_dry_run_is_judged_and_not_recorded() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let (name, path) = unsigned(kind, 13);
        denied(&ask(&["create", "--dry-run=server", "-f", &path]), "Unsigned");
        denied(&ask(&["apply", "--server-side", "--dry-run=server", "-f", &path]), "Unsigned");
        assert_eq!(decisions(kind, &name), Vec::<String>::new());
        let name = stored(kind, "dry");
        let before = decisions(kind, &name);
        let kept = ask(&[scope(kind), &["delete", kind.plural(), &name, "--dry-run=server"]].concat());
        match kind {
            GovernedKind::ControlCommand | GovernedKind::Slo => assert!(kept.ok, "{}", kept.stderr),
            GovernedKind::Manifest => denied(&kept, "CharterInForce"),
        }
        assert_eq!(decisions(kind, &name), before);
        live(kind, &name);
    }
}

#[test]
fn a_generated_name_is_refused() {
    for kind in GovernedKind::ALL {
        let (name, path) = unsigned(kind, 14);
        let text = std::fs::read_to_string(&path).expect("reads");
        let generated = text.replacen(&format!("  name: {name}"), "  generateName: constitution-v", 1);
        assert_ne!(text, generated);
        denied(&ask_with(&["create", "-f", "-"], &generated), "NameInvalid");
    }
}

#[test]
fn an_update_of_what_is_signed_is_refused() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let name = stored(kind, "immutable");
        let before = decisions(kind, &name);
        let immutable = match kind {
            GovernedKind::ControlCommand | GovernedKind::Manifest => "spec is immutable",
            GovernedKind::Slo => "a version is immutable",
        };
        let spec = json!({"expiresAt": "2030-01-01T00:00:00Z"});
        let merge = patch(kind, &name, "merge", &json!({"spec": spec}));
        refused_by_schema(&merge, immutable);
        let replace = json!([{"op": "replace", "path": "/spec/expiresAt", "value": spec["expiresAt"]}]);
        refused_by_schema(&patch(kind, &name, "json", &replace), immutable);
        let mut changed = live(kind, &name);
        changed["spec"]["expiresAt"] = spec["expiresAt"].clone();
        refused_by_schema(&ask_with(&["replace", "-f", "-"], &changed.to_string()), immutable);
        changed["metadata"]["managedFields"] = Value::Null;
        let apply = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        refused_by_schema(&ask_with(&apply, &changed.to_string()), immutable);
        // The schema is older than the webhook and comes before it; what it refuses is no decision of ours.
        assert_eq!(decisions(kind, &name), before);
    }
}

#[test]
fn an_update_that_takes_a_signature_away_is_refused() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let name = stored(kind, "whole");
        refused_by_schema(&patch(kind, &name, "merge", &json!({"spec": {"signatures": []}})), "signature");
        let remove = json!([{"op": "remove", "path": "/spec/signatures/0"}]);
        refused_by_schema(&patch(kind, &name, "json", &remove), "a signature cannot be changed or removed");
    }
}

#[test]
fn an_update_that_adds_a_signature_is_judged_and_recorded() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let name = stored(kind, "more");
        let mut copy = live(kind, &name)["spec"]["signatures"][1].clone();
        // Somebody else's signature under another name.
        copy["principal"] = "tom".into();
        copy["seat"] = "CTK".into();
        let before = decisions(kind, &name).len();
        let forged = patch(kind, &name, "json", &json!([{"op": "add", "path": "/spec/signatures/-", "value": copy}]));
        assert!(!forged.ok && forged.stderr.contains("denied the request"), "{}", forged.stderr);
        let after = decisions(kind, &name);
        assert_eq!((after.len(), after.last().map(String::as_str)), (before + 1, Some("Update Deny")));
    }
}

#[test]
fn labels_annotations_owners_and_finalizers_change_without_an_entry() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let name = stored(kind, "tracked");
        let before = decisions(kind, &name);
        let owner = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "shop", "uid": "1"}]);
        for metadata in [
            json!({"labels": {"a": "b"}}),
            json!({"annotations": {"a": "b"}}),
            json!({"finalizers": ["example.com/hold"]}),
            json!({"finalizers": null, "labels": {"a": null}}),
        ] {
            let Output { ok, stderr, .. } = patch(kind, &name, "merge", &json!({"metadata": metadata}));
            assert!(ok, "{metadata}: {stderr}");
        }
        if kind == GovernedKind::ControlCommand {
            // The garbage collector ends an object whose owner is not there; that owner is, under another uid.
            let dry = ["--dry-run=server", "--type=merge", "-p"];
            let patch = json!({"metadata": {"ownerReferences": owner}}).to_string();
            let arguments = [scope(kind), &["patch", kind.plural(), &name], &dry, &[&patch]].concat();
            assert!(ask(&arguments).ok);
        }
        assert_eq!(decisions(kind, &name), before);
        assert_eq!(live(kind, &name)["metadata"]["generation"], 1);
    }
}

#[test]
fn an_object_with_a_deletion_mark_is_held_to_the_same_rules() {
    let kind = GovernedKind::ControlCommand;
    let name = stored(kind, "marked");
    let hold = patch(kind, &name, "merge", &json!({"metadata": {"finalizers": ["example.com/hold"]}}));
    assert!(hold.ok, "{}", hold.stderr);
    assert!(ask(&["-n", "shop", "delete", kind.plural(), &name, "--wait=false"]).ok);
    assert!(live(kind, &name)["metadata"]["deletionTimestamp"].is_string());
    let spec = json!({"spec": {"reason": "another"}});
    refused_by_schema(&patch(kind, &name, "merge", &spec), "spec is immutable");
    let status = ["patch", kind.plural(), &name, "--subresource=status", "--type=merge", "-p", r#"{"status":null}"#];
    refused_by_schema(&ask(&[scope(kind), &status].concat()), "written by its controller alone");
    let mut copy = live(kind, &name)["spec"]["signatures"][1].clone();
    copy["principal"] = "eve".into();
    copy["seat"] = "TCC".into();
    let forged = json!([{"op": "add", "path": "/spec/signatures/-", "value": copy}]);
    assert!(patch(kind, &name, "json", &forged).stderr.contains("denied the request"));
    let free = patch(kind, &name, "merge", &json!({"metadata": {"finalizers": null}}));
    assert!(free.ok, "{}", free.stderr);
    assert!(ask(&["-n", "shop", "get", kind.plural(), &name]).stderr.contains("NotFound"));
    assert_eq!(decisions(kind, &name), ["Create Allow", "Delete Allow", "Update Deny"]);
}

#[test]
fn the_next_version_of_an_objective_replaces_it_in_place() {
    let (kind, name) = (GovernedKind::Slo, stored(GovernedKind::Slo, "versions"));
    let next = |objective: &str| {
        let change = move |spec: &mut Value| {
            spec["version"] = json!(2);
            spec["objective"] = json!(objective);
        };
        objective_with(&STAGE, &name, change, &OWNERS)
    };
    let unsigned = objective_with(&STAGE, &name, |spec| spec["version"] = json!(2), &[]);
    denied(&ask(&["apply", "-f", &STAGE.file(&unsigned)]), "Unsigned");
    accepts(&STAGE, &next("99.5"));
    let seen = eventually(|| (live(kind, &name)["status"]["observedGeneration"] == 2).then_some(()));
    assert!(seen.is_some(), "the second version holds");
    let other = ask(&["apply", "-f", &STAGE.file(&next("99"))]);
    refused_by_schema(&other, "a version is immutable");
    let back = objective(&STAGE, &name, &OWNERS);
    refused_by_schema(&ask(&["apply", "-f", &STAGE.file(&back)]), "version never goes back");
    // The ledger remembers what the object does not.
    assert!(ask(&["-n", "shop", "delete", "slo", &name]).ok);
    denied(&ask(&["create", "-f", &STAGE.file(&back)]), "VersionNotNext");
    assert_eq!(decisions(kind, &name), ["Create Allow", "Update Deny", "Update Allow", "Delete Allow", "Create Deny"]);
}

#[test]
fn a_deletion_is_judged_and_recorded() {
    let name = stored(GovernedKind::ControlCommand, "deleted");
    assert!(ask(&["-n", "shop", "delete", "mxcmd", &name]).ok);
    assert_eq!(decisions(GovernedKind::ControlCommand, &name), ["Create Allow", "Delete Allow"]);
    let name = stored(GovernedKind::Slo, "deleted");
    assert!(ask(&["-n", "shop", "delete", "slo", &name]).ok);
    assert_eq!(decisions(GovernedKind::Slo, &name), ["Create Allow", "Delete Allow"]);
    let _alone = alone(GovernedKind::Manifest);
    denied(&ask(&["delete", "manifest", "constitution-v1"]), "CharterInForce");
    let all = decisions(GovernedKind::Manifest, "constitution-v1");
    assert!(all.contains(&"Delete Deny".to_owned()), "{all:?}");
}

#[test]
fn a_deletion_of_a_collection_is_judged_object_by_object() {
    let kind = GovernedKind::ControlCommand;
    for name in ["bulk-one", "bulk-two"] {
        stored(kind, name);
        assert!(ask(&["-n", "shop", "label", "mxcmd", name, "coverage=bulk"]).ok);
    }
    let path = "/apis/miax.dev/v1alpha1/namespaces/shop/controlcommands?labelSelector=coverage%3Dbulk";
    let Output { ok, stderr, .. } = ask(&["delete", "--raw", path]);
    assert!(ok, "{stderr}");
    for name in ["bulk-one", "bulk-two"] {
        assert_eq!(decisions(kind, name), ["Create Allow", "Delete Allow"]);
    }
    let _alone = alone(GovernedKind::Manifest);
    let kept = ask(&["delete", "--raw", "/apis/miax.dev/v1alpha1/manifests"]);
    assert!(!kept.ok && kept.stderr.contains("CharterInForce"), "{}", kept.stderr);
    live(GovernedKind::Manifest, "constitution-v1");
}

#[test]
fn no_status_is_written_but_by_the_controller() {
    for kind in GovernedKind::ALL {
        let _alone = alone(kind);
        let name = stored(kind, "status");
        let before = live(kind, &name);
        let only = "written by its controller alone";
        let subresource = |more: &[&str], input: &str| {
            refused_by_schema(&ask_with(&[scope(kind), more, &["--subresource=status"]].concat(), input), only);
        };
        let lie = json!({"status": {"conditions": []}}).to_string();
        subresource(&["patch", kind.plural(), &name, "--type=merge", "-p", &lie], "");
        let replace = json!([{"op": "remove", "path": "/status"}]).to_string();
        subresource(&["patch", kind.plural(), &name, "--type=json", "-p", &replace], "");
        let mut changed = before.clone();
        changed["status"]["conditions"] = json!([]);
        subresource(&["replace", "-f", "-"], &changed.to_string());
        changed["metadata"]["managedFields"] = Value::Null;
        subresource(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &changed.to_string());
        // Beside the subresource a status is dropped, as for every kind with one.
        let beside = patch(kind, &name, "merge", &json!({"status": {"conditions": []}}));
        assert!(beside.ok, "{}", beside.stderr);
        assert_eq!(live(kind, &name)["status"], before["status"]);
    }
}

#[test]
fn there_is_no_other_subresource_and_no_other_version() {
    let group: Value = serde_json::from_str(&ask(&["get", "--raw", "/apis/miax.dev"]).stdout).expect("json");
    let versions: Vec<&str> =
        group["versions"].as_array().expect("versions").iter().map(|v| word(&v["version"])).collect();
    assert_eq!(versions, ["v1alpha1"]);
    let list: Value = serde_json::from_str(&ask(&["get", "--raw", "/apis/miax.dev/v1alpha1"]).stdout).expect("json");
    let mut found: Vec<&str> =
        list["resources"].as_array().expect("resources").iter().map(|r| word(&r["name"])).collect();
    found.sort_unstable();
    let mut expected: Vec<String> = GovernedKind::ALL
        .into_iter()
        .flat_map(|kind| [kind.plural().to_owned(), format!("{}/status", kind.plural())])
        .collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
    for kind in GovernedKind::ALL {
        let name = stored(kind, "unscaled");
        let scaled = ask(&[scope(kind), &["scale", kind.plural(), &name, "--replicas=2"]].concat());
        let nowhere = ["could not find the requested resource", "NotFound"];
        assert!(!scaled.ok && nowhere.iter().any(|n| scaled.stderr.contains(n)), "{}", scaled.stderr);
    }
}
