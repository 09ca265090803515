//! The event that stands for many refusals that were not written one by one (ADR 0015).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::decision::Verdict;
use super::DecisionEvent;

/// What refusals are counted together by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FloodSource {
    /// Who sent the requests.
    pub actor: String,
    /// The first reason of each refusal.
    pub reason: Reason,
    /// Kind of the objects.
    pub kind: String,
}

/// Refusals that were answered but not written one by one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FloodEvent {
    /// Whose they are; absent when they come from more sources than are told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<FloodSource>,
    /// How many.
    pub count: u64,
    /// When the first was judged.
    pub first: UnixSeconds,
    /// When the last was judged.
    pub last: UnixSeconds,
    /// RFC 6962 root over the hashes of all of them, in the order in which they came. The leaf of each is the canonical JSON
    /// of its fields as a decision.
    pub root: Digest,
    /// How many entries the ledger had when the sample was judged.
    pub after: LogIndex,
    /// The first of them, whole.
    pub sample: Arc<DecisionEvent>,
}

impl FloodSource {
    /// What a refusal is counted by; `None` for what is no refusal.
    #[must_use]
    pub fn of(event: &DecisionEvent) -> Option<Self> {
        let reason = event.findings.first().map_or(Reason::RuleFailed, |f| f.reason);
        let refused = event.verdict == Verdict::Deny;
        refused.then(|| Self { actor: event.actor.clone(), reason, kind: event.object.kind.clone() })
    }
}

impl FloodEvent {
    /// What its fields say against each other, in a sentence; `None` when they fit.
    #[must_use]
    pub fn contradiction(&self) -> Option<&'static str> {
        let Self { source, count, first, last, root: _, after: _, sample } = self;
        let of_sample = FloodSource::of(sample);
        if of_sample.is_none() {
            Some("its sample is no refusal")
        } else if source.is_some() && *source != of_sample {
            Some("its sample is not of the source that it names")
        } else if *count == 0 {
            Some("it stands for nothing")
        } else if sample.now != *first || last < first {
            Some("its times contradict each other")
        } else {
            None
        }
    }
}
