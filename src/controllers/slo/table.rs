//! What was measured last, between the loop that asks Prometheus and the controller that writes statuses. In memory only: after a
//! restart everything is measured again, and until then nobody can tell.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use crate::api::condition::Observation;
use crate::api::v1alpha1::{BudgetStatus, BurnStatus, HealthyTemplate};
use crate::constitution::ObjectRef;
use crate::slo::budget::Latch;
use crate::units::{Digest, Seconds, UnixSeconds};

/// One measurement of one version of an objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// Digest of the version.
    pub digest: Digest,
    /// When, by our clock.
    pub evaluated_at: UnixSeconds,
    /// The time between two measurements.
    pub interval: Seconds,
    /// Whether the budget counts as spent, and how long it has recovered.
    pub latch: Latch,
    /// The budget; `None` when nobody can tell.
    pub budget: Option<BudgetStatus>,
    /// How fast it burns.
    pub burn: Vec<BurnStatus>,
    /// Pod templates that ran while it was not spent.
    pub healthy: Vec<HealthyTemplate>,
    /// Why the verdict is what it is.
    pub message: String,
    /// `DataAvailable` and `RulesLoaded`.
    pub observations: Vec<Observation>,
}

/// The last measurement of every objective.
#[derive(Clone)]
pub struct Measurements {
    last: Arc<RwLock<HashMap<ObjectRef, Arc<Measurement>>>>,
    rounds: watch::Sender<u64>,
}

impl Default for Measurements {
    fn default() -> Self {
        Self { last: Arc::default(), rounds: watch::channel(0).0 }
    }
}

impl Measurements {
    /// The last measurement of this version of an objective.
    #[must_use]
    pub fn of(&self, object: &ObjectRef, digest: &Digest) -> Option<Arc<Measurement>> {
        let last = self.last.read().unwrap_or_else(PoisonError::into_inner);
        last.get(object).filter(|m| m.digest == *digest).cloned()
    }

    /// Replaces all of them by those of one round, and tells that there are new ones.
    pub fn replace(&self, round: HashMap<ObjectRef, Arc<Measurement>>) {
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = round;
        self.rounds.send_modify(|round| *round = round.wrapping_add(1));
    }

    /// A receiver that is told of every round.
    #[must_use]
    pub fn rounds(&self) -> watch::Receiver<u64> {
        self.rounds.subscribe()
    }
}
