//! Judging commands: the rules of the engine, then every rule of the charter that matches.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::reason::Reason;
use crate::trust::{Keyring as _, Verb};
use crate::units::UnixSeconds;

use super::super::action::{Action, FREEZE, StateAction};
use super::super::charter::{Amount, Charter, FilledBy, Mode, Pending, Requirement, Rule, Scope};
use super::super::command::Command;
use super::super::decision::Finding;
use super::super::document::DocumentError;
use super::super::facts::Facts;
use super::super::rules::{
    Case, audience, consumed, effect_ahead, floors, ground, overdue, route, state_action, target, vetoed, window,
};
use super::super::state::{InForce, Lifetime, State};
use super::{Judged, advise, check_signatures};

pub(in super::super) fn judge_command(object: &Value, state: &State, facts: &Facts) -> Judged {
    let command = match Command::read(object) {
        Ok(command) => command,
        Err(error) => return Judged::refused(vec![error.into()]),
    };
    let Some(in_force) = governing(&command, state, facts) else {
        let message = "no charter is in force; submit the one that the operator was started for first";
        return Judged::refused(vec![DocumentError::new(Reason::NoCharter, message).into()]);
    };
    let document = &command.document;
    let charter = in_force.charter.acting(command.action.name(), command.namespace(), facts.now);
    let charter = charter.as_ref();
    let mut findings = ground(state, facts);
    findings.extend(consumed(&document.digest, state));
    findings.extend(window(document, facts.now));
    findings.extend(effect_ahead(&command.action, facts.now));
    findings.extend(audience(document, charter, &facts.cluster_uid, state.epoch()));
    if in_force.lifetime(facts.now) == Lifetime::Ended {
        let message = format!("the charter in force expired at {}; adopt its next version", in_force.expires_at);
        findings.push(DocumentError::new(Reason::CharterExpired, message).into());
    }
    findings.extend(vetoed(&document.digest, state, facts.now));
    findings.extend(target(&command, &facts.target));
    let own_key = own_key_rule(&command, charter);
    let matching = own_key.as_ref().map_or_else(|| command_rules(&command, charter), |rule| vec![rule]);
    let (mut rules, advisory): (Vec<&Rule>, Vec<&Rule>) = matching.into_iter().partition(|r| r.mode == Mode::Enforce);
    if rules.is_empty() {
        findings.push(uncovered(&command, charter, &advisory));
    }
    let waived = waived_rules(&command, charter, &rules, state, facts.now);
    rules.extend(&waived);
    findings.extend(overdue(&rules, state, facts.now));
    let (signatures, counted) = check_signatures(document, &rules, charter, state, facts, &mut findings);
    let exceptions = except_waived(&command, &rules, state, facts.now, &mut findings);
    if let Action::State(action) = &command.action {
        let case = Case { charter, state, now: facts.now, rules: &rules, signatures: &signatures };
        findings.extend(state_action(action, &case));
    }
    // After all rules: what else is missing would say the same in other words. Nobody waits for others before they give up
    // their own key, and whoever they are, they may.
    if own_key.is_none() {
        findings.extend(route(command.action.signal(), charter, &signatures));
        if findings.is_empty() {
            findings.extend(floors(&command, charter, &signatures));
        }
    }
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.summary = Some(command.summary());
    judged.holds = !rules.is_empty() && rules.iter().all(|r| r.pending == Pending::Hold);
    judged.decision.rules = rules.iter().map(|r| r.name.clone()).collect();
    judged.decision.seats = counted;
    judged.decision.advice = advise(document, &advisory, charter, &signatures, facts.now);
    judged.tell_exceptions(&exceptions);
    judged
}

fn uncovered(command: &Command, charter: &Charter, advisory: &[&Rule]) -> Finding {
    let impact = charter.impact(&command.action, command.namespace(), command.impact);
    let mut message = format!("no rule covers {} with the impact {}", command.action.name(), impact.as_str());
    if !advisory.is_empty() {
        let names: Vec<&str> = advisory.iter().map(|r| r.name.as_str()).collect();
        message.push_str(&format!("; {} would, but is not enforced and cannot allow anything", names.join(", ")));
    }
    DocumentError::new(Reason::NoRuleMatches, message).into()
}

/// An exception is as strong as what it switches off: whoever waives a rule fills its seats too; whoever takes a workload out
/// of a freeze fills the seats that the freeze names for that, or those for a thaw (ADR 0030). Who may author stays a matter of
/// the rules for Waive.
fn waived_rules(command: &Command, charter: &Charter, rules: &[&Rule], state: &State, now: UnixSeconds) -> Vec<Rule> {
    let Action::State(StateAction::Waive { rule: name, target, until: _ }) = &command.action else { return Vec::new() };
    let authors: BTreeSet<String> = rules.iter().flat_map(|r| r.authors.iter().cloned()).collect();
    let bind = |rule: &Rule| Rule { authors: authors.clone(), mode: Mode::Enforce, ..rule.clone() };
    if name != FREEZE {
        return charter.rules.iter().filter(|r| r.name == *name && r.covers_workloads()).map(bind).collect();
    }
    let freezes = || state.freezes_of(&target.namespace, now);
    let ways = freezes().filter(|f| !f.way_out.is_empty()).map(|f| way_out(&f.way_out, &authors));
    let thaws = |rule: &&Rule| {
        matches!(&rule.scope, Scope::Commands { actions, namespaces, .. }
            if actions.contains("Thaw") && (namespaces.is_empty() || namespaces.contains(&target.namespace)))
    };
    let usual = freezes().any(|f| f.way_out.is_empty());
    charter.rules.iter().filter(|_| usual).filter(thaws).map(bind).chain(ways).collect()
}

/// What a freeze asks of whoever takes a workload out of it: one person of each organ.
fn way_out(organs: &BTreeSet<String>, authors: &BTreeSet<String>) -> Rule {
    let seat = |organ: &String| Requirement {
        seats: BTreeSet::from([organ.clone()]),
        amount: Amount::Count(1),
        by: FilledBy::Person,
        hardware: false,
    };
    engine_rule("way-out", "VII", authors.clone(), organs.iter().map(seat).collect())
}

/// Takes back what is missing under rules that do not bind the command's workload now, and says which waivers did it.
fn except_waived(
    command: &Command,
    rules: &[&Rule],
    state: &State,
    now: UnixSeconds,
    findings: &mut Vec<Finding>,
) -> Vec<String> {
    let Some(target) = command.action.target() else { return Vec::new() };
    let mut exceptions = Vec::new();
    for rule in rules {
        let Some(waiver) = state.waived(&rule.name, target, now) else { continue };
        let citation = Some(rule.citation());
        let before = findings.len();
        findings.retain(|f| f.reason != Reason::SeatsMissing || f.rule != citation);
        if findings.len() < before {
            exceptions.push(format!("{} is waived until {} by ledger entry {}", rule.name, waiver.until, waiver.index));
        }
    }
    exceptions
}

/// The charter that judges a command: the one in force, but an emergency charter is ratified by the people and rules of the
/// one before it.
fn governing<'a>(command: &Command, state: &'a State, facts: &Facts) -> Option<&'a InForce> {
    match (&command.action, state.emergency()) {
        (Action::State(StateAction::RatifyAmendment { .. }), Some(emergency)) => Some(emergency.base),
        _ => state.charter(facts.now),
    }
}

/// A rule of the engine's own: whoever holds a key may revoke it alone, for any of their seats and at any time. A key
/// that may be in other hands cannot wait for a quorum; and who has it can do no harm with taking it away from themselves.
fn own_key_rule(command: &Command, charter: &Charter) -> Option<Rule> {
    let Action::State(StateAction::RevokeKey { key }) = &command.action else { return None };
    let owner = charter.owner_of(key)?;
    let author = command.document.signatures.iter().find(|s| s.verb == Verb::Author)?;
    let authors = charter.principals.get(owner)?.seats.clone();
    (author.principal == owner).then(|| engine_rule("own-key", "I", authors, Vec::new()))
}

/// A rule that no charter writes. It is found by the engine, and matches nothing by its scope.
fn engine_rule(name: &str, article: &str, authors: BTreeSet<String>, require: Vec<Requirement>) -> Rule {
    Rule {
        name: name.to_owned(),
        article: article.to_owned(),
        scope: Scope::Commands { actions: BTreeSet::new(), impact: None, namespaces: BTreeSet::new() },
        authors,
        require,
        max_validity: None,
        ratify_within: None,
        post_mortem_within: None,
        acknowledge_within: None,
        mitigate_within: None,
        mode: Mode::Enforce,
        pending: Pending::Refuse,
        overrides: BTreeSet::new(),
    }
}

/// Every rule that matches; all must be satisfied.
pub(in super::super) fn command_rules<'a>(command: &Command, charter: &'a Charter) -> Vec<&'a Rule> {
    let raised = charter.impact(&command.action, command.namespace(), command.impact);
    charter
        .rules
        .iter()
        .filter(|rule| match &rule.scope {
            Scope::Commands { actions, impact, namespaces } => {
                actions.contains(command.action.name())
                    && impact.is_none_or(|i| i == raised)
                    && (namespaces.is_empty() || namespaces.contains(command.namespace()))
            }
            Scope::Manifests(_) | Scope::Objects { .. } => false,
        })
        .collect()
}
