//! The charter in force, and how long it lasts.

use std::sync::Arc;

use crate::trust::parse_json_strict;
use crate::units::{LogIndex, Seconds, UnixSeconds};

use super::super::charter::Charter;
use super::super::event::{CharterRef, ObjectRef};
use super::super::manifest::Manifest;

/// The charter that is in force.
#[derive(Debug)]
pub struct InForce {
    /// Its object.
    pub object: ObjectRef,
    /// Its name, shared by all its versions.
    pub id: String,
    /// Version and digest.
    pub reference: CharterRef,
    /// When it ends.
    pub expires_at: UnixSeconds,
    /// Until when it must be ratified; only for an emergency amendment.
    pub ratify_by: Option<UnixSeconds>,
    /// The index of its `adopt` entry.
    pub since: LogIndex,
    /// The charter itself.
    pub charter: Charter,
    /// The whole text of its manifest, as the ledger holds it.
    pub text: Arc<str>,
}

/// How long before its end a charter counts as expiring: time for an amendment with all its people.
const EXPIRY_WARNING: Seconds = Seconds(30 * 86_400);

impl InForce {
    /// Reads the charter in the text of a manifest; or tells what is wrong with it.
    pub(super) fn read(text: Arc<str>, since: LogIndex) -> Result<Self, String> {
        let value = parse_json_strict(text.as_bytes()).map_err(|e| e.to_string())?;
        let manifest = Manifest::read(&value).map_err(|e| e.to_string())?;
        let Manifest { document, id, version, authority: _, ratify_by, charter } = manifest;
        let reference = CharterRef { version, digest: document.digest };
        let (object, expires_at) = (document.object, document.expires_at);
        Ok(Self { object, id, reference, expires_at, ratify_by, since, charter, text })
    }

    /// Whether the charter still allows things, and for how long.
    #[must_use]
    pub fn lifetime(&self, now: UnixSeconds) -> Lifetime {
        if now >= self.expires_at {
            Lifetime::Ended
        } else if now.plus(EXPIRY_WARNING) >= self.expires_at {
            Lifetime::EndsSoon
        } else {
            Lifetime::Long
        }
    }
}

/// How long a charter still lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// It allows nothing any more; its next version can still be adopted.
    Ended,
    /// Less than 30 days.
    EndsSoon,
    /// Longer.
    Long,
}
