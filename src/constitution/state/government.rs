//! What organs decided and what holds: freezes, vetoes, waivers, overrides, incidents, revoked keys. Time alone ends what has
//! an end.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::{StateAction, Target};
use super::super::event::EnactEvent;

/// A decision that stands until something ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Standing {
    /// Digest of the command that decided.
    pub decision: Digest,
    /// The entry.
    pub index: LogIndex,
    /// The organ that its author signed for.
    pub organ: Arc<str>,
    /// When it ends by itself.
    pub until: Option<UnixSeconds>,
}

/// A workload that a rule does not bind for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Waiver {
    /// Name of the rule, or [`FREEZE`](super::super::action::FREEZE).
    pub rule: String,
    /// The workload.
    pub target: Target,
    /// When it ends.
    pub until: UnixSeconds,
    /// The entry.
    pub index: LogIndex,
}

/// Everything that organs decided about what others may do.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Government {
    revoked: imbl::HashMap<Arc<str>, LogIndex>,
    /// By namespace.
    frozen: imbl::OrdMap<Arc<str>, Standing>,
    /// By the command that was vetoed.
    vetoed: imbl::HashMap<Digest, Standing>,
    /// By the decision that is suspended: until when, and the entry.
    overridden: imbl::HashMap<Digest, (UnixSeconds, LogIndex)>,
    waivers: imbl::Vector<Arc<Waiver>>,
    incidents: imbl::HashMap<Arc<str>, LogIndex>,
}

impl Government {
    pub(super) fn revoked(&self, key: &str) -> Option<LogIndex> {
        self.revoked.get(key).copied()
    }

    pub(super) fn incident(&self, name: &str) -> Option<LogIndex> {
        self.incidents.get(name).copied()
    }

    /// The override that suspends a decision now.
    pub(super) fn overridden(&self, decision: &Digest, now: UnixSeconds) -> Option<LogIndex> {
        self.overridden.get(decision).filter(|(until, _)| now < *until).map(|(_, index)| *index)
    }

    fn stands(&self, standing: &Standing, now: UnixSeconds) -> bool {
        standing.until.is_none_or(|until| now < until) && self.overridden(&standing.decision, now).is_none()
    }

    pub(super) fn frozen(&self, namespace: &str, now: UnixSeconds) -> Option<&Standing> {
        self.frozen.get(namespace).filter(|s| self.stands(s, now))
    }

    /// The freeze that holds, or would if it were not overridden.
    pub(super) fn standing_freeze(&self, namespace: &str, now: UnixSeconds) -> Option<&Standing> {
        self.frozen.get(namespace).filter(|s| s.until.is_none_or(|until| now < until))
    }

    pub(super) fn freezes(&self, now: UnixSeconds) -> impl Iterator<Item = (&str, &Standing)> {
        self.frozen.iter().filter(move |(_, s)| self.stands(s, now)).map(|(namespace, s)| (namespace.as_ref(), s))
    }

    pub(super) fn vetoed(&self, command: &Digest, now: UnixSeconds) -> Option<&Standing> {
        self.vetoed.get(command).filter(|s| self.stands(s, now))
    }

    /// The freeze or veto that a command decided, unless it was replaced or has ended.
    pub(super) fn decision(&self, digest: &Digest, now: UnixSeconds) -> Option<&Standing> {
        let all = self.frozen.values().chain(self.vetoed.values());
        all.into_iter().find(|s| s.decision == *digest && s.until.is_none_or(|until| now < until))
    }

    pub(super) fn waivers(&self, now: UnixSeconds) -> impl Iterator<Item = &Waiver> {
        self.waivers.iter().map(Arc::as_ref).filter(move |w| now < w.until)
    }

    pub(super) fn waived(&self, rule: &str, target: &Target, now: UnixSeconds) -> Option<&Waiver> {
        self.waivers(now).find(|w| w.rule == rule && w.target == *target)
    }

    /// Takes in what a command decided. What is not a matter of this module changes nothing here.
    pub(super) fn enact(&mut self, index: LogIndex, event: &EnactEvent, organ: &str) {
        let standing = |until| Standing { decision: event.digest, index, organ: organ.into(), until };
        match &event.action {
            StateAction::RevokeKey { key } => {
                self.revoked.insert(key.as_str().into(), index);
            }
            StateAction::Freeze { namespace, until } => {
                self.frozen.insert(namespace.as_str().into(), standing(*until));
            }
            StateAction::Thaw { namespace } => {
                self.frozen.remove(namespace.as_str());
            }
            StateAction::Veto { command } => {
                self.vetoed.insert(*command, standing(None));
            }
            StateAction::Override { decision, until } => {
                self.overridden.insert(*decision, (*until, index));
            }
            StateAction::Waive { rule, target, until } => {
                // What has ended is dropped here, so that State does not grow with history.
                self.waivers.retain(|w| event.now < w.until);
                let waiver = Waiver { rule: rule.clone(), target: target.clone(), until: *until, index };
                self.waivers.push_back(Arc::new(waiver));
            }
            StateAction::AcknowledgeIncident { incident } => {
                self.incidents.insert(incident.as_str().into(), index);
            }
            StateAction::AcknowledgeOverride { .. }
            | StateAction::Review { .. }
            | StateAction::RatifyAmendment { .. }
            | StateAction::OpenEpoch(_)
            | StateAction::Mitigate(_) => {}
        }
    }
}
