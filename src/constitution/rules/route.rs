//! The routing table: which organ may send which signal, and that it arrives. A signal without a row is refused, never waved
//! through.

use std::collections::BTreeSet;

use crate::api::reason::Reason;
use crate::trust::{Verb, VerifiedSignature};

use super::super::charter::{Charter, Signal};
use super::super::decision::Finding;

fn finding(message: String) -> Finding {
    Finding { reason: Reason::RouteForbidden, message, rule: None, next: None }
}

fn words(organs: &BTreeSet<String>) -> String {
    organs.iter().cloned().collect::<Vec<_>>().join(" or ")
}

/// Refuses `organ` as the source of `signal`.
pub(in super::super) fn may_send(organ: &str, signal: Signal, charter: &Charter) -> Option<Finding> {
    let Some(route) = charter.routes.get(&signal) else {
        return Some(finding(format!("the charter has no route for the signal {signal}; nobody may send it")));
    };
    if route.from.contains(organ) {
        return None;
    }
    Some(finding(format!("{organ} may not send the signal {signal}; it comes from {}", words(&route.from))))
}

/// Refuses a command whose author's organ may not send it, or that must leave a trace in the ledger and may not. An incident
/// must have been received too: an alert that nobody answered is not acknowledged.
pub(in super::super) fn route(
    signal: Option<Signal>,
    charter: &Charter,
    signatures: &[VerifiedSignature],
) -> Vec<Finding> {
    let Some(author) = signatures.iter().find(|s| s.verb() == Verb::Author) else { return Vec::new() };
    let signals = signal.into_iter().chain([Signal::AuditEntry]);
    let mut findings: Vec<Finding> = signals.filter_map(|s| may_send(author.seat(), s, charter)).collect();
    let to = charter.routes.get(&Signal::AlertIncident).map(|r| r.to.as_slice()).unwrap_or_default();
    let received = |s: &VerifiedSignature| s.verb() == Verb::Approve && to.iter().any(|organ| organ == s.seat());
    if signal == Some(Signal::AlertIncident) && findings.is_empty() && !signatures.iter().any(received) {
        findings.push(finding(format!("nobody of {} has received it", to.join(" or "))));
    }
    findings
}
