//! Programs that are not ours read what we write: Go's note and tlog packages, Tessera's fsck, and a verifier in Python. Each
//! accepts a ledger, archive or proofs of `miax`, and refuses them when a byte is another one.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the tests of the command line")]
#[path = "cli/book.rs"]
mod book;
#[expect(dead_code, reason = "shared with the tests of the command line")]
#[path = "cli/desk.rs"]
mod desk;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::trust::{Cosigner, NoteSigner, SigningKey, parse_yaml_strict};
use miax::units::UnixSeconds;
use serde_json::{Value, json};

use book::Book;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The checker of tests/independent/go.
static CHECKER: LazyLock<PathBuf> = LazyLock::new(|| build("go", "independent-check"));
/// The one of tests/independent/tessera.
static FSCK: LazyLock<PathBuf> = LazyLock::new(|| build("tessera", "independent-fsck"));

/// Builds a program of Go; Go itself keeps what it built before.
fn build(module: &str, name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let output = Command::new("go")
        .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&path)
        .arg(".")
        .current_dir(Path::new(ROOT).join("tests/independent").join(module))
        .output()
        .expect("go is installed (https://go.dev/dl)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    path
}

/// Whether the program verifies, and what it says.
fn ask(command: &mut Command, book: &Book) -> (bool, String) {
    let output = command.current_dir(book.desk.path("")).output().expect("the program runs");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let verified = output.status.success() && said.contains("verified");
    assert!(verified || said.contains("refused"), "neither yes nor no: {said}");
    (verified, said)
}

fn go(book: &Book, what: &str, files: &[&str]) -> (bool, String) {
    ask(Command::new(&*CHECKER).args([what, &book.key]).args(files), book)
}

fn python(book: &Book, arguments: &[&str]) -> (bool, String) {
    let script = Path::new(ROOT).join("docs/verify/verify.py");
    ask(Command::new("python3").arg(script).args(arguments).arg(&book.key), book)
}

#[track_caller]
fn accepts((verified, said): (bool, String)) {
    assert!(verified, "{said}");
}

#[track_caller]
fn refuses((verified, said): (bool, String), part: &str) {
    assert!(!verified && said.contains(part), "`{part}` is not in: {said}");
}

/// The dump as `kubectl get -o json` prints it, in `ledger.json`.
fn as_list(book: &Book) -> Value {
    let mut items = Vec::new();
    for entry in std::fs::read_dir(book.desk.path("dump")).expect("the dump") {
        let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
        items.extend(parse_yaml_strict(&text).expect("yaml"));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    book.desk.write("ledger.json", &list.to_string());
    list
}

/// Writes the proof of an entry and the entry.
fn prove(book: &Book, index: usize) {
    let (proof, entry) = (format!("{index}.tlog-proof"), format!("{index}.json"));
    let text = book.ledger(&["prove", &index.to_string(), "--entry", &entry]).expect_code(0).out;
    book.desk.write(&proof, &text);
}

/// Another character in the place of the one at `at`, of the same alphabet.
fn turn(text: &str, at: usize) -> String {
    let other = |c: char| if c == 'A' { 'B' } else { 'A' };
    text.char_indices().map(|(i, c)| if i == at { other(c) } else { c }).collect()
}

#[test]
fn go_finds_our_root_and_our_proofs_right() {
    let book = Book::new();
    as_list(&book);
    accepts(go(&book, "dump", &["ledger.json"]));
    for index in 0..10 {
        prove(&book, index);
        accepts(go(&book, "inclusion", &["ledger.json", &format!("{index}.tlog-proof")]));
    }
    let growth = book.ledger(&["prove", "--continues", "old.txt"]).expect_code(0).out;
    book.desk.write("growth.txt", &growth);
    accepts(go(&book, "consistency", &["old.txt", "growth.txt"]));
}

#[test]
fn go_opens_a_checkpoint_with_the_lines_of_witnesses() {
    let book = Book::new();
    let mut list = as_list(&book);
    let items = list["items"].as_array_mut().expect("items").iter_mut();
    let anchor = items.into_iter().find(|i| i["metadata"]["name"] == "miax-checkpoint").expect("the checkpoint");
    let note = anchor["data"]["checkpoint"].as_str().expect("a note").to_owned();
    let text = note.split_at(note.find("\n\n").expect("a note") + 1).0;
    let cosigned = (1..=3).fold(note.clone(), |cosigned, seed| {
        let key = SigningKey::from_ed25519_seed(&[seed; 32]);
        let witness = Cosigner::try_new(&format!("witness.example/w{seed}"), &key).expect("name").expect("Ed25519");
        cosigned + &witness.cosign(text, UnixSeconds::new(1_795_514_400)).expect("cosigned")
    });
    anchor["data"]["checkpoint"] = cosigned.as_str().into();
    book.desk.write("ledger.json", &list.to_string());
    accepts(go(&book, "dump", &["ledger.json"]));
    // The lines of others do not stand in for the log's own.
    let items = list["items"].as_array_mut().expect("items").iter_mut();
    let anchor = items.into_iter().find(|i| i["metadata"]["name"] == "miax-checkpoint").expect("the checkpoint");
    anchor["data"]["checkpoint"] = turn(&cosigned, note.len() - 10).into();
    book.desk.write("ledger.json", &list.to_string());
    refuses(go(&book, "dump", &["ledger.json"]), "refused");
}

#[test]
fn go_refuses_a_flipped_byte() {
    let book = Book::new();
    let list = as_list(&book);
    let blocks = list["items"].as_array().expect("items").len() - 1;
    for block in 0..blocks {
        // The entries packed anew with one digit changed, as somebody would who owns the store.
        let mut changed = list.clone();
        let item = &mut changed["items"].as_array_mut().expect("items")[block];
        if item["binaryData"].is_null() {
            continue;
        }
        let packed = STANDARD.decode(item["binaryData"]["entries"].as_str().expect("base64")).expect("base64");
        let mut bundle = zstd::bulk::decompress(&packed, 1 << 22).expect("inflates");
        let last = bundle.len() - 3;
        bundle[last] ^= 1;
        item["binaryData"]["entries"] = STANDARD.encode(zstd::bulk::compress(&bundle, 3).expect("packs")).into();
        book.desk.write("ledger.json", &changed.to_string());
        refuses(go(&book, "dump", &["ledger.json"]), "the root of the entries");
    }
    as_list(&book);
    prove(&book, 5);
    let proof = book.desk.text("5.tlog-proof");
    let hash = proof.match_indices('\n').nth(1).expect("a hash").0 + 1;
    book.desk.write("5.tlog-proof", &turn(&proof, hash));
    refuses(go(&book, "inclusion", &["ledger.json", "5.tlog-proof"]), "invalid transparency proof");
    let growth = book.ledger(&["prove", "--continues", "old.txt"]).expect_code(0).out;
    book.desk.write("growth.txt", &turn(&growth, growth.find('\n').expect("a line") + 1));
    refuses(go(&book, "consistency", &["old.txt", "growth.txt"]), "invalid transparency proof");
    let kept = book.desk.text("old.txt");
    book.desk.write("old.txt", &turn(&kept, kept.match_indices('\n').nth(1).expect("the root").0 + 1));
    refuses(go(&book, "consistency", &["old.txt", "growth.txt"]), "invalid signature");
}

/// Tessera's fsck over an archive.
fn tessera(book: &Book, archive: &str) -> (bool, String) {
    ask(Command::new(&*FSCK).args([&book.key, archive]), book)
}

#[test]
fn go_and_tessera_find_our_archive_right() {
    let book = Book::new();
    book.ledger(&["archive", "kept", "--checkpoint", "old.txt"]).expect_code(0);
    accepts(tessera(&book, "kept"));
    book.ledger(&["archive", "kept"]).expect_code(0);
    accepts(tessera(&book, "kept"));
    accepts(go(&book, "tiles", &["kept"]));
    // More than one bundle, and hashes above them.
    let mut book = Book::new();
    book.fill(520);
    book.ledger(&["archive", "kept"]).expect_code(0);
    for file in ["kept/tile/0/001", "kept/tile/1/000.p/2", "kept/tile/entries/002.p/8"] {
        assert!(book.desk.path(file).is_file(), "{file}");
    }
    accepts(tessera(&book, "kept"));
    accepts(go(&book, "tiles", &["kept"]));
    book.verify(&["kept"]).expect_code(0);
}

#[test]
fn go_and_tessera_refuse_a_flipped_byte_in_every_tile() {
    let book = Book::new();
    book.ledger(&["archive", "kept"]).expect_code(0);
    for file in ["kept/checkpoint", "kept/tile/0/000.p/10", "kept/tile/entries/000.p/10"] {
        let path = book.desk.path(file);
        let whole = std::fs::read(&path).expect("bytes");
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(&path, &flipped).expect("written");
            refuses(tessera(&book, "kept"), "refused");
            refuses(go(&book, "tiles", &["kept"]), "refused");
        }
        std::fs::write(&path, &whole).expect("written");
    }
    accepts(tessera(&book, "kept"));
    std::fs::remove_file(book.desk.path("kept/tile/0/000.p/10")).expect("removed");
    refuses(tessera(&book, "kept"), "refused");
    refuses(go(&book, "tiles", &["kept"]), "refused");
}

#[test]
fn python_finds_our_ledger_and_our_proofs_right() {
    let book = Book::new();
    book.ledger(&["unpack", "plain"]).expect_code(0).expect_out("10 entries");
    book.ledger(&["unpack", "plain"]).expect_code(2).expect_err("does not exist");
    accepts(python(&book, &["plain"]));
    for index in 0..10 {
        prove(&book, index);
        accepts(python(&book, &["--proof", &format!("{index}.tlog-proof"), &format!("{index}.json")]));
    }
}

#[test]
fn others_follow_a_log_whose_key_was_rotated() {
    let mut book = Book::rotated();
    book.ledger(&["unpack", "plain"]).expect_code(0);
    accepts(python(&book, &["plain"]));
    let (checkpoint, whole) = (book.desk.path("plain/checkpoint"), book.desk.text("plain/checkpoint"));
    let first = NoteSigner::try_new(&book.origin, &[1; 32]).expect("key");
    // What only the retired key signed is not vouched for, and a change that nobody signed is none.
    let (text, _) = whole.split_at(whole.find("\n\n").expect("a note") + 1);
    std::fs::write(&checkpoint, first.sign(text).expect("note")).expect("written");
    refuses(python(&book, &["plain"]), "no key signed the checkpoint that vouches for its size");
    std::fs::write(&checkpoint, &whole).expect("written");
    for change in ["7", "8"] {
        let bundle = book.desk.path(&format!("plain/ecm-0000-000000000000000{change}.bundle"));
        let bytes = std::fs::read(&bundle).expect("bytes");
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        std::fs::write(&bundle, &flipped).expect("written");
        refuses(python(&book, &["plain"]), "refused");
        std::fs::write(&bundle, &bytes).expect("written");
    }
    accepts(python(&book, &["plain"]));
    // Programs that know nothing of our entries are given the key that signs now.
    book.ledger(&["archive", "kept", "--checkpoint", "old.txt"]).expect_code(0);
    book.ledger(&["archive", "kept"]).expect_code(0);
    as_list(&book);
    prove(&book, 3);
    book.key = book.newest.clone();
    accepts(tessera(&book, "kept"));
    accepts(go(&book, "tiles", &["kept"]));
    accepts(go(&book, "dump", &["ledger.json"]));
    accepts(go(&book, "inclusion", &["ledger.json", "3.tlog-proof"]));
    accepts(python(&book, &["--proof", "3.tlog-proof", "3.json"]));
}

#[test]
fn python_refuses_a_flipped_byte_in_every_file() {
    let book = Book::new();
    book.ledger(&["unpack", "plain"]).expect_code(0);
    let files: Vec<PathBuf> =
        std::fs::read_dir(book.desk.path("plain")).expect("files").map(|f| f.expect("a file").path()).collect();
    assert_eq!(files.len(), 7 * 3 + 1);
    for file in files {
        let whole = std::fs::read(&file).expect("bytes");
        for at in [0, whole.len() / 2, whole.len() - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            std::fs::write(&file, &flipped).expect("written");
            refuses(python(&book, &["plain"]), "refused");
        }
        std::fs::write(&file, &whole).expect("written");
    }
    accepts(python(&book, &["plain"]));
    std::fs::remove_file(book.desk.path("plain/ecm-0000-0000000000000003.header")).expect("removed");
    refuses(python(&book, &["plain"]), "ecm-0000-0000000000000003 is missing");
    prove(&book, 5);
    book.desk.write("5.json", &book.desk.text("5.json").replace("shop", "shoq"));
    refuses(python(&book, &["--proof", "5.tlog-proof", "5.json"]), "does not lead to the signed root");
}
