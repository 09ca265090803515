//! What the log says about its witnesses: by which policy it runs, and whether it is unwitnessed for too long.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{LogIndex, UnixSeconds};

use super::super::event::{Event, PolicySetEvent, UnwitnessedEvent};
use super::super::proposal::{Outcome, Reply};
use super::{State, StateError};

/// What the log says about its witnesses.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Witnessing {
    policy: Option<Arc<PolicySetEvent>>,
    unwitnessed: Option<(LogIndex, UnixSeconds)>,
}

impl State {
    /// The policy for witnesses; `None` while there never was one.
    #[must_use]
    pub fn witness_policy(&self) -> Option<&PolicySetEvent> {
        self.witnessing.policy.as_deref()
    }

    /// The entry that began the time for which the log is unwitnessed, and since when; `None` while it is witnessed.
    #[must_use]
    pub fn unwitnessed(&self) -> Option<(LogIndex, UnixSeconds)> {
        self.witnessing.unwitnessed
    }

    pub(super) fn set_policy(&mut self, event: &PolicySetEvent) {
        self.witnessing.policy = Some(Arc::new(event.clone()));
    }

    pub(super) fn set_unwitnessed(&mut self, index: LogIndex, event: &UnwitnessedEvent) -> Result<(), StateError> {
        self.witnessing.unwitnessed = match (self.witnessing.unwitnessed, event.until) {
            (None, None) => Some((index, event.since)),
            (Some((_, since)), Some(_)) if since == event.since => None,
            (None, Some(_)) | (Some(_), _) => return Err(StateError::WitnessOrder { index }),
        };
        Ok(())
    }

    /// What running by a policy leads to: an entry when it is another one than before.
    pub(in super::super) fn observe_policy(&self, event: &PolicySetEvent) -> Outcome {
        let same = |known: &PolicySetEvent| {
            let PolicySetEvent { mode, quorum, witnesses, max_age, now: _ } = known;
            (mode, quorum, witnesses, max_age) == (&event.mode, &event.quorum, &event.witnesses, &event.max_age)
        };
        let known = self.witness_policy().is_some_and(same);
        let events = if known { Vec::new() } else { vec![Event::PolicySet(event.clone())] };
        Outcome { events, reply: Reply::Done }
    }

    /// What being unwitnessed for too long, or no longer, leads to: an entry when it is news. The end names the beginning that
    /// is in the log, whoever wrote that.
    pub(in super::super) fn observe_unwitnessed(&self, event: &UnwitnessedEvent) -> Outcome {
        let news = match (self.witnessing.unwitnessed, event.until) {
            (None, None) => Some(event.clone()),
            (Some((_, since)), Some(_)) => Some(UnwitnessedEvent { since, ..event.clone() }),
            (Some(_), None) | (None, Some(_)) => None,
        };
        Outcome { events: news.into_iter().map(Event::Unwitnessed).collect(), reply: Reply::Done }
    }
}
