//! Every way that the API server knows to change what runs in a frozen namespace: a test for each cell of the workloads in
//! docs/reference/coverage.md, all on one stage.

use std::sync::LazyLock;

use miax::constitution::WorkloadKind;
use miax_cluster::{Output, eventually};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{command, entries, stage, takes_effect};

/// It is never dropped; the janitor ends it when this process does.
static STAGE: LazyLock<Stage> = LazyLock::new(frozen);

const NAMESPACE: &str = "coverage";

/// A stage with a namespace that opted in and is frozen, and workloads from before.
fn frozen() -> Stage {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["create", "namespace", NAMESPACE]).expect("namespace");
    kubectl.run(&["label", "namespace", NAMESPACE, "miax.dev/gate=enabled"]).expect("opted in");
    for test in TESTS {
        for kind in WorkloadKind::ALL {
            kubectl.run_with(&["create", "-f", "-"], &workload(kind, test, "a:1").to_string()).expect("open");
        }
    }
    let action = json!({"type": "Freeze", "freeze": {}});
    let file = command(&stage, (NAMESPACE, "freeze"), &action, &[("tina", "CTK"), ("alma", "ALPHA"), ("frank", "SRE")]);
    takes_effect(&stage, (NAMESPACE, "freeze"), &file);
    let probe = workload(WorkloadKind::Deployment, "probe", "a:1").to_string();
    let holds = || {
        let answer = kubectl.ask(&["create", "--dry-run=server", "-f", "-"], &probe).expect("kubectl runs");
        (!answer.ok).then_some(())
    };
    assert!(eventually(holds).is_some(), "the webhook never refuses: {}", stage.webhook.log());
    stage
}

/// Names of the workloads that a test changes; one of each kind is there before the freeze.
const TESTS: [&str; 8] = ["template", "replace", "apply", "metadata", "scaled", "status", "deleted", "marked"];

fn workload(kind: WorkloadKind, name: &str, image: &str) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind.as_str(), "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "a", "image": format!("registry.example/{image}")}]},
            },
        },
    });
    if kind == WorkloadKind::StatefulSet {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

fn ask_with(arguments: &[&str], input: &str) -> Output {
    STAGE.plane().kubectl().ask(&[&["-n", NAMESPACE], arguments].concat(), input).expect("kubectl runs")
}

fn ask(arguments: &[&str]) -> Output {
    ask_with(arguments, "")
}

#[track_caller]
fn refused(what: &str, output: &Output) {
    assert!(!output.ok && output.stderr.contains("NamespaceFrozen: "), "{what} passes: {}", output.stderr);
}

#[track_caller]
fn passes(what: &str, output: &Output) {
    assert!(output.ok, "{what}: {}", output.stderr);
}

/// The check for each kind of workload.
fn each(check: impl Fn(WorkloadKind, &str)) {
    WorkloadKind::ALL.into_iter().for_each(|kind| check(kind, kind.plural()));
}

const TEMPLATE: &str = r#"{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}"#;

#[test]
fn a_new_workload_is_refused_under_every_name() {
    each(|kind, plural| {
        let new = workload(kind, "new", "a:1");
        refused(plural, &ask_with(&["create", "-f", "-"], &new.to_string()));
        let mut generated = new;
        generated["metadata"] = json!({"generateName": "new-", "namespace": NAMESPACE});
        refused(plural, &ask_with(&["create", "-f", "-"], &generated.to_string()));
    });
}

#[test]
fn every_verb_that_changes_a_pod_template_is_refused() {
    each(|kind, plural| {
        let changed = |name: &str| workload(kind, name, "a:2").to_string();
        for way in ["merge", "strategic"] {
            refused(plural, &ask(&["patch", plural, "template", "--type", way, "-p", TEMPLATE]));
        }
        let add = r#"[{"op":"add","path":"/spec/template/metadata/annotations","value":{"a":"b"}}]"#;
        refused(plural, &ask(&["patch", plural, "template", "--type", "json", "-p", add]));
        refused(plural, &ask_with(&["replace", "-f", "-"], &changed("replace")));
        refused(plural, &ask_with(&["apply", "-f", "-"], &changed("apply")));
        for manager in ["kubectl", "robot"] {
            let apply = ["apply", "--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-"];
            refused(plural, &ask_with(&apply, &changed("apply")));
        }
        refused(plural, &ask(&["rollout", "restart", &format!("{plural}/template")]));
    });
}

#[test]
fn a_change_of_a_workload_as_a_dry_run_is_refused_and_not_recorded() {
    let about = |name: &str| entries(&STAGE).iter().filter(|e| e["object"]["name"] == name).count();
    each(|kind, plural| {
        let dry = ["create", "--dry-run=server", "-f", "-"];
        refused(plural, &ask_with(&dry, &workload(kind, "dry", "a:1").to_string()));
    });
    assert_eq!(about("dry"), 0);
}

#[test]
fn metadata_and_replicas_of_a_workload_change_without_an_entry() {
    each(|_, plural| {
        passes(plural, &ask(&["annotate", plural, "metadata", "a=b"]));
        passes(plural, &ask(&["label", plural, "metadata", "a=b"]));
        if plural != "daemonsets" {
            passes(plural, &ask(&["patch", plural, "metadata", "-p", r#"{"spec":{"replicas":2}}"#]));
        }
    });
    assert!(!entries(&STAGE).iter().any(|e| e["object"]["name"] == "metadata"));
}

#[test]
fn a_workload_is_scaled_in_a_freeze() {
    for plural in ["deployments", "statefulsets"] {
        passes(plural, &ask(&["scale", plural, "scaled", "--replicas", "3"]));
        let scale = r#"{"spec":{"replicas":2}}"#;
        passes(plural, &ask(&["patch", plural, "scaled", "--subresource", "scale", "--type=merge", "-p", scale]));
    }
}

#[test]
fn the_status_of_a_workload_is_no_matter_of_the_gate() {
    each(|_, plural| {
        let status = r#"{"status":{"observedGeneration":1}}"#;
        let template =
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"registry.example/evil:1"}]}}}}"#;
        passes(plural, &ask(&["patch", plural, "status", "--subresource", "status", "--type=merge", "-p", status]));
        // Whatever else such a request carries, the API server drops.
        passes(plural, &ask(&["patch", plural, "status", "--subresource", "status", "--type=merge", "-p", template]));
        let image = ask(&["get", plural, "status", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
        assert_eq!(image.stdout, "registry.example/a:1", "{plural}");
    });
}

#[test]
fn a_workload_is_deleted_in_a_freeze() {
    each(|_, plural| {
        passes(plural, &ask(&["delete", plural, "deleted", "--wait=false"]));
        passes(plural, &ask(&["delete", plural, "-l", "no-such=label"]));
    });
}

#[test]
fn a_workload_with_a_deletion_mark_is_held_to_the_same_rules() {
    each(|_, plural| {
        let finalizer = r#"{"metadata":{"finalizers":["example.com/keep"]}}"#;
        passes(plural, &ask(&["patch", plural, "marked", "--type=merge", "-p", finalizer]));
        passes(plural, &ask(&["delete", plural, "marked", "--wait=false"]));
        refused(plural, &ask(&["patch", plural, "marked", "-p", TEMPLATE]));
        passes(plural, &ask(&["patch", plural, "marked", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]));
    });
}

#[test]
fn what_the_gate_does_not_cover_passes_and_the_page_says_so() {
    let pod = json!({"spec": {"containers": [{"name": "a", "image": "registry.example/a:1"}]}});
    let mut bare = pod.clone();
    bare["apiVersion"] = json!("v1");
    bare["kind"] = json!("Pod");
    bare["metadata"] = json!({"name": "bare"});
    let labels = json!({"app": "loose"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod["spec"]});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "loose"},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
    });
    let mut once = template.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    let job =
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": once}});
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": once}}},
    });
    let controller = json!({
        "apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "old"},
        "spec": {"replicas": 0, "selector": labels, "template": template},
    });
    for object in [&bare, &set, &job, &cron, &controller] {
        passes("a new one", &ask_with(&["create", "-f", "-"], &object.to_string()));
    }
    let debug = r#"{"spec":{"ephemeralContainers":[{"name":"debug","image":"registry.example/debug:1"}]}}"#;
    let patch = ["patch", "pod", "bare", "--subresource", "ephemeralcontainers", "--type=strategic", "-p", debug];
    passes("an ephemeral container", &ask(&patch));
}
