//! The gate: changes of workloads that are no governed objects. It judges what runs, not who asks: a pod template that changes
//! in a frozen namespace, or while an error budget is spent. Scaling, deletions and everything that changes no pod template are
//! none of its business.

mod budget;

use std::sync::Arc;

use crate::api::names::executor_account;
use crate::api::reason::Reason;
use crate::units::{Digest, UnixSeconds};

use super::action::{FREEZE, GatedTarget};
use super::decision::{Advice, Decision, Finding, NextStep, Verdict};
use super::event::{DecisionEvent, Event, ObjectRef};
use super::facts::{BudgetFact, Facts, TargetFact};
use super::proposal::{Outcome, Reply};
use super::request::Operation;
use super::state::{Freeze, Standing, State};

/// Days in which a refusal looks for the end of a window: it is no place for a search through a year.
const TWO_WEEKS: usize = 14;

/// One change of a workload, as the API server asks about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GateRequest {
    /// UID of the admission request.
    pub uid: String,
    /// What is asked; a deletion never comes here.
    pub operation: Operation,
    /// The workload.
    pub target: GatedTarget,
    /// SHA-256 of the canonical pod template that it would have.
    pub template: Digest,
    /// The same of the one that it has; `None` for a new workload.
    pub template_before: Option<Digest>,
    /// Who sent the request. Only the account of an executor is looked at, and only while its command runs.
    pub actor: String,
}

/// What the gate says of a change that something stands against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gated {
    /// The judgement: a refusal, or an allow that stands on an exception.
    pub decision: Decision,
    /// Mitigation plans of which it uses one use each.
    pub plans: Vec<Digest>,
}

impl GateRequest {
    /// Whether another pod template would run afterwards.
    #[must_use]
    pub fn changes_template(&self) -> bool {
        self.template_before != Some(self.template)
    }

    fn object(&self) -> ObjectRef {
        let GatedTarget { kind, namespace, name } = &self.target;
        ObjectRef { kind: kind.as_str().to_owned(), namespace: namespace.clone(), name: name.clone() }
    }
}

/// Judges a change. `None` lets it pass without a record: it changes no pod template, or nothing stands against it.
#[must_use]
pub fn gate(request: &GateRequest, state: &State, facts: &Facts) -> Option<Gated> {
    if !request.changes_template() || acts(request, state) {
        return None;
    }
    let mut findings: Vec<Finding> = freeze(&request.target, state, facts.now).into_iter().collect();
    let budget::Judged { refused, allowed, advice, plans } = budget::judge(request, state, facts);
    findings.extend(refused);
    let verdict = if findings.is_empty() { Verdict::Allow } else { Verdict::Deny };
    if verdict == Verdict::Allow {
        findings = allowed;
    }
    let mut decision = Decision::refusal(Reason::Passed, "nothing stands against it");
    if findings.is_empty() && advice.is_empty() {
        return None;
    }
    decision.verdict = verdict;
    decision.recorded = !findings.is_empty();
    if !findings.is_empty() {
        decision.findings = findings;
    }
    decision.advice = advice;
    decision.digest = Some(request.template);
    decision.charter = state.charter(facts.now).map(|c| c.reference.clone());
    // A plan is for what passes by it; what is refused for another reason uses nothing.
    let plans = if verdict == Verdict::Allow { plans } else { Vec::new() };
    Some(Gated { decision, plans })
}

/// Whether an approved command does it. The authority is the command that the ledger says is running; the account only tells its
/// executor from anybody else who would use the moment.
fn acts(request: &GateRequest, state: &State) -> bool {
    let target = request.target.workload();
    let mut running = state.running();
    running.any(|(_, begin, _)| {
        Some(&begin.target) == target.as_ref() && executor_account(&begin.executor) == request.actor
    })
}

fn freeze(target: &GatedTarget, state: &State, now: UnixSeconds) -> Option<Finding> {
    let waiver = target.workload().and_then(|target| state.waived(FREEZE, &target, now));
    // A waiver is an exception to the freezes that its signers knew; what is frozen after it holds.
    let bound = |freeze: &&Freeze| waiver.is_none_or(|waiver| waiver.index < freeze.standing.index);
    let mut freezes = state.freezing(&target.namespace, now).filter(bound);
    let first = freezes.next()?;
    Some(frozen(target, first, freezes.count(), now))
}

fn frozen(target: &GatedTarget, freeze: &Freeze, others: usize, now: UnixSeconds) -> Finding {
    let namespace = &target.namespace;
    let Freeze { standing: Standing { decision: _, index, organ, until }, calendar, way_out, rests_until: _ } = freeze;
    let end = until.map_or_else(|| "it is thawed".to_owned(), |until| until.to_string());
    let pause = calendar.as_ref().and_then(|calendar| calendar.turns(now, TWO_WEEKS));
    let windows = calendar.as_ref().map(|c| format!(" in the windows {c}")).unwrap_or_default();
    let mut message = format!("{organ} froze the namespace {namespace}{windows} until {end} (ledger entry {index})");
    message.push_str(&pause.map(|at| format!("; this window closes at {at}")).unwrap_or_default());
    message.push_str("; its pod templates change only by commands, while scaling and deletions pass");
    if !way_out.is_empty() {
        let seats: Vec<&str> = way_out.iter().map(String::as_str).collect();
        message.push_str(&format!("; a waiver for it needs {}", seats.join(" and ")));
    }
    if others > 0 {
        message.push_str(&format!("; other freezes of it that hold: {others}"));
    }
    Finding {
        reason: Reason::NamespaceFrozen,
        message,
        rule: None,
        next: Some(NextStep::Run(format!(
            "miax draft waive {} -n {namespace} --rule {FREEZE} --until TIME",
            target.short()
        ))),
    }
}

/// What a judgement leads to: one entry, however often a syncer tries the same again. Advice alone is not recorded.
pub(super) fn record(request: &GateRequest, state: &State, facts: &Facts, gated: Gated) -> Outcome {
    let Gated { decision, plans } = gated;
    if !decision.recorded {
        return Outcome { events: Vec::new(), reply: Reply::Judged(Box::new(decision)) };
    }
    let event = DecisionEvent {
        request: request.uid.clone(),
        operation: request.operation,
        object: request.object(),
        digest: Some(request.template),
        inputs: None,
        commitment: None,
        summary: None,
        actor: request.actor.clone(),
        verdict: decision.verdict,
        findings: decision.findings.iter().map(|f| without_template(f, &request.template)).collect(),
        rules: Vec::new(),
        seats: Vec::new(),
        advice: decision.advice.iter().map(|a| advice_without_template(a, &request.template)).collect(),
        signers: Vec::new(),
        charter: decision.charter.clone(),
        now: facts.now,
        target: TargetFact::NotNamed,
        budgets: looked_at(request, state, facts),
        plans,
    };
    // The API server repeats a question whose answer was late: the same change uses a plan once.
    let before = match decision.verdict {
        Verdict::Allow => state.judged(&event),
        Verdict::Deny => state.repeated(&event),
    };
    if let Some((index, _)) = before {
        return Outcome { events: Vec::new(), reply: Reply::JudgedBefore(index, Box::new(decision)) };
    }
    Outcome { events: vec![Event::Decision(Arc::new(event))], reply: Reply::Judged(Box::new(decision)) }
}

/// What was known of the objectives that bind the workload; others of its namespace say nothing about the change.
fn looked_at(request: &GateRequest, state: &State, facts: &Facts) -> Vec<BudgetFact> {
    let GatedTarget { kind, namespace, name } = &request.target;
    let new = request.operation == Operation::Create;
    let binds = |slo: &str| state.objective(namespace, slo).is_some_and(|o| o.binds(*kind, name, new));
    facts.budgets.iter().filter(|fact| binds(&fact.slo)).cloned().collect()
}

/// The ledger keeps no digest of a pod template (ADR 0020); only who asked is told what to put into a plan.
fn without_template(finding: &Finding, template: &Digest) -> Finding {
    let mut finding = finding.clone();
    if let Some(NextStep::Run(command)) = &mut finding.next {
        *command = command.replace(&template.to_string(), "DIGEST");
    }
    finding
}

fn advice_without_template(advice: &Advice, template: &Digest) -> Advice {
    let findings = advice.findings.iter().map(|f| without_template(f, template)).collect();
    Advice { findings, ..advice.clone() }
}
