//! The Prometheus that the flags name.

use crate::controllers::prometheus::{Credentials, Limits, Prometheus, Retention, Server, Transport, UrlError};
use crate::store::Clock;

use super::args::Measuring;

/// The Prometheus; `None` when no flag names one.
pub(super) fn open(options: Measuring, clock: Clock) -> Result<Option<Prometheus>, UrlError> {
    let Measuring {
        prometheus_url,
        prometheus_allow_http,
        prometheus_ca,
        prometheus_cert,
        prometheus_key,
        prometheus_token_file,
    } = options;
    let Some(url) = prometheus_url else { return Ok(None) };
    let transport = if prometheus_allow_http { Transport::PlainAllowed } else { Transport::Tls };
    let credentials = Credentials {
        authorities: prometheus_ca,
        certificate: prometheus_cert.zip(prometheus_key),
        token: prometheus_token_file,
    };
    Prometheus::try_new(url, transport, credentials, Limits::default(), clock).map(Some)
}

/// Says once in the log what is there, so that a wrong address is found when it is set and not when it is missed.
pub(super) async fn introduce(prometheus: Prometheus) {
    let url = prometheus.url();
    match prometheus.server().await {
        Ok(Server { version, retention }) => {
            let retention = match retention {
                Retention::Time(time) => time.to_string(),
                Retention::Unknown => "not told".to_owned(),
            };
            tracing::info!(%url, version, retention, "objectives are measured with this Prometheus");
        }
        Err(error) => tracing::warn!(%url, %error, "Prometheus does not say what it is"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clap::Parser as _;

    use super::super::args::{Arguments, Command};
    use super::*;
    use crate::units::UnixMillis;

    /// What comes of flags, or the message that the operator ends with.
    fn opened(flags: &[&str]) -> Result<Option<String>, String> {
        let arguments = Arguments::try_parse_from([&["miax-operator", "controller"], flags].concat());
        match arguments.map_err(|error| error.to_string())?.command {
            Command::Controller(options) => {
                let prometheus = open(options.measuring, Arc::new(|| UnixMillis(0))).map_err(|e| e.to_string())?;
                Ok(prometheus.map(|p| p.url().to_string()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_that_make_no_sense_are_refused() {
        assert_eq!(opened(&[]), Ok(None));
        let url = "--prometheus-url=https://p.example/x";
        assert_eq!(opened(&[url]), Ok(Some("https://p.example/x".to_owned())));
        assert!(opened(&[url, "--prometheus-cert=a", "--prometheus-key=b", "--prometheus-token-file=c"]).is_ok());
        assert!(opened(&["--prometheus-url=http://p.example", "--prometheus-allow-http"]).is_ok());
        let check = |flags: &[&str], part: &str| {
            let error = opened(flags).expect_err(part);
            assert!(error.contains(part) && !error.contains("secret"), "{flags:?}: {error}");
        };
        check(&["--prometheus-url=p.example:9090"], "write https://HOST");
        check(&["--prometheus-url=http://p.example"], "--prometheus-allow-http");
        check(&["--prometheus-url=https://me:secret@p.example"], "--prometheus-token-file");
        check(&["--prometheus-allow-http"], "--prometheus-url");
        check(&[url, "--prometheus-cert=a"], "--prometheus-key");
        check(&[url, "--prometheus-key=a"], "--prometheus-cert");
        let plain = ["--prometheus-url=http://p.example", "--prometheus-allow-http", "--prometheus-token-file=c"];
        check(&plain, "read the token");
    }
}
