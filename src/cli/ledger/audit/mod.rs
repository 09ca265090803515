//! `miax ledger audit`: re-hashes a ledger, compares it with other copies and with what is known of it, and remembers how far
//! it was good.
//!
//! The order: findings are written, and are durable, before the state moves on. After a crash in between they are written
//! once more; none is lost.

mod keep;
mod others;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::output::{Answer, Failure, Tone, one_line, paint, print_durably};
use crate::cli::source::Source;
use crate::cli::walk::{Earlier, walk};
use crate::ledger::{AuditState, ClockStep, ClockWatch, FindingClass};

use super::report::{answer, checks_text, report_text, report_value};
use others::{Compared, Others, Seen};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger audit --checks
  miax ledger audit --against /mnt/archive --against peer.tar.gz --continues kept.txt
  miax ledger audit --state audit.json --findings findings.jsonl       # from a timer, for ever
  miax ledger audit --dump ledger.tar.gz --key KEY --checkpoint kept.txt -o json

Every byte is hashed again, every time; with --incremental only what came after the last audit. Copies that cannot belong to
one log give a fork proof, a file that `miax ledger verify --fork` checks offline: keep it, and show it to others.

Exit codes: 0 good, 1 tampered with, 2 could not tell: incomplete, unwitnessed, unsupported, or unreadable.")]
pub(super) struct Arguments {
    /// Another copy of the log to compare with: a directory, a tarball or a dump; once for each.
    #[arg(long, value_name = "PATH")]
    against: Vec<PathBuf>,
    /// A checkpoint that was kept, which the log must continue; once for each.
    #[arg(long, value_name = "FILE")]
    continues: Vec<PathBuf>,
    /// Where this audit remembers how far the log was good; what an earlier one remembered there must still be in the log.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Begin where the last audit ended instead of hashing everything again.
    #[arg(long, requires = "state")]
    incremental: bool,
    /// Append every finding to this file, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    findings: Option<PathBuf>,
    /// Directory in which fork proofs are written.
    #[arg(long, value_name = "DIR", default_value = ".")]
    forks: PathBuf,
    /// Print a line for each of the 25 points of docs/verify/checklist.md; JSON has them always.
    #[arg(long)]
    checks: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { against, continues, state, incremental, findings, forks, checks, source } = arguments;
    let dump = source.dump()?;
    let live = dump.live;
    let mut others = Others::begin(&dump, !against.is_empty() || !continues.is_empty());
    let earlier = match state {
        Some(path) => {
            keep::read(path)?.map(|text| Earlier { text, place: path.display().to_string(), go_on: *incremental })
        }
        None => None,
    };
    let (mut ledger, _, head) = walk(dump, source.trust(), earlier.as_ref())?;
    if ledger.began.is_some() && !(against.is_empty() && continues.is_empty()) {
        // Copies are compared from the first block on.
        ledger.all_blocks()?;
    }
    others.read(&ledger, against, continues)?;
    let Seen { copies, findings: apart, fork } = others.compare(&ledger.keys, ledger.trust.epoch, live);
    ledger.scope.copies = copies.len() + continues.len();
    ledger.report.findings.extend(apart);
    let fork = fork.map(|proof| keep::write_fork(forks, &proof)).transpose()?;

    let mut clocks = ClockWatch::default();
    ledger.blocks.iter().for_each(|block| clocks.saw(&block.header));
    let mut value = report_value(&ledger);
    if let Value::Object(map) = &mut value {
        map.insert("clockSteps".to_owned(), clocks.steps().iter().map(step_value).collect());
        map.insert("copies".to_owned(), copies.iter().map(Compared::value).collect());
        map.insert("fork".to_owned(), json!(fork.as_ref().map(|path| path.display().to_string())));
    }
    print_durably(source.output, &value, || {
        let mut lines: Vec<String> = checks.then(|| checks_text(&ledger.report, &ledger.scope)).into_iter().collect();
        lines.extend(clocks.steps().iter().map(step_text));
        lines.extend(copies.iter().map(Compared::text));
        lines.push(report_text(&ledger));
        lines.extend(fork.as_ref().map(|path| {
            let (word, path) = (paint("fork", Tone::Bad), path.display());
            format!("{word}: the proof is in {path}; miax ledger verify --fork {path} checks it")
        }));
        lines.join("\n")
    })?;
    if let Some(path) = findings {
        keep::append(path, &ledger.trust.origin, &ledger.report.findings)?;
    }
    // What is not good is found again by the next run. Whether witnesses have seen the log says nothing of its bytes.
    let good = ledger.report.findings.iter().all(|f| f.class == FindingClass::Unwitnessed);
    if let (Some(path), true) = (state, good) {
        keep::advance(path, &AuditState::of(&head))?;
    }
    Ok(answer(&ledger.report.findings))
}

fn step_value(step: &ClockStep) -> Value {
    let ClockStep { block, entry, writer, behind } = step;
    json!({"block": block, "entry": entry, "writer": writer, "behindMilliseconds": behind})
}

/// Not a finding: order is by index only. Whoever reads times must know.
fn step_text(step: &ClockStep) -> String {
    let ClockStep { block, entry, writer, behind } = step;
    let (word, seconds) = (paint("clock", Tone::Doubt), behind / 1000);
    let what = format!("from block {block}, entry {entry} on, {writer} writes times {seconds} s before earlier ones");
    format!("{word}: {}", one_line(&what))
}
