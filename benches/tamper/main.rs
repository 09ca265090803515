//! `make tamper`: ten thousand random changes of blocks, proofs and an archive, none of which may be missed, and the first bad
//! place of each named. A seed is the number of its change: what fails can be tried again alone.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a run that cannot be prepared must fail")]

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/ledger/log.rs"]
mod log;
#[path = "../../tests/ledger/tamper.rs"]
mod tamper;

use std::collections::BTreeMap;
use std::process::ExitCode;

/// How many changes are made.
const CHANGES: u32 = 10_000;

fn main() -> ExitCode {
    let sample = tamper::Sample::new();
    let (mut found, mut missed, mut seed) = (BTreeMap::<&str, u32>::new(), 0_u32, 0);
    // What changes nothing does not count.
    while found.values().sum::<u32>() + missed < CHANGES {
        match tamper::tamper(&sample, seed) {
            Ok(Some(what)) => *found.entry(what).or_default() += 1,
            Ok(None) => {}
            Err(what) => {
                println!("seed {seed}: {what}");
                missed += 1;
            }
        }
        seed += 1;
    }
    for (what, count) in &found {
        println!("{count:>6} changes of the {what}: found, and the first bad place named");
    }
    println!("{missed:>6} missed of {CHANGES}, with {seed} seeds");
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
