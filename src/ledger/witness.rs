//! What a witness (<https://c2sp.org/tlog-witness>) answers: it cosigns a checkpoint that continues the last one that it
//! cosigned, and nothing else. Keeping what it cosigned, before the answer leaves, is the shell's part.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::trust::{Cosigner, NoteError, NoteVerifier, open_note};
use crate::units::{Digest, UnixSeconds};

use super::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use super::proof::{ConsistencyProof, ProofError};
use super::tree::CompactRange;

/// Most hashes that a request may hold.
const MAX_HASHES: usize = 63;

/// A request to cosign: the size of the checkpoint that the witness cosigned last, the proof from there, and the new
/// checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The proof, which begins at the old size.
    pub proof: ConsistencyProof,
    /// The new checkpoint, a signed note.
    pub note: String,
}

/// A log whose checkpoints a witness cosigns: its origin, and a key that signs them. A log that changes its key has two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// First line of its checkpoints.
    pub origin: String,
    /// Its key.
    pub key: NoteVerifier,
}

/// A request whose checkpoint a known key of its log signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    proof: ConsistencyProof,
    signed: SignedCheckpoint,
    text: String,
    note: String,
}

/// A checkpoint that continues the last one that was cosigned. The only constructor is [`Candidate::decide`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consistent(Candidate);

/// A checkpoint that was cosigned, with the log's signature and the witness's, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// What was cosigned.
    pub signed: SignedCheckpoint,
    /// The note.
    pub note: String,
    /// The witness's signature line: the last one of the note.
    pub line: String,
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is not of the form.
    #[error("the request is not an old size, a proof and a checkpoint")]
    Malformed,
    /// The checkpoint is smaller than the old size.
    #[error("the old size {old} is larger than the checkpoint over {size} entries")]
    OldBeyond {
        /// The old size.
        old: u64,
        /// The checkpoint's.
        size: u64,
    },
    /// No key is known for this log.
    #[error("the log `{0}` is not known here")]
    UnknownLog(String),
    /// No known key of the log signed it.
    #[error("no known key of the log signed the checkpoint: {0}")]
    Unsigned(NoteError),
    /// The last checkpoint that was cosigned has another size.
    #[error("the last checkpoint that was cosigned is over {size} entries")]
    Conflict {
        /// Its size.
        size: u64,
    },
    /// The log shows another tree of the same size.
    #[error("another root over {size} entries was cosigned; the log shows two histories")]
    Forked {
        /// Its size.
        size: u64,
    },
    /// The proof proves nothing.
    #[error("the checkpoint does not continue the last one: {0}")]
    Inconsistent(ProofError),
}

impl Refusal {
    /// HTTP status code of the answer.
    #[must_use]
    pub fn http_code(&self) -> u16 {
        match self {
            Self::Malformed | Self::OldBeyond { .. } => 400,
            Self::Unsigned(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict { .. } | Self::Forked { .. } => 409,
            Self::Inconsistent(_) => 422,
        }
    }
}

impl std::str::FromStr for KnownLog {
    type Err = NoteError;

    /// Reads a verifier key that is named by the log's origin, or `ORIGIN=KEY` for a log whose key has another name.
    ///
    /// # Errors
    /// [`NoteError::Key`], [`NoteError::Name`].
    fn from_str(text: &str) -> Result<Self, NoteError> {
        // The key's hash covers its name: of the two readings of a name with an equals sign only one is a key.
        if let Ok(key) = text.parse::<NoteVerifier>() {
            return Ok(Self { origin: key.name().to_owned(), key });
        }
        let (origin, key) = text.rsplit_once('=').unwrap_or(("", text));
        let key: NoteVerifier = key.parse()?;
        match origin.is_empty() || origin.contains(char::is_control) {
            true => Err(NoteError::Key(text.to_owned())),
            false => Ok(Self { origin: origin.to_owned(), key }),
        }
    }
}

impl AddCheckpoint {
    /// The request's body.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Self { proof: ConsistencyProof { old, hashes }, note } = self;
        let lines: String = hashes.iter().map(|hash| format!("{}\n", STANDARD.encode(hash.0))).collect();
        format!("old {old}\n{lines}\n{note}")
    }

    /// Reads a request's body.
    ///
    /// # Errors
    /// [`Refusal::Malformed`].
    pub fn parse(body: &str) -> Result<Self, Refusal> {
        let (head, note) = body.split_once("\n\n").ok_or(Refusal::Malformed)?;
        let mut lines = head.split('\n');
        let size = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or(Refusal::Malformed)?;
        let old = size.parse::<u64>().ok().filter(|n| n.to_string() == size).ok_or(Refusal::Malformed)?;
        let hash = |line: &str| STANDARD.decode(line).ok()?.try_into().ok().map(Digest);
        let hashes: Option<Vec<Digest>> = lines.map(hash).collect();
        let hashes = hashes.filter(|h| h.len() <= MAX_HASHES).ok_or(Refusal::Malformed)?;
        Ok(Self { proof: ConsistencyProof { old, hashes }, note: note.to_owned() })
    }

    /// Checks who signed the checkpoint; `logs` are all that are known.
    ///
    /// # Errors
    /// [`Refusal::Malformed`], [`Refusal::UnknownLog`], [`Refusal::Unsigned`], [`Refusal::OldBeyond`].
    pub fn check(self, logs: &[KnownLog]) -> Result<Candidate, Refusal> {
        let Self { proof, note } = self;
        let origin = Checkpoint::claimed_origin(&note).ok_or(Refusal::Malformed)?;
        let mut why = Refusal::UnknownLog(origin.to_owned());
        for KnownLog { origin, key } in logs.iter().filter(|log| log.origin == origin) {
            match SignedCheckpoint::open_extended(&note, origin, key) {
                Ok(signed) if proof.old > signed.checkpoint().size => {
                    return Err(Refusal::OldBeyond { old: proof.old, size: signed.checkpoint().size });
                }
                Ok(signed) => {
                    let text = open_note(&note, key).map_err(Refusal::Unsigned)?.to_owned();
                    // Lines of others are not ours to keep: anybody can add 64 KiB of them.
                    let note = key.without_others(&note).map_err(Refusal::Unsigned)?;
                    return Ok(Candidate { proof, signed, text, note });
                }
                Err(CheckpointError::Note(NoteError::Malformed) | CheckpointError::Malformed) => {
                    return Err(Refusal::Malformed);
                }
                // Another key of the same log may have signed it: keys are replaced with an overlap.
                Err(CheckpointError::Note(error)) => why = Refusal::Unsigned(error),
                Err(CheckpointError::Origin(other)) => return Err(Refusal::UnknownLog(other)),
            }
        }
        Err(why)
    }
}

impl Candidate {
    /// The checkpoint.
    #[must_use]
    pub fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }

    /// The checkpoint's note, with the signature of the log alone.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether it may be cosigned after `known`, the last one of this log that was; `None` when none was.
    ///
    /// # Errors
    /// [`Refusal::Conflict`], [`Refusal::Forked`], [`Refusal::Inconsistent`].
    pub fn decide(self, known: Option<&SignedCheckpoint>) -> Result<Consistent, Refusal> {
        let Self { proof, signed, text: _, note: _ } = &self;
        let new = signed.checkpoint();
        let size = known.map_or(0, |known| known.checkpoint().size);
        if proof.old != size {
            return Err(Refusal::Conflict { size });
        }
        // There is one tree of no entries, whether or not a checkpoint of it was cosigned.
        let before = known.filter(|_| size > 0).map_or_else(|| CompactRange::default().root(), |k| k.checkpoint().root);
        if new.size == size && new.root != before {
            return Err(Refusal::Forked { size });
        }
        match known {
            Some(known) => proof.verify(known, signed).map_err(Refusal::Inconsistent)?,
            None if proof.hashes.is_empty() => {}
            None => return Err(Refusal::Inconsistent(ProofError::Length { found: proof.hashes.len(), expected: 0 })),
        }
        Ok(Consistent(self))
    }
}

impl Consistent {
    /// Cosigns it, as of now. What is returned must be kept before anybody is told.
    ///
    /// # Errors
    /// Those of [`Cosigner::cosign`].
    pub fn cosign(self, cosigner: &Cosigner, now: UnixSeconds) -> Result<Cosigned, NoteError> {
        let Self(Candidate { proof: _, signed, text, note }) = self;
        let line = cosigner.cosign(&text, now)?;
        Ok(Cosigned { signed, note: format!("{note}{line}"), line })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{HashTree, leaf_hash};
    use crate::trust::NoteSigner;

    const LOG: &str = "miax.dev/ecm/c/0";

    fn log(seed: u8) -> NoteSigner {
        NoteSigner::try_new(LOG, &[seed; 32]).expect("name")
    }

    fn tree(salt: &str) -> HashTree {
        let mut tree = HashTree::default();
        (0..20).for_each(|n| tree.append(leaf_hash(format!("{salt}{n}").as_bytes())));
        tree
    }

    fn note(tree: &HashTree, size: u64) -> String {
        Checkpoint { origin: LOG.into(), size, root: tree.root(size).expect("root") }.sign(&log(1)).expect("signed")
    }

    fn asked(tree: &HashTree, old: u64, size: u64) -> AddCheckpoint {
        let empty = ConsistencyProof { old, hashes: Vec::new() };
        AddCheckpoint { proof: tree.consistency(old, size).unwrap_or(empty), note: note(tree, size) }
    }

    fn known(tree: &HashTree, size: u64) -> SignedCheckpoint {
        SignedCheckpoint::open(&note(tree, size), LOG, &log(1).verifier()).expect("opens")
    }

    fn logs() -> Vec<KnownLog> {
        [2, 1].map(|seed| KnownLog { origin: LOG.into(), key: log(seed).verifier() }).into()
    }

    fn answer(request: &str, known: Option<&SignedCheckpoint>) -> u16 {
        let decided = AddCheckpoint::parse(request).and_then(|r| r.check(&logs())).and_then(|c| c.decide(known));
        decided.map_or_else(|refusal| refusal.http_code(), |_| 200)
    }

    #[test]
    fn every_status_code_has_its_cause() {
        let (ours, other) = (tree("a"), tree("b"));
        let at = |size| known(&ours, size);
        let good = asked(&ours, 7, 12);
        let with = |hashes: Vec<Digest>| {
            AddCheckpoint { proof: ConsistencyProof { old: 7, hashes }, note: good.note.clone() }.to_text()
        };
        let hashes = good.proof.hashes.clone();
        let first = AddCheckpoint { proof: ConsistencyProof { old: 0, hashes: hashes.clone() }, ..good.clone() };
        let foreign = good.note.replace("miax.dev", "else.dev");
        let unsigned = AddCheckpoint { note: good.note.replace("\n12\n", "\n13\n"), ..good.clone() }.to_text();
        let rootless = log(1).sign("miax.dev/ecm/c/0\n7\nAAAA\n").expect("signed");
        #[rustfmt::skip]
        let rows: Vec<(&str, String, Option<SignedCheckpoint>, u16)> = vec![
            ("it continues the last one", good.to_text(), Some(at(7)), 200),
            ("the first one of a log", asked(&ours, 0, 12).to_text(), None, 200),
            ("the same once more", asked(&ours, 7, 7).to_text(), Some(at(7)), 200),
            ("from a log without entries", asked(&ours, 0, 7).to_text(), Some(at(0)), 200),
            ("a log without entries", asked(&ours, 0, 0).to_text(), None, 200),
            ("no form at all", "hello".into(), None, 400),
            ("an old size with a zero", good.to_text().replacen("old 7", "old 07", 1), Some(at(7)), 400),
            ("too many hashes", with(vec![Digest([0; 32]); 64]), Some(at(7)), 400),
            ("a root that is none", AddCheckpoint { note: rootless, ..good.clone() }.to_text(), Some(at(7)), 400),
            ("an old size beyond the checkpoint", asked(&ours, 12, 7).to_text(), Some(at(12)), 400),
            ("a line that nobody signed", unsigned, Some(at(7)), 403),
            ("another log", AddCheckpoint { note: foreign, ..good.clone() }.to_text(), Some(at(7)), 404),
            ("an older size than the last one", asked(&ours, 5, 12).to_text(), Some(at(7)), 409),
            ("a newer size than the last one", asked(&ours, 9, 12).to_text(), Some(at(7)), 409),
            ("smaller than the last one", asked(&ours, 5, 6).to_text(), Some(at(7)), 409),
            ("from nothing, though one was cosigned", asked(&ours, 0, 12).to_text(), Some(at(7)), 409),
            ("another root at the same size", asked(&other, 7, 7).to_text(), Some(at(7)), 409),
            ("another history", asked(&other, 7, 12).to_text(), Some(at(7)), 422),
            ("a proof that is too short", with(hashes[1..].to_vec()), Some(at(7)), 422),
            ("a proof that is too long", with([hashes.clone(), vec![Digest([0; 32])]].concat()), Some(at(7)), 422),
            ("a proof from nothing", first.to_text(), None, 422),
        ];
        for (name, request, known, expected) in rows {
            assert_eq!(answer(&request, known.as_ref()), expected, "{name}");
        }
    }

    #[test]
    fn a_request_reads_back_as_it_was_written() {
        let request = asked(&tree("a"), 7, 12);
        assert!(request.to_text().starts_with("old 7\n"));
        assert_eq!(AddCheckpoint::parse(&request.to_text()), Ok(request));
    }

    #[test]
    fn the_last_one_that_was_cosigned_is_told() {
        let ours = tree("a");
        let candidate = asked(&ours, 5, 12).check(&logs()).expect("signed");
        assert_eq!(candidate.signed().checkpoint().size, 12);
        assert_eq!(candidate.decide(Some(&known(&ours, 7))), Err(Refusal::Conflict { size: 7 }));
    }

    #[test]
    fn what_is_cosigned_holds_two_signatures_and_is_what_the_next_request_continues() {
        let ours = tree("a");
        let seed = crate::trust::SigningKey::from_ed25519_seed(&[5; 32]);
        let witness = Cosigner::try_new("witness.example/w1", &seed).expect("name").expect("Ed25519");
        let mut request = asked(&ours, 0, 7);
        let stranger = NoteSigner::try_new("stranger", &[8; 32]).expect("name");
        let (text, _) = request.note.split_once("\n\n").expect("a note");
        let theirs = stranger.sign(&format!("{text}\n")).expect("signed");
        request.note.push_str(theirs.rsplit_once("\n\n").expect("a note").1);
        let cosigned = request.check(&logs()).and_then(|c| c.decide(None)).expect("continues nothing");
        let Cosigned { signed, note, line } = cosigned.cosign(&witness, UnixSeconds::new(9)).expect("cosigned");
        assert!(note.ends_with(&line) && !note.contains("stranger"), "{note}");
        assert_eq!(SignedCheckpoint::open(&note, LOG, &log(1).verifier()).as_ref(), Ok(&signed));
        let kept = SignedCheckpoint::open_cosigned(&note, LOG, &witness.verifier()).expect("its own");
        assert!(asked(&ours, 7, 12).check(&logs()).and_then(|c| c.decide(Some(&kept))).is_ok());
    }

    #[test]
    fn a_log_is_named_by_its_key_or_before_it() {
        let key = log(1).verifier();
        let read = |text: &str| text.parse::<KnownLog>().map(|log| (log.origin, log.key));
        assert_eq!(read(&key.to_string()), Ok((LOG.into(), key.clone())));
        assert_eq!(read(&format!("go.sum database tree={key}")), Ok(("go.sum database tree".into(), key.clone())));
        assert_eq!(read(&format!("a=b={key}")), Ok(("a=b".into(), key.clone())));
        for wrong in [format!("={key}"), format!("a\nb={key}"), "a".into(), String::new()] {
            assert!(matches!(read(&wrong), Err(NoteError::Key(_))), "{wrong}");
        }
    }

    #[test]
    fn of_no_pair_of_histories_both_are_cosigned() {
        let (ours, other) = (tree("a"), tree("b"));
        for old in 1..=20 {
            for size in old..=20 {
                assert_eq!(answer(&asked(&ours, old, size).to_text(), Some(&known(&ours, old))), 200, "{old} {size}");
                assert_ne!(answer(&asked(&other, old, size).to_text(), Some(&known(&ours, old))), 200, "{old} {size}");
            }
        }
    }
}
