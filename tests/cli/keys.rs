//! A log whose key was followed by another: what each key vouches for, offline.

use miax::constitution::{Event, KeyEvent};
use miax::ledger::{Checkpoint, Head, KeyChange, LogTrust, Writer, block_name};
use miax::store::encode;
use miax::trust::{NoteSigner, to_yaml};
use miax::units::UnixMillis;
use serde_json::json;

use crate::book::{Book, config_map};
use crate::desk::{Desk, Run};

const ORIGIN: &str = "miax.dev/ecm/test/0";

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[seed; 32]).expect("name")
}

fn note(text: &str, signers: &[&NoteSigner]) -> String {
    format!("{text}\n{}", signers.iter().map(|s| s.line(text).expect("signs")).collect::<String>())
}

/// A log in `dump/` of four blocks: a writer, the second key, the end of the first, and a writer of the second.
struct Rotated {
    desk: Desk,
    head: Head,
}

impl Rotated {
    fn new() -> Self {
        let (old, new) = (signer(1), signer(2));
        let desk = Desk::empty();
        std::fs::create_dir(desk.path("dump")).expect("directory");
        let trust = LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key: old.verifier() };
        let mut head = Head::genesis(trust);
        let writer = |name: &str, key: &NoteSigner, seed| {
            Writer::try_new(ORIGIN, key, name, &[seed; 32], UnixMillis(1_000_000)).expect("writer")
        };
        let (first, second) = (writer("w", &old, 7), writer("v", &new, 8));
        let add = KeyChange::Add(new.verifier());
        let retire = KeyChange::Retire(old.verifier());
        let change = |change: &KeyChange, signers: &[&NoteSigner]| {
            let event = KeyEvent { fields: change.fields(&note(&change.text(ORIGIN), signers)) };
            let event =
                if matches!(change, KeyChange::Add(_)) { Event::KeyAdd(event) } else { Event::KeyRetire(event) };
            encode(&event, UnixMillis(5), "w").expect("entry")
        };
        for (entry, by) in [
            (first.introduce(UnixMillis(5)).expect("entry"), &first),
            (change(&add, &[&old, &new]), &first),
            (change(&retire, &[&new]), &first),
            (second.introduce(UnixMillis(5)).expect("entry"), &second),
        ] {
            let name = block_name(0, head.next_block());
            let parts = head.propose(&[entry], by, UnixMillis(5), UnixMillis(6)).expect("block");
            head.fold(&parts).expect("folds");
            desk.write(&format!("dump/{name}.yaml"), &to_yaml(&config_map(&name, &parts)));
        }
        Self { desk, head }
    }

    /// Verifies with the first key and a checkpoint over the whole log that these signed.
    fn verify(&self, signers: &[&NoteSigner]) -> Run {
        let checkpoint =
            Checkpoint { origin: ORIGIN.to_owned(), size: self.head.next_index().0, root: self.head.root() };
        let anchor = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "miax-checkpoint", "namespace": "miax-system"},
            "data": {"origin": ORIGIN, "key": signer(1).verifier().to_string(), "checkpoint": note(&checkpoint.text(), signers)},
        });
        self.desk.write("dump/checkpoint.yaml", &to_yaml(&anchor));
        self.desk.miax(&["ledger", "verify", "dump", "--key", &signer(1).verifier().to_string()])
    }
}

#[test]
fn a_log_verifies_across_a_rotation_with_the_key_that_it_began_with() {
    let log = Rotated::new();
    let (old, new) = (signer(1), signer(2));
    let by_new = log.verify(&[&new]).expect_code(0);
    assert!(by_new.out.contains("a checkpoint over 4 entries was compared"), "{}", by_new.out);
    log.verify(&[&old, &new]).expect_code(0);
    // What only the retired key vouches for is not vouched for.
    let by_old = log.verify(&[&old]).expect_code(1);
    assert!(by_old.out.contains("over 4 entries, and no key signed it that vouches for that"), "{}", by_old.out);
    let by_stranger = log.verify(&[&signer(3)]).expect_code(1);
    assert!(by_stranger.out.contains("is not signed by"), "{}", by_stranger.out);
    // A checkpoint that was kept elsewhere is opened in the same way.
    let text = Checkpoint { origin: ORIGIN.to_owned(), size: 4, root: log.head.root() }.text();
    let kept = |signers: &[&NoteSigner]| {
        log.verify(&[&new]);
        log.desk.write("kept.txt", &note(&text, signers));
        let key = signer(1).verifier().to_string();
        log.desk.miax(&["ledger", "verify", "dump", "--key", &key, "--checkpoint", "kept.txt"])
    };
    kept(&[&new]).expect_code(0);
    kept(&[&old]).expect_code(2);
}

#[test]
fn changes_of_keys_are_told_in_plain_words() {
    let log = Rotated::new();
    log.verify(&[&signer(2)]).expect_code(0);
    let key = signer(1).verifier().to_string();
    let shown =
        |index: &str| log.desk.miax(&["ledger", "show", index, "--dump", "dump", "--key", &key]).expect_code(0).out;
    assert!(shown("1").contains("a further key vouches for the log from here on"), "{}", shown("1"));
    assert!(shown("2").contains("vouches for nothing from here on"), "{}", shown("2"));
    assert!(shown("3").contains("vouches for the writer v"), "{}", shown("3"));
}

#[test]
fn proofs_and_archives_go_on_across_a_rotation() {
    let book = Book::rotated();
    book.verify(&["dump"]).expect_code(0);
    let run = |arguments: &[&str], keys: &[&str]| {
        let keys: Vec<&str> = keys.iter().flat_map(|key| ["--key", *key]).collect();
        book.desk.miax(&[&["ledger", "verify"], arguments, &keys].concat())
    };
    // A proof is checked with the key that signed its checkpoint.
    let proof = book.ledger(&["prove", "3", "--entry", "3.json"]).expect_code(0).out;
    book.desk.write("3.tlog-proof", &proof);
    let inclusion = ["--proof", "3.tlog-proof", "--entry", "3.json"];
    run(&inclusion, &[&book.newest]).expect_code(0);
    run(&inclusion, &[&book.key, &book.newest]).expect_code(0);
    run(&inclusion, &[&book.key]).expect_code(1).expect_out("is not signed by");
    // That nothing of before was changed is proven across the change, to whoever knows both keys.
    let growth = book.ledger(&["prove", "--continues", "old.txt"]).expect_code(0).out;
    book.desk.write("growth.txt", &growth);
    let growth = ["--proof", "growth.txt", "--continues", "old.txt"];
    run(&growth, &[&book.key, &book.newest]).expect_code(0);
    run(&growth, &[&book.newest]).expect_code(2);
    // An archive that was begun before goes on, and verifies with the key that the log began with.
    book.ledger(&["archive", "kept", "--checkpoint", "old.txt"]).expect_code(0);
    book.ledger(&["archive", "kept"]).expect_code(0);
    book.verify(&["kept"]).expect_code(0);
    run(&["kept"], &[&book.newest]).expect_code(1);
}
