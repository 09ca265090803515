//! Commands that are held in the cluster: people sign what is stored, each from their own place.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};

use miax_cluster::{Kubectl, Output, eventually};
use miax_stage::{Binaries, Cli, Stage};
use serde_json::{Value, json};

use crate::support::{QUORUM, describe, draft, entries, scale, stage, wait_done, wait_field};

const APPROVED: &str = r#".status.conditions[?(@.type=="Approved")].message"#;

/// A stage whose charter holds what is runtime-critical, with accounts that may do nothing but commands.
fn holding() -> Stage {
    let stage = stage();
    let next = stage.cli().run(&["charter", "next", "-f", "constitution-v1.yaml"]).expect("the next version");
    let file = stage.file(next.trim());
    let text = std::fs::read_to_string(&file).expect("reads");
    let mut charter = miax::trust::parse_yaml_strict(&text).expect("yaml").remove(0);
    let rules = charter["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules");
    rules.iter_mut().find(|r| r["name"] == "runtime-critical").expect("rule")["pending"] = json!("Hold");
    rules.push(json!({
        "name": "next-year", "article": "V", "mode": "Warn", "match": {"actions": ["Scale"], "impact": "Critical"},
        "author": ["ALPHA"], "require": [{"seat": "CTK", "count": 1}, {"seat": "CEK", "count": 1}],
    }));
    std::fs::write(&file, miax::trust::to_yaml(&charter)).expect("written");
    for (verb, name, seat) in QUORUM {
        stage.organisation().sign(verb, &file, name, seat).expect("signed");
    }
    let kubectl = stage.plane().kubectl();
    kubectl.run(&["apply", "--server-side", "-f", &file]).expect("accepted");
    stage.wait_for("manifest/constitution-v2", &[], "Active").expect("in force");
    let shop = ["-n", "shop", "create"];
    let run = |arguments: &[&str]| kubectl.run(&[&shop[..], arguments].concat()).expect("created");
    run(&["role", "signer", "--verb=get,patch", "--resource=controlcommands.miax.dev"]);
    run(&["role", "syncer", "--verb=get,create,patch", "--resource=controlcommands.miax.dev"]);
    for (name, role) in
        [("syncer", "syncer"), ("frank", "signer"), ("dana", "signer"), ("alma", "signer"), ("eve", "signer")]
    {
        run(&["serviceaccount", name]);
        run(&["rolebinding", name, &format!("--role={role}"), &format!("--serviceaccount=shop:{name}")]);
    }
    run(&["serviceaccount", "stranger"]);
    stage
}

fn kubeconfig(stage: &Stage, account: &str) -> PathBuf {
    stage.plane().kubeconfig_of_account("shop", account).expect("kubeconfig")
}

/// A command of alpha-bot, applied by an account that is nobody in the charter.
fn apply_as_syncer(stage: &Stage, name: &str, replicas: &str) {
    let file = draft(stage, name, &scale(replicas));
    stage.organisation().sign("sign", &file, "alpha-bot", "ALPHA").expect("signed");
    let syncer = Kubectl::new(&kubeconfig(stage, "syncer")).expect("kubectl");
    syncer.run(&["apply", "-f", &stage.file(&file)]).expect("it is held");
}

/// Somebody's own place: their kubeconfig and their key.
fn desk_of(stage: &Stage, account: &str) -> Cli {
    let binaries =
        Binaries { miax: env!("CARGO_BIN_EXE_miax").into(), operator: env!("CARGO_BIN_EXE_miax-operator").into() };
    let directory = PathBuf::from(stage.file("constitution-v1.yaml"));
    Cli::new(&binaries, directory.parent().expect("directory"), &kubeconfig(stage, account))
}

fn says(cli: &Cli, verb: &str, command: &str, name: &str, seat: &str) -> Output {
    let object = format!("controlcommand/{command}");
    cli.ask(&[verb, &object, "-n", "shop", "--as", name, "--seat", seat, "--key", name, "--yes"]).expect("miax runs")
}

#[track_caller]
fn agrees(stage: &Stage, verb: &str, command: &str, name: &str, seat: &str) -> String {
    let Output { ok, stderr, .. } = says(&desk_of(stage, name), verb, command, name, seat);
    assert!(ok, "{verb} by {name}: {stderr}");
    stderr
}

fn status(stage: &Stage) -> Value {
    serde_json::from_str(&stage.cli().run(&["status", "-o", "json"]).expect("status")).expect("json")
}

/// `miax status --watch` in a pipe; it ends with the test.
struct Watch {
    child: Child,
    log: PathBuf,
}

impl Watch {
    fn start(stage: &Stage) -> Self {
        let log = PathBuf::from(stage.file("watch.log"));
        let out = File::create(&log).expect("log");
        let child = Command::new(env!("CARGO_BIN_EXE_miax"))
            .args(["status", "--watch"])
            .env("KUBECONFIG", stage.plane().kubeconfig())
            .stderr(out.try_clone().expect("log"))
            .stdout(out)
            .spawn()
            .expect("it starts");
        Self { child, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    #[track_caller]
    fn shows(&self, part: &str) {
        let seen = eventually(|| self.log().contains(part).then_some(()));
        assert!(seen.is_some(), "`{part}` is not shown:\n{}", self.log());
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> Option<i32> {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn three_people_approve_a_held_command_from_three_places_at_once() {
    let stage = holding();
    let watch = Watch::start(&stage);
    watch.shows("charter: constitution-v2 in force");
    apply_as_syncer(&stage, "held", "4");
    watch.shows("waiting ControlCommand shop/held: Scale Deployment shop/checkout to 4; SRE 0 of 1; TCC 0 of 1");
    let waiting = &status(&stage)["waiting"][0];
    assert_eq!(
        waiting["seats"][0],
        json!({"seat": "SRE", "needed": 1, "filledBy": [], "openTo": ["fay", "frank", "sam"]})
    );
    assert_eq!(waiting["next"], "miax approve controlcommand/held -n shop --seat SRE");
    let words = stage.cli().run(&["status"]).expect("status");
    assert!(words.contains("TCC (0 of 1); may sign: dana, eve, sam"), "{words}");
    assert!(words.contains("NOT ENFORCED (Warn): next-year, Article V; it refuses nothing"), "{words}");
    assert!(watch.log().contains("rule next-year: NOT ENFORCED (Warn)"), "{}", watch.log());

    let desks =
        [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")].map(|(name, seat)| (desk_of(&stage, name), name, seat));
    let answers = std::thread::scope(|scope| {
        let runs =
            desks.each_ref().map(|(cli, name, seat)| scope.spawn(move || says(cli, "approve", "held", name, seat)));
        runs.map(|run| run.join().expect("it ends"))
    });
    for Output { ok, stderr, .. } in &answers {
        assert!(
            *ok && stderr.contains("Scale Deployment shop/checkout to 4") && stderr.contains("is added"),
            "{stderr}"
        );
    }
    wait_done(&stage, "held");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "4");
    wait_field(&stage, "mxcmd/held", APPROVED, "all seats are filled by different people");
    let managers =
        stage.plane().kubectl().run(&["-n", "shop", "get", "mxcmd", "held", "--show-managed-fields", "-o", "json"]);
    let managers: Value = serde_json::from_str(&managers.expect("object")).expect("json");
    let managers = managers["metadata"]["managedFields"].to_string();
    assert!(["miax-frank", "miax-dana", "miax-alma"].iter().all(|m| managers.contains(m)), "{managers}");
    watch.shows("done ControlCommand shop/held");
    watch.shows("no longer waiting ControlCommand shop/held");
    assert!(watch.log().contains(" of 1 by "), "seats fill: {}", watch.log());
    assert_eq!(watch.interrupt(), Some(0));
    assert_eq!(entries(&stage).iter().filter(|e| e["kind"] == "effect.begin").count(), 1);
    assert_eq!(status(&stage)["waiting"], json!([]));
}

#[test]
fn an_objection_stops_a_held_command_until_it_is_withdrawn() {
    let stage = holding();
    apply_as_syncer(&stage, "held", "5");
    let said = agrees(&stage, "approve", "held", "frank", "SRE");
    assert!(said.contains("it waits, stored without effect: SeatsMissing: needs TCC"), "{said}");
    let patch = r#"{"spec":{"action":{"scale":{"replicas":50}}}}"#;
    let edit = ["-n", "shop", "patch", "mxcmd", "held", "--type", "merge", "-p", patch];
    let Output { ok, stderr, .. } = stage.plane().kubectl().ask(&edit, "").expect("kubectl runs");
    assert!(!ok && stderr.contains("every approval was for what it was, and would be void"), "{stderr}");

    let said = agrees(&stage, "object", "held", "eve", "TCC");
    assert!(said.contains("ObjectionPresent"), "{said}");
    assert!(stage.cli().run(&["status"]).expect("status").contains("eve"), "status names who objects");
    agrees(&stage, "approve", "held", "dana", "TCC");
    let said = agrees(&stage, "approve", "held", "alma", "ALPHA");
    assert!(said.contains("ObjectionPresent") && !said.contains("complete"), "{said}");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "1");
    // The same field manager says a second thing; what it said first stays.
    let said = agrees(&stage, "withdraw", "held", "eve", "TCC");
    assert!(said.contains("complete: all seats are filled by different people"), "{said}");
    wait_done(&stage, "held");
    wait_field(&stage, "deployment/checkout", ".spec.replicas", "5");
}

#[test]
fn what_cannot_count_is_not_stored() {
    let stage = holding();
    apply_as_syncer(&stage, "held", "6");
    let before = describe(&stage, "held").matches("principal:").count();
    let refused = |account: &str, name: &str, seat: &str, part: &str| {
        let Output { ok, stderr, .. } = says(&desk_of(&stage, account), "approve", "held", name, seat);
        assert!(!ok && stderr.contains(part), "{name} for {seat}: {stderr}");
    };
    refused("dana", "dana", "SRE", "SeatNotHeld");
    refused("dana", "carol", "SRE", "SeatNotHeld");
    refused("stranger", "dana", "TCC", "forbidden");
    let cli = desk_of(&stage, "dana");
    let ask = |arguments: &[&str]| {
        cli.ask(&[&["approve"], arguments, &["--as", "dana", "--seat", "TCC", "--key", "dana", "-y"]].concat())
            .expect("runs")
            .stderr
    };
    assert!(ask(&["controlcommand/ghost", "-n", "shop"]).contains("there is no ControlCommand ghost there"));
    assert!(ask(&["controlcommand/held"]).contains("next: -n NAMESPACE"));
    assert!(
        ask(&["deployment/held", "-n", "shop"]).contains("next: write controlcommand/NAME, manifest/NAME or slo/NAME")
    );
    assert!(ask(&["controlcommand/held", "-n", "shop", "-f", "cmd.yaml"]).contains("cannot be used with"));
    assert_eq!(describe(&stage, "held").matches("principal:").count(), before);
}
