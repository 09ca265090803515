//! Judgements that were made before: whoever asks the very same again is answered with their entry.

use crate::units::{Digest, LogIndex};

use super::super::decision::Decision;
use super::super::event::{DecisionEvent, ObjectRef};
use super::super::request::Request;
use super::State;

impl State {
    /// The index and judgement of this very question, when it was judged before with the same verdict: the same UID about the
    /// same bytes. A UID alone proves nothing, and an allow is never repeated for what would be refused now.
    pub(in super::super) fn judged(&self, question: &DecisionEvent) -> Option<(LogIndex, Decision)> {
        let (index, event) = self.judged.get(question.request.as_str())?;
        let DecisionEvent { inputs, verdict, operation, object, .. } = event.as_ref();
        let DecisionEvent { operation: o, object: b, inputs: i, verdict: v, .. } = question;
        let same = (operation, object, inputs, verdict) == (o, b, i, v);
        same.then(|| (*index, decision_of(event)))
    }

    /// The index and judgement of a refusal that this one only repeats.
    pub(in super::super) fn repeated(&self, refusal: &DecisionEvent) -> Option<(LogIndex, Decision)> {
        self.refusals.repeated(refusal)
    }

    /// The index and judgement of this request, when its entry is at `since` or later. Whoever asked when the ledger ended at
    /// `since` may answer with it: the judgement was made after the question. Older ones are judged again, see `judged`.
    #[must_use]
    pub fn decided_since(&self, request: &Request, since: LogIndex) -> Option<(LogIndex, Decision)> {
        let (index, event) = self.judged.get(request.uid.as_str())?;
        let DecisionEvent { inputs, operation, object, .. } = event.as_ref();
        let asked = ObjectRef::new(request.kind, &request.namespace, &request.name);
        let same = (*operation, object, *inputs) == (request.operation, &asked, request.inputs());
        (same && *index >= since).then(|| (*index, decision_of(event)))
    }

    /// The index and judgement of the request whose entry holds this commitment, if it is one of the newest.
    #[must_use]
    pub fn committed(&self, request: &str, commitment: &Digest) -> Option<(LogIndex, Decision)> {
        let (index, event) = self.judged.get(request)?;
        (event.commitment.as_ref() == Some(commitment)).then(|| (*index, decision_of(event)))
    }

    /// Whether the entry of this request used a mitigation plan, if it is one of the newest.
    pub(in super::super) fn used_a_plan(&self, request: &str) -> bool {
        self.judged.get(request).is_some_and(|(_, event)| !event.plans.is_empty())
    }
}

/// The judgement that an entry holds.
pub(super) fn decision_of(event: &DecisionEvent) -> Decision {
    Decision {
        verdict: event.verdict,
        findings: event.findings.clone(),
        digest: event.digest,
        rules: event.rules.clone(),
        seats: Vec::new(),
        advice: event.advice.clone(),
        charter: event.charter.clone(),
        recorded: true,
    }
}
