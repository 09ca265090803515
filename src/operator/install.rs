//! Everything that Miax needs in a cluster besides its CRDs and pods, as code: the chart is compared with this in a test, and
//! `miax-operator manifests` prints it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::api::names::{
    CA_SECRET, CHECKPOINT_CONFIG_MAP, CONTROLLER_ACCOUNT, CONTROLLER_LEASE, GATE_ENABLED, GATE_GUARD, GATE_LABEL,
    GATED_PATH, GATED_WEBHOOK, GATED_WEBHOOK_NAME, GOVERNED_PATH, GOVERNED_WEBHOOK, GOVERNED_WEBHOOK_NAME,
    INSTALLATION_GUARD, LEDGER_GUARD, LEDGER_NAMESPACE, LOG_KEY_SECRET, SEQUENCER_LEASE, STATUS_GUARD,
    SYSTEM_NAMESPACE, WEBHOOK_ACCOUNT, WEBHOOK_SERVICE, seat_account,
};
use crate::api::{GROUP, GatedKind, GovernedKind, VERSION};
use crate::constitution::{WorkloadAction, WorkloadKind};
use crate::controllers::slo::{MOST_PIECES, PROMETHEUS_RULES, config_map_name};

use super::guards::{Pruning, guards};

/// Name of the role of all seats, and of the flow control of the operator.
const SEAT_ROLE: &str = "miax-seat";
const FLOW: &str = "miax-operator";

/// What an installation does that not every one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Whether the controllers delete what archives hold.
    pub pruning: Pruning,
    /// Kinds that the gate judges beside Deployments, StatefulSets and DaemonSets.
    pub gated: BTreeSet<GatedKind>,
}

/// All objects. `url` replaces the webhook's service; `seats` are the organs that carry actions out.
#[must_use]
pub fn objects(url: Option<&str>, seats: &[String], extent: &Extent) -> Vec<Value> {
    let mut all = vec![namespace(SYSTEM_NAMESPACE), namespace(LEDGER_NAMESPACE)];
    all.extend([WEBHOOK_ACCOUNT, CONTROLLER_ACCOUNT].map(account));
    all.extend(seats.iter().map(|organ| account(&seat_account(organ))));
    all.extend(rights(seats));
    if extent.pruning == Pruning::On {
        all.extend(pruner());
    }
    all.extend(flow_control());
    all.extend(watched(url, extent));
    all
}

/// What keeps the constitution enforced: the guards and the webhook. The watchdog looks after it.
pub(super) fn watched(url: Option<&str>, extent: &Extent) -> Vec<Value> {
    let mut all = guards(extent.pruning);
    all.extend([governed(url), gated(url, &extent.gated)]);
    all
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn account(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        // A seat is impersonated; nothing ever runs with a token of it.
        "automountServiceAccountToken": false,
    })
}

fn rule(groups: &str, resources: &[&str], names: &[&str], verbs: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": [groups], "resources": resources, "verbs": verbs});
    if let (false, Some(map)) = (names.is_empty(), rule.as_object_mut()) {
        map.insert("resourceNames".to_owned(), json!(names));
    }
    rule
}

/// A role with its binding. Without a namespace it is for the whole cluster.
fn grant(name: &str, namespace: Option<&str>, accounts: &[String], rules: &[Value]) -> Vec<Value> {
    let kind = if namespace.is_some() { "Role" } else { "ClusterRole" };
    let mut metadata = json!({"name": name});
    if let (Some(namespace), Some(map)) = (namespace, metadata.as_object_mut()) {
        map.insert("namespace".to_owned(), Value::from(namespace));
    }
    let subject = |a: &String| json!({"kind": "ServiceAccount", "name": a, "namespace": SYSTEM_NAMESPACE});
    let subjects: Vec<Value> = accounts.iter().map(subject).collect();
    let api = "rbac.authorization.k8s.io";
    vec![
        json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": format!("{api}/v1"),
            "kind": format!("{kind}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": subjects,
        }),
    ]
}

/// The right to delete what archives hold.
fn pruner() -> Vec<Value> {
    let rules = [rule("", &["configmaps"], &[], &["delete"])];
    grant("miax-pruner", Some(LEDGER_NAMESPACE), &[CONTROLLER_ACCOUNT.to_owned()], &rules)
}

fn rights(seats: &[String]) -> Vec<Value> {
    let webhook = [WEBHOOK_ACCOUNT.to_owned()];
    let controller = [CONTROLLER_ACCOUNT.to_owned()];
    let both = [WEBHOOK_ACCOUNT.to_owned(), CONTROLLER_ACCOUNT.to_owned()];
    let accounts: Vec<String> = seats.iter().map(|organ| seat_account(organ)).collect();
    let account_names: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let cluster_identity = || rule("", &["namespaces"], &["kube-system"], &["get"]);
    let kinds = GovernedKind::ALL.map(GovernedKind::plural);
    let status: Vec<String> = kinds.iter().map(|k| format!("{k}/status")).collect();
    let status: Vec<&str> = status.iter().map(String::as_str).collect();
    let workloads = WorkloadKind::ALL.map(WorkloadKind::plural);
    let rule_maps: Vec<String> = (0..MOST_PIECES).map(config_map_name).collect();
    let rule_maps: Vec<&str> = rule_maps.iter().map(String::as_str).collect();
    [
        // No update and no delete: the API server itself keeps the ledger append-only for us.
        grant(
            "miax-ledger",
            Some(LEDGER_NAMESPACE),
            &both,
            &[rule("", &["configmaps"], &[], &["create", "get", "list", "watch"])],
        ),
        grant(
            WEBHOOK_ACCOUNT,
            None,
            &webhook,
            &[
                cluster_identity(),
                rule("apps", &workloads, &[], &["list", "watch"]),
                rule(GROUP, &[GovernedKind::Slo.plural()], &[], &["list", "watch"]),
            ],
        ),
        grant(
            WEBHOOK_ACCOUNT,
            Some(SYSTEM_NAMESPACE),
            &webhook,
            &[
                rule("", &["secrets"], &[CA_SECRET, LOG_KEY_SECRET], &["get"]),
                rule("", &["configmaps"], &[CHECKPOINT_CONFIG_MAP], &["get"]),
                rule("coordination.k8s.io", &["leases"], &[], &["create"]),
                rule("coordination.k8s.io", &["leases"], &[SEQUENCER_LEASE], &["get", "update"]),
            ],
        ),
        grant(
            CONTROLLER_ACCOUNT,
            None,
            &controller,
            &[
                // All of them: whether one has opted in to the gate, beside the cluster's identity.
                rule("", &["namespaces"], &[], &["get"]),
                rule(GROUP, &kinds, &[], &["get", "list", "watch"]),
                rule(GROUP, &status, &[], &["patch"]),
                rule("events.k8s.io", &["events"], &[], &["create", "patch"]),
                // What runs well is what may be gone back to.
                rule("apps", &workloads, &[], &["list", "watch"]),
                rule(PROMETHEUS_RULES.0, &[PROMETHEUS_RULES.1], &[], &["list", "create", "patch", "delete"]),
                rule(
                    "apiextensions.k8s.io",
                    &["customresourcedefinitions"],
                    &[&format!("{}.{}", PROMETHEUS_RULES.1, PROMETHEUS_RULES.0)],
                    &["get"],
                ),
                rule(
                    "admissionregistration.k8s.io",
                    &["validatingwebhookconfigurations"],
                    &[GOVERNED_WEBHOOK, GATED_WEBHOOK],
                    &["get", "patch"],
                ),
                rule(
                    "admissionregistration.k8s.io",
                    &["validatingadmissionpolicies", "validatingadmissionpolicybindings"],
                    &[LEDGER_GUARD, STATUS_GUARD, INSTALLATION_GUARD, GATE_GUARD],
                    &["get"],
                ),
            ],
        ),
        grant(
            CONTROLLER_ACCOUNT,
            Some(SYSTEM_NAMESPACE),
            &controller,
            &[
                // RBAC cannot bound a create by name.
                rule("", &["secrets", "configmaps"], &[], &["create"]),
                rule("", &["secrets"], &[CA_SECRET, LOG_KEY_SECRET], &["get", "update"]),
                rule("", &["configmaps"], &[CHECKPOINT_CONFIG_MAP], &["get", "update"]),
                rule("", &["configmaps"], &rule_maps, &["patch", "delete"]),
                rule("coordination.k8s.io", &["leases"], &[], &["create"]),
                rule("coordination.k8s.io", &["leases"], &[CONTROLLER_LEASE], &["get", "update"]),
                rule("coordination.k8s.io", &["leases"], &[SEQUENCER_LEASE], &["get"]),
                rule("", &["serviceaccounts"], &account_names, &["impersonate"]),
            ],
        ),
        grant(SEAT_ROLE, None, &accounts, &seat_rules()),
    ]
    .concat()
}

/// What the actions need, and no more.
fn seat_rules() -> Vec<Value> {
    let all = WorkloadKind::ALL.map(WorkloadKind::plural);
    let scale = WorkloadAction::Scale { replicas: 0 };
    let scalable: Vec<String> = WorkloadKind::ALL
        .into_iter()
        .filter(|k| scale.exists_for(*k))
        .map(|k| format!("{}/scale", k.plural()))
        .collect();
    let scalable: Vec<&str> = scalable.iter().map(String::as_str).collect();
    vec![
        rule("apps", &all, &[], &["get", "patch"]),
        rule("apps", &scalable, &[], &["patch"]),
        rule("apps", &["replicasets", "controllerrevisions"], &[], &["list"]),
        rule("networking.k8s.io", &["networkpolicies"], &[], &["get", "create", "delete"]),
    ]
}

/// A priority level of their own for our accounts: a ledger append must never queue behind the very requests that wait for
/// its answer.
fn flow_control() -> Vec<Value> {
    let api = "flowcontrol.apiserver.k8s.io/v1";
    let account =
        |name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"name": name, "namespace": SYSTEM_NAMESPACE}});
    vec![
        json!({
            "apiVersion": api,
            "kind": "PriorityLevelConfiguration",
            "metadata": {"name": FLOW},
            "spec": {
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 30,
                    "lendablePercent": 50,
                    "limitResponse": {"type": "Queue", "queuing": {"queues": 16, "handSize": 4, "queueLengthLimit": 100}},
                },
            },
        }),
        json!({
            "apiVersion": api,
            "kind": "FlowSchema",
            "metadata": {"name": FLOW},
            "spec": {
                "priorityLevelConfiguration": {"name": FLOW},
                "matchingPrecedence": 500,
                "distinguisherMethod": {"type": "ByUser"},
                "rules": [{
                    "subjects": [account(WEBHOOK_ACCOUNT), account(CONTROLLER_ACCOUNT)],
                    "resourceRules": [{
                        "apiGroups": ["*"],
                        "resources": ["*"],
                        "verbs": ["*"],
                        "clusterScope": true,
                        "namespaces": ["*"],
                    }],
                }],
            },
        }),
    ]
}

/// A webhook configuration that fails closed.
fn webhook(config: &str, name: &str, path: &str, url: Option<&str>, rules: &[Value], more: &Value) -> Value {
    let client = match url {
        Some(url) => json!({"url": format!("{}{path}", url.trim_end_matches('/'))}),
        None => json!({"service": {"name": WEBHOOK_SERVICE, "namespace": SYSTEM_NAMESPACE, "path": path, "port": 443}}),
    };
    let mut webhook = json!({
        "name": name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": client,
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        "sideEffects": "NoneOnDryRun",
        "timeoutSeconds": 3,
        "rules": rules,
    });
    if let (Some(map), Some(more)) = (webhook.as_object_mut(), more.as_object()) {
        map.extend(more.clone());
    }
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": config},
        "webhooks": [webhook],
    })
}

fn governed(url: Option<&str>) -> Value {
    let rules = [json!({
        "apiGroups": [GROUP],
        "apiVersions": [VERSION],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": GovernedKind::ALL.map(GovernedKind::plural),
        "scope": "*",
    })];
    webhook(GOVERNED_WEBHOOK, GOVERNED_WEBHOOK_NAME, GOVERNED_PATH, url, &rules, &json!({}))
}

/// Workloads of namespaces that opted in, never those of Kubernetes or our own. Subresources (scale, status) are left out on
/// purpose: docs/reference/coverage.md says why for each.
fn gated(url: Option<&str>, more: &BTreeSet<GatedKind>) -> Value {
    let always = GatedKind::ALL.into_iter().filter(|kind| !GatedKind::OPTIONAL.contains(kind));
    let kinds: BTreeSet<GatedKind> = always.chain(more.iter().copied()).collect();
    let groups: BTreeSet<&str> = kinds.iter().map(|kind| kind.group()).collect();
    let rules: Vec<Value> = groups
        .into_iter()
        .rev()
        .map(|group| {
            let of_group = kinds.iter().filter(|kind| kind.group() == group).flat_map(|kind| kind.gated_resources());
            json!({
                "apiGroups": [group],
                "apiVersions": ["v1"],
                "operations": ["CREATE", "UPDATE"],
                "resources": of_group.collect::<Vec<_>>(),
                "scope": "Namespaced",
            })
        })
        .collect();
    let selector = json!({"namespaceSelector": {"matchExpressions": [
        {"key": GATE_LABEL, "operator": "In", "values": [GATE_ENABLED]},
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", SYSTEM_NAMESPACE, LEDGER_NAMESPACE]},
    ]}});
    webhook(GATED_WEBHOOK, GATED_WEBHOOK_NAME, GATED_PATH, url, &rules, &selector)
}
