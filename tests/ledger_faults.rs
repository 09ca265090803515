//! Appending under faults: every write x {lost, stored but the answer lost, refused, another writer first}, then a restart.
//! Whatever happens, the log verifies, and what was acknowledged is in it exactly once.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use miax::api::GovernedKind;
use miax::constitution::{Event, Facts, ObjectRef, Proposal, State, StoredEvent, TargetFact};
use miax::ledger::{BlockParts, Checkpoint, Head, LogTrust, Writer, block_name};
use miax::store::{
    AppendError, BlockStore, CreateError, Health, Ledger, ReadError, Sequencer, StoreEvent, WriterSource, replay,
};
use miax::trust::{NoteSigner, sha256};
use miax::units::{BlockNumber, UnixMillis, UnixSeconds};
use tokio::sync::mpsc;

const ORIGIN: &str = "miax.dev/ecm/test/0";

/// What the store does with a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Nothing is stored, and no answer comes.
    Lost,
    /// The block is stored, but no answer comes.
    StoredButLost,
    /// The store says no.
    Refused,
    /// Another writer stores its block first.
    AnotherWriter,
}

/// A store that remembers, and fails the test when somebody would change what is stored.
#[derive(Clone, Default)]
struct MemoryStore {
    blocks: Arc<Mutex<BTreeMap<u64, BlockParts>>>,
    script: Arc<Mutex<Vec<Fault>>>,
    /// What was tried under a number whose answer was lost: only the same bytes may be tried again.
    tried: Arc<Mutex<BTreeMap<u64, BlockParts>>>,
    /// What each writer sealed under a number, stored or not: never two different blocks, because that is proof of a fork.
    sealed: Arc<Mutex<BTreeMap<(u64, String), String>>>,
}

impl MemoryStore {
    fn with(script: &[Fault]) -> Self {
        let store = Self::default();
        *store.script.lock().expect("lock") = script.to_vec();
        store
    }

    fn blocks(&self) -> Vec<(u64, BlockParts)> {
        self.blocks.lock().expect("lock").clone().into_iter().collect()
    }

    fn store(&self, number: u64, parts: &BlockParts) -> Result<(), CreateError> {
        let mut blocks = self.blocks.lock().expect("lock");
        if blocks.contains_key(&number) {
            return Err(CreateError::Exists);
        }
        blocks.insert(number, parts.clone());
        Ok(())
    }

    /// The next block, by a writer that we know nothing of.
    fn another_writer(&self) {
        let mut head = Head::genesis(trust());
        for (_, parts) in self.blocks() {
            head.fold(&parts).expect("folds");
        }
        let seed = sha256(format!("other {}", head.next_block()).as_bytes()).0;
        let name = format!("{ORIGIN}/other-{}", head.next_block());
        let writer = Writer::try_new(ORIGIN, &log_key(), &name, &seed, UnixMillis(u64::MAX >> 12)).expect("writer");
        let entry = writer.introduce(UnixMillis(1)).expect("entry");
        let parts = head.propose(&[entry], &writer, UnixMillis(1), UnixMillis(1)).expect("block");
        self.store(head.next_block().0, &parts).expect("nobody is there yet");
    }
}

impl BlockStore for MemoryStore {
    async fn create(&self, _: u16, number: BlockNumber, parts: &BlockParts) -> Result<(), CreateError> {
        let fault = self.script.lock().expect("lock").pop().unwrap_or(Fault::None);
        if let Some(before) = self.tried.lock().expect("lock").get(&number.0) {
            assert!(before == parts, "after a lost answer other bytes were tried under block {number}");
        }
        let header: serde_json::Value = serde_json::from_str(&parts.header).expect("a header");
        let writer = header.get("writer").and_then(|w| w.as_str()).expect("a writer").to_owned();
        let before = self.sealed.lock().expect("lock").insert((number.0, writer), parts.header.clone());
        assert!(before.is_none_or(|b| b == parts.header), "one key sealed two blocks under number {number}");
        match fault {
            Fault::None => self.store(number.0, parts),
            Fault::Refused => Err(CreateError::Refused("quota".into())),
            Fault::AnotherWriter => {
                self.another_writer();
                self.store(number.0, parts)
            }
            Fault::Lost | Fault::StoredButLost => {
                self.tried.lock().expect("lock").insert(number.0, parts.clone());
                if fault == Fault::StoredButLost {
                    let _ = self.store(number.0, parts);
                }
                Err(CreateError::Unknown("no answer".into()))
            }
        }
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

/// A process: a sequencer on the store, which has read what is there.
async fn process(store: &MemoryStore, name: &str, promised: Option<Checkpoint>) -> (Ledger, mpsc::Sender<StoreEvent>) {
    let counter = std::sync::atomic::AtomicU64::new(0);
    let own = name.to_owned();
    let seed = Arc::new(move || {
        sha256(format!("{own} {}", counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed)).as_bytes()).0
    });
    let writers = WriterSource { log_key: log_key(), replica: name.into(), seed };
    let clock = Arc::new(|| UnixMillis(1_000));
    let (sequencer, ledger, input) = Sequencer::new(store.clone(), Head::genesis(trust()), promised, writers, clock);
    let (events, inbox) = mpsc::channel(64);
    tokio::spawn(sequencer.run(input, inbox));
    events.send(StoreEvent::ListBegins).await.expect("runs");
    for (number, parts) in store.blocks() {
        let name = block_name(0, BlockNumber(number));
        events.send(StoreEvent::Seen(name, BlockNumber(number), Ok(parts))).await.expect("runs");
    }
    events.send(StoreEvent::ListEnds).await.expect("runs");
    let mut changes = ledger.changes();
    changes.wait_for(|view| view.health != Health::Starting).await.expect("runs");
    (ledger, events)
}

fn stored(name: &str) -> Proposal {
    Proposal::Stored(StoredEvent {
        object: ObjectRef::new(GovernedKind::ControlCommand, "shop", name),
        digest: sha256(name.as_bytes()),
        uid: name.into(),
        resource_version: "1".into(),
    })
}

fn facts() -> Facts {
    let now = UnixSeconds::new(1);
    Facts { now, cluster_uid: String::new(), genesis: None, target: TargetFact::NotNamed }
}

/// Names of everything that is in the log, after a fold from the first block.
fn recorded(store: &MemoryStore) -> Vec<String> {
    let (mut head, mut state, mut names) = (Head::genesis(trust()), State::default(), Vec::new());
    for (_, parts) in store.blocks() {
        let block = head.fold(&parts).expect("the log verifies");
        for entry in replay(&block, &mut state).expect("the log makes sense") {
            if let Event::Stored(event) = entry.event {
                names.push(event.object.name);
            }
        }
    }
    names
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_write_loses_and_doubles_nothing() {
    use Fault::{AnotherWriter, Lost, None, Refused, StoredButLost};
    for fault in [None, Lost, StoredButLost, Refused, AnotherWriter] {
        for second in [None, Lost, StoredButLost, AnotherWriter] {
            for at in 0..3 {
                // The script is taken from its end.
                let mut script = vec![None; 6];
                script.extend([second, fault]);
                script.extend(vec![None; at]);
                check(&format!("{fault:?} then {second:?} at write {at}"), &script).await;
            }
        }
    }
}

async fn check(name: &str, script: &[Fault]) {
    let store = MemoryStore::with(script);
    let (ledger, _events) = process(&store, "a", None).await;
    let mut acknowledged = Vec::new();
    for object in ["one", "two", "three"] {
        match ledger.append(stored(object), facts()).await {
            Ok(_) => acknowledged.push(object.to_owned()),
            Err(AppendError::Refused(_)) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(recorded(&store), acknowledged, "{name}");
    assert!(acknowledged.len() >= 2, "{name}: one refusal costs one answer at most");

    let (again, _events) = process(&store, "b", None).await;
    assert_eq!(again.view().head.root(), ledger.view().head.root(), "{name}: a restart folds to the same");
    again.append(stored("after"), facts()).await.expect("a restarted process goes on");
    assert_eq!(recorded(&store).last().map(String::as_str), Some("after"), "{name}");
}

#[tokio::test(start_paused = true)]
async fn two_writers_at_once_lose_and_double_nothing() {
    let store = MemoryStore::default();
    let (a, _a) = process(&store, "a", None).await;
    let (b, _b) = process(&store, "b", None).await;
    let names: Vec<String> = (0..200).map(|i| format!("n{i}")).collect();
    let appends = names.iter().enumerate().map(|(i, name)| {
        let ledger = if i % 2 == 0 { &a } else { &b };
        ledger.append(stored(name), facts())
    });
    for result in futures::future::join_all(appends).await {
        result.expect("appended");
    }
    let mut found = recorded(&store);
    found.sort();
    let mut expected = names.clone();
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_was_touched_allows_nothing() {
    let store = MemoryStore::default();
    let (ledger, events) = process(&store, "a", None).await;
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
    let (ledger, _events) = process(&store, "a", None).await;
    for name in ["one", "two", "three"] {
        ledger.append(stored(name), facts()).await.expect("appended");
    }
    let head = ledger.view().head.clone();
    let promised = Checkpoint { origin: ORIGIN.into(), size: head.next_index().0, root: head.root() };
    let health = |blocks: BTreeMap<u64, BlockParts>, promised: Checkpoint| async move {
        let store = MemoryStore { blocks: Arc::new(Mutex::new(blocks)), ..MemoryStore::default() };
        process(&store, "b", Some(promised)).await.0.view().health.clone()
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
