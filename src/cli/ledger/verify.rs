//! `miax ledger verify`: a dump, a pack, or a proof, offline.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::dump::{Dump, read_file};
use crate::cli::files::read_text;
use crate::cli::output::{Answer, Failure, Format, Tone, paint, plain, print};
use crate::cli::source::{Published, Trust, verify};
use crate::constitution::Event;
use crate::ledger::{
    CheckpointError, ConsistencyText, Entry, EntryError, InclusionText, ProofError, ProofText, ProofTextError,
    SignedCheckpoint, leaf_hash,
};
use crate::trust::NoteVerifier;

use super::pack;
use super::report::{answer, report_text, report_value};
use super::told::Told;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger verify ledger.tar.gz --key KEY --checkpoint checkpoint.txt
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify - --key KEY
  miax ledger verify checkout-3.pack.json --key KEY
  miax ledger verify --proof 12.tlog-proof --entry 12.json --key KEY
  miax ledger verify --proof growth.txt --continues kept.txt --key KEY

Exit codes: 0 whole or proven, 1 changed, not complete or not proven, 2 could not tell.")]
pub(super) struct Arguments {
    /// A directory, a tarball, a file of kubectl, or - for stdin; or a pack.
    #[arg(required_unless_present_any = ["proof", "pack"], conflicts_with_all = ["proof", "pack"])]
    path: Option<PathBuf>,
    /// A pack that `miax ledger pack` wrote, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    pack: Option<PathBuf>,
    /// A proof that `miax ledger prove` or another program wrote.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// The entry that the proof is about, exactly as it was hashed; without it the one in the proof.
    #[arg(long, value_name = "FILE", requires = "proof")]
    entry: Option<PathBuf>,
    /// The older checkpoint that a proof of growth begins at.
    #[arg(long, value_name = "FILE", requires = "proof", conflicts_with = "entry")]
    continues: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

/// Why a proof is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("its checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    #[error("its entry: {0}")]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("it cannot be read: {0}")]
    Text(#[from] ProofTextError),
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { path, pack, proof, entry, continues, trust, output } = arguments;
    let pack = match (pack, path) {
        (Some(path), _) => Some(read_file(path)?),
        (None, Some(path)) => pack::read(path)?,
        (None, None) => None,
    };
    if let Some(bytes) = pack {
        let (origin, key) = trust.named()?;
        let checked = pack::check(&bytes, &origin, &key);
        print(*output, &checked.value(), || checked.text())?;
        return Ok(answer(&checked.findings));
    }
    if let Some(path) = path {
        let (ledger, _) = verify(Dump::read(path)?, trust)?;
        print(*output, &report_value(&ledger), || report_text(&ledger))?;
        return Ok(answer(&ledger.report.findings));
    }
    let proof = proof.as_ref().ok_or_else(|| Failure::new("give a dump or --proof FILE"))?;
    let (origin, key) = trust.named()?;
    let (value, text) = match check(proof, entry.as_deref(), continues.as_deref(), &origin, &key)? {
        Ok(proven) => proven,
        Err(refusal) => {
            let text = format!("{}: {}: {refusal}", paint("not proven", Tone::Bad), proof.display());
            (json!({"proven": false, "why": refusal.to_string()}), text)
        }
    };
    let answer = if value.get("proven") == Some(&Value::Bool(true)) { Answer::Yes } else { Answer::No };
    print(*output, &value, || text)?;
    Ok(answer)
}

/// What is proven, as data and in words.
type Proven = (Value, String);

fn check(
    proof: &Path,
    entry: Option<&Path>,
    continues: Option<&Path>,
    origin: &str,
    key: &NoteVerifier,
) -> Result<Result<Proven, Refusal>, Failure> {
    let place = proof.display();
    let text = match read_text(proof)?.parse() {
        Ok(ProofText::Inclusion(text)) => {
            let given = entry.map(read_text).transpose()?.map(String::into_bytes);
            let bytes = given.or_else(|| text.extra.clone()).ok_or_else(|| {
                Failure::new(format!("{place}: the proof is about an entry that is not in it"))
                    .with_next("give --entry FILE; `miax ledger prove INDEX --entry FILE` writes it")
            })?;
            return Ok(check_inclusion(&text, &bytes, origin, key));
        }
        Ok(ProofText::Consistency(text)) => text,
        Err(error) => return Ok(Err(error.into())),
    };
    let old = continues.ok_or_else(|| {
        Failure::new(format!("{place}: the proof is about an older checkpoint that is not in it"))
            .with_next("give --continues FILE, the checkpoint that you kept")
    })?;
    let old = Published::read(old, origin, key)?;
    Ok(check_consistency(&text, &old.signed, origin, key))
}

fn check_inclusion(text: &InclusionText, bytes: &[u8], origin: &str, key: &NoteVerifier) -> Result<Proven, Refusal> {
    let InclusionText { extra: _, proof, checkpoint } = text;
    let signed = SignedCheckpoint::open(checkpoint, origin, key)?;
    proof.verify(&leaf_hash(bytes), &signed)?;
    let Entry { kind, time: _, writer: _, fields } = Entry::decode(bytes)?;
    let (index, size) = (proof.index, signed.checkpoint().size);
    // The proof holds for kinds that this version does not know too; then only the words are missing.
    let what = Event::read(&kind, fields).map_or_else(
        |e| e.to_string(),
        |event| {
            let Told { object, result, what, .. } = Told::from(&event);
            let object = object.map(|o| format!(" {o},")).unwrap_or_default();
            format!("{kind},{object} {result}, {}", what.trim())
        },
    );
    let value = json!({
        "proven": true, "index": index, "size": size, "origin": origin, "leaf": leaf_hash(bytes), "kind": kind,
        "what": what,
    });
    let word = paint("proven", Tone::Good);
    Ok((value, format!("{word}: entry {index} of {size} in the log {origin}\n{}", plain(&what))))
}

fn check_consistency(
    text: &ConsistencyText,
    old: &SignedCheckpoint,
    origin: &str,
    key: &NoteVerifier,
) -> Result<Proven, Refusal> {
    let ConsistencyText { proof, checkpoint } = text;
    let new = SignedCheckpoint::open(checkpoint, origin, key)?;
    proof.verify(old, &new)?;
    let (before, size) = (old.checkpoint().size, new.checkpoint().size);
    let value = json!({"proven": true, "old": before, "size": size, "origin": origin});
    let word = paint("proven", Tone::Good);
    Ok((value, format!("{word}: the log {origin} grew from {before} to {size} entries and changed nothing of before")))
}
