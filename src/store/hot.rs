//! Snapshots as immutable ConfigMaps beside the blocks, and the removal of both.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, PostParams};

use crate::api::names::LEDGER_LABEL;
use crate::ledger::parse_block_name;

use super::block_store::{CreateError, ReadError};
use super::config_map::{ConfigMapStore, refused};
use super::prune::HotStore;
use super::snapshot::parse_snapshot_name;

/// Key of the packed bytes in the ConfigMap of a part.
const PACKED: &str = "packed";
/// How long one call may take; nobody waits for it but the next one.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// How many names one page of a list holds.
const PAGE: u32 = 1000;

impl HotStore for ConfigMapStore {
    async fn names(&self) -> Result<Vec<String>, ReadError> {
        let mut params = ListParams::default().limit(PAGE);
        let mut names = Vec::new();
        loop {
            let page = self.api.list_metadata(&params).await.map_err(|e| ReadError::Unavailable(e.to_string()))?;
            let ours = |n: &String| parse_block_name(n).is_some() || parse_snapshot_name(n).is_some();
            names.extend(page.items.iter().map(|map| map.name_any()).filter(ours));
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(names),
            }
        }
    }

    async fn create_part(&self, name: &str, packed: &[u8]) -> Result<(), CreateError> {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(name.to_owned());
        map.metadata.labels = Some([(LEDGER_LABEL.to_owned(), "snapshot".to_owned())].into());
        map.immutable = Some(true);
        map.binary_data = Some([(PACKED.to_owned(), ByteString(packed.to_vec()))].into());
        let params = PostParams::default();
        match tokio::time::timeout(CALL_TIMEOUT, self.api.create(&params, &map)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(CreateError::Unknown(late())),
        }
    }

    async fn read_part(&self, name: &str) -> Result<Option<Vec<u8>>, ReadError> {
        let missing = || ReadError::NotABlock { name: name.to_owned(), what: "binaryData.packed is missing" };
        match tokio::time::timeout(CALL_TIMEOUT, self.api.get_opt(name)).await {
            Ok(Ok(Some(map))) => {
                let packed = map.binary_data.as_ref().and_then(|d| d.get(PACKED)).map(|b| b.0.clone());
                packed.map(Some).ok_or_else(missing)
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => Err(ReadError::Unavailable(error.to_string())),
            Err(_) => Err(ReadError::Unavailable(late())),
        }
    }

    async fn remove(&self, name: &str) -> Result<(), CreateError> {
        let params = DeleteParams::default();
        match tokio::time::timeout(CALL_TIMEOUT, self.api.delete(name, &params)).await {
            Ok(Ok(_)) => Ok(()),
            // It is gone, which is what was asked.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => Ok(()),
            Ok(Err(error)) => Err(refused(error)),
            Err(_) => Err(CreateError::Unknown(late())),
        }
    }
}

fn late() -> String {
    format!("no answer in {} s", CALL_TIMEOUT.as_secs())
}
