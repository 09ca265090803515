//! `miax test`: policies tested before they bite. Each case of a suite is judged as the webhook would, and compared with
//! what the suite expects.

mod junit;
mod suite;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::reason::Reason;
use crate::constitution::{Manifest, State};
use crate::units::UnixSeconds;

use super::clock::now;
use super::files::{Existing, Signed, read_object, write_text};
use super::output::{Answer, Failure, Format, Tone, one_line, paint, plain, print};
use super::simulate::{cluster_uid, judge_creation};
use super::source::Source;
use super::verify::{charter_in_force, cluster_of};
use suite::{Basis, Case, Expected, Suite, read_suite};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax test policies/*.suite.yaml
  miax test policies/runtime.suite.yaml --junit report.xml -o json

A suite:
  charter: constitution-v1.yaml        # or ledger: ledger.tar.gz, with key: KEY of its log
  at: 2026-11-24T10:00:00Z             # without it: now
  cases:
  - name: three people approve a critical command
    file: cmd.yaml
    expect: {allowed: true}
  - name: nobody of TCC approved
    file: partly.yaml
    target: {generation: 41}           # or missing; without it: as the command wants it
    expect: {allowed: false, reason: SeatsMissing, message: TCC}

Files are looked for beside the suite. A charter is taken as in force with nothing done yet; a ledger knows used commands,
revoked keys and what is owed. Unknown fields are errors: a test that is not understood tests nothing.

Exit codes: 0 all as expected, 1 a case is not, 2 a case or suite could not be judged.")]
pub(super) struct Arguments {
    /// The suites.
    #[arg(required = true, value_name = "SUITE")]
    suites: Vec<PathBuf>,
    /// Write a report in JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

/// A suite after its run.
struct SuiteRun {
    place: String,
    cases: Vec<CaseRun>,
}

/// A case after its run.
struct CaseRun {
    name: String,
    file: PathBuf,
    expected: Expected,
    outcome: Outcome,
}

/// What became of a case.
enum Outcome {
    /// As expected.
    Ok(Got),
    /// Not as expected, and how.
    Failed { what: String, got: Got },
    /// It could not be judged, and why.
    Unclear(String),
}

/// The verdict.
struct Got {
    allowed: bool,
    reason: Reason,
    message: String,
}

/// How many cases ended in which way.
struct Tally {
    ok: usize,
    failed: usize,
    unclear: usize,
}

/// What is in force for a suite.
enum Bench {
    Charter(Box<Manifest>, State),
    Ledger { cluster_uid: String, state: State },
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { suites, junit, output } = arguments;
    // All of them first: a slip in the last one is told before the first one runs.
    let suites: Vec<Suite> = suites.iter().map(|path| read_suite(path)).collect::<Result<_, _>>()?;
    let runs: Vec<SuiteRun> = suites.into_iter().map(run_suite).collect::<Result<_, _>>()?;
    let tally = Tally::of(runs.iter().flat_map(|r| &r.cases));
    if let Some(path) = junit {
        write_text(path, &junit::report(&runs), Existing::Replace)?;
    }
    print(*output, &report_value(&runs, &tally), || report_text(&runs, &tally))?;
    Ok(match (tally.failed, tally.unclear) {
        (0, 0) => Answer::Yes,
        (0, _) => Answer::Unclear,
        (_, _) => Answer::No,
    })
}

fn run_suite(suite: Suite) -> Result<SuiteRun, Failure> {
    let Suite { place, basis, at, cases } = suite;
    let at = at.unwrap_or_else(now);
    let bench = Bench::of(&basis, at).map_err(|Failure { message, next }| {
        let message = format!("{place}: {message}");
        Failure { message, next }
    })?;
    let run = |case: Case| {
        let Case { name, file, at: own, assumed, expected } = case;
        let outcome = match bench.judge(&file, own.unwrap_or(at), assumed) {
            Ok(got) => expected.compare(got),
            Err(failure) => Outcome::Unclear(failure.message),
        };
        CaseRun { name, file, expected, outcome }
    };
    Ok(SuiteRun { place, cases: cases.into_iter().map(run).collect() })
}

impl Bench {
    fn of(basis: &Basis, at: UnixSeconds) -> Result<Self, Failure> {
        match basis {
            Basis::Charter(path) => {
                let (state, manifest) = charter_in_force(path, at)?;
                Ok(Self::Charter(Box::new(manifest), state))
            }
            Basis::Ledger(path, key) => {
                let (origin, state) = Source::of_dump(path.clone(), key.clone()).replay_whole()?;
                Ok(Self::Ledger { cluster_uid: cluster_uid(&origin).to_owned(), state })
            }
        }
    }

    fn judge(&self, file: &Path, at: UnixSeconds, assumed: super::simulate::Assumed) -> Result<Got, Failure> {
        let object = read_object(file)?;
        let (cluster_uid, state) = match self {
            Self::Charter(manifest, state) => {
                let signed = Signed::read(&object).ok();
                let audience = signed.as_ref().map(|s| s.document().audience.as_slice()).unwrap_or_default();
                (cluster_of(audience, manifest), state)
            }
            Self::Ledger { cluster_uid, state } => (cluster_uid.as_str(), state),
        };
        let decision = judge_creation(&object, state, cluster_uid, at, assumed)?;
        Ok(Got { allowed: decision.is_allowed(), reason: decision.reason(), message: decision.message() })
    }
}

impl Expected {
    fn compare(&self, got: Got) -> Outcome {
        let Self { allowed, reason, message } = self;
        let same = *allowed == got.allowed && reason.is_none_or(|r| r == got.reason);
        let said = message.as_ref().is_none_or(|part| got.message.contains(part.as_str()));
        if same && said {
            return Outcome::Ok(got);
        }
        let mut what = format!("expected {self}, got {}", verdict(got.allowed, Some(got.reason)));
        if same {
            what.push_str(&format!(" saying `{}`", got.message));
        }
        Outcome::Failed { what, got }
    }
}

impl std::fmt::Display for Expected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { allowed, reason, message } = self;
        f.write_str(&verdict(*allowed, *reason))?;
        message.as_ref().map_or(Ok(()), |part| write!(f, " saying `{part}`"))
    }
}

fn verdict(allowed: bool, reason: Option<Reason>) -> String {
    let word = if allowed { "allow" } else { "deny" };
    reason.map_or_else(|| word.to_owned(), |reason| format!("{word} {reason}"))
}

impl Tally {
    fn of<'a>(cases: impl IntoIterator<Item = &'a CaseRun>) -> Self {
        cases.into_iter().fold(Self { ok: 0, failed: 0, unclear: 0 }, |tally, case| match case.outcome {
            Outcome::Ok(_) => Self { ok: tally.ok + 1, ..tally },
            Outcome::Failed { .. } => Self { failed: tally.failed + 1, ..tally },
            Outcome::Unclear(_) => Self { unclear: tally.unclear + 1, ..tally },
        })
    }
}

fn report_value(runs: &[SuiteRun], tally: &Tally) -> Value {
    let got = |got: &Got| json!({"allowed": got.allowed, "reason": got.reason, "message": got.message});
    let case = |case: &CaseRun| {
        let CaseRun { name, file, expected, outcome } = case;
        let Expected { allowed, reason, message } = expected;
        let (word, got, what) = match outcome {
            Outcome::Ok(verdict) => ("ok", Some(got(verdict)), None),
            Outcome::Failed { what, got: verdict } => ("failed", Some(got(verdict)), Some(what)),
            Outcome::Unclear(what) => ("unclear", None, Some(what)),
        };
        json!({
            "name": name, "file": file, "outcome": word, "got": got, "what": what,
            "expected": {"allowed": allowed, "reason": reason, "message": message},
        })
    };
    let suite = |run: &SuiteRun| json!({"suite": run.place, "cases": run.cases.iter().map(case).collect::<Vec<_>>()});
    let Tally { ok, failed, unclear } = tally;
    json!({"suites": runs.iter().map(suite).collect::<Vec<_>>(), "ok": ok, "failed": failed, "unclear": unclear})
}

fn report_text(runs: &[SuiteRun], tally: &Tally) -> String {
    let mut lines = Vec::new();
    for SuiteRun { place, cases } in runs {
        lines.push(paint(&one_line(place), Tone::Strong));
        lines.extend(cases.iter().map(case_line));
    }
    let Tally { ok, failed, unclear } = tally;
    let tone = if failed + unclear == 0 { Tone::Good } else { Tone::Bad };
    lines.push(paint(&format!("{ok} ok, {failed} failed, {unclear} could not be judged"), tone));
    lines.join("\n")
}

fn case_line(case: &CaseRun) -> String {
    let CaseRun { name, file: _, expected: _, outcome } = case;
    let (word, tone, what) = match outcome {
        Outcome::Ok(got) => ("ok   ", Tone::Good, verdict(got.allowed, Some(got.reason))),
        Outcome::Failed { what, got: _ } => ("FAIL ", Tone::Bad, what.clone()),
        Outcome::Unclear(what) => ("ERROR", Tone::Doubt, what.clone()),
    };
    format!("  {} {}: {}", paint(word, tone), one_line(name), plain(&what).replace('\n', "\n          "))
}
