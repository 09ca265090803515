//! The Prometheus that the flags name.

use std::sync::Arc;

use crate::controllers::prometheus::{Credentials, Limits, Prometheus, Retention, Server, Transport, UrlError};
use crate::controllers::{Context, Measurer, RulesPlace, keep_measuring};
use crate::slo::{Resolution, ResolutionError};
use crate::store::Clock;

use super::args::Measuring;

/// What objectives are measured with.
#[derive(Debug)]
pub(super) struct Means {
    prometheus: Prometheus,
    resolution: Resolution,
    place: RulesPlace,
}

/// Why the flags name nothing that can be asked.
#[derive(Debug, thiserror::Error)]
pub enum MeasuringError {
    /// The resolution is out of its range.
    #[error("--slo-resolution: {0}")]
    Resolution(#[from] ResolutionError),
    /// The address is none, or not one that may be asked so.
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// What objectives are measured with; `None` when no flag names a Prometheus.
pub(super) fn open(options: Measuring, clock: Clock) -> Result<Option<Means>, MeasuringError> {
    let Measuring {
        prometheus_url,
        prometheus_allow_http,
        prometheus_ca,
        prometheus_cert,
        prometheus_key,
        prometheus_token_file,
        slo_resolution,
        slo_rules,
    } = options;
    let Some(url) = prometheus_url else { return Ok(None) };
    let transport = if prometheus_allow_http { Transport::PlainAllowed } else { Transport::Tls };
    let credentials = Credentials {
        authorities: prometheus_ca,
        certificate: prometheus_cert.zip(prometheus_key),
        token: prometheus_token_file,
    };
    let prometheus = Prometheus::try_new(url, transport, credentials, Limits::default(), clock)?;
    let place = slo_rules.map_or(RulesPlace::Found, RulesPlace::Directory);
    Ok(Some(Means { prometheus, resolution: Resolution::try_new(slo_resolution)?, place }))
}

/// Measures for ever, and says first what is asked.
pub(super) fn start(Means { prometheus, resolution, place }: Means, context: Arc<Context>) {
    tokio::spawn(introduce(prometheus.clone()));
    tokio::spawn(keep_measuring(Measurer { context, prometheus, resolution, place }));
}

/// Says once in the log what is there, so that a wrong address is found when it is set and not when it is missed.
async fn introduce(prometheus: Prometheus) {
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
                Ok(prometheus.map(|p| p.prometheus.url().to_string()))
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
        check(&[url, "--slo-resolution=11m"], "choose one from 1s to 10m");
        check(&["--slo-rules=/rules"], "--prometheus-url");
    }
}
