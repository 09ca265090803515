//! Audits that compare: other copies, kept checkpoints, what an earlier audit remembered; and the proofs that they leave.

use serde_json::{Value, json};

use crate::desk::Run;
use crate::ledger::Archive;

fn audit(archive: &Archive, more: &[&str]) -> Run {
    let fixed = ["ledger", "audit", "--dump", "dump", "--key", &archive.key, "-o", "json"];
    archive.desk.miax(&[&fixed[..], more].concat())
}

/// Path of the dump of another archive.
fn dump(archive: &Archive) -> String {
    archive.desk.path("dump").display().to_string()
}

/// The finding about a point.
fn finding<'a>(report: &'a Value, check: &str) -> &'a Value {
    let found = report["findings"].as_array().expect("findings").iter().find(|f| f["check"] == check);
    found.unwrap_or_else(|| panic!("no finding about {check}: {report}"))
}

fn state_size(archive: &Archive) -> u64 {
    let state: Value = serde_json::from_str(&archive.desk.text("audit.json")).expect("json");
    state["size"].as_u64().expect("a size")
}

#[test]
fn copies_of_one_log_agree() {
    let (ours, shorter) = (Archive::new(), Archive::about("c", 2));
    let report = audit(&ours, &["--against", &dump(&shorter), "--continues", "kept.txt"]).expect_code(0).json();
    assert_eq!(report["copies"][0]["same"]["common"].as_u64(), Some(3));
    assert_eq!((&report["fork"], &report["checks"][15]["result"]), (&Value::Null, &json!("passed")));
    let text = ["ledger", "audit", "--dump", "dump", "--against", &dump(&shorter)];
    ours.desk.miax(&text).expect_code(0).expect_out("has the first 3 entries too, of 3");
}

#[test]
fn a_copy_with_more_than_the_log_shows_that_its_end_is_gone() {
    let (ours, longer) = (Archive::about("c", 2), Archive::new());
    let report = audit(&ours, &["--against", &dump(&longer)]).expect_code(2).json();
    assert_eq!(report["verdict"], "incomplete", "of a dump it may only not have been copied");
    let found = finding(&report, "largest-known-size");
    assert_eq!(found["entry"].as_u64(), Some(3));
    assert!(found["message"].as_str().is_some_and(|m| m.contains("it has 4 entries, the log only 3")), "{found}");
}

#[test]
fn a_forked_copy_gives_a_proof_that_names_the_key() {
    let (ours, forked) = (Archive::new(), Archive::about("d", 4));
    let run = audit(&ours, &["--against", &dump(&forked)]).expect_code(1).json();
    assert_eq!(run["verdict"], "tampered");
    assert_eq!(run["copies"][0]["parted"], json!({"block": 0, "entry": 1}));
    let proof = run["fork"].as_str().expect("a proof");
    let verify = |key: &str, more: &[&str]| {
        ours.desk.miax(&[&["ledger", "verify", "--fork", proof, "--key", key], more].concat())
    };
    let shown = verify(&ours.key, &["-o", "json"]).expect_code(0).json();
    assert_eq!(
        (&shown["proven"], &shown["culprit"], &shown["keys"]),
        (&json!(true), &json!("log key"), &json!([ours.key]))
    );
    verify(&ours.key, &[]).expect_code(0).expect_out("told two histories").expect_out("the log's key misbehaved");
    // The same audit finds the same; the proof is not written twice.
    assert_eq!(audit(&ours, &["--against", &dump(&forked)]).expect_code(1).json()["fork"], run["fork"]);

    let other = miax::trust::NoteSigner::try_new(crate::ledger::ORIGIN, &[9; 32]).expect("key").verifier().to_string();
    verify(&other, &[]).expect_code(1).expect_out("not proven");
    let text = ours.desk.text(proof);
    ours.desk.write("newer.json", &text.replace("fork-proof/v1", "fork-proof/v2"));
    ours.desk.write("cut.json", text.get(..text.len() / 2).expect("a half"));
    let code = |file: &str| ours.desk.miax(&["ledger", "verify", "--fork", file, "--key", &ours.key]).code;
    assert_eq!((code("newer.json"), code("cut.json"), code("nowhere.json")), (2, 1, 2));
    ours.desk.miax(&["ledger", "verify", "--fork", proof]).expect_code(2).expect_err("give --key");
}

#[test]
fn two_blocks_without_checkpoints_name_their_writer() {
    let (ours, forked) = (Archive::new(), Archive::about("d", 3));
    for archive in [&ours, &forked] {
        std::fs::remove_file(archive.desk.path("dump/checkpoint.yaml")).expect("removed");
    }
    let report = audit(&ours, &["--against", &dump(&forked)]).expect_code(1).json();
    let fixed = ["ledger", "verify", "--fork", report["fork"].as_str().expect("a proof"), "--key", &ours.key];
    ours.desk
        .miax(&fixed)
        .expect_code(0)
        .expect_out("block 0 was sealed twice")
        .expect_out("a writer's key misbehaved");
}

#[test]
fn a_kept_checkpoint_that_the_log_does_not_continue_is_proof_enough() {
    let (ours, forked) = (Archive::new(), Archive::about("d", 2));
    ours.desk.write("foreign.txt", &forked.desk.text("kept.txt"));
    let report = audit(&ours, &["--continues", "kept.txt", "--continues", "foreign.txt"]).expect_code(1).json();
    let found = finding(&report, "checkpoint-consistency");
    assert_eq!(found["object"], "foreign.txt");
    let fixed = ["ledger", "verify", "--fork", report["fork"].as_str().expect("a proof"), "--key", &ours.key];
    ours.desk.miax(&fixed).expect_code(0).expect_out("whose first 3 have the root");
    ours.desk.write("later.txt", &Archive::about("c", 5).desk.text("kept.txt"));
    let report = audit(&ours, &["--continues", "later.txt"]).expect_code(2).json();
    assert_eq!(finding(&report, "largest-known-size")["object"], "later.txt");
}

#[test]
fn what_is_wrong_with_a_copy_is_told_and_is_not_called_the_logs() {
    let (ours, damaged) = (Archive::new(), Archive::new());
    let file = Archive::file(2);
    damaged.desk.write(&file, &damaged.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    let report = audit(&ours, &["--against", &dump(&damaged)]).expect_code(1).json();
    let found = &report["findings"][0];
    assert_eq!((&found["class"], &found["check"]), (&json!("tampered"), &Value::Null));
    assert!(found["object"].as_str().is_some_and(|o| o.starts_with(&dump(&damaged))), "{found}");
    assert_eq!(report["copies"][0]["verdict"], "tampered");
    assert_eq!(report["checks"][11]["result"], "passed", "every seal of the log itself is right");
}

#[test]
fn a_log_that_was_set_back_or_rewritten_since_the_last_audit_is_found() {
    let archive = Archive::new();
    let state = ["--state", "audit.json"];
    audit(&archive, &state).expect_code(0);
    assert_eq!(state_size(&archive), 4);
    audit(&archive, &state).expect_code(0);
    let replace = |other: &Archive| {
        std::fs::remove_dir_all(archive.desk.path("dump")).expect("removed");
        std::fs::create_dir(archive.desk.path("dump")).expect("directory");
        for entry in std::fs::read_dir(other.desk.path("dump")).expect("directory") {
            let entry = entry.expect("a file");
            std::fs::copy(entry.path(), archive.desk.path("dump").join(entry.file_name())).expect("copied");
        }
    };
    // A backup is put back: it is whole, and its own checkpoint fits.
    replace(&Archive::about("c", 2));
    archive.desk.miax(&["ledger", "verify", "dump", "--key", &archive.key]).expect_code(0);
    let report = audit(&archive, &state).expect_code(2).json();
    let found = finding(&report, "largest-known-size");
    assert!(
        found["message"].as_str().is_some_and(|m| m.contains("the last audit") && m.contains("4 entries")),
        "{found}"
    );
    replace(&Archive::about("d", 5));
    let report = audit(&archive, &state).expect_code(1).json();
    assert!(finding(&report, "checkpoint-root")["message"].to_string().contains("the last audit"), "{report}");
    let report = audit(&archive, &["--state", "audit.json", "--incremental"]).expect_code(1).json();
    assert_eq!(finding(&report, "previous-digest")["class"], "tampered");
    assert_eq!(state_size(&archive), 4, "what is not good is found again");
    replace(&Archive::about("c", 5));
    audit(&archive, &state).expect_code(0);
    assert_eq!(state_size(&archive), 6);
}

#[test]
fn an_incremental_audit_begins_where_the_last_one_ended() {
    let (archive, longer) = (Archive::about("c", 2), Archive::about("c", 4));
    audit(&archive, &["--state", "audit.json", "--incremental"]).expect_code(0);
    for file in [Archive::file(2), Archive::file(3), "dump/checkpoint.yaml".to_owned()] {
        std::fs::copy(longer.desk.path(&file), archive.desk.path(&file)).expect("copied");
    }
    let run = |more: &[&str]| audit(&archive, &[&["--state", "audit.json"], more].concat());
    let report = run(&["--incremental"]).expect_code(0).json();
    assert_eq!((report["first"].as_u64(), report["entries"].as_u64()), (Some(3), Some(5)));
    assert_eq!(report["checks"][9]["entries"].as_u64(), Some(2), "it says how much it looked at");
    // An old block is changed: only the full run looks at it, which is why it is the default.
    let file = Archive::file(0);
    archive.desk.write(&file, &archive.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    run(&["--incremental"]).expect_code(0);
    run(&[]).expect_code(1);
}

#[test]
fn findings_are_on_the_disk_before_the_state_moves_on() {
    let archive = Archive::new();
    let kept = ["--state", "audit.json", "--findings", "findings.jsonl"];
    audit(&archive, &kept).expect_code(0);
    assert_eq!(archive.desk.text("findings.jsonl"), "");
    let before = archive.desk.text("audit.json");
    let file = Archive::file(2);
    archive.desk.write(&file, &archive.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    for run in 1..=2 {
        audit(&archive, &kept).expect_code(1);
        let lines: Vec<Value> =
            archive.desk.text("findings.jsonl").lines().map(|line| serde_json::from_str(line).expect("json")).collect();
        assert_eq!(lines.len(), run, "each run tells it again");
        assert_eq!((&lines[0]["check"], lines[0]["entry"].as_u64()), (&json!("writer-seal"), Some(3)));
    }
    assert_eq!(archive.desk.text("audit.json"), before);

    // Findings that cannot be written: the state stays where it was, and nobody takes silence for a good answer.
    let other = Archive::new();
    let nowhere = ["--state", "audit.json", "--findings", "nowhere/findings.jsonl"];
    audit(&other, &nowhere).expect_code(2).expect_err("nowhere/findings.jsonl");
    assert!(!other.desk.path("audit.json").exists());
}

#[test]
fn a_state_that_was_changed_or_is_of_another_log_is_refused() {
    let archive = Archive::new();
    audit(&archive, &["--state", "audit.json"]).expect_code(0);
    let text = archive.desk.text("audit.json");
    let check = |changed: &str, part: &str| {
        archive.desk.write("audit.json", changed);
        audit(&archive, &["--state", "audit.json", "--incremental"]).expect_code(2).expect_err(part);
    };
    check(&text.replace("ecm/test/0\"", "ecm/other/0\""), "of the log `miax.dev/ecm/other/0`");
    check("{}", "has the form");
    check("", "not canonical JSON");
    check(&text.replace("\"size\":4", "\"size\":5"), "its edge does not fit");
    check(&text.replace("\"size\":4", "\"size\":-4"), "is not the state of an audit");
}

#[test]
fn a_clock_that_went_back_is_told_and_is_no_finding() {
    let archive = Archive::at_times("c", &[5, 900_000, 200_000, 300_000]);
    let report = audit(&archive, &[]).expect_code(0).json();
    let step = json!({"block": 2, "entry": 3, "writer": "w", "behindMilliseconds": 700_001});
    assert_eq!(report["clockSteps"], json!([step]));
    let text = ["ledger", "audit", "--dump", "dump", "--key", &archive.key];
    archive.desk.miax(&text).expect_code(0).expect_out("w writes times 700 s before earlier ones");
}
