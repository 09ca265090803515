//! What somebody deleted, replaced or cut.

use std::collections::BTreeMap;

use miax::ledger::{BlockParts, Checkpoint, block_name};
use miax::store::{AppendError, Health, StoreEvent};
use miax::trust::sha256;
use miax::units::BlockNumber;

use crate::memory::{MemoryStore, ORIGIN, Process, facts, stored};

#[tokio::test(start_paused = true)]
async fn a_ledger_that_was_touched_allows_nothing() {
    let store = MemoryStore::default();
    let Process { ledger, events, .. } = Process::start(&store, "a", None).await;
    for name in ["one", "two"] {
        ledger.append(stored(name), facts()).await.expect("appended");
    }
    let broken = |event: StoreEvent| {
        let (ledger, events) = (ledger.clone(), events.clone());
        async move {
            events.send(event).await.expect("runs");
            let mut changes = ledger.changes();
            let view = changes.wait_for(|v| matches!(v.health, Health::Broken(_))).await.expect("runs").clone();
            view.health.clone()
        }
    };
    let name = block_name(0, BlockNumber(0));
    let Health::Broken(what) = broken(StoreEvent::Deleted(name.clone())).await else { panic!("not broken") };
    assert_eq!(what, format!("`{name}` was deleted"));
    let refused = ledger.append(stored("three"), facts()).await.expect_err("nothing is appended");
    assert!(matches!(refused, AppendError::Broken(_)));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_replaced_is_found_at_the_start() {
    let store = MemoryStore::default();
    let first = Process::start(&store, "a", None).await;
    for name in ["one", "two", "three"] {
        first.ledger.append(stored(name), facts()).await.expect("appended");
    }
    let head = first.ledger.view().head.clone();
    let promised = Checkpoint { origin: ORIGIN.into(), size: head.next_index().0, root: head.root() };
    let health = |blocks: BTreeMap<u64, BlockParts>, promised: Checkpoint| async move {
        Process::start(&MemoryStore::of(blocks), "b", Some(promised)).await.ledger.view().health.clone()
    };
    let whole: BTreeMap<u64, BlockParts> = store.blocks().into_iter().collect();
    assert_eq!(health(whole.clone(), promised.clone()).await, Health::Whole);
    let mut cut = whole.clone();
    cut.pop_last();
    let Health::Broken(what) = health(cut, promised.clone()).await else { panic!("a cut end is not found") };
    assert!(what.contains("vouches for 4 entries"), "{what}");
    let mut gap = whole.clone();
    gap.remove(&1);
    assert!(matches!(health(gap, promised.clone()).await, Health::Broken(_)));
    let wrong = Checkpoint { root: sha256(b"x"), ..promised };
    assert!(matches!(health(whole, wrong).await, Health::Broken(_)));
}
