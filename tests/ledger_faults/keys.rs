//! The log's keys follow one another while others append, and whatever fails.

use std::sync::Arc;

use miax::constitution::{KeyEvent, LogKeyStep, Proposal};
use miax::ledger::KeyChange;
use miax::store::{Health, LogKeyring, LogSigner};
use miax::trust::NoteSigner;

use crate::memory::{Fault, MemoryStore, ORIGIN, Process, facts, log_key, recorded, stored};

fn next_key() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[2; 32]).expect("name")
}

/// A proposal that changes the log's keys, signed by these.
fn key_change(change: &KeyChange, signers: &[&NoteSigner]) -> Proposal {
    let text = change.text(ORIGIN);
    let lines: String = signers.iter().map(|s| s.line(&text).expect("signs")).collect();
    let step = match change {
        KeyChange::Add(_) => LogKeyStep::Add,
        KeyChange::Retire(_) => LogKeyStep::Retire,
        KeyChange::Revoke { .. } => LogKeyStep::Revoke,
    };
    Proposal::LogKey(step, KeyEvent { fields: change.fields(&format!("{text}\n{lines}")) })
}

#[tokio::test(start_paused = true)]
async fn a_key_follows_another_while_others_append() {
    let store = MemoryStore::with(&[Fault::AnotherWriter, Fault::None, Fault::Lost, Fault::None]);
    let ledger = Process::start(&store, "a", None).await.ledger;
    let (old, new) = (log_key(), next_key());
    let add = KeyChange::Add(new.verifier());
    let proposals = vec![
        stored("one"),
        key_change(&KeyChange::Retire(old.verifier()), &[&old]),
        key_change(&add, &[&old]),
        key_change(&add, &[&old, &new]),
        stored("two"),
        key_change(&add, &[&old, &new]),
        key_change(&KeyChange::Retire(old.verifier()), &[&new]),
        stored("three"),
    ];
    let answers = futures::future::join_all(proposals.into_iter().map(|p| ledger.append(p, facts()))).await;
    let taken: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    // What is not vouched for, or was done already, is refused, and harms nobody.
    assert_eq!(taken, [true, false, false, true, true, false, true, true]);
    assert_eq!(recorded(&store), ["one", "two", "three"]);
    let view = ledger.view();
    assert_eq!(view.health, Health::Whole);
    assert_eq!(view.head.log_keys().current().collect::<Vec<_>>(), [&new.verifier()]);
    // A process that holds the old key alone is vouched for by nobody any more.
    let again = Process::start(&store, "b", None).await.ledger;
    assert_eq!(again.view().head.log_keys(), view.head.log_keys(), "a restart folds to the same keys");
    let refused = again.append(stored("four"), facts()).await.expect_err("nobody vouches for its writer");
    assert!(refused.to_string().contains("restore the Secret from its backup"), "{refused}");
    // Our own writer was introduced before, and goes on until its key ends.
    ledger.append(stored("five"), facts()).await.expect("appended");
}

#[tokio::test(start_paused = true)]
async fn an_introduction_that_is_void_meanwhile_is_made_again_by_the_key_that_vouches() {
    let store = MemoryStore::default();
    let a = Process::start(&store, "a", None).await;
    let (old, new) = (log_key(), next_key());
    let add = KeyChange::Add(new.verifier());
    a.ledger.append(key_change(&add, &[&old, &new]), facts()).await.expect("added");
    let signers: Vec<Arc<dyn LogSigner>> = vec![Arc::new(log_key()), Arc::new(next_key())];
    let (_owner, keys) = tokio::sync::watch::channel(LogKeyring { signers, revoked: None });
    let b = Process::holding(&store, "b", None, keys).await;
    // It does not see that its first key ends: it loses the race for the next block with a writer which that key introduced.
    b.blind();
    a.ledger.append(key_change(&KeyChange::Retire(old.verifier()), &[&new]), facts()).await.expect("retired");
    b.ledger.append(stored("one"), facts()).await.expect("appended");
    assert_eq!((recorded(&store), &b.ledger.view().health), (vec!["one".to_owned()], &Health::Whole));
    let again = Process::start(&store, "c", None).await;
    assert_eq!(again.ledger.view().health, Health::Whole, "every block of it verifies");
}
