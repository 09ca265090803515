//! Manifests: a stored charter that the judge still allows comes into force.

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Map, Value};

use crate::api::GovernedKind;
use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::names::MANIFEST_MANAGER;
use crate::api::reason::Reason;
use crate::constitution::{Decision, InForce, Lifetime, Manifest, Proposal, Reply, StoredEvent, TargetFact};
use crate::units::{Digest, UnixSeconds};

use super::status::{Seen, write};
use super::{Context, Error, resource};

/// How often an object is looked at again: time alone makes a charter expire.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

pub(super) async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Action, Error> {
    let value = serde_json::to_value(object)?;
    let seen = match Manifest::read(&value) {
        Ok(manifest) => bring_into_force(object, value, &manifest, context).await?,
        Err(error) => refused(None, &Decision::refusal(error.reason, error.message)),
    };
    write(context, &resource(GovernedKind::Manifest), MANIFEST_MANAGER, object, seen).await?;
    Ok(Action::requeue(until_lapse(context).map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN))))
}

/// How long an emergency charter still has. When its time is over it has lapsed already; here that is written down.
fn until_lapse(context: &Context) -> Option<Duration> {
    let now: UnixSeconds = (context.clock)().into();
    let by = context.ledger.view().state.emergency()?.ratify_by;
    // One second at least: the entry that ends it may not be folded yet.
    Some(Duration::from_secs(if now >= by { 1 } else { by.since(now).0.max(1) }))
}

async fn bring_into_force(
    object: &DynamicObject,
    value: Value,
    manifest: &Manifest,
    context: &Context,
) -> Result<Seen, Error> {
    let digest = manifest.document.digest;
    let now = || UnixSeconds::from((context.clock)());
    if context.ledger.view().state.emergency().is_some_and(|e| now() >= e.ratify_by) {
        context.ledger.append(Proposal::Lapse, context.facts(TargetFact::NotNamed)).await?;
    }
    if context.ledger.view().state.adopted(&digest).is_none() {
        let facts = || context.facts(TargetFact::NotNamed);
        context.ledger.append(Proposal::Stored(stored(object, manifest)), facts()).await?;
        match context.ledger.append(Proposal::Adopt(Box::new(value)), facts()).await?.reply {
            Reply::Done => {}
            Reply::Judged(decision) => return Ok(refused(Some(digest), &decision)),
            Reply::JudgedBefore(..) | Reply::Begin(_) | Reply::Passed => return Err(Error::Reply),
        }
        tracing::info!(name = object.name_any(), %digest, "charter adopted");
    }
    let view = context.ledger.view();
    let index = view.state.adopted(&digest);
    let waits = view.state.emergency().map(|e| e.ratify_by);
    let standing = match view.state.charter(now()) {
        Some(current) if current.reference.digest == digest => in_force(current, waits, now()),
        Some(current) if current.reference.version < manifest.version => lapsed(current),
        current => superseded(current),
    };
    let recorded = index.map(|i| format!("ledger entry {i}")).unwrap_or_default();
    let conditions = [
        (ConditionType::Verified, ConditionStatus::True, Reason::Adopted, "all signatures verify".to_owned()),
        (ConditionType::Recorded, ConditionStatus::True, Reason::Adopted, recorded),
    ];
    let observe = |(kind, status, reason, message)| Observation { kind, status, reason, message };
    let conditions = conditions.into_iter().map(observe).chain(standing).collect();
    Ok(Seen { digest: Some(digest), index, conditions, fields: Map::new() })
}

/// A charter that was in force once: nothing is left to do for it.
fn superseded(current: Option<&InForce>) -> [Observation; 2] {
    let by = current.map(|c| format!("{} is in force now", c.object.name)).unwrap_or_default();
    [(ConditionType::Active, ConditionStatus::False), (ConditionType::Ready, ConditionStatus::True)]
        .map(|(kind, status)| Observation { kind, status, reason: Reason::Superseded, message: by.clone() })
}

/// An emergency charter that nobody ratified in time.
fn lapsed(current: &InForce) -> [Observation; 2] {
    let message = format!("it was not ratified in time; {} is in force again", current.object.name);
    [ConditionType::Active, ConditionType::Ready].map(|kind| Observation {
        kind,
        status: ConditionStatus::False,
        reason: Reason::CharterLapsed,
        message: message.clone(),
    })
}

/// The charter in force: unhealthy well before its end, so that people see it in time.
fn in_force(current: &InForce, waits: Option<UnixSeconds>, now: UnixSeconds) -> [Observation; 2] {
    use ConditionStatus::{False, True};
    let end = current.expires_at;
    let next = "adopt its next version: miax charter next";
    let (active, ready, reason, message) = match current.lifetime(now) {
        Lifetime::Long | Lifetime::EndsSoon if let Some(by) = waits => {
            let digest = current.reference.digest;
            let message = format!("it lapses at {by} unless it is ratified: miax draft ratify-amendment {digest}");
            (True, False, Reason::RatificationPending, message)
        }
        Lifetime::Long => (True, True, Reason::Adopted, "this charter is in force".to_owned()),
        Lifetime::EndsSoon => (True, False, Reason::CharterExpiring, format!("it expires at {end}; {next}")),
        Lifetime::Ended => (False, False, Reason::CharterExpired, format!("it expired at {end}; {next}")),
    };
    [(ConditionType::Active, active), (ConditionType::Ready, ready)].map(|(kind, status)| Observation {
        kind,
        status,
        reason,
        message: message.clone(),
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
    Seen { digest, index: None, conditions: kinds.map(condition).to_vec(), fields: Map::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::{CharterRef, ObjectRef};
    use crate::units::Seconds;

    #[test]
    fn a_charter_turns_unhealthy_a_month_before_its_end() {
        let text = include_str!("../../config/charter/default.yaml");
        let raw = crate::trust::parse_yaml_strict(text).expect("yaml").remove(0);
        let mut body = raw["spec"]["body"]["charter"].clone();
        body["clusters"] = serde_json::json!([{"name": "a", "uid": "b"}]);
        let key = crate::trust::SigningKey::from_ed25519_seed(&[1; 32]).public().expect("key");
        let key = serde_json::json!({"type": key.key_type().as_str(), "public": key.text()});
        body["principals"] = serde_json::json!([{"name": "a", "kind": "Person", "seats": ["CEK"], "keys": [key]}]);
        let body: crate::api::v1alpha1::Charter = serde_json::from_value(body).expect("charter");
        let end = UnixSeconds::new(1_800_000_000);
        let current = InForce {
            text: "".into(),
            object: ObjectRef::new(GovernedKind::Manifest, "", "constitution-v1"),
            id: "constitution".to_owned(),
            reference: CharterRef { version: 1, digest: Digest([0; 32]) },
            expires_at: end,
            ratify_by: None,
            since: crate::units::LogIndex(0),
            charter: (&body).try_into().expect("charter"),
        };
        let at = |before: u64| in_force(&current, None, end.minus(Seconds(before))).map(|o| (o.status, o.reason));
        let (yes, no) = (ConditionStatus::True, ConditionStatus::False);
        assert_eq!(at(31 * 86_400), [(yes, Reason::Adopted), (yes, Reason::Adopted)]);
        assert_eq!(at(30 * 86_400), [(yes, Reason::CharterExpiring), (no, Reason::CharterExpiring)]);
        assert_eq!(at(1), [(yes, Reason::CharterExpiring), (no, Reason::CharterExpiring)]);
        assert_eq!(at(0), [(no, Reason::CharterExpired), (no, Reason::CharterExpired)]);
    }
}
