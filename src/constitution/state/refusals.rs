//! Refusals that were written lately: whoever tries the very same again gets the same answer, and nothing is written.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::trust::sha256;
use crate::units::{Digest, LogIndex, Seconds};

use super::super::decision::{Decision, Verdict};
use super::super::event::DecisionEvent;
use super::recall::decision_of;
use super::spelling;

/// How many are remembered. The oldest goes, and at worst a refusal is written twice.
const REMEMBERED: usize = 4096;
/// For how long one answers those that follow: then it is news again that somebody still tries.
const ANSWERS_FOR: Seconds = Seconds(24 * 3600);

/// Refusals that were written lately.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Refusals {
    #[serde(serialize_with = "spelling::map")]
    newest: imbl::HashMap<Digest, (LogIndex, Arc<DecisionEvent>)>,
    order: imbl::Vector<Digest>,
}

/// What was judged, in one digest; `None` for what has none.
fn question(event: &DecisionEvent) -> Option<Digest> {
    // The inputs of a document name its object; a pod template may be that of several workloads.
    event.inputs.or_else(|| Some(sha256(format!("{} {}", event.object, event.digest?).as_bytes())))
}

impl Refusals {
    pub(super) fn remember(&mut self, index: LogIndex, event: &Arc<DecisionEvent>) {
        if let (Verdict::Deny, Some(question)) = (event.verdict, question(event)) {
            self.newest.insert(question, (index, event.clone()));
            self.order.push_back(question);
            if self.order.len() > REMEMBERED
                && let Some(oldest) = self.order.pop_front()
            {
                self.newest.remove(&oldest);
            }
        }
    }

    /// The index and judgement of the refusal that this one repeats: of the same actor, about the same bytes, under the same
    /// charter, for the same reasons in the same words.
    pub(super) fn repeated(&self, event: &DecisionEvent) -> Option<(LogIndex, Decision)> {
        let (index, before) = self.newest.get(&question(event)?)?;
        let answers = event.now < before.now.plus(ANSWERS_FOR);
        let what = |e: &DecisionEvent| (e.operation, e.verdict, e.digest, e.inputs);
        let same = what(event) == what(before)
            && (&event.actor, &event.object) == (&before.actor, &before.object)
            && (&event.findings, &event.charter) == (&before.findings, &before.charter)
            && (&event.advice, &event.signers) == (&before.advice, &before.signers);
        (answers && same).then(|| (*index, decision_of(before)))
    }
}
