//! Metrics of the archives. None of them has an archive's name as a label: labels come from closed lists.

use std::collections::BTreeMap;
use std::sync::Mutex;

use prometheus::{IntCounterVec, IntGauge, Registry, opts};

use crate::ledger::ArchiveTrouble;

/// Metrics of all archives of the leading controller.
pub struct ArchiveMetrics {
    configured: IntGauge,
    failing: IntGauge,
    lag: IntGauge,
    failures: IntCounterVec,
    /// Of each archive by name: how many entries it lacks, and whether the last attempt failed.
    known: Mutex<BTreeMap<String, (u64, bool)>>,
}

impl ArchiveMetrics {
    pub(super) fn try_new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| -> Result<IntGauge, prometheus::Error> {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok(metric)
        };
        let what = "Failed attempts to let an archive grow, by what was wrong.";
        let failures = IntCounterVec::new(opts!("miax_archive_failures_total", what), &["trouble"])?;
        registry.register(Box::new(failures.clone()))?;
        for trouble in ArchiveTrouble::ALL {
            let _ = failures.with_label_values(&[trouble.as_str()]);
        }
        Ok(Self {
            configured: gauge("miax_archives", "Archives that the leading controller keeps.")?,
            failing: gauge("miax_archives_failing", "Archives whose last attempt to grow failed.")?,
            lag: gauge(
                "miax_archive_lag_entries",
                "Entries that the archive furthest behind does not hold, seals of archives left out.",
            )?,
            failures,
            known: Mutex::default(),
        })
    }

    /// Tells how many entries an archive lacks.
    pub fn lags(&self, archive: &str, entries: u64) {
        self.note(archive, |known| known.0 = entries);
    }

    /// Counts a failed attempt.
    pub fn failed(&self, archive: &str, trouble: ArchiveTrouble) {
        self.failures.with_label_values(&[trouble.as_str()]).inc();
        self.note(archive, |known| known.1 = true);
    }

    /// The last attempt succeeded.
    pub fn works(&self, archive: &str) {
        self.note(archive, |known| known.1 = false);
    }

    fn note(&self, archive: &str, change: impl FnOnce(&mut (u64, bool))) {
        // A poisoned lock holds numbers all the same.
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(known.entry(archive.to_owned()).or_default());
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.configured.set(number(known.len()));
        self.failing.set(number(known.values().filter(|(_, failing)| *failing).count()));
        let lag = known.values().map(|(lag, _)| *lag).max().unwrap_or(0);
        self.lag.set(i64::try_from(lag).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_archive_shows() {
        let registry = Registry::new();
        let metrics = ArchiveMetrics::try_new(&registry).expect("metrics");
        metrics.lags("a", 7);
        metrics.lags("b", 3);
        metrics.failed("b", ArchiveTrouble::Late);
        assert_eq!((metrics.configured.get(), metrics.failing.get(), metrics.lag.get()), (2, 1, 7));
        metrics.lags("a", 0);
        metrics.works("b");
        assert_eq!((metrics.failing.get(), metrics.lag.get()), (0, 3));
        let counted = |t: ArchiveTrouble| metrics.failures.with_label_values(&[t.as_str()]).get();
        assert_eq!(ArchiveTrouble::ALL.map(counted).iter().sum::<u64>(), 1);
    }
}
