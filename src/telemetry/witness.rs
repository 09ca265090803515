//! Metrics of a witness server, which serves other people's logs, so that no origin becomes a label; and what a log counts of
//! the answers of its witnesses.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry, opts};

use crate::units::UnixSeconds;

use super::metrics::{MetricsError, catalogue, exposition};

/// Every status code that a witness answers with.
const CODES: [u16; 10] = [200, 400, 403, 404, 408, 409, 413, 422, 500, 503];

/// What a witness answered to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WitnessResult {
    /// A cosignature.
    Cosigned,
    /// That it knows another size or another history.
    Conflict,
    /// Something else than the protocol's answer to a good request.
    Refused,
    /// Yes, without a signature of its keys.
    Unsigned,
    /// Nothing.
    Unreachable,
}

impl WitnessResult {
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Cosigned, Self::Conflict, Self::Refused, Self::Unsigned, Self::Unreachable];

    /// The value of the label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cosigned => "cosigned",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Unsigned => "unsigned",
            Self::Unreachable => "unreachable",
        }
    }
}

/// The metrics of a witness server.
pub struct WitnessMetrics {
    registry: Registry,
    requests: IntCounterVec,
    forks: IntCounter,
    logs: IntGauge,
    cosigned: IntGauge,
}

impl WitnessMetrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// [`MetricsError`] when two metrics have one name.
    pub fn try_new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            opts!("miax_witness_requests_total", "Requests to cosign a checkpoint, by the status code of the answer."),
            &["code"],
        )?;
        let forks = IntCounter::new(
            "miax_witness_forks_total",
            "Checkpoints that a known log signed and that contradict the last one that was cosigned.",
        )?;
        let logs = IntGauge::new("miax_witness_logs", "Logs of which a checkpoint was cosigned.")?;
        let cosigned = IntGauge::new(
            "miax_witness_cosigned_timestamp_seconds",
            "When a checkpoint was cosigned last, in seconds since 1970; 0 since the start.",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(forks.clone()))?;
        registry.register(Box::new(logs.clone()))?;
        registry.register(Box::new(cosigned.clone()))?;
        for code in CODES {
            let _ = requests.with_label_values(&[&code.to_string()]);
        }
        Ok(Self { registry, requests, forks, logs, cosigned })
    }

    /// Counts an answer.
    pub fn answered(&self, code: u16) {
        self.requests.with_label_values(&[&code.to_string()]).inc();
    }

    /// Counts a log that showed two histories.
    pub fn forked(&self) {
        self.forks.inc();
    }

    /// Tells when something was cosigned, and of how many logs something is kept.
    pub fn cosigned(&self, at: UnixSeconds, logs: usize) {
        self.cosigned.set(at.get());
        self.keeps(logs);
    }

    /// Tells of how many logs something is kept.
    pub fn keeps(&self, logs: usize) {
        self.logs.set(i64::try_from(logs).unwrap_or(i64::MAX));
    }

    /// The exposition in Prometheus' text format.
    ///
    /// # Errors
    /// [`MetricsError`] when the encoder fails.
    pub fn render(&self) -> Result<String, MetricsError> {
        exposition(&self.registry)
    }

    /// Name, type and help of every metric, for the reference page.
    #[must_use]
    pub fn catalogue(&self) -> Vec<(String, String, String)> {
        catalogue(&self.registry)
    }
}
