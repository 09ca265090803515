//! What syncers see: the health scripts for Argo CD and the rules of kstatus, on the same objects.

use std::collections::BTreeSet;

use miax::api::GovernedKind;
use miax::api::reason::Reason;
use miax::trust::parse_yaml_strict;
use miax_cluster::{Health, Verdicts, health};
use serde_json::Value;

use crate::root;

const FOLDER: &str = "config/argocd/resource_customizations/miax.dev";

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

fn yaml(path: &str) -> Value {
    parse_yaml_strict(&read(path)).expect(path).remove(0)
}

/// The cases of a kind: the object and the health that it has, in Argo CD's own form of such a file.
fn cases(kind: GovernedKind) -> Vec<(String, Value, Health)> {
    let folder = format!("{FOLDER}/{}", kind.kind());
    let suite = yaml(&format!("{folder}/health_test.yaml"));
    let case = |case: &Value| {
        let text = |pointer: &str| case.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned();
        let path = text("/inputPath");
        let expected = Health { status: text("/healthStatus/status"), message: text("/healthStatus/message") };
        (path.clone(), yaml(&format!("{folder}/{path}")), expected)
    };
    suite.pointer("/tests").and_then(Value::as_array).expect("tests").iter().map(case).collect()
}

/// The state that kstatus must give to an object that Argo CD calls so.
fn in_kstatus(path: &str, argo: &str) -> &'static str {
    match (path, argo) {
        // kstatus takes what has no status for finished; it learns of us with the first look.
        ("testdata/unseen.yaml", _) => "Current",
        // In force, so that nothing failed; and not ready, so that somebody does something before its end.
        ("testdata/expiring.yaml", _) => "InProgress",
        (_, "Healthy") => "Current",
        (_, "Suspended" | "Progressing") => "InProgress",
        (_, "Degraded") => "Failed",
        (path, other) => panic!("{path}: `{other}` is not a health"),
    }
}

#[test]
fn argo_cd_and_kstatus_agree_on_every_state_of_every_kind() {
    for kind in GovernedKind::ALL {
        let script = read(&format!("{FOLDER}/{}/health.lua", kind.kind()));
        let mut seen = BTreeSet::new();
        for (path, object, expected) in cases(kind) {
            let Verdicts { argo, kstatus } = health(&script, &object).expect(&path);
            assert_eq!(argo, expected, "{path}");
            assert_eq!(kstatus.status, in_kstatus(&path, &argo.status), "{path}");
            seen.insert(path);
        }
        let folder = root().join(FOLDER).join(kind.kind()).join("testdata");
        let files = std::fs::read_dir(folder).expect("testdata");
        let files = files.map(|f| format!("testdata/{}", f.expect("a file").file_name().to_string_lossy()));
        assert_eq!(seen, files.collect::<BTreeSet<_>>(), "every file is a case");
    }
}

#[test]
fn health_scripts_and_their_objects_name_reasons_that_exist() {
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    for kind in GovernedKind::ALL {
        for (path, object, _) in cases(kind) {
            assert_eq!(object["kind"], kind.kind(), "{path}");
            for condition in object["status"]["conditions"].as_array().into_iter().flatten() {
                let reason = condition["reason"].as_str().expect("a reason");
                assert!(known.contains(reason), "{path}: {reason}");
            }
        }
        let script = read(&format!("{FOLDER}/{}/health.lua", kind.kind()));
        let listed = script.lines().filter_map(|line| line.trim().strip_suffix(" = true,"));
        let compared = script.split("reason == \"").skip(1).filter_map(|rest| rest.split('"').next());
        let named: Vec<&str> = listed.chain(compared).collect();
        assert!(named.len() > 3 && named.iter().all(|word| known.contains(word)), "{}: {named:?}", kind.kind());
    }
}
