//! How each event changes State.

use std::sync::Arc;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::trust::Verb;
use crate::units::{Digest, LogIndex};

use super::super::action::StateAction;
use super::super::decision::Verdict;
use super::super::event::{
    DecisionEvent, EffectEndEvent, EffectUndoneEvent, EnactEvent, Event, LapseEvent, SignerRef, StoredEvent,
};
use super::super::request::Operation;
use super::{CommandState, Obligation, State, StateError};

/// How many judged requests are remembered by UID, so that a repeated question is recorded once. The API server repeats a
/// question within its timeout, so this is hours of memory at a usual rate.
const REMEMBERED_REQUESTS: usize = 4096;

impl State {
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
                if let Some(obligation) = Obligation::of_begin(index, e) {
                    self.obligations.insert(e.digest, Arc::new(obligation));
                }
                let running = CommandState::Running { index, begin: e.clone() };
                self.set(e.digest, running);
            }
            Event::EffectDone(e) => self.ended(index, e, |end| CommandState::Done { index, end })?,
            Event::EffectFailed(e) => self.ended(index, e, |end| CommandState::Failed { index, end })?,
            Event::EffectUndone(e) => self.undone(index, e)?,
            Event::Enact(e) => self.enact(index, e)?,
            Event::Lapse(e) => {
                let LapseEvent { object: _, charter, ratify_by: _, now: _ } = e;
                let waits = self.charters.emergency().is_some_and(|e| e.charter.reference == *charter);
                if !waits {
                    return Err(StateError::EffectOrder { index, digest: charter.digest });
                }
                self.charters.lapse(index);
            }
            Event::EpochOpen(e) => self.open_epoch(index, e)?,
            Event::PolicySet(e) => self.set_policy(e),
            Event::Unwitnessed(e) => self.set_unwitnessed(index, e)?,
            Event::ArchiveSeal(e) => self.archive_sealed(index, e)?,
            Event::Prune(e) => self.set_pruned(index, e)?,
            Event::SloSet(e) => self.set_objective(index, e),
            Event::SloVerdict(e) => self.set_verdict(index, e),
            Event::Flood(_) | Event::Recover(_) | Event::KeyAdd(_) | Event::KeyRetire(_) | Event::KeyRevoke(_) => {}
        }
        self.note_substance(index, event);
        if let Some(now) = event.now() {
            self.newest_time = self.newest_time.max(now);
        }
        self.next = LogIndex(index.0 + 1);
        Ok(())
    }

    fn enact(&mut self, index: LogIndex, event: &EnactEvent) -> Result<(), StateError> {
        let EnactEvent { digest, summary, action, signers, .. } = event;
        if self.is_consumed(digest) {
            return Err(StateError::EffectOrder { index, digest: *digest });
        }
        match action {
            StateAction::Review { command, findings: _ } | StateAction::AcknowledgeOverride { command } => {
                self.obligations.remove(command);
            }
            StateAction::Mitigate(plan) => {
                self.obligations.remove(&plan.objective);
                self.add_plan(index, *digest, plan, event.now);
            }
            StateAction::RatifyAmendment { charter } => {
                let waits = self.charters.emergency().is_some_and(|e| e.charter.reference.digest == *charter);
                if !waits {
                    return Err(StateError::EffectOrder { index, digest: *charter });
                }
                self.charters.ratify(index);
            }
            StateAction::Freeze { .. }
            | StateAction::Thaw { .. }
            | StateAction::Waive { .. }
            | StateAction::Override { .. }
            | StateAction::RevokeKey { .. }
            | StateAction::Veto { .. }
            | StateAction::AcknowledgeIncident { .. } => self.government.enact(index, event, author_seat(signers)),
            // It is an entry of its own: `epoch.open`.
            StateAction::OpenEpoch(_) => return Err(StateError::EffectOrder { index, digest: *digest }),
        }
        self.set(*digest, CommandState::Enacted { index, summary: summary.as_str().into() });
        if let Some(obligation) = Obligation::of_enactment(index, event) {
            self.obligations.insert(*digest, Arc::new(obligation));
        }
        Ok(())
    }

    fn decided(&mut self, index: LogIndex, event: &Arc<DecisionEvent>) {
        self.follow_command(index, event);
        if event.verdict == Verdict::Allow {
            self.use_plans(&event.plans);
        }
        self.refusals.remember(index, event);
        if event.request.is_empty() {
            return;
        }
        let request: Arc<str> = event.request.as_str().into();
        self.judged.insert(request.clone(), (index, event.clone()));
        self.judged_order.push_back(request);
        if self.judged_order.len() > REMEMBERED_REQUESTS
            && let Some(oldest) = self.judged_order.pop_front()
        {
            self.judged.remove(&oldest);
        }
    }

    /// Where a command stands now.
    pub(super) fn set(&mut self, digest: Digest, state: CommandState) {
        let now_open = state.is_open().then(|| state.index());
        if let Some(before) = self.commands.insert(digest, state) {
            self.open.remove(&before.index());
        }
        if let Some(index) = now_open {
            self.open.insert(index, digest);
        }
    }

    /// What an allowed request means for the command that it is about.
    fn follow_command(&mut self, index: LogIndex, event: &Arc<DecisionEvent>) {
        let command = GovernedKind::ControlCommand.kind();
        if event.verdict != Verdict::Allow || event.object.kind != command {
            return;
        }
        match (event.operation, event.digest) {
            // Nobody signs or carries out any more what is not there; made again, it is judged again.
            (Operation::Delete, _) => {
                let of_it = |(digest, state): (&Digest, &CommandState)| match state {
                    CommandState::Held { decision, .. } | CommandState::Allowed { decision, .. } => {
                        (decision.object == event.object).then_some(*digest)
                    }
                    CommandState::Running { .. }
                    | CommandState::Enacted { .. }
                    | CommandState::Done { .. }
                    | CommandState::Failed { .. } => None,
                };
                let gone: Vec<Digest> = self.open().filter_map(of_it).collect();
                for state in gone.iter().filter_map(|digest| self.commands.remove(digest)) {
                    self.open.remove(&state.index());
                }
            }
            (Operation::Create | Operation::Update, Some(digest)) if !self.is_consumed(&digest) => {
                let held = event.findings.first().is_some_and(|f| f.reason == Reason::Held);
                let decision = event.clone();
                self.set(
                    digest,
                    if held {
                        CommandState::Held { index, decision }
                    } else {
                        CommandState::Allowed { index, decision }
                    },
                );
            }
            (Operation::Create | Operation::Update, _) => {}
        }
    }

    fn ended(
        &mut self,
        index: LogIndex,
        event: &EffectEndEvent,
        state: impl FnOnce(Arc<EffectEndEvent>) -> CommandState,
    ) -> Result<(), StateError> {
        match self.commands.get(&event.digest) {
            Some(CommandState::Running { index: began, begin }) if *began == event.began => {
                let (began, begin) = (*began, begin.clone());
                let ended = state(Arc::new(event.clone()));
                if begin.until.is_some() && matches!(ended, CommandState::Done { .. }) {
                    self.temporary.insert(event.digest, (began, begin));
                }
                self.set(event.digest, ended);
                Ok(())
            }
            _ => Err(StateError::EffectOrder { index, digest: event.digest }),
        }
    }

    fn undone(&mut self, index: LogIndex, event: &EffectUndoneEvent) -> Result<(), StateError> {
        match self.temporary.remove(&event.digest) {
            Some((began, _)) if began == event.began => Ok(()),
            Some(_) | None => Err(StateError::EffectOrder { index, digest: event.digest }),
        }
    }
}

/// The organ that the author signed for; empty when nobody did.
fn author_seat(signers: &[SignerRef]) -> &str {
    signers.iter().find(|s| s.verb == Verb::Author.as_str()).map(|s| s.seat.as_str()).unwrap_or_default()
}
