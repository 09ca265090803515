//! What an archive adds when it grows: the objects that an `archive.seal` entry vouches for.

use std::collections::BTreeMap;

use crate::trust::sha256;
use crate::units::Digest;

use super::name::{ArchiveName, TileName, tiles_of};

/// The objects that were added, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Growth(BTreeMap<String, Digest>);

impl Growth {
    /// Adds an object by its digest.
    pub fn add(&mut self, name: &ArchiveName, digest: &Digest) {
        self.0.insert(name.to_string(), *digest);
    }

    /// How many objects there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// SHA-256 over a line for each object: its name, a space, `sha256:` and its digest in hex; in the order of names.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let lines: String = self.0.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
        sha256(lines.as_bytes())
    }
}

/// The tiles that an archive of `from` entries lacks when it has `to`: those that became whole, and the new right edge.
pub(super) fn added(from: u64, to: u64) -> impl Iterator<Item = TileName> {
    tiles_of(to).filter(move |tile| !tile.is_whole() || tile.end() > from)
}
