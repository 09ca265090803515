//! Metrics of the audits of the ledger.

use prometheus::{IntCounterVec, IntGauge, Registry, opts};

use crate::ledger::FindingClass;
use crate::units::UnixSeconds;

use super::metrics::MetricsError;

/// How an audit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditResult {
    /// Every byte is right.
    Good,
    /// Something is wrong; the worst of it.
    Found(FindingClass),
    /// The ledger could not be read.
    Unreadable,
}

impl AuditResult {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Found(class) => class.as_str(),
            Self::Unreadable => "unreadable",
        }
    }
}

/// The metrics.
pub(super) struct AuditMetrics {
    audits: IntCounterVec,
    good: IntGauge,
}

impl AuditMetrics {
    /// The metrics, at zero, in this registry.
    pub(super) fn try_new(registry: &Registry) -> Result<Self, MetricsError> {
        let audits = IntCounterVec::new(
            opts!(
                "miax_ledger_audits_total",
                "Audits of the whole ledger by this process: good, the class of what was found, or unreadable."
            ),
            &["result"],
        )?;
        let good = IntGauge::new(
            "miax_ledger_audit_good_timestamp_seconds",
            "When this process last hashed the whole ledger and found it right, in seconds since 1970; 0 since the start.",
        )?;
        registry.register(Box::new(audits.clone()))?;
        registry.register(Box::new(good.clone()))?;
        let results = FindingClass::ALL.into_iter().map(AuditResult::Found);
        for result in results.chain([AuditResult::Good, AuditResult::Unreadable]) {
            let _ = audits.with_label_values(&[result.as_str()]);
        }
        Ok(Self { audits, good })
    }

    /// Counts an audit.
    pub(super) fn audited(&self, result: AuditResult, now: UnixSeconds) {
        self.audits.with_label_values(&[result.as_str()]).inc();
        if result == AuditResult::Good {
            self.good.set(now.get());
        }
    }
}
