//! What is owed after a command: State remembers it until it is met.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::event::{EffectBeginEvent, EnactEvent, ObjectRef, SignerRef};

/// What has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Owed {
    /// The post-mortem of a command; a Review meets it.
    PostMortem,
    /// The acknowledgement of an override; an AcknowledgeOverride meets it.
    Acknowledgement,
}

/// Something that is owed since a command began or was enacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Obligation {
    /// What.
    pub owed: Owed,
    /// Digest of the command.
    pub command: Digest,
    /// The command.
    pub object: ObjectRef,
    /// What it did, in a few words.
    pub summary: String,
    /// Index of its `effect.begin` or `enact`.
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
        }
    }
}
