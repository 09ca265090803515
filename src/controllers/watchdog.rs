//! The watchdog: notices when what keeps the constitution enforced is removed or weakened, and shouts until it is back.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client};
use serde_json::Value;

use crate::telemetry::Metrics;

/// How often it looks; a removal is noticed within 30 s, with time for a slow answer.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks for ever at the guards as they were declared: policies, bindings, webhook configurations.
pub async fn watchdog(client: Client, guards: Vec<Value>, metrics: Arc<Metrics>) {
    loop {
        let mut broken = 0;
        for declared in &guards {
            if let Err(what) = look(&client, declared).await {
                broken += 1;
                let text = |pointer| declared.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                tracing::error!(
                    kind = text("/kind"),
                    name = text("/metadata/name"),
                    what,
                    "a guard of Miax does not hold"
                );
            }
        }
        metrics.guards_broken(broken);
        tokio::time::sleep(PERIOD).await;
    }
}

async fn look(client: &Client, declared: &Value) -> Result<(), String> {
    let text = |pointer| declared.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let resource = match text("/kind") {
        "ValidatingAdmissionPolicy" => ApiResource::erase::<ValidatingAdmissionPolicy>(&()),
        "ValidatingAdmissionPolicyBinding" => ApiResource::erase::<ValidatingAdmissionPolicyBinding>(&()),
        "ValidatingWebhookConfiguration" => ApiResource::erase::<ValidatingWebhookConfiguration>(&()),
        other => return Err(format!("`{other}` is not a kind of guard")),
    };
    let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
    let live = api.get_opt(text("/metadata/name")).await.map_err(|e| e.to_string())?;
    let live = live.ok_or_else(|| "it is gone; install the chart again".to_owned())?;
    let live = serde_json::to_value(live).map_err(|e| e.to_string())?;
    match first_difference(declared, &live, "") {
        None => Ok(()),
        Some(path) => Err(format!("`{path}` is not as it was installed; install the chart again")),
    }
}

/// What the API server fills in, or others own: it narrows nothing.
const FILLED_IN: [&str; 3] = ["/metadata", "/status", "/webhooks/0/clientConfig"];

/// The path of the first field that is not as declared. A field that was not declared must be empty or say "everything":
/// a selector or condition more would let requests pass by.
fn first_difference(declared: &Value, live: &Value, path: &str) -> Option<String> {
    if FILLED_IN.contains(&path) {
        return None;
    }
    match (declared, live) {
        (Value::Object(a), Value::Object(b)) => {
            let differs = a.iter().find_map(|(key, value)| {
                first_difference(value, b.get(key).unwrap_or(&Value::Null), &format!("{path}/{key}"))
            });
            let added = || {
                let more = b.iter().filter(|(key, _)| !a.contains_key(*key));
                more.map(|(key, value)| (format!("{path}/{key}"), value))
                    .find(|(path, value)| !FILLED_IN.contains(&path.as_str()) && !is_neutral(value))
                    .map(|(path, _)| path)
            };
            differs.or_else(added)
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (x, y))| first_difference(x, y, &format!("{path}/{i}")))
        }
        (a, b) => (a != b).then(|| path.to_owned()),
    }
}

/// Whether a field that was not declared only says what is the default.
fn is_neutral(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_neutral),
        Value::Array(list) => list.is_empty(),
        Value::String(word) => ["*", "Equivalent"].contains(&word.as_str()),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_are_fine_and_every_weakening_is_named() {
        let declared = json!({
            "kind": "A", "metadata": {"name": "a"},
            "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [{"resources": ["x"]}]}},
        });
        let stored = json!({
            "kind": "A", "metadata": {"name": "a", "uid": "u"}, "status": {"observedGeneration": 1},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
                    "resourceRules": [{"resources": ["x"], "scope": "*"}],
                },
            },
        });
        assert_eq!(first_difference(&declared, &stored, ""), None);
        let weaker = |pointer: &str, value: Value| {
            let mut live = stored.clone();
            *live.pointer_mut(pointer).expect("a field") = value;
            first_difference(&declared, &live, "")
        };
        let named = |path: &str| Some(path.to_owned());
        assert_eq!(weaker("/spec/failurePolicy", json!("Ignore")), named("/spec/failurePolicy"));
        let selector = "/spec/matchConstraints/namespaceSelector";
        assert_eq!(weaker(selector, json!({"matchLabels": {"a": "b"}})), named(selector));
        let rules = "/spec/matchConstraints/resourceRules";
        assert_eq!(weaker(rules, json!([])), named(rules));
        assert_eq!(weaker("/spec", json!({})), named("/spec/failurePolicy"));
        let condition = json!({"failurePolicy": "Fail", "matchConditions": [{"name": "a"}],
            "matchConstraints": {"resourceRules": [{"resources": ["x"]}]}});
        assert_eq!(weaker("/spec", condition), named("/spec/matchConditions"));
    }
}
