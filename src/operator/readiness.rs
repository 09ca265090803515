//! When a webhook says that it is ready.

use std::sync::Arc;

use tokio::sync::watch;

use crate::admission::Snapshot;
use crate::store::{Clock, Ledger};
use crate::telemetry::Readiness;
use crate::units::UnixSeconds;

use super::ledger_ready;

/// Ready while the ledger is whole, the certificate is valid, the view of the workloads is complete, and nobody asked to end.
pub(super) fn readiness(
    ledger: Ledger,
    snapshot: Arc<Snapshot>,
    leaf_ends: watch::Receiver<UnixSeconds>,
    draining: watch::Receiver<bool>,
    clock: Clock,
) -> Readiness {
    Arc::new(move || {
        ledger_ready(&ledger)?;
        serving(clock().into(), *leaf_ends.borrow(), *draining.borrow(), snapshot.is_fresh())
    })
}

/// Whether reviews can be answered, as far as it is not the ledger's matter.
fn serving(now: UnixSeconds, leaf_ends: UnixSeconds, draining: bool, fresh: bool) -> Result<(), String> {
    if draining {
        return Err("this replica is stopping".to_owned());
    }
    if now >= leaf_ends {
        return Err(format!("the serving certificate ended at {leaf_ends}"));
    }
    if !fresh {
        return Err("the view of the workloads is not complete".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_with_an_expired_certificate_is_not_ready() {
        let at = UnixSeconds::new;
        let check = |now, ends, draining, fresh, expected: Option<&str>| {
            let found = serving(at(now), at(ends), draining, fresh);
            assert_eq!(
                found.as_ref().err().map(|why| why.contains(expected.unwrap_or("never"))),
                expected.map(|_| true)
            );
        };
        check(9, 10, false, true, None);
        check(10, 10, false, true, Some("certificate ended at 1970-01-01T00:00:10Z"));
        check(9, 10, true, true, Some("stopping"));
        check(9, 10, false, false, Some("not complete"));
    }
}
