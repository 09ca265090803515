//! Manifests: a stored charter that the judge still allows comes into force.

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::names::MANIFEST_MANAGER;
use crate::api::reason::Reason;
use crate::constitution::{Decision, Manifest, Proposal, Reply, State, StoredEvent, TargetFact};
use crate::units::Digest;

use super::status::{Seen, write};
use super::{Context, Error, resource};

pub(super) async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Action, Error> {
    let value = serde_json::to_value(object)?;
    let seen = match Manifest::read(&value) {
        Ok(manifest) => bring_into_force(object, value, &manifest, context).await?,
        Err(error) => refused(None, &Decision::refusal(error.reason, error.message)),
    };
    write(context, &resource(GovernedKind::Manifest), MANIFEST_MANAGER, object, seen).await?;
    Ok(Action::await_change())
}

async fn bring_into_force(
    object: &DynamicObject,
    value: Value,
    manifest: &Manifest,
    context: &Context,
) -> Result<Seen, Error> {
    let digest = manifest.document.digest;
    let in_force = |state: &State| state.charter().is_some_and(|c| c.reference.digest == digest);
    if !in_force(&context.ledger.view().state) {
        let facts = || context.facts(TargetFact::NotNamed);
        context.ledger.append(Proposal::Stored(stored(object, manifest)), facts()).await?;
        match context.ledger.append(Proposal::Adopt(Box::new(value)), facts()).await?.reply {
            Reply::Done => {}
            Reply::Judged(decision) => return Ok(refused(Some(digest), &decision)),
            Reply::JudgedBefore(..) | Reply::Begin(_) => return Err(Error::Reply),
        }
        tracing::info!(name = object.name_any(), %digest, "charter adopted");
    }
    let view = context.ledger.view();
    let since = view.state.charter().filter(|c| c.reference.digest == digest).map(|c| c.since);
    let condition =
        |kind, message: String| Observation { kind, status: ConditionStatus::True, reason: Reason::Adopted, message };
    let recorded = since.map(|i| format!("ledger entry {i}")).unwrap_or_default();
    Ok(Seen {
        digest: Some(digest),
        index: since,
        conditions: vec![
            condition(ConditionType::Verified, "all signatures verify".to_owned()),
            condition(ConditionType::Recorded, recorded),
            condition(ConditionType::Active, "this charter is in force".to_owned()),
            condition(ConditionType::Ready, "this charter is in force".to_owned()),
        ],
    })
}

fn stored(object: &DynamicObject, manifest: &Manifest) -> StoredEvent {
    StoredEvent {
        object: manifest.document.object.clone(),
        digest: manifest.document.digest,
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
    }
}

fn refused(digest: Option<Digest>, decision: &Decision) -> Seen {
    let condition = |kind| Observation {
        kind,
        status: ConditionStatus::False,
        reason: decision.reason(),
        message: decision.message(),
    };
    let kinds = [ConditionType::Verified, ConditionType::Active, ConditionType::Ready];
    Seen { digest, index: None, conditions: kinds.map(condition).to_vec() }
}
