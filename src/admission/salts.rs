//! Salts of commitments: made from the operating system's randomness for each entry, and kept in a directory that is no part of
//! the ledger. Whoever removes a file there erases what its entry could still prove; the ledger stays whole.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::trust::Salt;
use crate::units::{Digest, LogIndex};

/// How long an answer waits for its salt to be durable; an append may take 800 ms of the handler's second.
const KEEP_DEADLINE: Duration = Duration::from_millis(150);
/// Salts that are written at once; more are lost.
const MOST_WRITING: usize = 256;

/// Gives 32 random bytes of the operating system; `None` when it has none.
pub type Randomness = Arc<dyn Fn() -> Option<[u8; 32]> + Send + Sync>;

/// Makes salts and keeps them.
#[derive(Clone)]
pub struct Salts {
    randomness: Randomness,
    directory: Option<PathBuf>,
    writing: Arc<Semaphore>,
}

impl Salts {
    /// Salts that are kept in this directory; without one each is forgotten at once, and its content erased with it.
    #[must_use]
    pub fn new(randomness: Randomness, directory: Option<PathBuf>) -> Self {
        Self { randomness, directory, writing: Arc::new(Semaphore::new(MOST_WRITING)) }
    }

    /// A new salt with the commitment to this payload; `None` when there is no randomness.
    pub(super) fn commit(&self, payload: &[u8]) -> Option<(Salt, Digest)> {
        let salt = Salt::new((self.randomness)()?);
        let commitment = salt.commit(payload);
        Some((salt, commitment))
    }

    /// Keeps the salt of the entry that holds its commitment; returns when that is durable, or soon. One that cannot be kept is
    /// told: its entry proves nothing more about its content, and the decision stands.
    pub(super) async fn keep(&self, index: LogIndex, salt: Salt) {
        let Some(directory) = self.directory.clone() else { return };
        // A directory that hangs must not collect threads.
        let Ok(place) = self.writing.clone().try_acquire_owned() else {
            tracing::error!(index = index.0, "the salt of an entry is lost: its directory is too slow");
            return;
        };
        let written = tokio::task::spawn_blocking(move || {
            let _place = place;
            if let Err(error) = write(&directory, index, &salt) {
                tracing::error!(index = index.0, %error, "the salt of an entry is lost");
            }
        });
        // Nobody waits for a slow directory longer; the write goes on.
        let _ = tokio::time::timeout(KEEP_DEADLINE, written).await;
    }
}

/// One file for each entry, so that each can be erased alone. After a crash here there is no file, or one that is cut short: both
/// are as if erased.
fn write(directory: &Path, index: LogIndex, salt: &Salt) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(directory.join(index.to_string()))?;
    file.write_all(salt.reveal().as_bytes())?;
    file.sync_all()?;
    // The name is durable only with its directory.
    std::fs::File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_salt_is_kept_for_its_entry_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let counter = std::sync::atomic::AtomicU8::new(1);
        let random = Arc::new(move || Some([counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed); 32]));
        let salts = Salts::new(random, Some(directory.path().to_owned()));
        let (first, commitment) = salts.commit(b"payload").expect("random");
        let (_, another) = salts.commit(b"payload").expect("random");
        assert_ne!(commitment, another, "each entry has a salt of its own");
        salts.keep(LogIndex(7), first).await;
        let files: Vec<_> = std::fs::read_dir(directory.path()).expect("reads").collect();
        assert_eq!(files.len(), 1);
        let text = std::fs::read_to_string(directory.path().join("7")).expect("the salt");
        assert_eq!(Salt::read(&text).expect("a salt").commit(b"payload"), commitment);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &std::fs::metadata(directory.path().join("7")).expect("a file").permissions(),
        );
        assert_eq!(mode & 0o777, 0o600, "nobody else reads it");
        // A salt is never written over another one.
        let (third, _) = salts.commit(b"other").expect("random");
        salts.keep(LogIndex(7), third).await;
        assert_eq!(std::fs::read_to_string(directory.path().join("7")).expect("the salt"), text);
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_costs_the_salt_alone() {
        let directory = tempfile::tempdir().expect("directory");
        let salts = Salts::new(Arc::new(|| Some([1; 32])), Some(directory.path().join("gone")));
        let (salt, _) = salts.commit(b"payload").expect("random");
        salts.keep(LogIndex(7), salt).await;
        assert!(std::fs::read_dir(directory.path()).expect("reads").next().is_none());
    }

    #[test]
    fn without_randomness_nothing_is_committed_to() {
        assert!(Salts::new(Arc::new(|| None), None).commit(b"payload").is_none());
    }
}
