//! Opening an epoch: what is left of the ledger is verified, the people's command is judged by it, and the first block of the new
//! epoch is made (ADR 0025).

use serde_json::Value;

use crate::constitution::{Action, Command, EpochOpenEvent, Event, OpenEpoch, State, StateAction};
use crate::ledger::{BlockError, BlockParts, Checkpoint, EntryError, Head, LogTrust, VouchError, Writer};
use crate::units::{BlockNumber, Digest, UnixMillis};

use super::replay::{encode, replay};
use super::snapshot::Snapshot;

/// What is left of a ledger, verified.
#[derive(Debug)]
pub struct Remains {
    /// Its end.
    pub head: Head,
    /// What its entries add up to.
    pub state: State,
}

/// Why no epoch is opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The first block of the new epoch cannot be made.
    #[error("the first block of the epoch cannot be made: {0}")]
    Block(#[from] BlockError),
    /// The blocks that are to be kept are not those.
    #[error("the command keeps {asked} blocks with {entries} entries and the root {root}; here {found}")]
    Blocks {
        /// How many blocks the command keeps.
        asked: u64,
        /// How many entries.
        entries: u64,
        /// Their root.
        root: String,
        /// What is here, in words.
        found: String,
    },
    /// The command does not say what is lost.
    #[error(
        "a checkpoint vouches for {known} entries; the command must cite it in openEpoch.checkpoint, so that its signers know"
    )]
    Loss {
        /// How many entries.
        known: u64,
    },
    /// The command is none, or the people of the charter do not open the epoch.
    #[error("the epoch is not opened: {0}")]
    Refused(String),
    /// The opening does not fit into an entry.
    #[error("the command cannot be an entry: {0}")]
    TooLarge(#[from] EntryError),
    /// The checkpoint that the command cites is not one of this log.
    #[error("the checkpoint that the command cites: {0}")]
    Vouch(#[from] VouchError),
}

/// Whether an entry means the snapshot at this block with this digest.
fn means(event: &Event, begin: (BlockNumber, Digest)) -> bool {
    matches!(event, Event::Prune(event) if (event.block, event.snapshot) == begin)
}

/// What a command asks for that opens an epoch.
///
/// # Errors
/// [`OpeningError::Refused`] for any other command.
pub fn asked_for(command: &Value) -> Result<OpenEpoch, OpeningError> {
    match Command::read(command).map_err(|e| OpeningError::Refused(e.to_string()))?.action {
        Action::State(StateAction::OpenEpoch(asked)) => Ok(*asked),
        other => Err(OpeningError::Refused(format!("it is a command to {}", other.name()))),
    }
}

impl Remains {
    /// Verifies the first blocks of the log, as many as the command keeps. `blocks` are in the order of the log, from `begin` on: the
    /// snapshot of a pruned ledger, which an entry that is kept must mean. That the people sign the root vouches for the rest.
    ///
    /// # Errors
    /// [`OpeningError::Blocks`] when what is there is wrong, or is not what the command keeps.
    pub fn verify<'a>(
        trust: LogTrust,
        begin: Option<Snapshot>,
        blocks: impl IntoIterator<Item = &'a BlockParts>,
        asked: &OpenEpoch,
    ) -> Result<Self, OpeningError> {
        let OpenEpoch { epoch: _, blocks: count, entries, root, checkpoint: _ } = asked;
        let (count, entries, root) = (*count, *entries, *root);
        let other = |found: String| OpeningError::Blocks { asked: count.0, entries, root: root.to_string(), found };
        let (mut head, mut state, mut unmeant) = match begin {
            Some(Snapshot { head, state, digest }) => (head.clone(), state, Some((head.next_block(), digest))),
            None => (Head::genesis(trust), State::default(), None),
        };
        let left = count.0.saturating_sub(head.next_block().0);
        for parts in blocks.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            let name = head.next_block();
            let block = head.fold(parts).map_err(|e| other(format!("block {name} is wrong: {e}")))?;
            let recorded = replay(&block, &mut state).map_err(|e| other(format!("block {name} is wrong: {e}")))?;
            unmeant.take_if(|begin| recorded.iter().any(|r| means(&r.event, *begin)));
        }
        if let Some((block, _)) = unmeant {
            return Err(other(format!("no entry that is left means the snapshot at block {block}")));
        }
        if (head.next_block(), head.next_index().0, head.root()) != (count, entries, root) {
            let (blocks, found) = (head.next_block(), head.next_index());
            return Err(other(format!("{blocks} blocks hold {found} entries with the root {}", head.root())));
        }
        Ok(Self { head, state })
    }

    /// What opens the epoch by this command, at this time. `known` is the largest checkpoint that the cluster has; what it vouches
    /// for beyond what is kept must be cited.
    ///
    /// # Errors
    /// [`OpeningError::Loss`], [`OpeningError::Vouch`], [`OpeningError::Refused`].
    pub fn opening(
        &self,
        command: &Value,
        known: Option<&Checkpoint>,
        now: UnixMillis,
    ) -> Result<EpochOpenEvent, OpeningError> {
        let cited = asked_for(command)?.checkpoint;
        let cited = cited.map(|note| self.head.log_keys().open(&note)).transpose()?;
        let size = known.map_or(0, |c| c.size);
        if size > self.head.next_index().0 && cited.is_none_or(|c| c.size < size) {
            return Err(OpeningError::Loss { known: size });
        }
        self.state.opening(command, now.into()).map_err(OpeningError::Refused)
    }

    /// The first block of the new epoch, by a writer that a key of the log has introduced under the new origin. It was folded.
    ///
    /// # Errors
    /// [`OpeningError::TooLarge`], [`OpeningError::Block`]; [`OpeningError::Refused`] when it does not fold.
    pub fn first_block(
        &self,
        event: EpochOpenEvent,
        writer: &Writer,
        now: UnixMillis,
    ) -> Result<BlockParts, OpeningError> {
        let opening = encode(&Event::EpochOpen(Box::new(event)), now, writer.name())?;
        let parts = self.head.next_epoch().propose(&[opening, writer.introduce(now)?], writer, now, now)?;
        let (mut head, mut state) = (self.head.clone(), self.state.clone());
        let block = head.fold(&parts).map_err(|e| OpeningError::Refused(e.to_string()))?;
        replay(&block, &mut state).map_err(|e| OpeningError::Refused(e.to_string()))?;
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{ArchiveSealEvent, ObjectRef, PruneEvent, StoredEvent};
    use crate::store::{read_snapshot, write_snapshot};
    use crate::trust::{NoteSigner, sha256};
    use crate::units::UnixSeconds;

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    /// A ledger that grows by a block for each call.
    struct Grown {
        head: Head,
        state: State,
        writer: Writer,
        blocks: Vec<BlockParts>,
    }

    impl Grown {
        fn new() -> Self {
            let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name");
            let writer = Writer::try_new(ORIGIN, &key, "w", &[2; 32], UnixMillis(1 << 50)).expect("writer");
            let head = Head::genesis(trust());
            Self { head, state: State::default(), writer, blocks: Vec::new() }
        }

        fn grow(&mut self, events: &[Event]) {
            let at = UnixMillis(5);
            let encoded = events.iter().map(|event| encode(event, at, "w").expect("entry"));
            let introduced = (!self.head.knows(&self.writer)).then(|| self.writer.introduce(at).expect("entry"));
            let entries: Vec<Vec<u8>> = introduced.into_iter().chain(encoded).collect();
            let parts = self.head.propose(&entries, &self.writer, at, at).expect("block");
            replay(&self.head.fold(&parts).expect("folds"), &mut self.state).expect("makes sense");
            self.blocks.push(parts);
        }

        fn asked(&self) -> OpenEpoch {
            let (blocks, entries, root) = (self.head.next_block(), self.head.next_index().0, self.head.root());
            OpenEpoch { epoch: 1, blocks, entries, root, checkpoint: None }
        }
    }

    fn trust() -> LogTrust {
        let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name").verifier();
        LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key }
    }

    fn stored(name: &str) -> Event {
        let object = ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: name.into() };
        let (uid, resource_version) = (name.to_owned(), "1".to_owned());
        Event::Stored(StoredEvent { object, digest: sha256(name.as_bytes()), uid, resource_version })
    }

    #[test]
    fn what_is_left_of_a_pruned_ledger_begins_at_the_snapshot_that_it_means() {
        let mut log = Grown::new();
        log.grow(&[stored("one")]);
        let (size, root, now) = (log.head.next_index().0, log.head.root(), UnixSeconds::new(5));
        let snapshot = write_snapshot(&log.head, &log.state).expect("written");
        let seal = |store: &str| {
            let (store, objects) = (store.to_owned(), sha256(b""));
            Event::ArchiveSeal(ArchiveSealEvent { store, from: 0, to: size, root, count: 1, objects, now })
        };
        log.grow(&[seal("cold"), seal("far")]);
        let before = log.asked();
        let block = BlockNumber(1);
        log.grow(&[Event::Prune(PruneEvent { block, size, root, snapshot: sha256(&snapshot), now })]);
        log.grow(&[stored("two")]);

        let begin = || Some(read_snapshot(&snapshot, &trust()).expect("reads"));
        let left = log.blocks.iter().skip(1);
        let remains = Remains::verify(trust(), begin(), left.clone(), &log.asked()).expect("all of it");
        assert_eq!((remains.head.root(), remains.state.next_index()), (log.head.root(), log.head.next_index()));
        let refused = |begin, asked: &OpenEpoch, part: &str| {
            let error = Remains::verify(trust(), begin, left.clone(), asked).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(begin(), &before, "no entry that is left means the snapshot at block 1");
        refused(None, &log.asked(), "block 0 is wrong");
        refused(begin(), &OpenEpoch { root: sha256(b"x"), ..log.asked() }, "4 blocks hold");
    }
}
