//! Where Prometheus is, and whether it may be asked without TLS.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use axum::http::Uri;
use axum::http::uri::Scheme;

/// The address of Prometheus: `http` or `https`, a host, and perhaps a port and the path that its API begins at. Shown without
/// the user and password that somebody may have put in; with them it cannot be used.
#[derive(Clone, PartialEq, Eq)]
pub struct PrometheusUrl(Uri);

/// Whether an address in another host may be asked without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// No: whoever is on the way could say that every budget is whole.
    Tls,
    /// Yes, because the operator's configuration says so: the network, or a mesh, keeps others out.
    PlainAllowed,
}

/// Why an address cannot be used. The address itself is not repeated: it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// A credential would be sent without TLS to another host.
    #[error(
        "--prometheus-url begins with http:// and is not of this host, but there is a token or a client certificate: without TLS \
         everybody on the way could read the token; use https://"
    )]
    CredentialInPlain,
    /// It is not an address.
    #[error("it is not the address of a Prometheus; write https://HOST[:PORT][/PATH], without a question mark")]
    Form,
    /// It holds a user or a password.
    #[error(
        "--prometheus-url holds a user or a password, which every process list shows; use --prometheus-token-file or \
         --prometheus-cert"
    )]
    Password,
    /// It would be asked without TLS.
    #[error(
        "--prometheus-url begins with http:// and is not of this host: whoever is on the way could say that every budget is whole; \
         use https://, or give --prometheus-allow-http when the network keeps others out"
    )]
    Plain,
}

impl FromStr for PrometheusUrl {
    type Err = UrlError;

    /// Reads an address.
    ///
    /// # Errors
    /// [`UrlError::Form`].
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Form)?;
        let known = [&Scheme::HTTP, &Scheme::HTTPS].map(Some).contains(&uri.scheme());
        let authority = uri.authority().ok_or(UrlError::Form)?;
        // A fragment is cut off without a word by the parser.
        if !known || authority.host().is_empty() || uri.query().is_some() || text.contains('#') {
            return Err(UrlError::Form);
        }
        Ok(Self(uri))
    }
}

impl PrometheusUrl {
    pub(super) fn uri(&self) -> &Uri {
        &self.0
    }

    pub(super) fn is_tls(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// Checks that it may be asked so.
    ///
    /// # Errors
    /// [`UrlError::CredentialInPlain`], [`UrlError::Password`], [`UrlError::Plain`].
    pub(super) fn check(&self, transport: Transport, has_credential: bool) -> Result<(), UrlError> {
        if self.0.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(UrlError::Password);
        }
        if self.is_tls() || self.is_loopback() {
            return Ok(());
        }
        match transport {
            Transport::Tls => Err(UrlError::Plain),
            Transport::PlainAllowed if has_credential => Err(UrlError::CredentialInPlain),
            Transport::PlainAllowed => Ok(()),
        }
    }

    fn is_loopback(&self) -> bool {
        let host = self.0.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Display for PrometheusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.0.scheme_str().unwrap_or_default();
        let authority = self.0.authority().map(|authority| authority.as_str()).unwrap_or_default();
        let place = authority.rsplit('@').next().unwrap_or_default();
        write!(f, "{scheme}://{place}{}", self.0.path())
    }
}

impl fmt::Debug for PrometheusUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_path() {
        let check = |text: &str, expected: Result<(), UrlError>| {
            assert_eq!(text.parse::<PrometheusUrl>().map(|_| ()), expected, "{text}");
        };
        check("https://prometheus.example", Ok(()));
        check("http://127.0.0.1:9090/a/prefix/", Ok(()));
        check("https://[::1]:9090", Ok(()));
        check("prometheus:9090", Err(UrlError::Form));
        check("/relative", Err(UrlError::Form));
        check("ftp://prometheus.example", Err(UrlError::Form));
        check("https://prometheus.example/?query=up", Err(UrlError::Form));
        check("https://prometheus.example/#graph", Err(UrlError::Form));
        check("https://:9090", Err(UrlError::Form));
        check("https://a b", Err(UrlError::Form));
    }

    #[test]
    fn a_password_is_refused_and_never_shown() {
        let url: PrometheusUrl = "https://me:secret@prometheus.example:9090/p".parse().expect("an address");
        assert_eq!(format!("{url} {url:?}"), "https://prometheus.example:9090/p https://prometheus.example:9090/p");
        assert_eq!(url.check(Transport::Tls, false), Err(UrlError::Password));
    }

    #[test]
    fn without_tls_only_this_host_is_asked_and_no_credential_leaves_it() {
        let check = |text: &str, transport, has_credential, expected: Result<(), UrlError>| {
            let url: PrometheusUrl = text.parse().expect("an address");
            assert_eq!(url.check(transport, has_credential), expected, "{text} {transport:?} {has_credential}");
        };
        use Transport::{PlainAllowed, Tls};
        check("https://prometheus.example", Tls, true, Ok(()));
        check("http://localhost:9090", Tls, true, Ok(()));
        check("http://127.8.8.8:9090", Tls, true, Ok(()));
        check("http://[::1]:9090", Tls, true, Ok(()));
        check("http://prometheus.example", Tls, false, Err(UrlError::Plain));
        check("http://localhost.example", Tls, false, Err(UrlError::Plain));
        check("http://10.0.0.1", PlainAllowed, false, Ok(()));
        check("http://10.0.0.1", PlainAllowed, true, Err(UrlError::CredentialInPlain));
    }
}
