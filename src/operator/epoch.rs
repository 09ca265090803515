//! `miax-operator open-epoch`: after a disaster that no copy can repair, the ledger goes on with what is left of it, by a signed
//! command (ADR 0025). Nothing else of the operator runs meanwhile.
//!
//! The order, and the world after a crash at each step: the first block of the epoch is created, which opens it; then the
//! cluster's checkpoint is that of the new epoch. Whoever runs it again after the first step does the second.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::api::names::{
    CHECKPOINT_CONFIG_MAP, CONTROLLER_ACCOUNT, LEDGER_NAMESPACE, LOG_KEY_SECRET, SYSTEM_NAMESPACE,
};
use crate::ledger::{BlockParts, Checkpoint, Head, LogKeys, LogTrust, Writer, WriterDraft, parse_block_name};
use crate::store::{
    Anchor, BlockStore as _, ConfigMapStore, CreateError, LogSigner, OpeningError, Remains, anchor_data, anchor_of,
    asked_for, sign_note,
};
use crate::trust::{NoteVerifier, parse_yaml_strict};
use crate::units::{BlockNumber, UnixMillis, hex};

use super::{args, clock, load_config, log_key};

/// How long the writer's key lives that seals the one block, in milliseconds.
const WRITER_LIFE: u64 = 3600 * 1000;

/// Why no epoch was opened.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// The file is not a command.
    #[error("{}: {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The ledger was never begun.
    #[error("the ledger of this cluster was never begun; there is nothing to go on from")]
    NoLedger,
    /// No key of the log is held.
    #[error("the Secret {LOG_KEY_SECRET} holds no key that vouches for the log now; restore it from its backup")]
    NoKey,
    /// The epoch cannot be opened.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The cluster is in another epoch.
    #[error("the ledger is in the epoch {found}; the command opens the epoch {asked}")]
    Order {
        /// What is there.
        found: u16,
        /// What the command opens.
        asked: u16,
    },
    /// The store did not take the block, or it cannot be read.
    #[error("{0}; nothing was changed, run it again")]
    Store(String),
}

/// Opens the epoch that a signed command asks for.
pub(super) async fn open_epoch(options: args::OpenEpoch) -> Result<(), super::Error> {
    let args::OpenEpoch { file, owner, kubeconfig } = options;
    let command = read_command(&file)?;
    let asked = asked_for(&command).map_err(EpochError::from)?;
    let mut config = load_config(kubeconfig.as_deref()).await?;
    let account = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER_ACCOUNT}");
    config.auth_info.impersonate = Some(account);
    let client = Client::try_from(config)?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let uid = namespaces.get("kube-system").await?.metadata.uid.ok_or(super::Error::ClusterUid)?;
    let anchors: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let mut map = anchors.get_opt(CHECKPOINT_CONFIG_MAP).await?.ok_or(EpochError::NoLedger)?;
    let anchor = anchor_of(&map);
    let store = ConfigMapStore::new(client.clone());
    let before = asked.epoch.checked_sub(1).ok_or(EpochError::Order { found: 0, asked: asked.epoch })?;
    let trust = trust_of(&anchor, &format!("{owner}/ecm/{uid}"))?.in_epoch(before);
    let unread = |e: crate::store::PruneError| EpochError::Store(e.to_string());
    let begin = crate::store::begin(&store, anchor.snapshot, &trust).await.map_err(unread)?;
    let first = begin.as_ref().map_or(BlockNumber(0), |snapshot| snapshot.head.next_block());
    let blocks = kept_blocks(&store, &trust, (asked.epoch, first)).await?;
    let remains = Remains::verify(trust, begin, &blocks, &asked).map_err(EpochError::from)?;
    let known = known(&anchor, remains.head.log_keys());
    let now = clock::wall_clock()();
    let opened = remains.head.next_epoch();
    let signers = signers(&client, &opened).await?;
    let head = match first_block(&store, &remains).await? {
        Some(head) => head,
        None => {
            let event = remains.opening(&command, known.as_ref(), now).map_err(EpochError::from)?;
            let parts =
                remains.first_block(event, &writer(&signers, &opened, now).await?, now).map_err(EpochError::from)?;
            create(&store, &remains, &parts).await?;
            first_block(&store, &remains)
                .await?
                .ok_or_else(|| EpochError::Store("the block is not there".to_owned()))?
        }
    };
    if anchor.origin != opened.trust().origin {
        let LogTrust { origin, epoch: _, key } = opened.trust().clone();
        // Whoever starts on a pruned ledger believes its snapshot only by a checkpoint.
        let checkpoint = Checkpoint { origin: origin.clone(), size: head.next_index().0, root: head.root() };
        let signed = sign_note(&checkpoint.text(), &signers).await.map_err(|e| EpochError::Store(e.to_string()))?;
        let (key, snapshot) = (key.to_string(), anchor.snapshot);
        map.data = Some(anchor_data(&Anchor { origin, key, checkpoint: signed, snapshot, ..Anchor::default() }));
        anchors.replace(CHECKPOINT_CONFIG_MAP, &PostParams::default(), &map).await?;
    }
    let (epoch, size) = (asked.epoch, remains.head.next_index());
    println!("the epoch {epoch} of the ledger is open; it goes on from {size} entries");
    println!("log: {}", opened.trust().key);
    println!("next: start the operator again, and give this key to the witnesses and to whoever verifies");
    Ok(())
}

fn read_command(path: &Path) -> Result<serde_json::Value, EpochError> {
    let wrong = |e: &dyn std::fmt::Display| EpochError::File { path: path.to_owned(), what: e.to_string() };
    let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
    let mut documents = parse_yaml_strict(&text).map_err(|e| wrong(&e))?;
    match (documents.pop(), documents.is_empty()) {
        (Some(command), true) => Ok(command),
        (Some(_) | None, _) => Err(wrong(&"it must hold one document")),
    }
}

/// The log as the cluster names it; it must be the one of this cluster.
fn trust_of(anchor: &Anchor, log: &str) -> Result<LogTrust, EpochError> {
    let other = || EpochError::File {
        path: CHECKPOINT_CONFIG_MAP.into(),
        what: format!("the log is `{}`, not one of `{log}`; give --owner", anchor.origin),
    };
    let epoch = anchor.origin.strip_prefix(log).and_then(|rest| rest.strip_prefix('/')?.parse().ok());
    let key: NoteVerifier = anchor.key.parse().map_err(|_| other())?;
    Ok(LogTrust { origin: anchor.origin.clone(), epoch: epoch.ok_or_else(other)?, key })
}

/// The blocks that came before the epoch, in order. What else is there was lost with an earlier one, or will be now.
async fn kept_blocks(
    store: &ConfigMapStore,
    trust: &LogTrust,
    (asked, first): (u16, BlockNumber),
) -> Result<Vec<BlockParts>, EpochError> {
    let unavailable = |e: &dyn std::fmt::Display| EpochError::Store(e.to_string());
    let objects = store.list().await.map_err(|e| unavailable(&e))?;
    let named = || objects.iter().filter_map(|(name, parts)| Some((parse_block_name(name)?, parts)));
    let lineage = crate::ledger::Lineage::claimed(named().map(|(name, _)| name).filter(|(epoch, _)| *epoch < asked));
    if lineage.epoch() != trust.epoch {
        return Err(EpochError::Order { found: lineage.epoch(), asked });
    }
    let held = named().filter(|((epoch, number), _)| lineage.holds(*epoch, *number) && *number >= first);
    // Behind the first one that is gone or no block nothing can be kept.
    Ok(held.map_while(|(_, parts)| parts.clone().ok()).collect())
}

/// The largest checkpoint of this epoch that the cluster has.
fn known(anchor: &Anchor, keys: &LogKeys) -> Option<Checkpoint> {
    let notes = [&anchor.checkpoint, &anchor.witnessed, &anchor.contradiction];
    notes.into_iter().filter_map(|note| keys.open(note).ok()).max_by_key(|checkpoint| checkpoint.size)
}

/// The keys of the log that are held here and vouch for it now, by their names in the new epoch.
async fn signers(client: &Client, opened: &Head) -> Result<Vec<Arc<dyn LogSigner>>, super::Error> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), SYSTEM_NAMESPACE);
    let keyring = log_key::keyring(&secrets, &opened.trust().origin).await?;
    let current: Vec<&NoteVerifier> = opened.log_keys().current().collect();
    let signers: Vec<_> = keyring.signers.into_iter().filter(|s| current.contains(&&s.verifier())).collect();
    if signers.is_empty() { Err(EpochError::NoKey.into()) } else { Ok(signers) }
}

async fn writer(signers: &[Arc<dyn LogSigner>], opened: &Head, now: UnixMillis) -> Result<Writer, super::Error> {
    let (origin, signer) = (&opened.trust().origin, signers.first().ok_or(EpochError::NoKey)?);
    let nonce = clock::random_bytes()?;
    let name = format!("{origin}/opening-{}", hex(nonce.get(..4).unwrap_or_default()));
    let end = UnixMillis(now.0.saturating_add(WRITER_LIFE));
    let failed = |e: &dyn std::fmt::Display| EpochError::Store(e.to_string());
    let draft = WriterDraft::try_new(origin, &name, &clock::random_bytes()?, end).map_err(|e| failed(&e))?;
    let line = signer.sign_line(draft.text()).await.map_err(|e| failed(&e))?;
    Ok(draft.introduced(&line))
}

/// The end of the chain after the first block of the epoch, if that is there. Whoever made it: it folds, so that the people of the
/// charter have opened this epoch with these blocks.
async fn first_block(store: &ConfigMapStore, remains: &Remains) -> Result<Option<Head>, EpochError> {
    let (epoch, number) = (remains.head.next_epoch().trust().epoch, remains.head.next_block());
    let read = store.read(epoch, number).await.map_err(|e| EpochError::Store(e.to_string()))?;
    let Some(parts) = read else { return Ok(None) };
    let (mut head, mut state) = (remains.head.clone(), remains.state.clone());
    let block = head.fold(&parts).map_err(|e| OpeningError::Refused(e.to_string()))?;
    crate::store::replay(&block, &mut state).map_err(|e| OpeningError::Refused(e.to_string()))?;
    Ok(Some(head))
}

/// Creates the first block of the epoch. One that is there is looked at by the caller.
async fn create(store: &ConfigMapStore, remains: &Remains, parts: &BlockParts) -> Result<(), EpochError> {
    let (epoch, number) = (remains.head.next_epoch().trust().epoch, remains.head.next_block());
    match store.create(epoch, number, parts).await {
        Ok(()) | Err(CreateError::Exists) => Ok(()),
        Err(error @ (CreateError::Refused(_) | CreateError::Unknown(_))) => {
            Err(EpochError::Store(format!("{LEDGER_NAMESPACE}: {error}")))
        }
    }
}
