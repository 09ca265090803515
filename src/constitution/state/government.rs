//! What organs decided and what holds: freezes, vetoes, waivers, overrides, incidents, revoked keys. Time alone ends what has
//! an end.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::{Calendar, StateAction, Target};
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

/// A freeze of a namespace that nobody ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Freeze {
    /// Who decided it, and when it ends.
    pub standing: Standing,
    /// When it holds; `None` means always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<Calendar>,
    /// Organs that must all sign a waiver for it; empty means those that may thaw.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub way_out: BTreeSet<String>,
    /// It does not hold before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<UnixSeconds>,
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
    /// By namespace, in the order of the ledger.
    frozen: imbl::OrdMap<Arc<str>, imbl::Vector<Arc<Freeze>>>,
    /// By the command that was vetoed.
    vetoed: imbl::HashMap<Digest, Standing>,
    /// By the decision that is suspended: until when, and the entry.
    overridden: imbl::HashMap<Digest, (UnixSeconds, LogIndex)>,
    waivers: imbl::Vector<Arc<Waiver>>,
    incidents: imbl::HashMap<Arc<str>, LogIndex>,
}

impl Standing {
    /// Whether it has not ended by itself.
    #[must_use]
    pub fn lasts(&self, now: UnixSeconds) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl Freeze {
    /// Whether it stops changes at `now`, unless it is overridden.
    #[must_use]
    pub fn holds(&self, now: UnixSeconds) -> bool {
        let Self { standing, calendar, way_out: _, rests_until } = self;
        standing.lasts(now)
            && rests_until.is_none_or(|until| until <= now)
            && calendar.as_ref().is_none_or(|calendar| calendar.holds(now))
    }

    /// Whether a thaw is about it: one that names it, or one of the whole namespace; that lets a calendar rest, and does not end it.
    #[must_use]
    pub fn meant_by(&self, named: Option<&Digest>, rest: Option<UnixSeconds>) -> bool {
        match named {
            Some(digest) => self.standing.decision == *digest,
            None => self.calendar.is_none() || rest.is_some(),
        }
    }
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

    /// Freezes that stop changes of the namespace now.
    pub(super) fn freezing(&self, namespace: &str, now: UnixSeconds) -> impl Iterator<Item = &Freeze> {
        let holding = self.freezes_of(namespace, now).filter(move |f| f.holds(now));
        holding.filter(move |f| self.overridden(&f.standing.decision, now).is_none())
    }

    /// Freezes of the namespace that nobody ended, whether or not they hold now.
    pub(super) fn freezes_of(&self, namespace: &str, now: UnixSeconds) -> impl Iterator<Item = &Freeze> {
        let all = self.frozen.get(namespace).into_iter().flatten();
        all.map(Arc::as_ref).filter(move |f| f.standing.lasts(now))
    }

    pub(super) fn freezes(&self, now: UnixSeconds) -> impl Iterator<Item = (&str, &Freeze)> {
        let all = self.frozen.iter().flat_map(|(namespace, list)| list.iter().map(move |f| (namespace, f)));
        all.map(|(namespace, f)| (namespace.as_ref(), f.as_ref())).filter(move |(_, f)| f.standing.lasts(now))
    }

    pub(super) fn vetoed(&self, command: &Digest, now: UnixSeconds) -> Option<&Standing> {
        self.vetoed.get(command).filter(|s| s.lasts(now) && self.overridden(&s.decision, now).is_none())
    }

    /// The freeze or veto that a command decided, unless it has ended.
    pub(super) fn decision(&self, digest: &Digest, now: UnixSeconds) -> Option<&Standing> {
        let freezes = self.frozen.values().flatten().map(|f| &f.standing);
        freezes.chain(self.vetoed.values()).find(|s| s.decision == *digest && s.lasts(now))
    }

    pub(super) fn waivers(&self, now: UnixSeconds) -> impl Iterator<Item = &Waiver> {
        self.waivers.iter().map(Arc::as_ref).filter(move |w| now < w.until)
    }

    pub(super) fn waived(&self, rule: &str, target: &Target, now: UnixSeconds) -> Option<&Waiver> {
        self.waivers(now).filter(|w| w.rule == rule && w.target == *target).last()
    }

    fn thaw(&mut self, namespace: &str, named: Option<&Digest>, rest: Option<UnixSeconds>) {
        let Some(mut list) = self.frozen.get(namespace).cloned() else { return };
        match rest {
            None => list.retain(|f| !f.meant_by(named, rest)),
            Some(until) => {
                for freeze in list.iter_mut().filter(|f| f.meant_by(named, rest)) {
                    let freeze = Arc::make_mut(freeze);
                    // A thaw makes no rest shorter.
                    freeze.rests_until = freeze.rests_until.max(Some(until));
                }
            }
        }
        if list.is_empty() {
            self.frozen.remove(namespace);
        } else {
            self.frozen.insert(namespace.into(), list);
        }
    }

    /// Takes in what a command decided. What is not a matter of this module changes nothing here.
    pub(super) fn enact(&mut self, index: LogIndex, event: &EnactEvent, organ: &str) {
        let standing = |until| Standing { decision: event.digest, index, organ: organ.into(), until };
        match &event.action {
            StateAction::RevokeKey { key } => {
                self.revoked.insert(key.as_str().into(), index);
            }
            StateAction::Freeze { namespace, until, calendar, way_out } => {
                let (calendar, way_out) = (calendar.clone(), way_out.clone());
                let freeze = Freeze { standing: standing(*until), calendar, way_out, rests_until: None };
                let mut list = self.frozen.get(namespace.as_str()).cloned().unwrap_or_default();
                // What has ended is dropped here, so that State does not grow with history.
                list.retain(|f| f.standing.lasts(event.now));
                list.push_back(Arc::new(freeze));
                self.frozen.insert(namespace.as_str().into(), list);
            }
            StateAction::Thaw { namespace, freeze, until } => self.thaw(namespace, freeze.as_ref(), *until),
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
