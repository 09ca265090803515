//! What is owed after a command: State remembers it until it is met.

use std::collections::BTreeSet;

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::event::{EffectBeginEvent, ObjectRef, SignerRef};

/// A post-mortem that is owed since a command began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obligation {
    /// Digest of the command.
    pub command: Digest,
    /// The command.
    pub object: ObjectRef,
    /// What it did, in a few words.
    pub summary: String,
    /// Index of its `effect.begin`.
    pub since: LogIndex,
    /// When the review must be there.
    pub due: UnixSeconds,
    /// The rules that allow nothing more once it is overdue.
    pub rules: Vec<String>,
    /// Everybody who signed the command: none of them reviews it.
    pub involved: BTreeSet<String>,
}

impl Obligation {
    /// What the begin of an action leaves to be done.
    pub(super) fn of(index: LogIndex, begin: &EffectBeginEvent) -> Option<Self> {
        let EffectBeginEvent { object, digest, summary, signers, rules, post_mortem_due, .. } = begin;
        let involved = signers.iter().map(|SignerRef { principal, .. }| principal.clone()).collect();
        post_mortem_due.map(|due| Self {
            command: *digest,
            object: object.clone(),
            summary: summary.clone(),
            since: index,
            due,
            rules: rules.clone(),
            involved,
        })
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_overdue(&self, now: UnixSeconds) -> bool {
        now >= self.due
    }
}
