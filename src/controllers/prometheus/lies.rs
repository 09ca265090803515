//! Servers that are slow, broken, wrong or hostile: each has its name in the error, none is believed, and no credential reaches
//! anybody but the one whom the configuration names.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsAcceptor;

use super::{Credentials, Limits, Prometheus, PrometheusError, Transport, UrlError};
use crate::units::{Millis, UnixMillis};

const NOW: UnixMillis = UnixMillis(1_700_000_000_000);
/// The moment that questions are about.
const AT: UnixMillis = NOW;

/// What a server does with a connection, once it has read the question.
#[derive(Clone)]
enum Reply {
    /// It sends these bytes and hangs up.
    Ends(Vec<u8>),
    /// It sends these bytes and stays silent.
    Stays(Vec<u8>),
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn all(&self) -> Vec<String> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

fn ends(text: impl Into<Vec<u8>>) -> Reply {
    Reply::Ends(text.into())
}

fn with_body(status: &str, body: &str) -> Reply {
    ends(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()))
}

/// A well-formed answer with this data.
fn says(data: &str) -> Reply {
    with_body("200 OK", &format!(r#"{{"status":"success","data":{data}}}"#))
}

fn empty() -> Reply {
    says(r#"{"resultType":"vector","result":[]}"#)
}

async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, reply: Reply, heard: Heard) -> std::io::Result<()> {
    let mut question = Vec::new();
    let length = |text: &str| {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let wanted = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
        Some(body.len() >= wanted.parse().expect("a number"))
    };
    while length(&String::from_utf8_lossy(&question)) != Some(true) {
        if stream.read_buf(&mut question).await? == 0 {
            return Ok(());
        }
    }
    heard.0.lock().expect("nobody panicked").push(String::from_utf8_lossy(&question).into_owned());
    let (Reply::Ends(bytes) | Reply::Stays(bytes)) = &reply;
    stream.write_all(bytes).await?;
    match reply {
        Reply::Ends(_) => stream.shutdown().await,
        Reply::Stays(_) => std::future::pending().await,
    }
}

async fn serve(tls: Option<ServerConfig>, reply: Reply) -> (SocketAddr, Heard) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (heard, acceptor) = (Heard::default(), tls.map(|config| TlsAcceptor::from(Arc::new(config))));
    let hears = heard.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (reply, heard, acceptor) = (reply.clone(), hears.clone(), acceptor.clone());
            tokio::spawn(async move {
                match acceptor {
                    Some(acceptor) => converse(acceptor.accept(stream).await?, reply, heard).await,
                    None => converse(stream, reply, heard).await,
                }
            });
        }
    });
    (address, heard)
}

/// How long who answers may take on a machine that has much else to do, and how long who does not is waited for.
const LONG: Millis = Millis(30_000);
const SHORT: Millis = Millis(500);

fn client(url: &str, credentials: Credentials) -> Prometheus {
    client_within(LONG, url, credentials)
}

fn client_within(time: Millis, url: &str, credentials: Credentials) -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let limits = Limits { time, bytes: 8 << 20, skew: Millis(30_000) };
    let url = url.parse().expect("an address");
    Prometheus::try_new(url, Transport::Tls, credentials, limits, Arc::new(|| NOW)).expect("it may be asked")
}

async fn asked(reply: Reply) -> Result<super::Vector, PrometheusError> {
    let time = if matches!(reply, Reply::Stays(_)) { SHORT } else { LONG };
    let (address, _) = serve(None, reply).await;
    client_within(time, &format!("http://{address}"), Credentials::default()).query("up", AT).await
}

#[tokio::test]
async fn every_lie_has_its_name() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"sta\r\n";
    let large = format!("{{\"status\":\"success\",\"data\":\"{}\"}}", "x".repeat(10 << 20));
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "X-More: 1\r\n".repeat(1 << 16));
    #[rustfmt::skip]
    let rows = [
        ("silence", Reply::Stays(Vec::new()), "did not answer in 500 ms"),
        ("half an answer, and silence", Reply::Stays(format!("{head}{{\"status\"").into()), "did not answer in 500 ms"),
        ("nothing", ends(""), "cannot be reached"),
        ("another protocol", ends("220 mail ready\r\n\r\n"), "cannot be reached"),
        ("half a head", ends("HTTP/1.1 200 OK\r\nContent-Le"), "cannot be reached"),
        ("a head without an end", ends(endless), "cannot be reached"),
        ("half an answer", ends(format!("{head}{{\"status\":\"success\"")), "breaks off"),
        ("half of the chunks", ends(chunked), "breaks off"),
        ("10 MiB", with_body("200 OK", &large), "more than 8388608 bytes"),
        ("half a document", with_body("200 OK", "{\"status\":\"succ"), "EOF"),
        ("a page to log in at", with_body("200 OK", "<html>"), "not what its API answers"),
        ("bytes that are compressed though nobody asked", ends(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n\x1f\x8b\x08".to_vec()), "not what its API answers"),
        ("that it failed", with_body("500 Internal Server Error", "oh"), "status 500"),
        ("that it is too slow", with_body("503 Service Unavailable", r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#), "timeout: query timed out"),
        ("that it does not know us", with_body("403 Forbidden", ""), "does not let this operator ask"),
        ("a matrix", says(r#"{"resultType":"matrix","result":[]}"#), "with a matrix, not with a vector"),
        ("that something is missing", with_body("200 OK", r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["no store matched"]}"#), "may not be whole: no store matched"),
    ];
    for (name, reply, expected) in rows {
        let error = asked(reply).await.map(|_| ()).expect_err(name).to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let nobody = client("http://127.0.0.1:1", Credentials::default()).query("up", AT).await;
    assert!(matches!(nobody, Err(PrometheusError::Unreachable(_))), "{nobody:?}");
}

#[tokio::test]
async fn a_clock_that_is_five_minutes_off_is_not_believed() {
    let clock = async |theirs: u64| {
        let (address, _) =
            serve(None, says(&format!(r#"{{"resultType":"scalar","result":[{theirs},"{theirs}"]}}"#))).await;
        client(&format!("http://{address}"), Credentials::default()).clock().await
    };
    let now = NOW.0 / 1000;
    assert_eq!(clock(now).await.expect("the same"), NOW);
    assert_eq!(clock(now + 30).await.expect("near enough"), UnixMillis(NOW.0 + 30_000));
    assert_eq!(clock(now - 30).await.expect("near enough"), UnixMillis(NOW.0 - 30_000));
    for (theirs, expected) in [(now + 300, "300000 ms ahead of ours"), (now - 300, "300000 ms behind ours")] {
        let error = clock(theirs).await.expect_err("too far").to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn the_question_is_a_form_and_a_prefix_of_the_address_stays() {
    let (address, heard) = serve(None, empty()).await;
    let prometheus = client(&format!("http://{address}/prometheus"), Credentials::default());
    prometheus.query(r#"a{b="c&d"}"#, UnixMillis(1_700_000_000_050)).await.expect("an answer");
    let [question] = heard.all().try_into().expect("one question");
    assert!(question.starts_with("POST /prometheus/api/v1/query HTTP/1.1\r\n"), "{question}");
    assert!(
        question.ends_with("\r\n\r\nquery=a%7Bb%3D%22c%26d%22%7D&time=1700000000.050&timeout=27000ms"),
        "{question}"
    );
    assert!(!question.to_lowercase().contains("authorization"), "{question}");
}

#[tokio::test]
async fn a_token_rotates_and_follows_no_redirect() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("token");
    let credentials = Credentials { token: Some(path.clone()), ..Credentials::default() };
    let (elsewhere, overheard) = serve(None, empty()).await;
    let moved =
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{elsewhere}/\r\nContent-Length: 0\r\n\r\n");
    let (address, heard) = serve(None, ends(moved)).await;
    let prometheus = client(&format!("http://{address}"), credentials.clone());
    for token in ["secret-1", "secret-2"] {
        std::fs::write(&path, token).expect("written");
        let error = prometheus.query("up", AT).await.expect_err("not followed");
        let shown = format!("{error} {error:?} {prometheus:?}");
        assert!(shown.contains("307") && !shown.contains("secret"), "{shown}");
        let question = heard.all().pop().expect("a question");
        assert!(question.contains(&format!("\r\nauthorization: Bearer {token}\r\n")), "{question}");
    }
    std::fs::write(&path, "").expect("written");
    assert!(matches!(prometheus.query("up", AT).await, Err(PrometheusError::File(_))));
    assert_eq!((heard.all().len(), overheard.all().len()), (2, 0), "without its token it does not ask");
    let plain = "http://prometheus.example".parse().expect("an address");
    let refused = Prometheus::try_new(plain, Transport::PlainAllowed, credentials, Limits::default(), Arc::new(|| NOW));
    assert_eq!(refused.map(|_| ()), Err(UrlError::CredentialInPlain));
}

/// An authority with certificates as files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("an authority").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for a name and its key, in PEM.
    fn issue(&self, name: &str, year: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_after = rcgen::date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate")).expect("a root");
        roots
    }
}

/// A server with this certificate; with an authority it asks for certificates of it.
async fn serve_tls((certificate, key): (String, String), clients: Option<&Authority>) -> SocketAddr {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
    let builder = ServerConfig::builder();
    let builder = match clients {
        Some(authority) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder(Arc::new(authority.roots())).build().expect("a verifier"),
        ),
        None => builder.with_no_client_auth(),
    };
    serve(Some(builder.with_single_cert(chain, key).expect("a configuration")), empty()).await.0
}

fn written(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

#[tokio::test]
async fn only_a_certificate_of_the_authority_for_the_name_is_trusted() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let authorities = written(directory.path(), "ca.crt", &ours.pem);
    let ask = async |certificate| {
        let address = serve_tls(certificate, None).await;
        let credentials = Credentials { authorities: Some(authorities.clone()), ..Credentials::default() };
        client(&format!("https://{address}"), credentials).query("up", AT).await.map_err(|e| e.to_string())
    };
    assert_eq!(ask(ours.issue("127.0.0.1", 2999)).await, Ok(super::Vector::default()));
    let check = |answer: Result<super::Vector, String>, expected: &str| {
        let error = answer.expect_err(expected);
        assert!(error.contains("cannot be reached") && error.contains(expected), "{error}");
    };
    check(ask(other.issue("127.0.0.1", 2999)).await, "UnknownIssuer");
    check(ask(ours.issue("prometheus.example", 2999)).await, "not valid for name");
    check(ask(ours.issue("127.0.0.1", 2001)).await, "expired");
    written(directory.path(), "ca.crt", &other.pem);
    check(ask(ours.issue("127.0.0.1", 2999)).await, "UnknownIssuer");
    written(directory.path(), "ca.crt", "none");
    assert!(ask(ours.issue("127.0.0.1", 2999)).await.expect_err("no authority").contains("holds no certificate"));
}

#[tokio::test]
async fn a_client_certificate_is_asked_for_and_may_be_replaced_while_we_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let address = serve_tls(ours.issue("127.0.0.1", 2999), Some(&ours)).await;
    let write = |(certificate, key): (String, String)| {
        (written(directory.path(), "tls.crt", &certificate), written(directory.path(), "tls.key", &key))
    };
    let authorities = Some(written(directory.path(), "ca.crt", &ours.pem));
    let url = format!("https://{address}");
    let nobody = client(&url, Credentials { authorities: authorities.clone(), ..Credentials::default() });
    let somebody =
        client(&url, Credentials { authorities, certificate: Some(write(other.issue("miax", 2999))), token: None });
    // With TLS 1.3 a client hears of it only when it asks.
    let refused = |answer| matches!(answer, Err(PrometheusError::Unreachable(_) | PrometheusError::Cut(_)));
    assert!(refused(nobody.query("up", AT).await), "without a certificate");
    assert!(refused(somebody.query("up", AT).await), "with one of another authority");
    let (_, key) = write(ours.issue("miax", 2999));
    assert!(somebody.query("up", AT).await.is_ok(), "with the right one, without a new start");
    std::fs::write(&key, ours.issue("miax", 2999).1).expect("written");
    let error = somebody.query("up", AT).await.expect_err("another key").to_string();
    assert!(error.contains("tls.crt") && !error.contains("PRIVATE"), "{error}");
}
