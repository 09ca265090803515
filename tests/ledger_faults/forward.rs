//! Two replicas of which one is the sequencer: what the other does when no answer comes, a late one, or a wrong one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use miax::constitution::{Facts, Reply};
use miax::store::{AppendError, Committed, Common, Desk, Forwarder, Link, Route};
use miax::trust::sha256;
use miax::units::{UnixMillis, UnixSeconds};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::memory::{Fault, MemoryStore, Process, facts, recorded, review, stored};

/// A replica that forwards over a connection whose other end is given back.
struct Replica {
    process: Process,
    forwarder: Forwarder,
    switch: watch::Sender<Route>,
    conversation: JoinHandle<()>,
}

impl Replica {
    async fn start(store: &MemoryStore, name: &str) -> (Self, DuplexStream) {
        let mut process = Process::start(store, name, None).await;
        let (forwarder, switch) = Forwarder::new();
        process.ledger = process.ledger.clone().forwarding(forwarder.clone());
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (link, conversation) = Link::over(near);
        switch.send_replace(Route::To(link));
        let conversation = tokio::spawn(async move { conversation.await.unwrap_or_default() });
        (Self { process, forwarder, switch, conversation }, far)
    }

    async fn ask(&self, uid: &str) -> Result<Committed, AppendError> {
        self.process.ledger.append(review(uid), facts()).await
    }

    /// Recorded by the sequencer, and every fallback in the order of the struct.
    fn counts(&self) -> [u64; 8] {
        let s = self.forwarder.stats();
        assert_eq!(s.waiting.load(Ordering::Relaxed), 0, "nobody waits any more");
        [&s.recorded, &s.refused, &s.unreachable, &s.full, &s.declined, &s.lost, &s.late, &s.unconfirmed]
            .map(|n| n.load(Ordering::Relaxed))
    }
}

/// A desk of this process at the far end; it ends with the connection, or when the sender says so.
fn desk(process: &Process, far: DuplexStream) -> (JoinHandle<()>, watch::Sender<bool>) {
    let common = Common { cluster_uid: String::new(), genesis: None, clock: Arc::new(|| UnixMillis(1_000)) };
    let desk = Desk::new(process.ledger.clone(), common);
    let (stop, stopping) = watch::channel(false);
    (tokio::spawn(async move { desk.serve(far, stopping).await.unwrap_or_default() }), stop)
}

fn once(store: &MemoryStore, uids: &[&str]) {
    let mut found = recorded(store);
    found.sort();
    let mut expected: Vec<&str> = uids.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "each once");
}

#[tokio::test(start_paused = true)]
async fn the_sequencer_appends_for_the_others_and_nobody_races() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (_desk, _stop) = desk(&a, far);
    let names: Vec<String> = (0..200).map(|i| format!("n{i:03}")).collect();
    let appends = names.iter().enumerate().map(|(i, name)| async move { (i, name) }).map(|named| {
        let (a, b) = (&a, &b);
        async move {
            let (i, name) = named.await;
            let ledger = if i % 2 == 0 { &a.ledger } else { &b.process.ledger };
            ledger.append(review(name), facts()).await
        }
    });
    for (result, name) in futures::future::join_all(appends).await.into_iter().zip(&names) {
        let Committed { kept, reply } = result.expect("appended");
        assert!(matches!(reply, Reply::Judged(_)) && kept.index().is_some(), "{name}");
    }
    once(&store, &names.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(b.counts(), [100, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(store.conflicts(), 0, "one writer never loses");
    // What was recorded before is found, not recorded again; what is no question is appended here.
    let again = b.ask("n007").await.expect("answered");
    assert!(matches!(again.reply, Reply::JudgedBefore(..)), "{again:?}");
    let seen = b.process.ledger.append(stored("seen"), facts()).await.expect("answered");
    assert!(matches!(seen.reply, Reply::Done));
    assert_eq!(b.counts().first(), Some(&102));
}

#[tokio::test(start_paused = true)]
async fn a_sequencer_that_dies_between_create_and_answer_costs_nothing() {
    // For every write: the sequencer dies while it waits for the store, which has, or has not, stored the block.
    for fault in [Fault::StoredButLost, Fault::Lost, Fault::StoredLate] {
        for at in 0..2 {
            let mut script = vec![fault];
            script.extend(vec![Fault::None; at]);
            let store = MemoryStore::with(&script);
            let a = Process::start(&store, "a", None).await;
            let (b, far) = Replica::start(&store, "b").await;
            let (serving, _stop) = desk(&a, far);
            let uids = ["one", "two", "three"];
            for (position, uid) in uids.iter().enumerate() {
                let dies = async {
                    if position == at {
                        // Until the create has failed.
                        while a.ledger.stats().ambiguous.load(Ordering::Relaxed) == 0 {
                            tokio::task::yield_now().await;
                        }
                        a.kill();
                        serving.abort();
                        store.forget_tries();
                    }
                };
                let (answer, ()) = tokio::join!(b.ask(uid), dies);
                assert!(answer.is_ok(), "{fault:?} at {at}: {answer:?}");
            }
            store.arrive_late();
            once(&store, &uids);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_late_or_never_is_not_waited_for() {
    // The sequencer's store takes longer than anybody waits; then it hangs for good.
    let store = MemoryStore::with(&[Fault::Slow]);
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (serving, _stop) = desk(&a, far);
    b.ask("slow").await.expect("answered");
    once(&store, &["slow"]);
    serving.abort();

    let (silent, mut far) = Replica::start(&store, "c").await;
    let started = tokio::time::Instant::now();
    for uid in ["h0", "h1", "h2", "h3", "h4", "h5"] {
        silent.ask(uid).await.expect("appended here");
    }
    let [recorded, .., lost, late, _] = silent.counts();
    assert_eq!((recorded, late, lost), (0, 4, 2), "after four late answers the connection is given up");
    assert!(started.elapsed() < std::time::Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(silent.conversation.is_finished());
    far.read_to_end(&mut Vec::new()).await.expect("the questions arrived, and the end");
    once(&store, &["slow", "h0", "h1", "h2", "h3", "h4", "h5"]);
}

#[tokio::test(start_paused = true)]
async fn two_holders_of_the_lease_race_as_ever() {
    let store = MemoryStore::default();
    let (a, far_a) = Replica::start(&store, "a").await;
    let (b, far_b) = Replica::start(&store, "b").await;
    // Each believes that the other is the sequencer; a desk never passes on, so that nothing goes round in circles.
    let (_serving_a, _stop_a) = desk(&a.process, far_b);
    let (_serving_b, _stop_b) = desk(&b.process, far_a);
    let uids: Vec<String> = (0..60).map(|i| format!("n{i:02}")).collect();
    let asks = uids.iter().enumerate().map(|(i, uid)| if i % 2 == 0 { a.ask(uid) } else { b.ask(uid) });
    for answer in futures::future::join_all(asks).await {
        answer.expect("answered");
    }
    once(&store, &uids.iter().map(String::as_str).collect::<Vec<_>>());
    // And each believes that it is itself.
    a.switch.send_replace(Route::Here);
    b.switch.send_replace(Route::Here);
    let (first, second) = tokio::join!(a.ask("x"), b.ask("y"));
    assert!(first.is_ok() && second.is_ok());
    assert!(recorded(&store).iter().filter(|n| *n == "x" || *n == "y").count() == 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_counts_only_when_our_own_state_says_the_same() {
    let store = MemoryStore::default();
    let (b, mut far) = Replica::start(&store, "b").await;
    // A sequencer that says "recorded" and records nothing.
    let liar = tokio::spawn(async move {
        loop {
            let Ok(length) = far.read_u32().await else { return };
            let number = far.read_u64().await.expect("a number");
            let mut body = vec![0; length as usize - 8];
            far.read_exact(&mut body).await.expect("a body");
            let answer = br#"{"Recorded":{"size":0}}"#;
            far.write_u32(8 + answer.len() as u32).await.expect("written");
            far.write_u64(number).await.expect("written");
            far.write_all(answer).await.expect("written");
        }
    });
    let Committed { kept, reply } = b.ask("one").await.expect("appended here");
    assert!(kept.index().is_some() && matches!(reply, Reply::Judged(_)));
    assert_eq!(b.counts(), [0, 0, 0, 0, 0, 0, 0, 1]);
    once(&store, &["one"]);
    liar.abort();
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_does_not_see_the_block_appends_and_finds_it() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (_desk, _stop) = desk(&a, far);
    b.process.blind();
    let Committed { reply, .. } = b.ask("one").await.expect("answered");
    assert!(matches!(reply, Reply::JudgedBefore(..)), "{reply:?}");
    assert_eq!(b.counts(), [0, 0, 0, 0, 0, 0, 0, 1]);
    once(&store, &["one"]);
}

#[tokio::test(start_paused = true)]
async fn a_commitment_travels_and_its_salt_stays_with_who_asked() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (_desk, _stop) = desk(&a, far);
    let salted = |uid: &str| sha256(format!("salt of {uid}").as_bytes());
    let ask = async |uid: &str| {
        let answer = b.process.ledger.decide(review(uid), facts(), Some(salted(uid))).await.expect("answered");
        (answer.kept.index(), b.process.ledger.view().state.committed(uid, &salted(uid)).map(|(index, _)| index))
    };
    let (kept, found) = ask("one").await;
    assert!(kept.is_some() && kept == found, "the asker finds its entry: {kept:?} {found:?}");
    assert_eq!(b.counts(), [1, 0, 0, 0, 0, 0, 0, 0], "the other one appended it");
    // The same bytes again: answered with an entry that is not about this salt.
    let again = b.process.ledger.decide(review("one"), facts(), Some(salted("again"))).await.expect("answered");
    assert!(matches!(again.reply, Reply::JudgedBefore(..)), "{again:?}");
    assert!(b.process.ledger.view().state.committed("one", &salted("again")).is_none(), "this salt opens nothing");
    // The block is there, but this replica does not see it: appended here, it is found, with its commitment.
    b.process.blind();
    let (_, found) = ask("two").await;
    assert!(found.is_some(), "its salt is kept");
    once(&store, &["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_store_come_back_and_a_stopping_sequencer_takes_nothing() {
    let store = MemoryStore::with(&[Fault::Refused]);
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (serving, stop) = desk(&a, far);
    assert!(matches!(b.ask("one").await, Err(AppendError::Refused(_))));
    assert_eq!(recorded(&store), Vec::<String>::new());
    stop.send_replace(true);
    serving.await.expect("it ends");
    b.ask("two").await.expect("appended here");
    b.switch.send_replace(Route::Unreachable);
    b.ask("three").await.expect("appended here");
    assert_eq!(b.counts(), [0, 1, 1, 0, 0, 1, 0, 0]);
    once(&store, &["two", "three"]);
}

#[tokio::test(start_paused = true)]
async fn facts_that_the_sequencer_would_not_say_itself_are_not_taken() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let (b, far) = Replica::start(&store, "b").await;
    let (_desk, _stop) = desk(&a, far);
    let declined = async |name: &str, facts: Facts, expected: bool| {
        let before = b.forwarder.stats().declined.load(Ordering::Relaxed);
        b.process.ledger.append(review(name), facts).await.expect("appended somewhere");
        let after = b.forwarder.stats().declined.load(Ordering::Relaxed);
        assert_eq!(after - before, u64::from(expected), "{name}");
    };
    declined("the same", facts(), false).await;
    declined("another first charter", Facts { genesis: Some(sha256(b"mine")), ..facts() }, true).await;
    declined("another cluster", Facts { cluster_uid: "c".into(), ..facts() }, true).await;
    declined("a clock that is behind", Facts { now: UnixSeconds::new(-29), ..facts() }, false).await;
    declined("a clock that is far behind", Facts { now: UnixSeconds::new(-30), ..facts() }, true).await;
    declined("a clock that is far ahead", Facts { now: UnixSeconds::new(32), ..facts() }, true).await;
}
