//! The ledger never takes more room in the cluster than it may.

use std::time::Duration;

use miax::constitution::{ArchiveSealEvent, Event, FloodSource, Proposal, Request};
use miax::ledger::{BlockParts, Budget, EntryClass, Head, Pressure};
use miax::store::{AppendError, Kept, Ledger, end_floods, read_entries};
use miax::trust::sha256;
use miax::units::UnixSeconds;

use crate::memory::{MemoryStore, Process, facts, recorded, review, stored, trust};

/// Bytes of all blocks.
fn stored_bytes(store: &MemoryStore) -> u64 {
    let size = |p: &BlockParts| p.header.len() + p.seal.len() + p.entries.len() + p.edge.len();
    store.blocks().iter().map(|(_, parts)| u64::try_from(size(parts)).expect("a size")).sum()
}

/// Sources and counts of the floods in the store.
fn floods(store: &MemoryStore) -> Vec<(Option<FloodSource>, u64)> {
    let mut head = Head::genesis(trust());
    let blocks = store.blocks();
    let all = blocks.iter().flat_map(|(_, parts)| read_entries(&head.fold(parts).expect("folds")).expect("reads"));
    let of = |event| match event {
        Event::Flood(flood) => Some((flood.source, flood.count)),
        _ => None,
    };
    all.filter_map(|recorded| of(recorded.event)).collect()
}

/// A review of somebody.
fn review_of(actor: &str, uid: &str) -> Proposal {
    match review(uid) {
        Proposal::Review(request) => Proposal::Review(Box::new(Request { actor: actor.into(), ..*request })),
        other => other,
    }
}

/// The seal of an archive, which makes room: it goes on from the one before.
fn seal(ledger: &Ledger, to: u64) -> Proposal {
    let from = ledger.view().state.archived("cold").map_or(0, |a| a.size);
    let (root, objects, now) = (sha256(&[1]), sha256(&[2]), UnixSeconds::new(1));
    Proposal::Archived(ArchiveSealEvent { store: "cold".into(), from, to, root, count: 1, objects, now })
}

#[tokio::test(start_paused = true)]
async fn the_ledger_never_grows_beyond_its_cap_and_says_so() {
    let store = MemoryStore::default();
    let budget = Budget::new(400 * 1024);
    let process = Process::start_within(&store, "a", None, budget).await;
    let ledger = &process.ledger;
    let (mut acknowledged, mut pressures) = (Vec::new(), Vec::new());
    let refused = loop {
        let name = format!("n{}", acknowledged.len());
        pressures.push(ledger.view().pressure());
        match ledger.append(stored(&name), facts()).await {
            Ok(_) => acknowledged.push(name),
            Err(error) => break error,
        }
    };
    let AppendError::Full { class: EntryClass::Ordinary, used, cap } = refused else { panic!("{refused}") };
    assert!(used <= cap && cap == budget.cap(), "{used} of {cap}");
    assert!(refused.to_string().contains("raise the operator's --ledger-cap"), "{refused}");
    pressures.dedup();
    assert_eq!(
        pressures,
        [Pressure::Low, Pressure::Warn, Pressure::Fold, Pressure::Full],
        "each step was seen before it was full"
    );
    assert_eq!(recorded(&store), acknowledged, "nothing that was acknowledged is lost, nothing else is there");

    // Whatever comes, the cap holds; what makes room is still recorded.
    let more = futures::future::join_all((0..50).map(|i| ledger.append(stored(&format!("more{i}")), facts()))).await;
    assert!(more.iter().all(|r| matches!(r, Err(AppendError::Full { .. }))));
    let size = ledger.view().head.next_index().0;
    ledger.append(seal(ledger, size), facts()).await.expect("there is room for what makes room");
    let mut to = size;
    let full = loop {
        to += 1;
        if let Err(error) = ledger.append(seal(ledger, to), facts()).await {
            break error;
        }
    };
    assert!(matches!(full, AppendError::Full { class: EntryClass::Closing, .. }), "{full}");
    assert!(stored_bytes(&store) <= budget.cap());
    assert_eq!(recorded(&store), acknowledged);

    // A process with a larger cap goes on.
    let again = Process::start_within(&store, "b", None, Budget::new(800 * 1024)).await;
    again.ledger.append(stored("after"), facts()).await.expect("there is room");
}

#[tokio::test(start_paused = true)]
async fn when_four_fifths_are_used_refusals_share_one_count() {
    let store = MemoryStore::default();
    let process = Process::start_within(&store, "a", None, Budget::new(400 * 1024)).await;
    let ledger = &process.ledger;
    let written = ledger.decide(review("first"), facts(), None).await.expect("refused");
    assert!(matches!(written.kept, Kept::Entry(_)), "there is room for each: {written:?}");
    for i in 0.. {
        if ledger.view().pressure() == Pressure::Fold {
            break;
        }
        ledger.append(stored(&format!("n{i}")), facts()).await.expect("there is room");
    }
    let before = ledger.view().head.next_index();
    for uid in ["second", "third", "fourth"] {
        let counted = ledger.decide(review(uid), facts(), None).await.expect("refused");
        assert!(matches!(counted.kept, Kept::Folded(_)), "{counted:?}");
    }
    assert_eq!(ledger.view().head.next_index(), before, "nothing is written one by one");
    ledger.flush_floods().await.expect("there is room for the count");
    let after = ledger.view().head.next_index();
    assert_eq!(after.0, before.0 + 1);
    let floods: Vec<(Option<FloodSource>, u64)> = floods(&store);
    assert_eq!(floods, [(None, 3)]);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_is_counted_at_the_end_of_a_process_also_when_refusals_have_no_room() {
    let store = MemoryStore::default();
    let process = Process::start_within(&store, "a", None, Budget::new(400 * 1024)).await;
    let ledger = &process.ledger;
    let budget = ledger.view().budget;
    // Counted while there was room, each in a window of its own: before packing they have more bytes than a round may have then.
    let asks = |i: u32| {
        let of = move |source: u32| review_of(&format!("{source}{}", "x".repeat(1000)), &format!("{i}-{source}"));
        (0..8).map(move |source| ledger.decide(of(source), facts(), None))
    };
    for i in 0..35 {
        let all = futures::future::join_all(asks(i)).await;
        assert!(all.iter().all(|r| r.as_ref().is_ok_and(|c| c.kept.folded().is_some() == (i >= 32))), "{all:?}");
    }
    for i in 0.. {
        if !budget.admits(ledger.view().hot, 12 * 1024, EntryClass::Ordinary) {
            break;
        }
        ledger.append(stored(&format!("n{i}")), facts()).await.expect("there is room");
    }
    assert!(!budget.admits(ledger.view().hot, 0, EntryClass::Refusal), "refusals have no room");
    for uid in ["second", "third", "fourth"] {
        ledger.decide(review(uid), facts(), None).await.expect("refused, and counted with all others");
    }
    end_floods(ledger, Duration::from_secs(1)).await;
    assert_eq!(ledger.stats().unwritten(), 0);
    let mut counts: Vec<u64> = floods(&store).into_iter().map(|(_, count)| count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [3; 9]);
    assert!(stored_bytes(&store) <= budget.cap());

    // Nothing more is decided: what could not be written down is not told.
    for i in 0.. {
        if ledger.append(stored(&format!("last{i}")), facts()).await.is_err() {
            break;
        }
    }
    let refused = ledger.decide(review("late"), facts(), None).await.expect_err("no verdict");
    assert!(matches!(refused, AppendError::Full { class: EntryClass::Refusal, .. }), "{refused}");
    assert_eq!(ledger.stats().unwritten(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_round_of_many_entries_stays_below_the_cap_too() {
    let store = MemoryStore::default();
    let budget = Budget::new(0);
    let process = Process::start_within(&store, "a", None, budget).await;
    let ledger = &process.ledger;
    // Names that hardly pack: what is compared with the budget is what they have before packing.
    let name =
        |i: u64| (0..100_u64).map(|j| miax::units::hex(&sha256(&[i, j].map(u64::to_be_bytes).concat()).0)).collect();
    let names: Vec<String> = (0..60).map(name).collect();
    let results = futures::future::join_all(names.iter().map(|name| ledger.append(stored(name), facts()))).await;
    let taken = results.iter().filter(|r| r.is_ok()).count();
    assert!(taken > 2 && taken < names.len(), "{taken}: {:?}", results.first());
    assert!(stored_bytes(&store) <= budget.cap(), "{}", stored_bytes(&store));
    assert_eq!(recorded(&store).len(), taken);
}
