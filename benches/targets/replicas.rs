//! Two replicas on one ledger: racing for every block, and with one that appends for both, over TLS as in a cluster.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kube::Client;
use miax::admission::{Authority, PeerTls};
use miax::store::{Common, Desk, Forwarder, Ledger, Link, Route};
use miax::units::{UnixMillis, UnixSeconds};
use miax_cluster::ControlPlane;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::append::{SECONDS, client, latencies, ledger, proposal};
use crate::{Row, millis, percentile};

const RATE: u64 = 1000;

/// What two replicas cost at a fixed rate.
struct Measured {
    times: Vec<Duration>,
    conflicts: f64,
    /// Proposals that the forwarding replica appended itself.
    fallbacks: u64,
}

/// Certificates must live now, by the clock that rustls reads.
#[expect(clippy::disallowed_methods, reason = "rustls looks at the clock")]
fn today() -> UnixSeconds {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    UnixSeconds::new(i64::try_from(since.as_secs()).expect("fits"))
}

/// `from` hands everything to `to`, which is the sequencer from now on.
async fn forwarding(from: Ledger, to: &Ledger) -> Ledger {
    let authority = Authority::make(today()).expect("authority");
    let tls = Arc::new(PeerTls::try_new(&authority, today()).expect("tls"));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("address");
    let (_, facts) = proposal(0);
    let millis = u64::try_from(facts.now.get()).expect("after 1970") * 1000;
    let clock = Arc::new(move || UnixMillis(millis));
    let desk = Desk::new(to.clone(), Common { cluster_uid: facts.cluster_uid, genesis: facts.genesis, clock });
    let server = tls.clone();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        let stream = server.accept(stream).await.expect("a replica");
        // The sender lives as long as the conversation.
        let (_stop, stopping) = watch::channel(false);
        desk.serve(stream, stopping).await
    });
    let (link, conversation) = Link::over(tls.connect(address).await.expect("the sequencer"));
    tokio::spawn(conversation);
    let (forwarder, switch) = Forwarder::new();
    switch.send_replace(Route::To(link));
    from.forwarding(forwarder)
}

/// An open loop: every other decision at the other replica, as a Service balances them.
async fn measure(replicas: &[Ledger; 2], first: u64) -> Measured {
    let conflicts = || replicas.iter().map(|r| r.stats().conflicts.load(Ordering::Relaxed)).sum::<u64>();
    let before = conflicts();
    let times = latencies(replicas, RATE, first).await;
    let lost = u32::try_from(conflicts() - before).unwrap_or(u32::MAX);
    let seconds = u32::try_from(SECONDS).unwrap_or(u32::MAX);
    let fallbacks = replicas.iter().filter_map(Ledger::forwards).map(|f| {
        [&f.unreachable, &f.full, &f.declined, &f.lost, &f.late, &f.unconfirmed]
            .iter()
            .map(|n| n.load(Ordering::Relaxed))
            .sum::<u64>()
    });
    Measured { times, conflicts: f64::from(lost) / f64::from(seconds), fallbacks: fallbacks.sum() }
}

async fn both(client: &Client, other: &Client) -> [Ledger; 2] {
    [ledger(client.clone(), "one").await, ledger(other.clone(), "two").await]
}

pub(crate) fn rows() -> Vec<Row> {
    let plane = ControlPlane::start().expect("a control plane");
    plane.kubectl().run(&["create", "namespace", "miax-ledger"]).expect("namespace");
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    runtime.block_on(async {
        let [one, two] = both(&client(&plane).await, &client(&plane).await).await;
        let raced = measure(&[one.clone(), two.clone()], 10_000_000).await;
        let two = forwarding(two, &one).await;
        let forwarded = measure(&[one, two], 20_000_000).await;
        let mut rows = Vec::new();
        let all = format!("two replicas at {RATE} decisions/s");
        for (how, measured) in [("racing", raced), ("forwarding", forwarded)] {
            let Measured { mut times, conflicts, fallbacks } = measured;
            let (middle, high) = (percentile(&mut times, 50), percentile(&mut times, 99));
            let forwards = how == "forwarding";
            let row = |what: &str, value: String, target: &str, met: bool| {
                let what = format!("{all}, {how}: {what}");
                if forwards { Row::new(what, value, target, met) } else { Row::reference(what, value) }
            };
            let limit = Duration::from_millis;
            rows.push(row("median", millis(middle), "<= 10 ms", middle <= limit(10)));
            rows.push(row("p99", millis(high), "<= 30 ms", high <= limit(30)));
            rows.push(row("lost creates", format!("{conflicts:.1}/s"), "<= 1/s", conflicts <= 1.0));
            if forwards {
                rows.push(row("appended without the sequencer", fallbacks.to_string(), "0", fallbacks == 0));
            }
        }
        rows
    })
}
