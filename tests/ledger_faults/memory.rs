//! A store that remembers and is suspicious, and processes on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use miax::api::GovernedKind;
use miax::constitution::{Event, Facts, ObjectRef, Operation, Proposal, Request, State, StoredEvent, TargetFact};
use miax::ledger::{BlockParts, Budget, Checkpoint, Head, LogTrust, Writer, block_name, parse_block_name};
use miax::store::{
    BlockStore, CreateError, Health, HeldKeys, HotStore, Ledger, ReadError, Sequencer, Snapshot, StoreEvent,
    WriterSource, held, replay, snapshot_name,
};
use miax::trust::{NoteSigner, sha256};
use miax::units::{BlockNumber, UnixMillis, UnixSeconds};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

pub(crate) const ORIGIN: &str = "miax.dev/ecm/test/0";
/// How long a slow store takes.
pub(crate) const SLOW: Duration = Duration::from_millis(700);

/// What the store does with a create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Nothing is stored, and no answer comes.
    Lost,
    /// The block is stored, but no answer comes.
    StoredButLost,
    /// No answer comes, and the block is stored only after the next read found nothing.
    StoredLate,
    /// The store says no.
    Refused,
    /// Another writer stores its block first.
    AnotherWriter,
    /// The block is stored, and the answer takes long.
    Slow,
}

impl Fault {
    pub(crate) const ALL: [Self; 7] =
        [Self::None, Self::Lost, Self::StoredButLost, Self::StoredLate, Self::Refused, Self::AnotherWriter, Self::Slow];
}

/// A store that remembers, and fails the test when somebody would change what is stored.
#[derive(Clone)]
pub(crate) struct MemoryStore {
    blocks: Arc<Mutex<BTreeMap<u64, BlockParts>>>,
    script: Arc<Mutex<Vec<Fault>>>,
    /// What was tried under a number whose answer was lost: only the same bytes may be tried again, by the same process.
    tried: Arc<Mutex<BTreeMap<u64, BlockParts>>>,
    /// What each writer sealed under a number, stored or not: never two different blocks, because that is proof of a fork.
    sealed: Arc<Mutex<BTreeMap<(u64, String), String>>>,
    late: Arc<Mutex<Option<(u64, BlockParts)>>>,
    /// Told of every block, as a watch is.
    news: broadcast::Sender<StoreEvent>,
    /// Creates that found another block.
    conflicts: Arc<AtomicU64>,
    /// Parts of snapshots, by name.
    parts: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Which call about snapshots and removals fails, and how many there were.
    hot_fault: Arc<Mutex<(Option<usize>, usize)>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            blocks: Arc::default(),
            script: Arc::default(),
            tried: Arc::default(),
            sealed: Arc::default(),
            late: Arc::default(),
            news: broadcast::channel(1024).0,
            conflicts: Arc::default(),
            parts: Arc::default(),
            hot_fault: Arc::default(),
        }
    }
}

impl MemoryStore {
    /// The script is taken from its end.
    pub(crate) fn with(script: &[Fault]) -> Self {
        let store = Self::default();
        *store.script.lock().expect("lock") = script.to_vec();
        store
    }

    pub(crate) fn of(blocks: BTreeMap<u64, BlockParts>) -> Self {
        Self { blocks: Arc::new(Mutex::new(blocks)), ..Self::default() }
    }

    pub(crate) fn blocks(&self) -> Vec<(u64, BlockParts)> {
        self.blocks.lock().expect("lock").clone().into_iter().collect()
    }

    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts.load(Ordering::Relaxed)
    }

    /// Whoever restarts may try other bytes: it has another key.
    pub(crate) fn forget_tries(&self) {
        self.tried.lock().expect("lock").clear();
    }

    /// The next call of this number about snapshots and removals has no answer; of two, one was done all the same.
    pub(crate) fn fail_hot_call(&self, number: usize) {
        *self.hot_fault.lock().expect("lock") = (Some(number), 0);
    }

    /// Whether there were as many calls that one failed.
    pub(crate) fn was_hit(&self) -> bool {
        let (at, calls) = *self.hot_fault.lock().expect("lock");
        at.is_some_and(|at| calls > at)
    }

    /// Whether this call gets an answer.
    fn answers(&self) -> bool {
        let mut fault = self.hot_fault.lock().expect("lock");
        fault.1 += 1;
        fault.0 != Some(fault.1 - 1)
    }

    /// Another snapshot in the place of the one at this block.
    pub(crate) fn replace_snapshot(&self, block: BlockNumber, bytes: &[u8]) {
        let packed = miax::store::pack_snapshot(bytes).expect("packed");
        let named = packed.into_iter().enumerate().map(|(part, packed)| (snapshot_name(0, block, part), packed));
        *self.parts.lock().expect("lock") = named.collect();
    }

    fn store(&self, number: u64, parts: &BlockParts) -> Result<(), CreateError> {
        let mut blocks = self.blocks.lock().expect("lock");
        if blocks.contains_key(&number) {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
            return Err(CreateError::Exists);
        }
        blocks.insert(number, parts.clone());
        let name = block_name(0, BlockNumber(number));
        let _ = self.news.send(StoreEvent::Seen(name, BlockNumber(number), Ok(parts.clone())));
        Ok(())
    }

    /// Stores what was on its way.
    pub(crate) fn arrive_late(&self) {
        let late = self.late.lock().expect("lock").take();
        if let Some((number, parts)) = late {
            let _ = self.store(number, &parts);
        }
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
            Fault::None => {
                self.arrive_late();
                // Others get their turn, as they do while a store works.
                tokio::task::yield_now().await;
                self.store(number.0, parts)
            }
            Fault::Refused => Err(CreateError::Refused("quota".into())),
            Fault::AnotherWriter => {
                self.arrive_late();
                // What was on its way under this number is another's block already.
                if self.blocks().iter().all(|(n, _)| *n != number.0) {
                    self.another_writer();
                }
                self.store(number.0, parts)
            }
            Fault::Slow => {
                let stored = self.store(number.0, parts);
                // Everybody else goes on meanwhile.
                let _ = tokio::time::timeout(SLOW, std::future::pending::<()>()).await;
                stored
            }
            Fault::Lost | Fault::StoredButLost | Fault::StoredLate => {
                self.tried.lock().expect("lock").insert(number.0, parts.clone());
                if fault == Fault::StoredButLost {
                    let _ = self.store(number.0, parts);
                }
                if fault == Fault::StoredLate {
                    *self.late.lock().expect("lock") = Some((number.0, parts.clone()));
                }
                Err(CreateError::Unknown("no answer".into()))
            }
        }
    }

    async fn read(&self, _: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(self.blocks.lock().expect("lock").get(&number.0).cloned())
    }
}

impl HotStore for MemoryStore {
    async fn names(&self) -> Result<Vec<String>, ReadError> {
        if !self.answers() {
            return Err(ReadError::Unavailable("no answer".into()));
        }
        let blocks = self.blocks().into_iter().map(|(number, _)| block_name(0, BlockNumber(number)));
        Ok(blocks.chain(self.parts.lock().expect("lock").keys().cloned()).collect())
    }

    async fn create_part(&self, name: &str, packed: &[u8]) -> Result<(), CreateError> {
        let answers = self.answers();
        let mut parts = self.parts.lock().expect("lock");
        if parts.contains_key(name) {
            return Err(CreateError::Exists);
        }
        parts.insert(name.to_owned(), packed.to_vec());
        if answers { Ok(()) } else { Err(CreateError::Refused("quota".into())) }
    }

    async fn read_part(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        match self.answers() {
            true => Ok(self.parts.lock().expect("lock").get(name).cloned()),
            false => Err(ReadError::Unavailable("no answer".into())),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), CreateError> {
        let answers = self.answers();
        match parse_block_name(name) {
            Some((_, number)) => {
                self.blocks.lock().expect("lock").remove(&number.0);
                let _ = self.news.send(StoreEvent::Deleted(name.to_owned()));
            }
            None => drop(self.parts.lock().expect("lock").remove(name)),
        }
        if answers { Ok(()) } else { Err(CreateError::Unknown("no answer".into())) }
    }
}

pub(crate) fn log_key() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
}

pub(crate) fn trust() -> LogTrust {
    LogTrust { origin: ORIGIN.into(), epoch: 0, key: log_key().verifier() }
}

/// A process: a sequencer on the store, which has read what is there, and follows what comes.
pub(crate) struct Process {
    pub(crate) ledger: Ledger,
    /// What its watch of the store would see.
    pub(crate) events: mpsc::Sender<StoreEvent>,
    tasks: [JoinHandle<()>; 2],
}

impl Process {
    pub(crate) async fn start(store: &MemoryStore, name: &str, promised: Option<Checkpoint>) -> Self {
        Self::with_keys(store, name, promised, (held(log_key()), Budget::default()), None).await
    }

    /// One that holds these keys of the log.
    pub(crate) async fn holding(
        store: &MemoryStore,
        name: &str,
        promised: Option<Checkpoint>,
        log_keys: HeldKeys,
    ) -> Self {
        Self::with_keys(store, name, promised, (log_keys, Budget::default()), None).await
    }

    /// One with a budget of its own.
    pub(crate) async fn start_within(
        store: &MemoryStore,
        name: &str,
        promised: Option<Checkpoint>,
        budget: Budget,
    ) -> Self {
        Self::with_keys(store, name, promised, (held(log_key()), budget), None).await
    }

    /// One that begins with a snapshot, if there is one.
    pub(crate) async fn start_at(
        store: &MemoryStore,
        name: &str,
        promised: Option<Checkpoint>,
        snapshot: Option<Snapshot>,
    ) -> Self {
        Self::with_keys(store, name, promised, (held(log_key()), Budget::default()), snapshot).await
    }

    async fn with_keys(
        store: &MemoryStore,
        name: &str,
        promised: Option<Checkpoint>,
        (log_keys, budget): (HeldKeys, Budget),
        snapshot: Option<Snapshot>,
    ) -> Self {
        let counter = AtomicU64::new(0);
        let own = name.to_owned();
        let seed = Arc::new(move || sha256(format!("{own} {}", counter.fetch_add(1, Ordering::Relaxed)).as_bytes()).0);
        let writers = WriterSource { log_keys, replica: name.into(), seed };
        let clock = Arc::new(|| UnixMillis(1_000));
        let (sequencer, ledger, input) =
            Sequencer::new(store.clone(), Head::genesis(trust()), promised, writers, clock);
        let (events, inbox) = mpsc::channel(64);
        let sequencer = match snapshot {
            Some(snapshot) => sequencer.with_snapshot(snapshot),
            None => sequencer,
        };
        let sequencing = tokio::spawn(sequencer.with_budget(budget).run(input, inbox));
        let mut news = store.news.subscribe();
        events.send(StoreEvent::ListBegins).await.expect("runs");
        for (number, parts) in store.blocks() {
            let name = block_name(0, BlockNumber(number));
            events.send(StoreEvent::Seen(name, BlockNumber(number), Ok(parts))).await.expect("runs");
        }
        events.send(StoreEvent::ListEnds).await.expect("runs");
        let to = events.clone();
        let following = tokio::spawn(async move {
            while let Ok(event) = news.recv().await {
                if to.send(event).await.is_err() {
                    return;
                }
            }
        });
        ledger.changes().wait_for(|view| view.health != Health::Starting).await.expect("runs");
        Self { ledger, events, tasks: [sequencing, following] }
    }

    /// Ends at once, whatever it was about to do.
    pub(crate) fn kill(&self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }

    /// Lives on, but sees nothing of the store any more but what it asks for.
    pub(crate) fn blind(&self) {
        self.tasks.last().expect("two").abort();
    }
}

pub(crate) fn stored(name: &str) -> Proposal {
    Proposal::Stored(StoredEvent {
        object: ObjectRef::new(GovernedKind::ControlCommand, "shop", name),
        digest: sha256(name.as_bytes()),
        uid: name.into(),
        resource_version: "1".into(),
    })
}

/// A review of a command that nobody signed, under this request UID.
pub(crate) fn review(uid: &str) -> Proposal {
    Proposal::Review(Box::new(Request {
        uid: uid.into(),
        operation: Operation::Create,
        kind: GovernedKind::ControlCommand,
        namespace: "shop".into(),
        name: uid.into(),
        object: Some(serde_json::json!({"kind": "ControlCommand", "metadata": {"name": uid, "namespace": "shop"}})),
        old: None,
        actor: "syncer".into(),
    }))
}

pub(crate) fn facts() -> Facts {
    let now = UnixSeconds::new(1);
    Facts { now, cluster_uid: String::new(), genesis: None, target: TargetFact::NotNamed, budgets: Vec::new() }
}

/// Names of everything that is in the log, after a fold from the first block.
pub(crate) fn recorded(store: &MemoryStore) -> Vec<String> {
    let (mut head, mut state, mut names) = (Head::genesis(trust()), State::default(), Vec::new());
    for (_, parts) in store.blocks() {
        let block = head.fold(&parts).expect("the log verifies");
        for entry in replay(&block, &mut state).expect("the log makes sense") {
            match entry.event {
                Event::Stored(event) => names.push(event.object.name),
                Event::Decision(event) => names.push(event.request.clone()),
                _ => {}
            }
        }
    }
    names
}
