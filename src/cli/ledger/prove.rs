//! `miax ledger prove`: that an entry is in the log, or that the checkpoint continues an older one. `miax ledger verify
//! --proof` checks either offline, and so do programs that are not ours.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::files::{Existing, write_text};
use crate::cli::output::{Answer, Failure, failure, print, tell};
use crate::cli::source::{Published, Source, Verified};
use crate::ledger::{ConsistencyText, InclusionText};
use crate::units::LogIndex;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger prove 12 --entry 12.json > 12.tlog-proof
  miax ledger prove 12 --dump ledger.tar.gz --with-entry > 12.tlog-proof     # one file that says and proves it
  miax ledger prove --continues kept.txt > growth.txt                        # nothing of then was changed since
  miax ledger verify --proof 12.tlog-proof --entry 12.json --key KEY

The form is that of https://c2sp.org/tlog-proof; a proof of growth is the request of https://c2sp.org/tlog-witness.")]
pub(super) struct Arguments {
    /// Index of the entry.
    #[arg(required_unless_present = "continues", conflicts_with = "continues")]
    index: Option<u64>,
    /// Prove instead that the checkpoint continues the older one in this file.
    #[arg(long, value_name = "FILE")]
    continues: Option<PathBuf>,
    /// Write the entry itself, exactly as it was hashed, into this file.
    #[arg(long, value_name = "FILE", conflicts_with = "continues")]
    entry: Option<PathBuf>,
    /// Put the entry into the proof, as extra data.
    #[arg(long, conflicts_with = "continues")]
    with_entry: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { index, continues, entry, with_entry, source } = arguments;
    let (ledger, _) = source.whole()?;
    let published = ledger.published()?;
    let text = match (index, continues) {
        (Some(index), None) => {
            let index = LogIndex(*index);
            let bytes = covered(&ledger, published, index)?;
            if let Some(path) = entry {
                let text = std::str::from_utf8(bytes).map_err(|e| failure(&e))?;
                write_text(path, text, Existing::Keep)?;
            }
            inclusion(&ledger, published, index, with_entry.then(|| bytes.to_vec()))?
        }
        (None, Some(path)) => consistency(&ledger, published, path)?,
        (Some(_), Some(_)) | (None, None) => return Err(Failure::new("give either an index or --continues")),
    };
    let value = json!({"index": index, "checkpointSize": published.size(), "proof": text});
    print(source.output, &value, || text.clone())?;
    tell(&format!("{} bytes, under a checkpoint over {} entries", text.len(), published.size()));
    Ok(Answer::Yes)
}

/// The bytes of an entry that the checkpoint covers.
pub(super) fn covered<'a>(ledger: &'a Verified, published: &Published, index: LogIndex) -> Result<&'a [u8], Failure> {
    let bytes = ledger.bytes(index).ok_or_else(|| {
        Failure::new(format!("there is no entry {index}; the ledger has {} entries", ledger.report.entries))
    })?;
    if index.0 >= published.size() {
        let message = format!("entry {index} is newer than the checkpoint, which is over {} entries", published.size());
        return Err(
            Failure::new(message).with_next("the next checkpoint follows within seconds; read the ledger again")
        );
    }
    Ok(bytes)
}

fn inclusion(
    ledger: &Verified,
    published: &Published,
    index: LogIndex,
    extra: Option<Vec<u8>>,
) -> Result<String, Failure> {
    let proof = ledger.tree()?.inclusion(index, published.size());
    let proof = proof.ok_or_else(|| Failure::new(format!("entry {index} is not in the tree of the checkpoint")))?;
    Ok(InclusionText { extra, proof, checkpoint: published.note.clone() }.to_string())
}

fn consistency(ledger: &Verified, published: &Published, path: &Path) -> Result<String, Failure> {
    let old = Published::read(path, &ledger.keys)?;
    let place = path.display();
    let (before, now) = (old.size(), published.size());
    let proof = ledger.tree()?.consistency(before, now).ok_or_else(|| {
        Failure::new(format!("{place}: it is over {before} entries, the newer checkpoint is over {now} only"))
            .with_next("if the file is genuine, the end of the ledger is missing or the ledger was set back")
    })?;
    // The log signed both; if they do not agree, that is the finding.
    proof.verify(&old.signed, &published.signed).map_err(|e| {
        Failure::new(format!("{place}: {e}"))
            .with_next("the log's key signed two histories; keep both checkpoints, they prove it")
    })?;
    Ok(ConsistencyText { proof, checkpoint: published.note.clone() }.to_string())
}
