//! Speed, beside its targets (DESIGN section 15): `cargo bench`, or `cargo bench -- judge` for one part.

#![expect(clippy::expect_used, reason = "a measurement that cannot be made fails")]

mod admission;
mod append;
#[expect(clippy::indexing_slicing, reason = "a charter is changed by path")]
mod fold;
mod gate;
mod judge;
mod load;
#[expect(dead_code, clippy::indexing_slicing, reason = "shared with the tests, which use the rest")]
#[path = "../../tests/judge/org.rs"]
mod org;
mod peers;
#[expect(dead_code, clippy::indexing_slicing, clippy::panic, reason = "shared with the tests, which use the rest")]
#[path = "../../tests/gate/place.rs"]
mod place;
mod proof;
mod replicas;
mod verify;

use std::time::{Duration, Instant};

/// What a measurement says beside its target.
struct Row {
    what: String,
    measured: String,
    target: String,
    met: bool,
}

impl Row {
    fn new(what: impl Into<String>, measured: impl Into<String>, target: impl Into<String>, met: bool) -> Self {
        Self { what: what.into(), measured: measured.into(), target: target.into(), met }
    }

    /// A number to compare with, without a target of its own.
    fn reference(what: impl Into<String>, measured: impl Into<String>) -> Self {
        Self::new(what, measured, "(reference)", true)
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn now() -> Instant {
    Instant::now()
}

/// Median time of one call, over batches that fill about two seconds.
fn median(mut call: impl FnMut()) -> Duration {
    (0..20).for_each(|_| call());
    let mut times: Vec<Duration> = Vec::new();
    let started = now();
    while started.elapsed() < Duration::from_secs(2) {
        let before = now();
        call();
        times.push(before.elapsed());
    }
    percentile(&mut times, 50)
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times.get((times.len().saturating_sub(1)) * percent / 100).copied().unwrap_or_default()
}

fn micros(time: Duration) -> String {
    format!("{:.0} us", time.as_secs_f64() * 1e6)
}

fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn per_second(count: usize, time: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / time.as_secs_f64()
}

/// A part of the measurements.
type Part = (&'static str, fn() -> Vec<Row>);

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let parts: [Part; 9] = [
        ("judge", judge::rows),
        ("fold", fold::rows),
        ("verify", verify::rows),
        ("proof", proof::rows),
        ("admission", admission::rows),
        ("gate", gate::rows),
        ("append", append::rows),
        ("replicas", replicas::rows),
        ("peers", peers::rows),
    ];
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut missed = 0;
    println!("{:<66} {:>22}  {:<26}", "what", "measured", "target");
    for (name, rows) in parts {
        if !wanted.is_empty() && !wanted.iter().any(|w| name.contains(w.as_str())) {
            continue;
        }
        for Row { what, measured, target, met } in rows() {
            missed += usize::from(!met);
            println!("{what:<66} {measured:>22}  {target:<26} {}", if met { "" } else { "NOT MET" });
        }
    }
    // A missed target is a number to look at, not a failure: machines differ.
    println!("{missed} targets not met");
}
