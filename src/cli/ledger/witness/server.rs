//! The HTTP side of a witness (<https://c2sp.org/tlog-witness>): `POST /add-checkpoint`, and `GET /ORIGIN-HASH/checkpoint` for
//! monitors.
//!
//! Must not: let an answer leave before what it says is on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::cli::clock::now;
use crate::ledger::{AddCheckpoint, Candidate, Cosigned, KnownLog, Refusal};
use crate::telemetry::WitnessMetrics;
use crate::trust::Cosigner;

use super::store::{Kept, Store, origin_hash};

/// Largest body: a note of 64 KiB, 63 hashes, and the line with the old size.
const MAX_BODY: usize = 68 << 10;
/// How long a request may take, from its head to its answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests are worked on at once. The next one is told to come back: a log has one request on its way.
const MAX_AT_ONCE: usize = 64;

const TEXT: &str = "text/plain; charset=utf-8";
/// Content type of the body that tells a size.
const SIZE: &str = "text/x.tlog.size";

/// A witness with its store.
pub(super) struct Witness {
    cosigner: Cosigner,
    logs: Vec<KnownLog>,
    metrics: WitnessMetrics,
    room: Arc<Semaphore>,
    /// Check, write and sign are one step: else of two requests the older could undo the newer.
    memory: Mutex<Memory>,
}

struct Memory {
    store: Store,
    /// What was cosigned last, by origin.
    latest: BTreeMap<String, Kept>,
}

/// An answer to a request to cosign.
struct Answer {
    code: StatusCode,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(code: StatusCode, body: impl std::fmt::Display) -> Self {
        Self { code, kind: TEXT, body: format!("{body}\n") }
    }
}

impl From<&Refusal> for Answer {
    fn from(refusal: &Refusal) -> Self {
        let code = StatusCode::from_u16(refusal.http_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match refusal {
            Refusal::Conflict { size } | Refusal::Forked { size } => {
                Self { code, kind: SIZE, body: format!("{size}\n") }
            }
            Refusal::Malformed
            | Refusal::OldBeyond { .. }
            | Refusal::UnknownLog(_)
            | Refusal::Unsigned(_)
            | Refusal::Inconsistent(_) => Self::text(code, refusal),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let Self { code, kind, body } = self;
        let mut response = (code, [(CONTENT_TYPE, kind)], body).into_response();
        if code == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl Witness {
    /// A witness that goes on from what its store holds.
    pub(super) fn new(
        cosigner: Cosigner,
        logs: Vec<KnownLog>,
        metrics: WitnessMetrics,
        (store, latest): (Store, BTreeMap<String, Kept>),
    ) -> Self {
        metrics.keeps(latest.len());
        let memory = Mutex::new(Memory { store, latest });
        Self { cosigner, logs, metrics, room: Arc::new(Semaphore::new(MAX_AT_ONCE)), memory }
    }

    /// Decides about a request and cosigns; does not return before that is on disk.
    fn add(&self, body: &[u8]) -> Answer {
        let request = std::str::from_utf8(body).map_err(|_| Refusal::Malformed).and_then(AddCheckpoint::parse);
        match request.and_then(|request| request.check(&self.logs)) {
            Ok(candidate) => self.cosign(candidate),
            Err(refusal) => Answer::from(&refusal),
        }
    }

    fn cosign(&self, candidate: Candidate) -> Answer {
        let shown = candidate.note().to_owned();
        let origin = candidate.signed().checkpoint().origin.clone();
        let Ok(mut memory) = self.memory.lock() else {
            return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the witness is broken; start it again");
        };
        let known = memory.latest.get(&origin);
        let consistent = match candidate.decide(known.map(|kept| &kept.signed)) {
            Ok(consistent) => consistent,
            Err(refusal) => {
                // Not for a proof that proves nothing: anybody can send one along with a checkpoint that is public.
                if matches!(refusal, Refusal::Forked { .. }) {
                    self.metrics.forked();
                    let cosigned = known.map(|kept| kept.note.as_str()).unwrap_or_default();
                    // Both are signed by the log: together they prove what it did.
                    tracing::error!(origin, shown, cosigned, "a log shows two histories");
                }
                return Answer::from(&refusal);
            }
        };
        let at = now();
        let Cosigned { signed, note, line } = match consistent.cosign(&self.cosigner, at) {
            Ok(cosigned) => cosigned,
            Err(error) => return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        };
        // A crash or an error from here on: the line has not left, so nothing was said that is not kept.
        if let Err(error) = memory.store.keep(&origin, &note) {
            tracing::error!(origin, %error, "what should be cosigned cannot be kept; nothing is signed");
            return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot write its store");
        }
        let size = signed.checkpoint().size;
        memory.latest.insert(origin.clone(), Kept { signed, note });
        self.metrics.cosigned(at, memory.latest.len());
        tracing::debug!(origin, size, "cosigned");
        Answer { code: StatusCode::OK, kind: TEXT, body: line }
    }

    /// The newest checkpoint that was cosigned of the log with this origin hash.
    fn newest(&self, hash: &str) -> Option<String> {
        let memory = self.memory.lock().ok()?;
        memory.latest.iter().find(|(origin, _)| origin_hash(origin) == hash).map(|(_, kept)| kept.note.clone())
    }
}

/// The routes of a witness.
pub(super) fn router(witness: Arc<Witness>) -> Router {
    Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin}/checkpoint", get(newest_checkpoint))
        .route("/livez", get(|| async { "ok\n" }))
        .route("/metrics", get(metrics))
        .with_state(witness)
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Body) -> Answer {
    let answer = match witness.room.clone().try_acquire_owned() {
        Ok(place) => {
            tokio::time::timeout(TIMEOUT, read_and_add(witness.clone(), body, place)).await.unwrap_or_else(|_| {
                // What was begun is ended, and kept; the log learns of it by its next request.
                Answer::text(StatusCode::REQUEST_TIMEOUT, "the request took too long")
            })
        }
        Err(_) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many requests at once; try again"),
    };
    witness.metrics.answered(answer.code.as_u16());
    answer
}

async fn read_and_add(witness: Arc<Witness>, body: Body, place: OwnedSemaphorePermit) -> Answer {
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return Answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {MAX_BODY} bytes"));
    };
    // Not on the runtime's threads: it waits for the disk. Its place is free when it is done, not when nobody waits any more.
    let added = tokio::task::spawn_blocking(move || {
        let answer = witness.add(&body);
        drop(place);
        answer
    });
    let added = added.await;
    added.unwrap_or_else(|_| Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the request could not be worked on"))
}

async fn newest_checkpoint(State(witness): State<Arc<Witness>>, Path(hash): Path<String>) -> Response {
    match witness.newest(&hash) {
        Some(note) => ([(CONTENT_TYPE, TEXT), (CACHE_CONTROL, "no-store")], note).into_response(),
        None => Answer::text(StatusCode::NOT_FOUND, "nothing was cosigned of a log with this hash").into_response(),
    }
}

async fn metrics(State(witness): State<Arc<Witness>>) -> Response {
    match witness.metrics.render() {
        Ok(text) => text.into_response(),
        Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error).into_response(),
    }
}
