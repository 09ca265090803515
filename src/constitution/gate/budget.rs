//! What error budgets stand against. The verdict is the ledger's; the facts only tell whether it is fresh. Back to what ran well
//! a workload may always go, and an approved plan lets one change pass.

use crate::api::reason::Reason;
use crate::slo::OnUnknown;
use crate::units::{Digest, Seconds, UnixSeconds};

use super::super::charter::Mode;
use super::super::decision::{Advice, Finding, NextStep};
use super::super::event::{BudgetVerdict, ObjectRef};
use super::super::facts::{BudgetFact, Facts};
use super::super::request::Operation;
use super::super::state::{Measured, Objective, State};
use super::GateRequest;

/// How many measurements may be missed before a verdict is worth nothing.
const INTERVALS: u64 = 3;
/// What a measurement itself may take.
const GRACE: Seconds = Seconds(10);
/// How far the clock that measured may be ahead of ours.
const SKEW: Seconds = Seconds(60);
/// Whatever a status says of its interval, a verdict is not believed for longer than this.
const LONGEST_AGE: Seconds = Seconds(30 * 60);

/// What budgets say of a change.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Why it is refused.
    pub(super) refused: Vec<Finding>,
    /// On which exceptions it passes.
    pub(super) allowed: Vec<Finding>,
    /// What would refuse it, but only tells.
    pub(super) advice: Vec<Advice>,
    /// The plans that it uses.
    pub(super) plans: Vec<Digest>,
}

/// Why an objective stands against a change.
struct Barrier {
    reason: Reason,
    /// What is known, without the name of the objective.
    what: String,
}

/// Judges a change under every objective that binds the workload.
pub(super) fn judge(request: &GateRequest, state: &State, facts: &Facts) -> Judged {
    let mut judged = Judged::default();
    let (target, new) = (&request.target, request.operation == Operation::Create);
    for objective in state.objectives_in(&target.namespace).filter(|o| o.binds(target.kind, &target.name, new)) {
        let fact = facts.budgets.iter().find(|f| f.slo == objective.object.name);
        let Some(barrier) = barrier(objective, fact, facts.now) else { continue };
        let unknown = objective.gate.as_ref().map_or(OnUnknown::Deny, |terms| terms.on_unknown);
        match (barrier.reason, unknown) {
            (Reason::BudgetUnknown, OnUnknown::Allow) => continue,
            (Reason::BudgetUnknown, OnUnknown::Warn) => {
                let finding = finding(objective, &barrier, None, request);
                let rule = objective.object.to_string();
                judged.advice.push(Advice { rule, mode: Mode::Warn, findings: vec![finding] });
                continue;
            }
            _ => {}
        }
        if let Some(seen) = healthy(objective, fact, facts.now) {
            judged.allowed.push(rolled_back(objective, seen));
        } else if let Some((command, finding)) = planned(objective, request, state, facts.now) {
            judged.allowed.push(finding);
            judged.plans.push(command);
        } else {
            judged.refused.push(finding(objective, &barrier, fact, request));
        }
    }
    judged
}

/// What an objective has against changes now; `None` when its budget is known not to be spent.
fn barrier(objective: &Objective, fact: Option<&BudgetFact>, now: UnixSeconds) -> Option<Barrier> {
    let unknown = |what: String| Some(Barrier { reason: Reason::BudgetUnknown, what });
    if now >= objective.expires_at {
        return unknown(format!("it expired at {}; sign its next version", objective.expires_at));
    }
    let Some(measured) = objective.verdict else {
        return unknown("it was not measured yet".to_owned());
    };
    let Measured { verdict, since, spent: _, index } = measured;
    // That it was spent when somebody last knew is the better answer, also when nobody knows now: a Prometheus that is down
    // opens no gate.
    if let Some(since) = measured.spent_since() {
        let what = format!("its error budget is spent since {since} (ledger entry {index})");
        return Some(Barrier { reason: Reason::BudgetExhausted, what });
    }
    match verdict {
        BudgetVerdict::Unknown => {
            unknown(format!("nobody can tell how much is left since {since} (ledger entry {index})"))
        }
        BudgetVerdict::Met | BudgetVerdict::Exhausted => stale(objective, fact, now).and_then(unknown),
    }
}

/// Why a verdict is too old to be believed; `None` when it is fresh.
fn stale(objective: &Objective, fact: Option<&BudgetFact>, now: UnixSeconds) -> Option<String> {
    let Some(fact) = fact else {
        return Some("its object is gone or has no status; create it again, or sign a version with retired".to_owned());
    };
    let BudgetFact { slo: _, digest, evaluated_at, interval, healthy: _, numbers: _ } = fact;
    if *digest != objective.digest {
        return Some(format!("version {} was not measured yet", objective.version));
    }
    if *evaluated_at > now.plus(SKEW) {
        return Some(format!("it was measured at {evaluated_at}, which is in the future; look at the clocks"));
    }
    let limit = Seconds(interval.0.saturating_mul(INTERVALS).saturating_add(GRACE.0)).min(LONGEST_AGE);
    let age = now.since(*evaluated_at);
    (age > limit).then(|| format!("it was last measured at {evaluated_at}, {age} ago, and {limit} is the limit"))
}

/// When the template that is asked for last ran well, if that is inside of the window.
fn healthy(objective: &Objective, fact: Option<&BudgetFact>, now: UnixSeconds) -> Option<UnixSeconds> {
    let seen = fact?.healthy?;
    (seen <= now.plus(SKEW) && seen >= now.minus(objective.window)).then_some(seen)
}

fn rolled_back(objective: &Objective, seen: UnixSeconds) -> Finding {
    let message = format!(
        "{}: the pod template ran until {seen} while the error budget was not spent; back to it is always allowed",
        objective.object
    );
    Finding { reason: Reason::RolledBack, message, rule: None, next: None }
}

/// The plan that covers the change: the one that ends first.
fn planned(objective: &Objective, request: &GateRequest, state: &State, now: UnixSeconds) -> Option<(Digest, Finding)> {
    let fits = state.plans(now).filter(|(_, plan)| {
        let m = &plan.mitigation;
        (m.slo.as_str(), m.objective) == (objective.object.name.as_str(), objective.digest)
            && (&m.target, m.template) == (&request.target, request.template)
    });
    let (command, plan) = fits.min_by_key(|(_, plan)| (plan.mitigation.until, plan.index))?;
    let left = plan.left.saturating_sub(1);
    let message = format!(
        "{}: the mitigation plan of ledger entry {} covers this change; {left} more by it until {}",
        objective.object, plan.index, plan.mitigation.until
    );
    Some((*command, Finding { reason: Reason::PlanUsed, message, rule: None, next: None }))
}

fn finding(objective: &Objective, barrier: &Barrier, fact: Option<&BudgetFact>, request: &GateRequest) -> Finding {
    let Objective { object, digest, summary, .. } = objective;
    let ObjectRef { kind: _, namespace, name } = object;
    let numbers = fact.map(|f| f.numbers.as_str()).filter(|n| !n.is_empty());
    let numbers = numbers.map(|n| format!("; {n}")).unwrap_or_default();
    Finding {
        reason: barrier.reason,
        message: format!(
            "{object} ({summary}): {}{numbers}; rollbacks to what ran well, scaling and deletions pass",
            barrier.what
        ),
        rule: None,
        next: Some(NextStep::Run(format!(
            "miax draft mitigate {} -n {namespace} --slo {name} --objective {digest} --template {} --for 2h",
            request.target.short(),
            request.template
        ))),
    }
}
