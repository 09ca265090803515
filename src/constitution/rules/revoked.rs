//! A key that was revoked or has ended signs nothing any more. What it signed before it was revoked is history, judged at its own place in the
//! ledger (R18); a document that is not used yet needs a new signature.

use crate::api::reason::Reason;
use crate::units::UnixSeconds;

use super::super::charter::Charter;
use super::super::decision::{Finding, NextStep};
use super::super::document::Document;
use super::super::state::State;

/// A finding for each signature that names a key which has ended by now.
pub(in super::super) fn ended(document: &Document, charter: &Charter, now: UnixSeconds) -> Vec<Finding> {
    let signatures = document.signatures.iter();
    let over = signatures.filter_map(|s| Some((s, charter.key_end(&s.key).filter(|end| now >= *end)?)));
    over.map(|(s, end)| Finding {
        reason: Reason::KeyExpired,
        message: format!("`{}` signed with the key {}, which ended at {end}", s.principal, s.key),
        rule: None,
        next: Some(NextStep::Do("sign with another key, or amend the charter with a new one".to_owned())),
    })
    .collect()
}

/// A finding for each signature that names a revoked key.
pub(in super::super) fn revoked(document: &Document, state: &State) -> Vec<Finding> {
    let signatures = document.signatures.iter();
    let worthless = signatures.filter_map(|s| Some((s, state.revoked(&s.key)?)));
    worthless
        .map(|(s, index)| Finding {
            reason: Reason::KeyRevoked,
            message: format!("`{}` signed with the key {}, which ledger entry {index} revoked", s.principal, s.key),
            rule: None,
            next: Some(NextStep::Do("remove this signature from the file and sign with another key".to_owned())),
        })
        .collect()
}
