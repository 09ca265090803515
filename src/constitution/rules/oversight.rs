//! Actions whose whole effect is in State: whether what they ask for can be done, and by these people.

use crate::api::reason::Reason;
use crate::trust::{Keyring as _, Verb, VerifiedSignature};
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::{FREEZE, Mitigation, OpenEpoch, StateAction, Target};
use super::super::charter::{Charter, ROOT_RANK, Rule};
use super::super::decision::Finding;
use super::super::event::SignerRef;
use super::super::state::{CommandState, Owed, State};
use super::freeze;

pub(super) fn finding(reason: Reason, message: String) -> Finding {
    Finding { reason, message, rule: None, next: None }
}

/// Refuses a command that was vetoed, unless the veto is overridden.
pub(in super::super) fn vetoed(digest: &Digest, state: &State, now: UnixSeconds) -> Option<Finding> {
    let veto = state.vetoed(digest, now)?;
    let message = format!("this command was vetoed by {} (ledger entry {})", veto.organ, veto.index);
    Some(finding(Reason::Vetoed, message))
}

/// What judging an action of State needs.
pub(in super::super) struct Case<'a> {
    pub(in super::super) charter: &'a Charter,
    pub(in super::super) state: &'a State,
    pub(in super::super) now: UnixSeconds,
    /// The rules of the charter that cover the command.
    pub(in super::super) rules: &'a [&'a Rule],
    pub(in super::super) signatures: &'a [VerifiedSignature],
}

/// Refuses what is so already, what can no longer be done, and what is not for these people to do.
pub(in super::super) fn state_action(action: &StateAction, case: &Case<'_>) -> Vec<Finding> {
    let Case { charter, state, now, rules: _, signatures } = *case;
    match action {
        StateAction::Freeze { namespace, until, calendar, way_out } => {
            freeze::freeze(namespace, *until, calendar.as_ref(), way_out, case)
        }
        StateAction::Thaw { namespace, freeze, until } => freeze::thaw(namespace, freeze.as_ref(), *until, case),
        StateAction::Waive { rule, target, until } => waive(rule, target, *until, case).into_iter().collect(),
        StateAction::Override { decision, until: _ } => overriding(decision, case).into_iter().collect(),
        StateAction::RevokeKey { key } => revocation(key, charter, state).into_iter().collect(),
        StateAction::Veto { command } => veto(command, charter, state, now, signatures),
        StateAction::AcknowledgeOverride { command } => met(command, &[Owed::Acknowledgement], state, signatures),
        StateAction::Review { command, findings: _ } => {
            met(command, &[Owed::PostMortem, Owed::Mitigation], state, signatures)
        }
        StateAction::Mitigate(plan) => mitigation(plan, state, now).into_iter().collect(),
        StateAction::AcknowledgeIncident { incident } => {
            let known = state.incident(incident);
            known.map(|index| nothing("the incident is acknowledged already", index)).into_iter().collect()
        }
        StateAction::RatifyAmendment { charter } => ratification(charter, state, now).into_iter().collect(),
        StateAction::OpenEpoch(opening) => opening_of(opening, state).into_iter().collect(),
    }
}

/// A plan is for the version of the objective that holds. It may come before the budget is spent: plans are made in daylight.
fn mitigation(plan: &Mitigation, state: &State, now: UnixSeconds) -> Option<Finding> {
    let Mitigation { slo, objective, target, template: _, uses: _, until } = plan;
    if *until <= now {
        return Some(finding(Reason::NothingToDo, format!("the plan ended at {until}")));
    }
    match state.objective(&target.namespace, slo).filter(|o| !o.retired) {
        None => Some(finding(Reason::ObjectiveUnknown, format!("no objective {}/{slo} holds", target.namespace))),
        Some(held) if held.digest != *objective => {
            let message = format!(
                "the plan is for the version {objective} of {}; version {} with the digest {} holds",
                held.object, held.version, held.digest
            );
            Some(finding(Reason::ObjectiveUnknown, message))
        }
        Some(held) if !held.binds(target.kind, &target.name, true) => Some(finding(
            Reason::NothingToDo,
            format!("{} stops no changes; a plan for it lets nothing pass", held.object),
        )),
        Some(_) => None,
    }
}

/// An epoch goes on with all that is left: a ledger that could take this command as an entry has lost nothing.
fn opening_of(opening: &OpenEpoch, state: &State) -> Option<Finding> {
    let OpenEpoch { epoch, blocks: _, entries, root: _, checkpoint: _ } = opening;
    let (next, size) = (state.epoch().checked_add(1), state.next_index().0);
    if Some(*epoch) != next {
        let message = format!(
            "the ledger is in the epoch {}; the next one is {}",
            state.epoch(),
            state.epoch().saturating_add(1)
        );
        return Some(finding(Reason::NothingToDo, message));
    }
    (*entries != size).then(|| {
        let message = format!(
            "it keeps {entries} entries, but the ledger has {size}; an epoch is opened by the operator from a signed file, \
             and only when the end of the ledger is lost for good"
        );
        finding(Reason::NothingToDo, message)
    })
}

pub(super) fn nothing(what: &str, index: LogIndex) -> Finding {
    finding(Reason::NothingToDo, format!("{what} (ledger entry {index})"))
}

/// Only what exists can be waived, and only what is not waived as long already.
fn waive(rule: &str, target: &Target, until: UnixSeconds, case: &Case<'_>) -> Option<Finding> {
    if rule == FREEZE {
        return freeze::waive(target, until, case);
    }
    if !case.charter.rules.iter().any(|r| r.name == rule && r.covers_workloads()) {
        let message =
            format!("`{rule}` is not a rule for workloads; a rule of the charter or `{FREEZE}` can be waived");
        return Some(finding(Reason::FieldInvalid, message));
    }
    let standing = case.state.waived(rule, target, case.now).filter(|w| w.until >= until)?;
    Some(nothing("it is waived at least as long already", standing.index))
}

/// Article III: only decisions that stand, and only of organs that the rule names; never one of the highest rank.
fn overriding(decision: &Digest, case: &Case<'_>) -> Option<Finding> {
    let Some(standing) = case.state.decision(decision, case.now) else {
        let message = format!("no freeze or veto with the digest {decision} stands");
        return Some(finding(Reason::NothingToDo, message));
    };
    if let Some(index) = case.state.overridden(decision, case.now) {
        return Some(nothing("the decision is overridden already", index));
    }
    let open = case.rules.iter().all(|r| r.overrides.contains(standing.organ.as_ref()));
    if open && rank(case.charter, &standing.organ) > ROOT_RANK {
        return None;
    }
    let message = format!("the decision is one of {}, which no rule lets anybody override", standing.organ);
    Some(finding(Reason::RankTooLow, message))
}

pub(super) fn rank(charter: &Charter, organ: &str) -> u32 {
    charter.organs.get(organ).copied().unwrap_or(u32::MAX)
}

fn revocation(key: &str, charter: &Charter, state: &State) -> Option<Finding> {
    if let Some(index) = state.revoked(key) {
        return Some(nothing("the key is revoked already", index));
    }
    match charter.owner_of(key) {
        Some(_) => None,
        None => Some(finding(Reason::KeyUnknown, format!("no principal of the charter has the key {key}"))),
    }
}

/// A veto stops what is not done yet, and comes from above: from the highest rank always, else from organs that all rank
/// above the one that authored the command.
fn veto(
    command: &Digest,
    charter: &Charter,
    state: &State,
    now: UnixSeconds,
    signatures: &[VerifiedSignature],
) -> Vec<Finding> {
    if let Some(veto) = state.vetoed(command, now) {
        return vec![nothing("the command is vetoed already", veto.index)];
    }
    let author = match state.command(command) {
        // Nobody has seen it yet; then only the highest rank can know that it comes from below.
        None => None,
        Some(CommandState::Held { decision, .. } | CommandState::Allowed { decision, .. }) => {
            author_of(&decision.signers)
        }
        Some(CommandState::Running { begin, .. }) => author_of(&begin.signers),
        Some(
            CommandState::Enacted { index, .. } | CommandState::Done { index, .. } | CommandState::Failed { index, .. },
        ) => return vec![nothing("the command is not to be stopped any more", *index)],
    };
    let below = author.as_deref().map_or(ROOT_RANK + 1, |organ| rank(charter, organ).max(ROOT_RANK + 1));
    let whose =
        author.map_or_else(|| "an author whom the ledger does not know".to_owned(), |a| format!("an author of {a}"));
    let decides = |s: &&VerifiedSignature| matches!(s.verb(), Verb::Author | Verb::Approve);
    let low = signatures.iter().filter(decides).filter(|s| rank(charter, s.seat()) >= below);
    low.map(|s| {
        let message = format!("`{}` signed for {}, which does not rank above {whose}", s.principal(), s.seat());
        finding(Reason::RankTooLow, message)
    })
    .collect()
}

fn author_of(signers: &[SignerRef]) -> Option<String> {
    signers.iter().find(|s| s.verb == Verb::Author.as_str()).map(|s| s.seat.clone())
}

/// Only what is owed can be met, and nobody meets what follows from their own signature.
fn met(command: &Digest, what: &[Owed], state: &State, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let Some(owed) = state.obligation(command).filter(|o| what.contains(&o.owed)) else {
        let what: Vec<&str> = what.iter().map(|w| w.as_str()).collect();
        return vec![finding(Reason::NothingToDo, format!("no {} of {command} is owed", what.join(" or ")))];
    };
    let involved = signatures.iter().filter(|s| owed.involved.contains(s.principal()));
    involved
        .map(|s| {
            let message = format!("`{}` signed the command that is looked at", s.principal());
            finding(Reason::ReviewerInvolved, message)
        })
        .collect()
}

/// Only the emergency charter that waits for it can be ratified, and only in time.
fn ratification(charter: &Digest, state: &State, now: UnixSeconds) -> Option<Finding> {
    match state.emergency().filter(|e| e.charter.reference.digest == *charter) {
        None => {
            Some(finding(Reason::NothingToDo, format!("no emergency charter {charter} waits for its ratification")))
        }
        Some(e) if now >= e.ratify_by => {
            Some(finding(Reason::CharterLapsed, format!("the charter had to be ratified before {}", e.ratify_by)))
        }
        Some(_) => None,
    }
}
