//! Guards: ValidatingAdmissionPolicies of the API server itself. They hold while every pod of Miax is gone, and they cover what
//! a webhook cannot guard: its own configuration (R20).
//!
//! Against whoever may change policies they are a hurdle, not a wall; the watchdog notices when one is gone.

use serde_json::{Value, json};

use crate::api::names::{
    CONTROLLER_ACCOUNT, GATE_ENABLED, GATE_GUARD, GATE_LABEL, GATED_WEBHOOK, GOVERNED_WEBHOOK, INSTALLATION_GUARD,
    LEDGER_GUARD, LEDGER_NAMESPACE, STATUS_GUARD, SYSTEM_NAMESPACE, WEBHOOK_ACCOUNT,
};
use crate::api::{GROUP, GovernedKind};

/// Every guard: the policies and their bindings.
pub(super) fn guards() -> Vec<Value> {
    [ledger(), status(), installation(), gate_label()].concat()
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

/// Blocks are created by our accounts and touched by nobody.
fn ledger() -> Vec<Value> {
    let constraints = json!({
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": LEDGER_NAMESPACE}},
        "resourceRules": [resources("", "v1", &["configmaps"], &["CREATE", "UPDATE", "DELETE"])],
    });
    // Kubernetes puts its own certificate authority into every namespace.
    let condition = format!("{OBJECT}.metadata.name != 'kube-root-ca.crt'");
    let writers = [WEBHOOK_ACCOUNT, CONTROLLER_ACCOUNT].map(|a| format!("'{}'", user(a))).join(", ");
    let validation = format!("request.operation == 'CREATE' && request.userInfo.username in [{writers}]");
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
    // The controller keeps the caBundle; RBAC lets it patch this one configuration only.
    let validation = format!(
        "request.userInfo.username == '{}' || authorizer.group('{GROUP}').resource('manifests').check('administer').allowed()",
        user(CONTROLLER_ACCOUNT)
    );
    let message = "this is part of Miax; it needs the verb `administer` on manifests.miax.dev";
    guard(INSTALLATION_GUARD, &constraints, &condition, &validation, message)
}

/// A namespace that opted in to the gate stays in: whoever works in it, or may change its labels, cannot take it out.
fn gate_label() -> Vec<Value> {
    let constraints = json!({"resourceRules": [resources("", "v1", &["namespaces"], &["UPDATE"])]});
    let enabled = |object: &str| format!("{object}.metadata.?labels['{GATE_LABEL}'].orValue('') == '{GATE_ENABLED}'");
    let validation = format!(
        "{} || authorizer.group('{GROUP}').resource('manifests').check('administer').allowed()",
        enabled("object")
    );
    let message =
        "the namespace opted in to the gate of Miax; to take it out needs the verb `administer` on manifests.miax.dev";
    guard(GATE_GUARD, &constraints, &enabled("oldObject"), &validation, message)
}
