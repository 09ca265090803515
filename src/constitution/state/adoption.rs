//! Charters come into force from the ledger alone: their text stands in it, in pieces.

use crate::trust::{parse_json_strict, sha256};
use crate::units::{Digest, LogIndex};

use super::super::event::{AdoptEvent, CharterRef};
use super::super::manifest::Manifest;
use super::{InForce, State, StateError};

impl State {
    pub(super) fn adopt(&mut self, index: LogIndex, event: &AdoptEvent) -> Result<(), StateError> {
        let AdoptEvent { object, version, digest, text } = event;
        let wrong = |what: String| StateError::DocumentWrong { index, what };
        let whole = self.assemble(text).ok_or(StateError::DocumentIncomplete { index, text: *text })?;
        let value = parse_json_strict(whole.as_bytes()).map_err(|e| wrong(e.to_string()))?;
        let manifest = Manifest::read(&value).map_err(|e| wrong(e.to_string()))?;
        let Manifest { document, id, version: found, authority: _, ratify_by, charter } = manifest;
        if document.digest != *digest || document.object != *object || found != *version {
            return Err(wrong(format!(
                "it is {} version {found} with the digest {}",
                document.object, document.digest
            )));
        }
        let reference = CharterRef { version: *version, digest: *digest };
        let expires_at = document.expires_at;
        let object = object.clone();
        self.charters.adopt(index, InForce { object, id, reference, expires_at, ratify_by, since: index, charter });
        self.documents.remove(text);
        Ok(())
    }

    /// The whole text, when every piece is there once and in order and the digest fits.
    fn assemble(&self, text: &Digest) -> Option<String> {
        let pieces = self.documents.get(text)?;
        // A writer that died between two blocks leaves pieces without an adoption; the next one starts over at part 0.
        let start = pieces.iter().rposition(|p| p.part == 0)?;
        let whole: String = pieces.iter().skip(start).map(|p| p.piece.as_str()).collect();
        let complete = pieces.iter().skip(start).enumerate().all(|(i, p)| usize::try_from(p.part) == Ok(i))
            && pieces.back().is_some_and(|last| last.part + 1 == last.parts);
        (complete && sha256(whole.as_bytes()) == *text).then_some(whole)
    }
}
