//! One charter follows another on a real API server.

use miax_stage::Stage;

use crate::support::{accepts, approved, entries, rejects, scale, stage, wait_cluster_field, wait_done};

/// Article X: CTK proposes, APXGP reviews, CEK ratifies; with TC they are two thirds of six.
const QUORUM: [(&str, &str, &str); 5] = [
    ("sign", "tina", "CTK"),
    ("approve", "anna", "APXGP"),
    ("approve", "carol", "CEK"),
    ("approve", "cyrus", "CEK"),
    ("approve", "theo", "TC"),
];

fn amend(stage: &Stage, from: &str, to: &str) -> String {
    let file = stage.cli().run(&["charter", "next", "-f", "constitution-v1.yaml"]).expect("the next version");
    let file = file.trim().to_owned();
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
    let reason = |kind: &str| format!(r#".status.conditions[?(@.type=="{kind}")].reason"#);
    wait_cluster_field(&stage, "manifest/constitution-v1", &reason("Active"), "Superseded");
    rejects(&stage, &late, "ValidityTooLong");

    kubectl.run(&["delete", "manifest", "constitution-v1"]).expect("a charter that is history may go");
    rejects(&stage, "constitution-v1.yaml", "VersionNotNext");
    let refused = kubectl.ask(&["delete", "manifest", "constitution-v2"], "").expect("kubectl runs").stderr;
    assert!(refused.contains("CharterInForce"), "{refused}");
    let adoptions = entries(&stage).iter().filter(|e| e["kind"] == "adopt").count();
    assert_eq!(adoptions, 2);
}
