//! Probes and metrics on a port of their own, without TLS: the kubelet and Prometheus come from elsewhere than the API
//! server.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;

/// Tells whether the process can do its work now; if not, why.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;
/// Gives the text of `/metrics`.
type Exposition = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// The routes `/livez`, `/readyz` and `/metrics`.
pub fn probes(ready: Readiness, metrics: Exposition) -> Router {
    let readyz = move || {
        let answer = ready();
        async move {
            match answer {
                Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
                Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }
        }
    };
    let exposition = move || {
        let answer = metrics();
        async move {
            match answer {
                Ok(text) => (StatusCode::OK, text),
                Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, why),
            }
        }
    };
    Router::new()
        // Answering at all is being alive: the runtime turns.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
}
