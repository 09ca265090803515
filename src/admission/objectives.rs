//! What the statuses of objectives say, kept in memory: the facts of the gate. The controller writes them, and a guard lets nobody
//! else. Prometheus is never asked here.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};

use crate::api::GatedKind;
use crate::api::v1alpha1::{BudgetStatus, HealthyTemplate, Slo, SloStatus};
use crate::constitution::{BudgetFact, GateRequest};
use crate::units::{Digest, Seconds, UnixSeconds};

use super::snapshot::WATCH_SECONDS;

/// First pause before an interrupted watch is begun anew; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What the gate needs of a status.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    digest: Digest,
    evaluated_at: UnixSeconds,
    interval: Seconds,
    numbers: String,
    /// When a template was last seen running well, by workload.
    healthy: BTreeMap<(GatedKind, String), Vec<(Digest, UnixSeconds)>>,
}

/// By namespace, then by name.
type Statuses = HashMap<String, BTreeMap<String, Arc<Seen>>>;

/// The statuses of all objectives. A status that is old says so itself, so that an interrupted watch need not be known here.
#[derive(Clone, Default)]
pub struct ObjectiveCache {
    statuses: Arc<RwLock<Statuses>>,
    listed: Arc<AtomicBool>,
}

impl ObjectiveCache {
    /// Starts the watch.
    #[must_use]
    pub fn start(client: Client) -> Self {
        let cache = Self::default();
        tokio::spawn(keep(Api::all(client), cache.clone()));
        cache
    }

    /// Whether every objective was seen once.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// What is known of the error budgets that a change may stand under.
    #[must_use]
    pub fn facts(&self, change: &GateRequest) -> Vec<BudgetFact> {
        let statuses = self.statuses.read().unwrap_or_else(PoisonError::into_inner);
        let of_namespace = statuses.get(&change.target.namespace).into_iter().flatten();
        of_namespace.map(|(name, seen)| seen.fact(name, change)).collect()
    }

    fn put(&self, object: &Slo) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else { return };
        let mut statuses = self.statuses.write().unwrap_or_else(PoisonError::into_inner);
        match object.status.as_ref().and_then(Seen::of) {
            Some(seen) => {
                statuses.entry(namespace.clone()).or_default().insert(name.clone(), Arc::new(seen));
            }
            None => remove(&mut statuses, namespace, name),
        }
    }

    fn forget(&self, object: &Slo) {
        let (Some(namespace), Some(name)) = (&object.metadata.namespace, &object.metadata.name) else { return };
        remove(&mut self.statuses.write().unwrap_or_else(PoisonError::into_inner), namespace, name);
    }
}

fn remove(statuses: &mut Statuses, namespace: &str, name: &str) {
    if let Some(names) = statuses.get_mut(namespace) {
        names.remove(name);
        if names.is_empty() {
            statuses.remove(namespace);
        }
    }
}

impl Seen {
    /// `None` for a status that was never measured, or that does not hold what the controller writes.
    fn of(status: &SloStatus) -> Option<Self> {
        let SloStatus { digest, evaluated_at, interval_seconds, budget, healthy, .. } = status;
        let numbers = budget.as_ref().map(numbers).unwrap_or_default();
        let mut templates: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for HealthyTemplate { kind, name, template, seen } in healthy {
            let (kind, template) = (GatedKind::from_kind(kind)?, template.parse().ok()?);
            templates.entry((kind, name.clone())).or_default().push((template, seen.parse().ok()?));
        }
        Some(Self {
            digest: digest.as_ref()?.parse().ok()?,
            evaluated_at: evaluated_at.as_ref()?.parse().ok()?,
            interval: Seconds(u64::try_from((*interval_seconds)?).ok()?),
            numbers,
            healthy: templates,
        })
    }

    fn fact(&self, slo: &str, change: &GateRequest) -> BudgetFact {
        let Self { digest, evaluated_at, interval, numbers, healthy } = self;
        let of_workload = healthy.get(&(change.target.kind, change.target.name.clone()));
        let seen = of_workload.into_iter().flatten().filter(|(template, _)| *template == change.template);
        BudgetFact {
            slo: slo.to_owned(),
            digest: *digest,
            evaluated_at: *evaluated_at,
            interval: *interval,
            healthy: seen.map(|(_, at)| *at).max(),
            numbers: numbers.clone(),
        }
    }
}

/// The budget in words: how much is left, of what, and when it comes back.
fn numbers(budget: &BudgetStatus) -> String {
    let BudgetStatus { remaining, remaining_events, bad, total, coverage, from, exhausted_by: _, recovers_by, query } =
        budget;
    let recovers = match recovers_by {
        Some(by) => format!("; without more errors it recovers by {by}"),
        None => String::new(),
    };
    format!(
        "{remaining} of the budget is left ({remaining_events} events; {bad} of {total} bad since {from}, coverage {coverage}){recovers}; query: {query}"
    )
}

/// Lists and watches for ever.
async fn keep(api: Api<Slo>, cache: ObjectiveCache) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = watcher::watcher(api.clone(), watcher::Config::default().timeout(WATCH_SECONDS)).boxed();
        let mut listing = Statuses::default();
        let interrupted = loop {
            match events.next().await {
                Some(Ok(Event::Init)) => listing.clear(),
                Some(Ok(Event::InitApply(object))) => {
                    let seen = object.status.as_ref().and_then(Seen::of);
                    if let (Some(namespace), Some(name), Some(seen)) =
                        (object.metadata.namespace, object.metadata.name, seen)
                    {
                        listing.entry(namespace).or_default().insert(name, Arc::new(seen));
                    }
                }
                Some(Ok(Event::InitDone)) => {
                    let mut statuses = cache.statuses.write().unwrap_or_else(PoisonError::into_inner);
                    *statuses = std::mem::take(&mut listing);
                    cache.listed.store(true, Ordering::Release);
                    pause = FIRST_PAUSE;
                }
                Some(Ok(Event::Apply(object))) => cache.put(&object),
                Some(Ok(Event::Delete(object))) => cache.forget(&object),
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        tracing::warn!(error = interrupted.map(|e| e.to_string()), "the watch of objectives was interrupted");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
