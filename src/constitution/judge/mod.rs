//! The judge: a total function of the request, State and the facts. It never fails; what it cannot judge it refuses.

mod command;
mod manifest;
mod slo;

use serde_json::Value;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::trust::{Verified, VerifiedSignature};
use crate::units::UnixSeconds;

use super::charter::{Charter, Rule};
use super::decision::{Advice, Decision, Finding, NextStep, SeatView, Verdict};
use super::document::Document;
use super::event::{ObjectRef, SignerRef};
use super::facts::Facts;
use super::request::{Operation, Request};
use super::rules::{Counted, ended, quorum, revoked, signing_times, validity};
use super::state::State;

pub(super) use command::{command_rules, judge_command};
pub(super) use manifest::judge_manifest;
pub(super) use slo::{judge_slo, slo_rules};

/// Judges a request.
#[must_use]
pub fn judge(request: &Request, state: &State, facts: &Facts) -> Decision {
    judge_request(request, state, facts).decision
}

pub(super) fn judge_request(request: &Request, state: &State, facts: &Facts) -> Judged {
    let mut judged = match (request.operation, &request.object) {
        (Operation::Delete, _) => Judged::bare(judge_delete(request, state, facts)),
        (Operation::Create | Operation::Update, Some(object)) => judge_object(request, object, state, facts),
        (Operation::Create | Operation::Update, None) => {
            Judged::bare(Decision::refusal(Reason::ReviewInvalid, "the review holds no object"))
        }
    };
    judged.decision.charter = state.charter(facts.now).map(|c| c.reference.clone());
    judged
}

/// Judges a stored object again, as the executor does right before it acts and `miax verify` does offline.
#[must_use]
pub fn recheck(object: &Value, kind: GovernedKind, state: &State, facts: &Facts) -> Decision {
    let mut judged = match kind {
        GovernedKind::ControlCommand => judge_command(object, state, facts),
        GovernedKind::Manifest => judge_manifest(object, state, facts),
        GovernedKind::Slo => judge_slo(object, state, facts),
    };
    judged.decision.charter = state.charter(facts.now).map(|c| c.reference.clone());
    judged.decision
}

/// A decision with what the ledger entry says beside it.
pub(super) struct Judged {
    pub(super) decision: Decision,
    pub(super) summary: Option<String>,
    pub(super) signers: Vec<SignerRef>,
    /// Whether its rules let it be stored while it waits for people.
    holds: bool,
}

impl Judged {
    fn bare(decision: Decision) -> Self {
        Self { decision, summary: None, signers: Vec::new(), holds: false }
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
        let decision = Decision {
            verdict,
            findings,
            digest,
            rules: Vec::new(),
            seats: Vec::new(),
            advice: Vec::new(),
            charter: None,
            recorded: true,
        };
        Self { decision, summary: None, signers: signatures.iter().map(signer).collect(), holds: false }
    }

    /// An allow that stands on waivers says so.
    fn tell_exceptions(&mut self, exceptions: &[String]) {
        if let (true, Some(finding)) =
            (self.decision.is_allowed() && !exceptions.is_empty(), self.decision.findings.first_mut())
        {
            finding.message = format!("the seats that are asked for are filled; {}", exceptions.join("; "));
        }
    }

    /// What only waits for people is stored without effect, where its rules say so. The executor never sees this: for it the
    /// command is refused until it is complete.
    fn hold(mut self, object: &ObjectRef) -> Self {
        if !self.holds || !self.decision.waits_for_people() {
            return self;
        }
        let ObjectRef { kind: _, namespace, name } = object;
        // It is no longer a file that has to be signed.
        let next = NextStep::Run(format!("miax approve controlcommand/{name} -n {namespace} --seat SEAT"));
        self.decision.findings.iter_mut().for_each(|f| f.next = Some(next.clone()));
        let message = "stored without effect; it waits for people to sign it in the cluster".to_owned();
        self.decision.findings.insert(0, Finding { reason: Reason::Held, message, rule: None, next: None });
        self.decision.verdict = Verdict::Allow;
        self
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

fn judge_delete(request: &Request, state: &State, facts: &Facts) -> Decision {
    let in_force = state
        .charter(facts.now)
        .is_some_and(|c| request.kind == GovernedKind::Manifest && c.object.name == request.name);
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
        GovernedKind::ControlCommand => {
            judge_command(object, state, facts).hold(&ObjectRef::new(request.kind, &request.namespace, &request.name))
        }
        GovernedKind::Manifest => judge_manifest(object, state, facts),
        GovernedKind::Slo => judge_slo(object, state, facts),
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
    // The next version of an objective has its own signatures; which version may follow is judged with it.
    if request.kind == GovernedKind::Slo && old_spec.get("version") != new_spec.get("version") {
        return None;
    }
    let refuse = |reason, message: &str, next: &str| {
        let next = Some(NextStep::Do(next.to_owned()));
        Some(Judged::refused(vec![Finding { reason, message: message.to_owned(), rule: None, next }]))
    };
    if old_spec != new_spec {
        let next = match request.kind {
            GovernedKind::Manifest | GovernedKind::ControlCommand => {
                "create a new object under another name and have it signed"
            }
            GovernedKind::Slo => "change it under the next version, and have that signed",
        };
        let message =
            "the signed part of a stored object cannot change; every approval was for what it was, and would be void";
        return refuse(Reason::SpecImmutable, message, next);
    }
    if old_signatures.iter().any(|s| !new_signatures.contains(s)) {
        let next = "add an objection or a withdrawal instead: miax object, miax withdraw";
        return refuse(Reason::SignatureRemoved, "a signature was changed or removed", next);
    }
    None
}

/// What rules say that are not enforced. Without verified signatures they have nothing to say.
fn advise(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    signatures: &[VerifiedSignature],
    now: UnixSeconds,
) -> Vec<Advice> {
    let heard = rules.iter().filter(|_| !signatures.is_empty());
    heard
        .map(|rule| {
            let mut findings = quorum(document, &[rule], charter, signatures).findings;
            findings.extend(validity(document, rule, signatures, now));
            Advice { rule: rule.citation(), mode: rule.mode, findings }
        })
        .collect()
}

/// Verifies and counts. Findings are added; the seats are for people to see.
fn check_signatures(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    state: &State,
    facts: &Facts,
    findings: &mut Vec<Finding>,
) -> (Vec<VerifiedSignature>, Vec<SeatView>) {
    if document.signatures.is_empty() {
        findings.push(unsigned(document, rules));
    }
    let mut worthless = revoked(document, state);
    worthless.extend(ended(document, charter, facts.now));
    if !worthless.is_empty() {
        findings.extend(worthless);
        return (Vec::new(), Vec::new());
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
