//! What the rest of the process sees of the sequencer: a handle to append with, and a view to read.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{mpsc, oneshot, watch};

use crate::constitution::{Facts, Proposal, Reply, State};
use crate::ledger::Head;
use crate::units::{Digest, LogIndex};

use super::forward::{ForwardStats, Forwarder};

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
}

/// Why a proposal was not recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The ledger was deleted from or changed.
    #[error("the ledger is broken: {0}")]
    Broken(String),
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
    /// Index of its first entry.
    pub index: Option<LogIndex>,
    /// The answer.
    pub reply: Reply,
}

/// A proposal on its way.
pub(super) struct Submission {
    pub(super) proposal: Proposal,
    pub(super) facts: Facts,
    pub(super) answer: oneshot::Sender<Result<Committed, AppendError>>,
}

/// A handle to the sequencer of this process.
#[derive(Clone)]
pub struct Ledger {
    pub(super) submissions: mpsc::Sender<Submission>,
    pub(super) view: watch::Receiver<Arc<View>>,
    pub(super) stats: Arc<Stats>,
    pub(super) forwarder: Option<Forwarder>,
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
        if let Some(forwarder) = &self.forwarder
            && let Some(result) = forwarder.ask(&proposal, &facts, self.view.clone()).await
        {
            return result;
        }
        self.append_here(proposal, facts).await
    }

    /// The same by this process alone.
    pub(super) async fn append_here(&self, proposal: Proposal, facts: Facts) -> Result<Committed, AppendError> {
        let (answer, receiver) = oneshot::channel();
        let submission = Submission { proposal, facts, answer };
        self.submissions.send(submission).await.map_err(|_| AppendError::Stopped)?;
        receiver.await.map_err(|_| AppendError::Stopped)?
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
    pub(super) submissions: mpsc::Receiver<Submission>,
}
