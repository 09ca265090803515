//! The signatures inside of entries: charters are in the ledger whole, so that whoever verifies it needs nothing else to see
//! that people signed them. That enough of them did is judged by `miax ledger replay`.

use crate::constitution::{Charter, Document, DocumentEvent, Event, Manifest};
use crate::ledger::{Check, Finding, FindingClass};
use crate::store::Recorded;

use super::replay::{assemble, collect};

/// Verifies every signature of every adopted charter; gives how many charters that were, and what is wrong.
///
/// A key is one of the charter itself or of one before it: an amendment is signed by people of both.
pub(super) fn check(entries: &[Recorded]) -> (usize, Vec<Finding>) {
    let mut pieces: Vec<DocumentEvent> = Vec::new();
    let (mut known, mut findings) = (Vec::new(), Vec::new());
    for Recorded { index, time: _, writer: _, event } in entries {
        if let Event::Document(piece) = event {
            collect(&mut pieces, piece);
        }
        // State has read the same text already: what it cannot read was found before.
        if let Event::Adopt(adopt) = event
            && let Some(manifest) = assemble(&pieces).and_then(|text| Manifest::read(&text).ok())
        {
            let Manifest { document, charter, .. } = manifest;
            known.push(charter);
            if let Some(what) = first_forged(&document, &known) {
                let (check, class) = (Check::EmbeddedSignatures, FindingClass::Tampered);
                findings.push(Finding::new(check, class, adopt.object.to_string(), Some(*index), what));
            }
        }
    }
    (known.len(), findings)
}

fn first_forged(document: &Document, charters: &[Charter]) -> Option<String> {
    document.signatures.iter().find_map(|signature| {
        let alone = Document { signatures: vec![signature.clone()], ..document.clone() };
        let mut refusals = Vec::new();
        for charter in charters.iter().rev() {
            match alone.verify((), charter) {
                Ok(_) => return None,
                Err(found) => refusals.extend(found),
            }
        }
        Some(refusals.first().map_or_else(|| "there is no charter".to_owned(), |f| f.message.clone()))
    })
}
