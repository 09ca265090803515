//! The command line: typed arguments, their meaning, and the run; one file a command.
//!
//! Must not: decide or count. It calls the same judge as the webhook.

mod agent;
mod archived;
mod charter;
mod clock;
mod draft;
mod dump;
mod embedded;
mod explain;
mod files;
mod init;
mod key;
mod ledger;
mod meaning;
#[cfg(feature = "client")]
mod online;
mod output;
mod place;
mod pruned;
mod replay;
mod show;
mod sign;
mod simulate;
mod slo;
mod source;
mod status;
#[cfg(feature = "client")]
mod stored;
mod test;
mod verify;
mod walk;
mod witnessed;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::api::GovernedKind;

use output::{Answer, Failure, failure, plain, say, tell};

pub use output::Format;

/// Constitution as code for Kubernetes: draft, sign, approve, verify; read and verify the ledger.
#[derive(Debug, Parser)]
#[command(name = "miax", bin_name = program_name(), version, about, after_help = EXAMPLES, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  miax init --cluster prod-eu=$(kubectl get ns kube-system -o jsonpath={.metadata.uid}) \\
      --principal alice=CEK:alice.pub --principal bob=SRE,TCC:bob.pub --out constitution-v1.yaml
  miax draft scale deployment/checkout -n shop --replicas 12 --impact Critical --reason 'sale' --out cmd.yaml
  miax sign -f cmd.yaml --as alpha-bot --seat ALPHA --key alpha-bot.key
  miax approve -f cmd.yaml --as dana --seat SRE --key ~/.ssh/id_ed25519
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify -

Exit codes: 0 yes, 1 no (refused, tampered with), 2 could not tell.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the first charter of an organisation from the default one.
    Init(init::Arguments),
    /// Make and look at keys.
    Key(key::Arguments),
    /// Check a charter, print its digest.
    Charter(charter::Arguments),
    /// Write a command without signatures.
    Draft(draft::Arguments),
    /// Say in plain words what a signature would authorise.
    Show(show::Arguments),
    /// Sign as the author.
    Sign(sign::Arguments),
    /// Approve for a seat.
    Approve(sign::Arguments),
    /// Object for a seat; an objection stops a document until it is withdrawn.
    Object(sign::Arguments),
    /// Take an approval or objection back.
    Withdraw(sign::Arguments),
    /// Judge a document offline, as the cluster would.
    Verify(verify::Arguments),
    /// Judge a document with the ledger of the cluster or of a dump, and record nothing.
    Simulate(simulate::Arguments),
    /// Check objectives, print their rules and budgets, take over those of others.
    Slo(slo::Arguments),
    /// Judge the cases of suites and compare with what they expect.
    Test(test::Arguments),
    /// Say what a reason means.
    Explain(explain::Arguments),
    /// Say what is in force, what runs, and whether the ledger is whole.
    Status(status::Arguments),
    /// Read and verify the ledger.
    Ledger(ledger::Arguments),
    /// Print the definitions of all kinds, to install them.
    #[command(after_help = "Example:\n  miax crds | kubectl apply --server-side -f -")]
    Crds,
    /// Print a completion script.
    #[command(after_help = "Example:\n  miax completion bash > /etc/bash_completion.d/miax")]
    Completion {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// As `kubectl-miax` the help says `kubectl miax`.
fn program_name() -> &'static str {
    let plugin = std::env::args_os().next().is_some_and(|p| p.to_string_lossy().ends_with("kubectl-miax"));
    if plugin { "kubectl miax" } else { "miax" }
}

/// Runs the command line; the exit code is 0 for yes, 1 for no, 2 for could not tell.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Answer::Unclear } else { Answer::Yes }.into();
        }
    };
    match dispatch(arguments.command) {
        Ok(answer) => answer.into(),
        Err(Failure { message, next }) => {
            tell(&format!("error: {}", plain(&message)));
            if let Some(next) = next {
                tell(&format!("next: {}", plain(&next)));
            }
            Answer::Unclear.into()
        }
    }
}

fn dispatch(command: Command) -> Result<Answer, Failure> {
    use crate::trust::Verb;
    match command {
        Command::Init(arguments) => init::run(arguments),
        Command::Key(arguments) => key::run(arguments),
        Command::Charter(arguments) => charter::run(arguments),
        Command::Draft(arguments) => draft::run(arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Sign(arguments) => sign::run(&arguments, Verb::Author),
        Command::Approve(arguments) => sign::run(&arguments, Verb::Approve),
        Command::Object(arguments) => sign::run(&arguments, Verb::Object),
        Command::Withdraw(arguments) => sign::run(&arguments, Verb::Withdraw),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Slo(arguments) => slo::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Ledger(arguments) => ledger::run(arguments),
        Command::Crds => print_crds(),
        Command::Completion { shell } => {
            // Not straight to stdout: the generator panics when its reader has enough.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "miax", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(Answer::Yes)
        }
    }
}

fn print_crds() -> Result<Answer, Failure> {
    let documents: Result<Vec<String>, Failure> = GovernedKind::ALL
        .iter()
        .map(|kind| Ok(crate::trust::to_yaml(&serde_json::to_value(kind.crd()).map_err(|e| failure(&e))?)))
        .collect();
    say(&documents?.join("---\n"));
    Ok(Answer::Yes)
}

/// The whole command line, for the reference pages.
#[must_use]
pub fn definition() -> clap::Command {
    Arguments::command()
}
