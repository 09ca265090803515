//! Standard Kubernetes conditions: their types, and the one way to change a list of them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::reason::Reason;
use crate::units::UnixSeconds;

/// The type of a condition; past tense or adjective.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConditionType {
    /// The signatures verify.
    Verified,
    /// The quorum is complete.
    Approved,
    /// The ledger holds the decision; the message names the index.
    Recorded,
    /// Everything that was said of the command decides; `False` when a rule only tells, or a freeze stops nothing.
    Enforced,
    /// The command's effect is done, or will never be.
    Succeeded,
    /// Only on commands that left something to be done: `Unknown` while there is time, `False` when it is overdue, `True` when it
    /// is done.
    Answered,
    /// Manifest: it is the document in force.
    Active,
    /// SLO: enough of its window is known to tell how much budget is left.
    DataAvailable,
    /// SLO: Prometheus runs exactly its rules.
    RulesLoaded,
    /// Summary: nothing is left to do for this object.
    Ready,
    /// Only there while it is true: it is not ready yet, and may still become so. The word of kstatus.
    Reconciling,
    /// Only there while it is true: as it is now it never becomes ready. The word of kstatus.
    Stalled,
}

impl ConditionType {
    /// The word in `status.conditions[].type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "Verified",
            Self::Approved => "Approved",
            Self::Recorded => "Recorded",
            Self::Enforced => "Enforced",
            Self::Succeeded => "Succeeded",
            Self::Answered => "Answered",
            Self::Active => "Active",
            Self::DataAvailable => "DataAvailable",
            Self::RulesLoaded => "RulesLoaded",
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
        }
    }
}

/// The three states of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}

impl ConditionStatus {
    /// The word in `status.conditions[].status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// What a controller saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// Which condition it is about.
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence for people.
    pub message: String,
}

/// Puts `seen` into `conditions` with the generation it was seen at. `lastTransitionTime` moves only when the status does,
/// so that a second look at an unchanged object changes nothing.
pub fn upsert(conditions: &mut Vec<Condition>, seen: Observation, generation: i64, now: UnixSeconds) {
    let Observation { kind, status, reason, message } = seen;
    let since = |old: Option<&Condition>| match old {
        Some(c) if c.status == status.as_str() => c.last_transition_time.clone(),
        _ => Time(k8s_openapi::jiff::Timestamp::from_second(now.get()).unwrap_or_default()),
    };
    let position = conditions.iter().position(|c| c.type_ == kind.as_str());
    let new = Condition {
        type_: kind.as_str().to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message,
        observed_generation: Some(generation),
        last_transition_time: since(position.and_then(|i| conditions.get(i))),
    };
    match position.and_then(|i| conditions.get_mut(i)) {
        Some(slot) => *slot = new,
        None => conditions.push(new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: ConditionStatus) -> Observation {
        Observation {
            kind: ConditionType::Approved,
            status,
            reason: Reason::QuorumComplete,
            message: "all seats are filled".into(),
        }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let mut list = Vec::new();
        upsert(&mut list, seen(ConditionStatus::True), 1, UnixSeconds::new(100));
        let first = list[0].last_transition_time.clone();
        upsert(&mut list, seen(ConditionStatus::True), 2, UnixSeconds::new(200));
        assert_eq!(list.len(), 1);
        assert_eq!((list[0].last_transition_time.clone(), list[0].observed_generation), (first.clone(), Some(2)));
        upsert(&mut list, seen(ConditionStatus::False), 2, UnixSeconds::new(300));
        assert_ne!(list[0].last_transition_time, first);
    }
}
