//! Commitments of entries, opened offline with the salt that was kept elsewhere.

use std::sync::Arc;

use miax::constitution::{Event, Facts, Operation, Outcome, authority, deliberate};
use miax::trust::Salt;
use miax::units::LogIndex;

use crate::desk::{Run, UID};
use crate::replay::{Book, found, read, request};

const SALT: [u8; 32] = [9; 32];

/// A ledger whose last entry refuses the unsigned command, with a commitment to it.
fn committed() -> (Book, LogIndex) {
    let mut book = Book::new();
    let unsigned = read(&book.desk, "documents/unsigned.yaml");
    let facts = Facts {
        now: book.now,
        cluster_uid: UID.to_owned(),
        genesis: Some(book.genesis),
        target: found(4),
        budgets: Vec::new(),
    };
    let review = request(Operation::Create, Some(&unsigned), None);
    let Outcome { events, reply: _ } = deliberate(&review, &book.state, &facts);
    let [Event::Decision(decision)] = events.as_slice() else { unreachable!("one decision") };
    let mut decision = decision.clone();
    let payload = authority(&unsigned).expect("canonical");
    Arc::make_mut(&mut decision).commit(Salt::new(SALT).commit(payload.as_slice()));
    let index = book.state.next_index();
    book.record(vec![Event::Decision(decision)]);
    (book, index)
}

fn open(book: &Book, index: LogIndex, file: &str, salt: &str) -> Run {
    let index = index.to_string();
    let opened = ["--index", &index, "--payload", file, "--salt", salt];
    book.desk.miax(&[&["ledger", "verify", "dump", "--key", &book.key], &opened[..]].concat())
}

#[test]
fn who_has_the_salt_proves_what_an_entry_is_about() {
    let (book, index) = committed();
    let salt = Salt::new(SALT).reveal().to_string();
    let proven = open(&book, index, "documents/unsigned.yaml", &salt).expect_code(0);
    assert!(proven.out.contains(&format!("proven: entry {index} is about documents/unsigned.yaml")), "{}", proven.out);
    let refused = |file: &str, salt: &str, index: LogIndex, code: i32, part: &str| {
        let run = open(&book, index, file, salt).expect_code(code);
        assert!(run.out.contains(part) || run.err.contains(part), "{part}: {} {}", run.out, run.err);
    };
    refused("cmd.yaml", &salt, index, 1, "is not about cmd.yaml");
    refused("documents/unsigned.yaml", &"0".repeat(64), index, 1, "not proven");
    refused("documents/unsigned.yaml", "09", index, 2, "not 64 hex digits");
    refused("documents/unsigned.yaml", &salt, LogIndex(1), 2, "holds no commitment");
    refused("documents/unsigned.yaml", &salt, LogIndex(0), 2, "is no decision");
    refused("documents/unsigned.yaml", &salt, LogIndex(99), 2, "there is no entry 99");
    let labelled = book.desk.text("documents/unsigned.yaml").replace("metadata:\n", "metadata:\n  labels: {a: b}\n");
    book.desk.write("labelled.yaml", &labelled);
    // What has no authority is not part of it: the file is the one that people signed, not what the cluster made of it.
    open(&book, index, "labelled.yaml", &salt).expect_code(0);
    // A ledger that is not whole proves nothing.
    let name = miax::ledger::block_name(0, miax::units::BlockNumber(1));
    std::fs::remove_file(book.desk.path(&format!("dump/{name}.yaml"))).expect("removed");
    open(&book, index, "documents/unsigned.yaml", &salt).expect_code(1);
}

#[test]
fn a_commitment_does_not_change_how_an_entry_is_judged_again() {
    let (book, _) = committed();
    let report: serde_json::Value = serde_json::from_str(&book.replay().expect_code(0).out).expect("json");
    assert_eq!(report["differ"], serde_json::json!([]));
}
