//! Commands: what was approved is carried out, once, and nothing else.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::DynamicObject;
use kube::runtime::controller::Action as Next;
use kube::{Api, ResourceExt as _};
use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::names::{COMMAND_MANAGER, GATE_ENABLED, GATE_LABEL};
use crate::api::reason::{Reason, ReasonClass};
use crate::constitution::{
    Action, Advice, Command, CommandState, Decision, DecisionEvent, EffectEndEvent, Finding, Proposal, Reply,
    StateAction, StoredEvent, Target, TargetFact, executor, recheck,
};
use crate::units::LogIndex;

use super::effect::{Begun, carry_out};
use super::owed::answered;
use super::status::{Seen, write};
use super::workload::{fact, read};
use super::{Context, Error, resource};

/// How soon a command that may become possible is looked at again: it is not valid yet, or the view was not complete.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

pub(super) async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Next, Error> {
    let value = serde_json::to_value(object)?;
    let command = match Command::read(&value) {
        Ok(command) => command,
        Err(error) => {
            let seen = refused(&Decision::refusal(error.reason, error.message));
            return tell(object, seen, context).await.map(|()| Next::await_change());
        }
    };
    let advanced = match advance(object, value.clone(), &command, context).await {
        // People see that it runs while we look at the target again and again.
        Err(pending @ (Error::EffectPending(_) | Error::Queued(_))) => Err(pending),
        other => Ok(other?),
    };
    let refused = advanced.as_ref().ok().and_then(Option::as_ref);
    let mut seen = describe(&command, refused, context);
    let enforcement = enforcement(&command, &value, context).await?;
    let answered = answered(object, &command, context);
    // Nobody tells us when a namespace opts in, when time is over, or when another command meets what is owed.
    let idle = enforcement.as_ref().is_some_and(|e| e.reason == Reason::GateNotEnabled);
    let open = answered.as_ref().is_some_and(|a| a.status != ConditionStatus::True);
    seen.conditions.extend(enforcement.into_iter().chain(answered));
    tell(object, seen, context).await?;
    advanced.map(|refused| match refused.map(|d| d.reason()) {
        _ if idle || open => Next::requeue(LOOK_AGAIN),
        Some(reason) if reason == Reason::NotYetValid || reason.class() == ReasonClass::Unable => {
            Next::requeue(LOOK_AGAIN)
        }
        Some(_) | None => Next::await_change(),
    })
}

async fn tell(object: &DynamicObject, seen: Seen, context: &Context) -> Result<(), Error> {
    write(context, &resource(GovernedKind::ControlCommand), COMMAND_MANAGER, object, seen).await
}

/// Brings the command one step on, from wherever the ledger says it is. Gives the refusal when the judge refuses it now.
async fn advance(
    object: &DynamicObject,
    value: Value,
    command: &Command,
    context: &Context,
) -> Result<Option<Decision>, Error> {
    let digest = command.document.digest;
    match context.ledger.view().state.command(&digest) {
        Some(CommandState::Enacted { .. } | CommandState::Done { .. } | CommandState::Failed { .. }) => Ok(None),
        // We died, or lost the lease, between begin and end: the target tells what happened.
        Some(CommandState::Running { index, begin }) => match &command.action {
            Action::Workload { action, target } => {
                let begun = Begun { digest, action, target, begin, index: *index };
                carry_out(context, &begun).await.map(|()| None)
            }
            Action::State(_) => Err(Error::Reply),
        },
        None | Some(CommandState::Held { .. } | CommandState::Allowed { .. }) => {
            observe_stored(object, command, context).await?;
            match &command.action {
                Action::Workload { target, .. } => {
                    if let Some(first) = context.queue.waits_for(context.ledger.view().state.ahead_of(&digest)) {
                        return Err(Error::Queued(first));
                    }
                    let refused = begin(value, target, context).await?;
                    if refused.is_some() {
                        context.queue.pass_over(digest);
                    }
                    Ok(refused)
                }
                // What the constitution itself does waits for nobody: a veto or a freeze must not queue.
                Action::State(_) => enact(value, context).await,
            }
        }
    }
}

async fn observe_stored(object: &DynamicObject, command: &Command, context: &Context) -> Result<(), Error> {
    let stored = StoredEvent {
        object: command.document.object.clone(),
        digest: command.document.digest,
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
    };
    context.ledger.append(Proposal::Stored(stored), context.facts(TargetFact::NotNamed)).await?;
    Ok(())
}

/// Lets the command change State. One entry is the whole effect: there is nothing to resolve after a crash.
async fn enact(value: Value, context: &Context) -> Result<Option<Decision>, Error> {
    let facts = context.facts(TargetFact::NotNamed);
    match context.ledger.append(Proposal::Enact(Box::new(value)), facts).await?.reply {
        Reply::Done => Ok(None),
        Reply::Judged(decision) => Ok(Some(*decision)),
        Reply::Begin(_) | Reply::JudgedBefore(..) | Reply::Passed => Err(Error::Reply),
    }
}

async fn begin(value: Value, target: &Target, context: &Context) -> Result<Option<Decision>, Error> {
    let target = look_up(target, context).await?;
    let committed = context.ledger.append(Proposal::Begin(Box::new(value)), context.facts(target)).await?;
    match (committed.reply, committed.kept.index()) {
        (Reply::Begin(plan), Some(index)) => {
            let begun =
                Begun { digest: plan.digest, action: &plan.action, target: &plan.target, begin: &plan.begin, index };
            carry_out(context, &begun).await.map(|()| None)
        }
        (Reply::Judged(decision), _) => Ok(Some(*decision)),
        (Reply::Begin(_) | Reply::JudgedBefore(..) | Reply::Done | Reply::Passed, _) => Err(Error::Reply),
    }
}

/// Reads the target with the rights of the organ that would act, never with our own.
async fn look_up(target: &Target, context: &Context) -> Result<TargetFact, Error> {
    let view = context.ledger.view();
    let Some(organ) = view.state.charter((context.clock)().into()).and_then(|c| executor(&c.charter)) else {
        return Ok(TargetFact::Stale);
    };
    let client = (context.seats)(organ)?;
    match read(&client, target).await {
        Ok(object) => Ok(fact(object.as_ref())),
        // The organ may not even look: for it the target is out of reach, and the judge refuses.
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(TargetFact::Missing),
        Err(error) => Err(error.into()),
    }
}

fn condition(kind: ConditionType, status: ConditionStatus, reason: Reason, message: String) -> Observation {
    Observation { kind, status, reason, message }
}

fn refused(decision: &Decision) -> Seen {
    let no = |kind| condition(kind, ConditionStatus::False, decision.reason(), decision.message());
    let kinds = [ConditionType::Verified, ConditionType::Approved, ConditionType::Succeeded, ConditionType::Ready];
    Seen { digest: decision.digest, index: None, conditions: kinds.map(no).to_vec(), ..Seen::default() }
}

/// The status, from what the ledger says now.
fn describe(command: &Command, decision: Option<&Decision>, context: &Context) -> Seen {
    use ConditionStatus::{False, True, Unknown};
    let digest = command.document.digest;
    let view = context.ledger.view();
    let (index, succeeded) = match view.state.command(&digest) {
        Some(CommandState::Held { index, decision: held }) if decision.is_some_and(Decision::waits_for_people) => {
            let reason = decision.map_or(Reason::SeatsMissing, Decision::reason);
            return Seen {
                digest: Some(digest),
                index: Some(*index),
                conditions: waiting(reason, held, *index),
                ..Seen::default()
            };
        }
        Some(CommandState::Allowed { index, .. }) if decision.is_none() => {
            let message = "commands that were allowed earlier go first".to_owned();
            (*index, condition(ConditionType::Succeeded, Unknown, Reason::EffectRunning, message))
        }
        None | Some(CommandState::Held { .. } | CommandState::Allowed { .. }) => {
            let fallback = Decision::refusal(Reason::FactsStale, "it is not judged yet");
            return Seen { digest: Some(digest), ..refused(decision.unwrap_or(&fallback)) };
        }
        Some(CommandState::Running { index, .. }) => (
            *index,
            condition(ConditionType::Succeeded, Unknown, Reason::EffectRunning, "it is being carried out".to_owned()),
        ),
        Some(CommandState::Enacted { index, summary }) => {
            (*index, condition(ConditionType::Succeeded, True, Reason::EffectDone, summary.to_string()))
        }
        Some(CommandState::Done { index, end }) => (*index, ended(True, end)),
        Some(CommandState::Failed { index, end }) => (*index, ended(False, end)),
    };
    let yes = |kind, message: String| condition(kind, True, Reason::QuorumComplete, message);
    Seen {
        digest: Some(digest),
        index: Some(index),
        conditions: vec![
            yes(ConditionType::Verified, "all signatures verify".to_owned()),
            yes(ConditionType::Approved, "all seats are filled by different people".to_owned()),
            yes(ConditionType::Recorded, recorded(index)),
            succeeded.clone(),
            Observation { kind: ConditionType::Ready, ..succeeded },
        ],
        ..Seen::default()
    }
}

/// A command that is right, stored, and waits for people: nothing failed, and nothing happens yet.
fn waiting(reason: Reason, held: &DecisionEvent, index: LogIndex) -> Vec<Observation> {
    use ConditionStatus::{False, True, Unknown};
    let missing = held.findings.iter().filter(|f| f.reason != Reason::Held);
    let missing = missing.map(Finding::line).collect::<Vec<_>>().join("\n");
    let message = || missing.clone();
    vec![
        condition(ConditionType::Verified, True, Reason::Held, "all signatures verify".to_owned()),
        condition(ConditionType::Approved, False, reason, message()),
        condition(ConditionType::Recorded, True, Reason::Held, recorded(index)),
        condition(ConditionType::Succeeded, Unknown, Reason::Held, "it waits for people to sign it".to_owned()),
        condition(ConditionType::Ready, False, reason, message()),
    ]
}

/// Whether what was said of the command decides. A rule that only tells, or a freeze that stops nothing, must not look like one
/// that does.
async fn enforcement(command: &Command, value: &Value, context: &Context) -> Result<Option<Observation>, Error> {
    use ConditionStatus::{False, True};
    let view = context.ledger.view();
    let facts = context.facts(TargetFact::NotNamed);
    let advice = recheck(value, GovernedKind::ControlCommand, &view.state, &facts).advice;
    if let Some(told) = only_told(&advice) {
        return Ok(Some(told));
    }
    let Action::State(StateAction::Freeze { namespace, .. }) = &command.action else { return Ok(None) };
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let labels = namespaces.get_opt(namespace).await?.and_then(|n| n.metadata.labels).unwrap_or_default();
    Ok(Some(if labels.get(GATE_LABEL).is_some_and(|value| value == GATE_ENABLED) {
        let message = format!("the namespace {namespace} has opted in to the gate");
        condition(ConditionType::Enforced, True, Reason::Enforced, message)
    } else {
        let message = format!(
            "the namespace {namespace} has not opted in, nothing is stopped; kubectl label namespace {namespace} {GATE_LABEL}={GATE_ENABLED}"
        );
        condition(ConditionType::Enforced, False, Reason::GateNotEnabled, message)
    }))
}

/// What rules say that do not decide.
fn only_told(advice: &[Advice]) -> Option<Observation> {
    let lines: Vec<String> = advice.iter().map(Advice::line).collect();
    let (kind, reason) = (ConditionType::Enforced, Reason::RuleNotEnforced);
    (!lines.is_empty()).then(|| condition(kind, ConditionStatus::False, reason, lines.join("\n")))
}

fn recorded(index: LogIndex) -> String {
    format!("ledger entry {index}")
}

fn ended(status: ConditionStatus, end: &EffectEndEvent) -> Observation {
    condition(ConditionType::Succeeded, status, end.reason, end.message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::Mode;

    #[test]
    fn nobody_takes_a_rule_that_only_tells_for_one_that_decides() {
        assert_eq!(only_told(&[]), None);
        let advice = Advice { rule: "next-year, Article V".into(), mode: Mode::Observe, findings: Vec::new() };
        let seen = only_told(&[advice]).expect("told");
        assert_eq!((seen.status, seen.reason), (ConditionStatus::False, Reason::RuleNotEnforced));
        assert_eq!(seen.message, "NOT ENFORCED (Observe) next-year, Article V: would allow");
    }
}
