//! Judging commands: the rules of the engine, then every rule of the charter that matches.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::api::reason::Reason;
use crate::trust::{Keyring as _, Verb};

use super::super::action::{Action, StateAction};
use super::super::charter::{Charter, Rule, Scope};
use super::super::command::Command;
use super::super::decision::Finding;
use super::super::document::DocumentError;
use super::super::facts::Facts;
use super::super::rules::{audience, consumed, floors, overdue, state_action, target, vetoed, window};
use super::super::state::{InForce, Lifetime, State};
use super::{Judged, check_signatures};

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
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(consumed(&document.digest, state));
    findings.extend(window(document, facts.now));
    findings.extend(audience(document, charter, &facts.cluster_uid));
    if in_force.lifetime(facts.now) == Lifetime::Ended {
        let message = format!("the charter in force expired at {}; adopt its next version", in_force.expires_at);
        findings.push(DocumentError::new(Reason::CharterExpired, message).into());
    }
    findings.extend(vetoed(&document.digest, state));
    findings.extend(target(&command, &facts.target));
    let own_key = own_key_rule(&command, charter);
    let rules = own_key.as_ref().map_or_else(|| command_rules(&command, charter), |rule| vec![rule]);
    if rules.is_empty() {
        let impact = charter.impact(&command.action, command.namespace(), command.impact);
        let message = format!("no rule covers {} with the impact {}", command.action.name(), impact.as_str());
        findings.push(DocumentError::new(Reason::NoRuleMatches, message).into());
    }
    findings.extend(overdue(&rules, state, facts.now));
    let names = rules.iter().map(|r| r.name.clone()).collect();
    let (signatures, counted) = check_signatures(document, &rules, charter, state, facts, &mut findings);
    if let Action::State(action) = &command.action {
        findings.extend(state_action(action, charter, state, facts.now, &signatures));
    }
    // After all rules: what else is missing would say the same in other words. Nobody waits for others before they give up
    // their own key.
    if own_key.is_none() && findings.is_empty() {
        findings.extend(floors(&command, charter, &signatures));
    }
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.summary = Some(command.summary());
    judged.decision.rules = names;
    judged.decision.seats = counted;
    judged
}

/// The charter that judges a command: the one in force, but an emergency charter is ratified by the people and rules of the
/// one before it.
fn governing<'a>(command: &Command, state: &'a State, facts: &Facts) -> Option<&'a InForce> {
    match (&command.action, state.emergency()) {
        (Action::State(StateAction::RatifyAmendment { .. }), Some(emergency)) => Some(emergency.base),
        _ => state.charter(facts.now),
    }
}

/// The one rule of the engine's own: whoever holds a key may revoke it alone, for any of their seats and at any time. A key
/// that may be in other hands cannot wait for a quorum; and who has it can do no harm with taking it away from themselves.
fn own_key_rule(command: &Command, charter: &Charter) -> Option<Rule> {
    let Action::State(StateAction::RevokeKey { key }) = &command.action else { return None };
    let owner = charter.owner_of(key)?;
    let author = command.document.signatures.iter().find(|s| s.verb == Verb::Author)?;
    let authors = charter.principals.get(owner)?.seats.clone();
    (author.principal == owner).then(|| Rule {
        name: "own-key".to_owned(),
        article: "I".to_owned(),
        scope: Scope::Commands { actions: BTreeSet::new(), impact: None, namespaces: BTreeSet::new() },
        authors,
        require: Vec::new(),
        max_validity: None,
        ratify_within: None,
        post_mortem_within: None,
    })
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
            Scope::Manifests(_) => false,
        })
        .collect()
}
