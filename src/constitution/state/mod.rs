//! State: what the ledger's events add up to. It is computed only by [`State::apply`], on every replica and offline, and
//! is the only memory that a judgement has.

mod charters;
mod command;
mod in_force;
mod obligation;

use std::sync::Arc;

use crate::trust::{Verb, parse_json_strict, sha256};
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::action::StateAction;
use super::decision::Decision;
use super::event::{
    AdoptEvent, CharterRef, DecisionEvent, DocumentEvent, EffectBeginEvent, EffectEndEvent, EnactEvent, Event,
    LapseEvent, ObjectRef, StoredEvent,
};
use super::manifest::Manifest;
use super::proposal::{Effect, Outcome, Reply};

pub use charters::Emergency;
pub use command::CommandState;
pub use in_force::{InForce, Lifetime};
pub use obligation::Obligation;

/// How many judged requests are remembered by UID, so that a repeated question is recorded once. The API server repeats a
/// question within its timeout, so this is hours of memory at a usual rate.
const REMEMBERED_REQUESTS: usize = 4096;

/// What the ledger's events add up to. Cheap to copy: the copy shares everything until it changes.
#[derive(Clone, Debug, Default)]
pub struct State {
    charters: charters::Charters,
    documents: imbl::OrdMap<Digest, imbl::Vector<Arc<DocumentEvent>>>,
    commands: imbl::HashMap<Digest, CommandState>,
    revoked: imbl::HashMap<Arc<str>, LogIndex>,
    vetoed: imbl::HashMap<Digest, LogIndex>,
    obligations: imbl::OrdMap<Digest, Arc<Obligation>>,
    stored: imbl::HashMap<(ObjectRef, Digest), Arc<str>>,
    judged: imbl::HashMap<String, (LogIndex, Arc<DecisionEvent>)>,
    judged_order: imbl::Vector<String>,
    next: LogIndex,
}

/// Why an event does not fit to what came before. The ledger that holds it is broken: nothing is allowed any more.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
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
        self.revoked.get(key).copied()
    }

    /// The index of the entry that vetoed a command.
    #[must_use]
    pub fn vetoed(&self, command: &Digest) -> Option<LogIndex> {
        self.vetoed.get(command).copied()
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
        self.commands.iter().filter_map(|(digest, state)| match state {
            CommandState::Running { index, begin } => Some((digest, begin, *index)),
            CommandState::Allowed { .. }
            | CommandState::Enacted { .. }
            | CommandState::Done { .. }
            | CommandState::Failed { .. } => None,
        })
    }

    /// The index of the next entry.
    #[must_use]
    pub fn next_index(&self) -> LogIndex {
        self.next
    }

    /// The index and judgement of this very question, when it was judged before with the same verdict: the same UID about the
    /// same object and digest. A UID alone proves nothing, and a digest does not cover signatures: an allow is never
    /// repeated for what would be refused now.
    pub(super) fn judged(&self, question: &DecisionEvent) -> Option<(LogIndex, Decision)> {
        let (index, event) = self.judged.get(&question.request)?;
        let DecisionEvent { digest, verdict, findings, rules, charter, operation, object, .. } = event.as_ref();
        let DecisionEvent { operation: o, object: b, digest: d, verdict: v, .. } = question;
        let same = (operation, object, digest, verdict) == (o, b, d, v);
        let decision = Decision {
            verdict: *verdict,
            findings: findings.clone(),
            digest: *digest,
            rules: rules.clone(),
            seats: Vec::new(),
            charter: charter.clone(),
            recorded: true,
        };
        same.then_some((*index, decision))
    }

    /// Takes the next event in. The only way in which State changes.
    ///
    /// # Errors
    /// [`StateError`] when the event does not fit to what came before.
    pub fn apply(&mut self, index: LogIndex, event: &Event) -> Result<(), StateError> {
        if index != self.next {
            return Err(StateError::Index { index, expected: self.next });
        }
        match event {
            Event::Decision(e) => self.decided(index, e),
            Event::Stored(StoredEvent { object, digest, uid, resource_version: _ }) => {
                self.stored.insert((object.clone(), *digest), uid.as_str().into());
            }
            Event::Document(e) => self.documents.entry(e.text).or_default().push_back(Arc::new(e.clone())),
            Event::Adopt(e) => self.adopt(index, e)?,
            Event::EffectBegin(e) => {
                if self.is_consumed(&e.digest) {
                    return Err(StateError::EffectOrder { index, digest: e.digest });
                }
                if let Some(obligation) = Obligation::of(index, e) {
                    self.obligations.insert(e.digest, Arc::new(obligation));
                }
                let running = CommandState::Running { index, begin: Arc::new(e.as_ref().clone()) };
                self.commands.insert(e.digest, running);
            }
            Event::EffectDone(e) => self.ended(index, e, |end| CommandState::Done { index, end })?,
            Event::EffectFailed(e) => self.ended(index, e, |end| CommandState::Failed { index, end })?,
            Event::Enact(e) => self.enact(index, e)?,
            Event::Lapse(e) => {
                let LapseEvent { object: _, charter, ratify_by: _, now: _ } = e;
                let waits = self.charters.emergency().is_some_and(|e| e.charter.reference == *charter);
                if !waits {
                    return Err(StateError::EffectOrder { index, digest: charter.digest });
                }
                self.charters.lapse(index);
            }
            Event::KeyAdd(_) => {}
        }
        self.next = LogIndex(index.0 + 1);
        Ok(())
    }

    /// Whether the command was used: from `effect.begin` on.
    #[must_use]
    pub fn is_consumed(&self, digest: &Digest) -> bool {
        match self.commands.get(digest) {
            None | Some(CommandState::Allowed { .. }) => false,
            Some(
                CommandState::Enacted { .. }
                | CommandState::Running { .. }
                | CommandState::Done { .. }
                | CommandState::Failed { .. },
            ) => true,
        }
    }

    fn enact(&mut self, index: LogIndex, event: &EnactEvent) -> Result<(), StateError> {
        let EnactEvent { digest, summary, action, object: _, signers: _, charter: _, now: _ } = event;
        if self.is_consumed(digest) {
            return Err(StateError::EffectOrder { index, digest: *digest });
        }
        self.commands.insert(*digest, CommandState::Enacted { index, summary: summary.as_str().into() });
        match action {
            StateAction::RevokeKey { key } => {
                self.revoked.insert(key.as_str().into(), index);
            }
            StateAction::Veto { command } => {
                self.vetoed.insert(*command, index);
            }
            StateAction::Review { command, findings: _ } => {
                self.obligations.remove(command);
            }
            StateAction::RatifyAmendment { charter } => {
                let waits = self.charters.emergency().is_some_and(|e| e.charter.reference.digest == *charter);
                if !waits {
                    return Err(StateError::EffectOrder { index, digest: *charter });
                }
                self.charters.ratify(index);
            }
        }
        Ok(())
    }

    fn decided(&mut self, index: LogIndex, event: &DecisionEvent) {
        if let Some(digest) = event.digest
            && event.verdict == super::decision::Verdict::Allow
            && event.object.kind == crate::api::GovernedKind::ControlCommand.kind()
            && event.operation != super::request::Operation::Delete
            && !self.is_consumed(&digest)
        {
            let author = event.signers.iter().find(|s| s.verb == Verb::Author.as_str());
            let author = author.map(|s| s.seat.as_str()).unwrap_or_default().into();
            self.commands.insert(digest, CommandState::Allowed { index, author });
        }
        if event.request.is_empty() {
            return;
        }
        self.judged.insert(event.request.clone(), (index, Arc::new(event.clone())));
        self.judged_order.push_back(event.request.clone());
        if self.judged_order.len() > REMEMBERED_REQUESTS
            && let Some(oldest) = self.judged_order.pop_front()
        {
            self.judged.remove(&oldest);
        }
    }

    fn ended(
        &mut self,
        index: LogIndex,
        event: &EffectEndEvent,
        state: impl FnOnce(Arc<EffectEndEvent>) -> CommandState,
    ) -> Result<(), StateError> {
        match self.commands.get(&event.digest) {
            Some(CommandState::Running { index: began, .. }) if *began == event.began => {
                self.commands.insert(event.digest, state(Arc::new(event.clone())));
                Ok(())
            }
            _ => Err(StateError::EffectOrder { index, digest: event.digest }),
        }
    }

    fn adopt(&mut self, index: LogIndex, event: &AdoptEvent) -> Result<(), StateError> {
        let AdoptEvent { object, version, digest, text } = event;
        let wrong = |what: String| StateError::DocumentWrong { index, what };
        let whole = self.assemble(text).ok_or(StateError::DocumentIncomplete { index, text: *text })?;
        let value = parse_json_strict(whole.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let manifest = Manifest::read(&value).map_err(|e| wrong(e.to_string()))?;
        let Manifest { document, id, version: found, authority: _, ratify_by, charter } = manifest;
        if document.digest != *digest || document.object != *object || found != *version {
            return Err(wrong(format!(
                "it is {} version {found} with the digest {}",
                document.object, document.digest
            )));
        }
        let reference = CharterRef { version: *version, digest: *digest };
        let expires_at = document.expires_at;
        let object = object.clone();
        self.charters.adopt(index, InForce { object, id, reference, expires_at, ratify_by, since: index, charter });
        self.documents.remove(text);
        Ok(())
    }

    /// The whole text, when every piece is there once and in order and the digest fits.
    fn assemble(&self, text: &Digest) -> Option<String> {
        let pieces = self.documents.get(text)?;
        // A writer that died between two blocks leaves pieces without an adoption; the next one starts over at part 0.
        let start = pieces.iter().rposition(|p| p.part == 0)?;
        let whole: String = pieces.iter().skip(start).map(|p| p.piece.as_str()).collect();
        let complete = pieces.iter().skip(start).enumerate().all(|(i, p)| usize::try_from(p.part) == Ok(i))
            && pieces.back().is_some_and(|last| last.part + 1 == last.parts);
        (complete && sha256(whole.as_bytes()) == *text).then_some(whole)
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
}
