//! Epochs: what is left of a log goes on under a new origin, and nothing else does (ADR 0025).

use miax::ledger::{
    BlockParts, ChainError, Check, Checkpoint, Entry, FindingClass, Head, Verifier, Writer, block_name,
};
use miax::trust::NoteSigner;
use miax::units::{Digest, UnixMillis};
use serde_json::{Map, Value, json};

use crate::log::{Blocks, ORIGIN, entry, log, trust, writer};

const NEXT: &str = "miax.dev/ecm/test/1";

fn next_writer() -> Writer {
    let key = NoteSigner::try_new(NEXT, &[1; 32]).expect("name");
    Writer::try_new(NEXT, &key, "miax.dev/writer/b", &[3; 32], UnixMillis(1_000_000)).expect("writer")
}

fn opening(head: &Head, change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let fields = json!({
        "epoch": 1, "blocks": head.next_block(), "entries": head.next_index(), "root": head.root(),
    });
    let Value::Object(mut fields) = fields else { unreachable!("an object") };
    change(&mut fields);
    Entry { kind: "epoch.open".into(), time: UnixMillis(7), writer: "b".into(), fields }.encode().expect("entry")
}

/// The first block of the next epoch, with this opening.
fn opened_with(head: &Head, opening: Vec<u8>) -> BlockParts {
    let writer = next_writer();
    let entries = [opening, writer.introduce(UnixMillis(7)).expect("introduction"), entry(1000)];
    head.next_epoch().propose(&entries, &writer, UnixMillis(7), UnixMillis(7)).expect("block")
}

/// A log of two epochs: the second goes on from the first two blocks of the first, which has one more.
fn two_epochs() -> (Blocks, Head) {
    let (mut blocks, _) = log(&[3, 40, 2]);
    let (_, mut head) = log(&[3, 40]);
    let parts = opened_with(&head, opening(&head, |_| {}));
    head.fold(&parts).expect("folds");
    blocks.push((block_name(1, miax::units::BlockNumber(2)), parts));
    let more = head.propose(&[entry(1001)], &next_writer(), UnixMillis(8), UnixMillis(8)).expect("block");
    head.fold(&more).expect("folds");
    blocks.push((block_name(1, miax::units::BlockNumber(3)), more));
    (blocks, head)
}

fn held(head: &Head, blocks: &Blocks) -> Blocks {
    let place = |name: &str| miax::ledger::parse_block_name(name).expect("a block");
    let holds = |(epoch, number)| head.lineage().holds(epoch, number);
    blocks.iter().filter(|(name, _)| holds(place(name))).cloned().collect()
}

#[test]
fn an_epoch_goes_on_with_what_is_left_under_its_own_name() {
    let (blocks, head) = two_epochs();
    assert_eq!((head.trust().origin.as_str(), head.trust().epoch), (NEXT, 1));
    assert_eq!(head.log_keys().origin(), NEXT);
    let held = held(&head, &blocks);
    assert_eq!((blocks.len(), held.len()), (5, 4), "what was lost is no part of it");
    let newest = Checkpoint { origin: NEXT.to_owned(), size: head.next_index().0, root: head.root() };
    // The key by which the log is known may have the name of any epoch.
    for known in [trust(), trust().in_epoch(1)] {
        let mut verifier = Verifier::new(known, vec![(newest.clone(), "the checkpoint".to_owned())]);
        held.iter().for_each(|(name, parts)| drop(verifier.block(name, parts)));
        let report = verifier.finish();
        assert!(report.is_whole(), "{:?}", report.findings);
        assert_eq!((report.root, report.compared), (head.root(), 1));
    }
}

#[test]
fn an_epoch_that_goes_on_from_something_else_is_refused() {
    let (_, head) = log(&[3, 40]);
    let refused = |name: &str, entry: Vec<u8>| {
        let mut verifier = Verifier::new(trust(), Vec::new());
        let (blocks, _) = log(&[3, 40]);
        blocks.iter().for_each(|(name, parts)| drop(verifier.block(name, parts)));
        let place = block_name(1, head.next_block());
        verifier.block(&place, &opened_with(&head, entry));
        let report = verifier.finish();
        let finding = report.findings.first().unwrap_or_else(|| panic!("{name}: it is taken"));
        assert_eq!((finding.check, finding.class), (Some(Check::EpochLinks), FindingClass::Tampered), "{name}");
        assert_eq!(finding.object, place, "{name}");
    };
    refused("another root", opening(&head, |f| drop(f.insert("root".into(), json!(Digest([0; 32]))))));
    refused("fewer blocks", opening(&head, |f| drop(f.insert("blocks".into(), json!(1)))));
    refused("more entries", opening(&head, |f| drop(f.insert("entries".into(), json!(45)))));
    refused("another epoch", opening(&head, |f| drop(f.insert("epoch".into(), json!(2)))));
    refused("without the field", opening(&head, |f| drop(f.remove("root"))));
    refused("no opening", entry(7));
}

#[test]
fn only_the_next_epoch_follows_and_only_under_its_own_origin() {
    let (_, head) = log(&[3, 40]);
    let skipped = head.next_epoch().next_epoch();
    let old = writer("miax.dev/writer/a", 2);
    let parts = skipped.propose(&[entry(1)], &old, UnixMillis(7), UnixMillis(7)).expect("block");
    assert_eq!(head.clone().fold(&parts).err(), Some(ChainError::Epoch { found: 2, expected: 0 }));

    // A writer whom the log's key introduced by the name of the old origin is unknown in the new one.
    let stranger = Writer::try_new(
        ORIGIN,
        &NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name"),
        "miax.dev/writer/c",
        &[4; 32],
        UnixMillis(1_000_000),
    );
    let stranger = stranger.expect("writer");
    let entries = [opening(&head, |_| {}), stranger.introduce(UnixMillis(7)).expect("introduction")];
    let parts = head.next_epoch().propose(&entries, &stranger, UnixMillis(7), UnixMillis(7)).expect("block");
    let error = head.clone().fold(&parts).expect_err("of another origin");
    assert!(matches!(error, ChainError::Introduction(_)), "{error}");

    // What the old epoch went on with after the new one was opened is no part of the log.
    let (blocks, _) = log(&[3, 40, 2]);
    let mut opened = head.clone();
    opened.fold(&opened_with(&head, opening(&head, |_| {}))).expect("folds");
    let late = opened.fold(&blocks[2].1).expect_err("closed for ever");
    assert_eq!(late, ChainError::Epoch { found: 0, expected: 1 });
}
