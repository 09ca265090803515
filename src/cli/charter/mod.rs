//! `miax charter`: lint, digest, and the way to the next version.

mod diff;
mod next;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::constitution::{LintFinding, LintLevel, lint};

use super::files::read_charter;
use super::output::{Answer, Failure, Format, Tone, paint, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax charter lint -f constitution-v1.yaml
  miax charter digest -f constitution-v1.yaml    # what --genesis of the operator needs
  miax charter next -f constitution-v1.yaml      # starts an amendment
  miax charter diff -f constitution-v1.yaml --to constitution-v2.yaml")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say in plain words what the next charter changes.
    Diff(diff::Arguments),
    /// Find what a charter should not be; exit 1 when it would be refused.
    #[command(after_help = "Example:\n  miax charter lint -f constitution-v1.yaml -o json")]
    Lint {
        /// The file.
        #[arg(short, long)]
        file: PathBuf,
        /// How to print.
        #[arg(short, long, default_value = "text")]
        output: Format,
    },
    /// Print the digest that signatures are over.
    #[command(after_help = "Example:\n  miax charter digest -f constitution-v1.yaml")]
    Digest {
        /// The file.
        #[arg(short, long)]
        file: PathBuf,
        /// How to print.
        #[arg(short, long, default_value = "text")]
        output: Format,
    },
    /// Start the next version of a charter: the same text, one version up, without signatures.
    Next(next::Arguments),
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.action {
        Action::Diff(arguments) => diff::run(&arguments),
        Action::Next(arguments) => next::run(&arguments),
        Action::Lint { file, output } => {
            let (_, manifest) = read_charter(&file)?;
            let findings = lint(&manifest.charter);
            print(output, &findings_value(&findings), || match findings.is_empty() {
                true => "nothing to say".to_owned(),
                false => findings.iter().map(line).collect::<Vec<_>>().join("\n"),
            })?;
            Ok(worst(&findings))
        }
        Action::Digest { file, output } => {
            let (_, manifest) = read_charter(&file)?;
            let value = json!({"object": manifest.document.object, "digest": manifest.document.digest});
            print(output, &value, || manifest.document.digest.to_string())?;
            Ok(Answer::Yes)
        }
    }
}

fn level(finding: &LintFinding) -> (&'static str, Option<&str>) {
    match &finding.level {
        LintLevel::Error => ("error", None),
        LintLevel::Warning => ("warning", None),
        LintLevel::Waived(reason) => ("waived", Some(reason)),
    }
}

fn line(finding: &LintFinding) -> String {
    let (word, waiver) = level(finding);
    let tone = match finding.level {
        LintLevel::Error => Tone::Bad,
        LintLevel::Warning => Tone::Doubt,
        LintLevel::Waived(_) => Tone::Quiet,
    };
    let waiver = waiver.map(|w| format!(" (accepted: {w})")).unwrap_or_default();
    format!("{} {} {}: {}{waiver}", paint(word, tone), finding.name.as_str(), finding.subject, finding.message)
}

/// The findings as data.
pub(super) fn findings_value(findings: &[LintFinding]) -> Value {
    let row = |f: &LintFinding| {
        let (level, waiver) = level(f);
        json!({"finding": f.name.as_str(), "subject": f.subject, "level": level, "message": f.message, "waiver": waiver})
    };
    findings.iter().map(row).collect()
}

/// Tells the findings to the user, beside data on stdout.
pub(super) fn print_findings(findings: &[LintFinding]) {
    for finding in findings.iter().filter(|f| f.level != LintLevel::Warning) {
        tell(&line(finding));
    }
}

/// No when the charter would be refused.
pub(super) fn worst(findings: &[LintFinding]) -> Answer {
    if findings.iter().any(LintFinding::blocks) { Answer::No } else { Answer::Yes }
}
