//! The log's key and its public anchor: made once, by the first controller that ever starts in the cluster.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use zeroize::Zeroizing;

use crate::api::names::{CHECKPOINT_CONFIG_MAP, LOG_KEY_SECRET, SYSTEM_NAMESPACE};
use crate::store::{Anchor, anchor_data, anchor_of};
use crate::trust::NoteSigner;

use super::clock::random_bytes;

/// Key of the Secret's data: 32 secret bytes.
const SEED: &str = "seed";
/// How often a webhook looks whether the controller has made the key.
const LOOK: Duration = Duration::from_millis(500);

/// Why there is no log key.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// The ledger was begun under another key.
    #[error(
        "the ledger in this cluster is the log `{found}`, but the key in the Secret {LOG_KEY_SECRET} belongs to `{expected}`; \
         restore the Secret from its backup"
    )]
    AnotherLog {
        /// What the anchor says.
        found: String,
        /// What the key says.
        expected: String,
    },
    /// Kubernetes did not answer or refused.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// The Secret is gone although the ledger was begun.
    #[error("the Secret {LOG_KEY_SECRET} is gone, but the ledger was begun with it; restore it from its backup")]
    Lost,
    /// The Secret does not hold a key.
    #[error("the Secret {LOG_KEY_SECRET} does not hold 32 bytes under `{SEED}`; restore it from its backup")]
    Malformed,
    /// The origin cannot name a key.
    #[error("{0}")]
    Note(#[from] crate::trust::NoteError),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
}

/// The log's key, and what the cluster knows of the log.
pub(super) struct LogKey {
    pub(super) signer: NoteSigner,
    pub(super) anchor: Anchor,
}

/// Reads the key, or makes it when the ledger was never begun. For controllers.
pub(super) async fn read_or_make(client: &Client, origin: &str) -> Result<LogKey, LogKeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let anchors: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    if secrets.get_opt(LOG_KEY_SECRET).await?.is_none() {
        if anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.is_some() {
            return Err(LogKeyError::Lost);
        }
        let mut secret = Secret::default();
        secret.metadata.name = Some(LOG_KEY_SECRET.to_owned());
        secret.data = Some([(SEED.to_owned(), ByteString(random_bytes()?.to_vec()))].into());
        existing(secrets.create(&PostParams::default(), &secret).await)?;
    }
    let key = signer(&secrets, origin).await?;
    if anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.is_none() {
        let (origin, key) = (origin.to_owned(), key.verifier().to_string());
        let anchor = Anchor { origin, key, ..Anchor::default() };
        let mut map = ConfigMap::default();
        map.metadata.name = Some(CHECKPOINT_CONFIG_MAP.to_owned());
        map.data = Some(anchor_data(&anchor));
        existing(anchors.create(&PostParams::default(), &map).await)?;
    }
    with_anchor(&anchors, key).await
}

/// Waits until a controller has made the key. For webhooks, which have no right to make one.
pub(super) async fn wait_for(client: &Client, origin: &str) -> Result<LogKey, LogKeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let anchors: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    while anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.is_none() {
        tracing::info!("waiting for a controller to make the log's key");
        tokio::time::sleep(LOOK).await;
    }
    with_anchor(&anchors, signer(&secrets, origin).await?).await
}

/// Another replica was faster: what it made is as good.
fn existing<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

async fn signer(secrets: &Api<Secret>, origin: &str) -> Result<NoteSigner, LogKeyError> {
    let secret = secrets.get_opt(LOG_KEY_SECRET).await?.ok_or(LogKeyError::Lost)?;
    let bytes = secret.data.and_then(|mut d| d.remove(SEED)).ok_or(LogKeyError::Malformed)?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.0.as_slice().try_into().map_err(|_| LogKeyError::Malformed)?);
    Ok(NoteSigner::try_new(origin, &seed)?)
}

async fn with_anchor(anchors: &Api<ConfigMap>, signer: NoteSigner) -> Result<LogKey, LogKeyError> {
    let anchor = anchor_of(&anchors.get(CHECKPOINT_CONFIG_MAP).await?);
    let expected = signer.verifier().to_string();
    if anchor.key != expected || anchor.origin != signer.name() {
        return Err(LogKeyError::AnotherLog { found: anchor.key, expected });
    }
    Ok(LogKey { signer, anchor })
}
