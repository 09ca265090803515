//! The judge: a total function of the request, State and the facts. It never fails; what it cannot judge it refuses.

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::trust::{Verified, VerifiedSignature};

use super::charter::{Charter, Rule, Scope};
use super::command::Command;
use super::decision::{Decision, Finding, NextStep, SeatView, Verdict};
use super::document::{Document, DocumentError};
use super::event::SignerRef;
use super::facts::Facts;
use super::manifest::Manifest;
use super::request::{Operation, Request};
use super::rules::{Counted, audience, consumed, quorum, signing_times, target, validity, version, window};
use super::state::{Lifetime, State};

/// Judges a request.
#[must_use]
pub fn judge(request: &Request, state: &State, facts: &Facts) -> Decision {
    judge_request(request, state, facts).decision
}

pub(super) fn judge_request(request: &Request, state: &State, facts: &Facts) -> Judged {
    let mut judged = match (request.operation, &request.object) {
        (Operation::Delete, _) => Judged::bare(judge_delete(request, state)),
        (Operation::Create | Operation::Update, Some(object)) => judge_object(request, object, state, facts),
        (Operation::Create | Operation::Update, None) => {
            Judged::bare(Decision::refusal(Reason::ReviewInvalid, "the review holds no object"))
        }
    };
    judged.decision.charter = state.charter().map(|c| c.reference.clone());
    judged
}

/// Judges a stored object again, as the executor does right before it acts and `miax verify` does offline.
#[must_use]
pub fn recheck(object: &Value, kind: GovernedKind, state: &State, facts: &Facts) -> Decision {
    let mut judged = match kind {
        GovernedKind::ControlCommand => judge_command(object, state, facts),
        GovernedKind::Manifest => judge_manifest(object, state, facts),
    };
    judged.decision.charter = state.charter().map(|c| c.reference.clone());
    judged.decision
}

/// A decision with what the ledger entry says beside it.
pub(super) struct Judged {
    pub(super) decision: Decision,
    pub(super) summary: Option<String>,
    pub(super) signers: Vec<SignerRef>,
}

impl Judged {
    fn bare(decision: Decision) -> Self {
        Self { decision, summary: None, signers: Vec::new() }
    }

    fn refused(findings: Vec<Finding>) -> Self {
        Self::of(findings, None, &[])
    }

    /// Allowed when there is no finding.
    fn of(findings: Vec<Finding>, document: Option<&Document>, signatures: &[VerifiedSignature]) -> Self {
        let (verdict, findings) = if findings.is_empty() {
            let message = "all seats are filled by different people".to_owned();
            (Verdict::Allow, vec![Finding { reason: Reason::QuorumComplete, message, rule: None, next: None }])
        } else {
            (Verdict::Deny, findings)
        };
        let digest = document.map(|d| d.digest);
        let decision =
            Decision { verdict, findings, digest, rules: Vec::new(), seats: Vec::new(), charter: None, recorded: true };
        Self { decision, summary: None, signers: signatures.iter().map(signer).collect() }
    }
}

fn signer(signature: &VerifiedSignature) -> SignerRef {
    SignerRef {
        principal: signature.principal().to_owned(),
        verb: signature.verb().as_str().to_owned(),
        seat: signature.seat().to_owned(),
        key: signature.key().to_string(),
    }
}

fn judge_delete(request: &Request, state: &State) -> Decision {
    let in_force =
        state.charter().is_some_and(|c| request.kind == GovernedKind::Manifest && c.object.name == request.name);
    if in_force {
        let message = format!("`{}` is the charter in force; only its next version can replace it", request.name);
        return Decision::refusal(Reason::CharterInForce, message);
    }
    let mut decision =
        Decision::refusal(Reason::DeletionAllowed, "what happened stays in the ledger, and a used command stays used");
    decision.verdict = Verdict::Allow;
    decision
}

fn judge_object(request: &Request, object: &Value, state: &State, facts: &Facts) -> Judged {
    if request.operation == Operation::Update
        && let Some(judged) = judge_change(request, object)
    {
        return judged;
    }
    match request.kind {
        GovernedKind::ControlCommand => judge_command(object, state, facts),
        GovernedKind::Manifest => judge_manifest(object, state, facts),
    }
}

/// The decision about an update that changes nothing of the spec: allowed, and not recorded. Labels, annotations,
/// finalizers and owner references have no authority; syncers and the garbage collector change them for ever, also on
/// objects that have expired (R30). `None` for every other request.
#[must_use]
pub fn unchanged(request: &Request) -> Option<Decision> {
    let (Operation::Update, Some(old), Some(object)) = (request.operation, &request.old, &request.object) else {
        return None;
    };
    if old.get("spec") != object.get("spec") {
        return None;
    }
    let message = "nothing that is signed changed".to_owned();
    let mut decision = Decision::refusal(Reason::Unchanged, message);
    decision.verdict = Verdict::Allow;
    decision.recorded = false;
    Some(decision)
}

/// What an update may change: nothing that is signed, and signatures only by addition. `None` means: signatures were
/// added, judge the object.
fn judge_change(request: &Request, object: &Value) -> Option<Judged> {
    if let Some(decision) = unchanged(request) {
        return Some(Judged::bare(decision));
    }
    let old = request.old.as_ref()?;
    let without_signatures = |value: &Value| {
        let mut spec = value.get("spec").cloned().unwrap_or_default();
        let signatures = spec.as_object_mut().and_then(|map| map.remove("signatures"));
        (spec, signatures.and_then(|s| s.as_array().cloned()).unwrap_or_default())
    };
    let (old_spec, old_signatures) = without_signatures(old);
    let (new_spec, new_signatures) = without_signatures(object);
    let refuse = |reason, message: &str, next: &str| {
        let next = Some(NextStep::Do(next.to_owned()));
        Some(Judged::refused(vec![Finding { reason, message: message.to_owned(), rule: None, next }]))
    };
    if old_spec != new_spec {
        let next = "create a new object under another name";
        return refuse(Reason::SpecImmutable, "the signed part of a stored object cannot change", next);
    }
    if old_signatures.iter().any(|s| !new_signatures.contains(s)) {
        let next = "add an objection or a withdrawal instead: miax object, miax withdraw";
        return refuse(Reason::SignatureRemoved, "a signature was changed or removed", next);
    }
    None
}

pub(super) fn judge_command(object: &Value, state: &State, facts: &Facts) -> Judged {
    let command = match Command::read(object) {
        Ok(command) => command,
        Err(error) => return Judged::refused(vec![error.into()]),
    };
    let Some(in_force) = state.charter() else {
        let message = "no charter is in force; submit the one that the operator was started for first";
        return Judged::refused(vec![DocumentError::new(Reason::NoCharter, message).into()]);
    };
    let document = &command.document;
    let charter = &in_force.charter;
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(consumed(&document.digest, state));
    findings.extend(window(document, facts.now));
    findings.extend(audience(document, charter, &facts.cluster_uid));
    if in_force.lifetime(facts.now) == Lifetime::Ended {
        let message = format!("the charter in force expired at {}; adopt its next version", in_force.expires_at);
        findings.push(DocumentError::new(Reason::CharterExpired, message).into());
    }
    findings.extend(target(&command, &facts.target));
    let rules = command_rules(&command, charter);
    if rules.is_empty() {
        let impact = charter.impact(&command.action, &command.target.namespace, command.impact);
        let message = format!("no rule covers {} with the impact {}", command.action.name(), impact.as_str());
        findings.push(DocumentError::new(Reason::NoRuleMatches, message).into());
    }
    let names = rules.iter().map(|r| r.name.clone()).collect();
    let (signatures, counted) = check_signatures(document, &rules, charter, facts, &mut findings);
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.summary = Some(command.summary());
    judged.decision.rules = names;
    judged.decision.seats = counted;
    judged
}

/// Every rule that matches; all must be satisfied.
fn command_rules<'a>(command: &Command, charter: &'a Charter) -> Vec<&'a Rule> {
    let raised = charter.impact(&command.action, &command.target.namespace, command.impact);
    charter
        .rules
        .iter()
        .filter(|rule| match &rule.scope {
            Scope::Commands { actions, impact, namespaces } => {
                actions.contains(command.action.name())
                    && impact.is_none_or(|i| i == raised)
                    && (namespaces.is_empty() || namespaces.contains(&command.target.namespace))
            }
            Scope::Manifests(_) => false,
        })
        .collect()
}

/// Verifies and counts. Findings are added; the seats are for people to see.
fn check_signatures(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) -> (Vec<VerifiedSignature>, Vec<SeatView>) {
    if document.signatures.is_empty() {
        findings.push(unsigned(document, rules));
    }
    let verified: Verified<()> = match document.verify((), charter) {
        Ok(verified) => verified,
        Err(wrong) => {
            findings.extend(wrong);
            return (Vec::new(), Vec::new());
        }
    };
    let signatures = verified.signatures();
    findings.extend(signing_times(document, signatures, facts.now));
    findings.extend(rules.iter().filter_map(|rule| validity(document, rule, signatures, facts.now)));
    let Counted { findings: counted, seats } = quorum(document, rules, charter, signatures);
    // "Unsigned" says it all; that author and seats are missing too would only be noise.
    if !document.signatures.is_empty() {
        findings.extend(counted);
    }
    (signatures.to_vec(), seats)
}

fn unsigned(document: &Document, rules: &[&Rule]) -> Finding {
    let author = rules.iter().flat_map(|r| r.authors.iter()).next();
    let next = author.map(|seat| NextStep::Run(format!("miax sign -f {}.yaml --seat {seat}", document.object.name)));
    Finding { reason: Reason::Unsigned, message: "it carries no signature".to_owned(), rule: None, next }
}

pub(super) fn judge_manifest(object: &Value, state: &State, facts: &Facts) -> Judged {
    let manifest = match Manifest::read(object) {
        Ok(manifest) => manifest,
        Err(error) => return Judged::refused(vec![error.into()]),
    };
    let document = &manifest.document;
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(version(&manifest, state, facts));
    findings.extend(window(document, facts.now));
    findings.extend(audience(document, &manifest.charter, &facts.cluster_uid));
    findings.extend(authority(&manifest));
    findings.extend(super::lint::lint(&manifest.charter).into_iter().filter(|f| f.blocks()).map(Finding::from));
    let current = state.charter().map(|c| &c.charter);
    let mut judged = match current.filter(|_| !is_in_force(&manifest, state)) {
        Some(current) => judge_amendment(&manifest, current, facts, findings),
        None => judge_by(document, &manifest_rules(&manifest.charter), &manifest.charter, facts, findings),
    };
    judged.summary = Some(manifest.summary());
    judged
}

fn is_in_force(manifest: &Manifest, state: &State) -> bool {
    state.charter().is_some_and(|c| c.reference.digest == manifest.document.digest)
}

/// Counts the signatures of a manifest under one charter.
fn judge_by(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    facts: &Facts,
    mut findings: Vec<Finding>,
) -> Judged {
    if rules.is_empty() {
        let message = "no rule covers manifests with the body charter";
        findings.push(DocumentError::new(Reason::NoRuleMatches, message).into());
    }
    let (signatures, seats) = check_signatures(document, rules, charter, facts, &mut findings);
    let mut judged = Judged::of(findings, Some(document), &signatures);
    judged.decision.rules = rules.iter().map(|r| r.name.clone()).collect();
    judged.decision.seats = seats;
    judged
}

/// An amendment is judged by the charter in force and by its own rules: old and new quorum, as a TUF root rotates. Whoever
/// only one of them knows, or knows with another key or seat, counts under that one; a signature that neither knows
/// refuses the whole, as everywhere (R6).
fn judge_amendment(manifest: &Manifest, current: &Charter, facts: &Facts, mut findings: Vec<Finding>) -> Judged {
    let document = &manifest.document;
    let next = &manifest.charter;
    let by_old = document.with_signatures(|s| s.fits(current) || !s.fits(next));
    let by_new = document.with_signatures(|s| s.fits(next));
    let old = judge_by(&by_old, &manifest_rules(current), current, facts, Vec::new());
    let new = judge_by(&by_new, &manifest_rules(next), next, facts, Vec::new());
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
    let mut judged = Judged::of(findings, Some(document), &[]);
    judged.signers = signers;
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

fn manifest_rules(charter: &Charter) -> Vec<&Rule> {
    let matches = |rule: &&Rule| match &rule.scope {
        Scope::Manifests(bodies) => bodies.contains("charter"),
        Scope::Commands { .. } => false,
    };
    charter.rules.iter().filter(matches).collect()
}

/// Charters stand under the authority of the highest organ (Article I).
fn authority(manifest: &Manifest) -> Option<Finding> {
    let rank = manifest.charter.organs.get(&manifest.authority);
    if rank == Some(&super::charter::ROOT_RANK) {
        return None;
    }
    let message = format!("a charter stands under the organ of rank 1, not under `{}`", manifest.authority);
    Some(DocumentError::new(Reason::AuthorityWrong, message).into())
}
