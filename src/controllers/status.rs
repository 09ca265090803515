//! Status: what people and syncers see of an object. Never an authority; nothing in Miax reads it back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};

use crate::api::condition::{ConditionStatus, ConditionType, Observation, upsert};
use crate::api::reason::{Reason, ReasonClass};
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::events::publish;
use super::{Context, Error};

/// What a reconcile learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Digest of the object.
    pub(super) digest: Option<Digest>,
    /// The newest entry about it.
    pub(super) index: Option<LogIndex>,
    /// The conditions.
    pub(super) conditions: Vec<Observation>,
    /// What only this kind says.
    pub(super) fields: Map<String, Value>,
}

/// Writes what was seen into the status, if that differs from what stands there, and tells of it by Events.
pub(super) async fn write(
    context: &Context,
    resource: &ApiResource,
    manager: &str,
    object: &DynamicObject,
    seen: Seen,
) -> Result<(), Error> {
    let old = object.data.get("status").cloned().unwrap_or(Value::Null);
    let before: Vec<Condition> =
        old.get("conditions").cloned().map(serde_json::from_value).transpose()?.unwrap_or_default();
    let generation = object.meta().generation.unwrap_or_default();
    let after = merged(&before, &seen.conditions, generation, (context.clock)().into());
    let status = status(&seen, generation, &after);
    if status == old {
        return Ok(());
    }
    let api = match object.namespace() {
        Some(namespace) => Api::<DynamicObject>::namespaced_with(context.client.clone(), &namespace, resource),
        None => Api::<DynamicObject>::all_with(context.client.clone(), resource),
    };
    let patch = json!({"apiVersion": resource.api_version, "kind": resource.kind, "status": status});
    let params = PatchParams::apply(manager).force();
    match api.patch_status(&object.name_any(), &params, &Patch::Apply(&patch)).await {
        Ok(_) => {
            publish(context, &object.object_ref(resource), &before, &after).await;
            Ok(())
        }
        // Deleted meanwhile: there is nobody left to tell.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn status(seen: &Seen, generation: i64, conditions: &[Condition]) -> Value {
    let Seen { digest, index, conditions: _, fields } = seen;
    let mut status = json!({"observedGeneration": generation, "conditions": conditions});
    if let Some(map) = status.as_object_mut() {
        let own = fields.iter().filter(|(key, _)| *key != "conditions");
        map.extend(own.map(|(key, value)| (key.clone(), value.clone())));
        map.extend(digest.map(|d| ("digest".to_owned(), Value::from(d.to_string()))));
        map.extend(index.map(|i| ("ledgerIndex".to_owned(), Value::from(i.0))));
    }
    status
}

/// The new conditions: times move only where a state did, so that a second look at an unchanged object writes nothing.
fn merged(before: &[Condition], seen: &[Observation], generation: i64, now: UnixSeconds) -> Vec<Condition> {
    let mut list = before.to_vec();
    let abnormal = seen.iter().find(|o| o.kind == ConditionType::Ready).and_then(abnormal);
    // What is abnormal stands there only while it is so; readers that know Ready alone are not confused by a `False`.
    let gone = [ConditionType::Reconciling, ConditionType::Stalled]
        .into_iter()
        .filter(|kind| abnormal.as_ref().is_none_or(|o| o.kind != *kind));
    for kind in gone {
        list.retain(|condition| condition.type_ != kind.as_str());
    }
    for condition in seen.iter().chain(&abnormal) {
        upsert(&mut list, condition.clone(), generation, now);
    }
    list
}

/// What kstatus calls the state of an object that is not ready: without it, it could not tell waiting from failed.
fn abnormal(ready: &Observation) -> Option<Observation> {
    let kind = match ready.status {
        ConditionStatus::True => return None,
        ConditionStatus::Unknown => ConditionType::Reconciling,
        ConditionStatus::False if may_become_ready(ready.reason) => ConditionType::Reconciling,
        ConditionStatus::False => ConditionType::Stalled,
    };
    Some(Observation { kind, status: ConditionStatus::True, ..ready.clone() })
}

/// Whether time, people or a better view can still make an object ready without anybody changing what is signed.
fn may_become_ready(reason: Reason) -> bool {
    let waits = [
        Reason::EffectRunning,
        Reason::NotYetValid,
        Reason::NoCharter,
        Reason::SeatsMissing,
        Reason::FloorNotMet,
        Reason::ObjectionPresent,
        Reason::ObligationOverdue,
        Reason::RatificationPending,
        Reason::CharterExpiring,
    ];
    waits.contains(&reason) || reason.class() == ReasonClass::Unable
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: ConditionType, status: ConditionStatus, reason: Reason) -> Observation {
        Observation { kind, status, reason, message: "why".into() }
    }

    #[test]
    fn a_second_look_changes_nothing() {
        let done = seen(ConditionType::Succeeded, ConditionStatus::True, Reason::EffectDone);
        let found = Seen {
            digest: Some(Digest([1; 32])),
            index: Some(LogIndex(4)),
            conditions: vec![done],
            fields: Map::new(),
        };
        let first = merged(&[], &found.conditions, 1, UnixSeconds::new(100));
        let second = merged(&first, &found.conditions, 1, UnixSeconds::new(200));
        assert_eq!(first, second);
        assert_eq!(status(&found, 1, &first)["ledgerIndex"], 4);
    }

    #[test]
    fn what_is_not_ready_says_whether_it_waits_or_failed() {
        use ConditionStatus::{False, True, Unknown};
        let check = |status, reason, expected: &[&str]| {
            // Whatever stood there before, only what is so now stays.
            for before in [Reason::SeatsMissing, Reason::Expired] {
                let old = merged(&[], &[seen(ConditionType::Ready, False, before)], 1, UnixSeconds::new(1));
                let new = merged(&old, &[seen(ConditionType::Ready, status, reason)], 1, UnixSeconds::new(2));
                let kinds: Vec<&str> = new.iter().map(|c| c.type_.as_str()).filter(|k| *k != "Ready").collect();
                assert_eq!(kinds, expected, "{reason} after {before}");
                assert!(new.iter().all(|c| c.reason == reason.as_str() && c.message == "why"));
            }
        };
        check(True, Reason::EffectDone, &[]);
        check(Unknown, Reason::EffectRunning, &["Reconciling"]);
        check(False, Reason::SeatsMissing, &["Reconciling"]);
        check(False, Reason::NotYetValid, &["Reconciling"]);
        check(False, Reason::FactsStale, &["Reconciling"]);
        check(False, Reason::CharterExpiring, &["Reconciling"]);
        check(False, Reason::CharterExpired, &["Stalled"]);
        check(False, Reason::EffectFailed, &["Stalled"]);
        check(False, Reason::Vetoed, &["Stalled"]);
    }
}
