//! Keeps the way to the sequencer: certificates, the Lease, one connection, and the desk where others leave proposals.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kube::Client;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::admission::PeerTls;
use crate::store::{Clock, Common, Desk, ForwardStats, Forwarder, Health, Ledger, Link, Route};
use crate::telemetry::ForwardNumbers;
use crate::units::UnixSeconds;

use super::Error;
use super::authority;
use super::sequencer_lease::{Holder, PERIOD, SequencerLease};

/// How often the certificates are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How often, before there are any.
const FIRST_LOOK: Duration = Duration::from_millis(500);
/// After a sequencer that hung, no connection to it for so long.
const QUIET: Duration = Duration::from_secs(10);
/// Connections of other replicas, also of those that have not shown a certificate yet.
const MOST_CONNECTIONS: usize = 64;

/// The numbers of forwarded proposals.
pub(super) fn numbers(ledger: &Ledger) -> ForwardNumbers {
    let Some(stats) = ledger.forwards() else { return ForwardNumbers::default() };
    let ForwardStats { recorded, refused, unreachable, full, declined, lost, late, unconfirmed, waiting } = stats;
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    ForwardNumbers {
        recorded: read(recorded),
        refused: read(refused),
        unreachable: read(unreachable),
        full: read(full),
        declined: read(declined),
        lost: read(lost),
        late: read(late),
        unconfirmed: read(unconfirmed),
        waiting: read(waiting),
    }
}

type Tls = watch::Receiver<Option<Arc<PeerTls>>>;

/// Where a replica takes proposals of the others.
pub(super) struct Place {
    /// Where it listens.
    pub(super) listen: SocketAddr,
    /// The address that the others reach it by.
    pub(super) ip: IpAddr,
}

/// The tasks of a replica that forwards.
pub(super) struct Forwarding {
    following: JoinHandle<()>,
    serving: Option<JoinHandle<()>>,
    leaving: watch::Sender<bool>,
    stopping: watch::Sender<bool>,
}

impl Forwarding {
    /// Starts to forward what is appended by `ledger`; with a place the replica stands for the lease, too.
    ///
    /// # Errors
    /// [`Error::Io`] when the place cannot be listened on.
    pub(super) async fn start(
        client: Client,
        identity: String,
        place: Option<Place>,
        ledger: Ledger,
        common: Common,
    ) -> Result<(Self, Ledger), Error> {
        let clock = common.clock.clone();
        let (certificates, tls) = watch::channel(None);
        tokio::spawn(keep_certificates(client.clone(), clock.clone(), certificates));
        let (leaving, is_leaving) = watch::channel(false);
        let (stopping, is_stopping) = watch::channel(false);
        let (mut address, mut serving) = (None, None);
        if let Some(Place { listen, ip }) = place {
            let wrong = |source| Error::Io { what: format!("other replicas cannot be heard on {listen}"), source };
            let listener = TcpListener::bind(listen).await.map_err(wrong)?;
            let port = listener.local_addr().map_err(wrong)?.port();
            address = Some(SocketAddr::new(ip, port));
            tracing::info!(address = %SocketAddr::new(ip, port), "proposals of other replicas are taken here");
            let desk = Desk::new(ledger.clone(), common);
            serving = Some(tokio::spawn(serve(listener, tls.clone(), desk, is_stopping)));
        }
        let (forwarder, switch) = Forwarder::new();
        let lease = SequencerLease::new(client, identity, address, clock);
        let following = tokio::spawn(follow(lease, ledger.clone(), tls, switch, is_leaving));
        Ok((Self { following, serving, leaving, stopping }, ledger.forwarding(forwarder)))
    }

    /// Gives the lease back, when this replica holds it. Proposals of others are still taken.
    pub(super) async fn leave(&mut self) {
        self.leaving.send_replace(true);
        let _ = (&mut self.following).await;
    }

    /// Answers what was taken, and takes nothing more.
    pub(super) async fn stop(self) {
        let Self { following: _, serving, leaving: _, stopping } = self;
        stopping.send_replace(true);
        if let Some(serving) = serving {
            let _ = serving.await;
        }
    }
}

/// Signs this replica's certificates in time, for ever.
async fn keep_certificates(client: Client, clock: Clock, certificates: watch::Sender<Option<Arc<PeerTls>>>) {
    loop {
        let now: UnixSeconds = clock().into();
        match authority::read(&client).await {
            Ok(Some(authority)) => {
                let current = certificates.borrow().as_ref().is_some_and(|tls| tls.is_current(&authority, now));
                match (!current).then(|| PeerTls::try_new(&authority, now)) {
                    Some(Ok(tls)) => drop(certificates.send_replace(Some(Arc::new(tls)))),
                    Some(Err(error)) => tracing::error!(%error, "replicas cannot talk; each appends itself"),
                    None => {}
                }
            }
            // A controller makes the authority in a moment.
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the certificate authority cannot be read"),
        }
        let pause = if certificates.borrow().is_some() { LOOK } else { FIRST_LOOK };
        tokio::time::sleep(pause).await;
    }
}

/// A connection to the sequencer at this address.
struct Connection {
    address: SocketAddr,
    link: Link,
    conversation: JoinHandle<io::Result<()>>,
}

impl Connection {
    async fn open(address: SocketAddr, tls: &PeerTls) -> io::Result<Self> {
        let (link, conversation) = Link::over(tls.connect(address).await?);
        tracing::info!(%address, "proposals go to the sequencer");
        Ok(Self { address, link, conversation: tokio::spawn(conversation) })
    }

    /// Why it ended.
    async fn end(self) -> io::Result<()> {
        let Self { address: _, link: _, conversation } = self;
        conversation.await.map_err(io::Error::other)?
    }
}

/// Follows the lease, and keeps `route` as it says, until this replica leaves.
async fn follow(
    mut lease: SequencerLease,
    ledger: Ledger,
    tls: Tls,
    route: watch::Sender<Route>,
    mut leaving: watch::Receiver<bool>,
) {
    let mut connection: Option<Connection> = None;
    let mut quiet_until = tokio::time::Instant::now();
    let mut known = Holder::Nobody;
    loop {
        let able = ledger.view().health == Health::Whole && tls.borrow().is_some();
        match lease.look(able).await {
            Ok(holder) => {
                if holder != known && holder == Holder::Me {
                    tracing::info!("this replica is the sequencer");
                }
                known = holder;
            }
            // Whoever it was goes on, as far as we know.
            Err(error) => tracing::warn!(%error, "the lease of the sequencer cannot be read or written"),
        }
        if let Some(ended) = connection.take_if(|c| c.link.is_closed() || Holder::Other(Some(c.address)) != known)
            && ended.link.is_closed()
            && let Err(error) = ended.end().await
        {
            tracing::warn!(%error, "the connection to the sequencer ended");
            if error.kind() == io::ErrorKind::TimedOut {
                quiet_until = tokio::time::Instant::now() + QUIET;
            }
        }
        let certificates = tls.borrow().clone();
        if let (None, Holder::Other(Some(address)), Some(tls)) = (&connection, known, certificates)
            && quiet_until <= tokio::time::Instant::now()
        {
            match Connection::open(address, &tls).await {
                Ok(open) => connection = Some(open),
                Err(error) => tracing::warn!(%address, %error, "the sequencer cannot be reached"),
            }
        }
        route.send_replace(match (known, &connection) {
            (Holder::Me | Holder::Nobody, _) => Route::Here,
            (Holder::Other(_), Some(open)) => Route::To(open.link.clone()),
            (Holder::Other(_), None) => Route::Unreachable,
        });
        // Also when nobody is left who could say so.
        if tokio::time::timeout(PERIOD, leaving.wait_for(|l| *l)).await.is_ok() {
            break;
        }
    }
    route.send_replace(Route::Here);
    if let Err(error) = lease.look(false).await {
        tracing::warn!(%error, "the lease of the sequencer was not given back; it ends by itself");
    }
}

/// Takes connections of other replicas until it shall stop, and then answers what was taken.
async fn serve(listener: TcpListener, tls: Tls, desk: Desk, mut stopping: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|s| *s) => break,
        };
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No file descriptors, usually: the next attempt would fail at once.
                tracing::warn!(%error, "a connection of a replica was not taken");
                tokio::time::sleep(FIRST_LOOK).await;
                continue;
            }
        };
        // Without certificates, or with too many connections, the other end is hung up on and appends itself.
        let (certificates, place) = (tls.borrow().clone(), places.clone().try_acquire_owned());
        if let (Some(certificates), Ok(place)) = (certificates, place) {
            let (desk, stopping) = (desk.clone(), stopping.clone());
            connections.spawn(async move {
                converse(stream, &certificates, &desk, stopping).await;
                drop(place);
            });
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, tls: &PeerTls, desk: &Desk, stopping: watch::Receiver<bool>) {
    let stream = match tls.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::warn!(%error, "a connection of a replica was refused"),
    };
    if let Err(error) = desk.serve(stream, stopping).await {
        tracing::warn!(%error, "a connection of a replica ended");
    }
}
