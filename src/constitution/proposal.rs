//! Proposals: everything that can lead to an entry. The sequencer judges them one after another against State as it
//! grows, so that a decision and its entry can never disagree.

use std::sync::Arc;

use serde_json::Value;

use crate::units::{Digest, LogIndex};

use super::action::{Target, WorkloadAction};
use super::decision::Decision;
use super::event::{
    ArchiveSealEvent, EffectBeginEvent, EffectEndEvent, EffectUndoneEvent, Event, FloodEvent, KeyEvent, PolicySetEvent,
    PruneEvent, RecoverEvent, SloVerdictEvent, StoredEvent, UnwitnessedEvent,
};
use super::facts::Facts;
use super::gate::{GateRequest, gate};
use super::request::Request;
use super::state::State;

/// Something that may become an entry.
#[derive(Clone, Debug)]
pub enum Proposal {
    /// Judge a request and record the verdict.
    Review(Box<Request>),
    /// Judge a change of a workload; what nothing stands against is not recorded, and a repeated refusal once.
    Gate(Box<GateRequest>),
    /// Record that an object was seen stored. Nothing happens when it is recorded already.
    Stored(StoredEvent),
    /// Bring a stored manifest into force; the whole object, judged again. Nothing happens when it is in force already.
    Adopt(Box<Value>),
    /// Begin the action of a stored command; the whole object, judged again. Refused when it is consumed.
    Begin(Box<Value>),
    /// Let a stored version of an objective hold; the whole object, judged again. Nothing happens when it holds already.
    SetObjective(Box<Value>),
    /// Record the verdict on an error budget. Nothing happens when it is no news, or about another version than the one that holds.
    Verdict(Box<SloVerdictEvent>),
    /// Let a stored command change State; the whole object, judged again. Refused when it is consumed.
    Enact(Box<Value>),
    /// Record that an emergency charter has lapsed. Nothing happens when none has.
    Lapse,
    /// Record that the ledger was broken and is whole again.
    Recover(RecoverEvent),
    /// Record that a temporary effect was taken back. Nothing happens when it is recorded already.
    Undone(EffectUndoneEvent),
    /// Record refusals that were answered and counted.
    Flood(Box<FloodEvent>),
    /// Record by which policy for witnesses the operator runs. Nothing happens when it is recorded already.
    Policy(PolicySetEvent),
    /// Record that the log was unwitnessed for too long, or is witnessed again. Nothing happens when that is no news.
    Unwitnessed(UnwitnessedEvent),
    /// Record a change of the log's keys; whether it is one, the ledger tells.
    LogKey(LogKeyStep, KeyEvent),
    /// Record that an archive holds more of the ledger. Nothing happens when it does not go on from what it held.
    Archived(ArchiveSealEvent),
    /// Record that the oldest blocks may leave the cluster. Nothing happens when that is recorded, or too few archives hold them.
    Prune(PruneEvent),
    /// Record how an action ended. Refused when it did not begin or has ended already.
    End(Effect),
}

/// What is done with a key of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKeyStep {
    /// It vouches from here on.
    Add,
    /// It vouches for nothing more.
    Retire,
    /// It is in wrong hands.
    Revoke,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is done.
    Done(EffectEndEvent),
    /// It failed, or it cannot be told.
    Failed(EffectEndEvent),
}

/// What the executor shall do: everything comes from verified bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectPlan {
    /// Digest of the command.
    pub digest: Digest,
    /// The action.
    pub action: WorkloadAction,
    /// The workload, with its namespace.
    pub target: Target,
    /// What `effect.begin` says.
    pub begin: EffectBeginEvent,
}

/// What the proposer learns.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The entries to append, in this order, in one block. None for what is not recorded.
    pub events: Vec<Event>,
    /// The answer to give once they are durable.
    pub reply: Reply,
}

/// The answer to a proposal.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The judgement; for [`Proposal::Review`], and for a refused adoption, begin or enactment.
    Judged(Box<Decision>),
    /// The same request was judged before, at this index.
    JudgedBefore(LogIndex, Box<Decision>),
    /// Nothing stands against the change of a workload; nothing is recorded.
    Passed,
    /// Go ahead with this action.
    Begin(Box<EffectPlan>),
    /// Recorded, or recorded before.
    Done,
}

impl Outcome {
    /// The same with a commitment to what was judged. Its salt is of this proposal alone, so that an entry which holds it already
    /// is that of this proposal: its answer was lost, and it is not recorded twice.
    #[must_use]
    pub fn with_commitment(mut self, commitment: Option<Digest>, state: &State) -> Self {
        let ([Event::Decision(event)], Some(commitment)) = (self.events.as_mut_slice(), commitment) else {
            return self;
        };
        match state.committed(&event.request, &commitment) {
            Some((index, decision)) if decision.verdict == event.verdict => {
                Self { events: Vec::new(), reply: Reply::JudgedBefore(index, Box::new(decision)) }
            }
            // By the plan that it used up itself it passes; the salt makes it this very proposal.
            Some((index, decision)) if state.used_a_plan(&event.request) => {
                Self { events: Vec::new(), reply: Reply::JudgedBefore(index, Box::new(decision)) }
            }
            // An allow is never repeated for what would be refused now.
            Some(_) | None => {
                Arc::make_mut(event).commit(commitment);
                self
            }
        }
    }
}

/// Decides what a proposal leads to: total, pure, and the only place where events are made.
#[must_use]
pub fn deliberate(proposal: &Proposal, state: &State, facts: &Facts) -> Outcome {
    match proposal {
        Proposal::Review(request) => super::record::review(request, state, facts),
        Proposal::Gate(request) => match gate(request, state, facts) {
            Some(judged) => super::gate::record(request, state, facts, judged),
            None => Outcome { events: Vec::new(), reply: Reply::Passed },
        },
        Proposal::Stored(event) => state.observe_stored(event),
        Proposal::Adopt(object) => super::record::adopt(object, state, facts),
        Proposal::Begin(object) => super::record::begin(object, state, facts),
        Proposal::SetObjective(object) => super::record::set_objective(object, state, facts),
        Proposal::Verdict(event) => state.observe_verdict(event),
        Proposal::Enact(object) => super::record::enact(object, state, facts),
        Proposal::Lapse => super::record::lapse(state, facts),
        Proposal::Recover(event) => Outcome { events: vec![Event::Recover(event.clone())], reply: Reply::Done },
        Proposal::Undone(event) => state.undo_effect(event),
        Proposal::Flood(event) => Outcome { events: vec![Event::Flood(event.clone())], reply: Reply::Done },
        Proposal::Policy(event) => state.observe_policy(event),
        Proposal::Unwitnessed(event) => state.observe_unwitnessed(event),
        Proposal::LogKey(step, key) => {
            let event = match step {
                LogKeyStep::Add => Event::KeyAdd,
                LogKeyStep::Retire => Event::KeyRetire,
                LogKeyStep::Revoke => Event::KeyRevoke,
            };
            Outcome { events: vec![event(key.clone())], reply: Reply::Done }
        }
        Proposal::Archived(event) => state.seal_archive(event),
        Proposal::Prune(event) => state.observe_prune(event),
        Proposal::End(effect) => state.end_effect(effect),
    }
}
