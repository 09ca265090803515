//! Archives outside of the cluster: an object store under a prefix, in which objects are created, read back, and never
//! replaced.
//!
//! The order, and the world after a crash at each step:
//! 1. tiles, blocks and bundles that became whole, then the right edge: nobody looks for them yet; the next run creates the
//!    same bytes under the same names and finds them there.
//! 2. `checkpoints/<size>`: the archive can be continued from here, but the ledger does not know yet.
//! 3. `checkpoint`: readers of the archive find everything that it vouches for.
//! 4. the entry `archive.seal`: only what it covers counts as archived. Without it the next run repeats 1 to 3.

mod hold;
mod place;
mod run;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};

use crate::ledger::{ArchiveName, ArchiveObject, ArchiveTrouble, TilingError};

pub use place::{ArchivePlace, ArchivePlaceError};
pub use run::{ArchiveRun, Growing};

/// How long one call of an object store may take; one that answers later has not answered.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// One archive.
///
/// Contract. *Consistency*: an object is created by the first who asks; a read after a create gives what was created.
/// *Durability*: when [`ArchiveStore::create`] returns, the bytes were read back from the store. *Retries*: none here; whoever
/// archives runs again with the same bytes. *Attacker*: whoever owns the store can change and delete; every byte can be
/// computed again from the blocks, so that this is found, and two stores make it harmless.
#[derive(Clone)]
pub struct ArchiveStore {
    name: String,
    objects: Arc<dyn ObjectStore>,
    prefix: Path,
}

/// Why an archive does not hold what it should.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive cannot be continued by the ledger that is here.
    #[error("the archive does not go with this ledger: {0}")]
    Ahead(String),
    /// It holds what a key of the log signed, and the ledger that is here is not that.
    #[error("the archive does not go with this ledger: {what}")]
    Contradicts {
        /// The checkpoint, with its signatures.
        note: String,
        /// How they differ.
        what: String,
    },
    /// The archive is not what it should be.
    #[error(transparent)]
    Damaged(#[from] TilingError),
    /// The store holds other bytes under this name, or lost what it took.
    #[error("`{name}` {what}; nothing was replaced")]
    Differs {
        /// Which object.
        name: ArchiveName,
        /// What is wrong.
        what: &'static str,
    },
    /// The store does not answer.
    #[error("`{name}` was not answered in {} s", CALL_TIMEOUT.as_secs())]
    Late {
        /// Which object.
        name: ArchiveName,
    },
    /// A block cannot be read.
    #[error("block {number} cannot be archived: {what}")]
    Ledger {
        /// Which block.
        number: u64,
        /// What is wrong.
        what: String,
    },
    /// The store refused, or cannot be reached.
    #[error("`{name}`: {source}")]
    Refused {
        /// Which object.
        name: ArchiveName,
        /// What the store said.
        source: object_store::Error,
    },
}

impl ArchiveError {
    /// What is wrong, in one word.
    #[must_use]
    pub fn trouble(&self) -> ArchiveTrouble {
        match self {
            Self::Ahead(_) | Self::Contradicts { .. } => ArchiveTrouble::Ahead,
            Self::Damaged(_) => ArchiveTrouble::Damaged,
            Self::Differs { .. } => ArchiveTrouble::Differs,
            Self::Late { .. } => ArchiveTrouble::Late,
            Self::Ledger { .. } => ArchiveTrouble::Ledger,
            Self::Refused { .. } => ArchiveTrouble::Refused,
        }
    }
}

impl fmt::Debug for ArchiveStore {
    // Not the store itself: its debug form may show credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ArchiveStore").field("name", &self.name).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl ArchiveStore {
    /// An archive in `objects`, below `prefix`. The name is what entries call it.
    #[must_use]
    pub fn new(name: &str, objects: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { name: name.to_owned(), objects, prefix }
    }

    /// The name that entries call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn path(&self, name: ArchiveName) -> Path {
        let parts = self.prefix.parts().map(|p| p.as_ref().to_owned()).collect::<Vec<_>>();
        let own = name.to_string();
        parts.into_iter().chain(own.split('/').map(str::to_owned)).collect()
    }

    /// Reads an object; `None` when it is not there.
    ///
    /// # Errors
    /// [`ArchiveError::Late`], [`ArchiveError::Refused`].
    pub async fn read(&self, name: ArchiveName) -> Result<Option<Vec<u8>>, ArchiveError> {
        let path = self.path(name);
        let call = async { self.objects.get(&path).await?.bytes().await };
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(bytes)) => Ok(Some(bytes.to_vec())),
            Ok(Err(object_store::Error::NotFound { .. })) => Ok(None),
            Ok(Err(source)) => Err(ArchiveError::Refused { name, source }),
            Err(_) => Err(ArchiveError::Late { name }),
        }
    }

    /// Creates an object and reads it back. One that is there already must have these very bytes: then an earlier run was
    /// here, or the answer to it was lost.
    ///
    /// # Errors
    /// [`ArchiveError::Differs`], [`ArchiveError::Late`], [`ArchiveError::Refused`].
    pub async fn create(&self, object: &ArchiveObject) -> Result<(), ArchiveError> {
        self.put(object, PutMode::Create).await
    }

    /// Writes an object over the one that is there, and reads it back: for the newest checkpoint alone.
    ///
    /// # Errors
    /// [`ArchiveError::Differs`], [`ArchiveError::Late`], [`ArchiveError::Refused`].
    async fn replace(&self, object: &ArchiveObject) -> Result<(), ArchiveError> {
        self.put(object, PutMode::Overwrite).await
    }

    async fn put(&self, object: &ArchiveObject, mode: PutMode) -> Result<(), ArchiveError> {
        let ArchiveObject { name, bytes } = object;
        let (path, replaces) = (self.path(*name), mode == PutMode::Overwrite);
        let call = self.objects.put_opts(&path, bytes.clone().into(), mode.into());
        let put = match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(_) | Err(object_store::Error::AlreadyExists { .. })) => Ok(()),
            Ok(Err(source)) => Err(ArchiveError::Refused { name: *name, source }),
            Err(_) => Err(ArchiveError::Late { name: *name }),
        };
        // What counts is what the store gives back, whatever it answered.
        match self.read(*name).await? {
            Some(found) if found == *bytes => Ok(()),
            Some(_) => {
                // The old one still stands in the place of what could not be replaced.
                if replaces {
                    put?;
                }
                Err(ArchiveError::Differs { name: *name, what: "has other bytes in the archive" })
            }
            None => {
                put?;
                Err(ArchiveError::Differs { name: *name, what: "was taken by the store, but is not there" })
            }
        }
    }
}
