//! The one place that constructs things: clients, clocks, tasks, sockets; and the order in which they start and stop.

mod archive;
mod args;
mod authority;
mod client_ca;
mod clock;
mod epoch;
mod error;
mod forwarding;
mod guards;
mod install;
mod lease;
mod log_key;
mod measuring;
mod numbers;
mod readiness;
mod sequencer_lease;
mod webhook;
mod witnesses;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::events::{Recorder, Reporter};
use kube::{Api, Client, Config};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::admission::Doubts;
use crate::api::names::{CONTROLLER_ACCOUNT, executor_account};
use crate::controllers::{
    Auditor, CheckpointWriter, Context, LogKeyKeeper, Measurements, Queue, SeatClients, Vouching, audit,
    end_isolations, follow_anchor, keep_checkpoints, keep_log_keys, sweep, watchdog,
};
use crate::ledger::{Budget, Checkpoint, Head, Lineage, LogTrust};
use crate::store::{self, Clock, ConfigMapStore, Health, Ledger, Sequencer, StoreEvent, WriterSource, follow};
use crate::telemetry::{Metrics, Readiness, init_logging, probes};

use forwarding::Forwarding;
use numbers::numbers;

pub use args::{Arguments, Command, Common};
pub use error::Error;
pub use guards::Pruning;
pub use install::{Extent, objects};

/// Calls of the API server that take longer are given up.
const READ_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs what the command line says until a signal comes.
///
/// # Errors
/// Every variant of [`Error`]; the message says what to do next.
pub async fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.command {
        Command::Webhook(options) => webhook::run(options).await,
        Command::Controller(options) => run_controller(options).await,
        Command::OpenEpoch(options) => epoch::open_epoch(options).await,
        Command::Manifests(options) => {
            let args::Manifests { static_guards, prune, gate, url, seats } = options;
            let extent = extent(prune, gate);
            print_manifests(&match static_guards {
                true => guards::static_guards(extent.pruning),
                false => objects(url.as_deref(), &seats, &extent),
            });
            Ok(())
        }
    }
}

fn extent(prune: bool, args::Gate { gate_kinds }: args::Gate) -> Extent {
    let pruning = if prune { Pruning::On } else { Pruning::Off };
    Extent { pruning, gated: gate_kinds.into_iter().collect() }
}

fn print_manifests(objects: &[serde_json::Value]) {
    let documents: Vec<String> = objects.iter().map(crate::trust::to_yaml).collect();
    println!("{}", documents.join("---\n").trim_end());
}

/// The ledger of a process.
struct Started {
    ledger: Ledger,
    alive: watch::Receiver<bool>,
    /// Breaks the ledger off.
    alarms: mpsc::Sender<StoreEvent>,
    trust: LogTrust,
}

/// What both roles have.
struct Base {
    config: Config,
    client: Client,
    clock: Clock,
    metrics: Arc<Metrics>,
    cluster_uid: String,
    origin: String,
    /// Which block belongs to which epoch, when the process started: when another is opened, it ends.
    lineage: Lineage,
}

impl Base {
    async fn start(options: &Common) -> Result<Self, Error> {
        init_logging(&options.log, options.log_json);
        let config = load_config(options.kubeconfig.as_deref()).await?;
        let client = Client::try_from(config.clone())?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let cluster_uid = namespaces.get("kube-system").await?.metadata.uid.ok_or(Error::ClusterUid)?;
        let lineage = ConfigMapStore::new(client.clone()).lineage().await?;
        let origin = format!("{}/ecm/{cluster_uid}/{}", options.owner, lineage.epoch());
        let metrics = Arc::new(Metrics::try_new()?);
        Ok(Self { config, client, clock: clock::wall_clock(), metrics, cluster_uid, origin, lineage })
    }

    /// Starts to read the ledger and to take proposals. The ledger must hold what a witness holds.
    async fn start_ledger(
        &self,
        options: &Common,
        key: log_key::LogKey,
        held: Option<Checkpoint>,
    ) -> Result<Started, Error> {
        let promised = key.promised(held)?;
        let named = key.begin();
        let log_key::LogKey { keys, first, .. } = key;
        let trust = LogTrust { origin: self.origin.clone(), epoch: self.lineage.epoch(), key: first };
        let seed = clock::seed_source(clock::random_bytes()?);
        let writers = WriterSource { log_keys: keys, replica: options.replica.clone(), seed };
        // A client of its own: appends wait behind nothing else of this process.
        let store = ConfigMapStore::new(Client::try_from(self.config.clone())?);
        let head = Head::genesis(trust.clone());
        let begin = store::begin(&store, named, &trust).await?;
        let (sequencer, ledger, input) = Sequencer::new(store, head, promised, writers, self.clock.clone());
        let sequencer = sequencer.with_budget(Budget::new(options.ledger_cap << 20));
        let sequencer = match begin {
            Some(snapshot) => sequencer.with_snapshot(snapshot),
            None => sequencer,
        };
        let (events, inbox) = mpsc::channel(256);
        let alarms = events.clone();
        let (ended, alive) = watch::channel(false);
        let watching = follow(self.client.clone(), self.lineage.clone(), events);
        tokio::spawn(async move {
            tokio::select! {
                () = sequencer.run(input, inbox) => {}
                _ = watching => {}
            }
            let _ = ended.send(true);
        });
        Ok(Started { ledger, alive, alarms, trust })
    }

    /// What stands against allowing anything, by what the cluster says about its witnesses.
    fn doubts(&self, vouching: Arc<Vouching>, ledger: Ledger) -> Doubts {
        let clock = self.clock.clone();
        tokio::spawn(follow_anchor(self.client.clone(), vouching.clone(), ledger.clone(), clock.clone()));
        Arc::new(move || vouching.doubt(ledger.view().head.next_index().0, clock().into()))
    }

    /// Starts to audit the ledger, for ever.
    fn start_auditor(
        &self,
        options: &Common,
        (ledger, alarms, trust): (Ledger, mpsc::Sender<StoreEvent>, LogTrust),
        leading: Option<Arc<Context>>,
    ) {
        tokio::spawn(audit(Auditor {
            client: self.client.clone(),
            trust,
            ledger,
            findings: alarms,
            metrics: self.metrics.clone(),
            clock: self.clock.clone(),
            period: Duration::from_secs(options.audit_period),
            leading,
        }));
    }

    /// Starts to hand proposals to the replica that appends for all; with a place this one may be it.
    async fn forward(
        &self,
        options: &Common,
        place: Option<forwarding::Place>,
        ledger: Ledger,
    ) -> Result<(Forwarding, Ledger), Error> {
        let identity = lease::identity(&options.replica)?;
        let (cluster_uid, genesis) = (self.cluster_uid.clone(), options.genesis);
        let common = store::Common { cluster_uid, genesis, clock: self.clock.clone() };
        Forwarding::start(self.client.clone(), identity, place, ledger, common).await
    }

    /// Serves probes and metrics.
    async fn serve_probes(&self, address: SocketAddr, ready: Readiness, ledger: Ledger) -> Result<(), Error> {
        let (metrics, clock) = (self.metrics.clone(), self.clock.clone());
        let exposition = Arc::new(move || {
            metrics.take_ledger(numbers(&ledger, clock().into()));
            metrics.take_forwards(forwarding::numbers(&ledger));
            metrics.render().map_err(|e| e.to_string())
        });
        let io = |source| Error::Io { what: format!("the probes cannot listen on {address}"), source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(io)?;
        tracing::info!(address = %listener.local_addr().map_err(io)?, "probes and metrics");
        tokio::spawn(async move { axum::serve(listener, probes(ready, exposition)).await });
        Ok(())
    }
}

async fn load_config(kubeconfig: Option<&Path>) -> Result<Config, Error> {
    let wrong = |e: &dyn std::fmt::Display| Error::Kubeconfig(e.to_string());
    let mut config = match kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|e| wrong(&e))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(|e| wrong(&e))?
        }
        None => Config::infer().await.map_err(|e| wrong(&e))?,
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    Ok(config)
}

/// Clients that impersonate the service account of an organ. The organ's name comes from the verified charter only.
fn seat_clients(config: Config) -> SeatClients {
    Arc::new(move |organ| {
        let mut config = config.clone();
        let value = HeaderValue::from_str(&executor_account(organ)).map_err(|e| kube::Error::Service(e.into()))?;
        config.headers.push((HeaderName::from_static("impersonate-user"), value));
        Client::try_from(config)
    })
}

/// Who Events say that they come from.
fn reporter(replica: &str) -> Reporter {
    Reporter { controller: CONTROLLER_ACCOUNT.to_owned(), instance: Some(replica.to_owned()) }
}

fn ledger_ready(ledger: &Ledger) -> Result<(), String> {
    match &ledger.view().health {
        Health::Whole => Ok(()),
        Health::Starting => Err("the ledger is still being read".to_owned()),
        Health::Broken(what) => Err(format!("the ledger is broken: {what}")),
    }
}

/// Resolves when the process is asked to end.
async fn asked_to_end() -> Result<(), Error> {
    let io = |source| Error::Io { what: "signals cannot be received".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn ended(mut alive: watch::Receiver<bool>) {
    let _ = alive.wait_for(|ended| *ended).await;
}

async fn run_controller(options: args::Controller) -> Result<(), Error> {
    let args::Controller { common: options, archives, archive_patience, prune, keep_blocks, gate, measuring } = options;
    let base = Base::start(&options).await?;
    let means = measuring::open(measuring, base.clock.clone())?;
    let archives = archive::Archives::open(&archives, archive_patience)?;
    let key = log_key::read_or_make(&base.client, &base.origin).await?;
    let keys = key.keys.clone();
    let witnesses = witnesses::Named::by(&options.witnessing)?;
    if prune && (witnesses.endpoints.is_empty() || !archives.may_prune()) {
        return Err(Error::Prune);
    }
    let held = witnesses.surely_hold(&key.known).await?;
    let Started { ledger, alive, alarms, trust } = base.start_ledger(&options, key, held).await?;
    let (_forwarding, ledger) = base.forward(&options, None, ledger).await?;
    let probed = ledger.clone();
    base.serve_probes(options.probes, Arc::new(move || ledger_ready(&probed)), ledger.clone()).await?;
    let leadership =
        lease::Leadership::new(base.client.clone(), lease::identity(&options.replica)?, base.clock.clone());
    tokio::select! {
        () = leadership.acquire() => {}
        result = asked_to_end() => return result,
    }
    tracing::info!("leading");
    let context = Arc::new(Context {
        client: base.client.clone(),
        ledger,
        seats: seat_clients(base.config.clone()),
        queue: Queue::default(),
        measurements: Measurements::default(),
        events: Recorder::new(base.client.clone(), reporter(&options.replica)),
        metrics: base.metrics.clone(),
        clock: base.clock.clone(),
        cluster_uid: base.cluster_uid.clone(),
        genesis: options.genesis,
    });
    if let Some(means) = means {
        measuring::start(means, context.clone());
    }
    base.start_auditor(&options, (context.ledger.clone(), alarms.clone(), trust), Some(context.clone()));
    let (covered, is_covered) = watch::channel(0);
    if prune {
        archives.prune(context.clone(), &base.config, keep_blocks, is_covered)?;
    }
    let checkpoints = CheckpointWriter {
        context: context.clone(),
        keys: keys.clone(),
        store: ConfigMapStore::new(base.client.clone()),
        lineage: base.lineage.clone(),
        alarms: alarms.clone(),
        policy: witnesses.policy,
        endpoints: witnesses.endpoints,
        covered,
    };
    let keeper = LogKeyKeeper { ledger: context.ledger.clone(), keys, clock: base.clock.clone() };
    let (stop, stopping) = watch::channel(false);
    let stopped = ended(stopping).boxed().shared();
    let controllers = tokio::spawn(crate::controllers::run(context.clone(), stopped));
    tokio::spawn(authority::keep_authority(base.client.clone(), base.clock.clone()));
    tokio::spawn(keep_checkpoints(checkpoints));
    tokio::spawn(keep_log_keys(keeper));
    tokio::spawn(sweep(context.clone()));
    archives.keep(context.clone(), &base.config, alarms.clone())?;
    tokio::spawn(end_isolations(context));
    tokio::spawn(watchdog(base.client.clone(), install::watched(None, &extent(prune, gate)), base.metrics.clone()));
    let result = tokio::select! {
        result = asked_to_end() => result,
        () = leadership.keep() => return Err(Error::LeaseLost),
        () = ended(alive) => return Err(Error::TaskEnded("ledger")),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    // Running actions end first; only then may another controller lead.
    let _ = controllers.await;
    leadership.release().await;
    result
}
