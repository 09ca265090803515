//! Charters come into force from the ledger alone: their text stands in it, in pieces.

use crate::trust::sha256;
use crate::units::{Digest, LogIndex};

use super::super::event::{AdoptEvent, CharterRef};
use super::{InForce, State, StateError};

impl State {
    pub(super) fn adopt(&mut self, index: LogIndex, event: &AdoptEvent) -> Result<(), StateError> {
        let AdoptEvent { object, version, digest, text } = event;
        let wrong = |what: String| StateError::DocumentWrong { index, what };
        let whole = self.assemble(text).ok_or(StateError::DocumentIncomplete { index, text: *text })?;
        let charter = InForce::read(whole.into(), index).map_err(wrong)?;
        let CharterRef { version: found, digest: read } = &charter.reference;
        if read != digest || charter.object != *object || found != version {
            return Err(wrong(format!("it is {} version {found} with the digest {read}", charter.object)));
        }
        self.charters.adopt(index, charter);
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
