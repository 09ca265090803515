//! From the bytes of a review to the bytes of its answer.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::constitution::{Decision, Proposal, Reply, authority, judge, unchanged};
use crate::store::{AppendError, Committed, Health, Kept, Ledger};
use crate::telemetry::Metrics;
use crate::trust::{CanonicalBytes, Salt};
use crate::units::Digest;

use super::review::{Review, ReviewError, respond};
use super::salts::Salts;
use super::snapshot::Snapshot;

/// How long a decision waits for the ledger. The webhook's own timeout is 3 s, the handler's budget 1 s.
pub(super) const APPEND_DEADLINE: Duration = Duration::from_millis(800);
/// Reviews that are worked on at once; more would only wait beyond the deadline.
const MAX_IN_FLIGHT: usize = 1024;

/// Answers reviews of governed kinds and of gated workloads.
pub struct Webhook {
    pub(super) ledger: Ledger,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) doubts: Doubts,
    pub(super) salts: Salts,
    places: Semaphore,
}

/// Tells why nothing governed may be allowed at the moment, whatever the judge says: reason and message.
pub type Doubts = Arc<dyn Fn() -> Option<(Reason, String)> + Send + Sync>;

impl Webhook {
    /// A webhook on this ledger.
    #[must_use]
    pub fn new(ledger: Ledger, snapshot: Arc<Snapshot>, metrics: Arc<Metrics>, salts: Salts) -> Self {
        Self { ledger, snapshot, metrics, salts, doubts: Arc::new(|| None), places: Semaphore::new(MAX_IN_FLIGHT) }
    }

    /// The same, which allows nothing while there are doubts.
    #[must_use]
    pub fn with_doubts(self, doubts: Doubts) -> Self {
        Self { doubts, ..self }
    }

    /// Answers one review; always an AdmissionReview, whatever the bytes are.
    pub async fn answer(&self, body: &[u8]) -> Value {
        let started = Instant::now();
        let review = match Review::read(body) {
            Ok(review) => review,
            Err(ReviewError { uid, reason, message }) => {
                return respond(&uid, &Decision::refusal(reason, message), Kept::Nowhere);
            }
        };
        let (uid, kind) = (review.request.uid.clone(), review.request.kind);
        let (decision, kept) = match self.places.try_acquire() {
            Ok(_place) => safely(self.decide(review)).await,
            Err(_) => {
                (Decision::refusal(Reason::Overloaded, "too many reviews wait; try again in a moment"), Kept::Nowhere)
            }
        };
        self.tell(&uid, kind, &decision, kept, started.elapsed());
        respond(&uid, &decision, kept)
    }

    fn tell(&self, uid: &str, kind: GovernedKind, decision: &Decision, kept: Kept, took: Duration) {
        let reason = decision.reason();
        self.metrics.decided(kind, reason, took);
        if decision.recorded {
            let (index, folded) = (kept.index().map(|i| i.0), kept.folded().map(|f| f.to_string()));
            let allowed = decision.is_allowed();
            tracing::info!(uid, kind = kind.kind(), allowed, %reason, index, folded, "decided");
        }
    }

    async fn decide(&self, review: Review) -> (Decision, Kept) {
        let Review { request, dry_run } = review;
        // Syncers re-apply for ever; that is neither judged nor recorded (R30).
        if let Some(decision) = unchanged(&request) {
            return (decision, Kept::Nowhere);
        }
        // Not a verdict, and not recorded: what is in doubt is the record itself.
        if let Some((reason, message)) = (self.doubts)() {
            return (Decision::refusal(reason, message), Kept::Nowhere);
        }
        let facts = self.snapshot.facts(&request);
        if dry_run {
            let view = self.ledger.view();
            let decision = match &view.health {
                Health::Whole => judge(&request, &view.state, &facts),
                Health::Starting => unable(&AppendError::Starting),
                Health::Broken(what) => unable(&AppendError::Broken(what.clone())),
            };
            return (decision, Kept::Nowhere);
        }
        let payload = request.object.as_ref().or(request.old.as_ref()).map(authority);
        // What has no canonical bytes is refused, and its entry commits to nothing.
        let payload = payload.and_then(Result::ok).map(CanonicalBytes::into_vec).unwrap_or_default();
        let Some((salt, commitment)) = self.salts.commit(&payload) else { return (no_randomness(), Kept::Nowhere) };
        let uid = request.uid.clone();
        let append = self.ledger.decide(Proposal::Review(Box::new(request)), facts, Some(commitment));
        let answer = match tokio::time::timeout(APPEND_DEADLINE, append).await {
            Ok(Ok(Committed { kept, reply: Reply::Judged(decision) })) => (*decision, kept),
            Ok(Ok(Committed { reply: Reply::JudgedBefore(index, decision), .. })) => (*decision, Kept::Entry(index)),
            Ok(Ok(Committed { reply: Reply::Begin(_) | Reply::Done | Reply::Passed, .. })) => {
                (Decision::refusal(Reason::RuleFailed, "the review was answered with something else"), Kept::Nowhere)
            }
            Ok(Err(error)) => (unable(&error), Kept::Nowhere),
            Err(_) => {
                let message = format!("the ledger did not answer in {} ms; try again", APPEND_DEADLINE.as_millis());
                (Decision::refusal(Reason::LedgerUnavailable, message), Kept::Nowhere)
            }
        };
        self.keep_salt(&uid, &commitment, salt).await;
        answer
    }

    /// Keeps a salt beside the one entry that holds its commitment, whoever appended that: a request that only repeats another is
    /// answered with an entry that has a salt of its own.
    pub(super) async fn keep_salt(&self, uid: &str, commitment: &Digest, salt: Salt) {
        if let Some((index, _)) = self.ledger.view().state.committed(uid, commitment) {
            self.salts.keep(index, salt).await;
        }
    }
}

/// A mistake of ours is a refusal with its own reason, not a broken connection.
pub(super) async fn safely(deciding: impl Future<Output = (Decision, Kept)>) -> (Decision, Kept) {
    let decided = AssertUnwindSafe(deciding).catch_unwind().await;
    let failed = || Decision::refusal(Reason::RuleFailed, "the judge failed; please report this");
    decided.unwrap_or_else(|_| (failed(), Kept::Nowhere))
}

/// Without a salt nothing is written about anybody.
pub(super) fn no_randomness() -> Decision {
    Decision::refusal(Reason::RuleFailed, "the operating system of the webhook gives no random bytes; look at its node")
}

/// An allow that cannot be recorded is a refusal.
pub(super) fn unable(error: &AppendError) -> Decision {
    let reason = match error {
        AppendError::Broken(_) => Reason::LedgerBroken,
        AppendError::Full { .. } => Reason::LedgerFull,
        AppendError::Refused(_) | AppendError::Starting | AppendError::Stopped => Reason::LedgerUnavailable,
        AppendError::Unrecordable(_) => Reason::RuleFailed,
    };
    Decision::refusal(reason, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::EntryClass;

    #[test]
    fn what_cannot_be_recorded_says_why() {
        let check = |error: &AppendError, reason: Reason, part: &str| {
            let decision = unable(error);
            assert_eq!((decision.reason(), decision.is_allowed()), (reason, false));
            assert!(decision.message().contains(part), "{}", decision.message());
        };
        let full = AppendError::Full { class: EntryClass::Ordinary, used: 7, cap: 8 };
        check(&full, Reason::LedgerFull, "7 of 8 bytes, too many for another decision");
        check(&AppendError::Broken("x".to_owned()), Reason::LedgerBroken, "broken: x");
        check(&AppendError::Starting, Reason::LedgerUnavailable, "still being read");
    }
}
