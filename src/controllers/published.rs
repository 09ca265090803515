//! The checkpoint that the cluster publishes: never smaller than the one before, never another root at one size, whatever is lost
//! on the way and whoever else writes.

use crate::ledger::{Checkpoint, LogKeys, VouchError};

use super::anchor::{AnchorStore, change_anchor};
use super::signing::known;

/// Why a checkpoint is not published. The next step tries again, from what is read then.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    #[error("the checkpoint in the cluster is over other entries")]
    Another,
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("the checkpoint in the cluster does not open: {0}")]
    Open(#[from] VouchError),
    #[error("the checkpoint in the cluster vouches for {0} entries, this replica has seen {1}")]
    Smaller(u64, u64),
}

/// Publishes checkpoints.
pub(super) struct Published<S> {
    store: S,
    /// What is surely published: an answer that was lost does not count.
    written: u64,
}

impl<S: AnchorStore> Published<S> {
    pub(super) fn new(store: S) -> Self {
        Self { store, written: 0 }
    }

    pub(super) fn store(&self) -> &S {
        &self.store
    }

    /// Publishes a signed checkpoint, unless it or a larger one is there.
    ///
    /// # Errors
    /// Every variant of [`PublishError`]; whether it is there is then unknown.
    pub(super) async fn write(
        &mut self,
        checkpoint: &Checkpoint,
        note: &str,
        keys: &LogKeys,
    ) -> Result<(), PublishError> {
        if checkpoint.size <= self.written {
            return Ok(());
        }
        change_anchor(&self.store, |anchor| match known(&anchor.checkpoint, keys)? {
            // Another replica was faster, or we are behind: a smaller size is never signed.
            Some(known) if known.size > checkpoint.size => Err(PublishError::Smaller(known.size, checkpoint.size)),
            Some(known) if known.size == checkpoint.size && known.root != checkpoint.root => Err(PublishError::Another),
            Some(known) if known.size == checkpoint.size => Ok(false),
            Some(_) | None => {
                note.clone_into(&mut anchor.checkpoint);
                Ok(true)
            }
        })
        .await?;
        self.written = checkpoint.size;
        Ok(())
    }

    /// Shows the checkpoint with the lines of the witnesses, if it is still the newest.
    ///
    /// # Errors
    /// [`PublishError::Kube`], [`PublishError::Open`].
    pub(super) async fn cosigned(
        &self,
        checkpoint: &Checkpoint,
        note: &str,
        quorum: bool,
        keys: &LogKeys,
    ) -> Result<(), PublishError> {
        change_anchor(&self.store, |anchor| match known(&anchor.checkpoint, keys)? {
            Some(known) if known == *checkpoint => {
                note.clone_into(&mut anchor.checkpoint);
                if quorum {
                    note.clone_into(&mut anchor.witnessed);
                }
                Ok(true)
            }
            // Another controller leads; it asks the witnesses itself.
            Some(_) | None => Ok(false),
        })
        .await
    }
}

#[cfg(test)]
mod faults;
