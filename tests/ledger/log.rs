//! Logs to test with: small, whole, signed by fixed keys.

use miax::ledger::{
    BlockParts, Checkpoint, Entry, Head, LogTrust, Report, SignedCheckpoint, Verifier, Writer, block_name,
};
use miax::trust::NoteSigner;
use miax::units::UnixMillis;
use serde_json::{Map, Value};

pub(crate) const ORIGIN: &str = "miax.dev/ecm/test/0";

pub(crate) fn log_key() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
}

pub(crate) fn trust() -> LogTrust {
    LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key: log_key().verifier() }
}

pub(crate) fn writer(name: &str, seed: u8) -> Writer {
    Writer::try_new(ORIGIN, &log_key(), name, &[seed; 32], UnixMillis(1_000_000)).expect("writer")
}

pub(crate) fn entry(number: usize) -> Vec<u8> {
    let fields = Map::from_iter([("number".to_owned(), Value::from(number))]);
    Entry { kind: "decision".into(), time: UnixMillis(5), writer: "w".into(), fields }.encode().expect("entry")
}

pub(crate) type Blocks = Vec<(String, BlockParts)>;

/// A log of blocks with these numbers of entries, the first of which introduces the writer.
pub(crate) fn log(sizes: &[usize]) -> (Blocks, Head) {
    log_from(0, sizes)
}

pub(crate) fn log_from(start: usize, sizes: &[usize]) -> (Blocks, Head) {
    let writer = writer("miax.dev/writer/a", 2);
    let mut head = Head::genesis(trust());
    let mut blocks = Vec::new();
    let mut number = start;
    for size in sizes {
        let mut entries: Vec<Vec<u8>> = (0..*size).map(|i| entry(number + i)).collect();
        number += size;
        if !head.knows(&writer) {
            entries.insert(0, writer.introduce(UnixMillis(5)).expect("introduction"));
        }
        let name = block_name(0, head.next_block());
        let parts = head.propose(&entries, &writer, UnixMillis(5), UnixMillis(6)).expect("block");
        head.fold(&parts).expect("folds");
        blocks.push((name, parts));
    }
    (blocks, head)
}

/// The origin of the second epoch of the log.
pub(crate) const NEXT: &str = "miax.dev/ecm/test/1";

pub(crate) fn next_key() -> NoteSigner {
    NoteSigner::try_new(NEXT, &[1; 32]).expect("name")
}

pub(crate) fn next_writer() -> Writer {
    Writer::try_new(NEXT, &next_key(), "miax.dev/writer/b", &[3; 32], UnixMillis(1_000_000)).expect("writer")
}

/// The fields of the entry that opens the second epoch after this end of the first.
pub(crate) fn opening(head: &Head) -> Map<String, Value> {
    let fields = [
        ("epoch", Value::from(1)),
        ("blocks", Value::from(head.next_block().0)),
        ("entries", Value::from(head.next_index().0)),
        ("root", Value::from(head.root().to_string())),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(crate) fn opening_entry(fields: Map<String, Value>) -> Vec<u8> {
    Entry { kind: "epoch.open".into(), time: UnixMillis(7), writer: "b".into(), fields }.encode().expect("entry")
}

/// A log of two epochs: the second one's blocks have these numbers of entries beside its opening.
pub(crate) fn two_epochs(first: &[usize], second: &[usize]) -> (Blocks, Head) {
    let (mut blocks, mut head) = log(first);
    let writer = next_writer();
    for (place, size) in second.iter().enumerate() {
        let mut entries: Vec<Vec<u8>> = (0..*size).map(|i| entry(10_000 + 1000 * place + i)).collect();
        let mut base = head.clone();
        if place == 0 {
            let introduction = writer.introduce(UnixMillis(7)).expect("introduction");
            entries.splice(0..0, [opening_entry(opening(&head)), introduction]);
            base = head.next_epoch();
        }
        let parts = base.propose(&entries, &writer, UnixMillis(7), UnixMillis(8)).expect("block");
        blocks.push((block_name(1, head.next_block()), parts.clone()));
        head.fold(&parts).expect("folds");
    }
    (blocks, head)
}

pub(crate) fn verify(blocks: &Blocks, checkpoints: Vec<Checkpoint>) -> Report {
    let named = checkpoints.into_iter().map(|c| (c, "the checkpoint".to_owned())).collect();
    let mut verifier = Verifier::new(trust(), named);
    for (name, parts) in blocks {
        verifier.block(name, parts);
    }
    verifier.finish()
}

pub(crate) fn checkpoint(head: &Head) -> Checkpoint {
    Checkpoint { origin: head.trust().origin.clone(), size: head.next_index().0, root: head.root() }
}

/// A checkpoint that the log's key signed.
pub(crate) fn signed(checkpoint: &Checkpoint) -> SignedCheckpoint {
    let note = checkpoint.sign(&log_key()).expect("signs");
    SignedCheckpoint::open(&note, ORIGIN, &log_key().verifier()).expect("opens")
}

/// A log that is big enough for every kind of change.
pub(crate) static WHOLE: std::sync::LazyLock<(Blocks, Head)> = std::sync::LazyLock::new(|| log(&[3, 40, 2, 4, 20]));
