//! Guards: ValidatingAdmissionPolicies of the API server itself. They hold while every pod of Miax is gone, and they cover what
//! a webhook cannot guard: its own configuration (R20).
//!
//! Against whoever may change policies they are a hurdle, not a wall; the watchdog notices when one is gone. Loaded by the API
//! server from files they are a wall: the API cannot reach them.

use serde_json::{Value, json};

use crate::api::names::{
    CONTROLLER_ACCOUNT, GATE_ENABLED, GATE_GUARD, GATE_LABEL, GATED_WEBHOOK, GOVERNED_WEBHOOK, GUARDS_GUARD,
    INSTALLATION_GUARD, LEDGER_GUARD, LEDGER_NAMESPACE, STATUS_GUARD, SYSTEM_NAMESPACE, WEBHOOK_ACCOUNT,
};
use crate::api::{GROUP, GovernedKind};

/// Whether the controllers delete what archives hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pruning {
    /// They do, and have the right to.
    On,
    /// Nobody deletes anything.
    Off,
}

/// Every guard: the policies and their bindings.
pub(super) fn guards(pruning: Pruning) -> Vec<Value> {
    [ledger(pruning), status(), installation(), gate_label()].concat()
}

/// Kubernetes loads only such names from files, and lets nobody take one by the API.
const STATIC_SUFFIX: &str = ".static.k8s.io";

/// Every guard in the form that an API server loads from files (KEP-5793), and one more that only such a file can be: the
/// guard of those guards that were made by the API.
#[must_use]
pub fn static_guards(pruning: Pruning) -> Vec<Value> {
    let mut all = guards(pruning);
    all.extend(policies(&all));
    for name in all.iter_mut().flat_map(names_of_policies) {
        if let Some(text) = name.as_str() {
            *name = Value::from(format!("{text}{STATIC_SUFFIX}"));
        }
    }
    all
}

/// Where a policy or binding says a policy's name.
fn names_of_policies(object: &mut Value) -> Vec<&mut Value> {
    let Some(object) = object.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (key, value) in object {
        let name = match key.as_str() {
            "metadata" => value.get_mut("name"),
            "spec" => value.get_mut("policyName"),
            _ => None,
        };
        found.extend(name);
    }
    found
}

/// The name of a service account as the API server knows it.
fn user(account: &str) -> String {
    format!("system:serviceaccount:{SYSTEM_NAMESPACE}:{account}")
}

/// The object that a request is about. A deletion of a collection names none, and its object is the old one.
const OBJECT: &str = "(object == null ? oldObject : object)";

fn guard(name: &str, constraints: &Value, condition: &str, validation: &str, message: &str) -> Vec<Value> {
    let api = "admissionregistration.k8s.io/v1";
    let mut spec = json!({
        "failurePolicy": "Fail",
        "matchConstraints": constraints,
        "validations": [{"expression": validation, "message": message, "reason": "Forbidden"}],
    });
    if let (false, Some(map)) = (condition.is_empty(), spec.as_object_mut()) {
        map.insert("matchConditions".to_owned(), json!([{"name": "of-miax", "expression": condition}]));
    }
    vec![
        json!({"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec}),
        json!({
            "apiVersion": api,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name, "validationActions": ["Deny"]},
        }),
    ]
}

fn resources(group: &str, versions: &str, names: &[&str], operations: &[&str]) -> Value {
    json!({"apiGroups": [group], "apiVersions": [versions], "resources": names, "operations": operations})
}

/// Blocks are created by our accounts and changed by nobody; where the controllers prune, they delete.
fn ledger(pruning: Pruning) -> Vec<Value> {
    let constraints = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": LEDGER_NAMESPACE}},
        "resourceRules": [resources("", "v1", &["configmaps"], &["CREATE", "UPDATE", "DELETE"])],
    });
    // Kubernetes puts its own certificate authority into every namespace.
    let condition = format!("{OBJECT}.metadata.name != 'kube-root-ca.crt'");
    let writers = [WEBHOOK_ACCOUNT, CONTROLLER_ACCOUNT].map(|a| format!("'{}'", user(a))).join(", ");
    let appends = format!("request.operation == 'CREATE' && request.userInfo.username in [{writers}]");
    let prunes =
        format!("request.operation == 'DELETE' && request.userInfo.username == '{}'", user(CONTROLLER_ACCOUNT));
    let validation = match pruning {
        Pruning::On => format!("({appends}) || ({prunes})"),
        Pruning::Off => appends,
    };
    let message = "the ledger is append-only and written by Miax alone";
    guard(LEDGER_GUARD, &constraints, &condition, &validation, message)
}

/// What people and syncers read in a status was written by the controller.
fn status() -> Vec<Value> {
    let names = GovernedKind::ALL.map(|kind| format!("{}/status", kind.plural()));
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let constraints = json!({"resourceRules": [resources(GROUP, "*", &names, &["UPDATE"])]});
    let validation = format!("request.userInfo.username == '{}'", user(CONTROLLER_ACCOUNT));
    guard(
        STATUS_GUARD,
        &constraints,
        "",
        &validation,
        "the status of Miax's objects is written by its controller alone",
    )
}

/// The webhook configuration, the kinds and the namespaces: changed and deleted only by whoever may administer Miax, which
/// is a right of its own and not one over all webhooks or kinds.
fn installation() -> Vec<Value> {
    let constraints = json!({
        "resourceRules": [
            resources(
                "admissionregistration.k8s.io",
                "*",
                &["validatingwebhookconfigurations"],
                &["UPDATE", "DELETE"],
            ),
            resources("apiextensions.k8s.io", "*", &["customresourcedefinitions"], &["UPDATE", "DELETE"]),
            resources("", "v1", &["namespaces"], &["DELETE"]),
        ],
    });
    let kinds = GovernedKind::ALL.map(|kind| format!("'{}.{GROUP}'", kind.plural())).join(", ");
    let condition = format!(
        "{OBJECT}.metadata.name in ['{GOVERNED_WEBHOOK}', '{GATED_WEBHOOK}', {kinds}, '{SYSTEM_NAMESPACE}', '{LEDGER_NAMESPACE}']"
    );
    guard(INSTALLATION_GUARD, &constraints, &condition, &administered(), PART_OF_MIAX)
}

/// Those guards that were made by the API. Kubernetes asks no policy of the API about policies, only those from files.
fn policies(made: &[Value]) -> Vec<Value> {
    let kinds = ["validatingadmissionpolicies", "validatingadmissionpolicybindings"];
    let rules = resources("admissionregistration.k8s.io", "*", &kinds, &["UPDATE", "DELETE"]);
    // A policy and its binding have the same name.
    let names = made.iter().filter_map(|guard| guard.pointer("/spec/policyName")?.as_str());
    let names: Vec<String> = names.map(|name| format!("'{name}'")).collect();
    let condition = format!("{OBJECT}.metadata.name in [{}]", names.join(", "));
    guard(GUARDS_GUARD, &json!({"resourceRules": [rules]}), &condition, &administered(), PART_OF_MIAX)
}

const PART_OF_MIAX: &str = "this is part of Miax; it needs the verb `administer` on manifests.miax.dev";

/// Whether the requester may change what belongs to Miax.
fn administered() -> String {
    // The controller keeps the caBundle; RBAC lets it patch this one configuration only.
    format!(
        "request.userInfo.username == '{}' || authorizer.group('{GROUP}').resource('manifests').check('administer').allowed()",
        user(CONTROLLER_ACCOUNT)
    )
}

/// A namespace that opted in to the gate stays in: whoever works in it, or may change its labels, cannot take it out.
fn gate_label() -> Vec<Value> {
    // Through its subresources the labels change too.
    let names = ["namespaces", "namespaces/status", "namespaces/finalize"];
    let constraints = json!({"resourceRules": [resources("", "v1", &names, &["UPDATE"])]});
    let enabled = |object: &str| format!("{object}.metadata.?labels['{GATE_LABEL}'].orValue('') == '{GATE_ENABLED}'");
    let validation = format!(
        "{} || authorizer.group('{GROUP}').resource('manifests').check('administer').allowed()",
        enabled("object")
    );
    let message =
        "the namespace opted in to the gate of Miax; to take it out needs the verb `administer` on manifests.miax.dev";
    guard(GATE_GUARD, &constraints, &enabled("oldObject"), &validation, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_guards_have_names_that_the_api_cannot_take() {
        let made = guards(Pruning::Off);
        let from_files = static_guards(Pruning::Off);
        assert_eq!(from_files.len(), made.len() + 2, "one guard more, with its binding");
        let names = |all: &[Value], pointer: &str| {
            let found = all.iter().filter_map(|o| o.pointer(pointer)).map(|n| n.as_str().expect("a name").to_owned());
            found.collect::<Vec<_>>()
        };
        for pointer in ["/metadata/name", "/spec/policyName"] {
            let expected: Vec<String> = names(&made, pointer).iter().map(|n| format!("{n}{STATIC_SUFFIX}")).collect();
            let found = names(&from_files, pointer);
            assert_eq!(found[..expected.len()], expected);
            assert!(found.iter().all(|n| n.ends_with(STATIC_SUFFIX)), "{found:?}");
        }
    }
}
