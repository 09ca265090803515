//! The table: every fault of a create, at every write, followed by every other, by a process that goes on or is started anew.

use miax::ledger::Head;
use miax::store::AppendError;

use crate::memory::{Fault, MemoryStore, Process, facts, recorded, review, stored, trust};

/// What the process does after the fault.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It tries again by itself.
    Retry,
    /// It dies so many turns after the question, and another is asked the same again.
    Restart(usize),
}

#[tokio::test(start_paused = true)]
async fn every_fault_at_every_write_loses_and_doubles_nothing() {
    let mut unanswered = 0;
    for first in Fault::ALL {
        for second in Fault::ALL {
            for at in 0..3 {
                for then in [Then::Retry, Then::Restart(2), Then::Restart(4), Then::Restart(6), Then::Restart(9)] {
                    let name = format!("{first:?} then {second:?} at write {at}, {then:?}");
                    // The script is taken from its end.
                    let mut script = vec![Fault::None; 6];
                    script.extend([second, first]);
                    script.extend(vec![Fault::None; at]);
                    match then {
                        Then::Retry => goes_on(&name, &script).await,
                        Then::Restart(turns) => unanswered += is_started_anew(&name, &script, turns).await,
                    }
                }
            }
        }
    }
    assert!(unanswered > 500, "only {unanswered} questions were cut off");
}

async fn goes_on(name: &str, script: &[Fault]) {
    let store = MemoryStore::with(script);
    let process = Process::start(&store, "a", None).await;
    let mut acknowledged = Vec::new();
    for object in ["one", "two", "three"] {
        match process.ledger.append(stored(object), facts()).await {
            Ok(_) => acknowledged.push(object.to_owned()),
            Err(AppendError::Refused(_)) => {}
            Err(error) => panic!("{name}: {error}"),
        }
    }
    assert_eq!(recorded(&store), acknowledged, "{name}");
    let refusals = script.iter().filter(|f| **f == Fault::Refused).count();
    assert!(acknowledged.len() + refusals >= 3, "{name}: one refusal costs one answer at most");

    let again = Process::start(&store, "b", None).await;
    let (before, after) = (process.ledger.view(), again.ledger.view());
    assert_eq!(after.head.root(), before.head.root(), "{name}: a restart folds to the same");
    while again.ledger.append(stored("after"), facts()).await.is_err() {}
    assert_eq!(recorded(&store).last().map(String::as_str), Some("after"), "{name}");
}

/// The API server asks the same again, with the same UID, when the webhook died under its question. Gives how many did.
async fn is_started_anew(name: &str, script: &[Fault], turns: usize) -> usize {
    let store = MemoryStore::with(script);
    let uids = ["one", "two", "three"];
    let mut unanswered = 0;
    for (life, uid) in uids.iter().enumerate() {
        let process = Process::start(&store, &format!("life {life}"), None).await;
        let asked = tokio::spawn({
            let ledger = process.ledger.clone();
            let proposal = review(uid);
            async move { ledger.append(proposal, facts()).await.is_ok() }
        });
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        process.kill();
        unanswered += usize::from(!asked.await.expect("ends"));
        store.forget_tries();
    }
    // What the dead have sent may still arrive.
    store.arrive_late();
    let process = Process::start(&store, "survivor", None).await;
    for uid in uids {
        while let Err(error) = process.ledger.append(review(uid), facts()).await {
            assert!(matches!(error, AppendError::Refused(_)), "{name}: {error}");
        }
    }
    let mut found = recorded(&store);
    found.sort();
    assert_eq!(found, ["one", "three", "two"], "{name}: each once");
    unanswered
}

#[tokio::test(start_paused = true)]
async fn two_writers_at_once_lose_and_double_nothing() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let b = Process::start(&store, "b", None).await;
    let names: Vec<String> = (0..200).map(|i| format!("n{i}")).collect();
    let appends = names.iter().enumerate().map(|(i, name)| {
        let process = if i % 2 == 0 { &a } else { &b };
        process.ledger.append(stored(name), facts())
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
async fn under_load_every_block_is_full() {
    // A store that takes its time, so that all who ask wait for the next block; at first it is quick.
    let script: Vec<Fault> = std::iter::repeat_n(Fault::Slow, 20).chain(std::iter::repeat_n(Fault::None, 99)).collect();
    let store = MemoryStore::with(&script);
    let process = Process::start(&store, "a", None).await;
    // Somewhere between two multiples of 256.
    for i in 0..99 {
        process.ledger.append(stored(&format!("before {i}")), facts()).await.expect("appended");
    }
    let before = store.blocks().len();
    let names: Vec<String> = (0..1024).map(|i| format!("n{i}")).collect();
    let appends = names.iter().map(|name| process.ledger.append(stored(name), facts()));
    for result in futures::future::join_all(appends).await {
        result.expect("appended");
    }
    let sizes: Vec<usize> = {
        let mut head = Head::genesis(trust());
        let blocks = store.blocks();
        let folded = blocks.iter().map(|(_, parts)| head.fold(parts).expect("folds").entries().count());
        folded.skip(before).collect()
    };
    // The first one waited for nobody, the second ends at the next multiple of 256.
    let [first, second, full @ .., last] = sizes.as_slice() else { panic!("{sizes:?}") };
    assert_eq!(first + second, 156, "{sizes:?}");
    assert!(full == [256; 3] && *last == 100, "{sizes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_an_entry_leaves_its_neighbours_alone() {
    let store = MemoryStore::default();
    let process = Process::start(&store, "a", None).await;
    let large = "x".repeat(20_000);
    let names = ["one", "two", large.as_str(), "three"];
    let appends = names.iter().map(|name| process.ledger.append(stored(name), facts()));
    let results: Vec<bool> = futures::future::join_all(appends).await.iter().map(Result::is_ok).collect();
    assert_eq!(results, [true, true, false, true]);
    assert_eq!(recorded(&store), ["one", "two", "three"]);
}
