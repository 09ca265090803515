//! State as JSON and back: what a snapshot of the ledger holds, so that whoever starts need not fold everything before it.
//! Equal States have the same JSON, with keys in their order: nothing in it depends on how they came about.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::event::{DecisionEvent, DocumentEvent, EffectBeginEvent, ObjectRef};
use super::charters::{Charters, ChartersForm};
use super::{CommandState, Obligation, Pruned, State, archive, government, objectives, refusals, spelling, witnessing};

/// Every field of State, in the order of their names; what follows from others is not repeated.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Form {
    #[serde(serialize_with = "spelling::whole")]
    archives: archive::Archives,
    #[serde(serialize_with = "spelling::whole")]
    charters: ChartersForm,
    #[serde(serialize_with = "spelling::map")]
    commands: imbl::HashMap<Digest, CommandState>,
    #[serde(serialize_with = "spelling::map")]
    documents: imbl::OrdMap<Digest, imbl::Vector<Arc<DocumentEvent>>>,
    epoch: u16,
    #[serde(serialize_with = "spelling::whole")]
    government: government::Government,
    #[serde(serialize_with = "spelling::map")]
    judged: imbl::HashMap<Arc<str>, (LogIndex, Arc<DecisionEvent>)>,
    judged_order: imbl::Vector<Arc<str>>,
    newest_time: UnixSeconds,
    next: LogIndex,
    #[serde(serialize_with = "spelling::whole")]
    objectives: objectives::Objectives,
    #[serde(serialize_with = "spelling::map")]
    obligations: imbl::OrdMap<Digest, Arc<Obligation>>,
    #[serde(serialize_with = "spelling::whole")]
    pruned: Option<Arc<Pruned>>,
    refusals: refusals::Refusals,
    /// Object, digest and UID, in this order.
    #[serde(serialize_with = "spelling::list")]
    stored: Vec<(ObjectRef, Digest, Arc<str>)>,
    #[serde(serialize_with = "spelling::map")]
    temporary: imbl::OrdMap<Digest, (LogIndex, Arc<EffectBeginEvent>)>,
    #[serde(serialize_with = "spelling::whole")]
    witnessing: witnessing::Witnessing,
}

/// Why a text is not a State.
#[derive(Debug, thiserror::Error)]
pub enum StateFormError {
    /// The text of a charter is not one.
    #[error("a charter in it cannot be read: {0}")]
    Charter(String),
    /// It does not have the fields of this version.
    #[error("it is not the State of a ledger: {0}")]
    Fields(#[from] serde_json::Error),
}

/// With keys in their order: the same text for equal States.
impl Serialize for State {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
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
        let form = Form {
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
        };
        form.serialize(to)
    }
}

impl State {
    /// Reads a State that was written as JSON. Whether it is the State of a ledger is told by whoever vouches for the text.
    ///
    /// # Errors
    /// Every variant of [`StateFormError`].
    pub fn from_json(text: &str) -> Result<Self, StateFormError> {
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
        } = serde_json::from_str(text)?;
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
