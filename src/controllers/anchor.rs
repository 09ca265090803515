//! Changes of what the cluster says about its log, in the ConfigMap `miax-checkpoint`.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::store::{Anchor, anchor_data, anchor_of};

/// Changes it, if `change` says that there is something to do. What it decides by is what is replaced: with the resourceVersion
/// that was read, of two writers one wins, and the other reads again.
pub(super) async fn change_anchor<E: From<kube::Error>>(
    client: &Client,
    change: impl FnOnce(&mut Anchor) -> Result<bool, E>,
) -> Result<(), E> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let mut map = api.get(CHECKPOINT_CONFIG_MAP).await?;
    let mut anchor = anchor_of(&map);
    if change(&mut anchor)? {
        map.data = Some(anchor_data(&anchor));
        api.replace(CHECKPOINT_CONFIG_MAP, &PostParams::default(), &map).await?;
    }
    Ok(())
}
