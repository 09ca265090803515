//! Ledgers whose first blocks have left the cluster: read from a snapshot on, or completed from an archive.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::store::unpack_snapshot;
use miax::trust::parse_yaml_strict;
use miax::units::BlockNumber;

use crate::book::Book;

const BEGIN: usize = 3;

/// The blocks before the fourth one are gone from the dump; an archive over all of it is in `kept`.
fn pruned() -> (Book, String) {
    let mut book = Book::new();
    let whole = book.desk.miax(&["status", "--dump", "dump", "--key", &book.key]).expect_code(0).out;
    book.ledger(&["archive", "kept"]).expect_code(0);
    let file = book.prune(BEGIN);
    let status = book.desk.miax(&["status", "--dump", "dump", "--key", &book.key]).expect_code(0);
    let of = |text: &str| text.lines().filter(|l| !l.starts_with("ledger") && !l.starts_with("archive")).count();
    assert_eq!(of(&status.out), of(&whole), "the same charter and commands are there: {}", status.out);
    (book, file)
}

#[test]
fn a_pruned_ledger_begins_at_its_snapshot_and_says_so() {
    let (book, _) = pruned();
    let report = book.verify(&["dump", "-o", "json"]).expect_code(0).json();
    let entries = report["entries"].as_u64().expect("a number");
    assert_eq!((&report["snapshot"]["block"], &report["snapshot"]["entry"]), (&BEGIN.into(), &(entries - 1).into()));
    let meant = format!("it begins at block {BEGIN} with a snapshot; entry {} means it", entries - 1);
    book.verify(&["dump"]).expect_code(0).expect_out(&meant).expect_out(" from entry ");
    book.ledger(&["show", &(entries - 1).to_string()]).expect_code(0).expect_out("may leave the cluster; block 3 is");
    book.ledger(&["audit"]).expect_code(0);
    book.ledger(&["list"]).expect_code(0).expect_out("prune");
    // What is made of every entry needs the first ones too.
    for needs_all in [&["prove", "9"][..], &["archive", "other"], &["pack", "shop/checkout-3"]] {
        book.ledger(needs_all).expect_code(2).expect_err("give --archive DIR");
        book.ledger(&[needs_all, &["--archive", "kept"]].concat()).expect_code(0);
    }
    book.ledger(&["audit", "--against", "kept"]).expect_code(2).expect_err("give --archive DIR");
    book.ledger(&["audit", "--against", "kept", "--archive", "kept"]).expect_code(0).expect_out("same: kept");
    let report = book.verify(&["dump", "--archive", "kept", "-o", "json"]).expect_code(0).json();
    assert_eq!((report["entries"].as_u64(), report["first"].as_u64()), (Some(entries), Some(0)));
    assert!(report["snapshot"].is_null(), "nothing is taken from a snapshot: {report}");
    // Every decision that is here is judged again, from State at the snapshot on.
    std::fs::create_dir(book.desk.path("documents")).expect("directory");
    book.desk.write("documents/cmd.yaml", &book.desk.text("cmd.yaml"));
    book.ledger(&["replay", "--documents", "documents"])
        .expect_code(0)
        .expect_out("2 re-judged and the same, 0 differ, 0 without a document");
}

#[test]
fn an_audit_goes_on_although_what_it_saw_last_has_left() {
    let mut book = Book::new();
    let report = book.ledger(&["audit", "--state", "audit.json", "-o", "json"]).expect_code(0).json();
    let blocks = usize::try_from(report["blocks"].as_u64().expect("a number")).expect("small");
    book.prune(blocks);
    let report = book.ledger(&["audit", "--state", "audit.json", "--incremental", "-o", "json"]).expect_code(0).json();
    assert_eq!((&report["verdict"], &report["snapshot"]["block"]), (&"good".into(), &blocks.into()), "{report}");
    let report = book.ledger(&["audit", "--state", "audit.json", "--incremental", "-o", "json"]).expect_code(0).json();
    assert!(report["snapshot"].is_null() && report["first"] == report["entries"], "it goes on at the end: {report}");
}

#[test]
fn a_snapshot_that_is_changed_or_that_nothing_means_is_found() {
    let (book, file) = pruned();
    let text = book.desk.text(&file);
    let map = parse_yaml_strict(&text).expect("yaml").pop().expect("an object");
    let packed = STANDARD.decode(map["binaryData"]["packed"].as_str().expect("text")).expect("base64");
    let bytes = unpack_snapshot([packed.as_slice()].into_iter()).expect("unpacked");
    let check = |bytes: &[u8], part: &str| {
        book.write_snapshot(BlockNumber(3), bytes);
        let report = book.verify(&["dump", "-o", "json"]).expect_code(1).json();
        let found = report["findings"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|f| f["check"] == "archive-and-prune" && f["message"].as_str().is_some_and(|m| m.contains(part)));
        assert!(found, "{part}: {report}");
    };
    let edited = String::from_utf8(bytes.clone()).expect("text").replace("\"newest\":1", "\"newest\":2");
    check(edited.as_bytes(), "no entry of the ledger means this snapshot");
    check(b"{}", "this is not a snapshot");
    check(&bytes[..bytes.len() - 9], "this is not a snapshot");
    book.write_snapshot(BlockNumber(3), &bytes);
    book.verify(&["dump"]).expect_code(0);
    // Without a checkpoint it is only what somebody has put there; an older one covers nothing of it.
    let anchor = book.desk.text("dump/checkpoint.yaml");
    std::fs::remove_file(book.desk.path("dump/checkpoint.yaml")).expect("removed");
    book.verify(&["dump"]).expect_code(2).expect_out("no checkpoint covers entry");
    book.verify(&["dump", "--checkpoint", "kept.txt"]).expect_code(0);
    book.verify(&["dump", "--checkpoint", "old.txt"]).expect_code(2).expect_out("no checkpoint covers entry");
    book.desk.write("dump/checkpoint.yaml", &anchor);
    // Without the snapshot only the archive helps.
    std::fs::remove_file(book.desk.path(&file)).expect("removed");
    book.verify(&["dump"]).expect_code(1).expect_out("the block is missing");
    book.verify(&["dump", "--archive", "kept"]).expect_code(0);
}
