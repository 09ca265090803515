//! Miax under a syncer: an account without rights of its own, that applies the same objects again and again, in every way.

use std::path::Path;

use miax_cluster::{Kubectl, Output, Verdicts, health};
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{
    accepts, approved, draft, entries, rejects_as, scale, stage, wait_cluster_field, wait_done, wait_field,
};

/// What a syncer needs for commands, and nothing else.
const SYNCER: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: argocd}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: syncer, namespace: argocd}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: syncer, namespace: shop}
rules:
- {apiGroups: [miax.dev], resources: [controlcommands], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: syncer, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: syncer}
subjects: [{kind: ServiceAccount, name: syncer, namespace: argocd}]
"#;

/// How often the syncer applies.
const APPLIES: usize = 1000;
/// Syncers side by side; each is one process of kubectl.
const PROCESSES: usize = 4;

fn syncer(stage: &Stage) -> Kubectl {
    stage.plane().kubectl().run_with(&["apply", "-f", "-"], SYNCER).expect("rights");
    let config = stage.plane().kubeconfig_of_account("argocd", "syncer").expect("a token");
    Kubectl::new(&config).expect("kubectl")
}

fn live(stage: &Stage, object: &str) -> Value {
    let text = stage.plane().kubectl().run(&["-n", "shop", "get", object, "-o", "json"]).expect("stored");
    serde_json::from_str(&text).expect("json")
}

fn digest(stage: &Stage, object: &Value) -> String {
    std::fs::write(stage.file("live.json"), object.to_string()).expect("written");
    let text = stage.cli().run(&["show", "-f", "live.json", "-o", "json"]).expect("shown");
    serde_json::from_str::<Value>(&text).expect("json")["digest"].as_str().expect("a digest").to_owned()
}

/// How often the API server has asked our webhook.
fn reviews(stage: &Stage) -> usize {
    let metrics = stage.plane().kubectl().run(&["get", "--raw", "/metrics"]).expect("metrics");
    let ours = |line: &&str| {
        line.starts_with("apiserver_admission_webhook_request_total{") && line.contains(r#"name="governed.miax.dev""#)
    };
    let count = |line: &str| line.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()).expect("a count");
    metrics.lines().filter(ours).map(count).sum()
}

fn verdicts(stage: &Stage, kind: &str, object: &str) -> (String, String) {
    let path = format!("config/argocd/resource_customizations/miax.dev/{kind}/health.lua");
    let script = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("a script");
    let Verdicts { argo, kstatus } = health(&script, &live(stage, object)).expect("an answer");
    (argo.status, kstatus.status)
}

#[test]
fn every_way_to_apply_keeps_the_signatures_and_none_is_recorded_twice() {
    let stage = stage();
    let syncer = syncer(&stage);
    let rights = syncer.ask(&["-n", "shop", "auth", "can-i", "patch", "deployments"], "").expect("kubectl runs");
    assert_eq!(rights.stdout.trim(), "no", "whatever is carried out is not carried out by the syncer");
    let unsigned = draft(&stage, "unsigned", &scale("3"));
    rejects_as(&syncer, &stage.file(&unsigned), "Unsigned");

    // As Argo CD stores it: with its own label and annotation, which nobody signed.
    let file = approved(&stage, "sale", &scale("3"));
    let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
    let tracking = "metadata:\n  labels: {app.kubernetes.io/instance: shop}\n  annotations: \
        {argocd.argoproj.io/tracking-id: 'shop:miax.dev/ControlCommand:shop/sale'}\n";
    let tracked = text.replacen("metadata:\n", tracking, 1);
    assert_ne!(text, tracked);
    let path = stage.file("tracked.yaml");
    std::fs::write(&path, tracked).expect("written");
    syncer.run(&["apply", "-f", &path]).expect("three-way apply");
    wait_done(&stage, "sale");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "3");
    let signed = digest(&stage, &live(&stage, "mxcmd/sale"));

    let before = entries(&stage).len();
    let ways: [&[&str]; 8] = [
        &["apply"],
        &["apply", "--server-side", "--field-manager=argocd-controller"],
        &["apply", "--server-side", "--field-manager=argocd-controller", "--force-conflicts"],
        &["apply", "--server-side", "--field-manager=kustomize-controller", "--force-conflicts"],
        &["replace"],
        &["apply", "--dry-run=server"],
        &["apply", "--server-side", "--dry-run=server", "--field-manager=argocd-controller"],
        &["diff"],
    ];
    for way in ways {
        let Output { ok, stdout, stderr } = syncer.ask(&[way, &["-f", &path]].concat(), "").expect("kubectl runs");
        assert!(ok, "{way:?}: {stdout}{stderr}");
        assert_eq!(digest(&stage, &live(&stage, "mxcmd/sale")), signed, "{way:?}");
    }
    // Without what the syncer added: labels and annotations have no authority, on the way in and on the way out.
    syncer.run(&["apply", "-f", &stage.file(&file)]).expect("applied");
    syncer.run(&["-n", "shop", "annotate", "mxcmd", "sale", "argocd.argoproj.io/refresh=hard"]).expect("annotated");
    assert_eq!(digest(&stage, &live(&stage, "mxcmd/sale")), signed);
    assert_eq!(entries(&stage).len(), before, "nothing of this is worth an entry");
    assert_eq!(live(&stage, "mxcmd/sale")["metadata"]["generation"], 1, "what is signed never changed");
}

#[test]
fn a_thousand_applies_and_diffs_write_nothing() {
    let stage = stage();
    let syncer = syncer(&stage);
    let mut list = Vec::new();
    for name in ["one", "two"] {
        let file = approved(&stage, name, &["restart", "deployment/checkout"]);
        let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
        list.push(text);
        syncer.run(&["apply", "--server-side", "-f", &stage.file(&file)]).expect("applied");
        wait_done(&stage, name);
    }
    let version = |name: &str| live(&stage, &format!("mxcmd/{name}"))["metadata"]["resourceVersion"].clone();
    let before = (entries(&stage).len(), version("one"), version("two"));
    let asked_before = reviews(&stage);
    let many = list.iter().map(String::as_str).cycle().take(APPLIES / PROCESSES).collect::<Vec<_>>().join("\n---\n");
    let repeat = |more: &'static [&'static str]| {
        std::thread::scope(|scope| {
            let run = || syncer.run_with(&[&["apply", "--server-side", "-f", "-"], more].concat(), &many);
            let all: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(run)).collect();
            let lines = |output: String| output.lines().count();
            all.into_iter().map(|one| lines(one.join().expect("no panic").expect("applied"))).sum::<usize>()
        })
    };
    assert_eq!(repeat(&[]), APPLIES);
    assert_eq!(repeat(&["--dry-run=server"]), APPLIES);
    let asked = reviews(&stage) - asked_before;
    assert!(asked >= 2 * APPLIES, "the webhook was asked {asked} times only");
    assert_eq!((entries(&stage).len(), version("one"), version("two")), before);
}

#[test]
fn argo_cd_and_flux_see_what_became_of_an_object() {
    let stage = stage();
    let done = approved(&stage, "done", &scale("3"));
    accepts(&stage, &done);
    wait_done(&stage, "done");
    let lost = approved(&stage, "lost", &["rollback", "deployment/checkout", "--to-revision", "99"]);
    accepts(&stage, &lost);
    let condition = |kind: &str, field: &str| format!(r#".status.conditions[?(@.type=="{kind}")].{field}"#);
    wait_field(&stage, "mxcmd/lost", &condition("Stalled", "reason"), "EffectFailed");
    let words = |argo: &str, kstatus: &str| (argo.to_owned(), kstatus.to_owned());
    assert_eq!(verdicts(&stage, "ControlCommand", "mxcmd/done"), words("Healthy", "Current"));
    assert_eq!(verdicts(&stage, "ControlCommand", "mxcmd/lost"), words("Degraded", "Failed"));
    assert_eq!(verdicts(&stage, "Manifest", "mxman/constitution-v1"), words("Healthy", "Current"));

    // Stored while the webhook did not look: nobody approved it, and it waits.
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["delete", "validatingwebhookconfiguration", "miax-governed"]).expect("deleted");
    let waits = draft(&stage, "waits", &scale("4"));
    for (verb, who, seat) in [("sign", "alpha-bot", "ALPHA"), ("approve", "frank", "SRE")] {
        stage.organisation().sign(verb, &waits, who, seat).expect("signed");
    }
    let stored = || kubectl.run(&["apply", "-f", &stage.file(&waits)]).ok();
    assert!(miax_cluster::eventually(stored).is_some());
    wait_field(&stage, "mxcmd/waits", &condition("Reconciling", "reason"), "SeatsMissing");
    assert_eq!(verdicts(&stage, "ControlCommand", "mxcmd/waits"), words("Suspended", "InProgress"));
    let unsigned = draft(&stage, "unsigned", &scale("4"));
    accepts(&stage, &unsigned);
    wait_field(&stage, "mxcmd/unsigned", &condition("Stalled", "reason"), "Unsigned");
    assert_eq!(verdicts(&stage, "ControlCommand", "mxcmd/unsigned"), words("Degraded", "Failed"));
    wait_cluster_field(&stage, "mxman/constitution-v1", &condition("Ready", "status"), "True");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "3");
}
