//! `miax slo budget`: what is left of an error budget, with its arithmetic.

use std::path::PathBuf;

use serde_json::json;

use crate::slo::Slo;
use crate::slo::budget::{Budget, Events, LEAST_COVERAGE, Share, Standing, Verdict, step};
use crate::slo::{Budgeting, Window};
use crate::units::UnixSeconds;

use super::super::output::{Answer, Failure, Format, Tone, paint, print};
use super::source::{Named, read_all};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax slo budget -f slo.yaml --bad 250 --total 1000000
  miax slo budget -f slo.yaml --bad 250 --total 1000000 --coverage 0.97 -o json

The exit code is 0 when the objective is met, 1 when its budget is spent, 2 when nobody can tell.")]
pub(super) struct Arguments {
    /// File with one objective; - for stdin.
    #[arg(short, long)]
    file: PathBuf,
    /// Bad events of the window, or bad slices.
    #[arg(long)]
    bad: u64,
    /// All events of the window, or all slices.
    #[arg(long)]
    total: u64,
    /// Which share of the window is known, from 0 to 1.
    #[arg(long, default_value = "1")]
    coverage: crate::slo::Decimal,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let mut all = read_all(&arguments.file)?;
    let (Some(Named { name, slo }), true) = (all.pop(), all.is_empty()) else {
        let place = arguments.file.display();
        return Err(Failure::new(format!("{place}: several objectives; a budget is of one")));
    };
    let events = |n: u64| Events::try_new(n).ok_or_else(|| Failure::new(format!("{n} are too many events to count")));
    let (bad, total) = (events(arguments.bad)?, events(arguments.total)?);
    let budget = Budget::try_new(slo.objective, bad, total)
        .ok_or_else(|| Failure::new(format!("{bad} of {total} events cannot be bad")))?;
    let coverage = share(arguments.coverage)?;
    let verdict = verdict(&slo, budget, coverage);
    let value = json!({
        "slo": name.to_string(),
        "objective": slo.objective.to_string(),
        "window": slo.window.to_string(),
        "bad": bad.get(),
        "total": total.get(),
        "coverage": coverage.to_string(),
        "remaining": budget.remaining().to_string(),
        "remainingEvents": budget.remaining_events(),
        "burn": budget.burn().to_string(),
        "verdict": verdict.as_str(),
    });
    print(arguments.output, &value, || words(&name.to_string(), &slo, budget, coverage, verdict))?;
    Ok(match verdict {
        Verdict::Met => Answer::Yes,
        Verdict::Exhausted => Answer::No,
        Verdict::Unknown => Answer::Unclear,
    })
}

/// A decimal from 0 to 1 as a share.
fn share(decimal: crate::slo::Decimal) -> Result<Share, Failure> {
    Share::exactly(decimal).filter(|s| *s <= Share::ALL).ok_or_else(|| {
        Failure::new(format!("a coverage of {decimal} is none; write a number from 0 to 1 with at most six places"))
    })
}

/// The verdict without a history.
fn verdict(slo: &Slo, budget: Budget, coverage: Share) -> Verdict {
    if coverage < LEAST_COVERAGE {
        return Verdict::Unknown;
    }
    let Standing { verdict, .. } = step(None, Ok(budget), slo.hysteresis(), UnixSeconds::default());
    verdict
}

fn words(name: &str, slo: &Slo, budget: Budget, coverage: Share, verdict: Verdict) -> String {
    let what = match slo.budgeting {
        Budgeting::Occurrences => "events",
        Budgeting::TimeSlices(_) => "slices",
    };
    let (bad, total, left) = (budget.bad(), budget.total(), budget.remaining_events());
    let tone = match verdict {
        Verdict::Met => Tone::Good,
        Verdict::Exhausted => Tone::Bad,
        Verdict::Unknown => Tone::Doubt,
    };
    let allowed = left + i64::try_from(bad.get()).unwrap_or(i64::MAX);
    let mut lines = vec![
        format!("{name}: {} % good over {}", slo.objective, slo.window),
        format!("  allowed   {total} {what} x {} = {allowed} bad {what}", slo.objective.error_ratio()),
        format!("  happened  {bad} bad {what}"),
        format!("  left      {left} {what}, {} of the budget", budget.remaining().percent()),
        format!("  burn      {} times as fast as it lasts", budget.burn()),
        format!(
            "  coverage  {} of the window; at least {} must be known",
            coverage.percent(),
            LEAST_COVERAGE.percent()
        ),
    ];
    if let Window::Rolling(length) = slo.window {
        lines
            .push(format!("  in time   {} in which everything fails, at steady traffic", slo.objective.outage(length)));
    }
    if let (Verdict::Exhausted, Some(gate)) = (verdict, &slo.gate) {
        lines.push(format!("  recovers  when more than {} % are left for {}", gate.margin, gate.dwell));
    }
    lines.push(format!("  verdict   {}", paint(verdict.as_str(), tone)));
    lines.join("\n")
}
