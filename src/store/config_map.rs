//! Blocks as immutable ConfigMaps: the name holds the number, `create` is the compare-and-swap, and nobody has the right to
//! update one.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client};

use crate::api::names::{CHECKPOINT_CONFIG_MAP, LEDGER_LABEL, LEDGER_NAMESPACE, SYSTEM_NAMESPACE};
use crate::ledger::{BlockParts, Lineage, block_name, parse_block_name};
use crate::units::BlockNumber;

use super::block_store::{BlockStore, CreateError, ReadError};

/// Keys of a block's ConfigMap.
const HEADER: &str = "header";
const SEAL: &str = "seal";
const ENTRIES: &str = "entries";
const EDGE: &str = "edge";

/// How long one call may take. An admission answer waits for it, so it stays below the webhook's budget.
const CALL_TIMEOUT: Duration = Duration::from_millis(700);
/// How many blocks one page of a list holds.
const PAGE: u32 = 500;

/// The ledger in the namespace `miax-ledger` of a cluster.
#[derive(Clone)]
pub struct ConfigMapStore {
    pub(super) api: Api<ConfigMap>,
}

/// What the cluster says about its log: where a verifier starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchor {
    /// Origin of the log.
    pub origin: String,
    /// Verifier key of the log.
    pub key: String,
    /// The newest checkpoint; empty before the first. Lines of witnesses may stand under it.
    pub checkpoint: String,
    /// The newest checkpoint that a quorum of the witnesses cosigned; empty before the first.
    pub witnessed: String,
    /// A checkpoint that the log's key signed and that contradicts the ledger; empty when none is known.
    pub contradiction: String,
    /// The block at which whoever starts begins, with its snapshot; `None` when the ledger was never pruned. Only where to look:
    /// the ledger itself vouches for the snapshot.
    pub snapshot: Option<BlockNumber>,
}

impl ConfigMapStore {
    /// The ledger of the cluster that `client` talks to.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { api: Api::namespaced(client, LEDGER_NAMESPACE) }
    }

    /// Which blocks belong to which epoch, by the names of what is there.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the API server does not answer or refuses.
    pub async fn lineage(&self) -> Result<Lineage, ReadError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut names = Vec::new();
        loop {
            let page = self.api.list_metadata(&params).await.map_err(|e| ReadError::Unavailable(e.to_string()))?;
            let named = page.items.iter().filter_map(|map| parse_block_name(map.metadata.name.as_deref()?));
            names.extend(named);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(Lineage::claimed(names)),
            }
        }
    }

    /// Every object of the ledger, in the order of names, which is the order of the log. One that is not a block is given
    /// with what is wrong.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the API server does not answer or refuses.
    pub async fn list(&self) -> Result<Vec<(String, Result<BlockParts, ReadError>)>, ReadError> {
        // Not by label: labels of an immutable ConfigMap can still be changed, names cannot.
        let mut params = ListParams::default().limit(PAGE);
        let mut blocks = Vec::new();
        loop {
            let page = self.api.list(&params).await.map_err(|e| ReadError::Unavailable(e.to_string()))?;
            let next = page.metadata.continue_.filter(|token| !token.is_empty());
            let maps = page.items.iter().filter(|map| parse_block_name(name_of(map)).is_some());
            blocks.extend(maps.map(|map| (name_of(map).to_owned(), parts_of(map))));
            match next {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(blocks),
            }
        }
    }
}

/// Reads what the cluster says about its log; `None` before the operator's first start.
///
/// # Errors
/// [`ReadError::Unavailable`] when the API server does not answer or refuses.
pub async fn read_anchor(client: Client) -> Result<Option<Anchor>, ReadError> {
    let api: Api<ConfigMap> = Api::namespaced(client, SYSTEM_NAMESPACE);
    let map = api.get_opt(CHECKPOINT_CONFIG_MAP).await.map_err(|e| ReadError::Unavailable(e.to_string()))?;
    Ok(map.map(|map| anchor_of(&map)))
}

/// The anchor in a ConfigMap.
#[must_use]
pub fn anchor_of(map: &ConfigMap) -> Anchor {
    let text = |key: &str| map.data.as_ref().and_then(|d| d.get(key)).cloned().unwrap_or_default();
    Anchor {
        origin: text("origin"),
        key: text("key"),
        checkpoint: text("checkpoint"),
        witnessed: text("witnessed"),
        contradiction: text("contradiction"),
        snapshot: text("snapshot").parse().ok().map(BlockNumber),
    }
}

/// The data of the ConfigMap that holds the anchor.
#[must_use]
pub fn anchor_data(anchor: &Anchor) -> BTreeMap<String, String> {
    let Anchor { origin, key, checkpoint, witnessed, contradiction, snapshot } = anchor;
    let snapshot = snapshot.map(|block| block.to_string()).unwrap_or_default();
    let always = [("origin", origin), ("key", key), ("checkpoint", checkpoint)];
    let some = [("witnessed", witnessed), ("contradiction", contradiction), ("snapshot", &snapshot)];
    let some = some.into_iter().filter(|(_, v)| !v.is_empty());
    always.into_iter().chain(some).map(|(name, value)| (name.to_owned(), value.clone())).collect()
}

/// Name of an object; empty for none, which no object of an API server has.
pub(super) fn name_of(map: &ConfigMap) -> &str {
    map.metadata.name.as_deref().unwrap_or_default()
}

/// The block in a ConfigMap.
///
/// # Errors
/// [`ReadError::NotABlock`] when a key is missing.
pub fn parts_of(map: &ConfigMap) -> Result<BlockParts, ReadError> {
    let missing = |what| ReadError::NotABlock { name: name_of(map).to_owned(), what };
    let text = |key: &str, what| map.data.as_ref().and_then(|d| d.get(key)).cloned().ok_or_else(|| missing(what));
    let bytes = |key: &str, what| {
        map.binary_data.as_ref().and_then(|d| d.get(key)).map(|b| b.0.clone()).ok_or_else(|| missing(what))
    };
    Ok(BlockParts {
        header: text(HEADER, "data.header is missing")?,
        seal: text(SEAL, "data.seal is missing")?,
        entries: bytes(ENTRIES, "binaryData.entries is missing")?,
        edge: bytes(EDGE, "binaryData.edge is missing")?,
    })
}

fn config_map(name: &str, parts: &BlockParts) -> ConfigMap {
    let BlockParts { header, seal, entries, edge } = parts.clone();
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.metadata.labels = Some([(LEDGER_LABEL.to_owned(), "block".to_owned())].into());
    // No ownerReferences: garbage collection would take the evidence with the owner.
    map.immutable = Some(true);
    map.data = Some([(HEADER.to_owned(), header), (SEAL.to_owned(), seal)].into());
    map.binary_data = Some([(ENTRIES.to_owned(), ByteString(entries)), (EDGE.to_owned(), ByteString(edge))].into());
    map
}

/// What an error of the API server says about a write.
pub(super) fn refused(error: kube::Error) -> CreateError {
    match error {
        kube::Error::Api(status) if status.code == 409 && status.reason == "AlreadyExists" => CreateError::Exists,
        // Below 500 the API server decided against it. 408 and 429 may come from a proxy in between, and 5xx after a lost
        // quorum: etcd may still have the object.
        kube::Error::Api(status) if (400..500).contains(&status.code) && ![408, 429].contains(&status.code) => {
            CreateError::Refused(status.message)
        }
        error => CreateError::Unknown(error.to_string()),
    }
}

impl BlockStore for ConfigMapStore {
    async fn create(&self, epoch: u16, number: BlockNumber, parts: &BlockParts) -> Result<(), CreateError> {
        let name = block_name(epoch, number);
        let map = config_map(&name, parts);
        let params = PostParams::default();
        let call = self.api.create(&params, &map);
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            // The answer shows the object as stored. If another admission webhook changed it, what is stored is not what
            // was judged; the read that follows `Exists` finds that out.
            Ok(Ok(stored)) if parts_of(&stored).as_ref() == Ok(parts) => Ok(()),
            Ok(Ok(_)) => Err(CreateError::Exists),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(CreateError::Unknown(format!("no answer in {} ms", CALL_TIMEOUT.as_millis()))),
        }
    }

    async fn read(&self, epoch: u16, number: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        // Without a resourceVersion a get is a quorum read, not one from a cache.
        let name = block_name(epoch, number);
        match tokio::time::timeout(CALL_TIMEOUT, self.api.get_opt(&name)).await {
            Ok(Ok(Some(map))) => parts_of(&map).map(Some),
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(ReadError::Unavailable(error.to_string())),
            Err(_) => Err(ReadError::Unavailable(format!("no answer in {} ms", CALL_TIMEOUT.as_millis()))),
        }
    }
}
