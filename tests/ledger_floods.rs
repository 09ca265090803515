//! Floods of refusals: what is repeated beyond a rate is counted and not written, nothing is lost that a window holds, and
//! nobody who is refused stands in the way of somebody who is not.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use miax::api::GovernedKind;
use miax::constitution::{
    Event, Facts, FloodEvent, ObjectRef, Operation, Proposal, Request, State, StoredEvent, TargetFact,
};
use miax::ledger::{BlockParts, Folded, Head, LogTrust, root_of};
use miax::store::{
    BlockStore, CreateError, Health, Kept, Ledger, ReadError, Sequencer, StoreEvent, WriterSource, held, keep_floods,
    replay,
};
use miax::trust::{NoteSigner, sha256};
use miax::units::{BlockNumber, UnixMillis, UnixSeconds};
use serde_json::json;
use tokio::sync::{Notify, Semaphore, mpsc};

const ORIGIN: &str = "miax.dev/ecm/test/0";

/// A store that takes a block for each permit, and refuses while it is said to be full.
#[derive(Clone)]
struct SlowStore {
    blocks: Arc<Mutex<BTreeMap<u64, BlockParts>>>,
    permits: Arc<Semaphore>,
    /// Told when a block is on its way.
    asked: Arc<Notify>,
    full: Arc<Mutex<bool>>,
}

impl SlowStore {
    fn new(permits: usize) -> Self {
        Self {
            blocks: Arc::default(),
            permits: Arc::new(Semaphore::new(permits)),
            asked: Arc::default(),
            full: Arc::default(),
        }
    }

    fn is_full(&self, full: bool) {
        *self.full.lock().expect("lock") = full;
    }

    /// Every event, by block, after a fold from the first one.
    fn events(&self) -> Vec<Vec<Event>> {
        let (mut head, mut state) = (Head::genesis(trust()), State::default());
        let blocks = self.blocks.lock().expect("lock").clone();
        let fold = |parts: &BlockParts| {
            let block = head.fold(parts).expect("the log verifies");
            replay(&block, &mut state).expect("the log makes sense").into_iter().map(|r| r.event).collect()
        };
        blocks.values().map(fold).collect()
    }

    fn floods(&self) -> Vec<FloodEvent> {
        let flood = |event| if let Event::Flood(flood) = event { Some(*flood) } else { None };
        self.events().into_iter().flatten().filter_map(flood).collect()
    }

    fn refusals(&self) -> usize {
        self.events().iter().flatten().filter(|e| matches!(e, Event::Decision(_))).count()
    }
}

impl BlockStore for SlowStore {
    async fn create(&self, _: u16, number: BlockNumber, parts: &BlockParts) -> Result<(), CreateError> {
        self.asked.notify_one();
        self.permits.acquire().await.expect("open").forget();
        if *self.full.lock().expect("lock") {
            return Err(CreateError::Refused("quota".into()));
        }
        self.blocks.lock().expect("lock").insert(number.0, parts.clone());
        Ok(())
    }

    async fn read(&self, _: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(self.blocks.lock().expect("lock").get(&number.0).cloned())
    }
}

fn log_key() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
}

fn trust() -> LogTrust {
    LogTrust { origin: ORIGIN.into(), epoch: 0, key: log_key().verifier() }
}

async fn process(store: &SlowStore) -> (Ledger, mpsc::Sender<StoreEvent>) {
    let writers = WriterSource { log_keys: held(log_key()), replica: "a".into(), seed: Arc::new(|| [3; 32]) };
    let clock = Arc::new(|| UnixMillis(1_000));
    let (sequencer, ledger, input) = Sequencer::new(store.clone(), Head::genesis(trust()), None, writers, clock);
    let (events, inbox) = mpsc::channel(64);
    tokio::spawn(sequencer.run(input, inbox));
    for event in [StoreEvent::ListBegins, StoreEvent::ListEnds] {
        events.send(event).await.expect("runs");
    }
    ledger.changes().wait_for(|view| view.health == Health::Whole).await.expect("runs");
    (ledger, events)
}

fn facts(now: i64) -> Facts {
    Facts {
        now: UnixSeconds::new(now),
        cluster_uid: String::new(),
        genesis: None,
        target: TargetFact::NotNamed,
        budgets: Vec::new(),
    }
}

/// Somebody asks for a command that nobody signed.
fn unsigned(actor: &str, number: usize) -> Proposal {
    let object = json!({
        "apiVersion": "miax.dev/v1alpha1", "kind": "ControlCommand",
        "metadata": {"name": format!("c{number}"), "namespace": "shop"}, "spec": {"signatures": []},
    });
    Proposal::Review(Box::new(Request {
        uid: format!("{actor}-{number}"),
        operation: Operation::Create,
        kind: GovernedKind::ControlCommand,
        namespace: "shop".into(),
        name: format!("c{number}"),
        object: Some(object),
        old: None,
        actor: actor.into(),
    }))
}

fn stored(name: &str) -> Proposal {
    Proposal::Stored(StoredEvent {
        object: ObjectRef::new(GovernedKind::ControlCommand, "shop", name),
        digest: sha256(name.as_bytes()),
        uid: name.into(),
        resource_version: "1".into(),
    })
}

#[tokio::test(start_paused = true)]
async fn a_flood_is_counted_and_its_count_can_be_proven() {
    let store = SlowStore::new(1_000);
    let (ledger, _events) = process(&store).await;
    tokio::spawn(keep_floods(ledger.clone()));
    let mut places: Vec<Folded> = Vec::new();
    for number in 0..500 {
        let now = 10 + i64::try_from(number).expect("small");
        let committed = ledger.decide(unsigned("eve", number), facts(now), None).await.expect("answered");
        match committed.kept {
            Kept::Entry(_) => assert!(places.is_empty(), "the first are written"),
            Kept::Folded(place) => places.push(place),
            Kept::Nowhere => unreachable!("a refusal is never forgotten"),
        }
    }
    assert_eq!((store.refusals(), places.len()), (32, 468));
    // Somebody else is not counted with them.
    assert!(matches!(
        ledger.decide(unsigned("ann", 0), facts(600), None).await.expect("answered").kept,
        Kept::Entry(_)
    ));
    tokio::time::advance(Duration::from_secs(2)).await;
    ledger.flush_floods().await.expect("written");
    let floods = store.floods();
    let [flood] = floods.as_slice() else { unreachable!("one window: {floods:?}") };
    assert_eq!((flood.count, flood.first.get(), flood.last.get()), (468, 42, 509));
    assert_eq!(flood.source.as_ref().map(|s| s.actor.as_str()), Some("eve"));
    assert_eq!(flood.root, root_of(places.iter().map(|p| p.hash)), "each place that was told is in it");
    assert_eq!((flood.sample.request.as_str(), flood.after.0), ("eve-32", 33), "32 refusals and a writer's key");
    let stats = ledger.stats();
    let [folded, unfolded] = [&stats.folded, &stats.unfolded].map(|n| n.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!((folded, unfolded), (468, 468));
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_outlives_a_store_that_is_full() {
    let store = SlowStore::new(1_000);
    let (ledger, _events) = process(&store).await;
    for number in 0..40 {
        ledger.decide(unsigned("eve", number), facts(10), None).await.expect("answered");
    }
    store.is_full(true);
    ledger.flush_floods().await.expect_err("the store is full");
    ledger.decide(unsigned("eve", 40), facts(11), None).await.expect("refused all the same");
    store.is_full(false);
    ledger.flush_floods().await.expect("written");
    assert_eq!(store.floods().iter().map(|f| f.count).collect::<Vec<_>>(), [8, 1]);
    ledger.flush_floods().await.expect("nothing is left");
    assert_eq!(store.floods().len(), 2, "and nothing is written twice");
}

#[tokio::test(start_paused = true)]
async fn commands_go_before_refusals() {
    let store = SlowStore::new(0);
    let (ledger, _events) = process(&store).await;
    let append = |name: &'static str| {
        let ledger = ledger.clone();
        tokio::spawn(async move { ledger.append(stored(name), facts(1)).await.expect("appended") })
    };
    // The first block is on its way and stays there, while a thousand people are refused.
    let first = append("first");
    store.asked.notified().await;
    let mut refused = tokio::task::JoinSet::new();
    for number in 0..900 {
        let ledger = ledger.clone();
        refused.spawn(async move { ledger.decide(unsigned(&format!("p{number}"), 0), facts(1), None).await });
    }
    while refused.len() > 300 {
        // Those that find the queue full are answered at once.
        refused.join_next().await.expect("one").expect("runs").expect("answered");
    }
    let second = append("second");
    tokio::task::yield_now().await;
    store.permits.add_permits(2);
    first.await.expect("appended");
    second.await.expect("appended");
    let events = store.events();
    let commands = |block: &[Event]| block.iter().filter(|e| matches!(e, Event::Stored(_))).count();
    assert_eq!(events.iter().map(|block| commands(block)).collect::<Vec<_>>(), [1, 1]);
    let second = events.last().expect("two blocks");
    assert!(matches!(second.first(), Some(Event::Stored(_))), "the command goes first");
    assert!(second.len() > 100, "refusals fill what is left: {}", second.len());
    store.permits.add_permits(100);
    while let Some(answer) = refused.join_next().await {
        answer.expect("runs").expect("answered");
    }
    ledger.flush_floods().await.expect("written");
    let folded: u64 = store.floods().iter().map(|f| f.count).sum();
    assert_eq!(u64::try_from(store.refusals()).expect("small") + folded, 900, "nobody is forgotten");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_not_read_the_ledger_counts_nothing() {
    let store = SlowStore::new(0);
    let writers = WriterSource { log_keys: held(log_key()), replica: "a".into(), seed: Arc::new(|| [3; 32]) };
    let clock = Arc::new(|| UnixMillis(1_000));
    let (sequencer, ledger, input) = Sequencer::new(store, Head::genesis(trust()), None, writers, clock);
    let (_events, inbox) = mpsc::channel(64);
    tokio::spawn(sequencer.run(input, inbox));
    for number in 0..100 {
        let refused = ledger.decide(unsigned("eve", number), facts(1), None).await;
        assert!(refused.is_err(), "nothing can be told yet");
    }
    assert_eq!(ledger.stats().folded.load(std::sync::atomic::Ordering::Relaxed), 0);
}
