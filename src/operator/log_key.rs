//! The log's keys and its public anchor: the first is made once, by the first controller that ever starts in the cluster; its
//! owner lets others follow by what stands in the Secret.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::api::names::{CHECKPOINT_CONFIG_MAP, LOG_KEY_SECRET, SYSTEM_NAMESPACE};
use crate::ledger::{Checkpoint, LogKeys, VouchError};
use crate::store::{Anchor, HeldKeys, LogKeyring, LogSigner, anchor_data, anchor_of};
use crate::trust::{NoteSigner, NoteVerifier};
use crate::units::BlockNumber;

use super::clock::random_bytes;

/// Key of the Secret's data: 32 secret bytes.
const SEED: &str = "seed";
/// The same of the key that shall follow, while both vouch.
const NEXT: &str = "next";
/// Key of the Secret's data: a key in wrong hands and the largest size that is known to be right, with a space between.
const REVOKE: &str = "revoke";
/// How often a webhook looks whether the controller has made the key.
const LOOK: Duration = Duration::from_millis(500);
/// How often the Secret is read again.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// Why there is no log key.
#[derive(Debug, thiserror::Error)]
pub enum LogKeyError {
    /// The ledger was begun under another key.
    #[error(
        "the ledger in this cluster is the log `{found}`, but the keys in the Secret {LOG_KEY_SECRET} belong to `{expected}`; \
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
    #[error("the Secret {LOG_KEY_SECRET} does not hold 32 bytes under `{0}`; restore it from its backup")]
    Malformed(&'static str),
    /// The origin cannot name a key.
    #[error("{0}")]
    Note(#[from] crate::trust::NoteError),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The Secret names a revoked key in another way.
    #[error("`{REVOKE}` in the Secret {LOG_KEY_SECRET} is not a key of the log, a space and a size")]
    Revoke,
}

/// The log's keys, and what the cluster knows of the log.
#[derive(Clone)]
pub(super) struct LogKey {
    pub(super) keys: HeldKeys,
    /// The log's first key, by which it is known.
    pub(super) first: NoteVerifier,
    /// That key and those that this process holds, as long as the log is not read.
    pub(super) known: LogKeys,
    anchor: Anchor,
}

impl LogKey {
    /// What the ledger must hold: of what the log's keys have vouched for the most counts, whoever brought it here. Whether a key
    /// vouches for that much is told when the ledger is read.
    pub(super) fn promised(&self, held: Option<Checkpoint>) -> Result<Option<Checkpoint>, VouchError> {
        let open = |note: &str| match note {
            "" => Ok(None),
            note => self.known.open(note).map(Some),
        };
        let Anchor { origin: _, key: _, checkpoint, witnessed: _, contradiction, snapshot: _ } = &self.anchor;
        let promises = [open(checkpoint)?, open(contradiction)?, held];
        Ok(promises.into_iter().flatten().max_by_key(|checkpoint| checkpoint.size))
    }

    /// The block at which the cluster says that the ledger begins, with a snapshot.
    pub(super) fn begin(&self) -> Option<BlockNumber> {
        self.anchor.snapshot
    }
}

/// Reads the keys, or makes the first when the ledger was never begun. For controllers.
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
    let keyring = keyring(&secrets, origin).await?;
    if anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.is_none() {
        let key = keyring.signers.first().map(|s| s.verifier().to_string()).unwrap_or_default();
        let anchor = Anchor { origin: origin.to_owned(), key, ..Anchor::default() };
        let mut map = ConfigMap::default();
        map.metadata.name = Some(CHECKPOINT_CONFIG_MAP.to_owned());
        map.data = Some(anchor_data(&anchor));
        existing(anchors.create(&PostParams::default(), &map).await)?;
    }
    with_anchor(&anchors, secrets, keyring, origin).await
}

/// Waits until a controller has made the key. For webhooks, which have no right to make one.
pub(super) async fn wait_for(client: &Client, origin: &str) -> Result<LogKey, LogKeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let anchors: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    while anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.is_none() {
        tracing::info!("waiting for a controller to make the log's key");
        tokio::time::sleep(LOOK).await;
    }
    let keyring = keyring(&secrets, origin).await?;
    with_anchor(&anchors, secrets, keyring, origin).await
}

/// Another replica was faster: what it made is as good.
fn existing<T>(result: Result<T, kube::Error>) -> Result<(), kube::Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) async fn keyring(secrets: &Api<Secret>, origin: &str) -> Result<LogKeyring, LogKeyError> {
    let secret = secrets.get_opt(LOG_KEY_SECRET).await?.ok_or(LogKeyError::Lost)?;
    read_keyring(&secret, origin)
}

fn read_keyring(secret: &Secret, origin: &str) -> Result<LogKeyring, LogKeyError> {
    let bytes = |name: &str| secret.data.as_ref().and_then(|d| d.get(name)).map(|b| b.0.as_slice());
    let signer = |name: &'static str, bytes: &[u8]| -> Result<Arc<dyn LogSigner>, LogKeyError> {
        let seed: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().map_err(|_| LogKeyError::Malformed(name))?);
        Ok(Arc::new(NoteSigner::try_new(origin, &seed)?))
    };
    let mut signers = vec![signer(SEED, bytes(SEED).ok_or(LogKeyError::Malformed(SEED))?)?];
    if let Some(next) = bytes(NEXT) {
        signers.push(signer(NEXT, next)?);
    }
    let revoked = bytes(REVOKE).map(|text| {
        let (key, size) = std::str::from_utf8(text).ok()?.trim().rsplit_once(' ')?;
        Some((key.parse::<NoteVerifier>().ok()?, size.parse::<u64>().ok()?))
    });
    let revoked = revoked.map(|r| r.ok_or(LogKeyError::Revoke)).transpose()?;
    Ok(LogKeyring { signers, revoked })
}

async fn with_anchor(
    anchors: &Api<ConfigMap>,
    secrets: Api<Secret>,
    keyring: LogKeyring,
    origin: &str,
) -> Result<LogKey, LogKeyError> {
    let anchor = anchor_of(&anchors.get(CHECKPOINT_CONFIG_MAP).await?);
    let first: NoteVerifier = anchor.key.parse()?;
    let held: Vec<NoteVerifier> = keyring.signers.iter().map(|s| s.verifier()).collect();
    let known = LogKeys::unread(origin, std::iter::once(first.clone()).chain(held.clone()));
    // After a rotation the first key is gone; then a key that is held must have signed the newest checkpoint.
    let by_held = || LogKeys::unread(origin, held.clone()).open(&anchor.checkpoint).is_ok();
    let opens = anchor.checkpoint.is_empty() || known.open(&anchor.checkpoint).is_ok();
    if anchor.origin != origin || !opens || !(held.contains(&first) || by_held()) {
        let expected = held.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        return Err(LogKeyError::AnotherLog { found: anchor.key, expected });
    }
    let (sender, keys) = watch::channel(keyring);
    tokio::spawn(read_again(secrets, origin.to_owned(), sender));
    Ok(LogKey { keys, first, known, anchor })
}

/// Reads the Secret again and again, so that a key can follow another without a restart.
async fn read_again(secrets: Api<Secret>, origin: String, sender: watch::Sender<LogKeyring>) {
    let what =
        |ring: &LogKeyring| (ring.signers.iter().map(|s| s.verifier()).collect::<Vec<_>>(), ring.revoked.clone());
    while !sender.is_closed() {
        tokio::time::sleep(READ_AGAIN).await;
        match keyring(&secrets, &origin).await {
            Ok(next) => {
                sender.send_if_modified(|now| {
                    let changed = what(now) != what(&next);
                    if changed {
                        *now = next;
                    }
                    changed
                });
            }
            // What was held before is still there; a Secret that is gone for a moment changes nothing.
            Err(error) => tracing::warn!(%error, "the keys of the log cannot be read again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn secret(data: &[(&str, &[u8])]) -> Secret {
        let data = data.iter().map(|(k, v)| ((*k).to_owned(), ByteString(v.to_vec()))).collect();
        Secret { data: Some(data), ..Secret::default() }
    }

    #[test]
    fn a_secret_holds_one_key_or_two_and_says_which_is_revoked() {
        let key = NoteSigner::try_new(ORIGIN, &[3; 32]).expect("name").verifier();
        let read = |data: &[(&str, &[u8])]| read_keyring(&secret(data), ORIGIN);
        let one = read(&[(SEED, &[1; 32])]).expect("a key");
        assert!(one.signers.len() == 1 && one.revoked.is_none());
        let wish = format!("{key} 40\n");
        let two = read(&[(SEED, &[1; 32]), (NEXT, &[2; 32]), (REVOKE, wish.as_bytes())]).expect("keys");
        assert_eq!((two.signers.len(), two.revoked), (2, Some((key, 40))));
        let refused = |data: &[(&str, &[u8])], part: &str| {
            let error = read(data).map(drop).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        };
        refused(&[], "32 bytes under `seed`");
        refused(&[(SEED, &[1; 31])], "32 bytes under `seed`");
        refused(&[(SEED, &[1; 32]), (NEXT, b"")], "32 bytes under `next`");
        refused(&[(SEED, &[1; 32]), (REVOKE, b"40")], "is not a key of the log");
        refused(&[(SEED, &[1; 32]), (REVOKE, b"\xff 40")], "is not a key of the log");
    }
}
