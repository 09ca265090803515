//! Pruning: the leader lets the oldest blocks leave the cluster once every archive holds them and every witness has seen past
//! them. While one of them does not answer nothing leaves, and the ledger grows up to its cap.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::constitution::{Proposal, Pruned, TargetFact};
use crate::store::{
    AppendError, ArchiveStore, ConfigMapStore, Health, HotStore as _, PruneError, Pruning, ReadError, View,
    load_snapshot, prepare, sweep_pruned,
};
use crate::trust::sha256;
use crate::units::BlockNumber;

use super::Context;
use super::anchor::{ClusterAnchor, change_anchor};

/// First and longest pause between two looks; it grows while there is nothing to do.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long nothing is deleted after the cluster says where to begin: who began to read before must come to the end.
const GRACE: Duration = Duration::from_secs(15);
/// Most objects that are deleted in one go: all that one entry `prune` lets go. A ledger that is nearly full waits for this.
const BATCH: usize = 1024;

/// Prunes the ledger.
pub struct Pruner {
    /// What all controllers work with.
    pub context: Arc<Context>,
    /// Where the blocks are.
    pub store: ConfigMapStore,
    /// The archives; all of them must hold what goes.
    pub archives: Vec<ArchiveStore>,
    /// How many blocks stay at least.
    pub keep: u64,
    /// How many entries a quorum of the witnesses vouches for, and every witness has seen.
    pub covered: watch::Receiver<u64>,
}

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error("the entry was not written: {0}")]
    Append(#[from] AppendError),
    #[error("where to begin is not written: {0}")]
    Kube(#[from] kube::Error),
    #[error(transparent)]
    Prune(#[from] PruneError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("the snapshot at block {0} is not the one that the ledger means; nothing is deleted")]
    Snapshot(BlockNumber),
}

/// Prunes for ever.
pub async fn prune(pruner: Pruner) {
    let mut pause = FIRST_PAUSE;
    let mut named: Option<(BlockNumber, Instant)> = None;
    loop {
        tokio::time::sleep(pause).await;
        let view = pruner.context.ledger.view();
        if view.health != Health::Whole {
            continue;
        }
        match pruner.step(&view, &mut named).await {
            Ok(true) => pause = FIRST_PAUSE,
            Ok(false) => pause = (pause * 2).min(LONGEST_PAUSE),
            Err(error) => {
                tracing::warn!(%error, "the ledger is not pruned; nothing is lost");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

impl Pruner {
    /// One step; `true` when there may be more to do.
    async fn step(&self, view: &View, named: &mut Option<(BlockNumber, Instant)>) -> Result<bool, StepError> {
        let covered = *self.covered.borrow();
        if let Some(pruned) = view.state.pruned() {
            // No block goes before the witnesses have seen the entry that says so.
            if covered <= pruned.index.0 {
                return Ok(true);
            }
            let since = match named.filter(|(block, _)| *block == pruned.block) {
                Some((_, since)) => since,
                None => {
                    self.name(pruned).await?;
                    named.insert((pruned.block, Instant::now())).1
                }
            };
            if since.elapsed() < GRACE {
                return Ok(true);
            }
            let count = sweep_pruned(&self.store, view.head.lineage(), pruned, BATCH).await?;
            if count > 0 {
                tracing::info!(objects = count, first = pruned.block.0, "what archives hold has left the cluster");
                return Ok(true);
            }
        }
        let facts = self.context.facts(TargetFact::NotNamed);
        let pruning = Pruning { view, covered, archives: &self.archives, keep: self.keep, now: facts.now };
        let Some(event) = prepare(&self.store, pruning).await? else { return Ok(false) };
        let (block, size) = (event.block.0, event.size);
        self.context.ledger.append(Proposal::Prune(event), facts).await?;
        tracing::info!(block, entries = size, "the blocks before this one may leave the cluster");
        Ok(true)
    }

    /// Tells whoever starts where to begin, after a look that the snapshot is there.
    async fn name(&self, pruned: &Pruned) -> Result<(), StepError> {
        let block = pruned.block;
        let bytes = load_snapshot(&self.store, block, &self.store.names().await?).await?;
        if sha256(&bytes) != pruned.snapshot {
            return Err(StepError::Snapshot(block));
        }
        change_anchor(&ClusterAnchor::new(self.context.client.clone()), |anchor| {
            let news = anchor.snapshot != Some(block);
            anchor.snapshot = Some(block);
            Ok::<_, StepError>(news)
        })
        .await
    }
}
