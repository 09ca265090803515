//! Reading a ledger: filters, entries in plain words, CloudEvents, and proofs that are checked without it.

use miax::trust::canonical_json;
use serde_json::{Value, json};

use crate::book::{Book, SYNCER};

fn indexes(book: &Book, arguments: &[&str]) -> Vec<u64> {
    let list = book.ledger(&[&["list", "-o", "json"], arguments].concat()).expect_code(0).json();
    list.as_array().expect("list").iter().map(|e| e["index"].as_u64().expect("index")).collect()
}

/// Index of the only entry of a kind.
fn only(book: &Book, kind: &str) -> u64 {
    let found = indexes(book, &["--kind", kind]);
    assert_eq!(found.len(), 1, "{kind}");
    found[0]
}

#[test]
fn entries_are_found_by_who_what_why_and_when() {
    let book = Book::new();
    let decisions = indexes(&book, &["--kind", "decision"]);
    let [charter, refused, allowed] = decisions[..] else { panic!("{decisions:?}") };
    let begin = only(&book, "effect.begin");
    let check = |arguments: &[&str], expected: &[u64]| assert_eq!(indexes(&book, arguments), expected, "{arguments:?}");
    check(&["--actor", SYNCER], &decisions);
    check(&["--actor", "system:serviceaccount:argocd"], &[]);
    check(&["--reason", "Unsigned"], &[refused]);
    check(&["--reason", "effectdone"], &[only(&book, "effect.done")]);
    check(&["--organ", "SRE"], &[allowed, begin]);
    check(&["--organ", "CTK"], &[charter]);
    check(&["--organ", "SRE", "--kind", "decision"], &[allowed]);
    check(&["--object", "ControlCommand/shop/checkout-3", "--kind", "decision"], &[refused, allowed]);
    check(&["--object", "shop/checkout-3", "--kind", "stored"], &[only(&book, "stored")]);
    check(&["--object", "Manifest", "--kind", "decision"], &[charter]);
    for part in ["checkout", "hop/checkout-3", "ControlCommand/checkout-3", "", "a/b/c/d"] {
        check(&["--object", part], &[]);
    }
    let time = |index: u64| {
        let entry = book.ledger(&["show", &index.to_string(), "-o", "json"]).expect_code(0).json();
        entry["time"].as_str().expect("time").to_owned()
    };
    check(&["--since", &time(begin)], &[begin, begin + 1]);
    check(&["--until", &time(charter + 1)], &[0, charter]);
    check(&["--since", &time(refused), "--until", &time(allowed)], &[refused]);
    check(&["--limit", "1"], &[begin + 1]);
    book.ledger(&["list", "--since", &time(begin), "--until", &time(begin)]).expect_code(2).expect_err("--until");
    book.ledger(&["list", "--kind", "decisions"]).expect_code(2).expect_err("not known to this version");
    book.ledger(&["list", "--reason", "Nonsense"]).expect_code(2).expect_err("miax explain");
    book.ledger(&["list", "--since", "yesterday"]).expect_code(2).expect_err("is not a time");
}

#[test]
fn an_entry_is_shown_in_plain_words_with_what_followed() {
    let book = Book::new();
    let decisions = indexes(&book, &["--kind", "decision"]);
    let show = |index: u64| book.ledger(&["show", &index.to_string()]).expect_code(0);
    let refused = show(decisions[1]);
    assert!(refused.out.contains("verdict    refused"), "{}", refused.out);
    let refused = refused.expect_out("because    Unsigned").expect_out(&format!("asked by   {SYNCER}"));
    // The refused document has the digest of the allowed one: signatures are not part of it.
    refused.expect_out(&format!("entry {}, decision: allow", decisions[2]));
    show(decisions[2])
        .expect_out("object     ControlCommand shop/checkout-3")
        .expect_out("asked      Create: Scale Deployment shop/checkout to 3")
        .expect_out("verdict    allowed")
        .expect_out("signed     author by bot for ALPHA")
        .expect_out("signed     approve by dana for SRE")
        .expect_out("charter    version 1")
        .expect_out(&format!("before     entry {}, decision: deny", decisions[1]))
        .expect_out("followed   entry")
        .expect_out("effect.done: EffectDone: scaled from 2 to 3");
    for index in 0..=only(&book, "effect.done") {
        show(index).expect_out(&format!("entry {index}, "));
    }
    show(only(&book, "effect.done")).expect_out("followed   nothing so far");
    let value = book.ledger(&["show", &decisions[2].to_string(), "-o", "json"]).expect_code(0).json();
    let kinds: Vec<&str> =
        value["linked"].as_array().expect("linked").iter().filter_map(|l| l["kind"].as_str()).collect();
    assert_eq!(kinds, ["decision", "stored", "effect.begin", "effect.done"]);
}

#[test]
fn entries_leave_as_cloud_events_whose_data_is_the_leaf() {
    let book = Book::new();
    let out = book.ledger(&["export"]).expect_code(0).out;
    let events: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).expect(l)).collect();
    assert_eq!(events.len() as u64, only(&book, "effect.done") + 1);
    for (index, event) in events.iter().enumerate() {
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["id"], format!("{}#{index}", book.origin));
        assert_eq!(event["source"], book.origin.as_str());
        let kind = event["data"]["kind"].as_str().expect("kind");
        assert_eq!(event["type"], format!("dev.miax.ledger.{kind}"));
        assert!(event["time"].as_str().is_some_and(|t| t.ends_with('Z')), "{event}");
        let known = ["specversion", "id", "source", "type", "time", "subject", "datacontenttype", "data"];
        assert!(event.as_object().expect("object").keys().all(|k| known.contains(&k.as_str())), "{event}");
        // The leaf that a proof is about is the canonical form of the data.
        let leaf = canonical_json(&event["data"]).expect("canonical").into_vec();
        book.desk.write("leaf.json", &String::from_utf8(leaf).expect("UTF-8"));
        let proof = book.ledger(&["prove", &index.to_string()]).expect_code(0).out;
        book.desk.write("leaf.tlog-proof", &proof);
        book.verify(&["--proof", "leaf.tlog-proof", "--entry", "leaf.json"]).expect_code(0);
    }
    assert_eq!(events[1]["subject"], "Manifest/constitution-v1");
    let some = book.ledger(&["export", "--kind", "stored"]).expect_code(0).out;
    assert_eq!(some.lines().count(), 1);
    assert!(some.contains(r#""subject":"ControlCommand/shop/checkout-3""#), "{some}");
}

#[test]
fn an_entry_is_proven_by_a_small_file_without_the_ledger() {
    let book = Book::new();
    let index = only(&book, "effect.begin").to_string();
    let proof = book.ledger(&["prove", &index, "--entry", "entry.json"]).expect_code(0);
    assert!(proof.out.starts_with("c2sp.org/tlog-proof@v1\nindex "), "{}", proof.out);
    assert!(proof.err.contains(&format!("{} bytes", proof.out.len())), "{}", proof.err);
    book.desk.write("a.tlog-proof", &proof.out);
    let good = book.verify(&["--proof", "a.tlog-proof", "--entry", "entry.json"]).expect_code(0);
    good.expect_out("proven").expect_out("effect.begin, ControlCommand shop/checkout-3");
    book.verify(&["--proof", "a.tlog-proof"]).expect_code(2).expect_err("give --entry FILE");
    let whole = book.ledger(&["prove", &index, "--with-entry"]).expect_code(0).out;
    book.desk.write("b.tlog-proof", &whole);
    let value = book.verify(&["--proof", "b.tlog-proof", "-o", "json"]).expect_code(0).json();
    assert_eq!((&value["proven"], &value["kind"]), (&json!(true), &json!("effect.begin")));
    // The key is never taken from the file under test.
    book.desk.miax(&["ledger", "verify", "--proof", "b.tlog-proof"]).expect_code(2).expect_err("give --key");
    book.desk.write("entry.json", &book.desk.text("entry.json").replace("shop", "shoq"));
    book.verify(&["--proof", "a.tlog-proof", "--entry", "entry.json"]).expect_code(1).expect_out("not proven");
    let cut = whole.split("\n\n").next().expect("head").to_owned();
    book.desk.write("c.tlog-proof", &cut);
    book.verify(&["--proof", "c.tlog-proof"]).expect_code(1).expect_out("a checkpoint must follow");
    book.ledger(&["prove", "99"]).expect_code(2).expect_err("there is no entry 99");
    book.ledger(&["prove"]).expect_code(2);
    book.ledger(&["prove", &index, "--entry", "entry.json"]).expect_code(2).expect_err("entry.json exists");
    book.ledger(&["prove", &index, "--checkpoint", "old.txt"]).expect_code(2).expect_err("newer than the checkpoint");
}

#[test]
fn nothing_is_proven_from_a_ledger_that_does_not_verify_or_that_nobody_vouches_for() {
    let book = Book::new();
    std::fs::remove_file(book.desk.path("dump/checkpoint.yaml")).expect("remove");
    book.ledger(&["prove", "1"]).expect_code(2).expect_err("without one a proof proves nothing");
    book.ledger(&["prove", "1", "--checkpoint", "kept.txt"]).expect_code(0);
    let block = "dump/ecm-0000-0000000000000001.yaml";
    book.desk.write(block, &book.desk.text(block).replace("edge: ", "edge: AAAA"));
    book.ledger(&["prove", "1", "--checkpoint", "kept.txt"]).expect_code(2).expect_err("does not verify");
}

#[test]
fn growth_is_proven_from_a_checkpoint_that_was_kept() {
    let book = Book::new();
    let growth = book.ledger(&["prove", "--continues", "old.txt"]).expect_code(0).out;
    assert!(growth.starts_with("old "), "{growth}");
    book.desk.write("growth.txt", &growth);
    book.verify(&["--proof", "growth.txt", "--continues", "old.txt"]).expect_code(0).expect_out("changed nothing");
    book.verify(&["--proof", "growth.txt"]).expect_code(2).expect_err("give --continues FILE");
    book.verify(&["--proof", "growth.txt", "--continues", "kept.txt"]).expect_code(1).expect_out("not proven");
    book.desk.write("forged.txt", &book.desk.text("old.txt").replacen('\n', "\n1", 1));
    book.verify(&["--proof", "growth.txt", "--continues", "forged.txt"]).expect_code(2).expect_err("does not verify");
    book.verify(&["--proof", "growth.txt", "--continues", "missing.txt"]).expect_code(2).expect_err("missing.txt");
    let hash = growth.lines().nth(1).expect("a hash");
    let turned: String = hash.chars().rev().collect();
    book.desk.write("growth.txt", &growth.replace(hash, turned.trim_start_matches('=')));
    book.verify(&["--proof", "growth.txt", "--continues", "old.txt"]).expect_code(1).expect_out("not proven");
    let backwards = ["prove", "--continues", "kept.txt", "--checkpoint", "old.txt"];
    book.ledger(&backwards).expect_code(2).expect_err("the newer checkpoint is over");
}
