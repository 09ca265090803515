//! What the ledger append adds to an answer: through a real API server and etcd, each block fsynced.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use miax::api::GovernedKind;
use miax::constitution::{Facts, Operation, Proposal, Request, TargetFact};
use miax::ledger::{Head, Lineage, LogTrust};
use miax::store::{ConfigMapStore, Health, Ledger, Sequencer, WriterSource, follow, held};
use miax::trust::{NoteSigner, sha256};
use miax::units::{UnixMillis, UnixSeconds};
use miax_cluster::ControlPlane;
use tokio::sync::mpsc;

use crate::org::draft;
use crate::{Row, millis, now, per_second, percentile};

const ORIGIN: &str = "miax.dev/ecm/bench/0";
pub(crate) const SECONDS: u64 = 10;

pub(crate) async fn client(plane: &ControlPlane) -> Client {
    let file = Kubeconfig::read_from(plane.kubeconfig()).expect("kubeconfig");
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("config");
    Client::try_from(config).expect("client")
}

/// A sequencer on the cluster, as the webhook has it.
pub(crate) async fn ledger(client: Client, replica: &str) -> Ledger {
    let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name");
    let head = Head::genesis(LogTrust { origin: ORIGIN.into(), epoch: 0, key: key.verifier() });
    let counter = std::sync::atomic::AtomicU64::new(0);
    let own = replica.to_owned();
    let seed = Arc::new(move || {
        let number = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        sha256(format!("{own} {number}").as_bytes()).0
    });
    let writers = WriterSource { log_keys: held(key), replica: replica.into(), seed };
    let started = now();
    let clock = Arc::new(move || UnixMillis(u64::try_from(started.elapsed().as_millis()).unwrap_or(0)));
    let (sequencer, ledger, input) = Sequencer::new(ConfigMapStore::new(client.clone()), head, None, writers, clock);
    let (events, inbox) = mpsc::channel(256);
    tokio::spawn(follow(client, Lineage::default(), events));
    tokio::spawn(sequencer.run(input, inbox));
    ledger.changes().wait_for(|view| view.health == Health::Whole).await.expect("runs");
    ledger
}

/// A review of an unsigned command: what is measured is the append, not the signatures.
pub(crate) fn proposal(number: u64) -> (Proposal, Facts) {
    let request = Request {
        uid: format!("705ab4f5-6393-11e8-b7cc-{number:012}"),
        operation: Operation::Create,
        kind: GovernedKind::ControlCommand,
        namespace: "shop".into(),
        name: "scale".into(),
        object: Some(draft("Critical")),
        old: None,
        // Another one each time: who repeats a refusal is answered with the first.
        actor: format!("system:serviceaccount:argocd:application-{number:012}"),
    };
    let facts = Facts {
        now: UnixSeconds::new(1_795_514_400),
        cluster_uid: "c".into(),
        genesis: None,
        target: TargetFact::Missing,
        budgets: Vec::new(),
    };
    (Proposal::Review(Box::new(request)), facts)
}

/// Sends at a fixed rate, whether or not answers come back: an open loop, as an API server is.
///
/// One after the other at each replica, as a Service balances them.
pub(crate) async fn latencies(replicas: &[Ledger], rate: u64, first: u64) -> Vec<Duration> {
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / rate));
    let mut tasks = Vec::new();
    for (number, replica) in (0..rate * SECONDS).zip(replicas.iter().cycle()) {
        ticks.tick().await;
        let ledger = replica.clone();
        tasks.push(tokio::spawn(async move {
            let (proposal, facts) = proposal(first + number);
            let started = now();
            ledger.append(proposal, facts).await.expect("appended");
            started.elapsed()
        }));
    }
    let mut times = Vec::new();
    for task in tasks {
        times.push(task.await.expect("ends"));
    }
    times
}

/// As many as go: a closed loop of 1,024 at once.
async fn throughput(ledger: &Ledger, first: u64) -> f64 {
    let started = now();
    let mut tasks = tokio::task::JoinSet::new();
    let (mut next, mut done) = (first, 0);
    while started.elapsed() < Duration::from_secs(SECONDS) {
        while tasks.len() < 1024 {
            let (ledger, (proposal, facts)) = (ledger.clone(), proposal(next));
            next += 1;
            tasks.spawn(async move { ledger.append(proposal, facts).await.expect("appended") });
        }
        tasks.join_next().await;
        done += 1;
    }
    per_second(done, started.elapsed())
}

/// A lone create of a ConfigMap of this size: what the append is compared with.
async fn lone_create(client: Client, size: usize) -> Duration {
    let api: Api<ConfigMap> = Api::namespaced(client, "default");
    let mut times = Vec::new();
    for number in 0..200 {
        let mut map = ConfigMap::default();
        map.metadata.name = Some(format!("lone-{size}-{number}"));
        map.binary_data = Some([("x".to_owned(), ByteString(vec![7; size]))].into());
        let started = now();
        api.create(&PostParams::default(), &map).await.expect("created");
        times.push(started.elapsed());
    }
    percentile(&mut times, 50)
}

pub(crate) fn rows() -> Vec<Row> {
    let plane = ControlPlane::start().expect("a control plane");
    plane.kubectl().run(&["create", "namespace", "miax-ledger"]).expect("namespace");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let mut rows = Vec::new();
        for size in [1024, 16 * 1024] {
            let time = lone_create(client(&plane).await, size).await;
            rows.push(Row::reference(format!("a lone ConfigMap create of {} KiB, median", size / 1024), millis(time)));
        }
        let ledger = ledger(client(&plane).await, "bench").await;
        let mut first = 0;
        for rate in [100, 1000] {
            let mut times = latencies(std::slice::from_ref(&ledger), rate, first).await;
            first += 1_000_000;
            let (middle, high) = (percentile(&mut times, 50), percentile(&mut times, 99));
            let what = format!("added by the ledger append at {rate} decisions/s");
            let limit = Duration::from_millis;
            rows.push(Row::new(format!("{what}, median"), millis(middle), "<= 10 ms", middle <= limit(10)));
            rows.push(Row::new(format!("{what}, p99"), millis(high), "<= 30 ms", high <= limit(30)));
        }
        let most = throughput(&ledger, first).await;
        let what = "sustained durable decisions, etcd and API server on the same cores";
        rows.push(Row::new(what, format!("{most:.0}/s"), ">= 10,000/s", most >= 10e3));
        rows
    })
}
