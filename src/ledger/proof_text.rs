//! Proofs as texts that other programs read: an inclusion proof in the form of <https://c2sp.org/tlog-proof>, a consistency
//! proof as a witness is asked for its signature (<https://c2sp.org/tlog-witness>). Each carries its checkpoint.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::units::{Digest, LogIndex};

use super::entry::MAX_ENTRY_BYTES;
use super::proof::{ConsistencyProof, InclusionProof, MAX_PROOF};

/// First line of an inclusion proof.
const INCLUSION: &str = "c2sp.org/tlog-proof@v1";
/// What begins the line of extra data.
const EXTRA: &str = "extra ";
/// What begins the line with the entry's index.
const INDEX: &str = "index ";
/// What begins a consistency proof: the size of the older checkpoint follows.
const OLD: &str = "old ";

/// An inclusion proof with its checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionText {
    /// Data for the application. Nobody vouches for it; here it is the entry, whose hash the proof is about.
    pub extra: Option<Vec<u8>>,
    /// The proof.
    pub proof: InclusionProof,
    /// The checkpoint, a signed note, as it was published.
    pub checkpoint: String,
}

/// A consistency proof with the newer checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyText {
    /// The proof.
    pub proof: ConsistencyProof,
    /// The newer checkpoint, a signed note, as it was published.
    pub checkpoint: String,
}

/// A proof of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProofText {
    /// That an entry is in the log.
    Inclusion(InclusionText),
    /// That a checkpoint continues another.
    Consistency(ConsistencyText),
}

/// Why a text is not a proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofTextError {
    /// No checkpoint follows.
    #[error("an empty line and a checkpoint must follow the hashes")]
    CheckpointMissing,
    /// The extra data is not base64, or larger than an entry.
    #[error("line {line}: the extra data must be base64 of at most {MAX_ENTRY_BYTES} bytes")]
    Extra {
        /// Where.
        line: usize,
    },
    /// A line is not the base64 of a hash.
    #[error("line {line}: this is not a hash: base64 of 32 bytes")]
    Hash {
        /// Where.
        line: usize,
    },
    /// The first line is unknown.
    #[error("this is not a proof; it begins with `{INCLUSION}` or `{OLD}SIZE`")]
    Header,
    /// The line with the number is missing, or the number has another spelling.
    #[error("line {line}: `{word}` and a number without leading zeros must stand here")]
    Number {
        /// Where.
        line: usize,
        /// What the line begins with.
        word: &'static str,
    },
    /// There are more hashes than any tree is high.
    #[error("there are more than {MAX_PROOF} hashes")]
    TooLong,
}

impl std::fmt::Display for InclusionText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { extra, proof: InclusionProof { index, hashes }, checkpoint } = self;
        writeln!(f, "{INCLUSION}")?;
        if let Some(extra) = extra {
            writeln!(f, "{EXTRA}{}", STANDARD.encode(extra))?;
        }
        writeln!(f, "{INDEX}{index}")?;
        write_hashes(f, hashes, checkpoint)
    }
}

impl std::fmt::Display for ConsistencyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { proof: ConsistencyProof { old, hashes }, checkpoint } = self;
        writeln!(f, "{OLD}{old}")?;
        write_hashes(f, hashes, checkpoint)
    }
}

fn write_hashes(f: &mut std::fmt::Formatter<'_>, hashes: &[Digest], checkpoint: &str) -> std::fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", STANDARD.encode(hash.0)))?;
    write!(f, "\n{checkpoint}")
}

impl std::str::FromStr for ProofText {
    type Err = ProofTextError;

    /// Reads a proof of either kind. There is one spelling: what is read is written back byte for byte.
    ///
    /// # Errors
    /// Every variant of [`ProofTextError`].
    fn from_str(text: &str) -> Result<Self, ProofTextError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ProofTextError::CheckpointMissing)?;
        if checkpoint.is_empty() {
            return Err(ProofTextError::CheckpointMissing);
        }
        let checkpoint = checkpoint.to_owned();
        let mut lines = (1..).zip(head.split('\n')).peekable();
        match lines.peek() {
            Some((_, line)) if *line == INCLUSION => lines.next(),
            Some((_, line)) if line.starts_with(OLD) => {
                let old = number(lines.next(), OLD)?;
                let hashes = hashes(lines)?;
                return Ok(Self::Consistency(ConsistencyText { proof: ConsistencyProof { old, hashes }, checkpoint }));
            }
            Some(_) | None => return Err(ProofTextError::Header),
        };
        let extra = lines.next_if(|(_, line)| line.starts_with(EXTRA)).map(|(n, line)| extra(n, line)).transpose()?;
        let index = LogIndex(number(lines.next(), INDEX)?);
        let proof = InclusionProof { index, hashes: hashes(lines)? };
        Ok(Self::Inclusion(InclusionText { extra, proof, checkpoint }))
    }
}

fn extra(line: usize, text: &str) -> Result<Vec<u8>, ProofTextError> {
    let bytes = text.strip_prefix(EXTRA).and_then(|encoded| STANDARD.decode(encoded).ok());
    bytes.filter(|b| b.len() <= MAX_ENTRY_BYTES).ok_or(ProofTextError::Extra { line })
}

fn number(line: Option<(usize, &str)>, word: &'static str) -> Result<u64, ProofTextError> {
    let (line, text) = line.unwrap_or((2, ""));
    let digits = text.strip_prefix(word).unwrap_or_default();
    let number = digits.parse::<u64>().ok().filter(|n| n.to_string() == digits);
    number.ok_or(ProofTextError::Number { line, word: word.trim_end() })
}

fn hashes<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Vec<Digest>, ProofTextError> {
    let mut hashes = Vec::new();
    for (line, text) in lines {
        if hashes.len() == MAX_PROOF {
            return Err(ProofTextError::TooLong);
        }
        let hash = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).map(Digest);
        hashes.push(hash.ok_or(ProofTextError::Hash { line })?);
    }
    Ok(hashes)
}
