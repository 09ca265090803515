//! A ledger that was broken off is taken up again when an audit has found all of it, and not before.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use miax::api::GovernedKind;
use miax::constitution::{Event, Facts, ObjectRef, Proposal, RecoverEvent, State, StoredEvent, TargetFact};
use miax::ledger::{BlockParts, Checkpoint, ClockWatch, Head, Header, LogTrust, Writer, block_name};
use miax::store::{
    AppendError, BlockStore, CreateError, Health, Ledger, ReadError, Sequencer, StoreEvent, WriterSource, held, replay,
};
use miax::trust::{NoteSigner, sha256};
use miax::units::{BlockNumber, UnixMillis, UnixSeconds};
use tokio::sync::mpsc;

const ORIGIN: &str = "miax.dev/ecm/test/0";

#[derive(Clone, Default)]
struct MemoryStore(Arc<Mutex<BTreeMap<u64, BlockParts>>>);

impl MemoryStore {
    fn holding(blocks: &[BlockParts]) -> Self {
        Self(Arc::new(Mutex::new((0..).zip(blocks.iter().cloned()).collect())))
    }

    fn blocks(&self) -> Vec<BlockParts> {
        self.0.lock().expect("lock").values().cloned().collect()
    }

    /// A block that another replica appends.
    fn another_writer(&self) {
        let mut head = Head::genesis(trust());
        self.blocks().iter().for_each(|parts| drop(head.fold(parts).expect("folds")));
        let seed = sha256(format!("other {}", head.next_block()).as_bytes()).0;
        let name = format!("{ORIGIN}/other-{}", head.next_block());
        let writer = Writer::try_new(ORIGIN, &log_key(), &name, &seed, UnixMillis(1 << 50)).expect("writer");
        let entry = writer.introduce(UnixMillis(1)).expect("entry");
        let parts = head.propose(&[entry], &writer, UnixMillis(1), UnixMillis(1)).expect("block");
        self.0.lock().expect("lock").insert(head.next_block().0, parts);
    }
}

impl BlockStore for MemoryStore {
    async fn create(&self, _: u16, number: BlockNumber, parts: &BlockParts) -> Result<(), CreateError> {
        let mut blocks = self.0.lock().expect("lock");
        if blocks.contains_key(&number.0) {
            return Err(CreateError::Exists);
        }
        blocks.insert(number.0, parts.clone());
        Ok(())
    }

    async fn read(&self, _: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(self.0.lock().expect("lock").get(&number.0).cloned())
    }
}

fn log_key() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
}

fn trust() -> LogTrust {
    LogTrust { origin: ORIGIN.into(), epoch: 0, key: log_key().verifier() }
}

/// A replica with three entries of its own in the ledger.
struct Replica {
    clock: Arc<std::sync::atomic::AtomicU64>,
    store: MemoryStore,
    ledger: Ledger,
    events: mpsc::Sender<StoreEvent>,
}

impl Replica {
    async fn new() -> Self {
        let replica = Self::begin(MemoryStore::default(), None).await;
        replica.becomes(|health| *health == Health::Whole).await;
        for name in ["one", "two", "three"] {
            replica.append(name).await.expect("appended");
        }
        replica
    }

    /// One that starts on what lies in the store, and knows what somebody vouches for.
    async fn begin(store: MemoryStore, promised: Option<Checkpoint>) -> Self {
        let counter = std::sync::atomic::AtomicU64::new(0);
        let seed =
            Arc::new(move || sha256(&counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes()).0);
        let writers = WriterSource { log_keys: held(log_key()), replica: "a".into(), seed };
        let time = Arc::new(std::sync::atomic::AtomicU64::new(1_000_000));
        let read = time.clone();
        let clock = Arc::new(move || UnixMillis(read.load(std::sync::atomic::Ordering::Relaxed)));
        let (sequencer, ledger, input) =
            Sequencer::new(store.clone(), Head::genesis(trust()), promised, writers, clock);
        let (events, inbox) = mpsc::channel(64);
        tokio::spawn(sequencer.run(input, inbox));
        let replica = Self { clock: time, store, ledger, events };
        replica.sees(StoreEvent::ListBegins).await;
        for (number, parts) in (0..).map(BlockNumber).zip(replica.store.blocks()) {
            replica.sees(StoreEvent::Seen(block_name(0, number), number, Ok(parts))).await;
        }
        replica.sees(StoreEvent::ListEnds).await;
        replica
    }

    async fn sees(&self, event: StoreEvent) {
        self.events.send(event).await.expect("runs");
    }

    async fn becomes(&self, wanted: impl Fn(&Health) -> bool) {
        self.ledger.changes().wait_for(|view| wanted(&view.health)).await.expect("runs");
    }

    /// An audit that found these blocks right; what it led to is known when this returns.
    async fn audited(&self, blocks: Vec<BlockParts>) -> Health {
        self.sees(StoreEvent::AuditBegins).await;
        self.ends(blocks).await
    }

    async fn ends(&self, blocks: Vec<BlockParts>) -> Health {
        self.sees(StoreEvent::Audited(BlockNumber(0), Arc::new(blocks))).await;
        // What the replica saw before comes before what it is asked.
        let _ = self.append("after").await;
        self.ledger.view().health.clone()
    }

    async fn append(&self, name: &str) -> Result<(), AppendError> {
        let object = ObjectRef::new(GovernedKind::ControlCommand, "shop", name);
        let (digest, uid, resource_version) = (sha256(name.as_bytes()), name.to_owned(), "1".to_owned());
        let event = StoredEvent { object, digest, uid, resource_version };
        self.ledger.append(Proposal::Stored(event), facts()).await.map(drop)
    }

    async fn break_it(&self) {
        self.sees(StoreEvent::Deleted(block_name(0, BlockNumber(1)))).await;
        self.becomes(|health| matches!(health, Health::Broken(_))).await;
    }
}

fn facts() -> Facts {
    let now = UnixSeconds::new(1);
    Facts { now, cluster_uid: String::new(), genesis: None, target: TargetFact::NotNamed, budgets: Vec::new() }
}

fn is_broken(health: &Health, part: &str) -> bool {
    matches!(health, Health::Broken(what) if what.contains(part))
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_whole_again_is_taken_up_again() {
    let replica = Replica::new().await;
    let refused = |error| matches!(error, AppendError::Broken(_));
    replica.break_it().await;
    assert!(replica.append("four").await.is_err_and(refused));
    assert_eq!(replica.audited(replica.store.blocks()).await, Health::Whole);
    replica.append("five").await.expect("it goes on");
    // And it does not stay deaf: the next deletion breaks it again.
    replica.break_it().await;
    assert!(replica.append("six").await.is_err_and(refused));
}

#[tokio::test(start_paused = true)]
async fn an_audit_helps_only_when_everything_is_as_it_was() {
    let replica = Replica::new().await;
    let whole = replica.store.blocks();
    replica.break_it().await;
    let cut = whole.iter().take(2).cloned().collect();
    assert!(is_broken(&replica.audited(cut).await, "was deleted"), "a block is missing");
    let mut other = whole.clone();
    other.swap(1, 2);
    assert!(is_broken(&replica.audited(other).await, "was deleted"), "two blocks changed places");
    replica.sees(StoreEvent::AuditBegins).await;
    replica.sees(StoreEvent::Deleted(block_name(0, BlockNumber(2)))).await;
    assert!(is_broken(&replica.ends(whole.clone()).await, "was deleted"), "something was deleted while it was read");
    replica.sees(StoreEvent::AuditFailed("`x`: the seal is wrong".to_owned())).await;
    assert!(is_broken(&replica.ends(whole.clone()).await, "was deleted"), "another audit found something");
    assert_eq!(replica.audited(whole).await, Health::Whole);
}

#[tokio::test(start_paused = true)]
async fn an_audit_of_the_store_does_not_outweigh_what_somebody_vouches_for() {
    let before = Replica::new().await;
    let (whole, head) = (before.store.blocks(), before.ledger.view().head.clone());
    let promised = Checkpoint { origin: ORIGIN.into(), size: head.next_index().0, root: head.root() };
    let broken = |health: &Health| matches!(health, Health::Broken(_));

    let cut: Vec<BlockParts> = whole.iter().take(2).cloned().collect();
    let replica = Replica::begin(MemoryStore::holding(&cut), Some(promised.clone())).await;
    replica.becomes(broken).await;
    assert!(is_broken(&replica.audited(cut).await, "vouches for 4 entries, but only 3 are there"));
    assert_eq!(replica.audited(whole.clone()).await, Health::Whole, "the end was put back");

    let other = Checkpoint { root: sha256(b"another history"), ..promised };
    let replica = Replica::begin(MemoryStore::holding(&whole), Some(other)).await;
    replica.becomes(broken).await;
    assert!(is_broken(&replica.audited(whole).await, "not those that the checkpoint vouches for"));
}

#[tokio::test(start_paused = true)]
async fn what_others_appended_meanwhile_is_taken_in() {
    let replica = Replica::new().await;
    replica.break_it().await;
    replica.store.another_writer();
    replica.store.another_writer();
    assert_eq!(replica.audited(replica.store.blocks()).await, Health::Whole);
    let mut head = Head::genesis(trust());
    replica.store.blocks().iter().for_each(|parts| drop(head.fold(parts).expect("the log verifies")));
    assert_eq!(replica.ledger.view().head.root(), head.root());
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_finds_something_breaks_a_whole_ledger_off() {
    let replica = Replica::new().await;
    replica.sees(StoreEvent::AuditFailed("`x`: the seal is wrong".to_owned())).await;
    replica.becomes(|health| is_broken(health, "the seal is wrong")).await;
    let other = Replica::new().await;
    let mut blocks = other.store.blocks();
    blocks.swap(0, 1);
    assert!(is_broken(&other.audited(blocks).await, "was replaced by another block"), "blocks that it knows otherwise");
    // An audit that read before the newest blocks were there says nothing against them.
    let busy = Replica::new().await;
    let early = busy.store.blocks().into_iter().take(1).collect();
    assert_eq!(busy.audited(early).await, Health::Whole);
}

#[tokio::test(start_paused = true)]
async fn after_an_interruption_nothing_is_appended_to_an_end_that_is_gone() {
    let replica = Replica::new().await;
    replica.sees(StoreEvent::Interrupted).await;
    replica.append("four").await.expect("the end is there");
    // The store is set back while nobody watches.
    let cut = replica.store.0.lock().expect("lock").pop_last().expect("a block");
    replica.sees(StoreEvent::Interrupted).await;
    let refused = replica.append("five").await.expect_err("the end is gone");
    assert!(matches!(&refused, AppendError::Broken(what) if what.contains("is gone")), "{refused}");
    assert!(!replica.store.0.lock().expect("lock").contains_key(&(cut.0 + 1)), "and no hole is left");
    let other = Replica::new().await;
    let first = other.store.blocks().first().cloned().expect("a block");
    let last = other.store.0.lock().expect("lock").last_entry().map(|mut last| last.insert(first));
    other.sees(StoreEvent::Interrupted).await;
    let refused = other.append("four").await.expect_err("the end is another one");
    assert!(last.is_some() && refused.to_string().contains("was replaced by another block"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_gives_no_writer_two_orders_of_time() {
    let replica = Replica::new().await;
    for (object, time) in [("forth", 5_000_000), ("a moment back", 4_999_000), ("back", 2_000_000), ("on", 2_000_500)] {
        replica.clock.store(time, std::sync::atomic::Ordering::Relaxed);
        replica.append(object).await.expect("appended");
    }
    let (mut head, mut watch) = (Head::genesis(trust()), ClockWatch::default());
    let (mut times, mut writers) = (BTreeMap::<String, u64>::new(), Vec::new());
    for parts in replica.store.blocks() {
        let block = head.fold(&parts).expect("folds");
        watch.saw(&block.header);
        let Header { writer, from, to, .. } = &block.header;
        let before = times.insert(writer.clone(), to.0).unwrap_or_default();
        assert!(before <= from.0 && from <= to, "a writer's own times never go back: {times:?}");
        writers.push(writer.clone());
    }
    writers.dedup();
    assert_eq!(writers.len(), 2, "the jump back ended the writer, the moment did not");
    let steps: Vec<u64> = watch.steps().iter().map(|step| step.behind).collect();
    assert_eq!(steps, [3_000_000], "and whoever audits sees it");
}

#[tokio::test(start_paused = true)]
async fn that_it_was_broken_stands_in_the_ledger() {
    let replica = Replica::new().await;
    replica.break_it().await;
    assert_eq!(replica.audited(replica.store.blocks()).await, Health::Whole);
    let (what, at) = ("`ecm-0000-0000000000000001` was deleted".to_owned(), UnixSeconds::new(7));
    let root = replica.ledger.view().head.root();
    let event = RecoverEvent { what, since: at, size: 4, root, now: at };
    replica.ledger.append(Proposal::Recover(event.clone()), facts()).await.expect("appended");
    let (mut head, mut state) = (Head::genesis(trust()), State::default());
    let entries: Vec<Event> = replica
        .store
        .blocks()
        .iter()
        .flat_map(|parts| replay(&head.fold(parts).expect("folds"), &mut state).expect("makes sense"))
        .map(|recorded| recorded.event)
        .collect();
    assert_eq!(entries.last(), Some(&Event::Recover(event)));
}
