//! Leadership among controllers by a Lease. It only avoids work that is done twice; safety is the ledger's: `effect.begin`
//! can be appended once, whoever leads.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::api::names::{CONTROLLER_LEASE, SYSTEM_NAMESPACE};
use crate::store::Clock;

/// How long a leader that is not heard of keeps the lease. Longer than the executor's deadline of 8 s, so that a new leader
/// never looks at a target that the old one still changes.
const LIFE: Duration = Duration::from_secs(15);
/// How often the leader is heard of, and how often others look.
const PERIOD: Duration = Duration::from_secs(3);
/// A leader that could not renew for this long stops.
const GIVE_UP: Duration = Duration::from_secs(6);

/// What a process calls itself in a Lease: a replica that is started again is another one.
pub(super) fn identity(replica: &str) -> Result<String, getrandom::Error> {
    let nonce = crate::units::hex(super::clock::random_bytes()?.get(..4).unwrap_or_default());
    Ok(format!("{replica}-{nonce}"))
}

/// The lease of the controllers.
pub(super) struct Leadership {
    api: Api<Lease>,
    identity: String,
    clock: Clock,
}

impl Leadership {
    pub(super) fn new(client: Client, identity: String, clock: Clock) -> Self {
        Self { api: Api::namespaced(client, SYSTEM_NAMESPACE), identity, clock }
    }

    /// Returns when this process leads.
    pub(super) async fn acquire(&self) {
        // What others wrote is judged by when we saw it change, not by their clocks.
        let mut seen: Option<(Option<String>, Instant)> = None;
        loop {
            match self.try_acquire(&mut seen).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the lease cannot be read"),
            }
            tokio::time::sleep(PERIOD).await;
        }
    }

    async fn try_acquire(&self, seen: &mut Option<(Option<String>, Instant)>) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(CONTROLLER_LEASE).await? else {
            let mut lease = Lease::default();
            lease.metadata.name = Some(CONTROLLER_LEASE.to_owned());
            lease.spec = Some(self.spec());
            return won(self.api.create(&PostParams::default(), &lease).await);
        };
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
        let version = lease.metadata.resource_version.clone();
        let free = holder.is_empty() || holder == self.identity;
        let silent = match seen {
            Some((known, since)) if *known == version => since.elapsed() > LIFE,
            Some(_) | None => {
                *seen = Some((version, Instant::now()));
                false
            }
        };
        if !free && !silent {
            return Ok(false);
        }
        self.write(lease, Some(self.spec())).await
    }

    /// Renews until it cannot any more; then the process must stop what only a leader does.
    pub(super) async fn keep(&self) {
        let mut heard = Instant::now();
        while heard.elapsed() < GIVE_UP {
            tokio::time::sleep(PERIOD).await;
            let renewed = match self.api.get_opt(CONTROLLER_LEASE).await {
                Ok(Some(lease)) if self.holds(&lease) => self.write(lease, Some(self.spec())).await,
                Ok(Some(_) | None) => return,
                Err(error) => Err(error),
            };
            match renewed {
                Ok(true) => heard = Instant::now(),
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, "the lease cannot be renewed"),
            }
        }
    }

    /// Gives the lease back, so that the next leader need not wait.
    pub(super) async fn release(&self) {
        if let Ok(Some(lease)) = self.api.get_opt(CONTROLLER_LEASE).await
            && self.holds(&lease)
        {
            let _ = self.write(lease, None).await;
        }
    }

    fn holds(&self, lease: &Lease) -> bool {
        lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()) == Some(self.identity.as_str())
    }

    async fn write(&self, mut lease: Lease, spec: Option<LeaseSpec>) -> Result<bool, kube::Error> {
        lease.spec = spec;
        won(self.api.replace(CONTROLLER_LEASE, &PostParams::default(), &lease).await)
    }

    fn spec(&self) -> LeaseSpec {
        spec(&self.identity, LIFE, &self.clock)
    }
}

/// A lease that this one holds from now on.
pub(super) fn spec(identity: &str, life: Duration, clock: &Clock) -> LeaseSpec {
    let now = i64::try_from(clock().0).unwrap_or(i64::MAX);
    LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(life.as_secs()).ok(),
        renew_time: Timestamp::from_millisecond(now).ok().map(MicroTime),
        ..LeaseSpec::default()
    }
}

/// A conflict means that another was faster.
pub(super) fn won(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}
