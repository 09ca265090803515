//! One verdict everywhere: what verify and audit say about a ledger, in a word, by their exit code, and point by point.

use miax::constitution::{AdoptEvent, DocumentEvent, Event, Manifest};
use miax::ledger::{Check, Checkpoint, block_name};
use miax::trust::{Cosigner, NoteSigner, SigningKey, canonical_json, parse_yaml_strict, sha256};
use miax::units::{BlockNumber, UnixSeconds};
use serde_json::{Value, json};

use crate::book::Book;
use crate::ledger::{Archive, ORIGIN};

/// Asserts the verdict and the exit code of `miax ledger verify` and `miax ledger audit`.
#[track_caller]
fn answers(archive: &Archive, more: &[&str], verdict: &str, code: i32) -> Value {
    let run = |fixed: &[&str]| {
        let arguments = [&["ledger"], fixed, &["--key", &archive.key, "-o", "json"], more].concat();
        archive.desk.miax(&arguments).expect_code(code).json()
    };
    let (verified, audited) = (run(&["verify", "dump"]), run(&["audit", "--dump", "dump"]));
    assert_eq!((verified["verdict"].as_str(), audited["verdict"].as_str()), (Some(verdict), Some(verdict)));
    assert_eq!(verified["checks"], audited["checks"]);
    audited
}

#[test]
fn the_verdict_is_in_the_output_and_in_the_exit_code() {
    let archive = Archive::new();
    answers(&archive, &["--checkpoint", "kept.txt"], "good", 0);
    let last = archive.desk.text(&Archive::file(2));
    archive.desk.write(&Archive::file(2), &last.replace("\"v\":1,", "\"v\":2,"));
    answers(&archive, &[], "unsupported", 2);
    archive.desk.write(&Archive::file(2), "");
    answers(&archive, &[], "incomplete", 2);
    archive.desk.write(&Archive::file(1), "");
    archive.desk.write(&Archive::file(2), &last);
    answers(&archive, &[], "tampered", 1);
}

#[test]
fn too_few_witnesses_are_told_apart_from_a_changed_ledger() {
    let archive = Archive::new();
    let witness = |seed: u8| {
        let key = SigningKey::from_ed25519_seed(&[seed; 32]);
        Cosigner::try_new(&format!("w/{seed}"), &key).expect("name").expect("Ed25519")
    };
    let keys: Vec<String> = [1, 2, 3].map(|seed| witness(seed).verifier().to_string()).to_vec();
    let asked = ["--witness", &keys[0], "--witness", &keys[1], "--witness", &keys[2], "--checkpoint", "kept.txt"];
    let with = |more: &[&'static str]| [&asked[..], more].concat();
    let report = answers(&archive, &with(&[]), "unwitnessed", 2);
    assert_eq!(report["checks"][16]["result"], "failed");
    assert!(
        report["findings"][0]["message"].as_str().is_some_and(|m| m.contains("3 of 3") && m.contains("nobody has"))
    );
    let kept = archive.desk.text("kept.txt");
    let text = format!("{}\n", kept.split("\n\n").next().expect("a text"));
    let line = |seed| witness(seed).cosign(&text, UnixSeconds::new(1_000)).expect("signed");
    archive.desk.write("kept.txt", &format!("{kept}{}{}", line(1), line(2)));
    answers(&archive, &with(&[]), "unwitnessed", 2);
    let report = answers(&archive, &with(&["--quorum", "2"]), "good", 0);
    assert_eq!(report["checks"][16]["result"], "passed");
    archive.desk.write("kept.txt", &format!("{kept}{}", line(1).replace("AAA", "AAB")));
    answers(&archive, &with(&["--quorum", "1"]), "tampered", 1);
    let run = |more: &[&str]| {
        let fixed = ["ledger", "verify", "dump", "--key", &archive.key];
        archive.desk.miax(&[&fixed[..], more].concat()).expect_code(2)
    };
    run(&["--witness", &archive.key]).expect_err("the key of a witness");
    run(&["--witness", &keys[0], "--quorum", "2"]).expect_err("between 1 and their number");
    run(&["--witness", &keys[0], "--witness", &keys[0]]).expect_err("share a name or a key");
}

#[test]
fn a_proof_and_a_pack_need_the_witnesses_too() {
    let book = Book::new();
    let proof = book.ledger(&["prove", "1", "--with-entry"]).expect_code(0).out;
    book.desk.write("1.tlog-proof", &proof);
    let pack = book.ledger(&["pack", "shop/checkout-3"]).expect_code(0).out;
    book.desk.write("pack.json", &pack);
    let key = Cosigner::try_new("w/1", &SigningKey::from_ed25519_seed(&[1; 32])).expect("name").expect("Ed25519");
    let witness = key.verifier().to_string();
    for what in [&["--proof", "1.tlog-proof"][..], &["pack.json"]] {
        let report = book.verify(&[what, &["-o", "json"]].concat()).expect_code(0).json();
        assert_eq!(report["verdict"], "good", "{what:?}");
        let report = book.verify(&[what, &["--witness", &witness, "-o", "json"]].concat()).expect_code(2).json();
        assert_eq!(report["verdict"], "unwitnessed", "{what:?}");
    }
}

#[test]
fn an_audit_lists_every_point_with_its_result() {
    let archive = Archive::new();
    let audit = || {
        let fixed =
            ["ledger", "audit", "--dump", "dump", "--checks", "--checkpoint", "kept.txt", "--key", &archive.key];
        archive.desk.miax(&fixed)
    };
    let text = audit().expect_code(0).out;
    for check in Check::ALL {
        let line =
            text.lines().find(|l| l.split_whitespace().nth(1) == Some(check.as_str())).expect("a line for each point");
        assert!(line.starts_with(&format!("V{} ", check.point())), "{line}");
        assert!(line.contains("passed, over 4 entries") || line.contains("not applicable: "), "{line}");
    }
    let file = Archive::file(1);
    archive.desk.write(&file, &archive.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    audit().expect_code(1).expect_out("writer-seal             tampered at entry 2").expect_out("(V12 writer-seal)");
}

#[test]
fn a_checkpoint_that_nobody_signed_fails_its_point() {
    let archive = Archive::new();
    let other = NoteSigner::try_new(ORIGIN, &[9; 32]).expect("key");
    let forged = Checkpoint { origin: ORIGIN.to_owned(), size: 4, root: sha256(b"x") }.sign(&other).expect("note");
    let anchor = json!({"metadata": {"name": "miax-checkpoint"}, "data": {"key": archive.key, "checkpoint": forged}});
    archive.desk.write("dump/checkpoint.yaml", &miax::trust::to_yaml(&anchor));
    let report = answers(&archive, &[], "tampered", 1);
    assert_eq!(report["checks"][13]["result"], "failed", "{report}");
}

/// The events by which a charter comes into force, without anybody who judges it.
fn adoption(charter: &Value) -> Vec<Event> {
    let text = String::from_utf8(canonical_json(charter).expect("canonical").into_vec()).expect("UTF-8");
    let digest = sha256(text.as_bytes());
    let chars: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = chars.chunks(6_000).map(|piece| piece.iter().collect()).collect();
    let parts = u32::try_from(pieces.len()).expect("few");
    let documents =
        (0..).zip(pieces).map(|(part, piece)| Event::Document(DocumentEvent { text: digest, part, parts, piece }));
    let Manifest { document, version, .. } = Manifest::read(charter).expect("a charter");
    let adopt = AdoptEvent { object: document.object, version, digest: document.digest, text: digest };
    documents.chain([Event::Adopt(adopt)]).collect()
}

#[test]
fn a_charter_in_the_ledger_whose_signatures_are_forged_is_found() {
    let mut book = Book::new();
    let report = |book: &Book, code| book.verify(&["dump", "-o", "json"]).expect_code(code).json();
    assert_eq!(report(&book, 0)["checks"][22]["result"], "passed");
    let mut charter = parse_yaml_strict(&book.desk.text("charter.yaml")).expect("yaml").remove(0);
    book.append(&adoption(&charter));
    assert_eq!(report(&book, 0)["checks"][22]["result"], "passed", "signed by its people it is fine");
    charter["spec"]["expiresAt"] = json!("2099-01-01T00:00:00Z");
    book.append(&adoption(&charter));
    let found = report(&book, 1);
    assert_eq!(
        (&found["verdict"], &found["findings"][0]["check"]),
        (&json!("tampered"), &json!("embedded-signatures"))
    );
    let last = found["entries"].as_u64().expect("entries") - 1;
    assert_eq!(found["findings"][0]["entry"].as_u64(), Some(last), "{found}");
}

#[test]
fn a_missing_object_of_a_block_names_its_point() {
    let archive = Archive::new();
    std::fs::remove_file(archive.desk.path(&Archive::file(1))).expect("removed");
    let report = answers(&archive, &[], "tampered", 1);
    let missing = block_name(0, BlockNumber(1));
    let finding = &report["findings"][0];
    assert_eq!((&finding["check"], &finding["object"]), (&json!("dense-blocks"), &json!(missing)));
}
