//! Opens the archives that the command line names, and starts to keep them.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use kube::{Client, Config};
use tokio::sync::{mpsc, watch};

use crate::controllers::{Archiver, Context, Pruner, keep_archives, prune};
use crate::store::{ArchivePlace, ArchivePlaceError, ArchiveStore, ConfigMapStore, StoreEvent};

/// The archives of a controller.
pub(super) struct Archives {
    stores: Vec<ArchiveStore>,
    patience: Duration,
}

impl Archives {
    /// Opens all of them; the operator does not start while one is not there.
    pub(super) fn open(places: &[ArchivePlace], patience: u64) -> Result<Self, ArchivePlaceError> {
        // Credentials of buckets: never on the command line, where everybody on the node can read them.
        let text = |(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value.into_string().ok()?));
        let environment: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
        let stores = places.iter().map(|place| place.open(&environment)).collect::<Result<_, _>>()?;
        Ok(Self { stores, patience: Duration::from_secs(patience) })
    }

    /// Whether there are enough to delete from the cluster what they hold.
    pub(super) fn may_prune(&self) -> bool {
        self.stores.len() > 1
    }

    /// Deletes from the cluster what they hold, for as long as the process runs. For the leading controller.
    pub(super) fn prune(
        &self,
        context: Arc<Context>,
        config: &Config,
        keep: u64,
        covered: watch::Receiver<u64>,
    ) -> Result<(), kube::Error> {
        let store = ConfigMapStore::new(Client::try_from(config.clone())?);
        tokio::spawn(prune(Pruner { context, store, archives: self.stores.clone(), keep, covered }));
        Ok(())
    }

    /// Keeps them for as long as the process runs. For the leading controller.
    pub(super) fn keep(
        self,
        context: Arc<Context>,
        config: &Config,
        alarms: mpsc::Sender<StoreEvent>,
    ) -> Result<(), kube::Error> {
        let Self { stores: archives, patience } = self;
        // A client of its own: copying waits behind nothing, and nothing behind it.
        let blocks = ConfigMapStore::new(Client::try_from(config.clone())?);
        tokio::spawn(keep_archives(Archiver { context, blocks, archives, patience, alarms }));
        Ok(())
    }
}
