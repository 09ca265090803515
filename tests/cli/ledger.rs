//! Ledgers as people keep them: whole, changed, cut, in every container.

use miax::constitution::{Event, ObjectRef, StoredEvent};
use miax::ledger::{Checkpoint, Head, LogTrust, Writer, block_name};
use miax::store::encode;
use miax::trust::{NoteSigner, sha256};
use miax::units::UnixMillis;
use serde_json::{Value, json};

pub use crate::book::config_map;
use crate::desk::{Desk, Run, run};

pub const ORIGIN: &str = "miax.dev/ecm/test/0";

/// A ledger of a few blocks, one ConfigMap a file in `dump/`, with the ConfigMap that vouches for it.
pub struct Archive {
    pub desk: Desk,
    pub key: String,
}

impl Archive {
    pub fn new() -> Self {
        Self::about("c", 3)
    }

    /// So many blocks about objects whose names begin so: by other names it is another history of the same log.
    pub fn about(what: &str, blocks: u8) -> Self {
        Self::at_times(what, &vec![5; usize::from(blocks)])
    }

    /// A block for each of these times.
    pub fn at_times(what: &str, times: &[u64]) -> Self {
        let desk = Desk::empty();
        std::fs::create_dir(desk.path("dump")).expect("directory");
        let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("key");
        let trust = LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key: key.verifier() };
        let writer = Writer::try_new(ORIGIN, &key, "w", &[2; 32], UnixMillis(1_000_000)).expect("writer");
        let mut head = Head::genesis(trust);
        for (number, time) in (0_u8..).zip(times) {
            let object =
                ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: format!("{what}{number}") };
            let (uid, resource_version) = (number.to_string(), "1".to_owned());
            let event = Event::Stored(StoredEvent { object, digest: sha256(&[number]), uid, resource_version });
            let mut entries = vec![encode(&event, UnixMillis(*time), "w").expect("entry")];
            if number == 0 {
                entries.insert(0, writer.introduce(UnixMillis(*time)).expect("introduction"));
            }
            let name = block_name(0, head.next_block());
            let parts = head.propose(&entries, &writer, UnixMillis(*time), UnixMillis(*time + 1)).expect("block");
            head.fold(&parts).expect("folds");
            desk.write(&format!("dump/{name}.yaml"), &miax::trust::to_yaml(&config_map(&name, &parts)));
        }
        let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size: head.next_index().0, root: head.root() };
        let anchor = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "miax-checkpoint", "namespace": "miax-system"},
            "data": {
                "origin": ORIGIN, "key": key.verifier().to_string(), "checkpoint": checkpoint.sign(&key).expect("note"),
            },
        });
        desk.write("dump/checkpoint.yaml", &miax::trust::to_yaml(&anchor));
        desk.write("kept.txt", &checkpoint.sign(&key).expect("note"));
        Self { desk, key: key.verifier().to_string() }
    }

    /// Where a block is.
    pub fn file(number: u64) -> String {
        format!("dump/{}.yaml", block_name(0, miax::units::BlockNumber(number)))
    }

    /// The three blocks as `kubectl get -o json` prints them.
    fn list(&self) -> String {
        let items: Vec<Value> = (0..3)
            .flat_map(|n| miax::trust::parse_yaml_strict(&self.desk.text(&Self::file(n))).expect("yaml"))
            .chain([json!({"kind": "ConfigMap", "metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": "x"}})])
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
    }

    fn verify(&self, more: &[&str]) -> Run {
        let mut arguments = vec!["ledger", "verify", "dump", "-o", "json"];
        arguments.extend(more);
        self.desk.miax(&arguments)
    }

    #[track_caller]
    fn check_found(&self, class: &str, entry: Option<u64>, part: &str) {
        let code = if class == "tampered" { 1 } else { 2 };
        let report = self.verify(&["--key", &self.key]).expect_code(code).json();
        let first = &report["findings"][0];
        assert_eq!((first["class"].as_str(), first["entry"].as_u64()), (Some(class), entry), "{report}");
        assert!(first["message"].as_str().is_some_and(|m| m.contains(part)), "{report}");
        assert_eq!((&report["whole"], &report["verdict"]), (&json!(false), &json!(class)));
    }
}

#[test]
fn a_whole_ledger_verifies() {
    let archive = Archive::new();
    let report = archive.verify(&["--key", &archive.key, "--checkpoint", "../kept.txt"]).expect_code(2);
    assert!(report.err.contains("kept.txt"), "{}", report.err);
    let report = archive.verify(&["--key", &archive.key, "--checkpoint", "kept.txt"]).expect_code(0).json();
    assert_eq!((report["entries"].as_u64(), report["blocks"].as_u64()), (Some(4), Some(3)));
    assert_eq!(report["comparedCheckpoint"].as_u64(), Some(4));
    archive.verify(&[]).expect_code(0).expect_err("the key is taken from the dump itself");
}

#[test]
fn every_container_gives_the_same_answer() {
    let archive = Archive::new();
    let tar = |name: &str, flags: &str| {
        let mut command = std::process::Command::new("tar");
        let status = command.args([flags, name, "dump"]).current_dir(archive.desk.path("")).status();
        assert!(status.expect("tar").success());
        archive.desk.miax(&["ledger", "verify", name, "--key", &archive.key]).expect_code(0).expect_out("4 entries");
    };
    tar("dump.tar", "cf");
    tar("dump.tar.gz", "czf");
    let arguments = ["ledger", "verify", "-", "--key", &archive.key];
    for text in [archive.list(), miax::trust::to_yaml(&serde_json::from_str(&archive.list()).expect("json"))] {
        run(&archive.desk.path(""), &arguments, &[], text.as_bytes()).expect_code(0).expect_out("4 entries");
    }
}

#[test]
fn an_archive_inside_of_itself_ends() {
    use std::io::Write as _;
    let desk = Desk::empty();
    let mut bytes = b"{}".to_vec();
    for _ in 0..10 {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&bytes).expect("gzip");
        bytes = gzip.finish().expect("gzip");
    }
    std::fs::write(desk.path("deep.gz"), bytes).expect("file");
    desk.miax(&["ledger", "verify", "deep.gz"]).expect_code(2).expect_err("archives inside of archives");
}

#[test]
fn a_changed_seal_is_found() {
    let archive = Archive::new();
    let file = Archive::file(1);
    let changed = archive.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2");
    archive.desk.write(&file, &changed);
    archive.check_found("tampered", Some(2), "seal");
}

#[test]
fn broken_base64_is_found_in_its_place() {
    let archive = Archive::new();
    let file = Archive::file(1);
    archive.desk.write(&file, &archive.desk.text(&file).replace("entries: ", "entries: '*' # "));
    archive.check_found("tampered", Some(2), "base64");
    let block = block_name(0, miax::units::BlockNumber(2));
    archive.desk.write(&Archive::file(1), "");
    archive.check_found("tampered", Some(2), &block);
}

#[test]
fn a_missing_key_is_found_in_its_place() {
    let archive = Archive::new();
    let file = Archive::file(2);
    archive.desk.write(&file, &archive.desk.text(&file).replace("header:", "haeder:"));
    archive.check_found("tampered", Some(3), "data.header is missing");
}

#[test]
fn a_missing_block_and_a_cut_end_are_found() {
    let archive = Archive::new();
    std::fs::remove_file(archive.desk.path(&Archive::file(2))).expect("remove");
    archive.check_found("incomplete", Some(3), "vouches for 4 entries");
    std::fs::remove_file(archive.desk.path(&Archive::file(0))).expect("remove");
    archive.check_found("tampered", Some(0), "missing");
    std::fs::remove_file(archive.desk.path(&Archive::file(1))).expect("remove");
    archive.check_found("incomplete", Some(0), "vouches for 4 entries");
}

#[test]
fn a_checkpoint_of_another_key_is_found() {
    let archive = Archive::new();
    let other = NoteSigner::try_new(ORIGIN, &[9; 32]).expect("key");
    let forged = Checkpoint { origin: ORIGIN.to_owned(), size: 4, root: sha256(b"x") }.sign(&other).expect("note");
    let anchor = json!({"metadata": {"name": "miax-checkpoint"}, "data": {"key": archive.key, "checkpoint": forged}});
    archive.desk.write("dump/checkpoint.yaml", &miax::trust::to_yaml(&anchor));
    archive.check_found("tampered", None, "not signed");
}

#[test]
fn the_key_of_another_log_finds_everything_wrong() {
    let archive = Archive::new();
    let other = NoteSigner::try_new(ORIGIN, &[9; 32]).expect("key").verifier().to_string();
    archive.verify(&["--key", &other]).expect_code(1);
    archive.verify(&["--key", "nonsense"]).expect_code(2).expect_err("not a note verifier key");
}

#[test]
fn what_is_no_ledger_cannot_be_told() {
    let desk = Desk::empty();
    desk.miax(&["ledger", "verify", "nowhere"]).expect_code(2).expect_err("nowhere");
    desk.miax(&["ledger", "verify", "."]).expect_code(2).expect_err("no ledger block");
    desk.write("a.json", "{");
    desk.miax(&["ledger", "verify", "a.json"]).expect_code(2).expect_err("a.json");
}

#[test]
fn entries_can_be_read_offline() {
    let archive = Archive::new();
    let read = |arguments: &[&str]| {
        let mut all = vec!["ledger"];
        all.extend(arguments);
        all.extend(["--dump", "dump", "--key", &archive.key]);
        archive.desk.miax(&all)
    };
    read(&["list"]).expect_code(0).expect_out("ControlCommand shop/c2");
    let list = read(&["list", "--kind", "stored", "--limit", "2", "-o", "json"]).expect_code(0).json();
    let indexes: Vec<Option<u64>> = list.as_array().expect("list").iter().map(|e| e["index"].as_u64()).collect();
    assert_eq!(indexes, [Some(2), Some(3)]);
    let entry = read(&["show", "3", "-o", "json"]).expect_code(0).json();
    assert_eq!((entry["kind"].as_str(), entry["object"]["name"].as_str()), (Some("stored"), Some("c2")));
    read(&["show", "4"]).expect_code(2).expect_err("there is no entry 4");
    read(&["head"]).expect_code(0).expect_out(ORIGIN);
    let status = archive.desk.miax(&["status", "--dump", "dump", "-o", "json"]).expect_code(0).json();
    assert_eq!((&status["ledger"]["entries"], &status["charter"]), (&json!(4), &Value::Null));
    std::fs::remove_file(archive.desk.path(&Archive::file(1))).expect("remove");
    read(&["list"]).expect_code(1).expect_out("shop/c0").expect_err("missing");
}
