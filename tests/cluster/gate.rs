//! The gate on a real API server: what a freeze stops, what passes it, who can take a namespace out of it, and isolation.

use miax_cluster::{Kubectl, Output, eventually};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{
    accepts, approved, command, digest, entries, from_now, rejects, scale, stage, takes_effect, wait_done, wait_field,
};

const SHOP: &str = "shop";

pub(crate) fn opt_in(stage: &Stage) {
    stage.plane().kubectl().run(&["label", "namespace", SHOP, "miax.dev/gate=enabled"]).expect("opted in");
}

pub(crate) fn freeze(stage: &Stage, name: &str) -> String {
    let action = json!({"type": "Freeze", "freeze": {}});
    let file = command(stage, (SHOP, name), &action, &[("tina", "CTK"), ("alma", "ALPHA"), ("frank", "SRE")]);
    takes_effect(stage, (SHOP, name), &file);
    file
}

fn set_image(tag: u32) -> Vec<String> {
    let image = format!("checkout=registry.example/checkout:{tag}");
    ["-n", SHOP, "set", "image", "deployment/checkout", &image].map(str::to_owned).to_vec()
}

fn ask(kubectl: &Kubectl, arguments: &[String]) -> Output {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    kubectl.ask(&arguments, "").expect("kubectl runs")
}

/// Every replica of the webhook has folded the entry that froze the namespace.
pub(crate) fn wait_frozen(stage: &Stage) {
    let dry = [set_image(99), vec!["--dry-run=server".to_owned()]].concat();
    let frozen = || (!ask(stage.plane().kubectl(), &dry).ok).then_some(());
    assert!(eventually(frozen).is_some(), "the webhook never refuses: {}", stage.webhook.log());
}

/// Entries that refuse a change of a workload.
fn refusals(stage: &Stage) -> usize {
    entries(stage).iter().filter(|e| e["findings"][0]["reason"] == "NamespaceFrozen").count()
}

#[track_caller]
fn refused(name: &str, output: &Output) {
    assert!(
        !output.ok && output.stderr.contains("NamespaceFrozen: CTK froze the namespace shop"),
        "{name}: {}",
        output.stderr
    );
}

/// The workload as it would be applied from a file.
fn manifest(name: &str, image: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": SHOP},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "checkout", "image": image}]}},
        },
    })
    .to_string()
}

#[test]
fn a_freeze_stops_every_change_of_a_pod_template_and_nothing_else() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    kubectl
        .run(&["-n", SHOP, "set", "image", "deployment/checkout", "checkout=registry.example/checkout:2"])
        .expect("open");
    opt_in(&stage);
    freeze(&stage, "freeze");
    wait_frozen(&stage);
    let before = entries(&stage).len();
    refused("set image, dry run", &ask(kubectl, &[set_image(3), vec!["--dry-run=server".to_owned()]].concat()));
    assert_eq!(entries(&stage).len(), before, "a dry run records nothing");
    refused("set image", &ask(kubectl, &set_image(3)));
    refused("the same again", &ask(kubectl, &set_image(3)));
    assert_eq!(refusals(&stage), 1, "the same change is recorded once");
    let patch = r#"{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}"#;
    let text = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    refused(
        "an annotation of the pods",
        &ask(kubectl, &text(&["-n", SHOP, "patch", "deployment", "checkout", "-p", patch])),
    );
    refused("restart", &ask(kubectl, &text(&["-n", SHOP, "rollout", "restart", "deployment/checkout"])));
    refused("undo", &ask(kubectl, &text(&["-n", SHOP, "rollout", "undo", "deployment/checkout"])));
    let apply = |name: &str, manager: &str| {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--field-manager", manager, "-f", "-"];
        kubectl.ask(&arguments, &manifest(name, "registry.example/checkout:4")).expect("kubectl runs")
    };
    refused("another field manager", &apply("checkout", "robot"));
    refused("the same under another name", &apply("checkout-two", "robot"));

    kubectl.run(&["-n", SHOP, "scale", "deployment/checkout", "--replicas", "4"]).expect("scaling passes");
    kubectl.run(&["-n", SHOP, "annotate", "deployment/checkout", "a=b"]).expect("annotations pass");
    kubectl.run(&["-n", SHOP, "delete", "deployment/checkout"]).expect("deletions pass");
    stage.cli().run(&["ledger", "head"]).expect("it verifies");
}

#[test]
fn approved_commands_and_waivers_pass_a_freeze() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    opt_in(&stage);
    freeze(&stage, "freeze");
    wait_frozen(&stage);
    let image = ["patch", "deployment/checkout", "--image", "checkout=registry.example/checkout:9"];
    let fix = approved(&stage, "fix", &image);
    accepts(&stage, &fix);
    wait_done(&stage, "fix");
    let path = ".spec.template.spec.containers[0].image";
    wait_field(&stage, "deployment/checkout", path, "registry.example/checkout:9");

    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let waive = json!({"type": "Waive", "waive": {"rule": "freeze", "target": target, "until": from_now(600)}});
    let people = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK"), ("eve", "TCC")];
    let file = command(&stage, (SHOP, "waive"), &waive, &people);
    takes_effect(&stage, (SHOP, "waive"), &file);
    assert!(
        eventually(|| ask(kubectl, &set_image(10)).ok.then_some(())).is_some(),
        "the workload is out of the freeze"
    );
    let other = kubectl.ask(&["apply", "-f", "-"], &manifest("cart", "registry.example/cart:1")).expect("kubectl runs");
    refused("another workload", &other);
}

#[test]
fn a_calendar_freezes_and_its_way_out_is_by_the_seats_that_it_names() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    opt_in(&stage);
    let enact = |name: &str, action: &Value, people: &[(&str, &str)]| {
        let file = command(&stage, (SHOP, name), action, people);
        takes_effect(&stage, (SHOP, name), &file);
        file
    };
    let freezers = [("tina", "CTK"), ("alma", "ALPHA"), ("frank", "SRE")];
    let always = json!({"timeZone": "Europe/Berlin", "windows": [{"firstDay": "2020-01-01"}]});
    let soon = from_now(7 * 86_400);
    let later = json!({"timeZone": "Europe/Berlin", "windows": [{"firstDay": soon.split('T').next()}]});
    enact("later", &json!({"type": "Freeze", "freeze": {"calendar": later}}), &freezers);
    let open = ask(kubectl, &set_image(2));
    assert!(open.ok, "no window is open yet: {}", open.stderr);
    let action = json!({"type": "Freeze", "freeze": {"calendar": always, "wayOut": ["CEK"]}});
    let calendar = enact("calendar", &action, &freezers);
    wait_frozen(&stage);
    let denied = ask(kubectl, &set_image(3));
    refused("in a window", &denied);
    assert!(denied.stderr.contains("in the windows 2020-01-01.. (Europe/Berlin)"), "{}", denied.stderr);
    assert!(denied.stderr.contains("a waiver for it needs CEK"), "{}", denied.stderr);

    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let waive = json!({"type": "Waive", "waive": {"rule": "freeze", "target": target, "until": from_now(600)}});
    let usual = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK"), ("eve", "TCC")];
    let file = command(&stage, (SHOP, "usual"), &waive, &usual);
    rejects(&stage, &file, "SeatsMissing");
    // The first calendar names nobody: for it those sign who may thaw.
    enact("waive", &waive, &[usual.as_slice(), &[("carol", "CEK")]].concat());
    assert!(eventually(|| ask(kubectl, &set_image(4)).ok.then_some(())).is_some(), "out of the freeze");
    let cart = || kubectl.ask(&["apply", "-f", "-"], &manifest("cart", "registry.example/cart:1")).expect("runs");
    refused("another workload", &cart());

    let told = stage.cli().run(&["status"]).expect("status");
    for part in [
        "frozen   2",
        "shop by CTK in 2020-01-01.. (Europe/Berlin) until it is thawed",
        &format!("miax draft thaw -n shop --freeze {}", digest(&stage, &calendar)),
        ", the next from ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let thawers = [("tom", "CTK"), ("alec", "ALPHA"), ("fay", "SRE")];
    let all = command(&stage, (SHOP, "all"), &json!({"type": "Thaw", "thaw": {}}), &thawers);
    rejects(&stage, &all, "NothingToDo");
    let one = json!({"type": "Thaw", "thaw": {"freeze": digest(&stage, &calendar)}});
    enact("one", &one, &thawers);
    assert!(eventually(|| cart().ok.then_some(())).is_some(), "the calendar is ended");
    stage.cli().run(&["ledger", "head"]).expect("it verifies");
}

#[test]
fn article_iii_alpha_suspends_a_freeze_of_ctk_and_answers_to_cek() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    opt_in(&stage);
    let frozen = freeze(&stage, "freeze");
    wait_frozen(&stage);
    let action = json!({"type": "Override", "override": {"decision": digest(&stage, &frozen), "until": from_now(600)}});
    let people = [("alma", "ALPHA"), ("alec", "ALPHA"), ("dana", "TCC")];
    let file = command(&stage, ("miax-system", "override"), &action, &people);
    takes_effect(&stage, ("miax-system", "override"), &file);
    let cart = || kubectl.ask(&["apply", "-f", "-"], &manifest("cart", "registry.example/cart:1")).expect("runs").ok;
    assert!(eventually(|| cart().then_some(())).is_some(), "the freeze is suspended");
    let owed = || {
        let text = stage.cli().run(&["status", "-o", "json"]).expect("status");
        serde_json::from_str::<Value>(&text).expect("json")["obligations"].clone()
    };
    let kinds = || owed().as_array().expect("list").iter().map(|o| o["owed"].clone()).collect::<Vec<_>>();
    assert!(kinds().contains(&json!("acknowledgement")), "{}", owed());
    let seen = json!({"type": "AcknowledgeOverride", "acknowledgeOverride": {"command": digest(&stage, &file)}});
    let seen = command(&stage, ("miax-system", "seen"), &seen, &[("tina", "CTK"), ("carol", "CEK")]);
    takes_effect(&stage, ("miax-system", "seen"), &seen);
    assert!(!kinds().contains(&json!("acknowledgement")), "{}", owed());

    let thaw = json!({"type": "Thaw", "thaw": {}});
    // Suspended, it can be ended for good; else it would hold again.
    let people = [("tom", "CTK"), ("alec", "ALPHA"), ("fay", "SRE")];
    let file = command(&stage, (SHOP, "thaw"), &thaw, &people);
    takes_effect(&stage, (SHOP, "thaw"), &file);
    let again = command(&stage, (SHOP, "thaw-again"), &thaw, &people);
    rejects(&stage, &again, "NothingToDo");
}

#[test]
fn a_namespace_that_opted_in_stays_in_and_a_freeze_that_stops_nothing_says_so() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    freeze(&stage, "idle");
    let enforced = r#".status.conditions[?(@.type=="Enforced")].reason"#;
    wait_field(&stage, "mxcmd/idle", enforced, "GateNotEnabled");
    assert!(ask(kubectl, &set_image(2)).ok, "nothing is stopped where nobody opted in");

    opt_in(&stage);
    let role = r#"{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRole","metadata":{"name":"labels"},
        "rules":[{"apiGroups":[""],"resources":["namespaces","namespaces/status","namespaces/finalize"],
        "verbs":["get","list","patch","update"]}]}"#;
    kubectl.run_with(&["apply", "-f", "-"], role).expect("role");
    kubectl.run(&["-n", SHOP, "create", "serviceaccount", "tenant"]).expect("account");
    kubectl
        .run(&["create", "clusterrolebinding", "labels", "--clusterrole=labels", "--serviceaccount=shop:tenant"])
        .expect("binding");
    let tenant = Kubectl::new(&stage.plane().kubeconfig_of_account(SHOP, "tenant").expect("a token")).expect("kubectl");
    let out = |label: &str| {
        let output = tenant.ask(&["label", "namespace", SHOP, label, "--overwrite"], "").expect("kubectl runs");
        assert!(!output.ok && output.stderr.contains("needs the verb `administer`"), "{label}: {}", output.stderr);
    };
    out("miax.dev/gate-");
    out("miax.dev/gate=disabled");
    let patch = r#"{"metadata":{"labels":{"miax.dev/gate":null}}}"#;
    let status = ["patch", "namespace", SHOP, "--subresource", "status", "--type=merge", "-p", patch];
    let output = tenant.ask(&status, "").expect("kubectl runs");
    assert!(!output.ok && output.stderr.contains("needs the verb `administer`"), "by its status: {}", output.stderr);
    let path = format!("/api/v1/namespaces/{SHOP}/finalize");
    let object = tenant.run(&["get", "namespace", SHOP, "-o", "json"]).expect("the namespace");
    let mut object: Value = serde_json::from_str(&object).expect("json");
    object["metadata"]["labels"] = json!({});
    let output = tenant.ask(&["replace", "--raw", &path, "-f", "-"], &object.to_string()).expect("kubectl runs");
    assert!(
        !output.ok && output.stderr.contains("needs the verb `administer`"),
        "by its finalizers: {}",
        output.stderr
    );
    tenant.run(&["label", "namespace", SHOP, "team=checkout"]).expect("other labels are theirs");

    wait_field(&stage, "mxcmd/idle", enforced, "Enforced");
    wait_frozen(&stage);
}

#[test]
fn an_isolated_workload_is_cut_off_until_its_time_is_over() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let isolate = json!({"type": "Isolate", "isolate": {"target": target, "until": from_now(20)}});
    let file =
        command(&stage, (SHOP, "isolate"), &isolate, &[("alpha-bot", "ALPHA"), ("frank", "SRE"), ("fay", "SRE")]);
    takes_effect(&stage, (SHOP, "isolate"), &file);
    let policies = || {
        let text = kubectl.run(&["-n", SHOP, "get", "networkpolicies", "-o", "json"]).expect("policies");
        serde_json::from_str::<Value>(&text).expect("json")["items"].as_array().expect("items").clone()
    };
    let found = policies();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0]["spec"],
        json!({"podSelector": {"matchLabels": {"app": "checkout"}}, "policyTypes": ["Ingress", "Egress"]})
    );
    let over =
        miax_cluster::eventually_within(std::time::Duration::from_secs(60), || policies().is_empty().then_some(()));
    assert!(over.is_some(), "it never ends: {}", stage.controller.log());
    let undone = || entries(&stage).iter().any(|e| e["kind"] == "effect.undone").then_some(());
    assert!(eventually(undone).is_some(), "the end is an entry");
    // Scaling goes on meanwhile, and the ledger still folds.
    let file = approved(&stage, "after", &scale("2"));
    accepts(&stage, &file);
    wait_done(&stage, "after");
}
