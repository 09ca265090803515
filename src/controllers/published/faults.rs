//! The table of the checkpoint: every fault of its reads and writes, followed by every other, and then the same process, a new one,
//! or one that is behind.

use std::sync::{Arc, Mutex};

use super::*;
use crate::store::Anchor;
use crate::trust::NoteSigner;
use crate::units::Digest;

const ORIGIN: &str = "miax.dev/ecm/c/0";
const SIZES: [u64; 4] = [3, 10, 11, 40];

/// What the store does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The read fails.
    ReadLost,
    /// Nothing is written, and no answer comes.
    Lost,
    /// It is written, and no answer comes.
    WrittenButLost,
    /// No answer comes, and it is written only after the next read, if nothing else was.
    WrittenLate,
    /// Another leader writes first: a larger checkpoint, or the same.
    AnotherLarger,
    AnotherSame,
}

const FAULTS: [Fault; 7] = [
    Fault::None,
    Fault::ReadLost,
    Fault::Lost,
    Fault::WrittenButLost,
    Fault::WrittenLate,
    Fault::AnotherLarger,
    Fault::AnotherSame,
];

/// What the process does after a fault.
#[derive(Clone, Copy, Debug)]
enum Then {
    GoesOn,
    IsStartedAnew,
    /// Another one leads, which has read less of the ledger.
    IsBehind,
}

#[derive(Default)]
struct Inner {
    anchor: Anchor,
    version: u64,
    /// Taken from its end.
    script: Vec<Fault>,
    late: Option<(u64, Anchor)>,
}

/// A store that remembers, and fails the test when somebody takes back what was vouched for.
#[derive(Clone, Default)]
struct Suspicious(Arc<Mutex<Inner>>);

fn signer() -> NoteSigner {
    NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
}

fn keys() -> LogKeys {
    LogKeys::new(ORIGIN, signer().verifier())
}

/// The one checkpoint of this size: the log has one history.
fn checkpoint(size: u64) -> Checkpoint {
    Checkpoint { origin: ORIGIN.into(), size, root: Digest([u8::try_from(size).expect("small"); 32]) }
}

fn note(size: u64) -> String {
    checkpoint(size).sign(&signer()).expect("signs")
}

fn lost() -> kube::Error {
    kube::Error::Service("the answer was lost".into())
}

impl Inner {
    fn write(&mut self, version: u64, anchor: &Anchor) -> Result<(), kube::Error> {
        if version != self.version {
            return Err(lost());
        }
        let size = |anchor: &Anchor| known(&anchor.checkpoint, &keys()).expect("opens").map_or(0, |c| c.size);
        assert!(size(anchor) >= size(&self.anchor), "{} entries after {}", size(anchor), size(&self.anchor));
        (self.anchor, self.version) = (anchor.clone(), self.version + 1);
        Ok(())
    }

    fn another_writes(&mut self, size: u64) {
        let before = known(&self.anchor.checkpoint, &keys()).expect("opens").map_or(0, |c| c.size);
        if size > before {
            self.write(self.version, &Anchor { checkpoint: note(size), ..self.anchor.clone() }).expect("nobody else");
        }
    }
}

impl Suspicious {
    fn size(&self) -> u64 {
        known(&self.0.lock().expect("lock").anchor.checkpoint, &keys()).expect("opens").map_or(0, |c| c.size)
    }
}

impl AnchorStore for Suspicious {
    type Version = u64;

    async fn read(&self) -> Result<(Anchor, u64), kube::Error> {
        let mut inner = self.0.lock().expect("lock");
        if inner.script.last() == Some(&Fault::ReadLost) {
            inner.script.pop();
            return Err(lost());
        }
        let read = (inner.anchor.clone(), inner.version);
        // What was on its way arrives between this read and what follows it.
        if let Some((version, anchor)) = inner.late.take() {
            let _ = inner.write(version, &anchor);
        }
        Ok(read)
    }

    async fn replace(&self, version: u64, anchor: &Anchor) -> Result<(), kube::Error> {
        let mut inner = self.0.lock().expect("lock");
        match inner.script.pop().unwrap_or(Fault::None) {
            Fault::None | Fault::ReadLost => inner.write(version, anchor),
            Fault::Lost => Err(lost()),
            Fault::WrittenButLost => inner.write(version, anchor).and(Err(lost())),
            Fault::WrittenLate => {
                inner.late = Some((version, anchor.clone()));
                Err(lost())
            }
            Fault::AnotherLarger => {
                inner.another_writes(SIZES[3]);
                inner.write(version, anchor)
            }
            Fault::AnotherSame => {
                let size = known(&anchor.checkpoint, &keys()).expect("opens").map_or(0, |c| c.size);
                inner.another_writes(size);
                inner.write(version, anchor)
            }
        }
    }
}

#[tokio::test]
async fn every_fault_of_the_checkpoint_takes_nothing_back_and_loses_nothing() {
    let (mut cases, mut failed) = (0, 0);
    for first in FAULTS {
        for second in FAULTS {
            for then in [Then::GoesOn, Then::IsStartedAnew, Then::IsBehind] {
                for at in 0..SIZES.len() {
                    failed +=
                        run(&format!("{first:?}, {second:?} from {at} on, {then:?}"), [first, second], then, at).await;
                    cases += 1;
                }
            }
        }
    }
    assert!(failed > cases, "only {failed} steps failed in {cases} cases");
}

/// Publishes checkpoints of growing sizes; the faults come from the step `at` on. Gives how many steps failed.
async fn run(name: &str, faults: [Fault; 2], then: Then, at: usize) -> usize {
    let store = Suspicious::default();
    let mut published = Published::new(store.clone());
    let mut failed = 0;
    for (step, size) in SIZES.into_iter().enumerate() {
        if step == at {
            let [first, second] = faults;
            store.0.lock().expect("lock").script = vec![second, first];
        }
        for _ in 0..2 {
            let before = store.size();
            let result = published.write(&checkpoint(size), &note(size), &keys()).await;
            if result.is_ok() {
                assert!(store.size() >= size, "{name}: {size} entries are not published");
                // Witnesses are asked after it is stored, and their lines are added under it.
                let _ = published.cosigned(&checkpoint(size), &note(size), true, &keys()).await;
                break;
            }
            failed += 1;
            assert!(store.size() >= before, "{name}");
            match then {
                Then::GoesOn => {}
                Then::IsStartedAnew => published = Published::new(store.clone()),
                Then::IsBehind => {
                    let mut behind = Published::new(store.clone());
                    let old = SIZES[step.saturating_sub(1)];
                    let _ = behind.write(&checkpoint(old), &note(old), &keys()).await;
                }
            }
        }
    }
    // When the faults are over, the next step publishes what is newest.
    store.0.lock().expect("lock").script.clear();
    let newest = SIZES[SIZES.len() - 1];
    while published.write(&checkpoint(newest), &note(newest), &keys()).await.is_err() {}
    assert_eq!(store.size(), newest, "{name}");
    failed
}

#[tokio::test]
async fn another_root_at_one_size_is_never_published() {
    let store = Suspicious::default();
    Published::new(store.clone()).write(&checkpoint(10), &note(10), &keys()).await.expect("published");
    let fork = Checkpoint { root: Digest([99; 32]), ..checkpoint(10) };
    let signed = fork.sign(&signer()).expect("signs");
    let refused = Published::new(store.clone()).write(&fork, &signed, &keys()).await;
    assert!(matches!(refused, Err(PublishError::Another)));
    let refused = Published::new(store.clone()).write(&checkpoint(3), &note(3), &keys()).await;
    assert!(matches!(refused, Err(PublishError::Smaller(10, 3))));
    Published::new(store.clone()).cosigned(&fork, &signed, true, &keys()).await.expect("nothing to do");
    assert_eq!(store.0.lock().expect("lock").anchor.checkpoint, note(10));
}
