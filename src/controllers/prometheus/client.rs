//! The calls: bounded in time and size, to one address, with credentials as the files hold them now.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body as Answer;
use axum::http::{Method, Request, header};
use futures::StreamExt as _;
use kube::Client;
use kube::client::Body;

use crate::store::Clock;
use crate::units::{Millis, UnixMillis};

use super::answer::{self, Envelope};
use super::error::{PrometheusError, chain};
use super::files::{Contents, Credentials};
use super::matrix::{self, Points};
use super::place::{PrometheusUrl, Transport, UrlError};
use super::vector::{self, Vector};

/// How much of Prometheus is waited for and believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest time from question to the end of the answer.
    pub time: Millis,
    /// The largest answer, in bytes.
    pub bytes: usize,
    /// How far its clock and ours may be apart.
    pub skew: Millis,
}

/// A Prometheus, or whatever answers its API: cheap to clone, and one connection for all.
#[derive(Clone)]
pub struct Prometheus(Arc<Inner>);

struct Inner {
    url: PrometheusUrl,
    credentials: Credentials,
    limits: Limits,
    clock: Clock,
    /// The client, and the contents of the files that it was made with.
    client: Mutex<Option<(Contents, Client)>>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Millis(10_000), bytes: 8 << 20, skew: Millis(30_000) }
    }
}

impl Prometheus {
    /// The Prometheus at an address. Nothing is asked and no file is read yet.
    ///
    /// # Errors
    /// [`UrlError::Plain`] and [`UrlError::CredentialInPlain`]: what is asked there could be read or changed on the way;
    /// [`UrlError::Password`].
    pub fn try_new(
        url: PrometheusUrl,
        transport: Transport,
        credentials: Credentials,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self, UrlError> {
        url.check(transport, credentials.prove_something())?;
        Ok(Self(Arc::new(Inner { url, credentials, limits, clock, client: Mutex::default() })))
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &PrometheusUrl {
        &self.0.url
    }

    /// The time by its own clock: what a round of questions is asked about, so that none of them lies in its future.
    ///
    /// # Errors
    /// [`PrometheusError::Skew`] when its clock and ours are further apart than the limit; those of [`Prometheus::query`].
    pub async fn clock(&self) -> Result<UnixMillis, PrometheusError> {
        let Inner { limits, clock, .. } = &*self.0;
        let before = clock();
        let envelope = self.post("/api/v1/query", &[("query", "time()")]).await?;
        let theirs = vector::clock(&envelope)?;
        let after = clock();
        // Between its answer and ours lies the way; it excuses as much as it took.
        let ours = theirs.clamp(before.min(after), before.max(after));
        match theirs.0.abs_diff(ours.0) > limits.skew.0 {
            true => Err(PrometheusError::Skew { ours, theirs }),
            false => Ok(theirs),
        }
    }

    /// Evaluates an expression at one moment.
    ///
    /// # Errors
    /// Every variant of [`PrometheusError`] but [`PrometheusError::Skew`].
    pub async fn query(&self, expression: &str, at: UnixMillis) -> Result<Vector, PrometheusError> {
        vector::read(&self.evaluate(expression, at).await?, at)
    }

    /// The points of a range that ends at one moment: `expression` is a selector with a range. They come with the times that they
    /// were recorded at.
    ///
    /// # Errors
    /// Those of [`Prometheus::query`].
    pub async fn points(&self, expression: &str, at: UnixMillis) -> Result<Vec<Points>, PrometheusError> {
        matrix::read(&self.evaluate(expression, at).await?, at)
    }

    async fn evaluate(&self, expression: &str, at: UnixMillis) -> Result<Envelope, PrometheusError> {
        self.post("/api/v1/query", &[("query", expression), ("time", &answer::seconds(at))]).await
    }

    /// Asks by POST; questions may be longer than an address.
    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Envelope, PrometheusError> {
        // It gives up a little before us, and says so.
        let within = format!("{}ms", self.0.limits.time.0.saturating_mul(9) / 10);
        let form = form.iter().copied().chain([("timeout", within.as_str())]);
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.ask(request, answer::form(form)).await
    }

    /// Asks by GET.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Envelope, PrometheusError> {
        let query = answer::form(query.iter().copied());
        let target = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        self.ask(Request::builder().method(Method::GET).uri(target), String::new()).await
    }

    async fn ask(&self, request: axum::http::request::Builder, body: String) -> Result<Envelope, PrometheusError> {
        let Limits { time, bytes, skew: _ } = self.0.limits;
        let client = self.client()?;
        let mut request = request
            .header(header::ACCEPT, "application/json")
            .body(Body::from(body.into_bytes()))
            .map_err(|e| PrometheusError::Unreachable(chain(&e)))?;
        if let Some(token) = self.0.credentials.authorization()? {
            request.headers_mut().insert(header::AUTHORIZATION, token);
        }
        let whole = async {
            let answer = client.send(request).await.map_err(|e| PrometheusError::Unreachable(chain(&e)))?;
            let code = answer.status().as_u16();
            Ok((code, read(answer.into_body(), bytes).await?))
        };
        let limit = Duration::from_millis(time.0);
        let (code, body) = tokio::time::timeout(limit, whole).await.unwrap_or(Err(PrometheusError::Late(time)))?;
        answer::open(code, &body)
    }

    /// The client for what the files hold now.
    fn client(&self) -> Result<Client, PrometheusError> {
        let Inner { url, credentials, client, .. } = &*self.0;
        let contents = credentials.read()?;
        let mut kept = client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((with, client)) = &*kept
            && *with == contents
        {
            return Ok(client.clone());
        }
        let config = credentials.config(url, &contents)?;
        let client = Client::try_from(config).map_err(|e| credentials.unusable(&e))?;
        *kept = Some((contents, client.clone()));
        Ok(client)
    }
}

/// The body, as long as it is not too large: what is beyond the limit is never held.
async fn read(body: Body, most: usize) -> Result<Vec<u8>, PrometheusError> {
    let mut stream = Answer::new(body).into_data_stream();
    let mut bytes = Vec::new();
    while let Some(part) = stream.next().await {
        let part = part.map_err(|e| PrometheusError::Cut(chain(&e)))?;
        if bytes.len().saturating_add(part.len()) > most {
            return Err(PrometheusError::TooLarge(most));
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Prometheus").field(&self.0.url).finish()
    }
}
