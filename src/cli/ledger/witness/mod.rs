//! `miax ledger witness`: a server that cosigns the checkpoints of logs that never contradict themselves.

mod connections;
mod server;
mod store;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::files::read_text;
use crate::cli::key::read_private;
use crate::cli::output::{Answer, Failure, failure, say, tell};
use crate::ledger::KnownLog;
use crate::telemetry::{WitnessMetrics, init_logging};
use crate::trust::Cosigner;

use connections::Bounded;
use server::{Witness, router};
use store::{Store, StoreError};

/// Most connections at once.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to send the head of a request, and to shake hands.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests that are worked on may take after the shutdown began.
const DRAIN: Duration = Duration::from_secs(5);
/// How often the files with the certificate are read again.
const CERTIFICATE_PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  miax key new witness.key
  miax ledger witness --key witness.key --name witness.example/w1 --store store --init
  miax ledger witness --key witness.key --name witness.example/w1 --store store --log 'miax.dev/ecm/…+1a2b3c4d+…'

It speaks https://c2sp.org/tlog-witness: POST /add-checkpoint; GET /SHA-256-OF-ORIGIN/checkpoint gives the newest checkpoint
that was cosigned, /metrics the metrics. Run it where the cluster's administrators have no rights: else it proves nothing.
The store is as precious as the key: without it the witness would cosign a second history. When it is lost, make a new key.")]
pub(super) struct Arguments {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:7380")]
    listen: SocketAddr,
    /// The directory with what was cosigned.
    #[arg(long, value_name = "DIR")]
    store: PathBuf,
    /// The witness's secret key: a raw Ed25519 key, as `miax key new` makes it.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The witness's name, an address without a scheme: witness.example/w1.
    #[arg(long)]
    name: String,
    /// Begin the store of a witness that never cosigned anything, print the public key that logs trust, and end.
    #[arg(long, conflicts_with_all = ["logs", "log_files"])]
    init: bool,
    /// A log to cosign: its verifier key, or ORIGIN=KEY for a log whose key has another name. Two while it changes its key.
    #[arg(long = "log", value_name = "KEY", required_unless_present_any = ["init", "log_files"])]
    logs: Vec<KnownLog>,
    /// A file with one such log a line.
    #[arg(long = "logs", value_name = "FILE")]
    log_files: Vec<PathBuf>,
    /// The certificate chain to listen with, in PEM; read again every minute. Without it, put a proxy in front that has one.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What is logged.
    #[arg(long, env = "MIAX_LOG", default_value = "info")]
    log_level: String,
    /// Log one JSON object a line.
    #[arg(long, env = "MIAX_LOG_JSON")]
    log_json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { store, init, log_level, log_json, .. } = arguments;
    let cosigner = cosigner(arguments)?;
    if *init {
        Store::begin(store, &cosigner.verifier()).map_err(refused)?;
        tell(&format!("{}: begun; keep it as long as the key", store.display()));
        say(&cosigner.verifier().to_string());
        return Ok(Answer::Yes);
    }
    let logs = logs(arguments)?;
    init_logging(log_level, *log_json);
    let opened = Store::open(store, &cosigner.verifier()).map_err(refused)?;
    let metrics = WitnessMetrics::try_new().map_err(|e| failure(&e))?;
    say(&cosigner.verifier().to_string());
    let witness = Arc::new(Witness::new(cosigner, logs, metrics, opened));
    // Only fails when a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|e| failure(&e))?;
    runtime.block_on(serve(arguments, witness))?;
    Ok(Answer::Yes)
}

fn cosigner(arguments: &Arguments) -> Result<Cosigner, Failure> {
    let place = arguments.key.display();
    let wrong = |e| Failure::new(format!("--name: {e}"));
    let cosigner = Cosigner::try_new(&arguments.name, &read_private(&arguments.key)?).map_err(wrong)?;
    cosigner.ok_or_else(|| {
        Failure::new(format!("{place}: a witness signs with a raw Ed25519 key")).with_next("miax key new witness.key")
    })
}

fn logs(arguments: &Arguments) -> Result<Vec<KnownLog>, Failure> {
    let mut logs = arguments.logs.clone();
    for file in &arguments.log_files {
        let text = read_text(file)?;
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
        for (number, line) in lines {
            let wrong = |e| Failure::new(format!("{}: line {number}: {e}", file.display()));
            logs.push(line.trim().parse().map_err(wrong)?);
        }
    }
    match logs.is_empty() {
        true => Err(Failure::new("no log is named; there is nothing to cosign").with_next("give --log KEY")),
        false => Ok(logs),
    }
}

fn refused(error: StoreError) -> Failure {
    let next = match &error {
        StoreError::Another { .. } => "give the key that the store was begun with, or begin another store with --init",
        StoreError::Damaged { .. } | StoreError::Misplaced { .. } => {
            "restore the newest state, or retire this witness: make a new key and a new store"
        }
        StoreError::Exists { .. } => "leave --init away to go on with it",
        StoreError::Io { .. } => "look at the directory's rights and at the space that is left",
        StoreError::Locked { .. } => "end the other process, or give this one a store and a key of its own",
        StoreError::Missing { .. } => {
            "begin one with --init, if this key never cosigned anything; if its store was lost, make a new key first"
        }
    };
    failure(&error).with_next(next)
}

async fn serve(arguments: &Arguments, witness: Arc<Witness>) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| {
        Failure::new(format!("the witness cannot listen on {}: {e}", arguments.listen))
            .with_next("give --listen ADDRESS")
    };
    let listener = std::net::TcpListener::bind(arguments.listen).map_err(wrong)?;
    let address = listener.local_addr().map_err(wrong)?;
    let handle = Handle::new();
    tokio::spawn(stop_when_asked(handle.clone()));
    let routes = router(witness).into_make_service();
    let mut server = axum_server::from_tcp(listener)
        .map_err(wrong)?
        .handle(handle)
        .first_request_timeout(HEAD_TIMEOUT)
        .acceptor(Bounded::new(MAX_CONNECTIONS));
    server.http_builder().http1().header_read_timeout(HEAD_TIMEOUT);
    let tls = match (&arguments.tls_cert, &arguments.tls_key) {
        (Some(certificate), Some(key)) => Some(certificates(certificate, key).await?),
        (None, _) | (_, None) => None,
    };
    tell(&format!("listening on {address}"));
    let served = match tls {
        Some(tls) => {
            let shaking = |bounded| RustlsAcceptor::new(tls).handshake_timeout(HEAD_TIMEOUT).acceptor(bounded);
            server.map(shaking).serve(routes).await
        }
        None => server.serve(routes).await,
    };
    served.map_err(wrong)
}

/// The certificate from its files, now and whenever they change.
async fn certificates(certificate: &Path, key: &Path) -> Result<RustlsConfig, Failure> {
    let wrong = |e| Failure::new(format!("{} and {}: {e}", certificate.display(), key.display()));
    let config = RustlsConfig::from_pem_file(certificate, key).await.map_err(wrong)?;
    let (again, certificate, key) = (config.clone(), certificate.to_owned(), key.to_owned());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(CERTIFICATE_PERIOD).await;
            if let Err(error) = again.reload_from_pem_file(&certificate, &key).await {
                tracing::error!(%error, "the certificate cannot be read again; the old one stays");
            }
        }
    });
    Ok(config)
}

/// Stops taking connections on SIGTERM or SIGINT; what was asked is still answered.
async fn stop_when_asked(handle: Handle<SocketAddr>) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tell("stopping");
    handle.graceful_shutdown(Some(DRAIN));
}
