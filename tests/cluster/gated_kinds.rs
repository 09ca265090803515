//! Ways around a shut gate, one by one: an objective that nobody has measured refuses every change of a pod template, by option also of
//! ReplicaSets, Jobs, CronJobs and Pods.

use std::process::Command;
use std::sync::LazyLock;

use miax_cluster::{Output, eventually};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::gate::opt_in;
use crate::support::{OWNERS, accepts, entries, objective_with, stage};

const SHOP: &str = "shop";
/// It is never dropped; the janitor ends it when this process does.
static STAGE: LazyLock<Stage> = LazyLock::new(shut);

/// A stage whose gate judges every kind, with an objective for all of the namespace and workloads from before.
fn shut() -> Stage {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    for (kind, name) in KINDS {
        kubectl.run_with(&["create", "-f", "-"], &workload(kind, name, "a:1").to_string()).expect("before the gate");
    }
    let url = format!("https://127.0.0.1:{}", stage.webhook_port());
    let more = ["manifests", "--url", &url, "--gate-kind", "ReplicaSet,Job,CronJob,Pod"];
    let printed = Command::new(env!("CARGO_BIN_EXE_miax-operator")).args(more).output().expect("it prints");
    let objects = String::from_utf8(printed.stdout).expect("text");
    kubectl
        .run_with(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &objects)
        .expect("every kind is judged");
    opt_in(&stage);
    let all = |spec: &mut Value| spec["gate"] = json!({"allWorkloads": true});
    accepts(&stage, &objective_with(&stage, "everything", all, &OWNERS));
    stage.wait_for("slo/everything", &["-n", SHOP], "Recorded").expect("it holds");
    let dry = ["-n", SHOP, "set", "image", "deployment/checkout", "checkout=a:9", "--dry-run=server"];
    let refuses = || (!kubectl.ask(&dry, "").expect("kubectl runs").ok).then_some(());
    assert!(eventually(refuses).is_some(), "{}", stage.webhook.log());
    stage
}

/// A workload of each kind that was there before the gate shut.
const KINDS: [(&str, &str); 5] =
    [("StatefulSet", "db"), ("DaemonSet", "agent"), ("ReplicaSet", "bare"), ("CronJob", "nightly"), ("Pod", "lone")];

fn workload(kind: &str, name: &str, image: &str) -> Value {
    let labels = json!({"app": name});
    let pods = json!({"containers": [{"name": "c", "image": image}]});
    let template = json!({"metadata": {"labels": labels}, "spec": pods});
    let (version, spec) = match kind {
        "Pod" => ("v1", pods),
        "Job" => {
            let mut once = pods;
            once["restartPolicy"] = json!("Never");
            ("batch/v1", json!({"template": {"spec": once}}))
        }
        "CronJob" => {
            let mut once = pods;
            once["restartPolicy"] = json!("Never");
            ("batch/v1", json!({"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": once}}}}))
        }
        _ => ("apps/v1", json!({"selector": {"matchLabels": labels}, "template": template, "serviceName": name})),
    };
    let mut spec = spec;
    if kind != "StatefulSet"
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("serviceName");
    }
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SHOP}, "spec": spec})
}

fn ask(arguments: &[&str], input: &str) -> Output {
    STAGE.plane().kubectl().ask(&[&["-n", SHOP], arguments].concat(), input).expect("kubectl runs")
}

#[track_caller]
fn refused(what: &str, output: &Output) {
    assert!(!output.ok && output.stderr.contains("BudgetUnknown: SLO shop/everything"), "{what}: {}", output.stderr);
}

#[track_caller]
fn passes(what: &str, output: &Output) {
    assert!(output.ok, "{what}: {}", output.stderr);
}

#[test]
fn a_new_workload_of_any_kind_is_refused_while_the_gate_is_shut() {
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"] {
        let other = workload(kind, "elsewhere", "a:2").to_string();
        refused(kind, &ask(&["create", "-f", "-"], &other));
        refused(kind, &ask(&["apply", "--server-side", "--field-manager=robot", "-f", "-"], &other));
    }
}

#[test]
fn pods_and_what_makes_them_do_not_change_directly_while_the_gate_is_shut() {
    for kind in ["statefulset/db", "daemonset/agent", "replicaset/bare", "cronjob/nightly", "pod/lone"] {
        refused(kind, &ask(&["set", "image", kind, "c=a:2"], ""));
    }
    let debugger = json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "a:2"}]}}).to_string();
    let ephemeral = ["patch", "pod", "lone", "--subresource=ephemeralcontainers", "--type=strategic", "-p", &debugger];
    refused("an ephemeral container", &ask(&ephemeral, ""));
    let about = || entries(&STAGE).iter().filter(|e| e["object"]["name"] == "bare").count();
    let before = about();
    refused("a dry run", &ask(&["set", "image", "replicaset/bare", "c=a:3", "--dry-run=server"], ""));
    assert_eq!(about(), before, "and it leaves no entry");
}

#[test]
fn what_ends_an_outage_passes_a_shut_gate() {
    passes("scale", &ask(&["scale", "deployment/checkout", "--replicas", "3"], ""));
    passes("scale", &ask(&["scale", "replicaset/bare", "--replicas", "2"], ""));
    passes("a label", &ask(&["label", "cronjob/nightly", "a=b"], ""));
    passes("suspending a CronJob", &ask(&["patch", "cronjob/nightly", "-p", r#"{"spec":{"suspend":true}}"#], ""));
    passes("a deletion", &ask(&["delete", "statefulset/db", "--wait=false"], ""));
    let again = workload("StatefulSet", "db", "a:1").to_string();
    refused("deleted and made again", &ask(&["create", "-f", "-"], &again));
    let leave = STAGE.plane().kubectl().ask(&["label", "namespace", SHOP, "miax.dev/gate-", "--dry-run=server"], "");
    passes("an administrator takes the label away", &leave.expect("kubectl runs"));
}
