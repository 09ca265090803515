//! Reads the action of a command and checks that it makes sense.

use std::collections::BTreeSet;

use crate::api::GatedKind;
use crate::api::names::{LEDGER_NAMESPACE, SYSTEM_NAMESPACE};
use crate::api::reason::Reason;
use crate::api::v1alpha1 as api;
use crate::units::{BlockNumber, Digest, UnixSeconds};

use super::super::document::{Document, DocumentError, time};
use super::{
    Action, Calendar, GatedTarget, Mitigation, OpenEpoch, Patch, StateAction, Target, WorkloadAction, WorkloadKind,
};

/// Most replicas that a command may ask for; the schema of the CRD has the same number.
const MAX_REPLICAS: i32 = 100_000;
/// Most uses of a mitigation plan; the schema of the CRD has the same number.
const MAX_USES: u32 = 100;

/// Namespaces whose workloads no command reaches: Kubernetes itself and Miax.
const PROTECTED: [&str; 3] = ["kube-system", SYSTEM_NAMESPACE, LEDGER_NAMESPACE];

/// The result of reading one action.
type Read = Result<Action, DocumentError>;

/// Reads the action of a command.
///
/// # Errors
/// [`DocumentError`]: not exactly one known action, a field out of range, a target out of reach.
pub(in super::super) fn read_action(raw: &api::Action, document: &Document) -> Read {
    let api::Action { type_, scale, restart, rollback, patch, isolate, freeze, .. } = raw;
    let api::Action { thaw, waive, revoke_key, ratify_amendment, override_, veto, review, .. } = raw;
    let api::Action { acknowledge_override, acknowledge_incident, open_epoch, mitigate, .. } = raw;
    let set = [
        scale.is_some(),
        restart.is_some(),
        rollback.is_some(),
        patch.is_some(),
        isolate.is_some(),
        freeze.is_some(),
        thaw.is_some(),
        waive.is_some(),
        revoke_key.is_some(),
        ratify_amendment.is_some(),
        override_.is_some(),
        veto.is_some(),
        acknowledge_override.is_some(),
        acknowledge_incident.is_some(),
        review.is_some(),
        open_epoch.is_some(),
        mitigate.is_some(),
    ];
    // Exactly one field: with `type` saying one thing and a second field another, people would read the wrong one.
    if set.iter().filter(|s| **s).count() != 1 {
        return Err(unknown(type_));
    }
    let read = match type_.as_str() {
        "Scale" => scale.as_ref().map(|a| read_scale(a, document)),
        "Restart" => restart.as_ref().map(|a| on_workload(WorkloadAction::Restart, &a.target, document)),
        "Rollback" => rollback.as_ref().map(|a| read_rollback(a, document)),
        "Patch" => patch.as_ref().map(|a| on_workload(WorkloadAction::Patch(read_patch(a)?), &a.target, document)),
        "Isolate" => isolate.as_ref().map(|a| read_isolate(a, document)),
        "Freeze" => freeze.as_ref().map(|a| read_freeze(a, document)),
        "Thaw" => thaw.as_ref().map(|a| read_thaw(a, document)),
        "Waive" => waive.as_ref().map(|a| read_waive(a, document)),
        "RevokeKey" => revoke_key.as_ref().map(|a| Ok(StateAction::RevokeKey { key: a.key.clone() }.into())),
        "RatifyAmendment" => ratify_amendment.as_ref().map(read_ratification),
        "Override" => override_.as_ref().map(|a| read_override(a, document)),
        "Veto" => veto.as_ref().map(read_veto),
        "AcknowledgeOverride" => acknowledge_override.as_ref().map(read_acknowledged_override),
        "AcknowledgeIncident" => acknowledge_incident.as_ref().map(read_acknowledged_incident),
        "Review" => review.as_ref().map(read_review),
        "OpenEpoch" => open_epoch.as_ref().map(read_opening),
        "Mitigate" => mitigate.as_ref().map(|a| read_mitigation(a, document)),
        _ => None,
    };
    read.unwrap_or_else(|| Err(unknown(type_)))
}

impl From<StateAction> for Action {
    fn from(action: StateAction) -> Self {
        Self::State(action)
    }
}

fn invalid(message: String) -> DocumentError {
    DocumentError::new(Reason::FieldInvalid, message)
}

fn unknown(name: &str) -> DocumentError {
    let message = format!(
        "spec.action.type `{name}` with its field is not one action; write one of {} and the field of that name",
        Action::CHOICES
    );
    DocumentError::new(Reason::ActionUnknown, message)
}

fn read_scale(raw: &api::ScaleAction, document: &Document) -> Read {
    let api::ScaleAction { target, replicas } = raw;
    on_workload(WorkloadAction::Scale { replicas: read_replicas(*replicas)? }, target, document)
}

fn read_rollback(raw: &api::RollbackAction, document: &Document) -> Read {
    let api::RollbackAction { target, revision } = raw;
    let revision = u64::try_from(*revision)
        .ok()
        .filter(|r| *r > 0)
        .ok_or_else(|| invalid(format!("revision is {revision}; it must be at least 1")))?;
    on_workload(WorkloadAction::Rollback { revision }, target, document)
}

fn read_isolate(raw: &api::IsolateAction, document: &Document) -> Read {
    let api::IsolateAction { target, until } = raw;
    on_workload(WorkloadAction::Isolate { until: time("spec.action.isolate.until", until)? }, target, document)
}

fn read_freeze(raw: &api::FreezeAction, document: &Document) -> Read {
    let api::FreezeAction { namespace, until, calendar, way_out } = raw;
    let until = until.as_deref().map(|t| time("spec.action.freeze.until", t)).transpose()?;
    let calendar = calendar.clone().map(Calendar::try_from).transpose();
    let calendar = calendar.map_err(|e| invalid(format!("spec.action.freeze.calendar.{e}")))?;
    let seats: BTreeSet<String> = way_out.iter().cloned().collect();
    if seats.len() < way_out.len() {
        return Err(invalid(format!("freeze.wayOut: a seat stands twice in {}", way_out.join(", "))));
    }
    let namespace = reach(namespace.as_deref(), document)?;
    Ok(StateAction::Freeze { namespace, until, calendar, way_out: seats }.into())
}

fn read_thaw(raw: &api::ThawAction, document: &Document) -> Read {
    let api::ThawAction { namespace, freeze, until } = raw;
    let freeze = freeze.as_deref().map(|digest| read_digest("thaw.freeze", digest)).transpose()?;
    let until = until.as_deref().map(|t| time("spec.action.thaw.until", t)).transpose()?;
    Ok(StateAction::Thaw { namespace: reach(namespace.as_deref(), document)?, freeze, until }.into())
}

fn read_waive(raw: &api::WaiveAction, document: &Document) -> Read {
    let api::WaiveAction { rule, target, until } = raw;
    let until = bounded("spec.action.waive.until", until, document)?;
    Ok(StateAction::Waive { rule: rule.clone(), target: read_target(target, document)?, until }.into())
}

fn read_override(raw: &api::OverrideAction, document: &Document) -> Read {
    let api::OverrideAction { decision, until } = raw;
    let until = bounded("spec.action.override.until", until, document)?;
    Ok(StateAction::Override { decision: read_digest("override.decision", decision)?, until }.into())
}

/// The end of an exception: no later than that of its command, so that the rule's longest validity bounds both.
fn bounded(place: &str, text: &str, document: &Document) -> Result<UnixSeconds, DocumentError> {
    let until = time(place, text)?;
    if until > document.expires_at {
        return Err(invalid(format!("{place} is {until}, after spec.expiresAt {}", document.expires_at)));
    }
    Ok(until)
}

fn read_ratification(raw: &api::RatifyAmendmentAction) -> Read {
    let api::RatifyAmendmentAction { charter } = raw;
    Ok(StateAction::RatifyAmendment { charter: read_digest("ratifyAmendment.charter", charter)? }.into())
}

fn read_veto(raw: &api::VetoAction) -> Read {
    let api::VetoAction { command } = raw;
    Ok(StateAction::Veto { command: read_digest("veto.command", command)? }.into())
}

fn read_acknowledged_override(raw: &api::AcknowledgeOverrideAction) -> Read {
    let api::AcknowledgeOverrideAction { command } = raw;
    Ok(StateAction::AcknowledgeOverride { command: read_digest("acknowledgeOverride.command", command)? }.into())
}

fn read_acknowledged_incident(raw: &api::AcknowledgeIncidentAction) -> Read {
    let api::AcknowledgeIncidentAction { incident } = raw;
    if incident.trim().is_empty() {
        return Err(invalid("acknowledgeIncident.incident is empty; name the incident".to_owned()));
    }
    Ok(StateAction::AcknowledgeIncident { incident: incident.clone() }.into())
}

fn read_review(raw: &api::ReviewAction) -> Read {
    let api::ReviewAction { command, findings } = raw;
    if findings.trim().is_empty() {
        return Err(invalid("review.findings is empty; say what was found".to_owned()));
    }
    let command = read_digest("review.command", command)?;
    Ok(StateAction::Review { command, findings: findings.clone() }.into())
}

fn read_opening(raw: &api::OpenEpochAction) -> Read {
    let api::OpenEpochAction { epoch, blocks, entries, root, checkpoint } = raw;
    let number = |name: &str, value: i64| {
        let some = u64::try_from(value).ok().filter(|n| *n > 0);
        some.ok_or_else(|| invalid(format!("openEpoch.{name} is {value}; it must be at least 1")))
    };
    let opening = OpenEpoch {
        epoch: u16::try_from(number("epoch", *epoch)?)
            .map_err(|_| invalid(format!("openEpoch.epoch is {epoch}; it must be at most {}", u16::MAX)))?,
        blocks: BlockNumber(number("blocks", *blocks)?),
        entries: number("entries", *entries)?,
        root: read_digest("openEpoch.root", root)?,
        checkpoint: checkpoint.clone(),
    };
    Ok(StateAction::OpenEpoch(Box::new(opening)).into())
}

fn read_mitigation(raw: &api::MitigateAction, document: &Document) -> Read {
    let api::MitigateAction { slo, objective, namespace, target, template, uses, until } = raw;
    let api::WorkloadRef { kind, name } = target;
    let kind = GatedKind::from_kind(kind)
        .ok_or_else(|| invalid(format!("mitigate.target.kind: the gate does not know `{kind}`")))?;
    let namespace = reach(namespace.as_deref(), document)?;
    let uses = u32::try_from(*uses).ok().filter(|n| (1..=MAX_USES).contains(n));
    let plan = Mitigation {
        slo: slo.clone(),
        objective: read_digest("mitigate.objective", objective)?,
        target: GatedTarget { kind, namespace, name: name.clone() },
        template: read_digest("mitigate.template", template)?,
        uses: uses.ok_or_else(|| invalid(format!("mitigate.uses is {}; it must be 1 to {MAX_USES}", raw.uses)))?,
        until: bounded("spec.action.mitigate.until", until, document)?,
    };
    Ok(StateAction::Mitigate(Box::new(plan)).into())
}

fn read_patch(raw: &api::PatchAction) -> Result<Patch, DocumentError> {
    let api::PatchAction { target: _, replicas, containers } = raw;
    for container in containers {
        let api::ContainerPatch { name, image, env, requests, limits } = container;
        if image.is_none() && env.is_empty() && requests.is_empty() && limits.is_empty() {
            return Err(invalid(format!("patch.containers: nothing changes in `{name}`")));
        }
        if containers.iter().filter(|c| c.name == *name).count() > 1 {
            return Err(invalid(format!("patch.containers: `{name}` stands twice")));
        }
        if let Some(twice) = env.iter().find(|e| env.iter().filter(|o| o.name == e.name).count() > 1) {
            return Err(invalid(format!("patch.containers: `{}` stands twice in the env of `{name}`", twice.name)));
        }
    }
    if replicas.is_none() && containers.is_empty() {
        return Err(invalid("patch changes nothing; name replicas or containers".to_owned()));
    }
    Ok(Patch { replicas: replicas.map(read_replicas).transpose()?, containers: containers.clone() })
}

fn on_workload(action: WorkloadAction, raw: &api::TargetRef, document: &Document) -> Read {
    let target = read_target(raw, document)?;
    if !action.exists_for(target.kind) {
        let action = Action::Workload { action, target };
        let kind = action.target().map(|t| t.kind.as_str()).unwrap_or_default();
        let message = format!("{} does not exist for a {kind}", action.name());
        return Err(DocumentError::new(Reason::ActionNotForKind, message));
    }
    Ok(Action::Workload { action, target })
}

fn read_replicas(raw: i32) -> Result<u32, DocumentError> {
    u32::try_from(raw).ok().filter(|_| raw <= MAX_REPLICAS).ok_or_else(|| {
        let message = format!("replicas is {raw}; it must be 0 to {MAX_REPLICAS}");
        DocumentError::new(Reason::ReplicasInvalid, message)
    })
}

fn read_digest(field: &str, text: &str) -> Result<Digest, DocumentError> {
    text.parse().map_err(|e| invalid(format!("spec.action.{field}: {e}")))
}

/// The namespace that a command may act on: its own, or any other from miax-system, but never a protected one.
fn reach(named: Option<&str>, document: &Document) -> Result<String, DocumentError> {
    let own = document.object.namespace.as_str();
    let namespace = named.unwrap_or(own);
    if own != SYSTEM_NAMESPACE && namespace != own {
        let message = format!(
            "the target is in `{namespace}`, the command in `{own}`; create the command in `{namespace}` or in {SYSTEM_NAMESPACE}"
        );
        return Err(DocumentError::new(Reason::TargetInOtherNamespace, message));
    }
    if PROTECTED.contains(&namespace) {
        let message = format!("`{namespace}` and its workloads are out of reach of commands");
        return Err(DocumentError::new(Reason::TargetProtected, message));
    }
    if namespace.is_empty() {
        return Err(invalid("the command names no namespace".to_owned()));
    }
    Ok(namespace.to_owned())
}

fn read_target(raw: &api::TargetRef, document: &Document) -> Result<Target, DocumentError> {
    let api::TargetRef { api_version, kind, name, namespace } = raw;
    let kind = WorkloadKind::ALL.into_iter().find(|k| api_version == "apps/v1" && k.as_str() == kind);
    let kind = kind.ok_or_else(|| {
        let message = format!("target `{api_version}, {}` is not a Deployment, StatefulSet or DaemonSet", raw.kind);
        DocumentError::new(Reason::ActionNotForKind, message)
    })?;
    let namespace = reach(namespace.as_deref(), document)?;
    // The name becomes part of a URL that is requested with the executor's rights (rule: no encoded paths).
    let plain =
        !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c));
    if !plain {
        return Err(invalid(format!("target name `{name}` is not a Kubernetes name")));
    }
    Ok(Target { kind, namespace, name: name.clone() })
}
