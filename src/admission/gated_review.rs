//! A review of an object that runs pods, read: whether its pod template changes, and to what.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::GatedKind;
use crate::api::reason::Reason;
use crate::constitution::{GateRequest, GatedTarget, Operation};
use crate::trust::{CanonicalBytes, canonical_json, sha256};

use super::review::{MAX_ACTOR, ReviewError};

/// What is read of a review: borrowed, because most of it is looked at by nobody.
#[derive(Deserialize)]
struct RawReview<'a> {
    #[serde(borrow)]
    request: RawRequest<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest<'a> {
    uid: String,
    kind: RawKind,
    operation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default, borrow)]
    object: Option<RawObject<'a>>,
    #[serde(default, borrow)]
    old_object: Option<RawObject<'a>>,
    #[serde(default)]
    user_info: RawUser,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct RawKind {
    group: String,
    kind: String,
}

#[derive(Default, Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct RawObject<'a> {
    #[serde(default)]
    metadata: RawMetadata,
    #[serde(borrow)]
    spec: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    generate_name: String,
    #[serde(default)]
    owner_references: Vec<RawOwner>,
}

#[derive(Deserialize)]
struct RawOwner {
    #[serde(default)]
    controller: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec<'a> {
    #[serde(borrow)]
    template: Option<&'a RawValue>,
    #[serde(borrow)]
    job_template: Option<&'a RawValue>,
}

/// A review of an object that runs pods, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GatedReview {
    pub(super) uid: String,
    pub(super) kind: GatedKind,
    /// `None` when the pod template is the same as before, or a controller of Kubernetes makes what somebody else's object asks
    /// for: nothing to judge.
    pub(super) change: Option<GateRequest>,
    /// The canonical bytes of the pod template.
    pub(super) payload: Vec<u8>,
    pub(super) dry_run: bool,
}

impl GatedReview {
    pub(super) fn read(body: &[u8]) -> Result<Self, ReviewError> {
        let raw: RawReview<'_> = serde_json::from_slice(body).map_err(|e| ReviewError {
            uid: String::new(),
            reason: Reason::ReviewInvalid,
            message: format!("the review cannot be read: {e}"),
        })?;
        let RawRequest { uid, kind, operation, name, namespace, object, old_object, user_info, dry_run } = raw.request;
        let invalid = |message: String| ReviewError { uid: uid.clone(), reason: Reason::ReviewInvalid, message };
        let known = GatedKind::ALL.into_iter().find(|k| (k.group(), k.as_str()) == (&*kind.group, &*kind.kind));
        let Some(kind) = known else {
            let message = format!("`{}, {}` is not a workload that the gate knows", kind.group, kind.kind);
            return Err(ReviewError { uid, reason: Reason::KindUnknown, message });
        };
        let operation = match operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            other => return Err(invalid(format!("the gate is not asked about `{other}`"))),
        };
        let Some(object) = object else { return Err(invalid("the review holds no object".to_owned())) };
        let dry_run = dry_run.unwrap_or(false);
        let template = template_of(kind, object.spec).map_err(invalid)?;
        let before = old_object.map(|o| template_of(kind, o.spec)).transpose().map_err(invalid)?;
        // The API server writes both with one encoder: the same bytes are the same template.
        let same = before.is_some_and(|before| before.get() == template.get());
        if same || makes_what_others_ask(operation, &object.metadata, &user_info.username) {
            return Ok(Self { uid, kind, change: None, payload: Vec::new(), dry_run });
        }
        let payload = bytes_of(template).map_err(invalid)?;
        let before = before.map(bytes_of).transpose().map_err(invalid)?;
        let RawMetadata { name: own, generate_name, owner_references: _ } = object.metadata;
        let name = [name, own, generate_name].into_iter().find(|n| !n.is_empty()).unwrap_or_default();
        let change = GateRequest {
            uid: uid.clone(),
            operation,
            target: GatedTarget { kind, namespace, name },
            template: sha256(&payload),
            template_before: before.map(|bytes| sha256(&bytes)),
            actor: user_info.username.chars().take(MAX_ACTOR).collect(),
        };
        Ok(Self { uid, kind, change: Some(change), payload, dry_run })
    }
}

/// What decides which containers run: of a pod its spec, of a CronJob the template of its jobs.
fn template_of(kind: GatedKind, spec: &RawValue) -> Result<&RawValue, String> {
    let read = || serde_json::from_str::<RawSpec<'_>>(spec.get()).map_err(|e| format!("spec: {e}"));
    let missing = |field: &str| format!("spec.{field} is missing");
    match kind {
        GatedKind::Pod => Ok(spec),
        GatedKind::CronJob => read()?.job_template.ok_or_else(|| missing("jobTemplate")),
        GatedKind::Deployment
        | GatedKind::StatefulSet
        | GatedKind::DaemonSet
        | GatedKind::ReplicaSet
        | GatedKind::Job => read()?.template.ok_or_else(|| missing("template")),
    }
}

/// Whether a controller of Kubernetes itself makes an object that belongs to another one: what that runs was judged there. Both
/// are asked for: anybody may write an owner into an object, and only these accounts are controllers.
fn makes_what_others_ask(operation: Operation, metadata: &RawMetadata, actor: &str) -> bool {
    const ONE_FOR_ALL: &str = "system:kube-controller-manager";
    let controllers = ["replicaset", "deployment", "statefulset", "daemon-set", "job", "cronjob"];
    let account = actor.strip_prefix("system:serviceaccount:kube-system:").and_then(|a| a.strip_suffix("-controller"));
    let controller = actor == ONE_FOR_ALL || account.is_some_and(|a| controllers.contains(&a));
    operation == Operation::Create && controller && metadata.owner_references.iter().any(|o| o.controller)
}

fn bytes_of(template: &RawValue) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_str(template.get()).map_err(|e| e.to_string())?;
    canonical_json(&value).map(CanonicalBytes::into_vec).map_err(|e| format!("spec.template: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(operation: &str, image: &str, before: Option<&str>) -> Vec<u8> {
        let object = |image: &str| json!({"metadata": {"name": "checkout"}, "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": image}]}}}});
        json!({"request": {
            "uid": "u1", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "operation": operation,
            "name": "checkout", "namespace": "shop", "userInfo": {"username": "syncer"},
            "object": object(image), "oldObject": before.map(object),
        }})
        .to_string()
        .into_bytes()
    }

    fn made(kind: (&str, &str), operation: &str, actor: &str, owned: bool, spec: &Value) -> Vec<u8> {
        let owners =
            if owned { json!([{"kind": "ReplicaSet", "name": "checkout-1", "controller": true}]) } else { json!([]) };
        json!({"request": {
            "uid": "u1", "kind": {"group": kind.0, "version": "v1", "kind": kind.1}, "operation": operation,
            "namespace": "shop", "userInfo": {"username": actor},
            "object": {"metadata": {"generateName": "checkout-1-", "ownerReferences": owners}, "spec": spec},
        }})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn only_another_pod_template_is_a_change() {
        let read = |b: &[u8]| GatedReview::read(b).expect("a review").change;
        assert_eq!(read(&body("UPDATE", "a:1", Some("a:1"))), None);
        let change = read(&body("UPDATE", "a:2", Some("a:1"))).expect("a change");
        assert!(change.changes_template() && change.target.to_string() == "Deployment shop/checkout");
        assert!(read(&body("CREATE", "a:1", None)).expect("a new workload").template_before.is_none());
    }

    #[test]
    fn each_kind_has_its_template_where_it_keeps_it() {
        let containers = json!({"containers": [{"image": "a:1"}]});
        let template = json!({"template": {"spec": containers}});
        let check = |kind, spec: &Value, part: &Value| {
            let change = GatedReview::read(&made(kind, "CREATE", "syncer", false, spec)).expect("a review").change;
            let bytes = canonical_json(part).expect("canonical");
            assert_eq!(change.expect("a change").template, sha256(bytes.as_slice()), "{kind:?}");
        };
        for kind in [("apps", "ReplicaSet"), ("apps", "DaemonSet"), ("batch", "Job")] {
            check(kind, &template, &template["template"]);
        }
        check(("batch", "CronJob"), &json!({"schedule": "@daily", "jobTemplate": template}), &template);
        check(("", "Pod"), &containers, &containers);
    }

    #[test]
    fn controllers_of_kubernetes_make_what_was_judged_already() {
        let spec = json!({"containers": []});
        let judged = |actor: &str, owned: bool, operation: &str| {
            GatedReview::read(&made(("", "Pod"), operation, actor, owned, &spec)).expect("a review").change.is_some()
        };
        let controller = "system:serviceaccount:kube-system:replicaset-controller";
        assert!(!judged(controller, true, "CREATE"), "a pod of a ReplicaSet");
        assert!(!judged("system:kube-controller-manager", true, "CREATE"), "one account for all controllers");
        assert!(judged(controller, false, "CREATE"), "a pod that belongs to nobody");
        assert!(judged("eve", true, "CREATE"), "an owner that somebody wrote into it");
        assert!(judged(controller, true, "UPDATE"), "another spec than the one it was made with");
        assert!(judged("system:serviceaccount:shop:replicaset-controller", true, "CREATE"), "an account of a tenant");
        assert!(judged("system:serviceaccount:kube-system:evil-controller", true, "CREATE"), "another account");
    }

    #[test]
    fn what_is_not_such_a_review_is_refused() {
        let check = |body: &[u8], reason: Reason| {
            assert_eq!(GatedReview::read(body).expect_err("refused").reason, reason);
        };
        check(b"{", Reason::ReviewInvalid);
        check(&body("DELETE", "a:1", None), Reason::ReviewInvalid);
        let other = String::from_utf8(body("CREATE", "a:1", None)).expect("text").replace("Deployment", "Widget");
        check(other.as_bytes(), Reason::KindUnknown);
        let foreign =
            String::from_utf8(body("CREATE", "a:1", None)).expect("text").replace("\"apps\"", "\"example.org\"");
        check(foreign.as_bytes(), Reason::KindUnknown);
        let empty =
            json!({"request": {"uid": "u", "kind": {"group": "apps", "kind": "Deployment"}, "operation": "CREATE"}});
        check(empty.to_string().as_bytes(), Reason::ReviewInvalid);
        let no_template = json!({"request": {"uid": "u", "kind": {"group": "apps", "kind": "Deployment"},
            "operation": "CREATE", "object": {"spec": {}}}});
        check(no_template.to_string().as_bytes(), Reason::ReviewInvalid);
    }
}
