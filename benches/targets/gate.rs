//! Changes of workloads through TLS, in a cluster of ten thousand of them under a thousand objectives.

use std::sync::Arc;
use std::time::Duration;

use crate::load::{Load, load};
use crate::place::{Place, SYNCER, Size, passes, review};
use crate::{Row, millis};

const SIZE: Size = Size { namespaces: 50, objectives: 20, workloads: 10 };

/// Asks for a change of every workload for which nothing stands against it, or of every other.
fn changes(passing: bool) -> (usize, Load) {
    let bodies: Vec<Vec<u8>> = SIZE.each().filter(|w| passes(*w) == passing).map(|w| review(w, 0, 2, SYNCER)).collect();
    let webhook = || async {
        let Place { webhook, kept, .. } = Place::prepare(SIZE).await;
        (Arc::new(webhook), kept)
    };
    let longest = bodies.iter().map(Vec::len).max().unwrap_or_default();
    (longest, load(webhook, ("/gated", &bodies), if passing { r#""allowed":true"# } else { r#""allowed":false"# }))
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (passing, what) in [(true, "that pass"), (false, "that are refused, the ledger in memory")] {
        let (length, mut load) = changes(passing);
        let high = load.p99();
        rows.push(Row::new(
            format!("changes of {length} B {what}, 10,000 workloads, 1,000 objectives, p99"),
            millis(high),
            "< 5 ms",
            high < Duration::from_millis(5),
        ));
        rows.push(Row::reference("the same, per core of the server", format!("{:.0}/s", load.per_core())));
    }
    rows
}
