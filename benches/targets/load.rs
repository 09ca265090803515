//! Reviews through TLS, as many as go: the server has one thread, the callers have the other core.

use std::future::Future;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use miax::admission::{Authority, Server, Webhook, router};
use miax::units::UnixSeconds;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::{now, per_second, percentile};

const CONNECTIONS: usize = 10;
const SECONDS: u64 = 5;
/// The time that everything here lives at.
pub(crate) const NOW: i64 = 1_795_514_400;

/// What came of it.
pub(crate) struct Load {
    count: usize,
    elapsed: Duration,
    cpu: Duration,
    times: Vec<Duration>,
}

impl Load {
    /// Answers for each second that the server's thread was on a processor.
    pub(crate) fn per_core(&self) -> f64 {
        per_second(self.count, self.cpu)
    }

    /// Answers for each second by the clock.
    pub(crate) fn by_the_clock(&self) -> f64 {
        per_second(self.count, self.elapsed)
    }

    /// Of a hundred answers one takes longer.
    pub(crate) fn p99(&mut self) -> Duration {
        percentile(&mut self.times, 99)
    }
}

/// Asks a webhook for some seconds, over ten connections; `kept` lives as long as it does. Every answer must hold `expected`.
pub(crate) fn load<K, F>(
    webhook: impl FnOnce() -> F + Send + 'static,
    (path, bodies): (&str, &[Vec<u8>]),
    expected: &str,
) -> Load
where
    F: Future<Output = (Arc<Webhook>, K)>,
{
    let head = |body: &[u8]| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
    };
    let requests: Vec<Vec<u8>> = bodies.iter().map(|body| [head(body).as_bytes(), body].concat()).collect();
    let (port, bundle, thread) = serve(webhook);
    let tls = client(&bundle);
    let stop = AtomicBool::new(false);
    let mut load = Load { count: 0, elapsed: Duration::ZERO, cpu: Duration::ZERO, times: Vec::new() };
    std::thread::scope(|scope| {
        // Each begins elsewhere: no two ask the same at once.
        let from = |caller: usize| requests.iter().cycle().skip(caller * requests.len() / CONNECTIONS);
        let (tls, stop) = (&tls, &stop);
        let callers: Vec<_> =
            (0..CONNECTIONS).map(|c| scope.spawn(move || ask(port, tls, from(c), stop, expected))).collect();
        let (started, before) = (now(), on_cpu(&thread));
        while started.elapsed() < Duration::from_secs(SECONDS) {
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(50));
        }
        (load.elapsed, load.cpu) = (started.elapsed(), on_cpu(&thread).saturating_sub(before));
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            load.times.extend(caller.join().expect("ends"));
        }
    });
    load.count = load.times.len();
    load
}

/// A server on a runtime of one thread; gives its port and the authority's certificate, and its thread's number.
fn serve<K, F: Future<Output = (Arc<Webhook>, K)>>(
    webhook: impl FnOnce() -> F + Send + 'static,
) -> (u16, String, String) {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
        runtime.block_on(async {
            let (webhook, _kept) = webhook().await;
            let at = UnixSeconds::new(NOW);
            let authority = Authority::make(at).expect("authority");
            let leaf = authority.sign_leaf(&["127.0.0.1".into()], at).expect("leaf");
            let server =
                Server::start("127.0.0.1:0".parse().expect("address"), &leaf, None, router(webhook)).expect("listens");
            let thread = std::fs::read_link("/proc/thread-self").expect("a thread").display().to_string();
            sender.send((server.address().port(), authority.bundle(), thread)).expect("sent");
            std::future::pending::<()>().await;
        });
    });
    receiver.recv().expect("the server is up")
}

fn client(bundle: &str) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(bundle.as_bytes()).expect("pem")).expect("a root");
    // The certificate is of the bench's fixed time; the callers must live then too.
    let verifier = rustls::client::WebPkiServerVerifier::builder(roots.into()).build().expect("verifier");
    let tls = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(at_bench_time::Verifier(verifier)))
        .with_no_client_auth();
    Arc::new(tls)
}

/// Time that a thread spent on a processor.
fn on_cpu(thread: &str) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).expect("schedstat");
    Duration::from_nanos(text.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number"))
}

/// Asks one after the other over one connection; gives the time of each answer.
fn ask<'a>(
    port: u16,
    tls: &Arc<rustls::ClientConfig>,
    requests: impl Iterator<Item = &'a Vec<u8>>,
    stop: &AtomicBool,
    expected: &str,
) -> Vec<Duration> {
    let name = ServerName::try_from("127.0.0.1").expect("name");
    let connection = rustls::ClientConnection::new(tls.clone(), name).expect("connection");
    let socket = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    socket.set_nodelay(true).expect("no delay");
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let mut times = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    for request in requests.take_while(|_| !stop.load(Ordering::Relaxed)) {
        let started = now();
        stream.write_all(request).expect("asked");
        let mut answer = Vec::new();
        while !answer.ends_with(b"}}") {
            let count = stream.read(&mut buffer).expect("answered");
            answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        times.push(started.elapsed());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(expected), "{answer}");
    }
    times
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
