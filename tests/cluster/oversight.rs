//! Commands that change State on a real API server: keys, vetoes, post-mortems.

use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, approved, digest, entries, rejects, scale, stage, takes_effect, wait_done, wait_field};

fn status(stage: &Stage) -> Value {
    serde_json::from_str(&stage.cli().run(&["status", "-o", "json"]).expect("status")).expect("json")
}

/// Drafts a command in miax-system, and has the first author and the others approve it.
fn oversee(stage: &Stage, name: &str, action: &[&str], people: &[(&str, &str)]) -> String {
    let file = format!("{name}.yaml");
    let fixed = ["--reason", "test", "--audience", "demo", "--name", name, "--out", &file];
    stage.cli().run(&[&["draft"], action, &fixed].concat()).expect("drafted");
    for (i, (who, seat)) in people.iter().enumerate() {
        let verb = if i == 0 { "sign" } else { "approve" };
        stage.organisation().sign(verb, &file, who, seat).expect("signed");
    }
    file
}

#[test]
fn escalation_a_post_mortem_is_owed_until_others_review_it() {
    let stage = stage();
    let file = approved(&stage, "mitigate", &scale("3"));
    accepts(&stage, &file);
    wait_done(&stage, "mitigate");
    let digest = digest(&stage, &file);
    assert_eq!(status(&stage)["obligations"][0]["command"], digest.as_str());
    let answered = r#".status.conditions[?(@.type=="Answered")].reason"#;
    wait_field(&stage, "mxcmd/mitigate", answered, "ObligationDue");
    let words = stage.cli().run(&["status"]).expect("status");
    assert!(
        words.contains("post-mortem of ControlCommand shop/mitigate (Scale Deployment shop/checkout to 3"),
        "{words}"
    );

    let review = ["review", &digest, "--findings", "the cache ran full"];
    let own = oversee(&stage, "own-review", &review, &[("frank", "SRE"), ("alec", "ALPHA"), ("tina", "CTK")]);
    rejects(&stage, &own, "ReviewerInvolved");
    let file = oversee(&stage, "review", &review, &[("fay", "SRE"), ("alec", "ALPHA"), ("tina", "CTK")]);
    takes_effect(&stage, ("miax-system", "review"), &file);
    assert_eq!(status(&stage)["obligations"], serde_json::json!([]));
    wait_field(&stage, "mxcmd/mitigate", answered, "ObligationMet");
    assert_eq!(entries(&stage).iter().filter(|e| e["kind"] == "enact").count(), 1);
}

#[test]
fn article_i_a_lost_key_is_revoked_by_its_holder_and_a_veto_stops_a_command() {
    let stage = stage();
    let kept = approved(&stage, "kept", &scale("2"));
    accepts(&stage, &kept);
    wait_done(&stage, "kept");
    let late = approved(&stage, "late", &scale("3"));
    let public = std::fs::read_to_string(stage.file("dana.pub")).expect("key");
    let key = miax::trust::PublicKey::parse(miax::trust::KeyType::SshEd25519, public.trim()).expect("key").id();
    let file = oversee(&stage, "revoke", &["revoke-key", key.as_str()], &[("dana", "TCC")]);
    takes_effect(&stage, ("miax-system", "revoke"), &file);
    rejects(&stage, &late, "KeyRevoked");
    // What the key signed before stays valid history, and the whole ledger still verifies and folds.
    stage.cli().run(&["ledger", "head"]).expect("it verifies");
    wait_done(&stage, "kept");

    let file = oversee(&stage, "other", &["restart", "deployment/checkout", "-n", "shop"], &[("alpha-bot", "ALPHA")]);
    for (who, seat) in [("frank", "SRE"), ("eve", "TCC")] {
        stage.organisation().sign("approve", &file, who, seat).expect("signed");
    }
    let digest = digest(&stage, &file);
    let low = oversee(&stage, "low-veto", &["veto", &digest], &[("tina", "CTK"), ("tom", "CTK")]);
    rejects(&stage, &low, "RankTooLow");
    let veto = oversee(&stage, "veto", &["veto", &digest], &[("carol", "CEK"), ("cyrus", "CEK")]);
    takes_effect(&stage, ("miax-system", "veto"), &veto);
    rejects(&stage, &file, "Vetoed");
}
