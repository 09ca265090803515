//! `miax ledger archive`: the ledger as an archive in a directory. What is there stays: an object is created, never
//! replaced, and read back. Only the newest checkpoint moves.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::output::{Answer, Failure, failure, print};
use crate::cli::source::{Published, Source, Verified};
use crate::ledger::{ArchiveName, ArchiveObject, Head, SignedCheckpoint, Tiling};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger archive /backup/ledger --dump ledger.tar.gz
  miax ledger archive /backup/ledger --context prod-eu      # again later: what is there stays, what is new is added
  miax ledger verify /backup/ledger --key KEY

The form is https://c2sp.org/tlog-tiles; any reader of it checks the tree. `blocks/` holds the cluster's own objects.")]
pub(super) struct Arguments {
    /// The archive: a directory that is made when it is not there.
    directory: PathBuf,
    #[command(flatten)]
    source: Source,
}

/// What became of an object.
enum Put {
    Created,
    Known,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { directory, source } = arguments;
    let (ledger, _, head) = source.whole_with_head()?;
    ledger.all_blocks()?;
    let published = ledger.published()?;
    let (objects, size) = lay_out(&ledger, &head, published.size())?;
    let (mut created, mut known) = (0_u64, 0_u64);
    let key = ArchiveObject { name: ArchiveName::Key, bytes: format!("{}\n", ledger.trust.key).into_bytes() };
    let note = published.note.clone().into_bytes();
    let name = ArchiveName::CheckpointAt(size);
    // One that was kept before may have other cosignatures; it vouches for the same.
    let before = std::fs::read(directory.join(name.to_string())).ok().filter(|note| vouches(note, &ledger, published));
    let kept = ArchiveObject { name, bytes: before.unwrap_or_else(|| note.clone()) };
    // The checkpoint comes last: whoever reads it finds everything that it vouches for.
    for object in std::iter::once(&key).chain(&objects).chain(std::iter::once(&kept)) {
        match put(directory, object)? {
            Put::Created => created += 1,
            Put::Known => known += 1,
        }
    }
    let newest = directory.join(ArchiveName::Checkpoint.to_string());
    if older(&newest, &ledger, size)? {
        replace(&newest, &note)?;
    }
    let place = directory.display();
    let value = json!({"directory": place.to_string(), "entries": size, "created": created, "known": known});
    print(source.output, &value, || {
        format!("{size} entries are in {place}: {created} objects are new, {known} were there")
    })?;
    Ok(Answer::Yes)
}

fn vouches(note: &[u8], ledger: &Verified, published: &Published) -> bool {
    let opened = SignedCheckpoint::open_with(&String::from_utf8_lossy(note), &ledger.keys);
    opened.is_ok_and(|signed| signed.checkpoint() == published.signed.checkpoint())
}

/// Every object of an archive over `size` entries.
fn lay_out(ledger: &Verified, head: &Head, size: u64) -> Result<(Vec<ArchiveObject>, u64), Failure> {
    let mut tiling = Tiling::default();
    let mut objects = Vec::new();
    for (_, parts) in &ledger.parts {
        if tiling.size() >= size {
            break;
        }
        objects.extend(tiling.append(parts, head).map_err(|e| failure(&e))?);
    }
    if tiling.size() != size {
        let message = format!("the checkpoint is over {size} entries and ends inside of a block");
        return Err(Failure::new(message).with_next("take a checkpoint that Miax made; each of them ends with a block"));
    }
    objects.extend(tiling.edge());
    Ok((objects, size))
}

/// Whether the newest checkpoint of the archive is over less than `size` entries, or not there.
fn older(newest: &Path, ledger: &Verified, size: u64) -> Result<bool, Failure> {
    let place = newest.display();
    let text = match std::fs::read_to_string(newest) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(Failure::new(format!("{place}: {error}"))),
    };
    let there = SignedCheckpoint::open_with(&text, &ledger.keys);
    there.map(|c| c.checkpoint().size < size).map_err(|e| {
        Failure::new(format!("{place}: {e}"))
            .with_next("this is the archive of another log, or it was changed; look at it")
    })
}

/// Creates an object and reads it back; one that is there must have these very bytes.
fn put(directory: &Path, object: &ArchiveObject) -> Result<Put, Failure> {
    let ArchiveObject { name, bytes } = object;
    let path = directory.join(name.to_string());
    let place = path.display();
    let wrong = |e: std::io::Error| Failure::new(format!("{place}: {e}"));
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(wrong)?;
    }
    let part = unfinished(&path, bytes).map_err(wrong)?;
    // A link is made only where nothing is: two writers cannot replace each other's objects.
    let linked = std::fs::hard_link(&part, &path);
    std::fs::remove_file(&part).map_err(wrong)?;
    let result = match linked {
        Ok(()) => Put::Created,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Put::Known,
        Err(error) => return Err(wrong(error)),
    };
    if std::fs::read(&path).map_err(wrong)? == *bytes {
        return Ok(result);
    }
    Err(match result {
        Put::Created => Failure::new(format!("{place}: the disk gives back other bytes than were written")),
        Put::Known => {
            Failure::new(format!("{place}: the archive holds other bytes under this name; nothing was replaced"))
                .with_next(
                    "miax ledger verify tells which of the two is right; archive into another directory meanwhile",
                )
        }
    })
}

/// The bytes, durable, under a name that no reader of the archive looks at.
fn unfinished(path: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = path.with_file_name(format!("{name}#{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(part)
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let moved = unfinished(path, bytes).and_then(|part| std::fs::rename(part, path));
    moved.map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
