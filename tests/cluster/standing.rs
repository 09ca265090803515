//! What stands in the way of others, as `miax status` tells it: freezes, waivers, overrides and what they leave to be done.

use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{accepts, stage};

/// Drafts a command, has the first author it and the others approve it, and waits until it took effect.
fn enact(stage: &Stage, name: &str, namespace: &str, action: &[&str], people: &[(&str, &str)]) {
    let file = format!("{name}.yaml");
    let fixed = ["--reason", "test", "--audience", "demo", "--name", name, "--out", &file];
    stage.cli().run(&[&["draft"], action, &fixed].concat()).expect("drafted");
    for (i, (who, seat)) in people.iter().enumerate() {
        let verb = if i == 0 { "sign" } else { "approve" };
        stage.organisation().sign(verb, &file, who, seat).expect("signed");
    }
    accepts(stage, &file);
    let done = stage.wait_for(&format!("controlcommand/{name}"), &["-n", namespace], "Succeeded");
    assert!(done.is_ok(), "{name}: {}", stage.controller.log());
}

fn status(stage: &Stage) -> Value {
    serde_json::from_str(&stage.cli().run(&["status", "-o", "json"]).expect("status")).expect("json")
}

fn words(stage: &Stage) -> String {
    stage.cli().run(&["status"]).expect("status")
}

#[test]
fn article_iii_a_freeze_its_waiver_its_override_and_what_is_owed_are_shown_until_they_end() {
    let stage = stage();
    let freezers = [("tina", "CTK"), ("alma", "ALPHA"), ("frank", "SRE")];
    enact(&stage, "freeze", "shop", &["freeze", "-n", "shop", "--for", "8h"], &freezers);
    let frozen = status(&stage)["frozen"][0].clone();
    assert_eq!(
        (&frozen["namespace"], &frozen["organ"], &frozen["overridden"]),
        (&json!("shop"), &json!("CTK"), &json!(null))
    );
    let digest = frozen["decision"].as_str().expect("digest").to_owned();
    assert!(words(&stage).contains("frozen   1\n         shop by CTK until "), "{}", words(&stage));

    let waive = ["waive", "deployment/checkout", "-n", "shop", "--system", "--rule", "freeze", "--for", "4h"];
    let waivers = [("frank", "SRE"), ("alma", "ALPHA"), ("tom", "CTK"), ("dana", "TCC")];
    enact(&stage, "waive", "miax-system", &waive, &waivers);
    assert!(words(&stage).contains("freeze for Deployment shop/checkout until "), "{}", words(&stage));
    assert_eq!(status(&stage)["waived"][0]["target"]["name"], "checkout");

    let overriders = [("alpha-bot", "ALPHA"), ("alec", "ALPHA"), ("fay", "SRE")];
    enact(&stage, "override", "miax-system", &["override", &digest, "--for", "2h"], &overriders);
    let seen = status(&stage);
    assert_eq!(seen["frozen"][0]["decision"], digest.as_str(), "an overridden freeze is still there");
    assert!(seen["frozen"][0]["overridden"]["until"].is_string(), "{seen}");
    assert!(words(&stage).contains(", OVERRIDDEN until "), "{}", words(&stage));
    let owed = &seen["obligations"][0];
    assert_eq!(owed["owed"], "acknowledgement");
    let command = owed["command"].as_str().expect("digest");
    assert_eq!(owed["next"], format!("miax draft acknowledge-override {command}"));

    let seen = ["acknowledge-override", command];
    enact(&stage, "acknowledge", "miax-system", &seen, &[("tina", "CTK"), ("carol", "CEK")]);
    assert_eq!(status(&stage)["obligations"], json!([]));

    enact(&stage, "freeze-bank", "miax-system", &["freeze", "-n", "bank", "--system"], &freezers);
    assert!(words(&stage).contains("bank by CTK until it is thawed"), "{}", words(&stage));
    enact(&stage, "thaw-bank", "miax-system", &["thaw", "-n", "bank", "--system"], &freezers);
    assert_eq!(status(&stage)["frozen"].as_array().map(Vec::len), Some(1), "only the overridden one is left");
}
