//! What the API server itself keeps for Miax, and what is noticed when somebody takes it away.

use miax_cluster::{ControlPlane, Output, eventually};
use miax_stage::Stage;

use crate::support::{shows_the_admission_settings, stage, stage_on};

const TENANT: &str = r#"
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tenant}
rules:
- {apiGroups: [admissionregistration.k8s.io, apiextensions.k8s.io, ""], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: tenant}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: tenant}
subjects: [{kind: User, name: tenant, apiGroup: rbac.authorization.k8s.io}]
"#;

const WEBHOOKS: &str = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
const BLOCK: &str = "ecm-0000-0000000000000000";

fn ask(stage: &Stage, arguments: &[&str]) -> Output {
    stage.plane().kubectl().ask(arguments, "").expect("kubectl runs")
}

/// Policies take a moment to take effect after they were installed.
#[track_caller]
fn guarded(stage: &Stage, arguments: &[&str], message: &str) {
    let refused = eventually(|| ask(stage, arguments).stderr.contains(message).then_some(()));
    assert!(refused.is_some(), "{arguments:?}: {}", ask(stage, arguments).stderr);
}

#[test]
fn the_ledger_and_every_status_are_written_by_miax_alone() {
    let stage = stage();
    let append_only = "the ledger is append-only and written by Miax alone";
    // A dry run: while the policy is not in effect yet, nothing must be created.
    guarded(&stage, &["-n", "miax-ledger", "create", "configmap", "forged", "--dry-run=server"], append_only);
    guarded(&stage, &["-n", "miax-ledger", "delete", "configmap", BLOCK], append_only);
    guarded(&stage, &["-n", "miax-ledger", "label", "configmap", BLOCK, "a=b"], append_only);
    guarded(&stage, &["delete", "--raw", "/api/v1/namespaces/miax-ledger/configmaps"], append_only);
    let patch = r#"{"status":{"conditions":[]}}"#;
    let status = ["patch", "manifest", "constitution-v1", "--subresource=status", "--type=merge", "-p", patch];
    guarded(&stage, &status, "written by its controller alone");
    stage.cli().run(&["ledger", "head"]).expect("nothing was lost");
}

#[test]
fn who_may_change_webhooks_may_not_change_ours() {
    let stage = stage();
    stage.plane().kubectl().run_with(&["apply", "-f", "-"], TENANT).expect("rights");
    let refused =
        |arguments: &[&str]| guarded(&stage, &[&["--as", "tenant"], arguments].concat(), "needs the verb `administer`");
    let weaker = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    refused(&["patch", "validatingwebhookconfiguration", "miax-governed", "--type=json", "-p", weaker]);
    refused(&["delete", "validatingwebhookconfiguration", "miax-governed"]);
    refused(&["delete", "--raw", WEBHOOKS]);
    refused(&["delete", "crd", "controlcommands.miax.dev"]);
    refused(&["delete", "namespace", "miax-ledger"]);
    // What is not ours is not our business.
    let other = ["--as", "tenant", "create", "namespace", "elsewhere"];
    assert!(
        ask(&stage, &other).ok
            && ask(&stage, &["--as", "tenant", "delete", "namespace", "elsewhere", "--wait=false"]).ok
    );
}

#[test]
fn a_guard_that_is_taken_away_or_weakened_is_noticed() {
    let stage = stage();
    let noticed = |name: &str, what: &str| {
        let line = |l: &str| l.contains("a guard of Miax does not hold") && l.contains(name) && l.contains(what);
        let found = eventually(|| stage.controller.log().lines().any(line).then_some(()));
        assert!(found.is_some(), "{name}: {}", stage.controller.log());
    };
    assert!(!stage.controller.log().contains("does not hold"), "as it was installed it holds");
    stage.plane().kubectl().run(&["delete", "validatingadmissionpolicybinding", "miax-ledger"]).expect("deleted");
    noticed("miax-ledger", "it is gone");
    let weaker = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    let patch = ["patch", "validatingwebhookconfiguration", "miax-governed", "--type=json", "-p", weaker];
    stage.plane().kubectl().run(&patch).expect("an administrator of Miax may");
    noticed("miax-governed", "/webhooks/0/failurePolicy");
}

#[test]
fn guards_from_files_hold_against_whoever_may_change_policies() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_miax-operator"))
        .args(["manifests", "--static"])
        .output()
        .expect("runs");
    let stage = stage_on(ControlPlane::builder().static_policies(&String::from_utf8_lossy(&output.stdout)));
    shows_the_admission_settings(&stage, "docs/operations/static-guards.md");
    stage.plane().kubectl().run_with(&["apply", "-f", "-"], TENANT).expect("rights");
    let refused =
        |arguments: &[&str]| guarded(&stage, &[&["--as", "tenant"], arguments].concat(), "needs the verb `administer`");
    let bindings = "validatingadmissionpolicybinding";
    refused(&["delete", bindings, "miax-ledger"]);
    refused(&["delete", "validatingadmissionpolicy", "miax-installation"]);
    refused(&["patch", bindings, "miax-status", "--type=merge", "-p", r#"{"spec":{"validationActions":["Audit"]}}"#]);
    let policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
    refused(&["delete", "--raw", policies]);
    refused(&["delete", "validatingwebhookconfiguration", "miax-governed"]);
    // What is not ours is not our business.
    let other = r#"{"apiVersion":"admissionregistration.k8s.io/v1","kind":"ValidatingAdmissionPolicyBinding",
        "metadata":{"name":"other"},"spec":{"policyName":"other","validationActions":["Deny"]}}"#;
    let kubectl = stage.plane().kubectl();
    kubectl.run_with(&["--as", "tenant", "create", "-f", "-"], other).expect("created");
    kubectl.run(&["--as", "tenant", "delete", bindings, "other"]).expect("deleted");

    // An administrator of Miax removes what the API can reach: the files hold.
    kubectl
        .run(&["delete", bindings, "miax-ledger", "miax-status", "miax-installation", "miax-gate"])
        .expect("deleted");
    let listed = kubectl.run(&["get", bindings, "-o", "name"]).expect("listed");
    assert!(!listed.contains("miax"), "{listed}");
    refused(&["delete", "validatingwebhookconfiguration", "miax-governed"]);
    let append_only = "the ledger is append-only and written by Miax alone";
    guarded(&stage, &["-n", "miax-ledger", "delete", "configmap", BLOCK], append_only);
    let patch = r#"{"status":{"conditions":[]}}"#;
    let status = ["patch", "manifest", "constitution-v1", "--subresource=status", "--type=merge", "-p", patch];
    guarded(&stage, &status, "written by its controller alone");
    let same_name = other.replace(r#""name":"other""#, r#""name":"miax-ledger.static.k8s.io""#);
    let Output { ok, stderr, .. } = kubectl.ask(&["create", "-f", "-"], &same_name).expect("kubectl runs");
    assert!(!ok && stderr.contains(".static.k8s.io"), "{stderr}");
    stage.cli().run(&["ledger", "head"]).expect("nothing was lost");
}
