//! Objectives: a stored version is judged again and holds from then on; its status says what was measured.

mod healthy;
mod loaded;
mod measurer;
mod publish;
mod round;
mod table;
mod templates;
mod told;

use std::time::Duration;

use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::runtime::controller::Action;
use serde_json::{Map, Value};

use crate::api::GovernedKind;
use crate::api::condition::{ConditionStatus, ConditionType, Observation};
use crate::api::names::SLO_MANAGER;
use crate::api::reason::Reason;
use crate::api::v1alpha1::SloStatus;
use crate::constitution::{
    BudgetVerdict, Decision, Measured, Objective, Proposal, Reply, SloDocument, State, StoredEvent, TargetFact,
};
use crate::slo::budget::Latch;
use crate::units::{Digest, UnixSeconds};

use super::status::{Seen, write};
use super::{Context, Error, resource};

pub use loaded::{Known, RulesState, loaded};
pub use measurer::{Measurer, keep_measuring};
pub use publish::{MOST_PIECES, PROMETHEUS_RULES, RulesPlace, config_map_name};
pub use round::{Recorded, Round, Wanted, measure};
pub use table::{Measurement, Measurements};

/// How often an objective is looked at again: time alone makes one expire.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

pub(super) async fn reconcile(object: &DynamicObject, context: &Context) -> Result<Action, Error> {
    let value = serde_json::to_value(object)?;
    let seen = match SloDocument::read(&value) {
        Ok(slo) => match hold(object, value, &slo, context).await? {
            None => standing(&slo, context)?,
            Some(decision) => refused(Some(slo.document.digest), &decision),
        },
        Err(error) => refused(None, &Decision::refusal(error.reason, error.message)),
    };
    write(context, &resource(GovernedKind::Slo), SLO_MANAGER, object, seen).await?;
    Ok(Action::requeue(LOOK_AGAIN))
}

/// Lets the stored version hold, unless it does already. A decision tells why it cannot.
async fn hold(
    object: &DynamicObject,
    value: Value,
    slo: &SloDocument,
    context: &Context,
) -> Result<Option<Decision>, Error> {
    let document = &slo.document;
    if held(&context.ledger.view().state, slo).is_some() {
        return Ok(None);
    }
    let facts = || context.facts(TargetFact::NotNamed);
    let stored = StoredEvent {
        object: document.object.clone(),
        digest: document.digest,
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
    };
    context.ledger.append(Proposal::Stored(stored), facts()).await?;
    match context.ledger.append(Proposal::SetObjective(Box::new(value)), facts()).await?.reply {
        Reply::Done => {
            tracing::info!(slo = %document.object, digest = %document.digest, "objective holds");
            Ok(None)
        }
        Reply::Judged(decision) => Ok(Some(*decision)),
        Reply::JudgedBefore(..) | Reply::Begin(_) | Reply::Passed => Err(Error::Reply),
    }
}

/// What State knows of exactly this version.
fn held<'a>(state: &'a State, slo: &SloDocument) -> Option<&'a Objective> {
    let object = &slo.document.object;
    state.objective(&object.namespace, &object.name).filter(|held| held.digest == slo.document.digest)
}

/// The status of a version that holds: verdict and time are those of the ledger, the numbers those of the last measurement.
fn standing(slo: &SloDocument, context: &Context) -> Result<Seen, Error> {
    let (view, now) = (context.ledger.view(), (context.clock)().into());
    // It was set a moment ago; a newer version that is folded already is told by its own object.
    let Some(held) = held(&view.state, slo) else { return Ok(Seen::default()) };
    let measurement = context.measurements.of(&slo.document.object, &slo.document.digest);
    let measured = held.verdict.filter(|_| measurement.is_some());
    let entry = format!("ledger entry {}", held.since);
    let mut conditions = vec![
        observe(ConditionType::Verified, ConditionStatus::True, Reason::Adopted, "all signatures verify"),
        observe(ConditionType::Recorded, ConditionStatus::True, Reason::Adopted, &entry),
        ready(slo, held, measured, now),
    ];
    let mut status = SloStatus::default();
    if let (Some(Measured { verdict, since, spent: _, index: _ }), Some(measurement)) =
        (measured, measurement.as_deref())
    {
        let Measurement { digest: _, evaluated_at, interval, latch, budget, burn, healthy, message, observations } =
            measurement;
        let (spent_since, recovering_since) = match latch {
            Latch::Open => (None, None),
            Latch::Spent { since, recovering } => (Some(since.to_string()), recovering.map(|r| r.to_string())),
        };
        conditions.extend(observations.iter().cloned());
        status = SloStatus {
            verdict: Some(verdict.as_str().to_owned()),
            since: Some(since.to_string()),
            spent_since,
            recovering_since,
            message: Some(message.clone()),
            evaluated_at: Some(evaluated_at.to_string()),
            interval_seconds: i64::try_from(interval.0).ok(),
            budget: budget.clone(),
            burn: burn.clone(),
            healthy: healthy.clone(),
            ..status
        };
    }
    let fields = match serde_json::to_value(status)? {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let index = held.verdict.map_or(held.since, |v| v.index.max(held.since));
    Ok(Seen { digest: Some(slo.document.digest), index: Some(index), conditions, fields })
}

/// Whether something is left to do for the objective: not while it is measured, whatever the verdict is.
fn ready(slo: &SloDocument, held: &Objective, measured: Option<Measured>, now: UnixSeconds) -> Observation {
    use ConditionStatus::{False, True, Unknown};
    let (status, reason, message) = match measured.map(|m| m.verdict) {
        _ if held.retired => {
            (True, Reason::Superseded, "this version ended the objective; it can be deleted".to_owned())
        }
        _ if now >= held.expires_at => {
            (False, Reason::Expired, format!("it expired at {}; sign its next version", held.expires_at))
        }
        None => (Unknown, Reason::BudgetUnknown, "it was not measured yet".to_owned()),
        Some(BudgetVerdict::Unknown) => (Unknown, Reason::BudgetUnknown, "nobody can tell how much is left".to_owned()),
        Some(BudgetVerdict::Met) => (True, Reason::BudgetMet, format!("{} is met", slo.asks_for())),
        Some(BudgetVerdict::Exhausted) => {
            (True, Reason::BudgetExhausted, format!("the budget of {} is spent", slo.asks_for()))
        }
    };
    observe(ConditionType::Ready, status, reason, &message)
}

fn refused(digest: Option<Digest>, decision: &Decision) -> Seen {
    let kinds = [ConditionType::Verified, ConditionType::Ready];
    let conditions = kinds.map(|kind| observe(kind, ConditionStatus::False, decision.reason(), &decision.message()));
    Seen { digest, index: None, conditions: conditions.to_vec(), fields: Map::new() }
}

fn observe(kind: ConditionType, status: ConditionStatus, reason: Reason, message: &str) -> Observation {
    Observation { kind, status, reason, message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::ObjectRef;
    use crate::units::{LogIndex, Seconds};
    use serde_json::json;

    fn document() -> SloDocument {
        let object = json!({
            "apiVersion": "miax.dev/v1alpha1", "kind": "SLO", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {
                "audience": ["prod"], "version": 1, "expiresAt": "2026-12-01T00:00:00Z", "objective": "99.9",
                "indicator": {"gauge": {"up": "probe_success"}}, "window": {"rolling": "7d"}, "signatures": [],
            },
        });
        SloDocument::read(&object).expect("an objective")
    }

    #[test]
    fn what_is_measured_is_ready_whatever_the_verdict() {
        use ConditionStatus::{False, True, Unknown};
        let held = Objective {
            object: ObjectRef::new(GovernedKind::Slo, "shop", "a"),
            version: 1,
            digest: Digest([0; 32]),
            summary: String::new(),
            expires_at: UnixSeconds::new(2000),
            counts: String::new(),
            counted_since: UnixSeconds::new(0),
            window: Seconds(60),
            gate: None,
            retired: false,
            rules: Vec::new(),
            mitigate_within: None,
            since: LogIndex(1),
            verdict: None,
        };
        let check = |held: &Objective, verdict: Option<BudgetVerdict>, now: i64, expected| {
            let measured = verdict.map(|verdict| {
                let (since, index) = (UnixSeconds::new(1), LogIndex(2));
                Measured { verdict, since, spent: None, index }
            });
            let seen = ready(&document(), held, measured, UnixSeconds::new(now));
            assert_eq!((seen.status, seen.reason), expected, "{verdict:?}");
        };
        check(&held, Some(BudgetVerdict::Met), 1, (True, Reason::BudgetMet));
        check(&held, Some(BudgetVerdict::Exhausted), 1, (True, Reason::BudgetExhausted));
        check(&held, Some(BudgetVerdict::Unknown), 1, (Unknown, Reason::BudgetUnknown));
        check(&held, None, 1, (Unknown, Reason::BudgetUnknown));
        check(&held, Some(BudgetVerdict::Met), 2000, (False, Reason::Expired));
        let retired = Objective { retired: true, ..held };
        check(&retired, Some(BudgetVerdict::Exhausted), 2000, (True, Reason::Superseded));
    }
}
