//! What happens after admission: manifests come into force, commands are carried out, the log is vouched for.
//!
//! Must not: trust what admission may have missed. Every object is judged again, from its bytes, right before anything is
//! done with it; an object that never passed the webhook is refused here.

mod anchor;
mod archive;
mod audit;
mod checkpoint;
mod command;
mod effect;
mod events;
mod examine;
mod isolation;
mod log_keys;
mod manifest;
mod owed;
pub mod prometheus;
mod prune;
mod published;
mod queue;
mod signing;
pub mod slo;
mod status;
mod stored;
mod sweep;
mod watchdog;
mod witness;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::core::ApiResource;
use kube::runtime::Controller;
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::Recorder;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use tokio::time::Instant;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::api::v1alpha1::{ControlCommand, Manifest, Slo};
use crate::constitution::{Facts, TargetFact};
use crate::store::{AppendError, Clock, Ledger, View};
use crate::telemetry::Metrics;
use crate::units::Digest;

use stored::Stored;

pub use archive::{Archiver, keep_archives};
pub use audit::{Auditor, audit};
pub use checkpoint::{CheckpointWriter, keep_checkpoints};
pub use isolation::end_isolations;
pub use log_keys::{LogKeyKeeper, keep_log_keys};
pub use prune::{Pruner, prune};
pub use queue::Queue;
pub use slo::{Measurements, Measurer, RulesPlace, keep_measuring};
pub use sweep::sweep;
pub use watchdog::watchdog;
pub use witness::{AddressError, Endpoint, EndpointError, Heard, Vouching, WitnessAddress, follow_anchor, hear};

/// Gives the client that acts as the service account of an organ.
pub type SeatClients = Arc<dyn Fn(&str) -> Result<Client, kube::Error> + Send + Sync>;

/// First and longest pause before a failed reconcile is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What every controller works with.
pub struct Context {
    /// The controllers' own client: governed objects and their status, nothing else.
    pub client: Client,
    /// The ledger.
    pub ledger: Ledger,
    /// Clients of the organs' service accounts.
    pub seats: SeatClients,
    /// Writes Events on governed objects.
    pub events: Recorder,
    /// The order of effects.
    pub queue: Queue,
    /// What was measured of objectives.
    pub measurements: Measurements,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub clock: Clock,
    /// UID of this cluster.
    pub cluster_uid: String,
    /// Digest of the first charter.
    pub genesis: Option<Digest>,
}

/// Why a reconcile did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The ledger did not take the entry.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The effect's end is not known yet; the next reconcile looks at the target.
    #[error("the effect is not known yet: {0}")]
    EffectPending(String),
    /// Kubernetes did not answer or refused.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// An earlier command goes first.
    #[error("the command {0} was allowed earlier and goes first")]
    Queued(Digest),
    /// The ledger answered with something else than was asked.
    #[error("the ledger answered a proposal with something else")]
    Reply,
    /// The object has no name, or is not JSON.
    #[error("the object cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl Error {
    /// The reason that stands in the log.
    fn reason(&self) -> Reason {
        match self {
            Self::Append(AppendError::Broken(_)) => Reason::LedgerBroken,
            Self::Append(AppendError::Full { .. }) => Reason::LedgerFull,
            Self::Append(_) | Self::Reply => Reason::LedgerUnavailable,
            Self::EffectPending(_) | Self::Queued(_) => Reason::EffectRunning,
            Self::Kube(_) => Reason::FactsStale,
            Self::Unreadable(_) => Reason::FieldInvalid,
        }
    }
}

impl Context {
    /// Facts with this target, as they are now.
    fn facts(&self, target: TargetFact) -> Facts {
        let now = (self.clock)().into();
        Facts { now, cluster_uid: self.cluster_uid.clone(), genesis: self.genesis, target, budgets: Vec::new() }
    }
}

/// Runs the controllers of all kinds until `stop` resolves.
pub async fn run(context: Arc<Context>, stop: impl Future<Output = ()> + Clone + Send + Sync + 'static) {
    let manifests = spawn_controller(GovernedKind::Manifest, context.clone(), stop.clone());
    let commands = spawn_controller(GovernedKind::ControlCommand, context.clone(), stop.clone());
    let objectives = spawn_controller(GovernedKind::Slo, context, stop);
    futures::join!(manifests, commands, objectives);
}

fn resource(kind: GovernedKind) -> ApiResource {
    match kind {
        GovernedKind::Manifest => ApiResource::erase::<Manifest>(&()),
        GovernedKind::ControlCommand => ApiResource::erase::<ControlCommand>(&()),
        GovernedKind::Slo => ApiResource::erase::<Slo>(&()),
    }
}

/// Objects are taken as they are stored, not through our types: the digest is over exactly those bytes.
async fn spawn_controller(
    kind: GovernedKind,
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let resource = resource(kind);
    let api = Api::<Stored>::all_with(context.client.clone(), &resource);
    let controller = Controller::new_with(api, watcher::Config::default(), resource)
        .reconcile_all_on(charter_changes(&context.ledger))
        .reconcile_all_on(rounds(kind, &context.measurements))
        .with_config(Config::default().concurrency(at_once(kind)))
        .graceful_shutdown_on(stop);
    let reconcile = move |object: Arc<Stored>, context: Arc<Context>| async move {
        let started = Instant::now();
        let result = match kind {
            GovernedKind::Manifest => manifest::reconcile(&object.object()?, &context).await,
            GovernedKind::ControlCommand => command::reconcile(&object.object()?, &context).await,
            GovernedKind::Slo => slo::reconcile(&object.object()?, &context).await,
        };
        context.metrics.reconciled(kind, result.is_ok(), started.elapsed());
        result
    };
    let failed = move |object: Arc<Stored>, error: &Error, _: Arc<Context>| {
        let name = object.meta().name.clone().unwrap_or_default();
        let namespace = object.meta().namespace.clone().unwrap_or_default();
        if let Error::Queued(first) = error {
            tracing::debug!(namespace, name, %first, "an earlier command goes first");
        } else {
            tracing::warn!(kind = kind.kind(), namespace, name, reason = %error.reason(), %error, "reconcile failed");
        }
        Action::requeue(retry_after(error))
    };
    controller.run(reconcile, failed, context).for_each(|_| std::future::ready(())).await;
}

/// How many objects of a kind are looked at together. Commands take effect in the order of the ledger, one after another; an
/// objective does not wait for others.
fn at_once(kind: GovernedKind) -> u16 {
    match kind {
        GovernedKind::Manifest | GovernedKind::ControlCommand => 1,
        GovernedKind::Slo => 8,
    }
}

/// An item whenever another charter comes into force: then every object stands otherwise than before.
fn charter_changes(ledger: &Ledger) -> impl Stream<Item = ()> + Send + use<> {
    let since = |view: &View| view.state.charter_changed();
    let views = ledger.changes();
    let known = since(&views.borrow());
    futures::stream::unfold((views, known), move |(mut views, known)| async move {
        let changed = views.wait_for(|view| since(view) != known).await.ok().map(|view| since(&view))?;
        Some(((), (views, changed)))
    })
}

/// An item after every round of measurements, for the kind that tells of them.
fn rounds(kind: GovernedKind, measurements: &Measurements) -> impl Stream<Item = ()> + Send + use<> {
    let told = (kind == GovernedKind::Slo).then(|| measurements.rounds());
    futures::stream::unfold(told, |told| async move {
        let mut told = told?;
        told.changed().await.ok()?;
        Some(((), Some(told)))
    })
}

/// How soon a failed reconcile is tried again, by what failed.
fn retry_after(error: &Error) -> Duration {
    match error {
        Error::EffectPending(_) | Error::Queued(_) | Error::Kube(kube::Error::Api(_)) => FIRST_RETRY,
        Error::Append(AppendError::Broken(_) | AppendError::Full { .. }) | Error::Unreadable(_) | Error::Reply => {
            LONGEST_RETRY
        }
        Error::Append(_) | Error::Kube(_) => FIRST_RETRY * 4,
    }
}
