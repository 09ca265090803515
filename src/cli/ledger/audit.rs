//! `miax ledger audit`: re-hashes a whole ledger and says what became of each point that a verifier checks.

use crate::cli::output::{Answer, Failure};
use crate::cli::source::Source;

use super::verify::show;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger audit --checks
  miax ledger audit --dump ledger.tar.gz --key KEY --checkpoint kept.txt -o json

Every byte is hashed again. What was not checked, because there was nothing to check, says why.

Exit codes: 0 good, 1 tampered with, 2 could not tell: incomplete, unwitnessed, unsupported, or unreadable.")]
pub(super) struct Arguments {
    /// Print a line for each of the 25 points of docs/verify/checklist.md; JSON has them always.
    #[arg(long)]
    checks: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { checks, source } = arguments;
    show(&source.read()?, *checks, source.output)
}
