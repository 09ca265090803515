//! Follows the blocks of a cluster: what other replicas append, and what nobody should have deleted or changed.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;

use crate::api::names::LEDGER_NAMESPACE;
use crate::ledger::{BlockParts, parse_block_name};
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
}

/// Sends what happens in the namespace `miax-ledger` to `events`, for ever; a lost connection is made again with growing
/// pauses, and then everything is listed and compared again.
///
/// # Errors
/// [`watcher::Error`] never in practice: the watch retries.
pub async fn follow(client: Client, epoch: u16, events: mpsc::Sender<StoreEvent>) -> Result<(), watcher::Error> {
    let api: Api<ConfigMap> = Api::namespaced(client, LEDGER_NAMESPACE);
    let mut stream = watcher(api, watcher::Config::default()).default_backoff().boxed();
    loop {
        let event = match stream.try_next().await {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the watch of the ledger was interrupted");
                continue;
            }
        };
        if let Some(event) = translate(event, epoch)
            && events.send(event).await.is_err()
        {
            return Ok(());
        }
    }
}

/// Objects that are not blocks of this epoch (the cluster's root certificate, for example) are nobody's evidence.
fn translate(event: watcher::Event<ConfigMap>, epoch: u16) -> Option<StoreEvent> {
    let number = |map: &ConfigMap| parse_block_name(name_of(map)).filter(|(e, _)| *e == epoch).map(|(_, n)| n);
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
