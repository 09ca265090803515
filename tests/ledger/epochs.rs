//! Epochs: what is left of a log goes on under a new origin, and nothing else does (ADR 0025).

use miax::ledger::{BlockParts, ChainError, Check, Checkpoint, FindingClass, Head, Verifier, Writer, block_name};
use miax::trust::NoteSigner;
use miax::units::{Digest, UnixMillis};
use serde_json::{Map, Value, json};

use crate::log::{Blocks, NEXT, ORIGIN, entry, log, next_writer, opening, opening_entry, trust, two_epochs, writer};

fn opening_with(head: &Head, change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
    let mut fields = opening(head);
    change(&mut fields);
    opening_entry(fields)
}

/// The first block of the next epoch, with this opening.
fn opened_with(head: &Head, opening: Vec<u8>) -> BlockParts {
    let writer = next_writer();
    let entries = [opening, writer.introduce(UnixMillis(7)).expect("introduction"), entry(1000)];
    head.next_epoch().propose(&entries, &writer, UnixMillis(7), UnixMillis(7)).expect("block")
}

fn held(head: &Head, blocks: &Blocks) -> Blocks {
    let place = |name: &str| miax::ledger::parse_block_name(name).expect("a block");
    let holds = |(epoch, number)| head.lineage().holds(epoch, number);
    blocks.iter().filter(|(name, _)| holds(place(name))).cloned().collect()
}

#[test]
fn an_epoch_goes_on_with_what_is_left_under_its_own_name() {
    let (mut blocks, head) = two_epochs(&[3, 40], &[1, 1]);
    let (name, lost) = log(&[3, 40, 2]).0.pop().expect("a block");
    blocks.insert(2, (name, lost));
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
    refused("another root", opening_with(&head, |f| drop(f.insert("root".into(), json!(Digest([0; 32]))))));
    refused("fewer blocks", opening_with(&head, |f| drop(f.insert("blocks".into(), json!(1)))));
    refused("more entries", opening_with(&head, |f| drop(f.insert("entries".into(), json!(45)))));
    refused("another epoch", opening_with(&head, |f| drop(f.insert("epoch".into(), json!(2)))));
    refused("without the field", opening_with(&head, |f| drop(f.remove("root"))));
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
    let entries = [opening_with(&head, |_| {}), stranger.introduce(UnixMillis(7)).expect("introduction")];
    let parts = head.next_epoch().propose(&entries, &stranger, UnixMillis(7), UnixMillis(7)).expect("block");
    let error = head.clone().fold(&parts).expect_err("of another origin");
    assert!(matches!(error, ChainError::Introduction(_)), "{error}");

    // What the old epoch went on with after the new one was opened is no part of the log.
    let (blocks, _) = log(&[3, 40, 2]);
    let mut opened = head.clone();
    opened.fold(&opened_with(&head, opening_with(&head, |_| {}))).expect("folds");
    let late = opened.fold(&blocks[2].1).expect_err("closed for ever");
    assert_eq!(late, ChainError::Epoch { found: 0, expected: 1 });
}

#[test]
fn the_name_of_a_block_says_its_epoch() {
    let (mut blocks, _) = two_epochs(&[3, 40], &[1, 1]);
    blocks[2].0 = block_name(0, miax::units::BlockNumber(2));
    let finding = &crate::log::verify(&blocks, Vec::new()).findings[0];
    assert_eq!((finding.check, finding.class), (Some(Check::DenseBlocks), FindingClass::Tampered));
}
