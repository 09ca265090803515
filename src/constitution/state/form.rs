//! State as a value and back: what a snapshot of the ledger holds, so that whoever starts need not fold everything before it.
//! Equal States have the same JSON, with keys in their order: nothing in it depends on how they came about.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::event::{DecisionEvent, DocumentEvent, EffectBeginEvent, ObjectRef};
use super::charters::{Charters, ChartersForm};
use super::{CommandState, Obligation, Pruned, State, archive, government, objectives, refusals, witnessing};

/// Every field of State; what follows from others is not repeated.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    charters: ChartersForm,
    documents: imbl::OrdMap<Digest, imbl::Vector<Arc<DocumentEvent>>>,
    commands: imbl::HashMap<Digest, CommandState>,
    government: government::Government,
    temporary: imbl::OrdMap<Digest, (LogIndex, Arc<EffectBeginEvent>)>,
    obligations: imbl::OrdMap<Digest, Arc<Obligation>>,
    objectives: objectives::Objectives,
    /// Object, digest and UID, in this order.
    stored: Vec<(ObjectRef, Digest, Arc<str>)>,
    judged: imbl::HashMap<Arc<str>, (LogIndex, Arc<DecisionEvent>)>,
    judged_order: imbl::Vector<Arc<str>>,
    refusals: refusals::Refusals,
    witnessing: witnessing::Witnessing,
    archives: archive::Archives,
    pruned: Option<Arc<Pruned>>,
    epoch: u16,
    newest_time: UnixSeconds,
    next: LogIndex,
}

/// Why a value is not a State.
#[derive(Debug, thiserror::Error)]
pub enum StateFormError {
    /// The text of a charter is not one.
    #[error("a charter in it cannot be read: {0}")]
    Charter(String),
    /// It does not have the fields of this version.
    #[error("it is not the State of a ledger: {0}")]
    Fields(#[from] serde_json::Error),
}

impl State {
    /// State as JSON; with keys in their order it is the same for equal States.
    ///
    /// # Errors
    /// [`StateFormError::Fields`] never in practice: every field can be written.
    pub fn to_value(&self) -> Result<Value, StateFormError> {
        let Self {
            charters,
            documents,
            commands,
            open: _,
            government,
            temporary,
            obligations,
            objectives,
            stored,
            judged,
            judged_order,
            refusals,
            witnessing,
            archives,
            pruned,
            epoch,
            newest_time,
            next,
        } = self.clone();
        let mut stored: Vec<_> = stored.into_iter().map(|((object, digest), uid)| (object, digest, uid)).collect();
        stored.sort();
        let charters = charters.form();
        Ok(serde_json::to_value(Form {
            charters,
            documents,
            commands,
            government,
            temporary,
            obligations,
            objectives,
            stored,
            judged,
            judged_order,
            refusals,
            witnessing,
            archives,
            pruned,
            epoch,
            newest_time,
            next,
        })?)
    }

    /// Reads what [`State::to_value`] wrote. Whether it is the State of a ledger is told by whoever vouches for the bytes.
    ///
    /// # Errors
    /// Every variant of [`StateFormError`].
    pub fn from_value(value: Value) -> Result<Self, StateFormError> {
        let Form {
            charters,
            documents,
            commands,
            government,
            temporary,
            obligations,
            objectives,
            stored,
            judged,
            judged_order,
            refusals,
            witnessing,
            archives,
            pruned,
            epoch,
            newest_time,
            next,
        } = serde_json::from_value(value)?;
        let open = commands.iter().filter(|(_, state)| state.is_open()).map(|(digest, state)| (state.index(), *digest));
        Ok(Self {
            charters: Charters::of_form(charters).map_err(StateFormError::Charter)?,
            open: open.collect(),
            documents,
            commands,
            government,
            temporary,
            obligations,
            objectives,
            stored: stored.into_iter().map(|(object, digest, uid)| ((object, digest), uid)).collect(),
            judged,
            judged_order,
            refusals,
            witnessing,
            archives,
            pruned,
            epoch,
            newest_time,
            next,
        })
    }
}
