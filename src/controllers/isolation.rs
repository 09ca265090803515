//! Isolation: a NetworkPolicy that lets nothing in or out of a workload's pods, for a time. It is made and taken away by the
//! organ that carries commands out; which policy, for which workload and until when stands in the ledger alone.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::api::names::{CHANGED_BY_ANNOTATION, isolation_policy};
use crate::constitution::{EffectBeginEvent, EffectUndoneEvent, Proposal, Target, TargetFact};
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::workload::ChangeError;
use super::{Context, Error};

/// How often it is looked whether an isolation is over.
const PERIOD: Duration = Duration::from_secs(5);
/// Annotation on the policy: when it ends. For people; the ledger decides.
const UNTIL_ANNOTATION: &str = "miax.dev/until";

fn policies(client: &Client, target: &Target) -> Api<NetworkPolicy> {
    Api::namespaced(client.clone(), &target.namespace)
}

/// Whether the policy of this command is there.
pub(super) async fn exists(client: &Client, target: &Target, digest: &Digest) -> Result<bool, kube::Error> {
    let policy = policies(client, target).get_opt(&isolation_policy(digest)).await?;
    Ok(policy.is_some_and(|p| p.annotations().get(CHANGED_BY_ANNOTATION) == Some(&digest.to_string())))
}

/// Makes the policy for the pods that the workload selects.
pub(super) async fn isolate(
    client: &Client,
    target: &Target,
    object: &DynamicObject,
    digest: &Digest,
    until: UnixSeconds,
) -> Result<Option<String>, ChangeError> {
    let selector = object.data.pointer("/spec/selector").cloned().unwrap_or(Value::Null);
    let refused = |why: String| ChangeError::Refused(format!("{target}: {why}"));
    let selector: LabelSelector = serde_json::from_value(selector).map_err(|e| refused(e.to_string()))?;
    // An empty selector would cut off the whole namespace.
    if selector == LabelSelector::default() {
        return Err(refused("it selects every pod of its namespace".to_owned()));
    }
    let annotations = json!({CHANGED_BY_ANNOTATION: digest.to_string(), UNTIL_ANNOTATION: until.to_string()});
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": isolation_policy(digest), "annotations": annotations},
        // Both types and no rule: nothing is let through.
        "spec": {"podSelector": selector, "policyTypes": ["Ingress", "Egress"]},
    });
    let policy: NetworkPolicy = serde_json::from_value(policy).map_err(|e| refused(e.to_string()))?;
    match policies(client, target).create(&PostParams::default(), &policy).await {
        Ok(made) => Ok(made.resource_version()),
        // Somebody else took the name, which only a reader of the ledger can know; it is not ours, so nothing was isolated.
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => {
            Err(refused(format!("the NetworkPolicy {} exists and is not of this command", isolation_policy(digest))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes isolations back when their time is over, for ever. A crash between the deletion and its entry is harmless: the next
/// look finds the policy gone and writes the entry.
pub async fn end_isolations(context: Arc<Context>) {
    loop {
        let now: UnixSeconds = (context.clock)().into();
        let view = context.ledger.view();
        for (began, begin) in view.state.ended_effects(now) {
            if let Err(error) = end(&context, began, begin, now).await {
                tracing::warn!(digest = %begin.digest, %error, "an isolation cannot be ended");
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

async fn end(context: &Context, began: LogIndex, begin: &EffectBeginEvent, now: UnixSeconds) -> Result<(), Error> {
    let client = (context.seats)(&begin.executor)?;
    let api = policies(&client, &begin.target);
    if exists(&client, &begin.target, &begin.digest).await? {
        match api.delete(&isolation_policy(&begin.digest), &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
    }
    let event = EffectUndoneEvent { object: begin.object.clone(), digest: begin.digest, began, now };
    context.ledger.append(Proposal::Undone(event), context.facts(TargetFact::NotNamed)).await?;
    tracing::info!(digest = %begin.digest, target = %begin.target, "isolation ended");
    Ok(())
}
