//! What the metrics say of the ledger, from what this process knows of it.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use crate::constitution::State;
use crate::store::{Health, Ledger};
use crate::telemetry::LedgerNumbers;
use crate::units::UnixSeconds;

/// The ledger as the next scrape shall see it.
pub(super) fn numbers(ledger: &Ledger, now: UnixSeconds) -> LedgerNumbers {
    let view = ledger.view();
    let stats = ledger.stats();
    let folded = stats.folded.load(Ordering::Relaxed);
    let emergency = view.state.emergency().filter(|e| now < e.ratify_by);
    let due: Vec<UnixSeconds> = view.state.obligations().map(|o| o.due).chain(emergency.map(|e| e.ratify_by)).collect();
    LedgerNumbers {
        size: view.head.next_index().0,
        whole: view.health == Health::Whole,
        entries: stats.entries.load(Ordering::Relaxed),
        blocks: stats.blocks.load(Ordering::Relaxed),
        conflicts: stats.conflicts.load(Ordering::Relaxed),
        ambiguous: stats.ambiguous.load(Ordering::Relaxed),
        folded,
        unwritten: stats.unwritten(),
        full: stats.full.load(Ordering::Relaxed),
        hot_bytes: view.hot.bytes,
        hot_blocks: view.hot.blocks,
        hot_cap: view.budget.cap(),
        pressure: view.pressure(),
        charter_expires: view.state.charter(now).map(|c| c.expires_at),
        obligations: u64::try_from(due.len()).unwrap_or(u64::MAX),
        obligation_due: due.into_iter().min(),
        held: u64::try_from(view.state.held().count()).unwrap_or(u64::MAX),
        frozen: u64::try_from(frozen(&view.state, now)).unwrap_or(u64::MAX),
    }
}

/// Namespaces in which changes are stopped now.
fn frozen(state: &State, now: UnixSeconds) -> usize {
    let namespaces: BTreeSet<&str> = state.freezes(now).map(|(namespace, _)| namespace).collect();
    namespaces.into_iter().filter(|namespace| state.freezing(namespace, now).next().is_some()).count()
}
