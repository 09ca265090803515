//! Forwarding: one replica, the holder of a Lease, appends for all, so that they do not race for the next block. The Lease and
//! the connection only save work; compare-and-swap stays the only safety, and whoever gets no answer appends by itself.
//!
//! Must not: believe what the other replica says. Its answer tells how far to read; the reply comes from our own State, which
//! has folded and checked the block. A proposal whose answer is lost may be recorded: appended again it is judged against
//! State, which finds it by its request UID (ADR 18).

mod desk;
mod link;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::constitution::{Proposal, Reply};
use crate::units::LogIndex;

use super::draft::judge_safely;
use super::handle::{AppendError, Committed, Health, Kept, View};
use link::Miss;
use wire::{Answer, Asking};

pub use desk::{Common, Desk};
pub use link::Link;
pub(super) use wire::Class;

/// How long another replica may take, until our own State holds its answer. A review has 800 ms; the rest is for an append of
/// our own.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_millis(300);

/// What became of the proposals that could be forwarded, for metrics.
#[derive(Debug, Default)]
pub struct ForwardStats {
    /// Recorded by the sequencer, and answered from our own State.
    pub recorded: AtomicU64,
    /// Refused by the sequencer, or by the store behind it.
    pub refused: AtomicU64,
    /// Appended here: another replica is the sequencer, but there is no connection to it.
    pub unreachable: AtomicU64,
    /// Appended here: too many wait for the sequencer.
    pub full: AtomicU64,
    /// Appended here: the sequencer did not take it.
    pub declined: AtomicU64,
    /// Appended here: the connection ended before the answer came.
    pub lost: AtomicU64,
    /// Appended here: no answer in time.
    pub late: AtomicU64,
    /// Appended here: our own State does not hold, in time, what the sequencer says that it recorded.
    pub unconfirmed: AtomicU64,
    /// How many wait for an answer now.
    pub waiting: AtomicU64,
}

/// Where proposals go.
#[derive(Clone)]
pub enum Route {
    /// This replica is the sequencer, or nobody is.
    Here,
    /// Another replica is, and it cannot be reached.
    Unreachable,
    /// To the sequencer.
    To(Link),
}

/// Sends proposals to the sequencer.
#[derive(Clone)]
pub struct Forwarder {
    route: watch::Receiver<Route>,
    stats: Arc<ForwardStats>,
}

/// Keeps the count of those who wait right, also when a waiter is dropped.
struct Place<'a>(&'a AtomicU64);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU64) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Forwarder {
    /// A forwarder, and the switch that tells it where to.
    #[must_use]
    pub fn new() -> (Self, watch::Sender<Route>) {
        let (switch, route) = watch::channel(Route::Here);
        (Self { route, stats: Arc::new(ForwardStats::default()) }, switch)
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> &ForwardStats {
        &self.stats
    }

    /// Asks the sequencer. `None`: the proposal must be appended here, whether or not it was recorded meanwhile.
    pub(super) async fn ask(
        &self,
        class: Class,
        asking: Asking<'_>,
        mut view: watch::Receiver<Arc<View>>,
    ) -> Option<Result<Committed, AppendError>> {
        let stats = &*self.stats;
        let count = |what: &AtomicU64| what.fetch_add(1, Ordering::Relaxed);
        let link = match &*self.route.borrow() {
            Route::Here => return None,
            Route::Unreachable => None,
            Route::To(link) => Some(link.clone()),
        };
        let since = {
            let now = view.borrow_and_update();
            // Here there is an error to give.
            if now.health != Health::Whole {
                return None;
            }
            now.head.next_index()
        };
        let body = wire::question(class, asking)?;
        let Some(link) = link else {
            count(&stats.unreachable);
            return None;
        };
        let _place = Place::take(&stats.waiting);
        let deadline = Instant::now() + ANSWER_WITHIN;
        let missed = match link.ask(body, ANSWER_WITHIN).await {
            Ok(Answer::Recorded { size }) => {
                let reached = view.wait_for(|v| v.head.next_index().0 >= size || v.health != Health::Whole);
                let seen = match tokio::time::timeout_at(deadline, reached).await {
                    Ok(Ok(seen)) => Some(seen.clone()),
                    Ok(Err(_)) | Err(_) => None,
                };
                let answer = seen.and_then(|seen| own_answer(asking, since, &seen));
                count(if answer.is_some() { &stats.recorded } else { &stats.unconfirmed });
                return answer.map(Ok);
            }
            Ok(Answer::Refused(what)) => {
                count(&stats.refused);
                return Some(Err(AppendError::Refused(what)));
            }
            Ok(Answer::Unrecordable(what)) => {
                count(&stats.refused);
                return Some(Err(AppendError::Unrecordable(what)));
            }
            Ok(Answer::Declined) => &stats.declined,
            Err(Miss::Lost) => &stats.lost,
            Err(Miss::Late) => &stats.late,
            Err(Miss::Full) => &stats.full,
        };
        count(missed);
        None
    }
}

/// What our own State says to the proposal, when it says anything.
fn own_answer((proposal, facts, commitment): Asking<'_>, since: LogIndex, view: &View) -> Option<Committed> {
    if view.health != Health::Whole {
        return None;
    }
    if let Proposal::Review(request) = proposal
        && let Some((index, decision)) = view.state.decided_since(request, since)
    {
        return Some(Committed { kept: Kept::Entry(index), reply: Reply::Judged(Box::new(decision)) });
    }
    // A judge that stumbles stumbles again where there is an error to give.
    let outcome = judge_safely(proposal, &view.state, facts).ok()?.with_commitment(commitment, &view.state);
    outcome.events.is_empty().then_some(Committed { kept: Kept::Nowhere, reply: outcome.reply })
}
