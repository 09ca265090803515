//! Time: every document has an end, and a rule says how far ahead it may lie. The same code runs at admission, right before
//! the action and offline (R17).

use crate::api::reason::Reason;
use crate::trust::VerifiedSignature;
use crate::units::{Seconds, UnixSeconds};

use super::super::action::Action;
use super::super::charter::Rule;
use super::super::decision::Finding;
use super::super::document::Document;

/// How far a signer's clock may be ahead of ours.
const CLOCK_TOLERANCE: Seconds = Seconds(300);

fn finding(reason: Reason, message: String) -> Finding {
    Finding { reason, message, rule: None, next: None }
}

/// Refuses a document outside of its window. The end is exclusive.
pub(in super::super) fn window(document: &Document, now: UnixSeconds) -> Option<Finding> {
    if now >= document.expires_at {
        let ago = now.since(document.expires_at);
        let message = format!("it expired at {} ({ago} ago); it is {now} now", document.expires_at);
        return Some(finding(Reason::Expired, message));
    }
    let start = document.not_before.filter(|start| now < *start)?;
    let message = format!("it is valid from {start} on ({} from now); it is {now} now", start.since(now));
    Some(finding(Reason::NotYetValid, message))
}

/// Refuses an action whose effect would have ended before it began.
pub(in super::super) fn effect_ahead(action: &Action, now: UnixSeconds) -> Option<Finding> {
    let until = action.until().filter(|until| now >= *until)?;
    Some(finding(Reason::Expired, format!("its effect would have ended at {until}; it is {now} now")))
}

/// Refuses a document that is valid for longer than the rule allows, from its first signature on: a document that was
/// signed long ago must not come to life when its end draws near.
pub(in super::super) fn validity(
    document: &Document,
    rule: &Rule,
    signatures: &[VerifiedSignature],
    now: UnixSeconds,
) -> Option<Finding> {
    let max = rule.max_validity?;
    let start = signatures.iter().map(VerifiedSignature::signed_at).min().unwrap_or(now);
    if document.expires_at <= start.plus(max) {
        return None;
    }
    let message = format!(
        "it is valid until {}, but at most {max} from its first signature at {start} are allowed",
        document.expires_at
    );
    Some(Finding { rule: Some(rule.citation()), ..finding(Reason::ValidityTooLong, message) })
}

/// Refuses signatures from the future or from after the document's end: their times cannot be true.
pub(in super::super) fn signing_times(
    document: &Document,
    signatures: &[VerifiedSignature],
    now: UnixSeconds,
) -> Vec<Finding> {
    let latest = now.plus(CLOCK_TOLERANCE);
    signatures
        .iter()
        .filter(|s| s.signed_at() > latest || s.signed_at() >= document.expires_at)
        .map(|s| {
            let message =
                format!("`{}` signed at {}, but it is {now} now; check the clock", s.principal(), s.signed_at());
            finding(Reason::SignedAtImplausible, message)
        })
        .collect()
}

/// Refuses an emergency charter that need not be ratified soon enough, or should have been already.
pub(in super::super) fn ratified_in_time(
    document: &Document,
    ratify_by: UnixSeconds,
    rule: &Rule,
    now: UnixSeconds,
) -> Option<Finding> {
    let within = rule.ratify_within?;
    let first = document.signatures.iter().map(|s| s.signed_at).min().unwrap_or(now);
    if ratify_by > first.plus(within) {
        let message =
            format!("it must be ratified within {within} of its first signature at {first}, not by {ratify_by}");
        return Some(Finding { rule: Some(rule.citation()), ..finding(Reason::ValidityTooLong, message) });
    }
    (now >= ratify_by).then(|| finding(Reason::CharterLapsed, format!("it had to be ratified before {ratify_by}")))
}
