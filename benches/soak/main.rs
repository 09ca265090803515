//! `make soak`: ten times the usual rate for five minutes, or for as many as are given, on a real API server with a witness and two
//! archives, under a small cap. The ledger must stay below its cap, commands must get through, and at the end every verdict that
//! was told must be written or counted, and every archive must verify. docs/operations/soak.md says what an hour of it showed.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a run that cannot be prepared must fail")]
#![expect(clippy::disallowed_methods, reason = "it measures, and keeps a pace")]

mod callers;
#[expect(dead_code, reason = "shared with another bench, which uses the rest")]
mod operators;
mod place;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use callers::{Callers, Told};
use place::Place;

/// MiB of the ledger that may be in the cluster.
const CAP: u64 = 1;
/// How often the cluster is looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often a command with all its signatures is submitted.
const COMMAND: Duration = Duration::from_secs(20);

/// What was seen while it ran.
#[derive(Default)]
struct Seen {
    largest: u64,
    commands: Vec<Duration>,
    stuck: u32,
    memory_first: u64,
    memory_last: u64,
}

fn main() -> ExitCode {
    let minutes = std::env::args().skip(1).find_map(|a| a.parse::<u64>().ok()).unwrap_or(5);
    println!("a cluster with a witness, two archives and a cap of {CAP} MiB is made ready");
    let mut place = Place::prepare(CAP);
    let callers = Callers::start(&place);
    let seen = watch(&place, &callers, Duration::from_secs(minutes * 60));
    let told = callers.stop();
    println!("the load has ended; what was only counted is written, and the archives catch up");
    let cold = place.cold_start();
    let written = place.settle(told.decided());
    report(&seen, &told, &written, (minutes, cold))
}

/// Looks at the cluster and submits commands until the time is over.
fn watch(place: &Place, callers: &Callers, length: Duration) -> Seen {
    let (started, mut seen, mut number) = (Instant::now(), Seen::default(), 0_u32);
    while started.elapsed() < length {
        let begun = Instant::now();
        if started.elapsed() >= COMMAND * number {
            number += 1;
            match place.command(number) {
                Some(took) => seen.commands.push(took),
                None => seen.stuck += 1,
            }
        }
        let (hot, [webhook, controller]) = (place.hot_bytes(), place.memory());
        let memory = webhook + controller;
        seen.largest = seen.largest.max(hot);
        if seen.memory_first == 0 && started.elapsed() > length / 4 {
            seen.memory_first = memory;
        }
        seen.memory_last = memory;
        println!(
            "{:>5} s  {:>8} answers  {:>5} KiB in the cluster  memory {:>4} + {:>4} MiB  {} commands",
            started.elapsed().as_secs(),
            callers.answers(),
            hot / 1024,
            webhook / 1024 / 1024,
            controller / 1024 / 1024,
            seen.commands.len()
        );
        std::thread::sleep(LOOK.saturating_sub(begun.elapsed()));
    }
    seen
}

fn report(seen: &Seen, told: &Told, written: &place::Written, (minutes, cold): (u64, Duration)) -> ExitCode {
    let Seen { largest, commands, stuck, memory_first, memory_last } = seen;
    let mut ok = true;
    let mut row = |what: &str, measured: String, target: &str, met: bool| {
        println!("{what:<72} {measured:>18}  {target:<22}{}", if met { "" } else { "NOT MET" });
        ok &= met;
    };
    let rate = told.answers() / (minutes * 60).max(1);
    println!();
    row("answers of the webhook", format!("{rate}/s"), "(pace: 1,000/s)", told.answers() > 0);
    row("verdicts that were told", told.decided().to_string(), "(reference)", true);
    row("refused without a verdict, for want of time or room", told.undecided().to_string(), "(reference)", true);
    row("answers that allowed an unsigned command", told.allowed().to_string(), "0", told.allowed() == 0);
    let (fewest, most) = (told.decided(), told.answers());
    let recorded = written.decisions + written.counted;
    let all = (fewest..=most).contains(&recorded);
    row("written, or counted in floods", recorded.to_string(), "every verdict, once", all);
    row("written twice", written.doubled.to_string(), "0", written.doubled == 0);
    let cap = CAP * 1024 * 1024;
    row("most bytes of the ledger in the cluster", largest.to_string(), &format!("<= {cap}"), *largest <= cap);
    row("blocks that left the cluster", written.pruned.to_string(), "> 0", written.pruned > 0);
    let slowest = commands.iter().max().copied().unwrap_or_default();
    let shown = format!("{} ({} ms at most)", commands.len(), slowest.as_millis());
    row("commands that were carried out meanwhile", shown, "all", *stuck == 0 && !commands.is_empty());
    let shown = format!("{} ms", cold.as_millis());
    row("cold start of a webhook until it is ready", shown, "<= 1,000 ms", cold <= Duration::from_secs(1));
    let growth = memory_last.saturating_sub(*memory_first) / 1024 / 1024;
    row("memory of the operator, after the first quarter", format!("+{growth} MiB"), "<= +64 MiB", growth <= 64);
    row("archives that verify", format!("{} of 2", written.archives), "2 of 2", written.archives == 2);
    if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
