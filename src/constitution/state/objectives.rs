//! Objectives that hold, the verdicts on their error budgets, and plans for those that are spent.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::GatedKind;
use crate::units::{Digest, LogIndex, Seconds, UnixSeconds};

use super::super::action::Mitigation;
use super::super::event::{BudgetVerdict, Event, GateTerms, ObjectRef, SloSetEvent, SloVerdictEvent};
use super::super::proposal::{Outcome, Reply};
use super::{Obligation, State};

/// A version of an objective that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objective {
    /// The objective.
    pub object: ObjectRef,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
    /// What it asks for, in a few words.
    pub summary: String,
    /// When it ends; from then on its verdict is Unknown.
    pub expires_at: UnixSeconds,
    /// What is counted, as a short digest.
    pub counts: String,
    /// Since when that is counted, over all versions that count the same: before, nothing was recorded.
    pub counted_since: UnixSeconds,
    /// Length of its window, the longest if that varies.
    pub window: Seconds,
    /// Which changes it stops.
    pub gate: Option<GateTerms>,
    /// Whether this version ended it.
    pub retired: bool,
    /// The rules of the charter that allowed it.
    pub rules: Vec<String>,
    /// How soon a plan must stand once the budget is spent.
    pub mitigate_within: Option<Seconds>,
    /// Index of its `slo.set`.
    pub since: LogIndex,
    /// The newest verdict; also that on an earlier version, until this one is measured.
    pub verdict: Option<Measured>,
}

/// A verdict that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Measured {
    /// What is known.
    pub verdict: BudgetVerdict,
    /// Since when.
    pub since: UnixSeconds,
    /// Since when the budget counts as spent, if it does.
    pub spent: Option<UnixSeconds>,
    /// Index of its `slo.verdict`.
    pub index: LogIndex,
}

/// A mitigation plan that is not used up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// What it lets happen; `uses` as it was signed.
    pub mitigation: Mitigation,
    /// How many changes it still covers; at least 1.
    pub left: u32,
    /// Index of its `enact`.
    pub index: LogIndex,
}

/// By namespace, then by name.
type ByName<T> = imbl::OrdMap<Arc<str>, imbl::OrdMap<Arc<str>, T>>;

/// Objectives and plans.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Objectives {
    set: ByName<Arc<Objective>>,
    /// By the digest of the command.
    plans: imbl::OrdMap<Digest, Arc<Plan>>,
}

impl Objectives {
    fn of(&self, namespace: &str, name: &str) -> Option<&Arc<Objective>> {
        self.set.get(namespace)?.get(name)
    }

    fn insert(&mut self, objective: Objective) {
        let (namespace, name) = (objective.object.namespace.as_str().into(), objective.object.name.as_str().into());
        self.set.entry(namespace).or_default().insert(name, Arc::new(objective));
    }
}

impl Measured {
    /// Since when the budget counts as spent; `None` when it does not.
    #[must_use]
    pub fn spent_since(&self) -> Option<UnixSeconds> {
        let Self { verdict, since, spent, index: _ } = self;
        spent.or((*verdict == BudgetVerdict::Exhausted).then_some(*since))
    }
}

impl Objective {
    /// Whether it stops changes of this workload of its namespace; `new` for one that is about to be made. A new one is bound
    /// under any name: nobody can tell it from a bound one that was deleted.
    #[must_use]
    pub fn binds(&self, kind: GatedKind, name: &str, new: bool) -> bool {
        !self.retired && self.gate.as_ref().is_some_and(|terms| new || terms.binds(kind, name))
    }
}

impl State {
    /// The version of an objective that holds; also one that ended it.
    #[must_use]
    pub fn objective(&self, namespace: &str, name: &str) -> Option<&Objective> {
        self.objectives.of(namespace, name).map(Arc::as_ref)
    }

    /// Every objective of a namespace.
    pub fn objectives_in(&self, namespace: &str) -> impl Iterator<Item = &Objective> {
        self.objectives.set.get(namespace).into_iter().flat_map(|names| names.values().map(Arc::as_ref))
    }

    /// Every objective.
    pub fn objectives(&self) -> impl Iterator<Item = &Objective> {
        self.objectives.set.values().flat_map(|names| names.values().map(Arc::as_ref))
    }

    /// Every plan that holds now, with the digest of its command.
    pub fn plans(&self, now: UnixSeconds) -> impl Iterator<Item = (&Digest, &Plan)> {
        let all = self.objectives.plans.iter().map(|(digest, plan)| (digest, plan.as_ref()));
        all.filter(move |(_, plan)| now < plan.mitigation.until)
    }

    pub(super) fn set_objective(&mut self, index: LogIndex, event: &SloSetEvent) {
        let SloSetEvent { object, version, digest, summary, expires_at, counts, window, gate, .. } = event;
        let SloSetEvent { retired, mitigate_within, signers: _, charter: _, rules, now, .. } = event;
        let before = self.objectives.of(&object.namespace, &object.name).cloned();
        // What is owed for the objective is owed for its next version.
        if let Some(owed) = before.as_ref().and_then(|b| self.obligations.remove(&b.digest)) {
            let owed = Obligation { command: *digest, ..owed.as_ref().clone() };
            self.obligations.insert(*digest, Arc::new(owed));
        }
        self.objectives.insert(Objective {
            object: object.clone(),
            version: *version,
            digest: *digest,
            summary: summary.clone(),
            expires_at: *expires_at,
            counts: counts.clone(),
            counted_since: before.as_ref().filter(|b| b.counts == *counts).map_or(*now, |b| b.counted_since),
            window: *window,
            gate: gate.clone(),
            retired: *retired,
            rules: rules.clone(),
            mitigate_within: *mitigate_within,
            since: index,
            verdict: before.and_then(|b| b.verdict),
        });
    }

    /// A verdict is kept when it is one on the version that holds; on another one it is only history.
    pub(super) fn set_verdict(&mut self, index: LogIndex, event: &SloVerdictEvent) {
        let SloVerdictEvent { object, digest, verdict, spent, message: _, now } = event;
        let Some(objective) = self.objectives.of(&object.namespace, &object.name) else { return };
        if objective.digest != *digest {
            return;
        }
        let measured = Some(Measured { verdict: *verdict, since: *now, spent: *spent, index });
        let objective = Objective { verdict: measured, ..objective.as_ref().clone() };
        if *verdict == BudgetVerdict::Exhausted
            && !self.obligations.contains_key(digest)
            && let Some(obligation) = Obligation::of_spent_budget(index, &objective, *now)
        {
            self.obligations.insert(*digest, Arc::new(obligation));
        }
        self.objectives.insert(objective);
    }

    pub(super) fn add_plan(&mut self, index: LogIndex, command: Digest, mitigation: &Mitigation, now: UnixSeconds) {
        // What has ended is dropped here, so that State does not grow with history.
        let over = self.objectives.plans.iter().filter(|(_, plan)| now >= plan.mitigation.until);
        let over: Vec<Digest> = over.map(|(command, _)| *command).collect();
        over.iter().for_each(|command| {
            self.objectives.plans.remove(command);
        });
        let plan = Plan { mitigation: mitigation.clone(), left: mitigation.uses, index };
        self.objectives.plans.insert(command, Arc::new(plan));
    }

    /// Takes one use of each of these plans.
    pub(super) fn use_plans(&mut self, plans: &[Digest]) {
        for command in plans {
            let Some(plan) = self.objectives.plans.remove(command) else { continue };
            let left = plan.left.saturating_sub(1);
            if left > 0 {
                self.objectives.plans.insert(*command, Arc::new(Plan { left, ..plan.as_ref().clone() }));
            }
        }
    }

    /// What a measured verdict leads to: an entry when it is another one than before, of the version that holds.
    pub(in super::super) fn observe_verdict(&self, event: &SloVerdictEvent) -> Outcome {
        let SloVerdictEvent { object, digest, verdict, spent, message: _, now: _ } = event;
        let objective = self.objectives.of(&object.namespace, &object.name);
        let news = objective.is_some_and(|o| {
            o.digest == *digest
                && !o.retired
                && o.verdict
                    .is_none_or(|before| (before.verdict, before.spent.is_some()) != (*verdict, spent.is_some()))
        });
        let events = if news { vec![Event::SloVerdict(Box::new(event.clone()))] } else { Vec::new() };
        Outcome { events, reply: Reply::Done }
    }
}
