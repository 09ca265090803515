//! Checks a pack alone: with the log's key, and nothing else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cli::dump::read_file;
use crate::cli::ledger::list::list_text;
use crate::cli::ledger::report::{finding_line, finding_value, verdict};
use crate::cli::ledger::told::entry_value;
use crate::cli::output::{Failure, Tone, paint, plain};
use crate::cli::source::Published;
use crate::cli::witnessed;
use crate::constitution::{Event, EventError, SignerRef};
use crate::ledger::{
    Check, Entry, EntryError, Finding, FindingClass, InclusionProof, LogKeys, SignedCheckpoint, leaf_hash,
};
use crate::store::Recorded;
use crate::trust::{Quorum, read_canonical};
use crate::units::{Digest, LogIndex};

use super::choose::{ProvenCharter, charters, check_document, choose, missing_charters};
use super::{FORMAT, Pack, Proven};

/// What a file that is a pack begins with: canonical JSON sorts its keys.
const BEGIN: &[u8] = b"{\"about\":";

/// The points that a pack touches most: a proof is bound to a signed root, and what is signed inside of entries verifies.
const PROVEN: Option<Check> = Some(Check::CheckpointRoot);
const SIGNED: Option<Check> = Some(Check::EmbeddedSignatures);

/// What the check of a pack found.
#[derive(Default)]
pub(in super::super) struct Checked {
    about: String,
    origin: String,
    size: u64,
    entries: Vec<Recorded>,
    charters: Vec<ProvenCharter>,
    signers: Option<Vec<SignerRef>>,
    published: Option<Published>,
    pub(in super::super) findings: Vec<Finding>,
}

/// Reads the file if it is a pack; a dump is left alone.
pub(in super::super) fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = read_file(path)?;
    Ok(bytes.starts_with(BEGIN).then_some(bytes))
}

/// Checks every byte of a pack.
pub(in super::super) fn check(bytes: &[u8], keys: &LogKeys) -> Checked {
    let mut checked = Checked { origin: keys.origin().to_owned(), ..Checked::default() };
    let Some(pack) = checked.parse(bytes) else { return checked };
    let Pack { format: _, about, checkpoint, entries, document } = pack;
    checked.about = about.to_string();
    let signed = match SignedCheckpoint::open_with(&checkpoint, keys) {
        Ok(signed) => signed,
        Err(error) => {
            checked.fail(
                Some(Check::CheckpointSignatures),
                FindingClass::Tampered,
                "checkpoint",
                None,
                error.to_string(),
            );
            return checked;
        }
    };
    checked.size = signed.checkpoint().size;
    checked.published = Some(Published { note: checkpoint, signed: signed.clone() });
    entries.iter().for_each(|entry| checked.take(entry, &signed));
    // What does not hold alone must not be used to explain the rest.
    if !checked.findings.is_empty() {
        return checked;
    }
    let chosen: Vec<LogIndex> = choose(&about, &checked.entries).iter().map(|r| r.index).collect();
    let strangers: Vec<LogIndex> = checked.entries.iter().map(|r| r.index).filter(|i| !chosen.contains(i)).collect();
    for index in strangers {
        checked.fail(None, FindingClass::Tampered, "pack", Some(index), format!("the entry is not about {about}"));
    }
    if chosen.is_empty() {
        checked.fail(None, FindingClass::Incomplete, "pack", None, format!("no entry is about {about}"));
    }
    match charters(&checked.entries) {
        Ok(charters) => checked.charters = charters,
        Err((index, what)) => checked.fail(SIGNED, FindingClass::Tampered, "charter", Some(index), what),
    }
    for (index, charter) in missing_charters(&checked.entries, &checked.charters) {
        let message = format!("the entry names charter version {}, whose text is not here", charter.version);
        checked.fail(SIGNED, FindingClass::Incomplete, "charter", Some(index), message);
    }
    if let Some(document) = document {
        match check_document(&about, &document, &checked.entries, &checked.charters) {
            Ok(signers) => checked.signers = Some(signers),
            Err((index, what)) => checked.fail(SIGNED, FindingClass::Tampered, "document", index, what),
        }
    }
    checked
}

impl Checked {
    /// Counts the witnesses of its checkpoint.
    pub(in super::super) fn count_witnesses(&mut self, quorum: &Quorum) {
        self.findings.extend(witnessed::check(quorum, self.published.as_ref(), "checkpoint"));
    }

    fn fail(
        &mut self,
        check: Option<Check>,
        class: FindingClass,
        object: &str,
        entry: Option<LogIndex>,
        message: String,
    ) {
        self.findings.push(Finding { check, class, object: object.to_owned(), entry, message });
    }

    fn parse(&mut self, bytes: &[u8]) -> Option<Pack> {
        let Some(value) = read_canonical(bytes.strip_suffix(b"\n").unwrap_or(bytes)) else {
            let message = "it is not canonical JSON: it was changed, cut or formatted anew".to_owned();
            self.fail(Some(Check::EntryForm), FindingClass::Tampered, "pack", None, message);
            return None;
        };
        let format = value.get("format").and_then(Value::as_str).unwrap_or_default();
        if format != FORMAT {
            let message = format!("it has the form `{format}`; this version of miax reads {FORMAT}");
            self.fail(Some(Check::UnknownForms), FindingClass::Unsupported, "pack", None, message);
            return None;
        }
        let wrong = |e: serde_json::Error| {
            self.fail(Some(Check::EntryForm), FindingClass::Tampered, "pack", None, e.to_string());
        };
        serde_json::from_value(value).map_err(wrong).ok()
    }

    /// Checks an entry by its proof and reads it.
    fn take(&mut self, proven: &Proven, signed: &SignedCheckpoint) {
        let Proven { index, entry, proof } = proven;
        if self.entries.last().is_some_and(|before| before.index >= *index) {
            let message = "the entry stands twice or not in the order of the log".to_owned();
            return self.fail(Some(Check::ContiguousIndices), FindingClass::Tampered, "pack", Some(*index), message);
        }
        let hash = |text: &String| STANDARD.decode(text).ok().and_then(|b| b.try_into().ok()).map(Digest);
        let Some(hashes) = proof.iter().map(hash).collect::<Option<Vec<Digest>>>() else {
            let message = "its proof holds something that is not a hash".to_owned();
            return self.fail(PROVEN, FindingClass::Tampered, "pack", Some(*index), message);
        };
        let leaf = leaf_hash(entry.as_bytes());
        if let Err(error) = (InclusionProof { index: *index, hashes }).verify(&leaf, signed) {
            return self.fail(PROVEN, FindingClass::Tampered, "pack", Some(*index), error.to_string());
        }
        match recorded(*index, entry) {
            Ok(recorded) => self.entries.push(recorded),
            Err((check, class, message)) => self.fail(Some(check), class, "pack", Some(*index), message),
        }
    }

    /// The result as data.
    pub(in super::super) fn value(&self) -> Value {
        let Self { about, origin, size, entries, charters, signers, published: _, findings } = self;
        let charter = |c: &ProvenCharter| json!({"version": c.reference.version, "digest": c.reference.digest, "adopted": c.adopted});
        json!({
            "verdict": verdict(findings),
            "whole": findings.is_empty(),
            "about": about,
            "origin": origin,
            "size": size,
            "entries": entries.iter().map(entry_value).collect::<Vec<_>>(),
            "charters": charters.iter().map(charter).collect::<Vec<_>>(),
            "signers": signers,
            "findings": findings.iter().map(finding_value).collect::<Vec<_>>(),
        })
    }

    /// The result in words.
    pub(in super::super) fn text(&self) -> String {
        let Self { about, origin, size, entries, charters, signers, published: _, findings } = self;
        if !findings.is_empty() {
            let mut lines: Vec<String> = findings.iter().map(finding_line).collect();
            lines.push(format!("{}: the pack proves nothing", paint(verdict(findings), Tone::Bad)));
            return lines.join("\n");
        }
        let rows: Vec<&Recorded> = entries.iter().collect();
        let mut lines = vec![list_text(&rows)];
        for ProvenCharter { reference, adopted, .. } in charters {
            lines.push(format!(
                "charter version {} {}, its text ends in entry {adopted}",
                reference.version, reference.digest
            ));
        }
        match signers {
            None => lines.push("the document itself is not in the pack".to_owned()),
            Some(signers) => {
                let names: Vec<String> =
                    signers.iter().map(|s| format!("{} by {} for {}", s.verb, s.principal, s.seat)).collect();
                lines.push(plain(&format!("the document is in the pack; its signatures verify: {}", names.join(", "))));
            }
        }
        let word = paint("whole", Tone::Good);
        let what = plain(&format!("{} entries about {about} are among the {size} of {origin}", entries.len()));
        lines.push(format!("{word}: {what}"));
        lines.join("\n")
    }
}

fn recorded(index: LogIndex, entry: &str) -> Result<Recorded, (Check, FindingClass, String)> {
    let newer = |what: String| (Check::UnknownForms, FindingClass::Unsupported, what);
    let wrong = |what: String| (Check::EntryForm, FindingClass::Tampered, what);
    let Entry { kind, time, writer, fields } = Entry::decode(entry.as_bytes()).map_err(|e| match e {
        EntryError::Format { .. } => newer(e.to_string()),
        EntryError::FieldReserved(_)
        | EntryError::NotCanonical
        | EntryError::Unreadable(_)
        | EntryError::TooLarge { .. } => wrong(e.to_string()),
    })?;
    let event = Event::read(&kind, fields).map_err(|e| match e {
        EventError::Kind(_) => newer(e.to_string()),
        EventError::Fields { .. } => wrong(e.to_string()),
    })?;
    Ok(Recorded { index, time, writer, event })
}
