//! What the rest of the process sees of the sequencer: a handle to append with, and a view to read.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use crate::constitution::{Facts, Proposal, Reply, State};
use crate::ledger::{Budget, EntryClass, Folded, Head, HotSize, MAX_BLOCK_ENTRIES, Pressure};
use crate::units::{Digest, LogIndex};

use super::folding::Refusals;
use super::forward::{Class, ForwardStats, Forwarder};

/// Proposals that wait at most. Whoever finds the queue full waits in it.
const QUEUE: usize = 4 * MAX_BLOCK_ENTRIES;
/// Refusals that wait at most. What finds this queue full is folded.
const REFUSALS_QUEUE: usize = MAX_BLOCK_ENTRIES;
/// The part of a block's places that other proposals leave to refusals, so that these come slowly, but come.
const REFUSALS_SHARE: usize = 16;

/// Whether decisions can be made on this ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The ledger is being read; nothing is decided yet.
    Starting,
    /// Every block is there and right.
    Whole,
    /// A block was deleted, changed, or does not make sense. Nothing is allowed until a person repairs it and restarts.
    Broken(String),
}

/// What a replica knows: a value that readers take and keep.
#[derive(Clone, Debug)]
pub struct View {
    /// The fold of everything so far.
    pub state: State,
    /// The end of the chain.
    pub head: Head,
    /// Whether it can be relied on.
    pub health: Health,
    /// How far every block was read back from the store and compared.
    pub confirmed: Confirmed,
    /// What is in the store.
    pub hot: HotSize,
    /// How much may be in there.
    pub budget: Budget,
}

impl View {
    /// How full the ledger in the cluster is.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.budget.pressure(self.hot)
    }
}

/// A size of the log up to which every block was read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmed {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over them; `None` before the first block.
    pub root: Option<Digest>,
}

/// Numbers for metrics.
#[derive(Debug, Default)]
pub struct Stats {
    /// Blocks that another writer created first.
    pub conflicts: AtomicU64,
    /// Answers that were lost.
    pub ambiguous: AtomicU64,
    /// Blocks that this process created.
    pub blocks: AtomicU64,
    /// Entries that this process appended.
    pub entries: AtomicU64,
    /// Refusals that this process folded.
    pub folded: AtomicU64,
    /// Those of them whose `flood` entry is durable.
    pub unfolded: AtomicU64,
    /// Proposals that found no room.
    pub full: AtomicU64,
}

impl Stats {
    /// Refusals that this process folded and whose `flood` entry is not durable.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.folded.load(Ordering::Relaxed).saturating_sub(self.unfolded.load(Ordering::Relaxed))
    }
}

/// Why a proposal was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The ledger was deleted from or changed.
    #[error("the ledger is broken: {0}")]
    Broken(String),
    /// There is no room for entries of this class.
    #[error(
        "the ledger in the cluster is full: {used} of {cap} bytes, too many for {}; raise the operator's --ledger-cap",
        match class {
            EntryClass::Refusal => "another refusal to be recorded",
            EntryClass::Ordinary => "another decision",
            EntryClass::Closing => "anything",
        }
    )]
    Full {
        /// What was to be appended.
        class: EntryClass,
        /// Bytes that are in the cluster.
        used: u64,
        /// Bytes that may be.
        cap: u64,
    },
    /// The store refused the block.
    #[error("the ledger cannot be written: {0}")]
    Refused(String),
    /// The ledger is still being read.
    #[error("the ledger is still being read; try again in a moment")]
    Starting,
    /// The process is stopping.
    #[error("this replica is stopping; try again")]
    Stopped,
    /// The entry would be too large, or does not fit State.
    #[error("the decision cannot be recorded: {0}")]
    Unrecordable(String),
}

/// A proposal that is recorded, if there was something to record.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where it is recorded.
    pub kept: Kept,
    /// The answer.
    pub reply: Reply,
}

/// Where an answer is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It needs no record.
    Nowhere,
    /// As an entry, or several that begin here.
    Entry(LogIndex),
    /// Counted with others like it; the `flood` entry follows.
    Folded(Folded),
}

impl Kept {
    /// The entry that records it, if one does.
    #[must_use]
    pub fn index(self) -> Option<LogIndex> {
        match self {
            Self::Entry(index) => Some(index),
            Self::Nowhere | Self::Folded(_) => None,
        }
    }

    /// Where it was folded to, if it was.
    #[must_use]
    pub fn folded(self) -> Option<Folded> {
        match self {
            Self::Folded(folded) => Some(folded),
            Self::Nowhere | Self::Entry(_) => None,
        }
    }
}

/// A proposal on its way.
pub(super) struct Submission {
    pub(super) proposal: Proposal,
    pub(super) facts: Facts,
    /// Goes into the decision, if the proposal leads to one.
    pub(super) commitment: Option<Digest>,
    /// What its entries are worth at least, when room is looked for.
    pub(super) worth: EntryClass,
    pub(super) answer: oneshot::Sender<Result<Committed, AppendError>>,
}

/// A handle to the sequencer of this process.
#[derive(Clone)]
pub struct Ledger {
    submissions: mpsc::Sender<Submission>,
    queue_of_refusals: mpsc::Sender<Submission>,
    pub(super) refusals: Arc<Refusals>,
    view: watch::Receiver<Arc<View>>,
    pub(super) stats: Arc<Stats>,
    forwarder: Option<Forwarder>,
}

/// A handle, and what the sequencer has of it: where it shows what it knows, and where proposals come from.
pub(super) fn connect(view: View) -> (watch::Sender<Arc<View>>, Ledger, SequencerInput) {
    let (sender, view) = watch::channel(Arc::new(view));
    let (submissions, inbox) = mpsc::channel(QUEUE);
    let (queue_of_refusals, refusals) = mpsc::channel(REFUSALS_QUEUE);
    let (folding, stats, forwarder) = (Arc::default(), Arc::default(), None);
    let ledger = Ledger { submissions, queue_of_refusals, refusals: folding, view, stats, forwarder };
    (sender, ledger, SequencerInput { submissions: inbox, refusals })
}

impl Ledger {
    /// A handle that asks the sequencer of all replicas first, where there is one.
    #[must_use]
    pub fn forwarding(self, forwarder: Forwarder) -> Self {
        Self { forwarder: Some(forwarder), ..self }
    }

    /// Judges a proposal and records what it leads to, here or at the sequencer; returns when that is durable.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was recorded, as far as this process knows.
    pub async fn append(&self, proposal: Proposal, facts: Facts) -> Result<Committed, AppendError> {
        self.append_with(proposal, facts, None).await
    }

    /// The same with a commitment to what is judged.
    pub(super) async fn append_with(
        &self,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Result<Committed, AppendError> {
        match self.forward(Class::First, &proposal, &facts, commitment).await {
            Some(result) => result,
            None => self.append_here(proposal, facts, commitment).await,
        }
    }

    /// What the sequencer of all replicas makes of it; `None` when it is to be appended here.
    async fn forward(
        &self,
        class: Class,
        proposal: &Proposal,
        facts: &Facts,
        commitment: Option<Digest>,
    ) -> Option<Result<Committed, AppendError>> {
        self.forwarder.as_ref()?.ask(class, (proposal, facts, commitment), self.view.clone()).await
    }

    /// [`Ledger::append_with`] by this process alone.
    pub(super) async fn append_here(
        &self,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Result<Committed, AppendError> {
        self.append_as(EntryClass::Refusal, proposal, facts, commitment).await
    }

    /// The same for entries that are worth at least as much as this class.
    pub(super) async fn append_as(
        &self,
        worth: EntryClass,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Result<Committed, AppendError> {
        let (answer, receiver) = oneshot::channel();
        let submission = Submission { proposal, facts, commitment, worth, answer };
        self.submissions.send(submission).await.map_err(|_| AppendError::Stopped)?;
        receiver.await.map_err(|_| AppendError::Stopped)?
    }

    /// The same for what can wait: it never stands in the way of [`Ledger::append`]. `None` when too many wait.
    ///
    /// # Errors
    /// Those of [`Ledger::append`].
    pub(super) async fn append_if_idle(
        &self,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Option<Result<Committed, AppendError>> {
        match self.forward(Class::Refusal, &proposal, &facts, commitment).await {
            Some(result) => Some(result),
            None => self.append_here_if_idle(proposal, facts, commitment).await,
        }
    }

    /// [`Ledger::append_if_idle`] by this process alone.
    pub(super) async fn append_here_if_idle(
        &self,
        proposal: Proposal,
        facts: Facts,
        commitment: Option<Digest>,
    ) -> Option<Result<Committed, AppendError>> {
        let (answer, receiver) = oneshot::channel();
        let worth = EntryClass::Refusal;
        match self.queue_of_refusals.try_send(Submission { proposal, facts, commitment, worth, answer }) {
            Ok(()) => Some(receiver.await.unwrap_or(Err(AppendError::Stopped))),
            Err(mpsc::error::TrySendError::Closed(_)) => Some(Err(AppendError::Stopped)),
            Err(mpsc::error::TrySendError::Full(_)) => None,
        }
    }

    /// What this replica knows now.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// A receiver that is told whenever the view changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// What became of forwarded proposals; `None` for a handle that never forwards.
    #[must_use]
    pub fn forwards(&self) -> Option<&ForwardStats> {
        self.forwarder.as_ref().map(Forwarder::stats)
    }

    /// Numbers for metrics.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// The sequencer's end of the handles.
pub struct SequencerInput {
    submissions: mpsc::Receiver<Submission>,
    refusals: mpsc::Receiver<Submission>,
}

impl SequencerInput {
    /// The next that waits; `None` when every handle is gone.
    pub(super) async fn next(&mut self) -> Option<Submission> {
        tokio::select! {
            biased;
            first = self.submissions.recv() => first,
            Some(first) = self.refusals.recv() => Some(first),
        }
    }

    /// Group commit: whatever came while the last block was on its way goes into this one. Refusals come last, in the places
    /// that are left, and in few that always are. No more than the next block has `room` for: it ends at a multiple of 256,
    /// and a rest would make two blocks of every full one after it.
    pub(super) fn gather(&mut self, first: Submission, room: usize) -> VecDeque<Submission> {
        let mut waiting = VecDeque::from([first]);
        let mut fill = |queue: &mut mpsc::Receiver<Submission>, most: usize| {
            while waiting.len() < most
                && let Ok(more) = queue.try_recv()
            {
                waiting.push_back(more);
            }
        };
        fill(&mut self.submissions, room - room / REFUSALS_SHARE);
        fill(&mut self.refusals, room);
        // What refusals leave is not left empty.
        fill(&mut self.submissions, room);
        waiting
    }
}
