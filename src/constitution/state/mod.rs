//! State: what the ledger's events add up to. It is computed only by [`State::apply`], on every replica and offline, and
//! is the only memory that a judgement has.

mod adoption;
mod apply;
mod archive;
mod charters;
mod command;
mod epoch;
mod form;
mod government;
mod in_force;
mod objectives;
mod obligation;
mod pruning;
mod recall;
mod refusals;
mod spelling;
mod witnessing;

use std::sync::Arc;

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::action::Target;
use super::event::{DecisionEvent, DocumentEvent, EffectBeginEvent, EffectUndoneEvent, Event, ObjectRef, StoredEvent};
use super::facts::TargetFact;
use super::proposal::{Effect, Outcome, Reply};

pub use archive::Archived;
pub use charters::Emergency;
pub use command::CommandState;
pub use form::StateFormError;
pub use government::{Freeze, Standing, Waiver};
pub use in_force::{InForce, Lifetime};
pub use objectives::{Measured, Objective, Plan};
pub use obligation::{Obligation, Owed};
pub use pruning::Pruned;

/// What the ledger's events add up to. Cheap to copy: the copy shares everything until it changes.
#[derive(Clone, Debug, Default)]
pub struct State {
    charters: charters::Charters,
    documents: imbl::OrdMap<Digest, imbl::Vector<Arc<DocumentEvent>>>,
    commands: imbl::HashMap<Digest, CommandState>,
    /// Those of them that have not come to their end, by the index of where they stand: few, where `commands` is all history.
    open: imbl::OrdMap<LogIndex, Digest>,
    government: government::Government,
    /// Effects that are done and end by themselves, by command.
    temporary: imbl::OrdMap<Digest, (LogIndex, Arc<EffectBeginEvent>)>,
    obligations: imbl::OrdMap<Digest, Arc<Obligation>>,
    objectives: objectives::Objectives,
    stored: imbl::HashMap<(ObjectRef, Digest), Arc<str>>,
    judged: imbl::HashMap<Arc<str>, (LogIndex, Arc<DecisionEvent>)>,
    judged_order: imbl::Vector<Arc<str>>,
    refusals: refusals::Refusals,
    witnessing: witnessing::Witnessing,
    archives: archive::Archives,
    pruned: Option<Arc<Pruned>>,
    /// The latest time that an entry was decided at.
    newest_time: UnixSeconds,
    epoch: u16,
    next: LogIndex,
}

/// Why an event does not fit to what came before. The ledger that holds it is broken: nothing is allowed any more.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// An archive was sealed that did not go on from what it held.
    #[error("entry {index}: the seal of the archive `{store}` does not go on from the one before")]
    ArchiveOrder {
        /// Index of the entry.
        index: LogIndex,
        /// Name of the archive.
        store: String,
    },
    /// The text of an adopted document is not complete.
    #[error("entry {index}: the text {text} of the adopted document is not complete")]
    DocumentIncomplete {
        /// Index of the entry.
        index: LogIndex,
        /// Digest of the text.
        text: Digest,
    },
    /// The text of an adopted document is not the document that the entry names.
    #[error("entry {index}: the adopted document is not what its entry says: {what}")]
    DocumentWrong {
        /// Index of the entry.
        index: LogIndex,
        /// What is wrong.
        what: String,
    },
    /// An effect ended that had not begun, or began twice.
    #[error("entry {index}: the effect of {digest} is out of order")]
    EffectOrder {
        /// Index of the entry.
        index: LogIndex,
        /// Digest of the command.
        digest: Digest,
    },
    /// The index is not the next one.
    #[error("entry {index} was applied, but entry {expected} comes next")]
    Index {
        /// Index of the entry.
        index: LogIndex,
        /// The one that should have come.
        expected: LogIndex,
    },
    /// A new epoch does not follow from what is there.
    #[error("entry {index}: the epoch is not opened rightly: {what}")]
    Opening {
        /// Index of the entry.
        index: LogIndex,
        /// What is wrong.
        what: String,
    },
    /// The ledger was pruned, but not on from the last time, or fewer than two archives hold what goes.
    #[error("entry {index}: the ledger was pruned beyond what archives hold, or not on from before")]
    PruneOrder {
        /// Index of the entry.
        index: LogIndex,
    },
    /// Time without witnesses ended that had not begun, or began twice.
    #[error("entry {index}: the time without witnesses is out of order")]
    WitnessOrder {
        /// Index of the entry.
        index: LogIndex,
    },
}

impl State {
    /// The charter in force at this time, if there is one.
    #[must_use]
    pub fn charter(&self, now: UnixSeconds) -> Option<&InForce> {
        self.charters.at(now)
    }

    /// The emergency charter that waits for its ratification, or has lapsed without an entry that says so.
    #[must_use]
    pub fn emergency(&self) -> Option<Emergency<'_>> {
        self.charters.emergency()
    }

    /// The digest of the charter that this ledger began with.
    #[must_use]
    pub fn first_charter(&self) -> Option<Digest> {
        self.charters.first()
    }

    /// The latest time that an entry was decided at; 1970 before the first.
    #[must_use]
    pub fn newest_time(&self) -> UnixSeconds {
        self.newest_time
    }

    /// The highest version that a charter ever had; 0 before the first.
    #[must_use]
    pub fn newest_version(&self) -> u64 {
        self.charters.newest()
    }

    /// The entry that wrote down that an emergency charter lapsed, until an amendment with the whole quorum follows.
    #[must_use]
    pub fn emergency_lapsed(&self) -> Option<LogIndex> {
        self.charters.lapsed()
    }

    /// The index of the entry that last changed which charter is in force.
    #[must_use]
    pub fn charter_changed(&self) -> Option<LogIndex> {
        self.charters.changed()
    }

    /// The index of the `adopt` entry of a charter that is or was in force.
    #[must_use]
    pub fn adopted(&self, digest: &Digest) -> Option<LogIndex> {
        self.charters.adopted(digest)
    }

    /// Where a command stands, by its digest; `None` when it was never allowed.
    #[must_use]
    pub fn command(&self, digest: &Digest) -> Option<&CommandState> {
        self.commands.get(digest)
    }

    /// The index of the entry that revoked a key, by its fingerprint.
    #[must_use]
    pub fn revoked(&self, key: &str) -> Option<LogIndex> {
        self.government.revoked(key)
    }

    /// The index of the entry that acknowledged an incident.
    #[must_use]
    pub fn incident(&self, name: &str) -> Option<LogIndex> {
        self.government.incident(name)
    }

    /// The veto that stops a command now.
    #[must_use]
    pub fn vetoed(&self, command: &Digest, now: UnixSeconds) -> Option<&Standing> {
        self.government.vetoed(command, now)
    }

    /// The freezes that stop changes of a namespace now.
    pub fn freezing(&self, namespace: &str, now: UnixSeconds) -> impl Iterator<Item = &Freeze> {
        self.government.freezing(namespace, now)
    }

    /// The freezes of a namespace that nobody ended: also those that rest, are overridden, or whose calendar pauses.
    pub fn freezes_of(&self, namespace: &str, now: UnixSeconds) -> impl Iterator<Item = &Freeze> {
        self.government.freezes_of(namespace, now)
    }

    /// The same of every namespace.
    pub fn freezes(&self, now: UnixSeconds) -> impl Iterator<Item = (&str, &Freeze)> {
        self.government.freezes(now)
    }

    /// The freeze or veto that a command decided, whether or not it is overridden.
    #[must_use]
    pub fn decision(&self, digest: &Digest, now: UnixSeconds) -> Option<&Standing> {
        self.government.decision(digest, now)
    }

    /// The entry of the override that suspends a decision now.
    #[must_use]
    pub fn overridden(&self, decision: &Digest, now: UnixSeconds) -> Option<LogIndex> {
        self.government.overridden(decision, now)
    }

    /// Every waiver that holds now.
    pub fn waivers(&self, now: UnixSeconds) -> impl Iterator<Item = &Waiver> {
        self.government.waivers(now)
    }

    /// The waiver that takes a workload out of a rule now.
    #[must_use]
    pub fn waived(&self, rule: &str, target: &Target, now: UnixSeconds) -> Option<&Waiver> {
        self.government.waived(rule, target, now)
    }

    /// Effects that are done and whose time is over, with the index of their `effect.begin`: an executor takes them back.
    pub fn ended_effects(&self, now: UnixSeconds) -> impl Iterator<Item = (LogIndex, &Arc<EffectBeginEvent>)> {
        let over = self.temporary.values().filter(move |(_, begin)| begin.until.is_some_and(|until| now >= until));
        over.map(|(index, begin)| (*index, begin))
    }

    /// Commands that wait for people, with the newest decision about each.
    pub fn held(&self) -> impl Iterator<Item = (&Digest, &DecisionEvent, LogIndex)> {
        self.open().filter_map(|(digest, state)| match state {
            CommandState::Held { index, decision } => Some((digest, decision.as_ref(), *index)),
            CommandState::Allowed { .. }
            | CommandState::Enacted { .. }
            | CommandState::Running { .. }
            | CommandState::Done { .. }
            | CommandState::Failed { .. } => None,
        })
    }

    /// What is owed.
    pub fn obligations(&self) -> impl Iterator<Item = &Obligation> {
        self.obligations.values().map(Arc::as_ref)
    }

    /// What is owed for a command.
    #[must_use]
    pub fn obligation(&self, command: &Digest) -> Option<&Obligation> {
        self.obligations.get(command).map(Arc::as_ref)
    }

    /// Commands whose effect began and has not ended: what an executor must resolve after a crash.
    pub fn running(&self) -> impl Iterator<Item = (&Digest, &Arc<EffectBeginEvent>, LogIndex)> {
        self.open().filter_map(|(digest, state)| match state {
            CommandState::Running { index, begin } => Some((digest, begin, *index)),
            CommandState::Held { .. }
            | CommandState::Allowed { .. }
            | CommandState::Enacted { .. }
            | CommandState::Done { .. }
            | CommandState::Failed { .. } => None,
        })
    }

    /// Commands on workloads that were allowed before this one and have not begun: they go first. Some of them may never have
    /// been stored.
    pub fn ahead_of(&self, digest: &Digest) -> impl Iterator<Item = Digest> {
        let mine = match self.commands.get(digest) {
            Some(CommandState::Allowed { index, .. }) => *index,
            _ => LogIndex(0),
        };
        let before = self.open().take_while(move |(_, state)| state.index() < mine);
        before.filter_map(|(digest, state)| match state {
            CommandState::Allowed { decision, .. } => {
                matches!(decision.target, TargetFact::Found(_)).then_some(*digest)
            }
            CommandState::Held { .. }
            | CommandState::Running { .. }
            | CommandState::Enacted { .. }
            | CommandState::Done { .. }
            | CommandState::Failed { .. } => None,
        })
    }

    /// Commands that have not come to their end, whatever they wait for, in the order of the ledger.
    fn open(&self) -> impl Iterator<Item = (&Digest, &CommandState)> {
        self.open.values().filter_map(|digest| self.commands.get_key_value(digest))
    }

    /// The index of the next entry.
    #[must_use]
    pub fn next_index(&self) -> LogIndex {
        self.next
    }

    /// Whether the command was used: from `effect.begin` on.
    #[must_use]
    pub fn is_consumed(&self, digest: &Digest) -> bool {
        match self.commands.get(digest) {
            None | Some(CommandState::Held { .. } | CommandState::Allowed { .. }) => false,
            Some(
                CommandState::Enacted { .. }
                | CommandState::Running { .. }
                | CommandState::Done { .. }
                | CommandState::Failed { .. },
            ) => true,
        }
    }

    /// What seeing an object stored leads to.
    pub(super) fn observe_stored(&self, event: &StoredEvent) -> Outcome {
        let known = self.stored.get(&(event.object.clone(), event.digest)).is_some_and(|uid| **uid == *event.uid);
        let events = if known { Vec::new() } else { vec![Event::Stored(event.clone())] };
        Outcome { events, reply: Reply::Done }
    }

    /// What the end of an action leads to. A second report of the same end is not recorded again.
    pub(super) fn end_effect(&self, effect: &Effect) -> Outcome {
        let (end, event) = match effect {
            Effect::Done(end) => (end, Event::EffectDone(end.clone())),
            Effect::Failed(end) => (end, Event::EffectFailed(end.clone())),
        };
        let runs =
            matches!(self.commands.get(&end.digest), Some(CommandState::Running { index, .. }) if *index == end.began);
        Outcome { events: if runs { vec![event] } else { Vec::new() }, reply: Reply::Done }
    }

    /// What taking back a temporary effect leads to. A second report is not recorded again.
    pub(super) fn undo_effect(&self, event: &EffectUndoneEvent) -> Outcome {
        let known = self.temporary.get(&event.digest).is_some_and(|(began, _)| *began == event.began);
        let events = if known { vec![Event::EffectUndone(event.clone())] } else { Vec::new() };
        Outcome { events, reply: Reply::Done }
    }
}
