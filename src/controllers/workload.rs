//! Workloads as the executor sees and changes them: always with the client of a seat, so that Kubernetes' RBAC bounds what
//! each organ can do. The path is built from a parsed target; nothing of the object is pasted into it.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::{Map, Value, json};

use crate::api::names::{CHANGED_BY_ANNOTATION, EXECUTOR_MANAGER, RESTARTED_BY_ANNOTATION};
use crate::api::v1alpha1::ContainerPatch;
use crate::constitution::{Patch as Places, Target, TargetFact, TargetState, WorkloadAction, WorkloadKind};
use crate::units::Digest;

use super::isolation;

/// Annotation in which the Deployment controller numbers ReplicaSets.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    /// It was refused or cannot be done, for certain: nothing changed.
    #[error("{0}")]
    Refused(String),
    /// No answer, or one that does not tell.
    #[error("no clear answer: {0}")]
    Unknown(String),
}

impl From<kube::Error> for ChangeError {
    fn from(error: kube::Error) -> Self {
        match error {
            // 4xx is a decision; 408, 409 and 429 ask to try again, 5xx may have happened.
            kube::Error::Api(s) if (400..500).contains(&s.code) && ![408, 409, 429].contains(&s.code) => {
                Self::Refused(s.message.clone())
            }
            other => Self::Unknown(other.to_string()),
        }
    }
}

fn resource(kind: WorkloadKind) -> ApiResource {
    match kind {
        WorkloadKind::Deployment => ApiResource::erase::<Deployment>(&()),
        WorkloadKind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
        WorkloadKind::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
    }
}

fn api(client: &Client, target: &Target) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), &target.namespace, &resource(target.kind))
}

/// Reads the target; `None` when there is none.
pub(super) async fn read(client: &Client, target: &Target) -> Result<Option<DynamicObject>, kube::Error> {
    api(client, target).get_opt(&target.name).await
}

/// What the judge needs of it.
pub(super) fn fact(object: Option<&DynamicObject>) -> TargetFact {
    let Some(object) = object else { return TargetFact::Missing };
    match (object.uid(), object.meta().generation, object.resource_version()) {
        (Some(uid), Some(generation), Some(resource_version)) => {
            TargetFact::Found(TargetState { uid, generation, resource_version })
        }
        _ => TargetFact::Stale,
    }
}

/// Whether the target shows that this command's action happened.
pub(super) async fn shows(
    client: &Client,
    object: &DynamicObject,
    target: &Target,
    action: &WorkloadAction,
    digest: &Digest,
) -> Result<bool, kube::Error> {
    Ok(match action {
        WorkloadAction::Isolate { .. } => isolation::exists(client, target, digest).await?,
        WorkloadAction::Scale { replicas } => {
            object.data.pointer("/spec/replicas").and_then(Value::as_u64) == Some((*replicas).into())
        }
        WorkloadAction::Restart => {
            let annotations = object.data.pointer("/spec/template/metadata/annotations");
            annotations.and_then(|a| a.get(RESTARTED_BY_ANNOTATION)).and_then(Value::as_str)
                == Some(&digest.to_string())
        }
        WorkloadAction::Rollback { .. } | WorkloadAction::Patch(_) => {
            object.annotations().get(CHANGED_BY_ANNOTATION) == Some(&digest.to_string())
        }
    })
}

/// Changes the target; gives its resource version afterwards.
pub(super) async fn change(
    client: &Client,
    target: &Target,
    action: &WorkloadAction,
    digest: &Digest,
) -> Result<Option<String>, ChangeError> {
    match action {
        WorkloadAction::Scale { replicas } => {
            // The scale subresource: a seat that may scale need not be able to change what runs.
            let patch = json!({"spec": {"replicas": replicas}});
            let scale =
                api(client, target).patch_scale(&target.name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            Ok(scale.metadata.resource_version)
        }
        WorkloadAction::Restart => {
            let annotations = json!({RESTARTED_BY_ANNOTATION: digest.to_string()});
            patch(client, target, json!({"spec": {"template": {"metadata": {"annotations": annotations}}}})).await
        }
        WorkloadAction::Isolate { until } => {
            let object = read(client, target).await?.ok_or_else(|| gone(target))?;
            isolation::isolate(client, target, &object, digest, *until).await
        }
        WorkloadAction::Patch(places) => {
            let object = read(client, target).await?.ok_or_else(|| gone(target))?;
            patch(client, target, patch_body(&object, target, places, digest)?).await
        }
        WorkloadAction::Rollback { revision } => {
            let mut template = match target.kind {
                WorkloadKind::Deployment => deployment_template(client, target, *revision).await?,
                WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
                    controller_template(client, target, *revision).await?
                }
            };
            if let Some(map) = template.as_object_mut() {
                // Without it the template would be merged into the present one, and what was added since would stay.
                map.insert("$patch".to_owned(), Value::from("replace"));
            }
            let annotations = json!({CHANGED_BY_ANNOTATION: digest.to_string()});
            patch(client, target, json!({"metadata": {"annotations": annotations}, "spec": {"template": template}}))
                .await
        }
    }
}

async fn patch(client: &Client, target: &Target, patch: Value) -> Result<Option<String>, ChangeError> {
    let params = PatchParams { field_manager: Some(EXECUTOR_MANAGER.to_owned()), ..PatchParams::default() };
    let object = api(client, target).patch(&target.name, &params, &Patch::Strategic(&patch)).await?;
    Ok(object.resource_version())
}

fn gone(target: &Target) -> ChangeError {
    ChangeError::Refused(format!("{target} does not exist"))
}

/// The named places as a strategic merge, which finds containers and variables by name. A container that is not there would be
/// added by it, so that is refused; the resource version keeps it so until the patch is made.
fn patch_body(object: &DynamicObject, target: &Target, places: &Places, digest: &Digest) -> Result<Value, ChangeError> {
    let Places { replicas, containers } = places;
    let present = object.data.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let is_present =
        |name: &str| present.into_iter().flatten().any(|c| c.get("name").and_then(Value::as_str) == Some(name));
    if let Some(missing) = containers.iter().find(|c| !is_present(&c.name)) {
        return Err(ChangeError::Refused(format!("{target} has no container `{}`", missing.name)));
    }
    let changed: Vec<Value> = containers
        .iter()
        .map(|ContainerPatch { name, image, env, requests, limits }| {
            let mut container = Map::from_iter([("name".to_owned(), json!(name))]);
            container.extend(image.iter().map(|i| ("image".to_owned(), json!(i))));
            if !env.is_empty() {
                container.insert("env".to_owned(), json!(env));
            }
            if !requests.is_empty() || !limits.is_empty() {
                container.insert("resources".to_owned(), json!({"requests": requests, "limits": limits}));
            }
            container.into()
        })
        .collect();
    let mut spec = Map::new();
    spec.extend(replicas.map(|r| ("replicas".to_owned(), json!(r))));
    if !changed.is_empty() {
        spec.insert("template".to_owned(), json!({"spec": {"containers": changed}}));
    }
    let annotations = json!({CHANGED_BY_ANNOTATION: digest.to_string()});
    let metadata = json!({"annotations": annotations, "resourceVersion": object.resource_version()});
    Ok(json!({"metadata": metadata, "spec": spec}))
}

fn no_revision(target: &Target, revision: u64) -> ChangeError {
    ChangeError::Refused(format!("{target} has no revision {revision}; kubectl rollout history shows them"))
}

async fn owner_uid(client: &Client, target: &Target) -> Result<String, ChangeError> {
    let object = read(client, target).await?;
    object.and_then(|o| o.uid()).ok_or_else(|| gone(target))
}

fn is_owned(object: &impl Resource, uid: &str) -> bool {
    object.meta().owner_references.iter().flatten().any(|o| o.controller == Some(true) && o.uid == uid)
}

async fn deployment_template(client: &Client, target: &Target, revision: u64) -> Result<Value, ChangeError> {
    let uid = owner_uid(client, target).await?;
    let sets = Api::<ReplicaSet>::namespaced(client.clone(), &target.namespace).list(&ListParams::default()).await?;
    let set = sets
        .items
        .into_iter()
        .find(|set| is_owned(set, &uid) && set.annotations().get(REVISION).is_some_and(|r| *r == revision.to_string()));
    let template = set.and_then(|s| s.spec).and_then(|s| s.template).ok_or_else(|| no_revision(target, revision))?;
    let mut template = serde_json::to_value(template).map_err(|e| ChangeError::Refused(e.to_string()))?;
    // The Deployment controller adds this label to each ReplicaSet; in the Deployment itself it would break the selector.
    if let Some(labels) = template.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove("pod-template-hash");
    }
    Ok(template)
}

async fn controller_template(client: &Client, target: &Target, revision: u64) -> Result<Value, ChangeError> {
    let uid = owner_uid(client, target).await?;
    let api = Api::<ControllerRevision>::namespaced(client.clone(), &target.namespace);
    let found = api
        .list(&ListParams::default())
        .await?
        .items
        .into_iter()
        .find(|r| is_owned(r, &uid) && u64::try_from(r.revision) == Ok(revision));
    let data = found.and_then(|r| r.data).map(|raw| raw.0).ok_or_else(|| no_revision(target, revision))?;
    data.pointer("/spec/template").cloned().ok_or_else(|| no_revision(target, revision))
}
