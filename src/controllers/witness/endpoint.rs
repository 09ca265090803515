//! A witness's address, and the calls to it. Whatever answers there is not trusted: answers are bounded in time and size.

use std::path::Path;
use std::time::Duration;

use axum::http::uri::Scheme;
use axum::http::{Method, Request, Uri};
use kube::client::Body;
use kube::{Client, Config};

use crate::trust::{NoteError, WitnessKey, sha256};
use crate::units::hex;

/// How long a witness may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);
/// Largest answer: a checkpoint as it is kept, or a few signature lines.
const MAX_ANSWER: usize = 64 << 10;

/// Where a witness is, and one of its keys; written `URL+KEY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessAddress {
    url: Uri,
    key: WitnessKey,
}

/// Why a text is not the address of a witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no plus sign.
    #[error("a witness is written URL+KEY, for example https://w1.example+witness.example/w1+1a2b3c4d+…")]
    Form,
    /// What follows the first plus sign is no witness's key.
    #[error("{0}; a witness's key is what `miax ledger witness --init` prints")]
    Key(#[from] NoteError),
    /// What stands before it is no address.
    #[error("`{0}` is not an address; it begins with https:// or http:// and holds no plus sign")]
    Url(String),
}

/// Why a witness cannot be called.
#[derive(Debug, thiserror::Error)]
#[error(
    "the witness at {place} cannot be called: {source}; give --witness-ca FILE when its authority is not a public one"
)]
pub struct EndpointError {
    place: String,
    source: kube::Error,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CallError {
    #[error("it did not answer in {} s", DEADLINE.as_secs())]
    Late,
    #[error("it answers {0}")]
    Code(u16),
    #[error("its answer is larger than {MAX_ANSWER} bytes, or no text")]
    Unreadable,
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
}

/// One address, with the keys that are expected there.
#[derive(Clone)]
pub struct Endpoint {
    client: Client,
    place: String,
    keys: Vec<WitnessKey>,
}

impl std::str::FromStr for WitnessAddress {
    type Err = AddressError;

    /// Reads `URL+KEY`.
    ///
    /// # Errors
    /// Every variant of [`AddressError`].
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (url, key) = text.split_once('+').ok_or(AddressError::Form)?;
        let uri: Uri = url.parse().map_err(|_| AddressError::Url(url.to_owned()))?;
        let known = [&Scheme::HTTP, &Scheme::HTTPS].map(Some).contains(&uri.scheme());
        if !known || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
            return Err(AddressError::Url(url.to_owned()));
        }
        Ok(Self { url: uri, key: key.parse()? })
    }
}

impl WitnessAddress {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }
}

impl Endpoint {
    /// The addresses to call: one each, whatever number of keys is expected there. `ca` is a file with authorities in PEM;
    /// without it those of the system count.
    ///
    /// # Errors
    /// [`EndpointError`] when the authorities cannot be read.
    pub fn all(addresses: &[WitnessAddress], ca: Option<&Path>) -> Result<Vec<Self>, EndpointError> {
        let mut all: Vec<Self> = Vec::new();
        for WitnessAddress { url, key } in addresses {
            let place = url.to_string();
            match all.iter_mut().find(|endpoint| endpoint.place == place) {
                Some(endpoint) => endpoint.keys.push(key.clone()),
                None => {
                    let client = client(url, ca).map_err(|source| EndpointError { place: place.clone(), source })?;
                    all.push(Self { client, place, keys: vec![key.clone()] });
                }
            }
        }
        Ok(all)
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn keys(&self) -> &[WitnessKey] {
        &self.keys
    }

    /// Asks to cosign; gives status code and body.
    pub(super) async fn add(&self, request: String) -> Result<(u16, String), CallError> {
        self.call(Method::POST, "/add-checkpoint", request).await
    }

    /// The newest checkpoint of a log that it says it cosigned, if it tells.
    pub(super) async fn newest(&self, origin: &str) -> Result<Option<String>, CallError> {
        let path = format!("/{}/checkpoint", hex(&sha256(origin.as_bytes()).0));
        match self.call(Method::GET, &path, String::new()).await? {
            (200, body) => Ok(Some(body)),
            (404, _) => Ok(None),
            (code, _) => Err(CallError::Code(code)),
        }
    }

    async fn call(&self, method: Method, path: &str, body: String) -> Result<(u16, String), CallError> {
        let unreachable = |e: &dyn std::fmt::Display| CallError::Unreachable(e.to_string());
        let request = Request::builder().method(method).uri(path).body(Body::from(body.into_bytes()));
        let request = request.map_err(|e| unreachable(&e))?;
        let answer = async {
            let answer = self.client.send(request).await.map_err(|e| unreachable(&e))?;
            let code = answer.status().as_u16();
            let body = axum::body::to_bytes(axum::body::Body::new(answer.into_body()), MAX_ANSWER).await;
            let body = body.map_err(|_| CallError::Unreadable)?;
            Ok((code, String::from_utf8(body.into()).map_err(|_| CallError::Unreadable)?))
        };
        tokio::time::timeout(DEADLINE, answer).await.unwrap_or(Err(CallError::Late))
    }
}

/// A client without credentials.
fn client(url: &Uri, ca: Option<&Path>) -> Result<Client, kube::Error> {
    let mut config = Config::new(url.clone());
    config.default_retry = false;
    config.connect_timeout = Some(DEADLINE);
    if ca.is_some() || url.scheme() == Some(&Scheme::HTTP) {
        // Not the system's authorities, which an image without any would stumble over.
        config.root_cert = Some(Vec::new());
    }
    config.root_cert_file = ca.map(Path::to_owned);
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "witness.example/w1+567cde09+BG56HN0psLeP0Tr0xVmP7/TvKpcWbjym8uT7/M2AUFvx";

    #[test]
    fn an_address_is_split_at_the_first_plus_sign() {
        let address: WitnessAddress = format!("https://w1.example:7380/prefix+{KEY}").parse().expect("an address");
        assert_eq!(
            (address.url.to_string().as_str(), address.key().to_string().as_str()),
            ("https://w1.example:7380/prefix", KEY)
        );
        let check = |text: &str, part: &str| {
            let error = text.parse::<WitnessAddress>().expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        check("https://w1.example", "URL+KEY");
        check("https://w1.example+witness.example/w1", "is not a note verifier key");
        check(&format!("w1.example+{KEY}"), "begins with https://");
        check(&format!("ftp://w1.example+{KEY}"), "begins with https://");
        check(&format!("https://w1.example/?a=b+{KEY}"), "begins with https://");
        check(&format!("+{KEY}"), "begins with https://");
    }
}
