//! Judging manifests: the first charter, and amendments.

use serde_json::Value;

use crate::api::reason::Reason;
use crate::trust::Verb;
use crate::units::UnixSeconds;

use super::super::charter::{CHARTER, Charter, EMERGENCY_CHARTER, Mode, ROOT_RANK, Rule, Scope, Signal};
use super::super::decision::{Finding, Verdict};
use super::super::document::{Document, DocumentError, SignatureFields};
use super::super::facts::Facts;
use super::super::lint::lint;
use super::super::manifest::Manifest;
use super::super::rules::{audience, ground, may_send, ratified_in_time, version, window};
use super::super::state::State;
use super::{Judged, advise, check_signatures};

pub(in super::super) fn judge_manifest(object: &Value, state: &State, facts: &Facts) -> Judged {
    let manifest = match Manifest::read(object) {
        Ok(manifest) => manifest,
        Err(error) => return Judged::refused(vec![error.into()]),
    };
    let document = &manifest.document;
    let mut findings = ground(state, facts);
    findings.extend(version(&manifest, state, facts));
    findings.extend(window(document, facts.now));
    findings.extend(audience(document, &manifest.charter, &facts.cluster_uid, state.epoch()));
    findings.extend(authority(&manifest, state.charter(facts.now).map_or(&manifest.charter, |c| &c.charter)));
    findings.extend(lint(&manifest.charter).into_iter().filter(|f| f.blocks()).map(Finding::from));
    findings.extend(revoked_keys_listed(&manifest.charter, state));
    let current = state.charter(facts.now).map(|c| &c.charter);
    let mut judged = match current.filter(|_| !is_in_force(&manifest, state, facts)) {
        Some(current) => judge_amendment(&manifest, current, state, facts, findings),
        None => judge_by(
            document,
            &manifest_rules(&manifest.charter, manifest.ratify_by),
            &manifest.charter,
            state,
            facts,
            findings,
        ),
    };
    judged.summary = Some(manifest.summary());
    // Last: what is missing under the rules says the same in better words.
    if let (true, Some(finding)) = (judged.decision.is_allowed(), unsigned_by_authority(&manifest)) {
        judged.decision.verdict = Verdict::Deny;
        judged.decision.findings = vec![finding];
    }
    judged
}

fn is_in_force(manifest: &Manifest, state: &State, facts: &Facts) -> bool {
    state.charter(facts.now).is_some_and(|c| c.reference.digest == manifest.document.digest)
}

/// Counts the signatures of a manifest under one charter.
fn judge_by(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    state: &State,
    facts: &Facts,
    mut findings: Vec<Finding>,
) -> Judged {
    let (rules, advisory): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|r| r.mode == Mode::Enforce);
    if rules.is_empty() {
        let message = "no rule covers this body (charter, or emergencyCharter with ratifyBy)";
        findings.push(DocumentError::new(Reason::NoRuleMatches, message).into());
    }
    let (signatures, seats) = check_signatures(document, &rules, charter, state, facts, &mut findings);
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.decision.advice = advise(document, &advisory, charter, &signatures, facts.now);
    judged.decision.rules = rules.iter().map(|r| r.name.clone()).collect();
    judged.decision.seats = seats;
    judged
}

/// An amendment is judged by the charter in force and by its own rules: old and new quorum, as a TUF root rotates. Whoever
/// only one of them knows, or knows with another key or seat, counts under that one; a signature that neither knows
/// refuses the whole, as everywhere (R6).
fn judge_amendment(
    manifest: &Manifest,
    current: &Charter,
    state: &State,
    facts: &Facts,
    mut findings: Vec<Finding>,
) -> Judged {
    let document = &manifest.document;
    let next = &manifest.charter;
    let by_old = document.with_signatures(|s| s.fits(current) || !s.fits(next));
    let by_new = document.with_signatures(|s| s.fits(next));
    let rules_of = |charter| manifest_rules(charter, manifest.ratify_by);
    if let Some(by) = manifest.ratify_by {
        findings.extend(rules_of(current).iter().filter_map(|r| ratified_in_time(document, by, r, facts.now)));
    }
    let old = judge_by(&by_old, &rules_of(current), current, state, facts, Vec::new());
    let new = judge_by(&by_new, &rules_of(next), next, state, facts, Vec::new());
    let mut rules = old.decision.rules;
    rules.extend(new.decision.rules.into_iter().filter(|r| !rules.contains(r)).collect::<Vec<_>>());
    findings.extend(refusals(old.decision.verdict, old.decision.findings));
    for finding in refusals(new.decision.verdict, new.decision.findings) {
        // It carries signatures, only none that its own rules can count.
        let finding = match finding.reason {
            Reason::Unsigned if !document.signatures.is_empty() => {
                let message = "nobody whom it lists with this key and seat has signed".to_owned();
                Finding { reason: Reason::AuthorMissing, message, ..finding }
            }
            _ => finding,
        };
        // What both say the same is said once; what only its own rules ask for names them.
        if !findings.contains(&finding) {
            findings.push(Finding { message: format!("{}, by its own rules", finding.message), ..finding });
        }
    }
    let mut signers = old.signers;
    signers.extend(new.signers.into_iter().filter(|s| !signers.contains(s)).collect::<Vec<_>>());
    let seats = if old.decision.seats == new.decision.seats {
        old.decision.seats
    } else {
        [old.decision.seats, new.decision.seats].concat()
    };
    let mut advice = old.decision.advice;
    advice.extend(new.decision.advice.into_iter().filter(|a| !advice.contains(a)).collect::<Vec<_>>());
    let mut judged = Judged::of(findings, Some(document), &[]);
    judged.signers = signers;
    judged.decision.advice = advice;
    judged.decision.rules = rules;
    judged.decision.seats = seats;
    judged
}

fn refusals(verdict: Verdict, findings: Vec<Finding>) -> Vec<Finding> {
    match verdict {
        Verdict::Allow => Vec::new(),
        Verdict::Deny => findings,
    }
}

/// The rules for a charter; an emergency one has its own.
fn manifest_rules(charter: &Charter, ratify_by: Option<UnixSeconds>) -> Vec<&Rule> {
    let body = if ratify_by.is_some() { EMERGENCY_CHARTER } else { CHARTER };
    let matches = |rule: &&Rule| match &rule.scope {
        Scope::Manifests(bodies) => bodies.contains(body),
        Scope::Commands { .. } | Scope::Objects { .. } => false,
    };
    charter.rules.iter().filter(matches).collect()
}

/// Charters stand under the authority of the highest organ, and are its signal (Article I).
fn authority(manifest: &Manifest, governing: &Charter) -> Option<Finding> {
    let authority = &manifest.authority;
    if manifest.charter.organs.get(authority) != Some(&ROOT_RANK) {
        let message = format!("a charter stands under the organ of rank 1, not under `{authority}`");
        return Some(DocumentError::new(Reason::AuthorityWrong, message).into());
    }
    may_send(authority, Signal::PolicyManifest, governing)
}

/// Whatever the rules ask for, the organ that a charter stands under must have signed it (Article I).
fn unsigned_by_authority(manifest: &Manifest) -> Option<Finding> {
    let authority = &manifest.authority;
    let agrees = |s: &SignatureFields| s.seat == *authority && matches!(s.verb, Verb::Author | Verb::Approve);
    if manifest.document.signatures.iter().any(agrees) {
        return None;
    }
    let message = format!("it stands under {authority}, but nobody signed for {authority}");
    Some(DocumentError::new(Reason::AuthorityWrong, message).into())
}

/// A key that was revoked stays so: a charter cannot list it again.
fn revoked_keys_listed(charter: &Charter, state: &State) -> Vec<Finding> {
    let listed = charter.principals.iter().flat_map(|(name, p)| p.keys.iter().map(move |(id, _)| (name, id)));
    let listed = listed.filter_map(|(name, id)| Some((name, id, state.revoked(id.as_str())?)));
    listed
        .map(|(name, id, index)| {
            let message =
                format!("`{name}` is listed with the key {id}, which ledger entry {index} revoked; remove it");
            DocumentError::new(Reason::KeyRevoked, message).into()
        })
        .collect()
}
