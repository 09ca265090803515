//! Metrics of what the ledger takes in the cluster.

use prometheus::{IntCounter, IntGauge, Registry};

use crate::ledger::Pressure;

/// What the ledger takes in the cluster, and how much it may.
pub(super) struct HotMetrics {
    bytes: IntGauge,
    blocks: IntGauge,
    cap: IntGauge,
    pressure: IntGauge,
    full: IntCounter,
}

impl HotMetrics {
    pub(super) fn try_new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let full = IntCounter::new("miax_ledger_full_total", "Proposals that found no room in the ledger.")?;
        registry.register(Box::new(full.clone()))?;
        Ok(Self {
            bytes: gauge("miax_ledger_hot_bytes", "Bytes of the ledger that are in the cluster, rounded up.")?,
            blocks: gauge("miax_ledger_hot_blocks", "Blocks of the ledger that are in the cluster.")?,
            cap: gauge("miax_ledger_hot_cap_bytes", "Bytes of the ledger that may be in the cluster.")?,
            pressure: gauge(
                "miax_ledger_pressure",
                "How full that is: 0 low, 1 from 50 % on, 2 from 80 % on, 3 when nothing more is decided.",
            )?,
            full,
        })
    }

    pub(super) fn take(&self, (bytes, blocks, cap): (u64, u64, u64), pressure: Pressure, full: u64) {
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.bytes.set(number(bytes));
        self.blocks.set(number(blocks));
        self.cap.set(number(cap));
        self.pressure.set(i64::from(pressure.level()));
        self.full.inc_by(full.saturating_sub(self.full.get()));
    }
}
