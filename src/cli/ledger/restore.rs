//! `miax ledger restore`: writes blocks back that were deleted from the cluster, byte for byte, under their own names. It never
//! writes anything else: what it brings must continue what is there, and be vouched for by the log's own keys.

use std::path::PathBuf;

use serde_json::json;

use crate::api::names::{CONTROLLER_ACCOUNT, SYSTEM_NAMESPACE};
use crate::cli::dump::Dump;
use crate::cli::online::Cluster;
use crate::cli::output::{Answer, Failure, Format, Tone, paint, print, tell};
use crate::cli::pruned::snapshot_of;
use crate::cli::source::{Trust, Verified};
use crate::cli::walk::verify;
use crate::ledger::{BlockParts, LogTrust, parse_block_name};
use crate::store::{BlockStore as _, ConfigMapStore, CreateError};
use crate::units::BlockNumber;

use super::report::finding_line;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger restore ledger.tar.gz --key KEY --dry-run
  miax ledger restore /mnt/archive --key KEY --context prod-eu

Blocks that are there already must be the same as in the copy; nothing is replaced or deleted. The blocks are written by the
account of the controllers, because the ledger takes them from nobody else: you need the right to impersonate it. The
operator hashes the whole ledger again, goes on by itself, and writes an entry that says what was wrong.

Exit codes: 0 the ledger is whole, 1 the copy is of another history or was tampered with, 2 it could not be done.")]
pub(super) struct Arguments {
    /// A copy of the ledger: a directory, a tarball, or a dump.
    path: PathBuf,
    /// Write back what was pruned too, from the first block on: for `miax-operator open-epoch`, which needs every block.
    #[arg(long)]
    all: bool,
    /// Say what would be written, and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: Cluster,
    #[command(flatten)]
    trust: Trust,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

/// A block that the cluster lacks.
type Missing = (String, BlockParts);

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { path, all, dry_run, cluster, trust, output } = arguments;
    let copy = Dump::read(path)?;
    let live = cluster.read_ledger()?;
    let log = trust.of(&live)?;
    let known = Trust::of_log(&log.origin, &log.key);
    let (copied, _) = verify(copy, &known)?;
    if !copied.report.is_whole() {
        return refuse(&copied, "the copy does not verify by itself");
    }
    let begin = if *all { BlockNumber(0) } else { begin_of(&live, &log.in_epoch(live.lineage().epoch())) };
    let missing = match compare(&live, copied, begin) {
        Ok(missing) => missing,
        Err(name) => {
            let word = paint("tampered", Tone::Bad);
            tell(&format!("{word} {name}: the cluster has another block of this name; nothing was written"));
            tell("next: miax ledger audit --against FILE tells which of the two is right, and who signed both");
            return Ok(Answer::No);
        }
    };
    let (whole, _) = verify(with(live, &missing), &known)?;
    if !whole.report.is_whole() {
        return refuse(&whole, "with these blocks the ledger would still not be whole; nothing was written");
    }
    if !dry_run {
        write(cluster, &missing)?;
    }
    let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
    let value =
        json!({"restored": names, "dryRun": dry_run, "entries": whole.report.entries, "root": whole.report.root});
    print(*output, &value, || {
        let verb = if *dry_run { "would be written" } else { "written" };
        let mut lines: Vec<String> = names.iter().map(|name| format!("{name} {verb}")).collect();
        let word = paint("whole", Tone::Good);
        lines.push(format!("{word}: {} entries, {} blocks {verb}", whole.report.entries, names.len()));
        lines.join("\n")
    })?;
    Ok(Answer::Yes)
}

fn refuse(ledger: &Verified, what: &str) -> Result<Answer, Failure> {
    ledger.report.findings.iter().for_each(|f| tell(&finding_line(f)));
    tell(&format!("{}: {what}", paint("not restored", Tone::Bad)));
    Ok(super::report::answer(&ledger.report.findings))
}

/// The first block that belongs into the cluster: what was pruned does not, unless its snapshot is gone.
fn begin_of(live: &Dump, trust: &LogTrust) -> BlockNumber {
    let snapshot = snapshot_of(live, trust).and_then(Result::ok);
    snapshot.map_or(BlockNumber(0), |snapshot| snapshot.head.next_block())
}

/// The blocks that the cluster lacks; or the name of one that is another one there.
fn compare(live: &Dump, copied: Verified, begin: BlockNumber) -> Result<Vec<Missing>, String> {
    let mut missing = Vec::new();
    let belongs = |name: &str| parse_block_name(name).is_some_and(|(_, number)| number >= begin);
    for (name, parts) in copied.parts.into_iter().filter(|(name, _)| belongs(name)) {
        match live.blocks.iter().find(|(found, _)| *found == name) {
            None => missing.push((name, parts)),
            Some((_, Ok(found))) if *found == parts => {}
            Some((_, Ok(_) | Err(_))) => return Err(name),
        }
    }
    Ok(missing)
}

/// The ledger as it would be.
fn with(mut live: Dump, missing: &[Missing]) -> Dump {
    live.blocks.extend(missing.iter().map(|(name, parts)| (name.clone(), Ok(parts.clone()))));
    live.blocks.sort_by(|(a, _), (b, _)| a.cmp(b));
    live
}

/// Writes the blocks in the order of the log: whoever watches can take in each as it comes.
fn write(cluster: &Cluster, missing: &[Missing]) -> Result<(), Failure> {
    let account = format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{CONTROLLER_ACCOUNT}");
    cluster.with_client_as(&account, async |client| {
        let store = ConfigMapStore::new(client);
        for (name, parts) in missing {
            let Some((epoch, number)) = parse_block_name(name) else { continue };
            match store.create(epoch, number, parts).await {
                Ok(()) => {}
                // Somebody else restores it too, or an answer was lost: what is there now must be the same.
                Err(CreateError::Exists | CreateError::Unknown(_)) => {
                    let found = store.read(epoch, number).await.map_err(|e| Failure::new(format!("{name}: {e}")))?;
                    if found.as_ref() != Some(parts) {
                        return Err(Failure::new(format!("{name}: it was not written, or is another block"))
                            .with_next("run miax ledger audit, then miax ledger restore again"));
                    }
                }
                Err(error @ CreateError::Refused(_)) => {
                    return Err(Failure::new(format!("{name}: {error}"))
                        .with_next(format!("you need the right to impersonate {account}")));
                }
            }
        }
        Ok(())
    })
}
