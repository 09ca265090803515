//! What a witness has cosigned, on disk: one file a log, replaced as a whole.
//!
//! The world after a crash at each step of [`Store::keep`]: a part that was written is never read; after the rename the file
//! is either the old one or the new one, and both are fine, because no answer has left yet.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::ledger::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::trust::{WitnessKey, sha256};

/// Holds the witness's public key. A directory without it is no store: an empty volume must not pass for a new witness, which
/// would cosign a second history.
const IDENTITY: &str = "witness";
/// Held while a process works with the store.
const LOCK: &str = "lock";
/// End of the names of the files with checkpoints.
const CHECKPOINT: &str = "checkpoint";
/// Largest file: a note has at most 64 KiB, and what is kept has two signatures.
const MAX_FILE: u64 = 128 << 10;

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("{place}: the store belongs to the witness `{found}`, the key given is that of `{expected}`")]
    Another { place: PathBuf, found: String, expected: String },
    #[error("{place}: {source}; if it was changed or is damaged, this witness must not go on with it")]
    Damaged { place: PathBuf, source: CheckpointError },
    #[error("{place}: a store is there already")]
    Exists { place: PathBuf },
    #[error("{place}: {source}")]
    Io { place: PathBuf, source: std::io::Error },
    #[error("{place}: another process works with this store")]
    Locked { place: PathBuf },
    #[error("{place}: no store of a witness is here")]
    Missing { place: PathBuf },
    #[error("{place}: this is not the file of the log `{origin}`")]
    Misplaced { place: PathBuf, origin: String },
}

/// A cosigned checkpoint as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) signed: SignedCheckpoint,
    pub(super) note: String,
}

/// The store, open. One process has it at a time.
#[derive(Debug)]
pub(super) struct Store {
    dir: PathBuf,
    /// Held until this is dropped.
    _lock: File,
}

/// The name that stands for an origin in files and addresses: SHA-256 in lower-case hex, as in C2SP tlog-mirror.
pub(super) fn origin_hash(origin: &str) -> String {
    crate::units::hex(&sha256(origin.as_bytes()).0)
}

fn io(place: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let place = place.to_owned();
    move |source| StoreError::Io { place, source }
}

impl Store {
    /// Begins a store for a witness that never cosigned anything.
    pub(super) fn begin(dir: &Path, witness: &WitnessKey) -> Result<(), StoreError> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(io(dir)(error)),
            Ok(()) | Err(_) => {}
        }
        let place = dir.join(IDENTITY);
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&place) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(StoreError::Exists { place }),
            Err(error) => return Err(io(&place)(error)),
        };
        let written = writeln!(file, "{witness}").and_then(|()| file.sync_all());
        written.and_then(|()| File::open(dir)?.sync_all()).map_err(io(&place))
    }

    /// Opens the store and reads what it holds, by origin.
    pub(super) fn open(dir: &Path, witness: &WitnessKey) -> Result<(Self, BTreeMap<String, Kept>), StoreError> {
        let place = dir.join(IDENTITY);
        let found = match read(&place) {
            Ok(found) => found.trim_end().to_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::Missing { place: dir.to_owned() });
            }
            Err(error) => return Err(io(&place)(error)),
        };
        if found != witness.to_string() {
            return Err(StoreError::Another { place, found, expected: witness.to_string() });
        }
        let place = dir.join(LOCK);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&place);
        let lock = lock.map_err(io(&place))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { place: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(io(&place)(error)),
        }
        let store = Self { dir: dir.to_owned(), _lock: lock };
        let kept = store.read_all(witness)?;
        Ok((store, kept))
    }

    fn read_all(&self, witness: &WitnessKey) -> Result<BTreeMap<String, Kept>, StoreError> {
        let mut all = BTreeMap::new();
        for entry in self.dir.read_dir().map_err(io(&self.dir))? {
            let place = entry.map_err(io(&self.dir))?.path();
            if place.extension().is_none_or(|ending| ending != CHECKPOINT) {
                continue;
            }
            let note = read(&place).map_err(io(&place))?;
            let damaged = |source| StoreError::Damaged { place: place.clone(), source };
            let origin =
                Checkpoint::claimed_origin(&note).ok_or_else(|| damaged(CheckpointError::Malformed))?.to_owned();
            // Our own signature says that we kept it; the log's key may have been replaced since.
            let signed = SignedCheckpoint::open_cosigned(&note, &origin, witness).map_err(damaged)?;
            if place != self.file(&origin) {
                return Err(StoreError::Misplaced { place, origin });
            }
            all.insert(origin, Kept { signed, note });
        }
        Ok(all)
    }

    fn file(&self, origin: &str) -> PathBuf {
        self.dir.join(origin_hash(origin)).with_extension(CHECKPOINT)
    }

    /// Replaces what is kept of a log; when this returns, it is on disk. The caller sees to it that nobody else does the same
    /// meanwhile.
    pub(super) fn keep(&self, origin: &str, note: &str) -> Result<(), StoreError> {
        let place = self.file(origin);
        let part = place.with_extension("part");
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(note.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&part, &place)?;
            // The name itself is on disk only when the directory is.
            File::open(&self.dir)?.sync_all()
        };
        write().map_err(io(&place))
    }
}

fn read(place: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(place)?.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}
