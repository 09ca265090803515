//! Events about objectives and their error budgets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::api::GatedKind;
pub use crate::slo::budget::Verdict as BudgetVerdict;
use crate::slo::{self, Bound, OnUnknown};
use crate::units::{Digest, Seconds, UnixSeconds};

use super::{CharterRef, ObjectRef, SignerRef};

/// Which changes an objective stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GateTerms {
    /// The workloads of its namespace that it binds; `None` means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workloads: Option<BTreeSet<(GatedKind, String)>>,
    /// What happens while the verdict is Unknown.
    pub on_unknown: OnUnknown,
}

/// A version of an objective that holds from here on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SloSetEvent {
    /// The objective.
    pub object: ObjectRef,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
    /// What it asks for, in a few words: `99.9 % over 30d`.
    pub summary: String,
    /// When it ends; from then on its verdict is Unknown.
    pub expires_at: UnixSeconds,
    /// What is counted, as a short digest: another version that counts the same goes on with what was recorded.
    pub counts: String,
    /// Length of its window, the longest if that varies.
    pub window: Seconds,
    /// Which changes it stops; `None` stops none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<GateTerms>,
    /// Whether this version ends the objective.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// How soon a plan must stand once the budget is spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigate_within: Option<Seconds>,
    /// The verified signatures that carry it.
    pub signers: Vec<SignerRef>,
    /// The charter in force.
    pub charter: CharterRef,
    /// The rules of it that allowed the version.
    pub rules: Vec<String>,
    /// The time that the last check used.
    pub now: UnixSeconds,
}

/// The verdict on an error budget changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SloVerdictEvent {
    /// The objective.
    pub object: ObjectRef,
    /// Digest of the version that was measured.
    pub digest: Digest,
    /// What is known now.
    pub verdict: BudgetVerdict,
    /// Since when it counts as spent, if it does: a time without data does not forgive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<UnixSeconds>,
    /// Why, in words with the numbers.
    pub message: String,
    /// When it was measured.
    pub now: UnixSeconds,
}

impl GateTerms {
    /// Those of a gate, without what only the measuring needs.
    #[must_use]
    pub fn of(gate: &slo::Gate) -> Self {
        let slo::Gate { binds, on_unknown, margin: _, dwell: _ } = gate;
        let workloads = match binds {
            Bound::Everything => None,
            Bound::Named(named) => Some(named.iter().map(|w| (w.kind, w.name.clone())).collect()),
        };
        Self { workloads, on_unknown: *on_unknown }
    }

    /// Whether it binds this workload of its namespace by name.
    #[must_use]
    pub fn binds(&self, kind: GatedKind, name: &str) -> bool {
        let Self { workloads, on_unknown: _ } = self;
        workloads.as_ref().is_none_or(|named| named.iter().any(|(k, n)| (*k, n.as_str()) == (kind, name)))
    }
}
