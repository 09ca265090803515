//! Archives: the leader lets each of them grow to the newest checkpoint, and records the seal. An archive that does not answer
//! holds nothing up but itself: what it lacks stays in the cluster until it has it. One that holds what a key of the log signed and
//! this ledger is not breaks the ledger off: it was set back, or is another one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::constitution::{Archived, Proposal, TargetFact};
use crate::ledger::{ArchiveTrouble, MAX_BLOCK_ENTRIES, SignedCheckpoint};
use crate::store::{
    ArchiveError, ArchiveRun, ArchiveStore, BlockStore, Growing, Health, StoreEvent, View, read_anchor,
};

use super::Context;
use super::anchor::{ClusterAnchor, change_anchor};

/// How often the archives are compared with the ledger.
const PERIOD: Duration = Duration::from_secs(1);
/// Pause after a failure; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// For how long an archive that holds more may only mean that this replica is behind.
const GRACE: Duration = Duration::from_secs(10);

/// How the archives are kept.
pub struct Archiver<S> {
    /// What all controllers work with.
    pub context: Arc<Context>,
    /// Where the blocks are.
    pub blocks: S,
    /// Where they are copied to.
    pub archives: Vec<ArchiveStore>,
    /// How long entries wait for an archive at most, when they do not fill a bundle.
    pub patience: Duration,
    /// Where the ledger is broken off when an archive shows that it cannot be the whole one.
    pub alarms: mpsc::Sender<StoreEvent>,
}

/// Why an archive was not sealed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Append(#[from] crate::store::AppendError),
    #[error("the checkpoint in the cluster does not open: {0}")]
    Checkpoint(#[from] crate::ledger::VouchError),
    #[error(transparent)]
    Read(#[from] crate::store::ReadError),
}

/// Keeps every archive, for ever; each on its own, so that a slow one holds no other up.
pub async fn keep_archives<S: BlockStore + Clone>(archiver: Archiver<S>) {
    let Archiver { context, blocks, archives, patience, alarms } = archiver;
    let all = archives.into_iter().map(|store| {
        let run = ArchiveRun::new(store);
        keep(context.clone(), blocks.clone(), run, patience, alarms.clone())
    });
    futures::future::join_all(all).await;
}

async fn keep<S: BlockStore>(
    context: Arc<Context>,
    blocks: S,
    mut run: ArchiveRun,
    patience: Duration,
    alarms: mpsc::Sender<StoreEvent>,
) {
    let mut contradicted: Option<Instant> = None;
    let name = run.store().name().to_owned();
    let mut pause = FIRST_PAUSE;
    // Since when the archive lacks an entry that is worth one.
    let mut behind: Option<Instant> = None;
    loop {
        tokio::time::sleep(PERIOD).await;
        let view = context.ledger.view();
        let sealed = view.state.archived(&name).copied();
        context.metrics.archive.lags(&name, view.state.substance().saturating_sub(size_of(sealed)));
        if view.state.substance() <= size_of(sealed) {
            behind = None;
            continue;
        }
        let waited = behind.get_or_insert_with(Instant::now).elapsed();
        if view.health != Health::Whole || !is_due(size_of(sealed), view.head.next_index().0, waited, patience) {
            continue;
        }
        match round(&context, &blocks, &mut run, &view, sealed).await {
            Ok(()) => {
                pause = FIRST_PAUSE;
                behind = None;
                contradicted = None;
                context.metrics.archive.works(&name);
            }
            Err(error) => {
                let trouble = match &error {
                    RoundError::Archive(error) => error.trouble(),
                    RoundError::Append(_) | RoundError::Checkpoint(_) | RoundError::Read(_) => ArchiveTrouble::Ledger,
                };
                context.metrics.archive.failed(&name, trouble);
                tracing::warn!(archive = name, %error, "the archive does not grow; nothing that it lacks is deleted");
                if let RoundError::Archive(ArchiveError::Contradicts { note, what }) = &error
                    && contradicted.get_or_insert_with(Instant::now).elapsed() >= GRACE
                {
                    accuse(&context, &alarms, &name, (note, what)).await;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Breaks the ledger off, and lets others know by what.
async fn accuse(context: &Context, alarms: &mpsc::Sender<StoreEvent>, name: &str, (note, what): (&str, &str)) {
    tracing::error!(archive = name, what, shown = note, "an archive holds what contradicts this ledger");
    // The sequencer is gone only when the process ends.
    let _ = alarms.send(StoreEvent::Alarm(format!("the archive `{name}`: {what}"))).await;
    let anchor = ClusterAnchor::new(context.client.clone());
    let told = change_anchor(&anchor, |anchor| {
        let news = anchor.contradiction.is_empty();
        if news {
            note.clone_into(&mut anchor.contradiction);
        }
        Ok::<_, kube::Error>(news)
    });
    if let Err(error) = told.await {
        tracing::error!(%error, "the cluster does not know of it yet; whoever starts finds out by the archive");
    }
}

fn size_of(sealed: Option<Archived>) -> u64 {
    sealed.map_or(0, |a| a.size)
}

/// Whether an archive of `sealed` entries should grow: it lacks a whole bundle, or waits for long.
fn is_due(sealed: u64, size: u64, waited: Duration, patience: Duration) -> bool {
    let bundles = |n: u64| n / MAX_BLOCK_ENTRIES as u64;
    bundles(size) > bundles(sealed) || waited >= patience
}

async fn round<S: BlockStore>(
    context: &Context,
    blocks: &S,
    run: &mut ArchiveRun,
    view: &View,
    sealed: Option<Archived>,
) -> Result<(), RoundError> {
    let Some(anchor) = read_anchor(context.client.clone()).await? else { return Ok(()) };
    if anchor.checkpoint.is_empty() {
        return Ok(());
    }
    let signed = SignedCheckpoint::open_with(&anchor.checkpoint, view.head.log_keys())?;
    let covered = signed.checkpoint().size;
    if covered <= size_of(sealed) || covered > view.head.next_index().0 {
        return Ok(());
    }
    let facts = context.facts(TargetFact::NotNamed);
    let growing = Growing { sealed, note: &anchor.checkpoint, signed: &signed, log: &view.head, now: facts.now };
    let seal = run.grow(blocks, growing).await?;
    let (store, to, count) = (seal.store.clone(), seal.to, seal.count);
    context.ledger.append(Proposal::Archived(seal), facts).await?;
    tracing::info!(archive = store, entries = to, objects = count, "the archive holds more of the ledger");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_grows_by_whole_bundles_or_after_a_while() {
        let (short, long) = (Duration::from_secs(1), Duration::from_secs(60));
        let check = |sealed, size, waited, expected| assert_eq!(is_due(sealed, size, waited, long), expected);
        check(0, 255, short, false);
        check(0, 256, short, true);
        check(255, 256, short, true);
        check(256, 511, short, false);
        check(256, 257, long, true);
    }
}
