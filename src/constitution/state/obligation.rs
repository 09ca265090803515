//! What is owed after a command: State remembers it until it is met.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::event::{EffectBeginEvent, EnactEvent, ObjectRef, SignerRef};
use super::Objective;

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owed {
    /// The post-mortem of a command; a Review meets it.
    PostMortem,
    /// The acknowledgement of an override; an AcknowledgeOverride meets it.
    Acknowledgement,
    /// A plan for a spent error budget; a Mitigate or a Review meets it.
    Mitigation,
}

/// Something that is owed since a command began or was enacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Obligation {
    /// What.
    pub owed: Owed,
    /// Digest of the command; of the objective, for a spent budget.
    pub command: Digest,
    /// The command or objective.
    pub object: ObjectRef,
    /// What it did or asks for, in a few words.
    pub summary: String,
    /// Index of its `effect.begin`, `enact` or `slo.verdict`.
    pub since: LogIndex,
    /// When it must be met.
    pub due: UnixSeconds,
    /// The rules that allow nothing more once it is overdue.
    pub rules: Vec<String>,
    /// Everybody who signed the command: none of them meets it.
    pub involved: BTreeSet<String>,
}

impl Owed {
    /// The words for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PostMortem => "post-mortem",
            Self::Acknowledgement => "acknowledgement",
            Self::Mitigation => "mitigation plan",
        }
    }
}

impl Obligation {
    /// What the begin of an action leaves to be done.
    pub(super) fn of_begin(index: LogIndex, begin: &EffectBeginEvent) -> Option<Self> {
        let EffectBeginEvent { object, digest, summary, signers, rules, post_mortem_due, .. } = begin;
        Self::of(Owed::PostMortem, *post_mortem_due, index, (*digest, object, summary, rules), signers)
    }

    /// What the enactment of an override leaves to be done.
    pub(super) fn of_enactment(index: LogIndex, event: &EnactEvent) -> Option<Self> {
        let EnactEvent { object, digest, summary, signers, rules, acknowledge_due, .. } = event;
        Self::of(Owed::Acknowledgement, *acknowledge_due, index, (*digest, object, summary, rules), signers)
    }

    /// What a spent error budget leaves to be done (Article VII).
    pub(super) fn of_spent_budget(index: LogIndex, objective: &Objective, now: UnixSeconds) -> Option<Self> {
        let Objective { object, digest, summary, rules, mitigate_within, .. } = objective;
        let due = mitigate_within.map(|within| now.plus(within));
        Self::of(Owed::Mitigation, due, index, (*digest, object, summary, rules), &[])
    }

    fn of(
        owed: Owed,
        due: Option<UnixSeconds>,
        since: LogIndex,
        (command, object, summary, rules): (Digest, &ObjectRef, &str, &[String]),
        signers: &[SignerRef],
    ) -> Option<Self> {
        due.map(|due| Self {
            owed,
            command,
            object: object.clone(),
            summary: summary.to_owned(),
            since,
            due,
            rules: rules.to_vec(),
            involved: signers.iter().map(|SignerRef { principal, .. }| principal.clone()).collect(),
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_overdue(&self, now: UnixSeconds) -> bool {
        now >= self.due
    }

    /// The command line that drafts what meets it.
    #[must_use]
    pub fn next_step(&self) -> String {
        match self.owed {
            Owed::PostMortem => format!("miax draft review {} --findings TEXT", self.command),
            Owed::Acknowledgement => format!("miax draft acknowledge-override {}", self.command),
            Owed::Mitigation => {
                let ObjectRef { kind: _, namespace, name } = &self.object;
                format!(
                    "miax draft mitigate WORKLOAD -n {namespace} --slo {name} --objective {} --template DIGEST --for 2h",
                    self.command
                )
            }
        }
    }
}
