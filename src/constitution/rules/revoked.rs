//! A revoked key signs nothing any more. What it signed before it was revoked is history, judged at its own place in the
//! ledger (R18); a document that is not used yet needs a new signature.

use crate::api::reason::Reason;

use super::super::decision::{Finding, NextStep};
use super::super::document::Document;
use super::super::state::State;

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
