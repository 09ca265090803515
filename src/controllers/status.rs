//! Status: what people and syncers see of an object. Never an authority; nothing in Miax reads it back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::api::condition::{Observation, upsert};
use crate::units::{Digest, LogIndex, UnixSeconds};

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
}

/// Writes what was seen into the status, if that differs from what stands there.
pub(super) async fn write(
    context: &Context,
    resource: &ApiResource,
    manager: &str,
    object: &DynamicObject,
    seen: Seen,
) -> Result<(), Error> {
    let old = object.data.get("status").cloned().unwrap_or(Value::Null);
    let status = merged(&old, seen, object.meta().generation.unwrap_or_default(), (context.clock)().into())?;
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
        Ok(_) => Ok(()),
        // Deleted meanwhile: there is nobody left to tell.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The new status: times move only where a state did, so that a second look at an unchanged object writes nothing.
fn merged(old: &Value, seen: Seen, generation: i64, now: UnixSeconds) -> Result<Value, Error> {
    let Seen { digest, index, conditions } = seen;
    let mut list: Vec<Condition> =
        old.get("conditions").cloned().map(serde_json::from_value).transpose()?.unwrap_or_default();
    for condition in conditions {
        upsert(&mut list, condition, generation, now);
    }
    let mut status = json!({"observedGeneration": generation, "conditions": list});
    if let Some(map) = status.as_object_mut() {
        map.extend(digest.map(|d| ("digest".to_owned(), Value::from(d.to_string()))));
        map.extend(index.map(|i| ("ledgerIndex".to_owned(), Value::from(i.0))));
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::condition::{ConditionStatus, ConditionType};
    use crate::api::reason::Reason;

    #[test]
    fn a_second_look_changes_nothing() {
        let seen = || Seen {
            digest: Some(Digest([1; 32])),
            index: Some(LogIndex(4)),
            conditions: vec![Observation {
                kind: ConditionType::Succeeded,
                status: ConditionStatus::True,
                reason: Reason::EffectDone,
                message: "done".into(),
            }],
        };
        let first = merged(&Value::Null, seen(), 1, UnixSeconds::new(100)).expect("status");
        let second = merged(&first, seen(), 1, UnixSeconds::new(200)).expect("status");
        assert_eq!(first, second);
        assert_eq!(first["ledgerIndex"], 4);
    }
}
