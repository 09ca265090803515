//! All metrics, in one struct. Every series exists from the start, at zero; labels come from closed enums only.

use std::time::Duration;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
    histogram_opts, opts,
};

use crate::api::reason::{Reason, ReasonClass};
use crate::api::{GatedKind, GovernedKind};
use crate::units::{Seconds, UnixSeconds};

use super::archive::ArchiveMetrics;
use super::audit::{AuditMetrics, AuditResult};
use super::forwards::{ForwardNumbers, Forwards};
use super::hot::HotMetrics;
use super::numbers::LedgerNumbers;
use super::witness::WitnessResult;

/// Seconds; the webhook's budget is one.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.3, 0.8, 3.0];

/// The operator's metrics.
pub struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    admission: HistogramVec,
    gate: IntCounterVec,
    gate_duration: HistogramVec,
    reconciles: IntCounterVec,
    reconcile: HistogramVec,
    certificate: IntGauge,
    charter: IntGauge,
    guards_broken: IntGauge,
    obligations: IntGauge,
    obligation_due: IntGauge,
    held: IntGauge,
    frozen: IntGauge,
    witness_lag: IntGauge,
    witnessed: IntGauge,
    witness_entries: IntGaugeVec,
    witness_answers: IntCounterVec,
    contradicted: IntGauge,
    ledger_entries: IntGauge,
    ledger_whole: IntGauge,
    ledger_written: IntCounterVec,
    forwards: Forwards,
    unwritten: IntGauge,
    audits: AuditMetrics,
    hot: HotMetrics,
    /// Those of the archives.
    pub archive: ArchiveMetrics,
}

/// Why metrics cannot be set up; a mistake in this file.
#[derive(Debug, thiserror::Error)]
#[error("the metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

impl Metrics {
    /// All metrics, at zero.
    ///
    /// # Errors
    /// [`MetricsError`] when two metrics have one name.
    pub fn try_new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let counter = |opts: Opts, labels: &[&str]| -> Result<IntCounterVec, MetricsError> {
            let metric = IntCounterVec::new(opts, labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let histogram = |opts: HistogramOpts, labels: &[&str]| -> Result<HistogramVec, MetricsError> {
            let metric = HistogramVec::new(opts.buckets(BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauges = |opts: Opts, labels: &[&str]| -> Result<IntGaugeVec, MetricsError> {
            let metric = IntGaugeVec::new(opts, labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let gauge = |name: &str, help: &str| -> Result<IntGauge, MetricsError> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let metrics = Self {
            decisions: counter(
                opts!("miax_admission_decisions_total", "Decisions about governed objects, dry runs included."),
                &["kind", "decision", "reason"],
            )?,
            admission: histogram(
                histogram_opts!(
                    "miax_admission_duration_seconds",
                    "Time from a review to its answer, ledger append included."
                ),
                &["kind"],
            )?,
            gate: counter(
                opts!("miax_gate_reviews_total", "Reviews of workloads in gated namespaces, dry runs included."),
                &["kind", "decision"],
            )?,
            gate_duration: histogram(
                histogram_opts!("miax_gate_duration_seconds", "Time from a review of a workload to its answer."),
                &["kind"],
            )?,
            reconciles: counter(opts!("miax_reconcile_total", "Reconciles, by how they ended."), &["kind", "result"])?,
            reconcile: histogram(
                histogram_opts!("miax_reconcile_duration_seconds", "Time of one reconcile."),
                &["kind"],
            )?,
            ledger_written: counter(
                opts!(
                    "miax_ledger_appends_total",
                    "What this process wrote to the ledger: entries, blocks, conflicts (another writer was first), ambiguous (an answer was lost), folded (refusals of a flood that were counted instead)."
                ),
                &["what"],
            )?,
            certificate: gauge(
                "miax_webhook_certificate_expiry_timestamp_seconds",
                "When the webhook's serving certificate ends, in seconds since 1970.",
            )?,
            charter: gauge(
                "miax_charter_expiry_timestamp_seconds",
                "When the charter in force ends, in seconds since 1970; 0 without one.",
            )?,
            guards_broken: gauge(
                "miax_guards_broken",
                "Guards and webhook configurations of Miax that are gone or weakened; on the leading controller.",
            )?,
            obligations: gauge("miax_obligations", "Post-mortems, acknowledgements and ratifications that are owed.")?,
            obligation_due: gauge(
                "miax_obligation_due_timestamp_seconds",
                "When the first of them is due, in seconds since 1970; 0 when none is owed.",
            )?,
            held: gauge("miax_commands_held", "Commands that wait in the cluster for people to sign them.")?,
            witness_lag: gauge(
                "miax_ledger_witness_lag_seconds",
                "For how long the log has been larger than what a quorum of the witnesses vouches for; on the leading controller.",
            )?,
            witnessed: gauge(
                "miax_ledger_witnessed_entries",
                "How many entries a quorum of the witnesses vouches for; on the leading controller.",
            )?,
            witness_entries: gauges(
                opts!(
                    "miax_ledger_witness_entries",
                    "How many entries each witness cosigned, by its number in the order of the flags, from 0; 0 when it is not known."
                ),
                &["witness"],
            )?,
            witness_answers: counter(
                opts!("miax_ledger_witness_answers_total", "Answers of witnesses, by what they were."),
                &["result"],
            )?,
            contradicted: gauge(
                "miax_ledger_contradicted",
                "1 when a witness holds a checkpoint of the log's key that contradicts the ledger; on the leading controller.",
            )?,
            frozen: gauge("miax_namespaces_frozen", "Namespaces that are frozen.")?,
            ledger_entries: gauge("miax_ledger_entries", "Entries in the ledger, as this replica sees it.")?,
            unwritten: gauge(
                "miax_ledger_folded_unwritten",
                "Refusals of a flood that are counted and not in the ledger yet: what a crash of this process would lose.",
            )?,
            ledger_whole: gauge(
                "miax_ledger_whole",
                "1 when the ledger is read and nothing of it was deleted or changed.",
            )?,
            audits: AuditMetrics::try_new(&registry)?,
            forwards: Forwards::try_new(&registry)?,
            hot: HotMetrics::try_new(&registry)?,
            archive: ArchiveMetrics::try_new(&registry)?,
            registry: registry.clone(),
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    fn start_at_zero(&self) {
        for kind in GovernedKind::ALL {
            for reason in Reason::ALL {
                let _ = self.decisions.with_label_values(&[kind.kind(), decision_word(*reason), reason.as_str()]);
            }
            let _ = self.admission.with_label_values(&[kind.kind()]);
            let _ = self.reconcile.with_label_values(&[kind.kind()]);
            for result in ["ok", "error"] {
                let _ = self.reconciles.with_label_values(&[kind.kind(), result]);
            }
        }
        for kind in GatedKind::ALL {
            let _ = self.gate_duration.with_label_values(&[kind.as_str()]);
            for decision in [ALLOW, DENY] {
                let _ = self.gate.with_label_values(&[kind.as_str(), decision]);
            }
        }
        for result in WitnessResult::ALL {
            let _ = self.witness_answers.with_label_values(&[result.as_str()]);
        }
        let _ = self.witness_entries.with_label_values(&["0"]);
        for what in ["entries", "blocks", "conflicts", "ambiguous", "folded"] {
            let _ = self.ledger_written.with_label_values(&[what]);
        }
    }

    /// Counts a decision.
    pub fn decided(&self, kind: GovernedKind, reason: Reason, took: Duration) {
        self.decisions.with_label_values(&[kind.kind(), decision_word(reason), reason.as_str()]).inc();
        self.admission.with_label_values(&[kind.kind()]).observe(took.as_secs_f64());
    }

    /// Counts a review of a workload.
    pub fn gated(&self, kind: GatedKind, allowed: bool, took: Duration) {
        self.gate.with_label_values(&[kind.as_str(), if allowed { ALLOW } else { DENY }]).inc();
        self.gate_duration.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
    }

    /// Counts a reconcile.
    pub fn reconciled(&self, kind: GovernedKind, ok: bool, took: Duration) {
        self.reconciles.with_label_values(&[kind.kind(), if ok { "ok" } else { "error" }]).inc();
        self.reconcile.with_label_values(&[kind.kind()]).observe(took.as_secs_f64());
    }

    /// Counts an audit of the ledger.
    pub fn audited(&self, result: AuditResult, now: UnixSeconds) {
        self.audits.audited(result, now);
    }

    /// Tells when the serving certificate ends.
    pub fn certificate_ends(&self, at: UnixSeconds) {
        self.certificate.set(at.get());
    }

    /// How many guards do not hold.
    pub fn guards_broken(&self, count: i64) {
        self.guards_broken.set(count);
    }

    /// Counts what a witness answered.
    pub fn witness_answered(&self, result: WitnessResult) {
        self.witness_answers.with_label_values(&[result.as_str()]).inc();
    }

    /// Tells for how long the log has outgrown its witnesses, what they vouch for together, and each of them.
    pub fn witnessed(&self, lag: Seconds, entries: u64, each: impl Iterator<Item = u64>) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.witness_lag.set(number(lag.0));
        self.witnessed.set(number(entries));
        for (witness, entries) in each.enumerate() {
            self.witness_entries.with_label_values(&[&witness.to_string()]).set(number(entries));
        }
    }

    /// Tells that a witness holds what contradicts the ledger.
    pub fn contradicted(&self) {
        self.contradicted.set(1);
    }

    /// Takes the ledger's numbers over, right before a scrape.
    pub fn take_ledger(&self, numbers: LedgerNumbers) {
        let LedgerNumbers {
            size,
            whole,
            entries,
            blocks,
            conflicts,
            ambiguous,
            folded,
            unwritten,
            full,
            hot_bytes,
            hot_blocks,
            hot_cap,
            pressure,
            charter_expires,
            obligations,
            obligation_due,
            held,
            frozen,
        } = numbers;
        self.unwritten.set(i64::try_from(unwritten).unwrap_or(i64::MAX));
        self.hot.take((hot_bytes, hot_blocks, hot_cap), pressure, full);
        self.held.set(i64::try_from(held).unwrap_or(i64::MAX));
        self.frozen.set(i64::try_from(frozen).unwrap_or(i64::MAX));
        self.ledger_entries.set(i64::try_from(size).unwrap_or(i64::MAX));
        self.ledger_whole.set(i64::from(whole));
        self.charter.set(charter_expires.map_or(0, UnixSeconds::get));
        self.obligations.set(i64::try_from(obligations).unwrap_or(i64::MAX));
        self.obligation_due.set(obligation_due.map_or(0, UnixSeconds::get));
        for (what, now) in [
            ("entries", entries),
            ("blocks", blocks),
            ("conflicts", conflicts),
            ("ambiguous", ambiguous),
            ("folded", folded),
        ] {
            let counter = self.ledger_written.with_label_values(&[what]);
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }

    /// Takes the numbers of forwarded proposals over, right before a scrape.
    pub fn take_forwards(&self, numbers: ForwardNumbers) {
        self.forwards.take(numbers);
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

/// What a registry holds, in Prometheus' text format.
pub(super) fn exposition(registry: &Registry) -> Result<String, MetricsError> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Name, type and help of every metric of a registry.
pub(super) fn catalogue(registry: &Registry) -> Vec<(String, String, String)> {
    let row = |f: &prometheus::proto::MetricFamily| {
        (f.name().to_owned(), format!("{:?}", f.get_field_type()).to_lowercase(), f.help().to_owned())
    };
    registry.gather().iter().map(row).collect()
}

/// Values of the label `decision`.
const ALLOW: &str = "allow";
const DENY: &str = "deny";

fn decision_word(reason: Reason) -> &'static str {
    match reason.class() {
        ReasonClass::Allowed => ALLOW,
        ReasonClass::Refused | ReasonClass::Malformed | ReasonClass::Unable => DENY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_starts_at_zero_and_counts_by_reason() {
        let metrics = Metrics::try_new().expect("metrics");
        metrics.decided(GovernedKind::ControlCommand, Reason::Unsigned, Duration::from_millis(3));
        metrics.take_ledger(LedgerNumbers { size: 7, whole: true, entries: 4, ..LedgerNumbers::default() });
        metrics.take_ledger(LedgerNumbers { size: 9, whole: true, entries: 6, ..LedgerNumbers::default() });
        metrics.take_forwards(ForwardNumbers { recorded: 5, waiting: 2, ..ForwardNumbers::default() });
        metrics.take_forwards(ForwardNumbers { recorded: 8, late: 1, ..ForwardNumbers::default() });
        let text = metrics.render().expect("text");
        for line in [
            r#"miax_ledger_forwards_total{result="recorded"} 8"#,
            r#"miax_ledger_forwards_total{result="late"} 1"#,
            r#"miax_ledger_forwards_total{result="declined"} 0"#,
            "miax_ledger_forwards_waiting 0",
            r#"miax_admission_decisions_total{decision="deny",kind="ControlCommand",reason="Unsigned"} 1"#,
            r#"miax_admission_decisions_total{decision="allow",kind="Manifest",reason="QuorumComplete"} 0"#,
            r#"miax_ledger_appends_total{what="entries"} 6"#,
            "miax_ledger_entries 9",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
