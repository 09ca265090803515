//! Evidence packs: one file about one document, accepted alone with only the log's key, and refused when anything of it is
//! another byte.

use miax::trust::canonical_json;
use serde_json::{Value, json};

use crate::book::Book;
use crate::desk::Run;

fn pack(book: &Book, arguments: &[&str]) -> String {
    book.ledger(&[&["pack"], arguments].concat()).expect_code(0).out
}

/// Checks a pack where nothing else is.
fn check(book: &Book, text: &str) -> Run {
    let alone = book.desk.path("alone");
    let _ = std::fs::create_dir(&alone);
    std::fs::write(alone.join("pack.json"), text).expect("written");
    crate::desk::run(&alone, &["ledger", "verify", "--pack", "pack.json", "--key", &book.key, "-o", "json"], &[], b"")
}

/// The pack with a change in it, as whoever knows the form would write it.
fn forge(text: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value: Value = serde_json::from_str(text).expect("json");
    change(&mut value);
    String::from_utf8(canonical_json(&value).expect("canonical").into_vec()).expect("UTF-8")
}

#[test]
fn a_pack_tells_what_happened_to_a_command_and_by_whose_signatures() {
    let book = Book::new();
    let text = pack(&book, &["shop/checkout-3", "--file", "cmd.yaml"]);
    let checked = check(&book, &text).expect_code(0).json();
    let kinds: Vec<&str> =
        checked["entries"].as_array().expect("entries").iter().filter_map(|e| e["kind"].as_str()).collect();
    let documents = kinds.iter().filter(|k| **k == "document").count();
    assert!(documents > 0, "{kinds:?}");
    let rest: Vec<&str> = kinds.into_iter().filter(|k| *k != "document").collect();
    assert_eq!(rest, ["adopt", "decision", "decision", "stored", "effect.begin", "effect.done"]);
    assert_eq!(checked["signers"].as_array().map(Vec::len), Some(4));
    assert_eq!(checked["charters"][0]["version"], 1);
    book.desk.write("pack.json", &text);
    let words = book.verify(&["pack.json"]).expect_code(0).expect_out("whole: ");
    words.expect_out("approve by dana for SRE").expect_out("charter version 1").expect_out("Scale Deployment");
    // The digest names the same entries.
    let other = pack(&book, &[&book.command.to_string()]);
    check(&book, &other).expect_code(0);
    let entries = |text: &str| serde_json::from_str::<Value>(text).expect("json")["entries"].clone();
    assert_eq!(entries(&other), entries(&text));
    // The amendment of a charter is packed by its name.
    let charter = pack(&book, &["constitution-v1", "--file", "charter.yaml"]);
    check(&book, &charter).expect_code(0);
}

#[test]
fn a_pack_is_refused_by_another_key_and_without_one() {
    let book = Book::new();
    book.desk.write("pack.json", &pack(&book, &["shop/checkout-3"]));
    book.desk.miax(&["ledger", "verify", "pack.json"]).expect_code(2).expect_err("give --key");
    let other = miax::trust::NoteSigner::try_new(&book.origin, &[9; 32]).expect("key").verifier().to_string();
    let run = book.desk.miax(&["ledger", "verify", "pack.json", "--key", &other]).expect_code(1);
    run.expect_out("not signed by").expect_out("proves nothing");
}

#[test]
fn what_cannot_be_packed_says_why() {
    let book = Book::new();
    let refuse = |arguments: &[&str], part: &str| {
        book.ledger(&[&["pack"], arguments].concat()).expect_code(2).expect_err(part);
    };
    refuse(&["shop/other"], "no entry is about ControlCommand shop/other");
    refuse(&["shop/checkout-3", "--file", "charter.yaml"], "no entry is about a document");
    refuse(&["constitution-v1", "--file", "cmd.yaml"], "no entry is about a document");
    refuse(&["shop/checkout-3", "--checkpoint", "old.txt"], "newer than the checkpoint");
    refuse(&["shop/checkout-3", "-o", "yaml"], "a pack is JSON");
    // A file that lost a signature which was counted, and one that was changed after signing.
    let whole = book.desk.text("cmd.yaml");
    let mut object = miax::trust::parse_yaml_strict(&whole).expect("yaml").pop().expect("a document");
    object["spec"]["signatures"].as_array_mut().expect("signatures").retain(|s| s["principal"] != "eve");
    book.desk.write("fewer.yaml", &miax::trust::to_yaml(&object));
    refuse(&["shop/checkout-3", "--file", "fewer.yaml"], "approve by eve for TCC");
    book.desk.write("changed.yaml", &whole.replace("replicas: 3", "replicas: 30"));
    refuse(&["shop/checkout-3", "--file", "changed.yaml"], "no entry is about a document");
}

#[test]
fn a_flipped_byte_of_a_pack_is_refused_wherever_it_is() {
    let book = Book::new();
    let text = pack(&book, &["shop/checkout-3", "--file", "cmd.yaml"]);
    let bytes = text.trim_end().as_bytes();
    let key = book.key.as_str();
    // Bytes of every part, each with a bit that depends on its place.
    let alone = book.desk.path("flips");
    std::fs::create_dir(&alone).expect("directory");
    let step = (bytes.len() / 120).max(1);
    for at in (0..bytes.len()).step_by(step) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 7);
        std::fs::write(alone.join("pack.json"), &flipped).expect("written");
        let run = crate::desk::run(&alone, &["ledger", "verify", "--pack", "pack.json", "--key", key], &[], b"");
        assert_ne!(run.code, 0, "byte {at}: {}", String::from_utf8_lossy(&flipped));
    }
}

#[test]
fn a_forged_pack_is_refused_and_its_entry_named() {
    let book = Book::new();
    let text = pack(&book, &["shop/checkout-3", "--file", "cmd.yaml"]);
    let value: Value = serde_json::from_str(&text).expect("json");
    let index = |at: usize| value["entries"][at]["index"].as_u64();
    let last = value["entries"].as_array().expect("entries").len() - 1;
    let refuse = |change: &dyn Fn(&mut Value), entry: Option<u64>, part: &str| {
        let report = check(&book, &forge(&text, change)).expect_code(1).json();
        let finding = &report["findings"][0];
        assert_eq!(finding["entry"].as_u64(), entry, "{report}");
        assert!(finding["message"].as_str().is_some_and(|m| m.contains(part)), "{part}: {report}");
    };
    let root = "does not lead to the root";
    refuse(
        &|v| {
            let entry = v["entries"][last]["entry"].as_str().expect("text").replace("from 2", "from 9");
            v["entries"][last]["entry"] = json!(entry);
        },
        index(last),
        root,
    );
    refuse(&|v| v["entries"][1]["proof"][0] = v["entries"][0]["proof"][0].clone(), index(1), root);
    refuse(&|v| v["entries"][1]["proof"][0] = json!("AAAA"), index(1), "not a hash");
    refuse(&|v| drop(v["entries"][1]["proof"].as_array_mut().expect("proof").pop()), index(1), "hashes");
    refuse(&|v| v["entries"][last]["index"] = json!(900), Some(900), "is not in a tree");
    refuse(
        &|v| {
            let twice = v["entries"][last].clone();
            v["entries"].as_array_mut().expect("entries").push(twice);
        },
        index(last),
        "stands twice",
    );
    refuse(&|v| v["entries"].as_array_mut().expect("entries").swap(1, 2), index(1), "order of the log");
    // The text of the charter is cut: by its middle, and whole.
    refuse(&|v| drop(v["entries"].as_array_mut().expect("entries").remove(0)), index(2), "not complete");
    refuse(
        &|v| v["entries"].as_array_mut().expect("entries").retain(|e| e["index"].as_u64() > index(last - 5)),
        index(last - 4),
        "whose text is not here",
    );
    refuse(
        &|v| v["about"]["object"]["name"] = json!("checkout-4"),
        index(0),
        "not about ControlCommand shop/checkout-4",
    );
    refuse(&|v| v["checkpoint"] = json!("x"), None, "not a signed note");
    refuse(&|v| v["extra"] = json!(1), None, "unknown field");
    refuse(&|v| v["document"]["metadata"]["labels"] = json!({"a": "b"}), None, "nobody signed");
    refuse(&|v| v["document"]["spec"]["reason"] = json!("other"), None, "no entry is about a document");
    let other = |v: &mut Value| v["document"]["spec"]["signatures"][1]["comment"] = json!("yes");
    refuse(&other, None, "does not verify");
    refuse(
        &|v| drop(v["document"]["spec"]["signatures"].as_array_mut().expect("signatures").pop()),
        index(last - 3),
        "the signature is not in the document",
    );
    let newer = check(&book, &forge(&text, |v| v["format"] = json!("miax.dev/evidence-pack/v2"))).expect_code(2).json();
    assert_eq!(newer["findings"][0]["class"], "unsupported");
    check(&book, &text.replace(":", ": ")).expect_code(1).expect_out("formatted anew");
    check(&book, text.get(..text.len() / 2).expect("text")).expect_code(1);
}
