//! Archives under faults: an object store that lies, is full, forgets, or answers late, at every call. Whatever it does, what is
//! sealed is there byte by byte, and what is not sealed is written again.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "cloud")]
#[path = "archive/cloud.rs"]
mod cloud;
#[expect(dead_code, reason = "shared with the tests of the ledger")]
#[path = "ledger/log.rs"]
mod log;
#[path = "archive/store.rs"]
mod store;

use std::sync::LazyLock;

use miax::constitution::{
    ArchiveSealEvent, Archived, Event, Facts, Proposal, State, StateError, TargetFact, deliberate,
};
use miax::ledger::{ArchiveTrouble, Block, Head, SignedCheckpoint, TileCheck};
use miax::store::{ArchiveError, ArchiveRun, ArchiveStore, Growing};
use miax::trust::sha256;
use miax::units::{LogIndex, UnixSeconds};
use object_store::path::Path;

use log::{Blocks, ORIGIN, checkpoint, log_key, trust};
use store::{Fault, FaultyStore, MemoryBlocks};

/// A log, with its head and checkpoint after some of its blocks and after all.
struct Log {
    blocks: Blocks,
    heads: Vec<Head>,
}

static LOG: LazyLock<Log> = LazyLock::new(|| {
    let (blocks, _) = log::log(&[2, 40, 212, 1, 100]);
    let mut head = Head::genesis(trust());
    let mut heads = vec![head.clone()];
    for (_, parts) in &blocks {
        head.fold(parts).expect("folds");
        heads.push(head.clone());
    }
    Log { blocks, heads }
});

fn note(head: &Head) -> (String, SignedCheckpoint) {
    let note = checkpoint(head).sign(&log_key()).expect("signs");
    let signed = SignedCheckpoint::open(&note, ORIGIN, &log_key().verifier()).expect("opens");
    (note, signed)
}

/// Lets the archive grow to the end of a block.
async fn grow(run: &mut ArchiveRun, blocks: usize, sealed: Option<Archived>) -> Result<ArchiveSealEvent, ArchiveError> {
    let head = &LOG.heads[blocks];
    let (note, signed) = note(head);
    let growing = Growing { sealed, note: &note, signed: &signed, log: head, now: UnixSeconds::new(1) };
    run.grow(&MemoryBlocks(LOG.blocks[..blocks].to_vec()), growing).await
}

fn archive(objects: &FaultyStore) -> ArchiveRun {
    ArchiveRun::new(ArchiveStore::new("cold", std::sync::Arc::new(objects.clone()), Path::from("miax/prod")))
}

fn archived(seal: &ArchiveSealEvent) -> Archived {
    Archived { size: seal.to, root: seal.root, index: LogIndex(seal.to) }
}

/// What is sealed is there, byte by byte, and it is what the blocks lead to.
async fn check_sealed(name: &str, objects: &FaultyStore, seal: &ArchiveSealEvent) {
    let opened: Vec<Block> = LOG.blocks.iter().map(|(_, parts)| Block::open(parts).expect("opens").0).collect();
    let right: Vec<_> = LOG.blocks.iter().zip(&opened).map(|((n, parts), b)| (n.as_str(), parts, b)).collect();
    let tiles = TileCheck::new(&right);
    let (root, growth) = tiles.growth(seal.from, seal.to).expect("inside of the log");
    assert_eq!((seal.root, seal.count, seal.objects), (root, growth.count(), growth.digest()), "{name}");
    let there = objects.contents("miax/prod/").await;
    assert_eq!(tiles.objects(&there, seal.to), [], "{name}");
    let kept = String::from_utf8(there["checkpoint"].clone()).expect("text");
    let signed = SignedCheckpoint::open(&kept, ORIGIN, &log_key().verifier()).expect("opens");
    assert_eq!(signed.checkpoint().size, seal.to, "{name}");
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_an_archive_at_every_call_loses_nothing() {
    use Fault::{Full, Late, Lost, StoredButLate, StoredButLost, Unreachable};
    for fault in [Full, Late, Lost, StoredButLate, StoredButLost, Unreachable] {
        let mut calls = 0;
        loop {
            let name = format!("{fault:?} at call {calls}");
            let objects = FaultyStore::failing_at(calls, fault);
            let expected = match fault {
                Full | StoredButLost | Unreachable => ArchiveTrouble::Refused,
                Late | StoredButLate => ArchiveTrouble::Late,
                Lost | Fault::StoresOther | Fault::ReadsOther => ArchiveTrouble::Differs,
            };
            let mut sealed = None;
            for blocks in [3, 5] {
                let mut run = archive(&objects);
                let seal = match grow(&mut run, blocks, sealed).await {
                    Ok(seal) => seal,
                    // Another process goes on: nothing but the store tells it what was done.
                    Err(error) => {
                        assert_eq!(error.trouble(), expected, "{name}: {error}");
                        grow(&mut archive(&objects), blocks, sealed).await.expect(&name)
                    }
                };
                assert_eq!(seal.from, sealed.map_or(0, |s: Archived| s.size), "{name}");
                check_sealed(&name, &objects, &seal).await;
                sealed = Some(archived(&seal));
            }
            let hit = objects.was_hit();
            if !hit {
                break;
            }
            calls += 1;
        }
        assert!(calls >= 26, "{fault:?}: only {calls} calls were hit");
    }
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_lies_is_not_sealed() {
    for fault in [Fault::StoresOther, Fault::ReadsOther] {
        let mut calls = 0;
        let mut refused = 0;
        loop {
            let objects = FaultyStore::failing_at(calls, fault);
            let result = grow(&mut archive(&objects), 3, None).await;
            let name = format!("{fault:?} at call {calls}");
            match result {
                Ok(seal) => check_sealed(&name, &objects, &seal).await,
                Err(error) => {
                    refused += 1;
                    assert!(
                        matches!(error.trouble(), ArchiveTrouble::Differs | ArchiveTrouble::Ahead),
                        "{name}: {error}"
                    );
                }
            }
            if !objects.was_hit() {
                break;
            }
            calls += 1;
        }
        assert!(refused > 5, "{fault:?}: {refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_archive_holds_in_our_place_is_never_replaced() {
    let objects = FaultyStore::default();
    objects.store("miax/prod/tile/0/000.p/43", b"another log").await;
    let error = grow(&mut archive(&objects), 2, None).await.expect_err("refused");
    assert!(error.to_string().contains("`tile/0/000.p/43` has other bytes"), "{error}");
    assert_eq!(objects.contents("miax/prod/").await["tile/0/000.p/43"], b"another log");
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_knows_more_than_the_ledger_stops() {
    let objects = FaultyStore::default();
    let seal = grow(&mut archive(&objects), 5, None).await.expect("grows");
    let error = grow(&mut archive(&objects), 3, None).await.expect_err("the ledger was set back");
    assert_eq!(error.trouble(), ArchiveTrouble::Ahead);
    assert!(matches!(&error, ArchiveError::Contradicts { note, .. } if note.contains("\n356\n")), "{error:?}");
    assert!(error.to_string().contains("it holds 356 entries, the ledger only 255"), "{error}");
    // What no key of the log signed contradicts nothing: whoever owns the archive could write it.
    let strange = FaultyStore::default();
    strange.store("miax/prod/checkpoint", b"miax.dev/ecm/test/0\n999\nAAAA\n\n").await;
    let error = grow(&mut archive(&strange), 3, None).await.expect_err("it does not open");
    assert!(matches!(error, ArchiveError::Ahead(_)), "{error:?}");
    // The seal says more than the archive has: it was cut.
    let cut = FaultyStore::default();
    let error = grow(&mut archive(&cut), 5, Some(archived(&seal))).await.expect_err("the archive is gone");
    assert!(error.to_string().contains("was sealed, but is not there"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_end_stops_an_archive_from_growing() {
    let objects = FaultyStore::default();
    let seal = grow(&mut archive(&objects), 3, None).await.expect("grows");
    for name in ["blocks/000.p/255", "tile/0/000.p/255", "tile/entries/000.p/255"] {
        let path = format!("miax/prod/{name}");
        let whole = objects.contents("miax/prod/").await[name].clone();
        let mut damaged = whole.clone();
        damaged[20] ^= 1;
        objects.store(&path, &damaged).await;
        let error = grow(&mut archive(&objects), 5, Some(archived(&seal))).await.expect_err("damaged");
        assert_eq!(error.trouble(), ArchiveTrouble::Damaged, "{name}: {error}");
        objects.store(&path, &whole).await;
    }
    grow(&mut archive(&objects), 5, Some(archived(&seal))).await.expect("repaired");
}

#[test]
fn a_seal_is_recorded_once_and_goes_on_from_the_last() {
    let facts = Facts {
        now: UnixSeconds::new(9),
        cluster_uid: String::new(),
        genesis: None,
        target: TargetFact::NotNamed,
        budgets: Vec::new(),
    };
    let seal = |store: &str, from: u64, to: u64| ArchiveSealEvent {
        store: store.to_owned(),
        from,
        to,
        root: sha256(&[1]),
        count: 3,
        objects: sha256(&[2]),
        now: facts.now,
    };
    let mut state = State::default();
    let mut record = |event: ArchiveSealEvent| {
        let events = deliberate(&Proposal::Archived(event), &state, &facts).events;
        for event in &events {
            state.apply(state.next_index(), event).expect("fits");
        }
        events.len()
    };
    assert_eq!(record(seal("cold", 0, 1)), 0, "nothing is there to be archived");
    let mut state = State::default();
    let key = Event::KeyAdd(miax::constitution::KeyEvent { fields: serde_json::Map::new() });
    for index in 0..4 {
        state.apply(LogIndex(index), &key).expect("fits");
    }
    let mut record = |event: ArchiveSealEvent| {
        let events = deliberate(&Proposal::Archived(event), &state, &facts).events;
        for event in &events {
            state.apply(state.next_index(), event).expect("fits");
        }
        events.len()
    };
    assert_eq!(record(seal("cold", 0, 3)), 1);
    assert_eq!(record(seal("cold", 0, 3)), 0, "again");
    assert_eq!(record(seal("cold", 3, 3)), 0, "no growth");
    assert_eq!(record(seal("cold", 2, 4)), 0, "a gap backwards");
    assert_eq!(record(seal("cold", 3, 99)), 0, "more than there is");
    assert_eq!(record(seal("far", 0, 4)), 1, "another archive");
    assert_eq!((state.archived("cold").map(|a| a.size), state.archives().count()), (Some(3), 2));
    assert_eq!(state.substance(), 0, "seals and keys alone lead to no archive");
    let wrong = Event::ArchiveSeal(seal("cold", 1, 4));
    let error = state.apply(state.next_index(), &wrong).expect_err("out of order");
    assert!(matches!(error, StateError::ArchiveOrder { .. }), "{error}");
}

#[cfg(feature = "cloud")]
#[tokio::test]
async fn buckets_are_archives_too() {
    for url in ["s3://miax/prod/eu", "gs://miax/prod/eu"] {
        let bucket = cloud::Bucket::start();
        let place: miax::store::ArchivePlace = format!("cold={url}").parse().expect("a place");
        let open = || ArchiveRun::new(place.open(&bucket.environment()).expect("it opens"));
        let seal = grow(&mut open(), 3, None).await.expect(url);
        let more = grow(&mut open(), 5, Some(archived(&seal))).await.expect(url);
        assert_eq!((seal.from, seal.to, more.from, more.to), (0, 255, 255, 356), "{url}");
        let there = bucket.objects();
        let inside = FaultyStore::default();
        for (name, bytes) in &there {
            let name = name.strip_prefix("prod/eu/").expect("below the prefix");
            inside.store(&format!("miax/prod/{name}"), bytes).await;
        }
        check_sealed(url, &inside, &more).await;
        // Again: the bucket refuses to create what is there, and what is there is right.
        let again = grow(&mut open(), 5, Some(archived(&seal))).await.expect(url);
        assert_eq!((again.objects, bucket.objects() == there), (more.objects, true), "{url}");
    }
}
