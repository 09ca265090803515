//! One charter follows another on a real API server.

use miax_stage::Stage;

use crate::support::{
    QUORUM, accepts, approved, entries, rejects, scale, sign_all, stage, wait_cluster_field, wait_done,
};

/// Who enacts an emergency amendment.
const EMERGENCY: [(&str, &str, &str); 3] =
    [("sign", "carol", "CEK"), ("approve", "cyrus", "CEK"), ("approve", "alma", "ALPHA")];

const ACTIVE_REASON: &str = r#".status.conditions[?(@.type=="Active")].reason"#;

/// Starts the next version.
fn next(stage: &Stage, more: &[&str]) -> String {
    let command = [&["charter", "next", "-f", "constitution-v1.yaml"], more].concat();
    stage.cli().run(&command).expect("the next version").trim().to_owned()
}

fn amend(stage: &Stage, from: &str, to: &str) -> String {
    let file = next(stage, &[]);
    let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
    assert!(text.contains(from), "{from} is not in the charter");
    std::fs::write(stage.file(&file), text.replace(from, to)).expect("written");
    file
}

#[test]
fn article_x_an_amendment_takes_effect_and_the_old_charter_never_comes_back() {
    let stage = stage();
    let kubectl = stage.plane().kubectl();
    let file = amend(&stage, "maxValidity: 4h", "maxValidity: 10m");
    let words = stage.cli().run(&["charter", "diff", "-f", "constitution-v1.yaml", "--to", &file]).expect("compared");
    assert!(words.contains("~ rule runtime-critical, longest validity: 4h -> 10m"), "{words}");
    let sign = |(verb, name, seat): &(&str, &str, &str)| stage.organisation().sign(verb, &file, name, seat);
    QUORUM.iter().take(4).for_each(|one| drop(sign(one).expect("signed")));
    rejects(&stage, &file, "SeatsMissing");
    sign(&QUORUM[4]).expect("signed");

    let before = approved(&stage, "before", &scale("2"));
    accepts(&stage, &before);
    wait_done(&stage, "before");
    let late = approved(&stage, "late", &scale("3"));
    accepts(&stage, &file);
    stage.wait_for("manifest/constitution-v2", &[], "Active").expect("it is in force");
    wait_cluster_field(&stage, "manifest/constitution-v1", ACTIVE_REASON, "Superseded");
    rejects(&stage, &late, "ValidityTooLong");

    kubectl.run(&["delete", "manifest", "constitution-v1"]).expect("a charter that is history may go");
    rejects(&stage, "constitution-v1.yaml", "VersionNotNext");
    let refused = kubectl.ask(&["delete", "manifest", "constitution-v2"], "").expect("kubectl runs").stderr;
    assert!(refused.contains("CharterInForce"), "{refused}");
    let adoptions = entries(&stage).iter().filter(|e| e["kind"] == "adopt").count();
    assert_eq!(adoptions, 2);
}

#[test]
fn article_x_an_emergency_charter_lapses_or_is_ratified() {
    let stage = stage();
    let file = next(&stage, &["--emergency", "15s"]);
    sign_all(&stage, &file, &EMERGENCY);
    accepts(&stage, &file);
    wait_cluster_field(&stage, "manifest/constitution-v2", ACTIVE_REASON, "RatificationPending");
    let words = stage.cli().run(&["status"]).expect("status");
    assert!(words.contains("an emergency amendment: it lapses at"), "{words}");
    // Nobody does anything: time alone ends it.
    wait_cluster_field(&stage, "manifest/constitution-v2", ACTIVE_REASON, "CharterLapsed");
    wait_cluster_field(&stage, "manifest/constitution-v1", ACTIVE_REASON, "Adopted");
    assert_eq!(entries(&stage).iter().filter(|e| e["kind"] == "charter.lapse").count(), 1);

    let third = |text: &str| text.replace("constitution-v2", "constitution-v3").replace("version: 2", "version: 3");
    let start = |more: &[&str]| {
        std::fs::remove_file(stage.file("constitution-v2.yaml")).expect("removed");
        let file = next(&stage, more);
        let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
        std::fs::write(stage.file("constitution-v3.yaml"), third(&text)).expect("written");
    };
    start(&["--emergency", "1h"]);
    sign_all(&stage, "constitution-v3.yaml", &EMERGENCY);
    rejects(&stage, "constitution-v3.yaml", "ObligationOverdue");
    start(&[]);
    sign_all(&stage, "constitution-v3.yaml", &QUORUM);
    accepts(&stage, "constitution-v3.yaml");
    wait_cluster_field(&stage, "manifest/constitution-v3", ACTIVE_REASON, "Adopted");

    let command = ["charter", "next", "-f", "constitution-v3.yaml", "--emergency", "1h"];
    let file = stage.cli().run(&command).expect("the next version").trim().to_owned();
    sign_all(&stage, &file, &EMERGENCY);
    accepts(&stage, &file);
    wait_cluster_field(&stage, "manifest/constitution-v4", ACTIVE_REASON, "RatificationPending");
    let digest = stage.cli().run(&["charter", "digest", "-f", &file]).expect("digest").trim().to_owned();
    let draft =
        ["draft", "ratify-amendment", &digest, "--reason", "reviewed", "--audience", "demo", "--name", "ratify"];
    stage.cli().run(&[&draft[..], &["--out", "ratify.yaml"]].concat()).expect("drafted");
    sign_all(&stage, "ratify.yaml", &QUORUM[..4]);
    rejects(&stage, "ratify.yaml", "SeatsMissing");
    sign_all(&stage, "ratify.yaml", &QUORUM[4..]);
    accepts(&stage, "ratify.yaml");
    wait_cluster_field(&stage, "manifest/constitution-v4", ACTIVE_REASON, "Adopted");
}
