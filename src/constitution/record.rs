//! From a judgement to the entries that record it: a review, an adoption, the begin of an action.

use std::sync::Arc;

use serde_json::Value;

use crate::api::reason::Reason;
use crate::slo::{Life, Resolution};
use crate::trust::{canonical_json, sha256};
use crate::units::{Seconds, UnixSeconds};

use super::action::Action;
use super::charter::{Charter, Mode, Rule, Signal};
use super::command::Command;
use super::decision::Decision;
use super::event::{
    AdoptEvent, CharterRef, DecisionEvent, DocumentEvent, EffectBeginEvent, EnactEvent, Event, GateTerms, LapseEvent,
    ObjectRef, SloSetEvent,
};
use super::facts::{Facts, TargetFact};
use super::judge::{Judged, command_rules, judge_command, judge_manifest, judge_request, judge_slo, slo_rules};
use super::manifest::Manifest;
use super::proposal::{EffectPlan, Outcome, Reply};
use super::request::Request;
use super::slo_document::SloDocument;
use super::state::State;

/// Characters of a document's text in one ledger entry. With JSON's escaping an entry stays below its limit of 16 KiB.
const PIECE: usize = 6000;

/// Judges a request and makes its entry.
pub(super) fn review(request: &Request, state: &State, facts: &Facts) -> Outcome {
    let Judged { decision, summary, signers, .. } = judge_request(request, state, facts);
    if !decision.recorded {
        return Outcome { events: Vec::new(), reply: Reply::Judged(Box::new(decision)) };
    }
    let event = DecisionEvent {
        request: request.uid.clone(),
        operation: request.operation,
        object: ObjectRef::new(request.kind, &request.namespace, &request.name),
        digest: decision.digest,
        inputs: request.inputs(),
        commitment: None,
        summary,
        actor: request.actor.clone(),
        verdict: decision.verdict,
        findings: decision.findings.clone(),
        seats: if decision.reason() == Reason::Held { decision.seats.clone() } else { Vec::new() },
        advice: decision.advice.clone(),
        rules: decision.rules.clone(),
        signers,
        charter: decision.charter.clone(),
        now: facts.now,
        target: facts.target.clone(),
        budgets: Vec::new(),
        plans: Vec::new(),
    };
    if let Some((index, before)) = state.judged(&event).or_else(|| state.repeated(&event)) {
        return Outcome { events: Vec::new(), reply: Reply::JudgedBefore(index, Box::new(before)) };
    }
    Outcome { events: vec![Event::Decision(Arc::new(event))], reply: Reply::Judged(Box::new(decision)) }
}

fn refuse(decision: Decision) -> Outcome {
    Outcome { events: Vec::new(), reply: Reply::Judged(Box::new(decision)) }
}

/// Brings a stored manifest into force: judged again, then its text in pieces and the adoption, in one block.
pub(super) fn adopt(object: &Value, state: &State, facts: &Facts) -> Outcome {
    let Judged { decision, .. } = judge_manifest(object, state, facts);
    let known = state.charter(facts.now).zip(decision.digest).is_some_and(|(c, digest)| c.reference.digest == digest);
    if known {
        return Outcome { events: Vec::new(), reply: Reply::Done };
    }
    if !decision.is_allowed() {
        return refuse(decision);
    }
    let signed_parts = serde_json::json!({
        "apiVersion": object.get("apiVersion"),
        "kind": object.get("kind"),
        "metadata": {"name": object.pointer("/metadata/name")},
        "spec": object.get("spec"),
    });
    let (Ok(manifest), Ok(bytes)) = (Manifest::read(object), canonical_json(&signed_parts)) else {
        return refuse(Decision::refusal(Reason::RuleFailed, "the manifest cannot be written into the ledger"));
    };
    let text = sha256(bytes.as_slice());
    let whole = String::from_utf8_lossy(bytes.as_slice()).into_owned();
    // A lapse that nobody wrote down yet comes first: what is adopted now stands on the charter before it.
    let mut events = lapse(state, facts).events;
    events.extend(pieces(&whole, text));
    events.push(Event::Adopt(AdoptEvent {
        object: manifest.document.object.clone(),
        version: manifest.version,
        digest: manifest.document.digest,
        text,
    }));
    Outcome { events, reply: Reply::Done }
}

fn pieces(whole: &str, text: crate::units::Digest) -> Vec<Event> {
    let chars: Vec<char> = whole.chars().collect();
    let parts = u32::try_from(chars.len().div_ceil(PIECE)).unwrap_or(u32::MAX);
    chars
        .chunks(PIECE)
        .zip(0..)
        .map(|(piece, part)| Event::Document(DocumentEvent { text, part, parts, piece: piece.iter().collect() }))
        .collect()
}

/// The organ that carries commands out: the first destination of the signal.
#[must_use]
pub fn executor(charter: &Charter) -> Option<&str> {
    charter.routes.get(&Signal::ControlCommand).and_then(|r| r.to.first()).map(String::as_str)
}

/// Begins the action of a stored command: judged again, then consumed.
pub(super) fn begin(object: &Value, state: &State, facts: &Facts) -> Outcome {
    let Judged { decision, summary, signers, .. } = judge_command(object, state, facts);
    if !decision.is_allowed() {
        return refuse(decision);
    }
    let (Ok(command), Some(in_force), TargetFact::Found(observed)) =
        (Command::read(object), state.charter(facts.now), &facts.target)
    else {
        return refuse(Decision::refusal(Reason::RuleFailed, "the command was allowed but cannot be begun"));
    };
    let Action::Workload { action, target } = command.action.clone() else {
        return refuse(Decision::refusal(
            Reason::RuleFailed,
            "the command changes no workload; it is enacted, not begun",
        ));
    };
    let Some(executor) = executor(&in_force.charter) else {
        let message = format!("the charter routes the signal {} to nobody", Signal::ControlCommand);
        return refuse(Decision::refusal(Reason::RouteForbidden, message));
    };
    let begin = EffectBeginEvent {
        object: command.document.object.clone(),
        digest: command.document.digest,
        summary: summary.unwrap_or_default(),
        target: target.clone(),
        until: command.action.until(),
        executor: executor.to_owned(),
        observed: observed.clone(),
        signers,
        charter: CharterRef { version: in_force.reference.version, digest: in_force.reference.digest },
        post_mortem_due: due(&command, &in_force.charter, facts.now, |r| r.post_mortem_within),
        rules: decision.rules,
        now: facts.now,
    };
    let plan = EffectPlan { digest: begin.digest, action, target, begin: begin.clone() };
    Outcome { events: vec![Event::EffectBegin(Arc::new(begin))], reply: Reply::Begin(Box::new(plan)) }
}

/// The earliest time that an enforced rule sets for something that is owed afterwards.
fn due(
    command: &Command,
    charter: &Charter,
    now: UnixSeconds,
    within: impl Fn(&Rule) -> Option<Seconds>,
) -> Option<UnixSeconds> {
    let rules = command_rules(command, charter).into_iter().filter(|r| r.mode == Mode::Enforce);
    rules.filter_map(within).min().map(|within| now.plus(within))
}

/// Lets a stored command change State: judged again, then consumed and done by one entry.
pub(super) fn enact(object: &Value, state: &State, facts: &Facts) -> Outcome {
    let Judged { decision, summary, signers, .. } = judge_command(object, state, facts);
    if !decision.is_allowed() {
        return refuse(decision);
    }
    let (Ok(command), Some(in_force)) = (Command::read(object), state.charter(facts.now)) else {
        return refuse(Decision::refusal(Reason::RuleFailed, "the command was allowed but cannot be enacted"));
    };
    let acknowledge_due = due(&command, &in_force.charter, facts.now, |r| r.acknowledge_within);
    let Action::State(action) = command.action else {
        return refuse(Decision::refusal(
            Reason::RuleFailed,
            "the command changes a workload; it is begun, not enacted",
        ));
    };
    let event = EnactEvent {
        object: command.document.object.clone(),
        digest: command.document.digest,
        summary: summary.unwrap_or_default(),
        action,
        signers,
        charter: in_force.reference.clone(),
        rules: decision.rules,
        acknowledge_due,
        now: facts.now,
    };
    Outcome { events: vec![Event::Enact(Box::new(event))], reply: Reply::Done }
}

/// Lets a stored version of an objective hold: judged again.
pub(super) fn set_objective(object: &Value, state: &State, facts: &Facts) -> Outcome {
    let Judged { decision, signers, .. } = judge_slo(object, state, facts);
    let (Ok(slo), Some(in_force)) = (SloDocument::read(object), state.charter(facts.now)) else {
        return refuse(decision);
    };
    let summary = slo.asks_for();
    let SloDocument { document, slo } = slo;
    let held = state.objective(&document.object.namespace, &document.object.name);
    if held.is_some_and(|held| held.digest == document.digest) {
        return Outcome { events: Vec::new(), reply: Reply::Done };
    }
    if !decision.is_allowed() {
        return refuse(decision);
    }
    let rules = slo_rules(&document.object.namespace, &in_force.charter).into_iter();
    let event = SloSetEvent {
        version: slo.version,
        digest: document.digest,
        summary,
        expires_at: document.expires_at,
        counts: slo.indicator.id(slo.budgeting, Resolution::DEFAULT).to_string(),
        window: slo.window.longest(),
        gate: slo.gate.as_ref().map(GateTerms::of),
        retired: slo.life == Life::Retired,
        mitigate_within: rules.filter(|r| r.mode == Mode::Enforce).filter_map(|r| r.mitigate_within).min(),
        object: document.object,
        signers,
        charter: in_force.reference.clone(),
        rules: decision.rules,
        now: facts.now,
    };
    Outcome { events: vec![Event::SloSet(Box::new(event))], reply: Reply::Done }
}

/// Writes down that the time of an emergency charter is over.
pub(super) fn lapse(state: &State, facts: &Facts) -> Outcome {
    let over = state.emergency().filter(|e| facts.now >= e.ratify_by);
    let events = over.map(|e| {
        let (object, charter) = (e.charter.object.clone(), e.charter.reference.clone());
        Event::Lapse(LapseEvent { object, charter, ratify_by: e.ratify_by, now: facts.now })
    });
    Outcome { events: events.into_iter().collect(), reply: Reply::Done }
}
