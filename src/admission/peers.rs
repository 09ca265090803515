//! Mutual TLS between replicas: both ends prove a certificate of the operator's own authority, each with the name of its role.
//! Where an end listens proves nothing, so that a foreign address in the Lease gets no handshake.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::units::UnixSeconds;

use super::certificates::{Authority, AuthorityError, Leaf, PeerRole};
use super::door::{Door, DoorError};

/// What is spoken. A replica of another version that speaks otherwise gets no handshake, and appends itself.
const PROTOCOL: &[u8] = b"miax-forward/1";
/// How long connection and handshake may take. Nobody's answer waits for it.
const WITHIN: Duration = Duration::from_secs(1);

/// Why replicas cannot talk.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// No certificate.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The authority itself cannot be trusted.
    #[error("the authority of the replicas: {0}")]
    Door(#[from] DoorError),
    /// rustls refuses it.
    #[error("the certificate of this replica cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Both ends of this replica, until the authority or the certificate changes.
pub struct PeerTls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    leaves: [Leaf; 2],
    bundle: String,
}

impl PeerTls {
    /// Signs a certificate for each role, and trusts what the authority vouches for now.
    ///
    /// # Errors
    /// Every variant of [`PeerError`].
    pub fn try_new(authority: &Authority, now: UnixSeconds) -> Result<Self, PeerError> {
        let leaves = [authority.sign_peer(PeerRole::Sequencer, now)?, authority.sign_peer(PeerRole::Replica, now)?];
        let bundle = authority.bundle();
        let [sequencer, replica] = leaves.each_ref().map(|l| Arc::new(SingleCertAndKey::from(l.certified.clone())));
        let provider = Arc::new(default_provider());

        let door = Door::try_new(bundle.as_bytes(), Some(PeerRole::Replica.name().to_owned()))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(door))
            .with_cert_resolver(sequencer);
        // A resumed session would not show its certificate again.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![PROTOCOL.to_vec()];

        let mut roots = RootCertStore::empty();
        for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(bundle.as_bytes())) {
            let unreadable = |e: &dyn std::fmt::Display| DoorError::Certificate(number, e.to_string());
            roots.add(certificate.map_err(|e| unreadable(&e))?)?;
        }
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots)
            .with_client_cert_resolver(replica);
        client.alpn_protocols = vec![PROTOCOL.to_vec()];
        Ok(Self { server: Arc::new(server), client: Arc::new(client), leaves, bundle })
    }

    /// Whether it is still what the authority would sign and vouch for.
    #[must_use]
    pub fn is_current(&self, authority: &Authority, now: UnixSeconds) -> bool {
        self.bundle == authority.bundle() && !self.leaves.iter().any(|leaf| authority.replaces(leaf, now))
    }

    /// Connects to the sequencer.
    ///
    /// # Errors
    /// When nobody listens there, or who listens does not prove that it is a sequencer.
    pub async fn connect(&self, address: SocketAddr) -> io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(PeerRole::Sequencer.name()).map_err(io::Error::other)?;
        timely(async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(self.client.clone()).connect(name, stream).await
        })
        .await
    }

    /// Takes a connection of a replica.
    ///
    /// # Errors
    /// When whoever connects does not prove that it is a replica.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<server::TlsStream<TcpStream>> {
        stream.set_nodelay(true)?;
        timely(TlsAcceptor::from(self.server.clone()).accept(stream)).await
    }
}

async fn timely<T>(handshake: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(WITHIN, handshake).await?
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::SignatureScheme;
    use rustls::client::ResolvesClientCert;
    use rustls::sign::CertifiedKey;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Who shows no certificate.
    #[derive(Debug)]
    struct Bare;

    impl ResolvesClientCert for Bare {
        fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
            None
        }

        fn has_certs(&self) -> bool {
            false
        }
    }

    #[expect(clippy::disallowed_methods, reason = "rustls looks at the clock, so that the certificates must live now")]
    fn now() -> UnixSeconds {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        UnixSeconds::new(i64::try_from(since.as_secs()).expect("fits"))
    }

    /// Whether a byte goes from the one to the other and back.
    async fn talk(replica: &PeerTls, sequencer: &PeerTls) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("address");
        let answer = async {
            let (stream, _) = listener.accept().await?;
            let mut stream = sequencer.accept(stream).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await
        };
        let ask = async {
            let mut stream = replica.connect(address).await?;
            stream.write_u8(7).await?;
            stream.read_u8().await
        };
        let (_, heard) = tokio::join!(answer, ask);
        heard.is_ok_and(|byte| byte == 7)
    }

    #[tokio::test]
    async fn only_replicas_of_one_authority_talk() {
        let (ours, theirs) = (Authority::make(now()).expect("authority"), Authority::make(now()).expect("authority"));
        let tls = |authority: &Authority| PeerTls::try_new(authority, now()).expect("tls");
        let mixed = |client: PeerTls, server: PeerTls| PeerTls { client: client.client, ..server };
        // A certificate that the webhook shows to the API server, and each role in the place of the other.
        let wrong_server = |leaf: Leaf| {
            let right = tls(&ours);
            let mut server = ServerConfig::clone(&right.server);
            server.cert_resolver = Arc::new(SingleCertAndKey::from(leaf.certified));
            PeerTls { server: Arc::new(server), ..right }
        };
        let wrong_client = |leaf: Leaf| {
            let right = tls(&ours);
            let mut client = ClientConfig::clone(&right.client);
            client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(leaf.certified));
            PeerTls { client: Arc::new(client), ..right }
        };
        let webhook = || ours.sign_leaf(&["miax-webhook.miax-system.svc".into()], now()).expect("leaf");
        let named = || ours.sign_leaf(&[PeerRole::Replica.name().into()], now()).expect("leaf");
        let peer = |role| ours.sign_peer(role, now()).expect("leaf");
        let another_protocol = {
            let right = tls(&ours);
            let mut client = ClientConfig::clone(&right.client);
            client.alpn_protocols = vec![b"miax-forward/2".to_vec()];
            PeerTls { client: Arc::new(client), ..right }
        };
        let nobody = {
            let right = tls(&ours);
            let mut client = ClientConfig::clone(&right.client);
            client.client_auth_cert_resolver = Arc::new(Bare);
            PeerTls { client: Arc::new(client), ..right }
        };
        for (name, replica, sequencer, expected) in [
            ("two of ours", tls(&ours), tls(&ours), true),
            ("a sequencer of another authority", tls(&ours), tls(&theirs), false),
            ("a replica of another authority", mixed(tls(&theirs), tls(&ours)), tls(&ours), false),
            ("the webhook's certificate at the desk", tls(&ours), wrong_server(webhook()), false),
            ("the webhook's certificate as a replica", wrong_client(webhook()), tls(&ours), false),
            ("the name of a replica, but not for clients", wrong_client(named()), tls(&ours), false),
            ("a replica in the place of the sequencer", tls(&ours), wrong_server(peer(PeerRole::Replica)), false),
            ("a sequencer in the place of a replica", wrong_client(peer(PeerRole::Sequencer)), tls(&ours), false),
            ("another protocol", another_protocol, tls(&ours), false),
            ("no certificate", nobody, tls(&ours), false),
        ] {
            assert_eq!(talk(&replica, &sequencer).await, expected, "{name}");
        }
    }

    #[test]
    fn a_new_authority_or_an_old_certificate_makes_a_new_one() {
        let start = UnixSeconds::new(1_795_514_400);
        let day = |days: u64| start.plus(crate::units::Seconds(days * 86_400));
        let authority = Authority::make(start).expect("authority");
        let tls = PeerTls::try_new(&authority, start).expect("tls");
        assert!(tls.is_current(&authority, day(1)));
        assert!(!tls.is_current(&authority, day(21)), "the certificate ends");
        assert!(!tls.is_current(&Authority::make(start).expect("another"), day(1)));
    }
}
