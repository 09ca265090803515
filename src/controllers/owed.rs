//! What a command left to be done, as its status shows it. State knows what is owed; that it was owed once, and is met, only
//! the status itself remembers.

use kube::api::DynamicObject;
use serde_json::Value;

use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::reason::Reason;
use crate::constitution::{Command, Obligation};
use crate::units::UnixSeconds;

use super::Context;

/// The condition of a command that left something to be done; `None` for all others.
pub(super) fn answered(object: &DynamicObject, command: &Command, context: &Context) -> Option<Observation> {
    let view = context.ledger.view();
    let owed = view.state.obligation(&command.document.digest);
    observe(owed, was_owed(object), (context.clock)().into())
}

fn was_owed(object: &DynamicObject) -> bool {
    let conditions = object.data.pointer("/status/conditions").and_then(Value::as_array);
    let word = ConditionType::Answered.as_str();
    conditions.into_iter().flatten().any(|c| c.get("type").and_then(Value::as_str) == Some(word))
}

fn observe(owed: Option<&Obligation>, was_owed: bool, now: UnixSeconds) -> Option<Observation> {
    let kind = ConditionType::Answered;
    match owed {
        Some(o) => {
            let (status, reason) = match o.is_overdue(now) {
                true => (ConditionStatus::False, Reason::ObligationOverdue),
                false => (ConditionStatus::Unknown, Reason::ObligationDue),
            };
            let message = format!("the {} is due at {}; run: {}", o.owed.as_str(), o.due, o.next_step());
            Some(Observation { kind, status, reason, message })
        }
        None if was_owed => {
            let message = "what was owed for it is done".to_owned();
            Some(Observation { kind, status: ConditionStatus::True, reason: Reason::ObligationMet, message })
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{ObjectRef, Owed};
    use crate::units::{Digest, LogIndex};

    #[test]
    fn what_is_owed_is_due_then_overdue_then_met() {
        let owed = Obligation {
            owed: Owed::PostMortem,
            command: Digest([1; 32]),
            object: ObjectRef::new(crate::api::GovernedKind::ControlCommand, "shop", "scale"),
            summary: "Scale".into(),
            since: LogIndex(4),
            due: UnixSeconds::new(100),
            rules: Vec::new(),
            involved: std::collections::BTreeSet::new(),
        };
        let at = |now| observe(Some(&owed), false, UnixSeconds::new(now)).map(|o| (o.status, o.reason));
        assert_eq!(at(99), Some((ConditionStatus::Unknown, Reason::ObligationDue)));
        assert_eq!(at(100), Some((ConditionStatus::False, Reason::ObligationOverdue)));
        let met = observe(None, true, UnixSeconds::new(100)).map(|o| (o.status, o.reason));
        assert_eq!(met, Some((ConditionStatus::True, Reason::ObligationMet)));
        assert_eq!(observe(None, false, UnixSeconds::new(100)), None, "most commands leave nothing");
    }
}
