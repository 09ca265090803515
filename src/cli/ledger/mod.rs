//! `miax ledger`: one module for each of its commands. Whatever is shown was verified first; there is no unverified view.

mod archive;
mod audit;
mod export;
mod filter;
mod folded;
mod list;
mod pack;
mod payload;
mod prove;
mod report;
#[cfg(feature = "client")]
mod restore;
mod show;
mod told;
mod unpack;
mod verify;
#[cfg(feature = "operator")]
mod witness;

use super::output::{Answer, Failure, print};
use super::source::Source;
use report::{complain, head_text, report_value};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger list --organ SRE --since 2026-11-01T00:00:00Z
  miax ledger show 12
  miax ledger prove 12 > 12.tlog-proof
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify - --key 'miax.dev/ecm/…+1a2b3c4d+…'
  miax ledger verify ledger.tar.gz --checkpoint checkpoint.txt

`verify` needs no network. A dump cannot vouch for itself: give --key (miax ledger head prints it) and a --checkpoint that
you kept elsewhere, and a rewritten or cut ledger is found too.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print size, root, key and checkpoint.
    #[command(after_help = "Example:\n  miax ledger head --context prod-eu")]
    Head {
        #[command(flatten)]
        source: Source,
    },
    /// List the entries.
    List(list::Arguments),
    /// Say in plain words what an entry records, and what belongs to it.
    Show(show::Arguments),
    /// Print the entries as CloudEvents, one JSON object a line.
    Export(export::Arguments),
    /// Prove that an entry is in the log, or that a checkpoint continues an older one, in a small text.
    Prove(prove::Arguments),
    /// Collect everything about one document in one file that is checked alone, with only the log's key.
    Pack(pack::Arguments),
    /// Judge every recorded decision again.
    Replay(super::replay::Arguments),
    /// Write the ledger as an archive: the static files of tlog-tiles, with the blocks beside them.
    Archive(archive::Arguments),
    /// Write the ledger as plain files, for verifiers that are not ours.
    Unpack(unpack::Arguments),
    /// Verify a dump, a pack or a proof offline: every byte, hash, seal, and what the entries mean.
    Verify(verify::Arguments),
    /// Write blocks back that were deleted from the cluster, byte for byte.
    #[cfg(feature = "client")]
    Restore(restore::Arguments),
    /// Audit the ledger of the cluster or of a dump: every byte, and what became of each point that is checked.
    Audit(audit::Arguments),
    /// Cosign the checkpoints of logs that never contradict themselves: a witness, for other clusters' ledgers.
    #[cfg(feature = "operator")]
    Witness(witness::Arguments),
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.action {
        Action::Head { source } => {
            let ledger = source.read()?;
            print(source.output, &report_value(&ledger), || head_text(&ledger))?;
            Ok(complain(&ledger.report))
        }
        Action::List(arguments) => list::run(&arguments),
        Action::Show(arguments) => show::run(&arguments),
        Action::Export(arguments) => export::run(&arguments),
        Action::Prove(arguments) => prove::run(&arguments),
        Action::Pack(arguments) => pack::run(&arguments),
        Action::Replay(arguments) => super::replay::run(&arguments),
        Action::Archive(arguments) => archive::run(&arguments),
        Action::Unpack(arguments) => unpack::run(&arguments),
        Action::Verify(arguments) => verify::run(&arguments),
        #[cfg(feature = "client")]
        Action::Restore(arguments) => restore::run(&arguments),
        Action::Audit(arguments) => audit::run(&arguments),
        #[cfg(feature = "operator")]
        Action::Witness(arguments) => witness::run(&arguments),
    }
}
