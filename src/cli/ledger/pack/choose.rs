//! Which entries belong into a pack, and what they say together. Whoever makes a pack and whoever checks one calls the same.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::cli::files::Signed;
use crate::constitution::{AdoptEvent, Charter, CharterRef, Event, SignerRef, State, Verdict};
use crate::store::Recorded;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::About;
use crate::cli::ledger::told::Told;

impl About {
    /// Whether the pack is about what the entry is about.
    fn fits(&self, told: &Told<'_>) -> bool {
        match self {
            Self::Object { object } => told.object == Some(object),
            Self::Document { digest } => told.digest == Some(*digest) || told.upon == Some(*digest),
        }
    }
}

/// The entries about it, those that act upon it, and those with the text of every charter by which they were judged.
pub(super) fn choose<'a>(about: &About, entries: &'a [Recorded]) -> Vec<&'a Recorded> {
    let direct = |told: &Told<'_>| about.fits(told);
    let told = || entries.iter().map(|r| Told::from(&r.event));
    let digests: BTreeSet<Digest> = told().filter(direct).filter_map(|t| t.digest).collect();
    let belongs = |t: &Told<'_>| direct(t) || t.upon.is_some_and(|d| digests.contains(&d));
    let cited: BTreeSet<Digest> = told().filter(belongs).filter_map(|t| t.charter.map(|c| c.digest)).collect();
    let mut chosen: BTreeSet<LogIndex> = BTreeSet::new();
    for recorded in entries {
        let own = belongs(&Told::from(&recorded.event));
        let adopted = adoption(&recorded.event).filter(|a| own || cited.contains(&a.digest));
        if own || adopted.is_some() {
            chosen.insert(recorded.index);
        }
        if let Some(adopted) = adopted {
            chosen.extend(pieces(entries, recorded.index, adopted).iter().map(|r| r.index));
        }
    }
    entries.iter().filter(|r| chosen.contains(&r.index)).collect()
}

fn adoption(event: &Event) -> Option<&AdoptEvent> {
    match event {
        Event::Adopt(adopt) => Some(adopt),
        _ => None,
    }
}

/// The entries with the text of what was adopted: from its last beginning on, as State reads them.
fn pieces<'a>(entries: &'a [Recorded], before: LogIndex, adopt: &AdoptEvent) -> Vec<&'a Recorded> {
    let part = |r: &Recorded| match &r.event {
        Event::Document(piece) if piece.text == adopt.text => Some(piece.part),
        _ => None,
    };
    let all: Vec<&Recorded> = entries.iter().take_while(|r| r.index < before).filter(|r| part(r).is_some()).collect();
    let start = all.iter().rposition(|r| part(r) == Some(0)).unwrap_or(0);
    all.into_iter().skip(start).collect()
}

/// A charter whose text the entries hold.
pub(super) struct ProvenCharter {
    pub(super) reference: CharterRef,
    /// Index of its adoption.
    pub(super) adopted: LogIndex,
    state: State,
}

impl ProvenCharter {
    pub(super) fn charter(&self) -> Option<&Charter> {
        // Nothing stands before the only charter of this State, so that it is in force at any time.
        self.state.charter(UnixSeconds::new(0)).map(|c| &c.charter)
    }
}

/// Reads the charters among the entries from their texts.
pub(super) fn charters(entries: &[Recorded]) -> Result<Vec<ProvenCharter>, (LogIndex, String)> {
    let adopted = entries.iter().filter_map(|r| adoption(&r.event).map(|a| (r, a)));
    adopted
        .map(|(recorded, adopt)| {
            let mut state = State::default();
            let parts = pieces(entries, recorded.index, adopt).into_iter().chain([recorded]);
            for (position, part) in (0..).map(LogIndex).zip(parts) {
                // What State says of it counts entries from its own beginning.
                let wrong = |_| {
                    (recorded.index, "the text of the charter is not complete, or not what its entry names".to_owned())
                };
                state.apply(position, &part.event).map_err(wrong)?;
            }
            let reference = CharterRef { version: adopt.version, digest: adopt.digest };
            Ok(ProvenCharter { reference, adopted: recorded.index, state })
        })
        .collect()
}

/// The charters that entries were judged by and whose text is not there, each with the first entry that names it.
pub(super) fn missing_charters(entries: &[Recorded], charters: &[ProvenCharter]) -> Vec<(LogIndex, CharterRef)> {
    let mut missing: Vec<(LogIndex, CharterRef)> = Vec::new();
    for recorded in entries {
        if let Some(cited) = Told::from(&recorded.event).charter
            && !charters.iter().any(|c| c.reference == *cited)
            && !missing.iter().any(|(_, known)| known == cited)
        {
            missing.push((recorded.index, cited.clone()));
        }
    }
    missing
}

/// The parts of an object that signatures cover, and the signatures. The rest has no authority and does not belong into
/// evidence.
pub(super) fn signed_parts(object: &Value) -> Value {
    let metadata: Map<String, Value> = ["name", "namespace"]
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), object.pointer(&format!("/metadata/{key}"))?.clone())))
        .collect();
    json!({
        "apiVersion": object.get("apiVersion"),
        "kind": object.get("kind"),
        "metadata": metadata,
        "spec": object.get("spec"),
    })
}

/// Checks that the document is what the entries are about, that every signature verifies by the charter that judged it
/// last, and that none is missing which an entry counts. Gives the signers.
pub(super) fn check_document(
    about: &About,
    object: &Value,
    entries: &[Recorded],
    charters: &[ProvenCharter],
) -> Result<Vec<SignerRef>, (Option<LogIndex>, String)> {
    let signed = Signed::read(object).map_err(|e| (None, e.to_string()))?;
    if signed_parts(object) != *object {
        return Err((None, "it holds fields that nobody signed".to_owned()));
    }
    let document = signed.document();
    let own: Vec<&Recorded> = entries.iter().filter(|r| Told::from(&r.event).digest == Some(document.digest)).collect();
    if !own.iter().any(|r| about.fits(&Told::from(&r.event))) {
        return Err((None, format!("no entry is about a document with the digest {}", document.digest)));
    }
    let cited = own.iter().rev().find_map(|r| Told::from(&r.event).charter);
    let judge = cited.and_then(|cited| charters.iter().find(|c| c.reference == *cited));
    // The first charter was judged by itself.
    let itself = || charters.iter().find(|c| c.reference.digest == document.digest);
    let charter = judge.or_else(itself).and_then(ProvenCharter::charter);
    let charter = charter.ok_or_else(|| (None, "no charter is there that says whose its signatures are".to_owned()))?;
    let verified = document.verify((), charter).map_err(|findings| {
        let messages: Vec<String> = findings.into_iter().map(|f| f.message).collect();
        (None, messages.join("; "))
    })?;
    let signers: Vec<SignerRef> = verified
        .signatures()
        .iter()
        .map(|s| SignerRef {
            principal: s.principal().to_owned(),
            verb: s.verb().as_str().to_owned(),
            seat: s.seat().to_owned(),
            key: s.key().as_str().to_owned(),
        })
        .collect();
    for recorded in own.iter().filter(|r| counts_signatures(&r.event)) {
        let missing = Told::from(&recorded.event).signers.iter().find(|s| !signers.contains(s));
        if let Some(SignerRef { principal, verb, seat, key: _ }) = missing {
            let message =
                format!("the signature is not in the document that the entry counts: {verb} by {principal} for {seat}");
            return Err((Some(recorded.index), message));
        }
    }
    Ok(signers)
}

/// Whether something was allowed or done on the strength of the entry's signatures.
fn counts_signatures(event: &Event) -> bool {
    match event {
        Event::Decision(e) => e.verdict == Verdict::Allow,
        Event::EffectBegin(_) | Event::Enact(_) | Event::EpochOpen(_) | Event::SloSet(_) => true,
        Event::Stored(_)
        | Event::Document(_)
        | Event::Adopt(_)
        | Event::EffectDone(_)
        | Event::EffectFailed(_)
        | Event::EffectUndone(_)
        | Event::Lapse(_)
        | Event::Flood(_)
        | Event::PolicySet(_)
        | Event::Unwitnessed(_)
        | Event::Recover(_)
        | Event::SloVerdict(_)
        | Event::ArchiveSeal(_)
        | Event::Prune(_)
        | Event::KeyAdd(_)
        | Event::KeyRetire(_)
        | Event::KeyRevoke(_) => false,
    }
}
