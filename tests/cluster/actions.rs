//! Every action on every kind of workload that it exists for, on a real API server with its controllers.

use miax_stage::Stage;

use crate::support::{accepts, approved, draft, entries, rejects, stage, wait_done, wait_field};

const WORKLOADS: &str = r#"
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, namespace: shop}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: db, image: "registry.example/db:1"}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: "registry.example/agent:1"}]}
"#;

/// Changes the image, so that there is a revision 2 to come back from, and waits until the controller counted it.
fn second_revision(stage: &Stage, kind: &str, name: &str, container: &str) {
    let kubectl = stage.plane().kubectl();
    let object = format!("{kind}/{name}");
    let revisions = || {
        let history = kubectl.run(&["-n", "shop", "rollout", "history", &object]).unwrap_or_default();
        history.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_digit())).count()
    };
    assert!(miax_cluster::eventually(|| (revisions() == 1).then_some(())).is_some(), "{object} has no first revision");
    let image = format!("{container}=registry.example/other:2");
    kubectl.run(&["-n", "shop", "set", "image", &object, &image]).expect("image");
    assert!(miax_cluster::eventually(|| (revisions() == 2).then_some(())).is_some(), "{object} has no second revision");
}

#[test]
fn every_action_does_what_kubectl_would() {
    let stage = stage();
    stage.plane().kubectl().run_with(&["apply", "-f", "-"], WORKLOADS).expect("workloads");
    let run = |name: &str, action: &[&str]| {
        let file = approved(&stage, name, action);
        accepts(&stage, &file);
        wait_done(&stage, name);
    };
    run("scale-deployment", &["scale", "deployment/checkout", "--replicas", "3"]);
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "3");
    run("scale-statefulset", &["scale", "statefulset/db", "--replicas", "2"]);
    wait_field(&stage, "statefulset/db", ".spec.replicas", "2");

    let marker = r".spec.template.metadata.annotations.miax\.dev/restarted-by";
    for (kind, name) in [("deployment", "checkout"), ("statefulset", "db"), ("daemonset", "agent")] {
        let command = format!("restart-{kind}");
        run(&command, &["restart", &format!("{kind}/{name}")]);
        let digest =
            stage.plane().kubectl().run(&["-n", "shop", "get", "mxcmd", &command, "-o", "jsonpath={.status.digest}"]);
        wait_field(&stage, &format!("{kind}/{name}"), marker, &digest.expect("digest"));
    }

    let create = ["create", "deployment", "web", "--image", "registry.example/web:1", "--replicas", "2"];
    stage.plane().kubectl().run(&[&["-n", "shop"], &create[..]].concat()).expect("deployment");
    second_revision(&stage, "deployment", "web", "web");
    run("rollback-deployment", &["rollback", "deployment/web", "--to-revision", "1"]);
    wait_field(&stage, "deployment/web", ".spec.template.spec.containers[0].image", "registry.example/web:1");
    wait_field(&stage, "deployment/web", ".spec.replicas", "2");

    let patch = [
        "patch",
        "deployment/web",
        "--image",
        "web=registry.example/web:3",
        "--env",
        "web:LOG=debug",
        "--limit",
        "web:memory=1Gi",
        "--replicas",
        "3",
    ];
    run("patch-deployment", &patch);
    let first = ".spec.template.spec.containers[0]";
    wait_field(&stage, "deployment/web", &format!("{first}.image"), "registry.example/web:3");
    wait_field(&stage, "deployment/web", &format!("{first}.env[0].value"), "debug");
    wait_field(&stage, "deployment/web", &format!("{first}.resources.limits.memory"), "1Gi");
    wait_field(&stage, "deployment/web", ".spec.replicas", "3");
    run("patch-daemonset", &["patch", "daemonset/agent", "--image", "agent=registry.example/agent:2"]);
    wait_field(&stage, "daemonset/agent", &format!("{first}.image"), "registry.example/agent:2");
    let stranger = approved(&stage, "patch-stranger", &["patch", "deployment/web", "--image", "sidecar=evil:1"]);
    accepts(&stage, &stranger);
    let failed = r#".status.conditions[?(@.type=="Succeeded")].message"#;
    wait_field(&stage, "mxcmd/patch-stranger", failed, "Deployment shop/web has no container `sidecar`");

    let lonely = approved(&stage, "rollback-nowhere", &["rollback", "deployment/web", "--to-revision", "99"]);
    accepts(&stage, &lonely);
    let path = r#".status.conditions[?(@.type=="Succeeded")].reason"#;
    wait_field(&stage, "mxcmd/rollback-nowhere", path, "EffectFailed");

    // What an organ may do is bounded by the rights of its account, whatever was approved.
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["delete", "clusterrolebinding", "miax-seat"]).expect("the seats lose their rights");
    let file = approved(&stage, "without-rights", &["scale", "deployment/checkout", "--replicas", "5"]);
    accepts(&stage, &file);
    wait_field(&stage, "mxcmd/without-rights", path, "TargetMissing");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "3");

    let kinds: Vec<String> = entries(&stage).iter().map(|e| e["kind"].as_str().expect("kind").to_owned()).collect();
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!((count("effect.begin"), count("effect.done"), count("effect.failed")), (10, 8, 2));
    assert_eq!(count("stored"), 12, "the charter and eleven commands were seen stored");
}

#[test]
fn a_target_that_does_not_exist_is_refused() {
    let stage = stage();
    let file = approved(&stage, "ghost", &["scale", "deployment/ghost", "--replicas", "3"]);
    rejects(&stage, &file, "TargetMissing");
    let file = draft(&stage, "unsigned", &["restart", "deployment/checkout"]);
    rejects(&stage, &file, "Unsigned");
}

#[test]
fn commands_take_effect_in_the_order_of_the_ledger() {
    let mut stage = stage();
    stage.controller.kill();
    // By name, as the API server lists them after a restart, they would come the other way round.
    for (name, replicas) in [("zebra", "2"), ("mole", "5"), ("ant", "3")] {
        let file = approved(&stage, name, &["scale", "deployment/checkout", "--replicas", replicas]);
        accepts(&stage, &file);
    }
    stage.restart_controller().expect("a controller starts");
    for name in ["zebra", "mole", "ant"] {
        wait_done(&stage, name);
    }
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "3");
    let begun: Vec<String> = entries(&stage)
        .iter()
        .filter(|e| e["kind"] == "effect.begin")
        .map(|e| e["object"]["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(begun, ["zebra", "mole", "ant"]);
}
