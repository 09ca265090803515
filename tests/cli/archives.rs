//! Archives as people keep them: made from a dump, grown, verified like the dump itself, and changed in every object.

use std::path::{Path, PathBuf};

use miax::units::BlockNumber;

use crate::book::Book;

/// Every object of an archive, as a path.
fn objects(directory: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn archived() -> Book {
    let book = Book::new();
    book.ledger(&["archive", "kept"]).expect_code(0).expect_out("10 entries are in kept: 5 objects are new");
    book
}

#[test]
fn an_archive_verifies_as_its_dump_does() {
    let book = archived();
    let of_dump = book.verify(&["dump", "-o", "json"]).expect_code(0).json();
    let mut of_archive = book.verify(&["kept", "-o", "json"]).expect_code(0).json();
    // An archive has more to check: its own objects, and a checkpoint that it keeps.
    assert_eq!(of_archive["checks"][18]["result"], "passed");
    of_archive["checks"] = of_dump["checks"].clone();
    assert_eq!(of_archive, of_dump);
    book.desk.miax(&["ledger", "verify", "kept"]).expect_code(0).expect_err("the key is taken from the dump itself");
    let list =
        |place: &str| book.desk.miax(&["ledger", "list", "--dump", place, "--key", &book.key]).expect_code(0).out;
    assert_eq!(list("kept"), list("dump"));
    let names: Vec<String> = objects(&book.desk.path("kept"))
        .iter()
        .map(|p| p.strip_prefix(book.desk.path("kept")).expect("inside").display().to_string())
        .collect();
    let expected =
        ["blocks/000.p/10", "checkpoint", "checkpoints/010", "key", "tile/0/000.p/10", "tile/entries/000.p/10"];
    assert_eq!(names, expected);
}

#[test]
fn an_archive_grows_and_nothing_of_it_is_replaced() {
    let book = Book::new();
    let early = ["--checkpoint", "old.txt"];
    book.ledger(&[&["archive", "kept"][..], &early].concat()).expect_code(0);
    let before: Vec<(PathBuf, Vec<u8>)> = objects(&book.desk.path("kept"))
        .into_iter()
        .filter(|p| !p.ends_with("checkpoint"))
        .map(|p| (p.clone(), std::fs::read(p).expect("bytes")))
        .collect();
    book.verify(&["kept"]).expect_code(0);
    book.ledger(&["archive", "kept"]).expect_code(0).expect_out("4 objects are new, 1 were there");
    book.ledger(&["archive", "kept"]).expect_code(0).expect_out("0 objects are new, 5 were there");
    assert!(before.iter().all(|(path, bytes)| std::fs::read(path).expect("still there") == *bytes));
    // An older checkpoint never takes the place of the newer one.
    let newest = book.desk.text("kept/checkpoint");
    book.ledger(&[&["archive", "kept"][..], &early].concat()).expect_code(0);
    assert_eq!(book.desk.text("kept/checkpoint"), newest);
    book.verify(&["kept"]).expect_code(0);
    book.desk.write("kept/tile/0/000.p/10", "x");
    book.ledger(&["archive", "kept"]).expect_code(2).expect_err("holds other bytes under this name");
    assert_eq!(book.desk.text("kept/tile/0/000.p/10"), "x");
}

#[test]
fn every_object_of_an_archive_is_found_when_it_is_changed_cut_or_gone() {
    let book = archived();
    for path in objects(&book.desk.path("kept")) {
        let name = path.strip_prefix(book.desk.path("kept")).expect("inside").display().to_string();
        // The key is what the reader brings; the archive's own is a convenience.
        let vouches = name != "key";
        let whole = std::fs::read(&path).expect("bytes");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [flipped, whole[..whole.len() / 2].to_vec(), [&whole[..], b"x"].concat(), Vec::new()] {
            std::fs::write(&path, &bytes).expect("written");
            let run = book.verify(&["kept", "-o", "json"]);
            // What was emptied may pass for missing; what was changed may not.
            let code = if bytes.is_empty() { run.code } else { i32::from(vouches) };
            let report = run.expect_code(code).json();
            assert_eq!(report["whole"], !vouches, "{name}: {report}");
        }
        std::fs::remove_file(&path).expect("removed");
        let report = book.verify(&["kept", "-o", "json"]).expect_code(if vouches { 2 } else { 0 }).json();
        let found = report["findings"].as_array().expect("findings");
        // A missing block is named by its own name.
        let named = |f: &serde_json::Value| f["object"] == name.as_str() || name.starts_with("blocks/");
        assert_eq!(found.iter().any(named), vouches, "{name}: {report}");
        std::fs::write(&path, &whole).expect("written");
    }
    book.verify(&["kept"]).expect_code(0);
}

#[test]
fn the_first_wrong_entry_of_an_archive_is_named_as_in_the_dump() {
    let book = archived();
    let block = miax::ledger::block_name(0, BlockNumber(3));
    let blocks = book.desk.text("kept/blocks/000.p/10");
    let line = blocks.lines().nth(3).expect("the fourth block");
    let gone = blocks.replace(&format!("{line}\n"), "");
    book.desk.write("kept/blocks/000.p/10", &gone);
    std::fs::remove_file(book.desk.path(&format!("dump/{block}.yaml"))).expect("removed");
    let of_dump = book.verify(&["dump", "-o", "json"]).expect_code(1).json();
    let of_archive = book.verify(&["kept", "-o", "json"]).expect_code(1).json();
    assert_eq!(of_archive["findings"][0], of_dump["findings"][0]);
    book.desk.write("kept/blocks/000.p/10", &blocks.replace(line, &line.replace("\"entries\":\"", "\"entries\":\"A")));
    let report = book.verify(&["kept", "-o", "json"]).expect_code(1).json();
    let first = &report["findings"][0];
    assert_eq!(
        (first["object"].as_str(), first["entry"].as_u64()),
        (Some("blocks/000.p/10"), of_dump["entries"].as_u64())
    );
    // A whole ledger is needed to make an archive.
    book.ledger(&["archive", "other"]).expect_code(2).expect_err("does not verify");
    assert!(!book.desk.path("other").exists());
}

#[test]
fn an_archive_of_many_bundles_grows_like_a_small_one() {
    let mut book = archived();
    book.fill(300);
    book.ledger(&["archive", "kept"]).expect_code(0).expect_out("300 entries");
    book.verify(&["kept", "-o", "json"]).expect_code(0);
    let path = book.desk.path("kept/tile/0/000");
    let mut bytes = std::fs::read(&path).expect("bytes");
    bytes[100 * 32] ^= 1;
    std::fs::write(&path, &bytes).expect("written");
    let report = book.verify(&["kept", "-o", "json"]).expect_code(1).json();
    assert_eq!(
        (&report["findings"][0]["object"], &report["findings"][0]["entry"]),
        (&"tile/0/000".into(), &100.into())
    );
}

#[test]
fn a_seal_that_says_something_else_is_found() {
    let check = |name: &str, edit: fn(&mut miax::constitution::ArchiveSealEvent)| {
        let mut book = Book::new();
        book.seal_archive(|_| {});
        book.verify(&["dump"]).expect_code(0).expect_out("11 entries");
        book.ledger(&["show", "10"]).expect_code(0).expect_out("the archive cold holds the first 10 entries");
        let status = book.desk.miax(&["status", "--dump", "dump", "--key", &book.key]).expect_code(0);
        status.expect_out("archive  cold holds 10 of 11 entries (sealed by entry 10)");
        book.seal_archive(edit);
        let report = book.verify(&["dump", "-o", "json"]).expect_code(1).json();
        let found = &report["findings"][0];
        assert_eq!(
            (found["object"].as_str(), found["entry"].as_u64()),
            (Some("archive cold"), Some(11)),
            "{name}: {report}"
        );
    };
    check("another root", |seal| seal.root.0[0] ^= 1);
    check("other objects", |seal| seal.objects.0[0] ^= 1);
    check("fewer objects", |seal| seal.count -= 1);
}

#[test]
fn a_checkpoint_in_the_wrong_place_is_found() {
    let book = archived();
    let old = book.desk.text("old.txt");
    book.desk.write("kept/checkpoints/010", &old);
    let report = book.verify(&["kept", "-o", "json"]).expect_code(1).json();
    assert_eq!(report["findings"][0]["object"], "checkpoints/010");
    book.desk.write("kept/checkpoints/010", &book.desk.text("kept/checkpoint"));
    book.desk.write("kept/checkpoint", &old);
    book.desk.write("kept/checkpoints/005", &old);
    // The newest checkpoint lags after a crash; the kept one still holds the archive to its size.
    book.verify(&["kept"]).expect_code(0);
    std::fs::remove_file(book.desk.path("kept/checkpoint")).expect("removed");
    book.verify(&["kept"]).expect_code(2).expect_out("the newest checkpoint is missing or empty");
}
