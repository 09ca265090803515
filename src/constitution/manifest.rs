//! A manifest as closed types.

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::api::v1alpha1::{ManifestBody, ManifestSpec};

use crate::units::UnixSeconds;

use super::charter::Charter;
use super::document::{Document, DocumentError, read, time};

/// A manifest, parsed. Its body is a charter: the only body that this version knows.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// What every signed document carries.
    pub document: Document,
    /// Name of the document; all its versions share it.
    pub id: String,
    /// Its version.
    pub version: u64,
    /// The organ under whose authority it stands.
    pub authority: String,
    /// Until when it must be ratified; only for an emergency amendment.
    pub ratify_by: Option<UnixSeconds>,
    /// The charter.
    pub charter: Charter,
}

impl Manifest {
    /// Reads the whole object. Admission, controller, fold and CLI call this one function.
    ///
    /// # Errors
    /// [`DocumentError`] with the reason: a malformed document, a name that is not `<id>-v<version>`, a charter that
    /// cannot be understood.
    pub fn read(object: &Value) -> Result<Self, DocumentError> {
        let (document, spec) = read::<ManifestSpec, _>(object, GovernedKind::Manifest, |s| {
            (&s.audience, None, &s.expires_at, &s.signatures)
        })?;
        let ManifestBody { charter } = &spec.body;
        let charter = charter.as_ref().ok_or_else(|| {
            DocumentError::new(Reason::FieldInvalid, "spec.body must hold exactly one document: charter")
        })?;
        let version = u64::try_from(spec.version).ok().filter(|v| *v > 0).ok_or_else(|| {
            DocumentError::new(Reason::FieldInvalid, format!("spec.version is {}; it must be at least 1", spec.version))
        })?;
        let expected = format!("{}-v{version}", spec.id);
        if document.object.name != expected {
            let message = format!("metadata.name is `{}`; it must be `{expected}`", document.object.name);
            return Err(DocumentError::new(Reason::NameInvalid, message));
        }
        let charter = Charter::try_from(charter).map_err(|e| DocumentError::new(Reason::CharterLint, e.to_string()))?;
        let ratify_by = spec.ratify_by.as_deref().map(|t| time("spec.ratifyBy", t)).transpose()?;
        if ratify_by.is_some_and(|by| by > document.expires_at) {
            return Err(DocumentError::new(Reason::FieldInvalid, "spec.ratifyBy is later than spec.expiresAt"));
        }
        Ok(Self { document, id: spec.id, version, authority: spec.authority, ratify_by, charter })
    }

    /// What it is, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let emergency = self.ratify_by.map(|by| format!(", in force until {by} unless ratified")).unwrap_or_default();
        format!("charter {} version {}{emergency}", self.id, self.version)
    }
}
