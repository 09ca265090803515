//! One replica of the webhook, from its start to its last words.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::admission::{ObjectiveCache, Salts, Server, Snapshot, Webhook, WorkloadCache, router};
use crate::controllers::Vouching;
use crate::store::{end_floods, keep_floods};

use super::readiness::readiness;
use super::{
    Base, Error, Started, args, asked_to_end, authority, client_ca, clock, ended, forwarding, log_key, witnesses,
};

/// How long a webhook that ends tries to write down what it has only counted. With what comes before it is less than the 30 s
/// that a pod has.
const LAST_WORDS: Duration = Duration::from_secs(10);

pub(super) async fn run(options: args::Webhook) -> Result<(), Error> {
    let args::Webhook { common, listen, names, client_ca, client_name, peer_listen, peer_ip, salts, drain } = options;
    let base = Base::start(&common).await?;
    let door = client_ca.map(|path| client_ca::open(path, client_name)).transpose()?;
    let key = log_key::wait_for(&base.client, &base.origin).await?;
    let witnesses = witnesses::Named::by(&common.witnessing)?;
    let keys = key.keys.clone();
    let held = witnesses.hold(&key.known).await;
    let Started { ledger, alive, alarms, trust } = base.start_ledger(&common, key, held).await?;
    base.start_auditor(&common, (ledger.clone(), alarms, trust.clone()), None);
    let place = peer_listen.zip(peer_ip).map(|(listen, ip)| forwarding::Place { listen, ip });
    let (mut forwarding, ledger) = base.forward(&common, place, ledger).await?;
    let workloads = WorkloadCache::start(&base.client);
    let objectives = ObjectiveCache::start(base.client.clone());
    let uid = base.cluster_uid.clone();
    let snapshot = Arc::new(Snapshot::new(workloads, objectives, uid, common.genesis, base.clock.clone()));
    let leaf = authority::first_leaf(&base.client, &names, &base.clock).await?;
    let (leaf_ends, leaf_ending) = watch::channel(leaf.ends);
    let (draining, is_draining) = watch::channel(false);
    let ready = readiness(ledger.clone(), snapshot.clone(), leaf_ending, is_draining, base.clock.clone());
    base.serve_probes(common.probes, ready, ledger.clone()).await?;
    tokio::spawn(keep_floods(ledger.clone()));
    let salts = Salts::new(Arc::new(|| clock::random_bytes().ok()), salts);
    let webhook = Webhook::new(ledger.clone(), snapshot, base.metrics.clone(), salts);
    let webhook = Arc::new(match witnesses.policy {
        Some(policy) => webhook.with_doubts(base.doubts(Arc::new(Vouching::new(policy, keys)), ledger.clone())),
        None => webhook,
    });
    let server = Arc::new(Server::start(listen, &leaf, door, router(webhook))?);
    tracing::info!(address = %server.address(), origin = base.origin, "the webhook listens");
    tokio::spawn(authority::keep_leaf(
        base.client.clone(),
        names,
        base.clock.clone(),
        leaf,
        server.clone(),
        base.metrics.clone(),
        leaf_ends,
    ));
    tokio::select! {
        result = asked_to_end() => result?,
        () = ended(alive) => return Err(Error::TaskEnded("ledger")),
    }
    // Not ready first, and only then no new connections: endpoints take a moment to forget us.
    tracing::info!("stopping");
    draining.send_replace(true);
    forwarding.leave().await;
    tokio::time::sleep(Duration::from_secs(drain)).await;
    server.stop().await;
    forwarding.stop().await;
    // Nobody asks any more.
    end_floods(&ledger, LAST_WORDS).await;
    Ok(())
}
