//! Judging objectives: a version that is newer than the one that holds, signed under the rules for its kind.

use serde_json::Value;

use crate::api::reason::Reason;

use super::super::charter::{Charter, Mode, Rule, SLO, Scope};
use super::super::decision::Finding;
use super::super::document::DocumentError;
use super::super::facts::Facts;
use super::super::rules::{audience, ground, overdue, window};
use super::super::slo_document::SloDocument;
use super::super::state::{Lifetime, State};
use super::{Judged, advise, check_signatures};

pub(in super::super) fn judge_slo(object: &Value, state: &State, facts: &Facts) -> Judged {
    let slo = match SloDocument::read(object) {
        Ok(slo) => slo,
        Err(error) => return Judged::refused(vec![error.into()]),
    };
    let Some(in_force) = state.charter(facts.now) else {
        let message = "no charter is in force; submit the one that the operator was started for first";
        return Judged::refused(vec![DocumentError::new(Reason::NoCharter, message).into()]);
    };
    let (document, charter) = (&slo.document, &in_force.charter);
    let mut findings = ground(state, facts);
    findings.extend(window(document, facts.now));
    findings.extend(audience(document, charter, &facts.cluster_uid, state.epoch()));
    if in_force.lifetime(facts.now) == Lifetime::Ended {
        let message = format!("the charter in force expired at {}; adopt its next version", in_force.expires_at);
        findings.push(DocumentError::new(Reason::CharterExpired, message).into());
    }
    findings.extend(newer(&slo, state));
    let matching = slo_rules(&document.object.namespace, charter);
    let (rules, advisory): (Vec<&Rule>, Vec<&Rule>) = matching.into_iter().partition(|r| r.mode == Mode::Enforce);
    if rules.is_empty() {
        let message = "no rule of the charter covers objectives; one with match: {kinds: [SLO]} would";
        findings.push(DocumentError::new(Reason::NoRuleMatches, message).into());
    }
    findings.extend(overdue(&rules, state, facts.now));
    let (signatures, seats) = check_signatures(document, &rules, charter, state, facts, &mut findings);
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.summary = Some(slo.summary());
    judged.decision.rules = rules.iter().map(|r| r.name.clone()).collect();
    judged.decision.seats = seats;
    judged.decision.advice = advise(document, &advisory, charter, &signatures, facts.now);
    judged
}

/// Every rule that matches; all must be satisfied.
pub(in super::super) fn slo_rules<'a>(namespace: &str, charter: &'a Charter) -> Vec<&'a Rule> {
    let matches = |rule: &&Rule| match &rule.scope {
        Scope::Objects { kinds, namespaces } => {
            kinds.contains(SLO) && (namespaces.is_empty() || namespaces.contains(namespace))
        }
        Scope::Commands { .. } | Scope::Manifests(_) => false,
    };
    charter.rules.iter().filter(matches).collect()
}

/// Versions go up and never come back. They are remembered by the ledger, not by the object, so that deleting one resets nothing.
fn newer(slo: &SloDocument, state: &State) -> Option<Finding> {
    let object = &slo.document.object;
    let held = state.objective(&object.namespace, &object.name)?;
    let finding = |reason, message| Some(Finding { reason, message, rule: None, next: None });
    if held.digest == slo.document.digest || slo.slo.version > held.version {
        return None;
    }
    if slo.slo.version == held.version {
        let message = format!("version {} holds with other content (ledger entry {})", held.version, held.since);
        return finding(Reason::VersionReused, message);
    }
    let message = format!(
        "version {} was submitted, but version {} holds (ledger entry {}); sign it as version {}",
        slo.slo.version,
        held.version,
        held.since,
        held.version.saturating_add(1)
    );
    finding(Reason::VersionNotNext, message)
}
