//! Changes of workloads, judged again: what they would run is not in the ledger, but everything else that was judged is.

use crate::api::GatedKind;
use crate::constitution::{DecisionEvent, Event, Facts, GateRequest, GatedTarget, ObjectRef, Proposal, deliberate};
use crate::units::Digest;

use super::{Bench, Finding, compare};

impl Bench {
    /// A change of a workload that something stood against. Its entry holds everything that was judged; the pod template before was another one.
    pub(super) fn gated(&self, event: &Event, decision: &DecisionEvent) -> Option<Finding> {
        let ObjectRef { kind, namespace, name } = &decision.object;
        let kind = GatedKind::from_kind(kind)?;
        let request = GateRequest {
            uid: decision.request.clone(),
            operation: decision.operation,
            target: GatedTarget { kind, namespace: namespace.clone(), name: name.clone() },
            // The template is not in the ledger, but for one that a plan names: another one than before, that is all that was
            // judged of it.
            template: self.planned(decision).or(decision.digest).or(decision.commitment)?,
            template_before: None,
            actor: decision.actor.clone(),
        };
        let facts = Facts { budgets: decision.budgets.clone(), ..self.facts(decision.now, decision.target.clone()) };
        let outcome = deliberate(&Proposal::Gate(Box::new(request)), &self.state, &facts);
        Some(compare(event, &outcome.with_commitment(decision.commitment, &self.state)))
    }

    fn planned(&self, decision: &DecisionEvent) -> Option<Digest> {
        let used = decision.plans.first()?;
        self.state.plans(decision.now).find(|(command, _)| *command == used).map(|(_, plan)| plan.mitigation.template)
    }
}
