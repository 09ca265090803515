//! The HTTPS server of the webhook.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use rustls::ServerConfig;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;

use crate::api::names::{GATED_PATH, GOVERNED_PATH};

use super::certificates::Leaf;
use super::door::Door;
use super::handler::Webhook;

/// Largest body of a review. The API server itself takes 3 MiB; a review of an update holds an object twice.
const MAX_BODY: usize = 8 << 20;
/// How long requests that are being answered may take after the shutdown began.
const DRAIN: Duration = Duration::from_secs(5);

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[error("the webhook cannot listen on {address}: {source}")]
pub struct ServeError {
    address: SocketAddr,
    source: std::io::Error,
}

/// A running server.
pub struct Server {
    tls: RustlsConfig,
    door: Option<Arc<Door>>,
    handle: Handle<SocketAddr>,
    address: SocketAddr,
}

/// The routes of the webhook.
pub fn router(webhook: Arc<Webhook>) -> Router {
    let routes = Router::new().route(GOVERNED_PATH, post(governed)).route(GATED_PATH, post(gated));
    routes.layer(DefaultBodyLimit::max(MAX_BODY)).with_state(webhook)
}

async fn governed(State(webhook): State<Arc<Webhook>>, body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], webhook.answer(&body).await.to_string())
}

async fn gated(State(webhook): State<Arc<Webhook>>, body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], webhook.answer_gated(&body).await.to_string())
}

impl Server {
    /// Starts to listen, with this leaf. Without a door everybody comes in.
    ///
    /// # Errors
    /// [`ServeError`] when the address cannot be bound.
    pub fn start(
        address: SocketAddr,
        leaf: &Leaf,
        door: Option<Arc<Door>>,
        routes: Router,
    ) -> Result<Self, ServeError> {
        let wrong = |source| ServeError { address, source };
        let listener = std::net::TcpListener::bind(address).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;
        let tls = RustlsConfig::from_config(config(leaf, door.as_ref()));
        let handle = Handle::new();
        let server = axum_server::from_tcp_rustls(listener, tls.clone()).map_err(wrong)?.handle(handle.clone());
        tokio::spawn(async move {
            if let Err(error) = server.serve(routes.into_make_service()).await {
                tracing::error!(%error, "the webhook stopped to listen");
            }
        });
        Ok(Self { tls, door, handle, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves new connections with another leaf; open ones go on.
    pub fn replace(&self, leaf: &Leaf) {
        self.tls.reload_from_config(config(leaf, self.door.as_ref()));
    }

    /// Takes no new connections, answers what was asked, and returns when that is done.
    pub async fn stop(&self) {
        self.handle.graceful_shutdown(Some(DRAIN));
        while self.handle.connection_count() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn config(leaf: &Leaf, door: Option<&Arc<Door>>) -> Arc<ServerConfig> {
    let certificate = Arc::new(SingleCertAndKey::from(leaf.certified.clone()));
    let builder = ServerConfig::builder();
    let Some(door) = door else {
        return builder.with_no_client_auth().with_cert_resolver(certificate).into();
    };
    let mut config = builder.with_client_cert_verifier(door.clone()).with_cert_resolver(certificate);
    // A resumed session would not show its certificate again, also when that has ended or its authority was replaced.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.into()
}
