//! Reviews of workloads in namespaces that opted in to the gate. Most change no pod template, or nothing stands against them:
//! those are answered from memory, without a record.

use serde_json::Value;
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::constitution::{Decision, Facts, GateRequest, Gated, Proposal, Reply, Verdict, gate};
use crate::store::{AppendError, Committed, Health, Kept};

use super::gated_review::GatedReview;
use super::handler::{APPEND_DEADLINE, Webhook, no_randomness, safely, unable};
use super::review::{ReviewError, respond};

impl Webhook {
    /// Answers one review of a workload; always an AdmissionReview, whatever the bytes are.
    pub async fn answer_gated(&self, body: &[u8]) -> Value {
        let started = Instant::now();
        let review = match GatedReview::read(body) {
            Ok(review) => review,
            Err(ReviewError { uid, reason, message }) => {
                return respond(&uid, &Decision::refusal(reason, message), Kept::Nowhere);
            }
        };
        let (decision, kept) = match review.change {
            None => (passed(), Kept::Nowhere),
            Some(change) => safely(self.decide_change(change, &review.payload, review.dry_run)).await,
        };
        self.metrics.gated(review.kind, decision.is_allowed(), started.elapsed());
        if !decision.is_allowed() || kept != Kept::Nowhere {
            let (reason, kind, allowed) = (decision.reason(), review.kind.as_str(), decision.is_allowed());
            let (index, folded) = (kept.index().map(|i| i.0), kept.folded().map(|f| f.to_string()));
            tracing::info!(uid = review.uid, kind, allowed, %reason, index, folded, "decided");
        }
        respond(&review.uid, &decision, kept)
    }

    /// Whether another pod template may run. In a namespace that opted in, a ledger that cannot be read refuses it: nobody knows
    /// what is frozen.
    async fn decide_change(&self, change: GateRequest, payload: &[u8], dry_run: bool) -> (Decision, Kept) {
        let view = self.ledger.view();
        let facts = self.snapshot.for_change(&change);
        let doubts = (self.doubts)();
        // The witnesses' silence is no reason: what is frozen is known. That the ledger is not the whole one is.
        if let Some((Reason::LedgerBroken, message)) = doubts {
            return (Decision::refusal(Reason::LedgerBroken, message), Kept::Nowhere);
        }
        let gated = match &view.health {
            Health::Whole => gate(&change, &view.state, &facts),
            Health::Starting => return (unable(&AppendError::Starting), Kept::Nowhere),
            Health::Broken(what) => return (unable(&AppendError::Broken(what.clone())), Kept::Nowhere),
        };
        let Some(Gated { decision, plans }) = gated else { return (passed(), Kept::Nowhere) };
        // A ledger that nobody vouches for may have forgotten that a plan was used.
        if let (Some((reason, message)), false) = (doubts, plans.is_empty()) {
            return (Decision::refusal(reason, message), Kept::Nowhere);
        }
        if dry_run || !decision.recorded {
            return (decision, Kept::Nowhere);
        }
        self.record_change(change, payload, facts, decision).await
    }

    /// Records what stands against a change, or lets it pass all the same. A refusal holds without its entry; an allow does not.
    async fn record_change(
        &self,
        change: GateRequest,
        payload: &[u8],
        facts: Facts,
        first: Decision,
    ) -> (Decision, Kept) {
        let Some((salt, commitment)) = self.salts.commit(payload) else { return (no_randomness(), Kept::Nowhere) };
        let uid = change.uid.clone();
        let append = self.ledger.decide(Proposal::Gate(Box::new(change)), facts, Some(commitment));
        let answer = match tokio::time::timeout(APPEND_DEADLINE, append).await {
            Ok(Ok(Committed { kept, reply: Reply::Judged(decision) })) => (*decision, kept),
            Ok(Ok(Committed { reply: Reply::JudgedBefore(index, decision), .. })) => (*decision, Kept::Entry(index)),
            // What stood against it ended between the look and the append.
            Ok(Ok(Committed { reply: Reply::Passed, .. })) => (passed(), Kept::Nowhere),
            Ok(Ok(Committed { reply: Reply::Begin(_) | Reply::Done, .. })) => {
                (without_entry(first, None), Kept::Nowhere)
            }
            Ok(Err(error)) => (without_entry(first, Some(&error)), Kept::Nowhere),
            Err(_) => (without_entry(first, None), Kept::Nowhere),
        };
        self.keep_salt(&uid, &commitment, salt).await;
        answer
    }
}

/// What holds of a judgement that could not be recorded.
fn without_entry(first: Decision, error: Option<&AppendError>) -> Decision {
    match (first.verdict, error) {
        (Verdict::Deny, _) => first,
        (Verdict::Allow, Some(error)) => unable(error),
        (Verdict::Allow, None) => {
            Decision::refusal(Reason::LedgerUnavailable, "the ledger did not take the entry in time; try again")
        }
    }
}

/// Nothing stands against it.
fn passed() -> Decision {
    let mut decision = Decision::refusal(Reason::Passed, "nothing stands against it");
    decision.verdict = Verdict::Allow;
    decision.recorded = false;
    decision
}
