//! `make fleet`: what the controller takes with thousands of objectives, and how soon a spent budget is a verdict and stops a change.
//! The API server, etcd and both roles are real; the Prometheus is a fake whose answers have the form of the real one's
//! (`the_fake_answers_in_the_form_of_a_real_prometheus`). A second part measures with a real one. A missed target is a number to look at, and no failure.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a run that cannot be prepared must fail")]
#![expect(clippy::disallowed_methods, reason = "it measures")]

#[path = "../../tests/prometheus/fake.rs"]
mod fake;
mod many;
#[path = "../soak/operators.rs"]
mod operators;
mod place;
#[path = "../../tests/cluster/prometheus_rules.rs"]
mod prometheus_rules;
mod real;

use std::time::Duration;

use miax::slo::Resolution;
use miax::units::Seconds;

/// What a measurement says beside its target.
pub(crate) struct Row {
    what: String,
    measured: String,
    target: String,
    met: bool,
}

impl Row {
    pub(crate) fn new(
        what: impl Into<String>,
        measured: impl Into<String>,
        target: impl Into<String>,
        met: bool,
    ) -> Self {
        Self { what: what.into(), measured: measured.into(), target: target.into(), met }
    }

    /// A number without a target of its own.
    pub(crate) fn reference(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self::new(what, measured, "(reference)", true)
    }
}

pub(crate) fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut numbers = std::env::args().skip(1).filter_map(|a| a.parse::<u64>().ok());
    let number = numbers.next().and_then(|n| usize::try_from(n).ok()).unwrap_or(5000);
    let resolution = Seconds(numbers.next().unwrap_or(Resolution::DEFAULT.length().0));
    let arenas = std::env::var("MALLOC_ARENA_MAX").unwrap_or_else(|_| "as many as it likes".to_owned());
    println!("{number} objectives, measured every {resolution}; arenas of the allocator: {arenas}");
    let rows = many::rows(number, resolution).into_iter().chain(real::rows());
    println!();
    for Row { what, measured, target, met } in rows {
        println!("{what:<84} {measured:>16}  {target:<16} {}", if met { "" } else { "NOT MET" });
    }
}
