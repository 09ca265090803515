//! Refusals of a flood: counted in memory and written as one `flood` entry per window (ADR 0015). They never reach the
//! sequencer one by one, so that whoever is refused cannot slow down whoever is not.
//!
//! The world after a crash: windows that are still open are lost, each no longer than the longest; what was answered in them
//! stays refused, because a refusal gives nobody any right.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::constitution::{DecisionEvent, Event, Facts, FloodEvent, FloodSource, Outcome, Proposal, Reply, TargetFact};
use crate::ledger::{EntryClass, Flood, Folding, Limits, MAX_ENTRY_BYTES, Pressure, Rate};
use crate::units::{Digest, LogIndex, Millis, Seconds, UnixSeconds};

use super::draft::judge_safely;
use super::flood::refusal_leaf;
use super::handle::{AppendError, Committed, Health, Kept, Ledger};

/// What refusals are held to. A person, a syncer or a CI job that errs stays below; a loop does not.
const LIMITS: Limits = Limits {
    each: Rate { burst: 32, refill: Millis(30_000) },
    all: Rate { burst: 1024, refill: Millis(100) },
    first_window: Millis(1_000),
    longest_window: Millis(60_000),
    most_sources: 1024,
};
/// Most bytes of a refusal that can be a sample: its entry holds a few fields more.
const MAX_SAMPLE: usize = MAX_ENTRY_BYTES - 4096;
/// How many refusals are remembered, and for how long one answers those that repeat it.
const REMEMBERED: usize = 4096;
const ANSWERS_FOR: Seconds = Seconds(24 * 3600);
/// How often it is looked whether a window is over.
const LOOK: Duration = Duration::from_millis(250);

/// The first refusal of a window.
struct Sample {
    event: Arc<DecisionEvent>,
    after: LogIndex,
}

/// The refusals of this process that are not written one by one.
pub(super) struct Refusals {
    started: Instant,
    open: Mutex<Folding<FloodSource, Sample>>,
    /// What was written lately, so that who tries the very same again is answered with that entry.
    recent: Mutex<Recent>,
    /// Windows that are over and not durable yet. Held while one is written, so that none is written twice.
    closed: tokio::sync::Mutex<Vec<FloodEvent>>,
}

impl Default for Refusals {
    fn default() -> Self {
        let (open, closed) = (Mutex::new(Folding::new(LIMITS)), tokio::sync::Mutex::default());
        Self { started: Instant::now(), open, recent: Mutex::default(), closed }
    }
}

impl Refusals {
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Folding<FloodSource, Sample>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refusals that this process wrote lately, by what was judged.
#[derive(Default)]
struct Recent {
    entries: HashMap<Digest, (LogIndex, UnixSeconds)>,
    order: VecDeque<Digest>,
}

impl Recent {
    fn answer(&self, what: &Digest, now: UnixSeconds) -> Option<LogIndex> {
        self.entries.get(what).filter(|(_, at)| now < at.plus(ANSWERS_FOR)).map(|(index, _)| *index)
    }

    fn remember(&mut self, what: Digest, index: LogIndex, at: UnixSeconds) {
        self.entries.insert(what, (index, at));
        self.order.push_back(what);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

/// What was judged and how, whenever it was asked.
fn without_time(event: &DecisionEvent) -> Option<Digest> {
    let timeless = DecisionEvent { request: String::new(), now: UnixSeconds::default(), ..event.clone() };
    refusal_leaf(&Arc::new(timeless)).map(|(hash, _)| hash)
}

fn entry_of(flood: Flood<FloodSource, Sample>) -> FloodEvent {
    let Flood { source, count, root, sample: Sample { event: sample, after }, last } = flood;
    FloodEvent { source, count, first: sample.now, last, root, after, sample }
}

/// Which windows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Windows {
    /// Those whose time is over. They find the room that refusals have, and wait in memory while there is none.
    Due,
    /// All, at the end of the process. Nobody remembers them afterwards: they may take the room of decisions.
    All,
}

impl Ledger {
    /// Judges a request of somebody else and records the verdict; returns when that is durable. A refusal that repeats one in
    /// the ledger is answered with that one. Of refusals beyond a rate only the count is recorded, after the answer.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was recorded, as far as this process knows. The request must be refused.
    pub async fn decide(
        &self,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Result<Committed, AppendError> {
        let view = self.view();
        // Why nothing can be decided is said in one place.
        if view.health != Health::Whole {
            return self.append_with(proposal, facts, commitment).await;
        }
        // A first look, against what is durable: only a refusal ends here, everything else is judged where it is appended.
        let Outcome { events, reply } = judge_safely(&proposal, &view.state, &facts)?;
        match (<[Event; 1]>::try_from(events), reply) {
            (Ok([Event::Decision(event)]), reply @ Reply::Judged(_)) => match FloodSource::of(&event) {
                Some(source) => {
                    let after = view.head.next_index();
                    self.refuse((proposal, facts, commitment), source, event, reply, after).await
                }
                None => self.append_with(proposal, facts, commitment).await,
            },
            (Err(none), Reply::JudgedBefore(index, decision)) if none.is_empty() && !decision.is_allowed() => {
                Ok(Committed { kept: Kept::Entry(index), reply: Reply::JudgedBefore(index, decision) })
            }
            _ => self.append_with(proposal, facts, commitment).await,
        }
    }

    async fn refuse(
        &self,
        (proposal, facts, commitment): (Proposal, Facts, Option<Digest>),
        source: FloodSource,
        mut event: Arc<DecisionEvent>,
        reply: Reply,
        after: LogIndex,
    ) -> Result<Committed, AppendError> {
        let now = self.refusals.now();
        let at = facts.now;
        // With a salt of its own no refusal of a workload looks like another one; only here it is known what it was.
        let known = commitment.is_some().then(|| without_time(&event)).flatten();
        if let Some(index) = known.and_then(|known| self.refusals.recent().answer(&known, at)) {
            let reply = match reply {
                Reply::Judged(decision) => Reply::JudgedBefore(index, decision),
                other => other,
            };
            return Ok(Committed { kept: Kept::Entry(index), reply });
        }
        // The fuller the ledger, the less a refusal may take: all of them share one window then, whoever they come from. When
        // nothing more is decided, a count that nobody could write down is promised to nobody.
        let view = self.view();
        let crowded = match view.pressure() {
            Pressure::Low | Pressure::Warn => false,
            Pressure::Fold => true,
            Pressure::Full => {
                let (used, cap) = (view.hot.bytes, view.budget.cap());
                return Err(AppendError::Full { class: EntryClass::Refusal, used, cap });
            }
        };
        let admitted = !crowded && self.refusals.open().admits(&source, now);
        if admitted && let Some(result) = self.append_if_idle(proposal, facts, commitment).await {
            let index = match &result {
                // Whoever appended it, here it is found by its commitment.
                Ok(Committed { reply: Reply::JudgedBefore(index, _), .. }) => Some(*index),
                Ok(Committed { kept, .. }) => kept.index(),
                Err(_) => None,
            };
            if let (Some(known), Some(index)) = (known, index) {
                self.refusals.recent().remember(known, index, at);
            }
            return result;
        }
        if let Some(commitment) = commitment {
            Arc::make_mut(&mut event).commit(commitment);
        }
        let unrecordable = |what: &str| AppendError::Unrecordable(what.to_owned());
        let (hash, size) = refusal_leaf(&event).ok_or_else(|| unrecordable("it has no canonical bytes"))?;
        if size > MAX_SAMPLE {
            return Err(unrecordable(
                "too many refusals come at once, and this one is too large to be counted with them",
            ));
        }
        let folded =
            self.refusals.open().fold((!crowded).then_some(&source), hash, at, now, || Sample { event, after });
        self.stats.folded.fetch_add(1, Ordering::Relaxed);
        Ok(Committed { kept: Kept::Folded(folded), reply })
    }

    /// Writes every refusal down that is only counted so far. For the end of the process.
    ///
    /// # Errors
    /// [`AppendError`]: the rest is still only counted, and nothing more of it can be written now.
    pub async fn flush_floods(&self) -> Result<(), AppendError> {
        loop {
            let before = self.stats.unfolded.load(Ordering::Relaxed);
            let result = self.write_floods(Windows::All).await;
            // Room is found for what entries have before packing: when some were written, there is room for more.
            if result.is_ok() || self.stats.unfolded.load(Ordering::Relaxed) == before {
                return result;
            }
        }
    }

    async fn write_floods(&self, which: Windows) -> Result<(), AppendError> {
        let mut closed = self.refusals.closed.lock().await;
        // What could not be written comes first; meanwhile the open windows go on counting and nothing grows.
        if closed.is_empty() || which == Windows::All {
            let now = self.refusals.now();
            let mut open = self.refusals.open();
            let over = if which == Windows::All { open.close_all() } else { open.close_due(now) };
            closed.extend(over.into_iter().map(entry_of));
        }
        // At once, so that they share a block.
        let worth = match which {
            Windows::Due => EntryClass::Refusal,
            Windows::All => EntryClass::Ordinary,
        };
        let written = futures::future::join_all(closed.iter().map(|event| self.write_flood(worth, event))).await;
        let mut result = Ok(());
        for (event, written) in std::mem::take(&mut *closed).into_iter().zip(written) {
            let count = event.count;
            match written {
                Ok(_) => {
                    self.stats.unfolded.fetch_add(count, Ordering::Relaxed);
                }
                // It would never be; nothing shall wait for it.
                Err(AppendError::Unrecordable(what)) => tracing::error!(count, what, "refusals cannot be written down"),
                Err(error) => {
                    closed.push(event);
                    result = Err(error);
                }
            }
        }
        result
    }

    async fn write_flood(&self, worth: EntryClass, event: &FloodEvent) -> Result<Committed, AppendError> {
        let now = event.last;
        let facts =
            Facts { now, cluster_uid: String::new(), genesis: None, target: TargetFact::NotNamed, budgets: Vec::new() };
        self.append_as(worth, Proposal::Flood(Box::new(event.clone())), facts, None).await
    }
}

/// Writes the windows of floods down when they are over, for ever.
pub async fn keep_floods(ledger: Ledger) {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = ledger.write_floods(Windows::Due).await {
            tracing::warn!(%error, "refusals that were only counted cannot be written down yet");
        }
    }
}

/// Writes everything down that is only counted, at the end of the process: tries for as long as this, and tells what is lost.
pub async fn end_floods(ledger: &Ledger, within: Duration) {
    let all = async {
        while let Err(error) = ledger.flush_floods().await {
            tracing::warn!(%error, "refusals that were only counted cannot be written down yet");
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(within, all).await.is_err() {
        tracing::error!(count = ledger.stats().unwritten(), "refusals that were only counted are lost");
    }
}
