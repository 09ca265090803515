//! Pruning under faults: whatever call fails, and whoever dies in between, whoever starts then finds the ledger whole and comes
//! to the same, and what must be there is missed when it is gone.

use std::sync::Arc;

use miax::constitution::{ArchiveSealEvent, Event, Proposal, PruneEvent, Pruned, State, StateError, deliberate};
use miax::ledger::{Checkpoint, Head, SignedCheckpoint, block_name};
use miax::store::{
    AppendError, ArchiveRun, ArchiveStore, Growing, Health, HotStore as _, PruneError, Pruning, StoreEvent, View,
    begin, load_snapshot, parse_snapshot_name, prepare, sweep_pruned,
};
use miax::trust::sha256;
use miax::units::{BlockNumber, LogIndex, UnixSeconds};
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::memory::{MemoryStore, ORIGIN, Process, facts, log_key, stored, trust};

const KEEP: u64 = 8;

/// A ledger of forty blocks and more, held by two archives.
struct Kept {
    store: MemoryStore,
    process: Process,
    objects: [Arc<InMemory>; 2],
    archives: Vec<ArchiveStore>,
}

fn checkpoint(head: &Head) -> Checkpoint {
    Checkpoint { origin: ORIGIN.into(), size: head.next_index().0, root: head.root() }
}

impl Kept {
    async fn new() -> Self {
        let store = MemoryStore::default();
        let process = Process::start(&store, "a", None).await;
        for i in 0..40 {
            process.ledger.append(stored(&format!("n{i}")), facts()).await.expect("appended");
        }
        let objects = [Arc::new(InMemory::new()), Arc::new(InMemory::new())];
        let names = ["cold", "far"].into_iter().zip(&objects);
        let archives = names.map(|(name, objects)| ArchiveStore::new(name, objects.clone(), Path::default())).collect();
        let kept = Self { store, process, objects, archives };
        kept.archive().await;
        kept
    }

    /// Lets both archives grow to the end, and seals them.
    async fn archive(&self) {
        let view = self.view();
        let note = checkpoint(&view.head).sign(&log_key()).expect("signs");
        let signed = SignedCheckpoint::open(&note, ORIGIN, &log_key().verifier()).expect("opens");
        for archive in &self.archives {
            let sealed = view.state.archived(archive.name()).copied();
            let now = UnixSeconds::new(1);
            let growing = Growing { sealed, note: &note, signed: &signed, log: &view.head, now };
            let seal = ArchiveRun::new(archive.clone()).grow(&self.store, growing).await.expect("grows");
            self.process.ledger.append(Proposal::Archived(seal), facts()).await.expect("sealed");
        }
    }

    fn view(&self) -> Arc<View> {
        self.process.ledger.view()
    }

    async fn prepare(&self, covered: u64, archives: &[ArchiveStore]) -> Result<Option<PruneEvent>, PruneError> {
        let view = self.view();
        let pruning = Pruning { view: &view, covered, archives, keep: KEEP, now: UnixSeconds::new(2) };
        prepare(&self.store, pruning).await
    }

    /// Prunes as far as it goes; gives what the ledger says then.
    async fn prune(&self) -> Pruned {
        let event = self.prepare(u64::MAX, &self.archives).await.expect("prepared").expect("something to prune");
        self.process.ledger.append(Proposal::Prune(event), facts()).await.expect("recorded");
        let pruned = self.view().state.pruned().cloned().expect("pruned");
        while sweep_pruned(&self.store, self.view().head.lineage(), &pruned, 5).await.expect("swept") > 0 {}
        pruned
    }
}

/// A process that starts as the operator does: where the cluster says, or where the store shows.
async fn start(store: &MemoryStore, name: &str, named: Option<BlockNumber>, promised: Option<Checkpoint>) -> Process {
    let snapshot = begin(store, named, &trust()).await.expect("the snapshot can be read");
    Process::start_at(store, name, promised, snapshot).await
}

fn bytes(state: &State) -> Vec<u8> {
    serde_json::to_vec(state).expect("JSON")
}

#[track_caller]
fn same(found: &View, expected: &View) {
    assert_eq!(found.health, Health::Whole);
    assert_eq!((found.head.root(), found.head.next_block()), (expected.head.root(), expected.head.next_block()));
    assert_eq!(bytes(&found.state), bytes(&expected.state), "State is the same, wherever the fold began");
}

#[tokio::test(start_paused = true)]
async fn who_starts_on_a_pruned_ledger_comes_to_the_same() {
    let kept = Kept::new().await;
    let before = kept.view();
    let pruned = kept.prune().await;
    let view = kept.view();
    assert!(pruned.block.0 > 20 && view.head.next_block().0 - pruned.block.0 > KEEP, "{pruned:?}");
    let numbers: Vec<u64> = kept.store.blocks().iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.first(), Some(&pruned.block.0), "only what must be there is there");
    // Who was there sees it go, and goes on.
    kept.process.ledger.append(stored("after"), facts()).await.expect("appended");
    let view = kept.view();
    assert_eq!(view.health, Health::Whole);
    assert!(view.hot.blocks < before.hot.blocks && view.hot.bytes < before.hot.bytes, "there is room again");
    let promised = Some(checkpoint(&view.head));
    for named in [Some(pruned.block), None] {
        let again = start(&kept.store, "b", named, promised.clone()).await;
        same(&again.ledger.view(), &view);
    }
    let again = start(&kept.store, "c", Some(pruned.block), promised).await;
    again.ledger.append(stored("and on"), facts()).await.expect("appended");
    // A second time goes on from the first.
    for i in 0..20 {
        again.ledger.append(stored(&format!("m{i}")), facts()).await.expect("appended");
    }
    kept.process
        .ledger
        .changes()
        .wait_for(|v| v.head.next_block() == again.ledger.view().head.next_block())
        .await
        .expect("runs");
    kept.archive().await;
    let further = kept.prune().await;
    assert!(further.block > pruned.block);
    let names = kept.store.names().await.expect("names");
    assert!(
        names.iter().filter_map(|n| parse_snapshot_name(n)).all(|(_, block, _)| block == further.block),
        "{names:?}"
    );
    let view = kept.view();
    same(&start(&kept.store, "d", Some(further.block), Some(checkpoint(&view.head))).await.ledger.view(), &view);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_the_ledger_does_not_vouch_for_allows_nothing() {
    let kept = Kept::new().await;
    let before = checkpoint(&kept.view().head);
    let pruned = kept.prune().await;
    let whole = checkpoint(&kept.view().head);
    let broken = async |name: &str, promised: Option<Checkpoint>, part: &str| {
        let process = start(&kept.store, name, Some(pruned.block), promised).await;
        let Health::Broken(what) = process.ledger.view().health.clone() else {
            panic!("{name}: it is taken for whole")
        };
        assert!(what.contains(part), "{name}: {what}");
        let refused = process.ledger.append(stored("x"), facts()).await.expect_err("refused");
        assert!(matches!(refused, AppendError::Broken(_)));
    };
    broken("no checkpoint", None, "no checkpoint vouches for entry").await;
    broken("a checkpoint before the entry", Some(before), "no checkpoint vouches for entry").await;
    let other = Checkpoint { root: sha256(b"x"), ..whole.clone() };
    broken("a checkpoint of another history", Some(other), "not those that the checkpoint vouches for").await;
    same(&start(&kept.store, "right", None, Some(whole.clone())).await.ledger.view(), &kept.view());
    // Another State in the place of the right one: what it says is not what the ledger means.
    let names = kept.store.names().await.expect("names");
    let right = load_snapshot(&kept.store, pruned.block, &names).await.expect("loads");
    let text = String::from_utf8(right)
        .expect("text")
        .replace("\"uid\":\"n1\"", "\"uid\":\"n2\"")
        .replace("\"n1\"]", "\"n2\"]");
    kept.store.replace_snapshot(pruned.block, text.as_bytes());
    broken("another State", Some(whole), "no entry means the snapshot").await;
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_while_pruning_the_next_one_goes_on() {
    let mut calls = 0;
    loop {
        let kept = Kept::new().await;
        kept.store.fail_hot_call(calls);
        let mut failures = 0;
        let mut named = None;
        // Each round is another process that knows nothing but what is stored; a checkpoint follows every entry.
        for round in 0..60 {
            let view = kept.view();
            let promised = Some(checkpoint(&view.head));
            let process = match begin(&kept.store, named, &trust()).await {
                Ok(snapshot) => Process::start_at(&kept.store, &format!("{calls} {round}"), promised, snapshot).await,
                Err(_) => {
                    failures += 1;
                    continue;
                }
            };
            same(&process.ledger.view(), &view);
            let one = match view.state.pruned() {
                Some(pruned) => {
                    named = Some(pruned.block);
                    sweep_pruned(&kept.store, view.head.lineage(), pruned, 7).await.map(|count| count == 0)
                }
                None => match kept.prepare(u64::MAX, &kept.archives).await {
                    Ok(Some(event)) => {
                        kept.process.ledger.append(Proposal::Prune(event), facts()).await.expect("recorded");
                        Ok(false)
                    }
                    Ok(None) => panic!("there is something to prune"),
                    Err(error) => Err(error),
                },
            };
            match one {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => failures += 1,
            }
        }
        let pruned = kept.view().state.pruned().cloned().expect("pruned at last");
        assert_eq!(kept.store.blocks().first().map(|(n, _)| *n), Some(pruned.block.0), "failed at call {calls}");
        if !kept.store.was_hit() {
            assert_eq!(failures, 0);
            break;
        }
        calls += 1;
    }
    assert!(calls > 40, "only {calls} calls were hit");
}

#[tokio::test(start_paused = true)]
async fn what_must_be_there_is_missed_when_it_is_gone() {
    let kept = Kept::new().await;
    let pruned = kept.prune().await;
    let delete = async |number: u64| {
        let promised = Some(checkpoint(&kept.view().head));
        let process = start(&kept.store, &format!("p{number}"), Some(pruned.block), promised).await;
        let name = block_name(0, BlockNumber(number));
        process.events.send(StoreEvent::Deleted(name)).await.expect("runs");
        // Whatever follows is seen after it.
        process.events.send(StoreEvent::ListBegins).await.expect("runs");
        for (number, parts) in kept.store.blocks() {
            let name = block_name(0, BlockNumber(number));
            process.events.send(StoreEvent::Seen(name, BlockNumber(number), Ok(parts))).await.expect("runs");
        }
        process.events.send(StoreEvent::ListEnds).await.expect("runs");
        process.ledger.append(stored(&format!("after {number}")), facts()).await.map_err(|error| error.to_string())
    };
    delete(pruned.block.0 - 1).await.expect("it may be gone");
    for number in [pruned.block.0, pruned.block.0 + 3] {
        let refused = delete(number).await.expect_err("it must be there");
        assert!(refused.contains("was deleted"), "{refused}");
    }
    // Listed anew without it, too.
    let promised = Some(checkpoint(&kept.view().head));
    let process = start(&kept.store, "listing", Some(pruned.block), promised).await;
    process.events.send(StoreEvent::ListBegins).await.expect("runs");
    process.events.send(StoreEvent::ListEnds).await.expect("runs");
    let refused = process.ledger.append(stored("x"), facts()).await.expect_err("refused").to_string();
    assert!(refused.contains(&format!("`{}` is gone", block_name(0, pruned.block))), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pruned_that_two_archives_and_every_witness_do_not_hold() {
    let kept = Kept::new().await;
    assert_eq!(kept.prepare(0, &kept.archives).await.expect("nothing wrong"), None, "no witness has seen it");
    assert_eq!(kept.prepare(1, &kept.archives).await.expect("nothing wrong"), None, "too little was seen");
    let one = kept.archives.get(..1).expect("two");
    assert_eq!(kept.prepare(u64::MAX, one).await.expect("nothing wrong"), None, "one archive is too few");
    let third =
        [kept.archives.clone(), vec![ArchiveStore::new("new", kept.objects[0].clone(), Path::default())]].concat();
    assert_eq!(kept.prepare(u64::MAX, &third).await.expect("nothing wrong"), None, "one of them holds nothing yet");
    // An archive that does not give back what it holds.
    let size = kept.view().state.archived("far").expect("sealed").size;
    let path = Path::from(format!("blocks/000.p/{size}"));
    let whole = kept.objects[1].get(&path).await.expect("there").bytes().await.expect("bytes");
    let mut damaged = whole.to_vec();
    *damaged.get_mut(200).expect("long") ^= 1;
    kept.objects[1].put(&path, damaged.into()).await.expect("put");
    let error = kept.prepare(u64::MAX, &kept.archives).await.expect_err("refused").to_string();
    assert!(error.contains("the archive `far` does not hold what would be deleted"), "{error}");
    kept.objects[1].put(&path, whole.into()).await.expect("put");
    kept.prepare(u64::MAX, &kept.archives).await.expect("repaired").expect("something to prune");
    assert_eq!(kept.view().state.pruned(), None, "nothing was recorded");
}

#[test]
fn pruning_goes_on_from_the_last_time_and_never_beyond_two_archives() {
    let mut state = State::default();
    let key = Event::KeyAdd(miax::constitution::KeyEvent { fields: serde_json::Map::new() });
    for index in 0..9 {
        state.apply(LogIndex(index), &key).expect("fits");
    }
    let seal = |store: &str, to: u64| {
        let (root, objects, now) = (sha256(&[1]), sha256(&[2]), UnixSeconds::new(1));
        ArchiveSealEvent { store: store.into(), from: 0, to, root, count: 1, objects, now }
    };
    let prune = |block: u64, size: u64| {
        let (root, snapshot, now) = (sha256(&[1]), sha256(&[3]), UnixSeconds::new(1));
        PruneEvent { block: BlockNumber(block), size, root, snapshot, now }
    };
    let record = |state: &mut State, proposal: Proposal| {
        let events = deliberate(&proposal, state, &facts()).events;
        events.iter().for_each(|event| state.apply(state.next_index(), event).expect("fits"));
        events.len()
    };
    assert_eq!(record(&mut state, Proposal::Prune(prune(2, 5))), 0, "no archive holds it");
    assert_eq!(record(&mut state, Proposal::Archived(seal("cold", 8))), 1);
    assert_eq!(record(&mut state, Proposal::Prune(prune(2, 5))), 0, "one archive is too few");
    assert_eq!(record(&mut state, Proposal::Archived(seal("far", 6))), 1);
    assert_eq!(record(&mut state, Proposal::Prune(prune(3, 7))), 0, "the second one ends before");
    assert_eq!(record(&mut state, Proposal::Prune(prune(2, 5))), 1);
    assert_eq!(record(&mut state, Proposal::Prune(prune(2, 5))), 0, "again");
    assert_eq!(record(&mut state, Proposal::Prune(prune(1, 6))), 0, "backwards");
    let wrong = state.apply(state.next_index(), &Event::Prune(prune(3, 7))).expect_err("refused");
    assert!(matches!(wrong, StateError::PruneOrder { .. }), "{wrong}");
}
