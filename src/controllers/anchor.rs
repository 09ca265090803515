//! What the cluster says about its log, in the ConfigMap `miax-checkpoint`: one value, changed by compare-and-swap.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::store::{Anchor, anchor_data, anchor_of};

/// Keeps what the cluster says about its log.
///
/// Contract. *Consistency*: `replace` succeeds only while nothing was written since `read` gave its version. *Retries*: none; whoever
/// changes reads again first, also after an answer that was lost. *Attacker*: whoever owns the cluster can write anything;
/// readers open every note with the log's keys.
pub(super) trait AnchorStore: Send + Sync {
    /// What `replace` compares.
    type Version: Send;

    /// Reads it.
    fn read(&self) -> impl Future<Output = Result<(Anchor, Self::Version), kube::Error>> + Send;

    /// Writes it, if nobody has since it was read.
    fn replace(&self, read: Self::Version, anchor: &Anchor) -> impl Future<Output = Result<(), kube::Error>> + Send;
}

/// The ConfigMap of a cluster.
pub(super) struct ClusterAnchor {
    api: Api<ConfigMap>,
}

impl ClusterAnchor {
    pub(super) fn new(client: Client) -> Self {
        Self { api: Api::namespaced(client, SYSTEM_NAMESPACE) }
    }
}

impl AnchorStore for ClusterAnchor {
    type Version = Box<ConfigMap>;

    async fn read(&self) -> Result<(Anchor, Self::Version), kube::Error> {
        let map = self.api.get(CHECKPOINT_CONFIG_MAP).await?;
        Ok((anchor_of(&map), Box::new(map)))
    }

    async fn replace(&self, mut read: Self::Version, anchor: &Anchor) -> Result<(), kube::Error> {
        read.data = Some(anchor_data(anchor));
        self.api.replace(CHECKPOINT_CONFIG_MAP, &PostParams::default(), &read).await.map(drop)
    }
}

/// Changes it, if `change` says that there is something to do. What it decides by is what is replaced: of two writers one wins,
/// and the other reads again.
pub(super) async fn change_anchor<S: AnchorStore, E: From<kube::Error>>(
    store: &S,
    change: impl FnOnce(&mut Anchor) -> Result<bool, E>,
) -> Result<(), E> {
    let (mut anchor, version) = store.read().await?;
    if change(&mut anchor)? {
        store.replace(version, &anchor).await?;
    }
    Ok(())
}
