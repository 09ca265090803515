//! Where an archive is, as the operator is told: `NAME=URL`.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::ArchiveStore;

/// Name and address of an archive. Only the operator's configuration names one, never an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivePlace {
    name: String,
    directory: PathBuf,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchivePlaceError {
    /// The text is not a place.
    #[error("`{0}` is not an archive; write NAME=file:///DIRECTORY, the name in a-z, 0-9 and -")]
    Malformed(String),
    /// The store does not open.
    #[error("the archive `{name}` cannot be opened: {source}")]
    Open {
        /// Name of the archive.
        name: String,
        /// What is wrong.
        source: object_store::Error,
    },
}

impl FromStr for ArchivePlace {
    type Err = ArchivePlaceError;

    fn from_str(text: &str) -> Result<Self, ArchivePlaceError> {
        let malformed = || ArchivePlaceError::Malformed(text.to_owned());
        let (name, url) = text.split_once('=').ok_or_else(malformed)?;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let directory = url.strip_prefix("file://").filter(|path| path.starts_with('/')).ok_or_else(malformed)?;
        if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
            return Err(malformed());
        }
        Ok(Self { name: name.to_owned(), directory: directory.into() })
    }
}

impl ArchivePlace {
    /// The name that entries call it by.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the store. A directory must be there: one that is not mounted must not become one on the pod's own disk.
    ///
    /// # Errors
    /// [`ArchivePlaceError::Open`].
    pub fn open(&self) -> Result<ArchiveStore, ArchivePlaceError> {
        let Self { name, directory } = self;
        let objects = LocalFileSystem::new_with_prefix(directory)
            .map_err(|source| ArchivePlaceError::Open { name: name.clone(), source })?;
        Ok(ArchiveStore::new(name, Arc::new(objects.with_fsync(true)), Path::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_name_and_an_address() {
        let place: ArchivePlace = "cold=file:///var/lib/miax".parse().expect("a place");
        assert_eq!((place.name(), place.directory.to_str()), ("cold", Some("/var/lib/miax")));
        for wrong in ["", "file:///x", "=file:///x", "Cold=file:///x", "cold=/x", "cold=file://x", "cold=ftp://x/y"] {
            assert!(matches!(wrong.parse::<ArchivePlace>(), Err(ArchivePlaceError::Malformed(_))), "{wrong}");
        }
        let missing: ArchivePlace = "cold=file:///nowhere/at/all".parse().expect("a place");
        assert!(missing.open().expect_err("there is no such directory").to_string().contains("`cold`"));
    }
}
