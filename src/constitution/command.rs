//! A command as closed types.

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::api::v1alpha1::ControlCommandSpec;

use super::action::{Action, read_action};
use super::charter::Impact;
use super::document::{Document, DocumentError, read};

/// A command, parsed. Whoever holds one needs the raw spec no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What every signed document carries.
    pub document: Document,
    /// What to do.
    pub action: Action,
    /// How much is at stake, as the author wrote it.
    pub impact: Impact,
    /// Why.
    pub reason: String,
    /// `metadata.generation` that the target must still have.
    pub generation: Option<i64>,
}

impl Command {
    /// Reads the whole object. Admission, executor and CLI call this one function.
    ///
    /// # Errors
    /// [`DocumentError`] with the reason: a malformed document, an unknown action, a target out of reach.
    pub fn read(object: &Value) -> Result<Self, DocumentError> {
        let (document, spec) = read::<ControlCommandSpec, _>(object, GovernedKind::ControlCommand, |s| {
            (&s.audience, s.not_before.as_deref(), &s.expires_at, &s.signatures)
        })?;
        let action = read_action(&spec.action, &document)?;
        let impact = Impact::parse(&spec.impact).ok_or_else(|| {
            let message = format!("spec.impact: `{}` is not one of Normal, High, Critical", spec.impact);
            DocumentError::new(Reason::FieldInvalid, message)
        })?;
        if spec.reason.trim().is_empty() {
            return Err(DocumentError::new(Reason::FieldInvalid, "spec.reason is empty; say why this is done"));
        }
        let generation = spec.precondition.map(|p| p.generation);
        if generation.is_some() && action.target().is_none() {
            let message = format!("{} changes no workload; a precondition says nothing about it", action.name());
            return Err(DocumentError::new(Reason::FieldInvalid, message));
        }
        Ok(Self { document, action, impact, reason: spec.reason, generation })
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        self.action.summary()
    }

    /// The namespace that rules match: the one that the action is about, or the command's own.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.action.namespace().unwrap_or(&self.document.object.namespace)
    }
}
