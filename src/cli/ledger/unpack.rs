//! `miax ledger unpack`: a ledger as plain files, for verifiers that are not ours. Nothing of it needs trust: seals and
//! checkpoint vouch for the bytes, not the program that unpacked them.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::output::{Answer, Failure, print};
use crate::cli::source::Source;
use crate::ledger::BlockParts;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  miax ledger unpack plain --dump ledger.tar.gz && python3 docs/verify/verify.py plain KEY

Of each block: NAME.header, NAME.seal, and NAME.bundle, which is inflated; and the checkpoint.")]
pub(super) struct Arguments {
    /// A directory that does not exist yet.
    directory: PathBuf,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { directory, source } = arguments;
    let (ledger, _) = source.whole()?;
    let published = ledger.published()?;
    let place = directory.display();
    std::fs::create_dir(directory).map_err(|e| {
        Failure::new(format!("{place}: {e}")).with_next("name a directory that does not exist, in one that does")
    })?;
    for ((name, parts), block) in ledger.parts.iter().zip(&ledger.blocks) {
        let BlockParts { header, seal, entries: _, edge: _ } = parts;
        for (ending, bytes) in [("header", header.as_bytes()), ("seal", seal.as_bytes()), ("bundle", block.bundle())] {
            write(&directory.join(format!("{name}.{ending}")), bytes)?;
        }
    }
    write(&directory.join("checkpoint"), published.note.as_bytes())?;
    let (blocks, entries) = (ledger.report.blocks, ledger.report.entries);
    let value = json!({"directory": place.to_string(), "blocks": blocks, "entries": entries});
    print(source.output, &value, || format!("{entries} entries in {blocks} blocks are in {place}"))?;
    Ok(Answer::Yes)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    std::fs::write(path, bytes).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
