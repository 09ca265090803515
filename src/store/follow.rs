//! Follows the blocks of a cluster: what other replicas append, and what nobody should have deleted or changed.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::api::names::LEDGER_NAMESPACE;
use crate::ledger::{BlockParts, Lineage, parse_block_name};
use crate::units::BlockNumber;

use super::block_store::ReadError;
use super::config_map::{name_of, parts_of};

/// What was seen in the store.
#[derive(Clone, Debug)]
pub enum StoreEvent {
    /// Everything that is there follows.
    ListBegins,
    /// A block is there: name, number, content.
    Seen(String, BlockNumber, Result<BlockParts, ReadError>),
    /// A block was deleted.
    Deleted(String),
    /// Everything that was there was seen.
    ListEnds,
    /// Somebody else showed that this ledger cannot be the whole one: what, in a sentence.
    Alarm(String),
    /// The store may have changed without being seen: the connection was lost, and nothing was listed since.
    Interrupted,
    /// An audit begins to read the store.
    AuditBegins,
    /// The audit read these blocks, from this number on; every byte of them is right.
    Audited(BlockNumber, Arc<Vec<BlockParts>>),
    /// The audit found something wrong.
    AuditFailed(String),
}

/// Sends what happens in the namespace `miax-ledger` to `events`, for ever; a lost connection is made again with growing
/// pauses, and then everything is listed and compared again.
///
/// # Errors
/// [`watcher::Error`] never in practice: the watch retries.
pub async fn follow(client: Client, lineage: Lineage, events: mpsc::Sender<StoreEvent>) -> Result<(), watcher::Error> {
    let api: Api<ConfigMap> = Api::namespaced(client, LEDGER_NAMESPACE);
    let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
    loop {
        let event = match stream.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the watch of the ledger was interrupted");
                if events.send(StoreEvent::Interrupted).await.is_err() {
                    return Ok(());
                }
                continue;
            }
        };
        if let Some(event) = translate(event, &lineage)
            && events.send(event).await.is_err()
        {
            return Ok(());
        }
    }
}

/// Objects that are not blocks (the cluster's root certificate, for example), and blocks that were lost when a later epoch was
/// opened, are nobody's evidence. When an epoch is opened, whoever still lives in the one before must stop.
fn translate(event: watcher::Event<ConfigMap>, lineage: &Lineage) -> Option<StoreEvent> {
    let named = |map: &ConfigMap| parse_block_name(name_of(map));
    let number = |map: &ConfigMap| named(map).filter(|(epoch, number)| lineage.holds(*epoch, *number)).map(|(_, n)| n);
    if let watcher::Event::Apply(map) | watcher::Event::InitApply(map) = &event
        && let Some((epoch, _)) = named(map).filter(|(epoch, _)| *epoch > lineage.epoch())
    {
        return Some(StoreEvent::Alarm(format!("the epoch {epoch} was opened; restart this process")));
    }
    match event {
        watcher::Event::Init => Some(StoreEvent::ListBegins),
        watcher::Event::InitDone => Some(StoreEvent::ListEnds),
        watcher::Event::Apply(map) | watcher::Event::InitApply(map) => {
            let number = number(&map)?;
            Some(StoreEvent::Seen(name_of(&map).to_owned(), number, parts_of(&map)))
        }
        watcher::Event::Delete(map) => number(&map).map(|_| StoreEvent::Deleted(name_of(&map).to_owned())),
    }
}
