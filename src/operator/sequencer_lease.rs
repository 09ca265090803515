//! The Lease of the sequencer: who appends for all replicas, and where. It only avoids that replicas race; safety is the
//! compare-and-swap of the ledger's. Two holders, or none, race as ever.

use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;

use crate::api::names::{SEQUENCER_ADDRESS_ANNOTATION, SEQUENCER_LEASE, SYSTEM_NAMESPACE};
use crate::store::Clock;

use super::lease::{spec, won};

/// How long a holder that is not heard of keeps the lease. Short: meanwhile replicas race, which costs nothing but time.
const LIFE: Duration = Duration::from_secs(5);
/// How often every replica looks, and the holder renews.
pub(super) const PERIOD: Duration = Duration::from_secs(1);

/// Who appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// This replica.
    Me,
    /// Another one, there; nowhere, when what it wrote is no address.
    Other(Option<SocketAddr>),
    /// Nobody, or it cannot be told.
    Nobody,
}

/// What is to be done with the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Write our name into it, also when it is there already.
    Hold,
    /// Take our name out.
    Release,
    /// Nothing.
    Leave(Holder),
}

/// A replica as it looks at the lease.
pub(super) struct SequencerLease {
    api: Api<Lease>,
    identity: String,
    /// Where this replica takes proposals; without it, it never stands.
    address: Option<SocketAddr>,
    clock: Clock,
    /// The version that was seen, and since when: what others wrote is judged by when we saw it change, not by their clocks.
    seen: Option<(Option<String>, Instant)>,
}

impl SequencerLease {
    pub(super) fn new(client: Client, identity: String, address: Option<SocketAddr>, clock: Clock) -> Self {
        Self { api: Api::namespaced(client, SYSTEM_NAMESPACE), identity, address, clock, seen: None }
    }

    /// Looks who holds the lease; `able` replicas with an address stand for it when nobody does.
    ///
    /// # Errors
    /// When Kubernetes does not answer; then nothing is known, not even whether what was written is stored.
    pub(super) async fn look(&mut self, able: bool) -> Result<Holder, kube::Error> {
        let stands = able && self.address.is_some();
        let lease = self.api.get_opt(SEQUENCER_LEASE).await?;
        let silent = self.is_silent(lease.as_ref());
        let hold = match plan(lease.as_ref(), &self.identity, stands, silent) {
            Step::Leave(holder) => return Ok(holder),
            Step::Hold => true,
            Step::Release => false,
        };
        let written = match lease {
            Some(lease) => self.api.replace(SEQUENCER_LEASE, &PostParams::default(), &self.signed(lease, hold)).await,
            None => self.api.create(&PostParams::default(), &self.signed(Lease::default(), hold)).await,
        };
        Ok(if won(written)? && hold { Holder::Me } else { Holder::Nobody })
    }

    fn is_silent(&mut self, lease: Option<&Lease>) -> bool {
        let version = lease.and_then(|l| l.metadata.resource_version.clone());
        match &self.seen {
            Some((known, since)) if *known == version => since.elapsed() > LIFE,
            Some(_) | None => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn signed(&self, mut lease: Lease, hold: bool) -> Lease {
        lease.metadata.name = Some(SEQUENCER_LEASE.to_owned());
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.remove(SEQUENCER_ADDRESS_ANNOTATION);
        if let (true, Some(address)) = (hold, self.address) {
            annotations.insert(SEQUENCER_ADDRESS_ANNOTATION.to_owned(), address.to_string());
        }
        lease.spec = hold.then(|| spec(&self.identity, LIFE, &self.clock));
        lease
    }
}

fn plan(lease: Option<&Lease>, me: &str, stands: bool, silent: bool) -> Step {
    let holder = lease.and_then(|l| l.spec.as_ref()).and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
    let free = if stands { Step::Hold } else { Step::Leave(Holder::Nobody) };
    if holder == me {
        return if stands { Step::Hold } else { Step::Release };
    }
    if holder.is_empty() || silent {
        return free;
    }
    let address = lease.and_then(|l| l.metadata.annotations.as_ref()?.get(SEQUENCER_ADDRESS_ANNOTATION));
    Step::Leave(Holder::Other(address.and_then(|text| text.parse().ok())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnixMillis;
    use axum::Router;
    use axum::extract::State;
    use axum::http::{Method, StatusCode};
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    fn lease(holder: &str, address: Option<&str>) -> Lease {
        let annotations = address.map(|a| json!({SEQUENCER_ADDRESS_ANNOTATION: a}));
        serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": {"holderIdentity": holder}}))
            .expect("a lease")
    }

    #[test]
    fn the_lease_says_who_appends_and_where() {
        let check = |name: &str, lease: Option<Lease>, stands: bool, silent: bool, expected: Step| {
            assert_eq!(plan(lease.as_ref(), "me", stands, silent), expected, "{name}");
        };
        let other = |address: &str| Step::Leave(Holder::Other(address.parse().ok()));
        let nobody = Step::Leave(Holder::Nobody);
        check("there is none", None, true, false, Step::Hold);
        check("there is none, and we cannot", None, false, false, nobody);
        check("it was given back", Some(lease("", None)), true, false, Step::Hold);
        check("it is ours", Some(lease("me", Some("10.0.0.1:9444"))), true, true, Step::Hold);
        check("it is ours, and we stop", Some(lease("me", Some("10.0.0.1:9444"))), false, false, Step::Release);
        check("another's", Some(lease("you", Some("10.0.0.2:9444"))), true, false, other("10.0.0.2:9444"));
        check("by IPv6", Some(lease("you", Some("[fd00::2]:9444"))), true, false, other("[fd00::2]:9444"));
        check("silent for long", Some(lease("you", Some("10.0.0.2:9444"))), true, true, Step::Hold);
        check("silent, and we cannot", Some(lease("you", Some("10.0.0.2:9444"))), false, true, nobody);
        check("no address", Some(lease("you", None)), true, false, other(""));
        check("a name is no address", Some(lease("you", Some("evil.example:9444"))), true, false, other(""));
    }

    /// What the API server does with a write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fault {
        None,
        Lost,
        StoredButFailed,
        AnotherFirst,
    }

    /// An API server with one Lease, and the faults of the next writes.
    #[derive(Default)]
    struct Fake {
        lease: Option<Value>,
        version: u64,
        faults: Vec<Fault>,
    }

    impl Fake {
        fn put(&mut self, mut lease: Value) -> Value {
            self.version += 1;
            lease["metadata"]["resourceVersion"] = self.version.to_string().into();
            self.lease = Some(lease.clone());
            lease
        }

        fn answer(&mut self, method: &Method, body: &str) -> (StatusCode, Value) {
            let status = |code: StatusCode, reason: &str| {
                (code, json!({"kind": "Status", "status": "Failure", "reason": reason, "code": code.as_u16()}))
            };
            if *method == Method::GET {
                let found = self.lease.clone().map(|l| (StatusCode::OK, l));
                return found.unwrap_or_else(|| status(StatusCode::NOT_FOUND, "NotFound"));
            }
            let sent: Value = serde_json::from_str(body).expect("json");
            let fault = if self.faults.is_empty() { Fault::None } else { self.faults.remove(0) };
            if fault == Fault::AnotherFirst {
                self.put(json!({"metadata": {"name": "x"}, "spec": {"holderIdentity": "another"}}));
            }
            let known = self.lease.as_ref().map(|l| l["metadata"]["resourceVersion"].clone());
            let fits = known.is_none_or(|known| known == sent["metadata"]["resourceVersion"]);
            match fault {
                Fault::Lost => status(StatusCode::GATEWAY_TIMEOUT, "Timeout"),
                _ if !fits => status(StatusCode::CONFLICT, "Conflict"),
                Fault::StoredButFailed => {
                    self.put(sent);
                    status(StatusCode::GATEWAY_TIMEOUT, "Timeout")
                }
                Fault::None | Fault::AnotherFirst => (StatusCode::OK, self.put(sent)),
            }
        }
    }

    async fn api_server(faults: &[Fault]) -> (Client, Arc<Mutex<Fake>>) {
        let fake = Arc::new(Mutex::new(Fake { faults: faults.to_vec(), ..Fake::default() }));
        let serve = async |State(fake): State<Arc<Mutex<Fake>>>, method: Method, body: String| {
            let (code, value) = fake.lock().expect("lock").answer(&method, &body);
            (code, value.to_string())
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("address");
        let routes = Router::new().fallback(serve).with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let config = kube::Config::new(format!("http://{address}").parse().expect("uri"));
        (Client::try_from(config).expect("client"), fake)
    }

    fn replica(client: &Client, name: &str) -> SequencerLease {
        let address = Some("10.0.0.1:9444".parse().expect("address"));
        SequencerLease::new(client.clone(), name.to_owned(), address, Arc::new(|| UnixMillis(1_000)))
    }

    /// Every write of the lease (the first, a renewal, giving it back) x every fault x going on or starting anew: a holder
    /// never believes that it holds what another does, and in the end one holds it.
    #[tokio::test]
    async fn every_fault_at_every_write_of_the_lease_ends_with_one_holder() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        for fault in [Fault::Lost, Fault::StoredButFailed, Fault::AnotherFirst] {
            for at in 0..3 {
                for restart in [false, true] {
                    let name = format!("{fault:?} at write {at}, restart {restart}");
                    let mut faults = vec![Fault::None; at];
                    faults.push(fault);
                    let (client, fake) = api_server(&faults).await;
                    let mut me = replica(&client, "me");
                    for write in 0..3 {
                        let found = me.look(write < 2).await;
                        let holder = {
                            let fake = fake.lock().expect("lock");
                            fake.lease.as_ref().map(|l| l["spec"]["holderIdentity"].clone()).unwrap_or_default()
                        };
                        if found.as_ref().is_ok_and(|h| *h == Holder::Me) {
                            assert_eq!(holder, "me", "{name}, write {write}");
                        }
                        assert!(found.is_ok() || write == at && fault != Fault::AnotherFirst, "{name}: {found:?}");
                        if restart && write == at {
                            me = replica(&client, "me again");
                        }
                    }
                    // Whoever was there gives up; a new replica takes it over after a while.
                    if let Some(lease) = &mut fake.lock().expect("lock").lease {
                        lease["spec"] = Value::Null;
                    }
                    assert_eq!(replica(&client, "you").look(true).await.expect("answers"), Holder::Me, "{name}");
                    let you = Holder::Other("10.0.0.1:9444".parse().ok());
                    assert_eq!(me.look(true).await.expect("answers"), you, "{name}");
                }
            }
        }
    }
}
