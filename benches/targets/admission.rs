//! Reviews through TLS that need no ledger write: the re-applies of a syncer. The server has one thread; the callers have the
//! other core.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use kube::{Client, Config};
use miax::admission::{Authority, ObjectiveCache, Salts, Server, Snapshot, Webhook, WorkloadCache, router};
use miax::ledger::{BlockParts, Head, LogTrust};
use miax::store::{BlockStore, CreateError, ReadError, Sequencer, WriterSource, held};
use miax::telemetry::Metrics;
use miax::trust::NoteSigner;
use miax::units::{BlockNumber, UnixMillis, UnixSeconds};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::Value;

use crate::judge::review;
use crate::org::Org;
use crate::{Row, millis, now, per_second, percentile};

const CONNECTIONS: usize = 10;
const SECONDS: u64 = 5;
const NOW: i64 = 1_795_514_400;

/// These reviews write nothing; a store that is asked anyway fails the measurement.
struct NoStore;

impl BlockStore for NoStore {
    async fn create(&self, _: u16, _: BlockNumber, _: &BlockParts) -> Result<(), CreateError> {
        Err(CreateError::Refused("nothing is to be written here".into()))
    }

    async fn read(&self, _: u16, _: BlockNumber) -> Result<Option<BlockParts>, ReadError> {
        Ok(None)
    }
}

fn webhook() -> Arc<Webhook> {
    let key = NoteSigner::try_new("bench", &[1; 32]).expect("name");
    let head = Head::genesis(LogTrust { origin: "bench".into(), epoch: 0, key: key.verifier() });
    let writers = WriterSource { log_keys: held(key), replica: "bench".into(), seed: Arc::new(|| [3; 32]) };
    let clock = Arc::new(|| UnixMillis(1_795_514_400_000));
    let (_, ledger, _) = Sequencer::new(NoStore, head, None, writers, clock.clone());
    // Nobody listens there: an unchanged object needs no facts.
    let client = Client::try_from(Config::new("https://127.0.0.1:1".parse().expect("url"))).expect("client");
    let snapshot =
        Snapshot::new(WorkloadCache::start(&client), ObjectiveCache::start(client.clone()), "c".into(), None, clock);
    let salts = Salts::new(Arc::new(|| Some([5; 32])), None);
    Arc::new(Webhook::new(ledger, Arc::new(snapshot), Arc::new(Metrics::try_new().expect("metrics")), salts))
}

/// A server on a runtime of one thread; gives its port and the authority's certificate, and its thread's number.
fn serve() -> (u16, String, String) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let at = UnixSeconds::new(NOW);
            let authority = Authority::make(at).expect("authority");
            let leaf = authority.sign_leaf(&["127.0.0.1".into()], at).expect("leaf");
            let server = Server::start("127.0.0.1:0".parse().expect("address"), &leaf, None, router(webhook()))
                .expect("listens");
            let thread = std::fs::read_link("/proc/thread-self").expect("a thread").display().to_string();
            sender.send((server.address().port(), authority.bundle(), thread)).expect("sent");
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().expect("the server is up")
}

/// Time that a thread spent on a processor.
fn on_cpu(thread: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).expect("schedstat");
    Duration::from_nanos(text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number"))
}

/// Asks again and again over one connection; gives the time of each answer.
fn ask(
    port: u16,
    tls: &Arc<rustls::ClientConfig>,
    request: &[u8],
    stop: &AtomicBool,
    done: &AtomicUsize,
) -> Vec<Duration> {
    let name = ServerName::try_from("127.0.0.1").expect("name");
    let connection = rustls::ClientConnection::new(tls.clone(), name).expect("connection");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    socket.set_nodelay(true).expect("no delay");
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let mut times = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let started = now();
        stream.write_all(request).expect("asked");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}}") {
            let count = stream.read(&mut buffer).expect("answered");
            answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        times.push(started.elapsed());
        assert!(answer.starts_with(b"HTTP/1.1 200") && String::from_utf8_lossy(&answer).contains("Unchanged"));
        done.fetch_add(1, Ordering::Relaxed);
    }
    times
}

pub(crate) fn rows() -> Vec<Row> {
    let object = Org::new().approved();
    let mut labelled: Value = object.clone();
    if let Some(metadata) = labelled.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("labels".into(), serde_json::json!({"synced": "again"}));
    }
    let body = review("UPDATE", &labelled, &object);
    let mut request = format!(
        "POST /governed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(&body);
    let (port, bundle, thread) = serve();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.as_bytes()).expect("pem")).expect("a root");
    // The certificate is of the bench's fixed time; the callers must live then too.
    let verifier = rustls::client::WebPkiServerVerifier::builder(roots.into()).build().expect("verifier");
    let tls = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(at_bench_time::Verifier(verifier)))
        .with_no_client_auth();
    let (tls, stop, done) = (Arc::new(tls), AtomicBool::new(false), AtomicUsize::new(0));
    let mut times = Vec::new();
    let (mut elapsed, mut cpu) = (Duration::ZERO, Duration::ZERO);
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..CONNECTIONS).map(|_| scope.spawn(|| ask(port, &tls, &request, &stop, &done))).collect();
        let (started, before) = (now(), on_cpu(&thread));
        while started.elapsed() < Duration::from_secs(SECONDS) {
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(50));
        }
        (elapsed, cpu) = (started.elapsed(), on_cpu(&thread).saturating_sub(before));
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            times.extend(caller.join().expect("ends"));
        }
    });
    let count = done.load(Ordering::Relaxed);
    let (wall, core) = (per_second(count, elapsed), per_second(count, cpu));
    let high = percentile(&mut times, 99);
    vec![
        Row::new(
            format!("reviews of {} B through TLS, no ledger write, per core of the server", body.len()),
            format!("{core:.0}/s"),
            ">= 10,000/s",
            core >= 10e3,
        ),
        Row::reference("the same by the clock, the callers on the other core", format!("{wall:.0}/s")),
        Row::new("the same, p99", millis(high), "< 5 ms", high < Duration::from_millis(5)),
    ]
}

/// Checks the server's certificate as of the bench's fixed time.
mod at_bench_time {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{DigitallySignedStruct, Error, SignatureScheme};

    #[derive(Debug)]
    pub(super) struct Verifier(pub(super) Arc<WebPkiServerVerifier>);

    impl ServerCertVerifier for Verifier {
        fn verify_server_cert(
            &self,
            end_entity: &CertificateDer<'_>,
            intermediates: &[CertificateDer<'_>],
            server_name: &ServerName<'_>,
            ocsp_response: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            let at = UnixTime::since_unix_epoch(Duration::from_secs(super::NOW.unsigned_abs()));
            self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls12_signature(message, cert, dss)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            dss: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.0.verify_tls13_signature(message, cert, dss)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.supported_verify_schemes()
        }
    }
}
