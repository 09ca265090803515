//! What all cluster tests share: a stage with a charter in force, and commands as files.

use miax_cluster::{ControlPlane, ControlPlaneBuilder, Kubectl, Output, eventually};
use miax_stage::{Binaries, Options, Stage};
use serde_json::{Value, json};

/// Article X: CTK proposes, APXGP reviews, CEK ratifies; with TC they are two thirds of six.
pub(crate) const QUORUM: [(&str, &str, &str); 5] = [
    ("sign", "tina", "CTK"),
    ("approve", "anna", "APXGP"),
    ("approve", "carol", "CEK"),
    ("approve", "cyrus", "CEK"),
    ("approve", "theo", "TC"),
];

pub(crate) const APPROVALS: [(&str, &str); 3] = [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")];

/// A stage with the charter in force and the Deployment shop/checkout.
pub(crate) fn stage() -> Stage {
    stage_on(ControlPlane::builder())
}

pub(crate) fn stage_on(plane: ControlPlaneBuilder) -> Stage {
    stage_with(plane, Vec::new())
}

/// The same with a webhook that is started with more arguments.
pub(crate) fn stage_with(plane: ControlPlaneBuilder, webhook_arguments: Vec<String>) -> Stage {
    let stage = raise(plane, webhook_arguments, Vec::new());
    with_workload(stage)
}

/// A stage without a charter; both roles get the common arguments.
pub(crate) fn raise(
    plane: ControlPlaneBuilder,
    webhook_arguments: Vec<String>,
    common_arguments: Vec<String>,
) -> Stage {
    let binaries =
        Binaries { miax: env!("CARGO_BIN_EXE_miax").into(), operator: env!("CARGO_BIN_EXE_miax-operator").into() };
    let options = Options { binaries, plane, webhook_arguments, common_arguments };
    Stage::raise(options).expect("the stage is up")
}

/// Brings the charter into force and makes the Deployment shop/checkout.
pub(crate) fn with_workload(stage: Stage) -> Stage {
    stage.adopt_charter().expect("the charter is in force");
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["create", "namespace", "shop"]).expect("namespace");
    kubectl
        .run(&["-n", "shop", "create", "deployment", "checkout", "--image", "registry.example/checkout:1"])
        .expect("deployment");
    stage
}

/// Drafts a command: `action` is what follows `miax draft`.
pub(crate) fn draft(stage: &Stage, name: &str, action: &[&str]) -> String {
    let file = format!("{name}.yaml");
    let fixed = ["-n", "shop", "--impact", "Critical", "--reason", "test", "--audience", "demo", "--name", name];
    let arguments = [&["draft"], action, &fixed, &["--out", &file]].concat();
    stage.cli().run(&arguments).expect("drafted");
    file
}

/// Drafts a command and collects its signatures.
pub(crate) fn approved(stage: &Stage, name: &str, action: &[&str]) -> String {
    let file = draft(stage, name, action);
    approve(stage, &file);
    file
}

pub(crate) fn approve(stage: &Stage, file: &str) {
    let organisation = stage.organisation();
    organisation.sign("sign", file, "alpha-bot", "ALPHA").expect("signed");
    for (name, seat) in APPROVALS {
        organisation.sign("approve", file, name, seat).expect("approved");
    }
}

/// Writes a command of this action, authored by the first and approved by the others, valid for an hour.
pub(crate) fn command(
    stage: &Stage,
    (namespace, name): (&str, &str),
    action: &Value,
    people: &[(&str, &str)],
) -> String {
    let object = json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "ControlCommand",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "audience": ["demo"], "action": action, "impact": "Normal", "reason": "test", "expiresAt": from_now(3600),
            "signatures": [],
        },
    });
    let file = format!("{name}.json");
    std::fs::write(stage.file(&file), object.to_string()).expect("written");
    for (i, (who, seat)) in people.iter().enumerate() {
        let verb = if i == 0 { "sign" } else { "approve" };
        stage.organisation().sign(verb, &file, who, seat).expect("signed");
    }
    file
}

/// Who signs objectives by the default charter.
pub(crate) const OWNERS: [(&str, &str); 2] = [("tina", "CTK"), ("frank", "SRE")];

/// Writes an objective for the Deployment checkout, authored by the first and approved by the others.
pub(crate) fn objective(stage: &Stage, name: &str, people: &[(&str, &str)]) -> String {
    objective_with(stage, name, |_| {}, people)
}

/// The same with another spec.
pub(crate) fn objective_with(
    stage: &Stage,
    name: &str,
    change: impl FnOnce(&mut Value),
    people: &[(&str, &str)],
) -> String {
    let mut object = json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "SLO",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "audience": ["demo"], "version": 1, "expiresAt": from_now(86_400), "objective": "99.9",
            "indicator": {"ratio": {"bad": "http_errors_total", "total": "http_requests_total"}},
            "window": {"rolling": "30d"},
            "gate": {"workloads": [{"kind": "Deployment", "name": "somebody-elses"}]},
            "signatures": [],
        },
    });
    change(&mut object["spec"]);
    let file = format!("{name}-v{}.yaml", object["spec"]["version"]);
    std::fs::write(stage.file(&file), miax::trust::to_yaml(&object)).expect("written");
    for (i, (who, seat)) in people.iter().enumerate() {
        let verb = if i == 0 { "sign" } else { "approve" };
        stage.organisation().sign(verb, &file, who, seat).expect("signed");
    }
    file
}

/// A time so many seconds from now, as documents write it.
#[expect(clippy::disallowed_methods, reason = "the cluster has the same clock")]
pub(crate) fn from_now(seconds: u64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let at = i64::try_from(now + seconds).expect("a time");
    miax::units::UnixSeconds::new(at).to_string()
}

/// Submits a command and waits for its effect.
#[track_caller]
pub(crate) fn takes_effect(stage: &Stage, (namespace, name): (&str, &str), file: &str) {
    accepts(stage, file);
    let done = stage.wait_for(&format!("controlcommand/{name}"), &["-n", namespace], "Succeeded");
    assert!(done.is_ok(), "{name}: {}", stage.controller.log());
}

/// The digest of a document.
pub(crate) fn digest(stage: &Stage, file: &str) -> String {
    let text = stage.cli().run(&["show", "-f", file, "-o", "json"]).expect("shown");
    let value: Value = serde_json::from_str(&text).expect("json");
    value["digest"].as_str().expect("digest").to_owned()
}

/// Signs a file: verb, name and seat of each signature.
pub(crate) fn sign_all(stage: &Stage, file: &str, people: &[(&str, &str, &str)]) {
    for (verb, name, seat) in people {
        stage.organisation().sign(verb, file, name, seat).expect("signed");
    }
}

pub(crate) fn scale(replicas: &str) -> Vec<&str> {
    vec!["scale", "deployment/checkout", "--replicas", replicas]
}

pub(crate) fn apply(stage: &Stage, file: &str) -> Output {
    stage.plane().kubectl().ask(&["apply", "-f", &stage.file(file)], "").expect("kubectl runs")
}

#[track_caller]
pub(crate) fn accepts(stage: &Stage, file: &str) {
    let Output { ok, stderr, .. } = apply(stage, file);
    assert!(ok, "{file}: {stderr}");
}

#[track_caller]
pub(crate) fn rejects(stage: &Stage, file: &str, reason: &str) -> String {
    rejects_as(stage.plane().kubectl(), &stage.file(file), reason)
}

/// The same for somebody else than the administrator.
#[track_caller]
pub(crate) fn rejects_as(kubectl: &Kubectl, path: &str, reason: &str) -> String {
    let Output { ok, stderr, .. } = kubectl.ask(&["apply", "-f", path], "").expect("kubectl runs");
    assert!(!ok && stderr.contains(&format!("denied the request: {reason}: ")), "{path}: should be {reason}: {stderr}");
    stderr
}

#[track_caller]
pub(crate) fn wait_done(stage: &Stage, name: &str) {
    let done = stage.wait_for(&format!("controlcommand/{name}"), &["-n", "shop"], "Succeeded");
    assert!(done.is_ok(), "{name}: {}\n{}", describe(stage, name), stage.controller.log());
}

pub(crate) fn describe(stage: &Stage, name: &str) -> String {
    stage.plane().kubectl().run(&["-n", "shop", "get", "mxcmd", name, "-o", "yaml"]).unwrap_or_default()
}

/// A field of an object in the namespace shop, once it is as expected.
#[track_caller]
pub(crate) fn wait_field(stage: &Stage, object: &str, path: &str, expected: &str) {
    wait_for(stage, &["-n", "shop"], object, path, expected);
}

/// The same of an object that is in no namespace.
#[track_caller]
pub(crate) fn wait_cluster_field(stage: &Stage, object: &str, path: &str, expected: &str) {
    wait_for(stage, &[], object, path, expected);
}

#[track_caller]
fn wait_for(stage: &Stage, scope: &[&str], object: &str, path: &str, expected: &str) {
    let path = format!("jsonpath={{{path}}}");
    let get = || stage.plane().kubectl().run(&[scope, &["get", object, "-o", &path]].concat()).unwrap_or_default();
    let found = eventually(|| (get() == expected).then_some(()));
    assert!(found.is_some(), "{object} {path}: `{}` instead of `{expected}`", get());
}

/// The entries of the ledger, verified.
pub(crate) fn entries(stage: &Stage) -> Vec<Value> {
    let text = stage.cli().run(&["ledger", "list", "-o", "json"]).expect("the ledger verifies");
    serde_json::from_str(&text).expect("json")
}

/// The admission settings that a page of the documents shows are those that this API server was started with.
#[track_caller]
pub(crate) fn shows_the_admission_settings(stage: &Stage, page: &str) {
    let text = std::fs::read_to_string(format!("{}/{page}", env!("CARGO_MANIFEST_DIR"))).expect(page);
    let (_, rest) = text.split_once("# /etc/kubernetes/miax/admission.yaml\n").expect("the page shows the file");
    let (shown, _) = rest.split_once("```").expect("the block ends");
    let directory = stage.plane().directory().display().to_string();
    let shown = miax::trust::parse_yaml_strict(&shown.replace("/etc/kubernetes/miax", &directory)).expect("yaml");
    let used = std::fs::read_to_string(format!("{directory}/admission.yaml")).expect("written");
    assert_eq!(shown, [serde_json::from_str::<Value>(&used).expect("json")]);
}
