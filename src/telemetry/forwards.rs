//! Metrics of proposals that replicas hand to the one that appends for all.

use prometheus::{IntCounterVec, IntGauge, Registry, opts};

use super::metrics::MetricsError;

/// What became of the proposals that could be forwarded, as the last scrape shall see it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForwardNumbers {
    /// Recorded by the sequencer.
    pub recorded: u64,
    /// Refused by the sequencer, or by the store behind it.
    pub refused: u64,
    /// Appended here: no connection to the sequencer.
    pub unreachable: u64,
    /// Appended here: too many waited.
    pub full: u64,
    /// Appended here: the sequencer did not take it.
    pub declined: u64,
    /// Appended here: the connection ended before the answer came.
    pub lost: u64,
    /// Appended here: no answer in time.
    pub late: u64,
    /// Appended here: our own State did not hold in time what the sequencer had recorded.
    pub unconfirmed: u64,
    /// How many wait for an answer now.
    pub waiting: u64,
}

impl ForwardNumbers {
    fn results(self) -> ([(&'static str, u64); 8], u64) {
        let Self { recorded, refused, unreachable, full, declined, lost, late, unconfirmed, waiting } = self;
        let results = [
            ("recorded", recorded),
            ("refused", refused),
            ("unreachable", unreachable),
            ("full", full),
            ("declined", declined),
            ("lost", lost),
            ("late", late),
            ("unconfirmed", unconfirmed),
        ];
        (results, waiting)
    }
}

/// The metrics.
pub(super) struct Forwards {
    results: IntCounterVec,
    waiting: IntGauge,
}

impl Forwards {
    pub(super) fn try_new(registry: &Registry) -> Result<Self, MetricsError> {
        let results = IntCounterVec::new(
            opts!(
                "miax_ledger_forwards_total",
                "Proposals for the sequencer: recorded or refused by it, or appended by this replica itself because it was \
                 unreachable, full, declined, lost (the connection ended), late, or unconfirmed (not seen in time)."
            ),
            &["result"],
        )?;
        let waiting = IntGauge::new("miax_ledger_forwards_waiting", "Proposals that wait for the sequencer's answer.")?;
        registry.register(Box::new(results.clone()))?;
        registry.register(Box::new(waiting.clone()))?;
        let forwards = Self { results, waiting };
        forwards.take(ForwardNumbers::default());
        Ok(forwards)
    }

    pub(super) fn take(&self, numbers: ForwardNumbers) {
        let (results, waiting) = numbers.results();
        for (result, now) in results {
            let counter = self.results.with_label_values(&[result]);
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
