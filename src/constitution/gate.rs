//! The gate: changes of workloads that are no governed objects. It judges what runs, not who asks: a pod template that changes
//! in a frozen namespace. Scaling, deletions and everything that changes no pod template are none of its business.

use std::sync::Arc;

use crate::api::names::executor_account;
use crate::api::reason::Reason;
use crate::units::{Digest, UnixSeconds};

use super::action::{FREEZE, Target};
use super::decision::{Decision, Finding, NextStep, Verdict};
use super::event::{DecisionEvent, Event, ObjectRef};
use super::facts::{Facts, TargetFact};
use super::proposal::{Outcome, Reply};
use super::request::Operation;
use super::state::{Standing, State};

/// One change of a workload, as the API server asks about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRequest {
    /// UID of the admission request.
    pub uid: String,
    /// What is asked; a deletion never comes here.
    pub operation: Operation,
    /// The workload.
    pub target: Target,
    /// SHA-256 of the canonical pod template that it would have.
    pub template: Digest,
    /// The same of the one that it has; `None` for a new workload.
    pub template_before: Option<Digest>,
    /// Who sent the request. Only the account of an executor is looked at, and only while its command runs.
    pub actor: String,
}

impl GateRequest {
    /// Whether another pod template would run afterwards.
    #[must_use]
    pub fn changes_template(&self) -> bool {
        self.template_before != Some(self.template)
    }

    fn object(&self) -> ObjectRef {
        let Target { kind, namespace, name } = &self.target;
        ObjectRef { kind: kind.as_str().to_owned(), namespace: namespace.clone(), name: name.clone() }
    }
}

/// Judges a change. `None` lets it pass without a record: it changes no pod template, or nothing stands against it.
#[must_use]
pub fn gate(request: &GateRequest, state: &State, now: UnixSeconds) -> Option<Decision> {
    if !request.changes_template() {
        return None;
    }
    let target = &request.target;
    let freeze = state.frozen(&target.namespace, now)?;
    if state.waived(FREEZE, target, now).is_some() {
        return None;
    }
    // The authority is the command that the ledger says is running; the account only tells its executor from anybody else who
    // would use the moment.
    let acts = state
        .running()
        .any(|(_, begin, _)| begin.target == *target && executor_account(&begin.executor) == request.actor);
    if acts {
        return None;
    }
    let mut decision = Decision::refusal(Reason::NamespaceFrozen, "");
    decision.findings = vec![frozen(target, freeze)];
    decision.digest = Some(request.template);
    decision.charter = state.charter(now).map(|c| c.reference.clone());
    Some(decision)
}

fn frozen(target: &Target, freeze: &Standing) -> Finding {
    let Target { kind, namespace, name } = target;
    let end = freeze.until.map_or_else(|| "it is thawed".to_owned(), |until| until.to_string());
    let Standing { organ, index, .. } = freeze;
    let kind = kind.as_str().to_lowercase();
    Finding {
        reason: Reason::NamespaceFrozen,
        message: format!(
            "{organ} froze the namespace {namespace} until {end} (ledger entry {index}); its pod templates change only by commands, while scaling and deletions pass"
        ),
        rule: None,
        next: Some(NextStep::Run(format!(
            "miax draft waive {kind}/{name} -n {namespace} --rule {FREEZE} --until TIME"
        ))),
    }
}

/// What a refusal leads to: one entry, however often a syncer tries the same again.
pub(super) fn record(request: &GateRequest, state: &State, facts: &Facts, decision: Decision) -> Outcome {
    let event = DecisionEvent {
        request: request.uid.clone(),
        operation: request.operation,
        object: request.object(),
        digest: Some(request.template),
        inputs: None,
        commitment: None,
        summary: None,
        actor: request.actor.clone(),
        verdict: Verdict::Deny,
        findings: decision.findings.clone(),
        rules: Vec::new(),
        seats: Vec::new(),
        advice: Vec::new(),
        signers: Vec::new(),
        charter: decision.charter.clone(),
        now: facts.now,
        target: TargetFact::NotNamed,
    };
    if let Some((index, before)) = state.repeated(&event) {
        return Outcome { events: Vec::new(), reply: Reply::JudgedBefore(index, Box::new(before)) };
    }
    Outcome { events: vec![Event::Decision(Arc::new(event))], reply: Reply::Judged(Box::new(decision)) }
}
