//! A client of a cluster, with the user's own kubeconfig, and the reading of its ledger.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::store::{Anchor, ConfigMapStore, HotStore as _, ReadError, parse_snapshot_name, read_anchor};
use crate::units::BlockNumber;

use super::dump::{Claims, Dump};
use super::output::{Failure, failure, tell};
use super::pruned::Parts;

/// Which cluster.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Cluster {
    /// Kubeconfig file.
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig.
    #[arg(long)]
    context: Option<String>,
}

impl Cluster {
    /// Reads the whole ledger and what the cluster says about it.
    pub(super) fn read_ledger(&self) -> Result<Dump, Failure> {
        self.with_client(async |client| {
            tell("reading the ledger ...");
            let wrong = |e: ReadError| {
                Failure::new(format!("the ledger cannot be read: {e}")).with_next(
                    "you need the rights to list configmaps in miax-ledger and to get miax-checkpoint in miax-system",
                )
            };
            let anchor = read_anchor(client.clone()).await.map_err(wrong)?;
            let store = ConfigMapStore::new(client);
            let snapshots = read_snapshots(&store).await.map_err(wrong)?;
            let blocks = store.list().await.map_err(wrong)?;
            let claims = anchor.map(|anchor| {
                let Anchor { origin, key, checkpoint, witnessed, contradiction: _, snapshot } = anchor;
                Claims { origin, key, checkpoint, witnessed, snapshot }
            });
            let blocks = blocks.into_iter().map(|(name, parts)| (name, parts.map_err(|e| e.to_string()))).collect();
            Ok(Dump { blocks, snapshots, claims, archived: None, live: true })
        })
    }

    /// Does something with a client, on a runtime of its own.
    pub(super) fn with_client<T>(&self, work: impl AsyncFnOnce(Client) -> Result<T, Failure>) -> Result<T, Failure> {
        self.run_as(None, work)
    }

    /// The same as another user, whom the caller must have the right to impersonate.
    pub(super) fn with_client_as<T>(
        &self,
        user: &str,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.run_as(Some(user.to_owned()), work)
    }

    fn run_as<T>(
        &self,
        user: Option<String>,
        work: impl AsyncFnOnce(Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| failure(&e))?;
        runtime.block_on(async { work(self.client(user).await?).await })
    }

    async fn client(&self, user: Option<String>) -> Result<Client, Failure> {
        // Only fails when a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::new(format!("no cluster to talk to: {e}"))
                .with_next("--kubeconfig FILE, or read a dump with --dump FILE")
        };
        let config = match &self.kubeconfig {
            Some(path) => {
                let file = Kubeconfig::read_from(path).map_err(|e| wrong(&e))?;
                Config::from_custom_kubeconfig(file, &options).await
            }
            None => Config::from_kubeconfig(&options).await,
        };
        let mut config = config.map_err(|e| wrong(&e))?;
        if user.is_some() {
            config.auth_info.impersonate = user;
        }
        Client::try_from(config).map_err(|e| wrong(&e))
    }
}

/// Every snapshot that the cluster holds. One that is removed meanwhile is only incomplete.
async fn read_snapshots(store: &ConfigMapStore) -> Result<BTreeMap<(u16, BlockNumber), Parts>, ReadError> {
    let mut snapshots: BTreeMap<_, Parts> = BTreeMap::new();
    for name in store.names().await? {
        if let Some((epoch, block, part)) = parse_snapshot_name(&name)
            && let Some(packed) = store.read_part(&name).await?
        {
            snapshots.entry((epoch, block)).or_default().insert(part, packed);
        }
    }
    Ok(snapshots)
}
