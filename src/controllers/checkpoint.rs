//! Checkpoints: the log's key vouches for size and root of what was read back from the store, never for less than before.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::ledger::Checkpoint;
use crate::store::{Health, Ledger, anchor_data, anchor_of};
use crate::trust::NoteSigner;

/// How often, if the log has grown.
const PERIOD: Duration = Duration::from_secs(1);

/// Signs checkpoints into the ConfigMap `miax-checkpoint`.
pub struct CheckpointWriter {
    /// The controllers' client.
    pub client: Client,
    /// The ledger.
    pub ledger: Ledger,
    /// The log's key.
    pub key: NoteSigner,
    /// Origin of the log.
    pub origin: String,
}

/// Why a checkpoint was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("{0}")]
    Note(#[from] crate::trust::NoteError),
    #[error("the checkpoint in the cluster does not open: {0}")]
    Open(#[from] crate::ledger::CheckpointError),
    #[error("the checkpoint in the cluster vouches for {0} entries, this replica has seen {1}")]
    Smaller(u64, u64),
}

/// Writes checkpoints for ever.
pub async fn keep_checkpoints(writer: CheckpointWriter) {
    let mut written = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        let view = writer.ledger.view();
        let (size, Some(root)) = (view.confirmed.size, view.confirmed.root) else { continue };
        if view.health != Health::Whole || size <= written {
            continue;
        }
        match writer.write(Checkpoint { origin: writer.origin.clone(), size, root }).await {
            Ok(()) => written = size,
            Err(error) => tracing::warn!(%error, size, "no checkpoint was written"),
        }
    }
}

impl CheckpointWriter {
    async fn write(&self, checkpoint: Checkpoint) -> Result<(), WriteError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), SYSTEM_NAMESPACE);
        let mut map = api.get(CHECKPOINT_CONFIG_MAP).await?;
        let mut anchor = anchor_of(&map);
        if !anchor.checkpoint.is_empty() {
            let known = Checkpoint::open(&anchor.checkpoint, &self.origin, &self.key.verifier())?;
            if known.size >= checkpoint.size {
                // Another replica was faster, or we are behind: a smaller size is never signed.
                return if known.size == checkpoint.size {
                    Ok(())
                } else {
                    Err(WriteError::Smaller(known.size, checkpoint.size))
                };
            }
        }
        anchor.checkpoint = checkpoint.sign(&self.key)?;
        map.data = Some(anchor_data(&anchor));
        // With the resourceVersion that was read: of two writers one wins, the other reads again.
        api.replace(CHECKPOINT_CONFIG_MAP, &PostParams::default(), &map).await?;
        Ok(())
    }
}
