//! What an entry does not hold, and what its salt proves until somebody erases it.

use miax_cluster::{Component, ControlPlane, eventually, free_ports};
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::forwarding::{FOLLOWS, LEADS};
use crate::gate::{freeze, opt_in, wait_frozen};
use crate::support::{draft, entries, rejects, scale, stage_with};

const CANARY: &str = "hunter2-canary";

/// The newest entry with this reason.
fn entry(stage: &Stage, reason: &str) -> Value {
    let all = entries(stage);
    all.into_iter().rfind(|e| e["findings"][0]["reason"] == reason).expect(reason)
}

/// Another replica appends for the one that the API server calls.
fn hand_over(stage: &mut Stage) -> Component {
    let [port] = free_ports().expect("a port");
    let sequencer = stage.another_webhook(port, "sequencer").expect("another replica");
    let told = |component: &Component, part: &str| {
        assert!(eventually(|| component.log().contains(part).then_some(())).is_some(), "{}", component.log());
    };
    told(&sequencer, FOLLOWS);
    assert!(stage.webhook.terminate(), "it ends well");
    told(&sequencer, LEADS);
    stage.restart_webhook().expect("the webhook starts again");
    told(&stage.webhook, FOLLOWS);
    sequencer
}

fn is_by(entry: &Value, writer: &str) -> bool {
    entry["writer"].as_str().is_some_and(|w| w.contains(writer))
}

#[test]
fn no_entry_holds_a_secret_and_a_salt_can_be_erased() {
    let salts = tempfile::tempdir().expect("directory");
    let arguments = ["--salts", &salts.path().display().to_string()].map(str::to_owned);
    let peers = ["--peer-listen", "127.0.0.1:0", "--peer-ip", "127.0.0.1"].map(str::to_owned);
    let mut stage = stage_with(ControlPlane::builder(), peers.into_iter().chain(arguments).collect());
    // Who is asked and makes the salt is not who appends the entry.
    let sequencer = hand_over(&mut stage);
    let kubectl = stage.plane().kubectl();
    opt_in(&stage);
    freeze(&stage, "freeze");
    wait_frozen(&stage);

    // A pod template with a password in it, refused twice; and a document with one where nothing has authority.
    let set = format!("PASSWORD={CANARY}");
    for _ in 0..2 {
        let output = kubectl.ask(&["-n", "shop", "set", "env", "deployment/checkout", &set], "").expect("kubectl runs");
        assert!(!output.ok && output.stderr.contains("NamespaceFrozen"), "{}", output.stderr);
    }
    let file = draft(&stage, "labelled", &scale("9"));
    let plain = std::fs::read_to_string(stage.file(&file)).expect("reads");
    let labelled = plain.replacen("metadata:\n", &format!("metadata:\n  annotations: {{note: {CANARY}}}\n"), 1);
    assert!(labelled.contains(CANARY), "{plain}");
    std::fs::write(stage.file(&file), labelled).expect("written");
    rejects(&stage, &file, "Unsigned");
    let exported = stage.cli().run(&["ledger", "export"]).expect("the ledger verifies");
    assert!(!exported.contains(CANARY), "an entry holds the secret");
    let frozen = entry(&stage, "NamespaceFrozen");
    assert!(frozen["digest"].is_null() && frozen["commitment"].is_string(), "a template can be guessed by its digest");
    let refusals = entries(&stage).iter().filter(|e| e["findings"][0]["reason"] == "NamespaceFrozen").count();
    assert_eq!(refusals, 1, "the same change is recorded once");

    assert!([&frozen, &entry(&stage, "Unsigned")].iter().all(|e| is_by(e, "/sequencer-")), "{}", sequencer.log());

    // Who has file and salt proves that the entry is about the file.
    let dump = kubectl.run(&["get", "configmap", "-A", "-o", "json"]).expect("a dump");
    std::fs::write(stage.file("ledger.json"), dump).expect("written");
    let mut deployment: Value =
        serde_json::from_str(&kubectl.run(&["-n", "shop", "get", "deployment", "checkout", "-o", "json"]).expect("it"))
            .expect("json");
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": CANARY}]);
    std::fs::write(stage.file("deployment.json"), deployment.to_string()).expect("written");
    let unsigned = entry(&stage, "Unsigned");
    let open = |entry: &Value, file: &str| {
        let index = entry["index"].to_string();
        let salt = std::fs::read_to_string(salts.path().join(&index)).expect("the salt of the entry");
        let opened = ["--index", &index, "--payload", file, "--salt", &salt];
        stage.cli().run(&[&["ledger", "verify", "ledger.json"], &opened[..]].concat())
    };
    open(&unsigned, &file).expect("it is about the document");
    open(&frozen, "deployment.json").expect("it is about the template with the password");
    deployment["spec"]["template"]["spec"]["containers"][0]["env"] = json!([{"name": "PASSWORD", "value": "guess"}]);
    std::fs::write(stage.file("deployment.json"), deployment.to_string()).expect("written");
    open(&frozen, "deployment.json").expect_err("another password");

    // Erased: the ledger is as whole as before, and nobody can try guesses any more.
    std::fs::remove_file(salts.path().join(frozen["index"].to_string())).expect("erased");
    let told = stage.cli().run(&["ledger", "verify", "ledger.json"]).expect("it verifies");
    assert!(told.contains("whole"), "{told}");
}
