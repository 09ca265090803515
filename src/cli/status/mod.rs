//! `miax status`: what is in force, what waits, runs and is owed, and whether the ledger is whole; from the verified ledger, not
//! from objects.

#[cfg(feature = "client")]
mod facts;
mod overview;
#[cfg(feature = "client")]
mod watch;
mod words;

use super::clock::now;
use super::output::{Answer, Failure, print};
use super::source::Source;
use overview::{History, Overview, Soundness};
use words::text;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax status
  miax status --dump ledger.tar.gz -o json
  miax status --watch                  # seats fill before your eyes; Ctrl-C ends it
  miax status --watch | tee watch.log  # a line for each change")]
pub(super) struct Arguments {
    /// Follow the ledger of the cluster until Ctrl-C.
    #[cfg(feature = "client")]
    #[arg(short, long, conflicts_with = "dump")]
    watch: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    #[cfg(feature = "client")]
    if arguments.watch {
        return watch::run(&arguments.source);
    }
    let (ledger, state) = arguments.source.replay()?;
    let history = History::of(&ledger.entries);
    let overview = Overview::of(&state, &history, Soundness::of(&ledger.report), now());
    print(arguments.source.output, &overview.value(), || text(&overview))?;
    Ok(if ledger.report.is_whole() { Answer::Yes } else { Answer::No })
}
