//! Facts for a decision: from local caches only, read once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher;
use kube::{Api, Client, Resource};

use crate::constitution::{Command, Facts, GateRequest, Request, Target, TargetFact, TargetState, WorkloadKind};
use crate::store::Clock;
use crate::units::Digest;

use super::objectives::ObjectiveCache;

/// How long the API server keeps one watch; a connection that died in silence is noticed by then.
pub(super) const WATCH_SECONDS: u32 = 60;
/// First pause before an interrupted watch is begun anew; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A cache of the metadata of one kind of workload in all namespaces.
struct KindCache<K: Resource<DynamicType = ()> + 'static> {
    store: Store<PartialObjectMeta<K>>,
    /// Whether the watch is connected and complete. A broken watch makes every answer stale at once: the API server that
    /// asks is the one that the watch is from.
    fresh: Arc<AtomicBool>,
}

/// Caches of all workloads that commands can name.
pub struct WorkloadCache {
    deployments: KindCache<Deployment>,
    stateful_sets: KindCache<StatefulSet>,
    daemon_sets: KindCache<DaemonSet>,
}

/// Everything that a decision is made from, beside the request and State.
pub struct Snapshot {
    workloads: WorkloadCache,
    objectives: ObjectiveCache,
    cluster_uid: String,
    genesis: Option<Digest>,
    clock: Clock,
}

impl<K> KindCache<K>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    fn start(client: Client) -> Self {
        let (store, writer) = reflector::store();
        let fresh = Arc::new(AtomicBool::new(false));
        tokio::spawn(keep(Api::all(client), writer, fresh.clone()));
        Self { store, fresh }
    }

    fn look_up(&self, target: &Target) -> TargetFact {
        if !self.fresh.load(Ordering::Acquire) {
            return TargetFact::Stale;
        }
        let Some(object) = self.store.get(&ObjectRef::new(&target.name).within(&target.namespace)) else {
            return TargetFact::Missing;
        };
        match (&object.metadata.uid, object.metadata.generation, &object.metadata.resource_version) {
            (Some(uid), Some(generation), Some(version)) => {
                TargetFact::Found(TargetState { uid: uid.clone(), generation, resource_version: version.clone() })
            }
            _ => TargetFact::Stale,
        }
    }
}

/// Lists and watches for ever. After an interruption everything is listed anew: a watch that only resumes says nothing until
/// something changes, and nobody could tell a quiet cluster from a deaf watch.
async fn keep<K>(api: Api<PartialObjectMeta<K>>, mut writer: Writer<PartialObjectMeta<K>>, fresh: Arc<AtomicBool>)
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = watcher(api.clone(), watcher::Config::default().timeout(WATCH_SECONDS)).boxed();
        let interrupted = loop {
            match events.next().await {
                Some(Ok(event)) => {
                    let complete = !matches!(event, watcher::Event::Init | watcher::Event::InitApply(_));
                    writer.apply_watcher_event(&event.modify(slim));
                    if complete {
                        fresh.store(true, Ordering::Release);
                        pause = FIRST_PAUSE;
                    }
                }
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        fresh.store(false, Ordering::Release);
        tracing::warn!(error = interrupted.map(|e| e.to_string()), "the watch of a workload kind was interrupted");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Only identity and generation are needed; the rest of the metadata would be memory for nothing.
fn slim<K: Resource>(object: &mut PartialObjectMeta<K>) {
    object.metadata.managed_fields = None;
    object.metadata.annotations = None;
    object.metadata.labels = None;
    object.metadata.owner_references = None;
}

impl WorkloadCache {
    /// Starts the watches of all kinds.
    #[must_use]
    pub fn start(client: &Client) -> Self {
        Self {
            deployments: KindCache::start(client.clone()),
            stateful_sets: KindCache::start(client.clone()),
            daemon_sets: KindCache::start(client.clone()),
        }
    }

    /// Whether every watch is connected and complete.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        let Self { deployments, stateful_sets, daemon_sets } = self;
        [&deployments.fresh, &stateful_sets.fresh, &daemon_sets.fresh].iter().all(|f| f.load(Ordering::Acquire))
    }

    fn look_up(&self, target: &Target) -> TargetFact {
        match target.kind {
            WorkloadKind::Deployment => self.deployments.look_up(target),
            WorkloadKind::StatefulSet => self.stateful_sets.look_up(target),
            WorkloadKind::DaemonSet => self.daemon_sets.look_up(target),
        }
    }
}

impl Snapshot {
    /// A source of facts.
    #[must_use]
    pub fn new(
        workloads: WorkloadCache,
        objectives: ObjectiveCache,
        cluster_uid: String,
        genesis: Option<Digest>,
        clock: Clock,
    ) -> Self {
        Self { workloads, objectives, cluster_uid, genesis, clock }
    }

    /// Whether the caches are complete.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.workloads.is_fresh() && self.objectives.is_complete()
    }

    /// The facts for a change of a workload.
    #[must_use]
    pub fn for_change(&self, change: &GateRequest) -> Facts {
        Facts { budgets: self.objectives.facts(change), ..self.with_target(TargetFact::NotNamed) }
    }

    /// The facts for a request, as they are now.
    #[must_use]
    pub fn facts(&self, request: &Request) -> Facts {
        let command = request.object.as_ref().and_then(|object| Command::read(object).ok());
        let named = command.as_ref().and_then(|c| c.action.target());
        let target = named.map_or(TargetFact::NotNamed, |t| self.workloads.look_up(t));
        self.with_target(target)
    }

    /// Facts with a target that was looked up elsewhere, as the executor does right before it acts.
    #[must_use]
    pub fn with_target(&self, target: TargetFact) -> Facts {
        let now = (self.clock)().into();
        Facts { now, cluster_uid: self.cluster_uid.clone(), genesis: self.genesis, target, budgets: Vec::new() }
    }
}
