//! A command as closed types.

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::api::v1alpha1::ControlCommandSpec;

use super::action::{Action, Target, read_action, read_target};
use super::charter::Impact;
use super::document::{Document, DocumentError, read};

/// A command, parsed. Whoever holds one needs the raw spec no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What every signed document carries.
    pub document: Document,
    /// What to do.
    pub action: Action,
    /// To which workload.
    pub target: Target,
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
        let (action, target) = read_action(&spec.action)?;
        let target = read_target(target, &document)?;
        if !action.exists_for(target.kind) {
            let message = format!("{} does not exist for a {}", action.name(), target.kind.as_str());
            return Err(DocumentError::new(Reason::ActionNotForKind, message));
        }
        let impact = Impact::parse(&spec.impact).ok_or_else(|| {
            let message = format!("spec.impact: `{}` is not one of Normal, High, Critical", spec.impact);
            DocumentError::new(Reason::FieldInvalid, message)
        })?;
        if spec.reason.trim().is_empty() {
            return Err(DocumentError::new(Reason::FieldInvalid, "spec.reason is empty; say why this is done"));
        }
        let generation = spec.precondition.map(|p| p.generation);
        Ok(Self { document, action, target, impact, reason: spec.reason, generation })
    }

    /// What it does, in a few words.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.action {
            Action::Scale { replicas } => format!("Scale {} to {replicas}", self.target),
            Action::Restart => format!("Restart {}", self.target),
            Action::Rollback { revision } => format!("Rollback {} to revision {revision}", self.target),
        }
    }
}
