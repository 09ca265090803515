//! Events: what changed about an object, told once to whoever watches it. Never an authority, and nothing waits for them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{Event, EventType};

use crate::api::condition::{ConditionStatus, ConditionType};
use crate::api::reason::{Reason, ReasonClass};

use super::Context;

/// What people wait for. The other conditions say the same in other words.
const TOLD: [ConditionType; 6] = [
    ConditionType::Approved,
    ConditionType::Enforced,
    ConditionType::Succeeded,
    ConditionType::Answered,
    ConditionType::Active,
    ConditionType::Ready,
];
/// Longest note that Kubernetes takes, in bytes.
pub(super) const LONGEST_NOTE: usize = 1024;
/// An Event that takes longer is lost: the reconcile goes on.
const DEADLINE: Duration = Duration::from_secs(2);

/// Writes one Event for each change between the conditions before and after.
pub(super) async fn publish(context: &Context, object: &ObjectReference, before: &[Condition], after: &[Condition]) {
    for event in events(before, after) {
        let sent = tokio::time::timeout(DEADLINE, context.events.publish(&event, object)).await;
        let failed = match sent {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the API server did not answer in time".to_owned(),
        };
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let name = object.name.as_deref().unwrap_or_default();
        tracing::warn!(namespace, name, reason = event.reason, error = failed, "an Event was not written");
    }
}

/// One Event for each reason for which a condition has another status than before.
fn events(before: &[Condition], after: &[Condition]) -> Vec<Event> {
    let changed = |now: &&Condition| !before.iter().any(|old| old.type_ == now.type_ && old.status == now.status);
    let told = TOLD.iter().filter_map(|kind| after.iter().find(|c| c.type_ == kind.as_str())).filter(changed);
    let mut events: Vec<Event> = Vec::new();
    for condition in told {
        // A summary for the same reason is the same news.
        if !events.iter().any(|e| e.reason == condition.reason) {
            events.push(event(condition));
        }
    }
    events
}

fn event(condition: &Condition) -> Event {
    let fine = condition.status != ConditionStatus::False.as_str()
        || Reason::ALL.iter().any(|r| r.as_str() == condition.reason && r.class() == ReasonClass::Allowed);
    let message = &condition.message;
    Event {
        type_: if fine { EventType::Normal } else { EventType::Warning },
        reason: condition.reason.clone(),
        note: message.get(..message.floor_char_boundary(LONGEST_NOTE)).map(str::to_owned),
        action: condition.type_.clone(),
        secondary: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{Observation, upsert};
    use crate::units::UnixSeconds;

    fn conditions(all: &[(ConditionType, ConditionStatus, Reason, &str)]) -> Vec<Condition> {
        let mut list = Vec::new();
        for (kind, status, reason, message) in all {
            let (kind, status, reason, message) = (*kind, *status, *reason, (*message).to_owned());
            upsert(&mut list, Observation { kind, status, reason, message }, 1, UnixSeconds::new(1));
        }
        list
    }

    #[track_caller]
    fn check(before: &[Condition], after: &[Condition], expected: &[(&str, &str, EventType)]) {
        let found = events(before, after);
        let found: Vec<_> = found.iter().map(|e| (e.action.as_str(), e.reason.as_str(), e.type_)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_transition_is_told_once() {
        use ConditionStatus::{False, True, Unknown};
        use ConditionType::{Active, Approved, Ready, Recorded, Succeeded, Verified};
        let (normal, warning) = (EventType::Normal, EventType::Warning);
        let waits = conditions(&[
            (Verified, False, Reason::SeatsMissing, ""),
            (Approved, False, Reason::SeatsMissing, ""),
            (Succeeded, False, Reason::SeatsMissing, ""),
            (Ready, False, Reason::SeatsMissing, ""),
        ]);
        let state = |status, reason| {
            conditions(&[
                (Verified, True, Reason::QuorumComplete, ""),
                (Approved, True, Reason::QuorumComplete, ""),
                (Recorded, True, Reason::QuorumComplete, ""),
                (Succeeded, status, reason, ""),
                (Ready, status, reason, ""),
            ])
        };
        let (running, done) = (state(Unknown, Reason::EffectRunning), state(True, Reason::EffectDone));
        check(&[], &waits, &[("Approved", "SeatsMissing", warning)]);
        check(&waits, &waits, &[]);
        check(&waits, &running, &[("Approved", "QuorumComplete", normal), ("Succeeded", "EffectRunning", normal)]);
        let held = conditions(&[
            (Approved, False, Reason::SeatsMissing, ""),
            (Succeeded, Unknown, Reason::Held, ""),
            (Ready, False, Reason::SeatsMissing, ""),
        ]);
        check(&[], &held, &[("Approved", "SeatsMissing", warning), ("Succeeded", "Held", normal)]);
        check(&running, &done, &[("Succeeded", "EffectDone", normal)]);
        check(&running, &state(False, Reason::EffectFailed), &[("Succeeded", "EffectFailed", warning)]);
        check(&done, &done, &[]);

        let charter = |active, ready, reason| conditions(&[(Active, active, reason, ""), (Ready, ready, reason, "")]);
        let adopted = charter(True, True, Reason::Adopted);
        check(&[], &adopted, &[("Active", "Adopted", normal)]);
        check(&adopted, &charter(True, False, Reason::CharterExpiring), &[("Ready", "CharterExpiring", warning)]);
        check(&adopted, &charter(False, True, Reason::Superseded), &[("Active", "Superseded", normal)]);
    }

    #[test]
    fn a_note_is_never_longer_than_kubernetes_takes() {
        let long = "é".repeat(LONGEST_NOTE);
        let after = conditions(&[(ConditionType::Ready, ConditionStatus::False, Reason::Expired, &format!("a{long}"))]);
        let note = events(&[], &after).remove(0).note.expect("a note");
        assert_eq!(note.len(), LONGEST_NOTE - 1, "a letter is not cut in two");
    }
}
