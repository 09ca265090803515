//! A signed objective as closed types.

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::api::v1alpha1::SloSpec;
use crate::slo::{self, Life};

use super::document::{Document, DocumentError, read};

/// A version of an objective, parsed.
#[derive(Clone, Debug)]
pub struct SloDocument {
    /// What every signed document carries.
    pub document: Document,
    /// What is asked for, and how it is measured.
    pub slo: slo::Slo,
}

impl SloDocument {
    /// Reads the whole object. Admission, controller and CLI call this one function.
    ///
    /// # Errors
    /// [`DocumentError`] with the reason: a malformed document, or an objective that cannot be measured.
    pub fn read(object: &Value) -> Result<Self, DocumentError> {
        let (document, spec) =
            read::<SloSpec, _>(object, GovernedKind::Slo, |s| (&s.audience, None, &s.expires_at, &s.signatures))?;
        let slo = slo::Slo::try_from(&spec).map_err(|e| DocumentError::new(Reason::FieldInvalid, e.to_string()))?;
        Ok(Self { document, slo })
    }

    /// What it asks for, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        let end = match self.slo.life {
            Life::Active => "",
            Life::Retired => ", the last one",
        };
        format!("version {}{end}: {}", self.slo.version, self.asks_for())
    }

    /// The objective itself: `99.9 % over 30d`.
    #[must_use]
    pub fn asks_for(&self) -> String {
        format!("{} % over {}", self.slo.objective, self.slo.window)
    }
}
