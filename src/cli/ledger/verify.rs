//! `miax ledger verify`: a dump, a pack, or a proof, offline.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::dump::{Dump, read_file};
use crate::cli::files::read_text;
use crate::cli::output::{Answer, Failure, Format, Tone, paint, plain, print};
use crate::cli::source::{Published, Trust, Verified};
use crate::cli::walk::verify;
use crate::cli::witnessed;
use crate::constitution::Event;
use crate::ledger::{
    ConsistencyText, Culprit, Entry, EntryError, Finding, FindingClass, Fork, ForkError, ForkProof, InclusionText,
    LogKeys, ProofError, ProofText, ProofTextError, SignedCheckpoint, VouchError, leaf_hash,
};
use crate::trust::Quorum;

use super::payload::Opened;
use super::report::{answer, answer_of, checks_text, report_text, report_value};
use super::told::Told;
use super::{folded, pack};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger verify ledger.tar.gz --key KEY --checkpoint checkpoint.txt
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify - --key KEY
  miax ledger verify checkout-3.pack.json --key KEY
  miax ledger verify --proof 12.tlog-proof --entry 12.json --key KEY
  miax ledger verify ledger.tar.gz --key KEY --folded audit.txt
  miax ledger verify ledger.tar.gz --key KEY --index 12 --payload cmd.yaml --salt HEX
  miax ledger verify --proof growth.txt --continues kept.txt --key KEY
  miax ledger verify pruned.tar.gz --archive /mnt/archive --key KEY
  miax ledger verify --fork miax-fork-0123456789abcdef.json --key KEY

Exit codes: 0 good or proven, 1 tampered with or not proven, 2 could not tell: incomplete, unwitnessed, unsupported, or unreadable.")]
pub(super) struct Arguments {
    /// A directory, a tarball, a file of kubectl, or - for stdin; or a pack.
    #[arg(required_unless_present_any = ["proof", "pack", "fork"], conflicts_with_all = ["proof", "pack", "fork"])]
    path: Option<PathBuf>,
    /// A pack that `miax ledger pack` wrote, and nothing else.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["proof", "fork"])]
    pack: Option<PathBuf>,
    /// A fork proof that `miax ledger audit` wrote: that the log told two histories, and which key did.
    #[arg(long, value_name = "FILE", conflicts_with = "proof")]
    fork: Option<PathBuf>,
    /// An archive that holds what has left the cluster: what was before the first block of the dump is read from there.
    #[arg(long, value_name = "DIR", requires = "path")]
    archive: Option<PathBuf>,
    /// A proof that `miax ledger prove` or another program wrote.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// The entry that the proof is about, exactly as it was hashed; without it the one in the proof.
    #[arg(long, value_name = "FILE", requires = "proof")]
    entry: Option<PathBuf>,
    /// The older checkpoint that a proof of growth begins at.
    #[arg(long, value_name = "FILE", requires = "proof", conflicts_with = "entry")]
    continues: Option<PathBuf>,
    /// Print a line for each of the 25 points of docs/verify/checklist.md too; JSON has them always.
    #[arg(long)]
    checks: bool,
    /// What refusals that were counted in floods were told, a line each: the annotation `folded` of the audit log.
    #[arg(long, value_name = "FILE", requires = "path")]
    folded: Option<PathBuf>,
    #[command(flatten)]
    opened: Opened,
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
    Checkpoint(#[from] VouchError),
    #[error("its entry: {0}")]
    Entry(#[from] EntryError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("it cannot be read: {0}")]
    Text(#[from] ProofTextError),
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { path, pack, fork, archive, proof, entry, continues, checks, folded, opened, trust, output } =
        arguments;
    let pack = match (pack, path) {
        (Some(path), _) => Some(read_file(path)?),
        (None, Some(path)) => pack::read(path)?,
        (None, None) => None,
    };
    if let Some(bytes) = pack {
        let mut checked = pack::check(&bytes, &trust.named()?);
        if let Some(quorum) = trust.quorum()? {
            checked.count_witnesses(&quorum);
        }
        print(*output, &checked.value(), || checked.text())?;
        return Ok(answer(&checked.findings));
    }
    if let Some(path) = path {
        let mut dump = Dump::read(path)?;
        if let Some(archive) = archive {
            dump.complete(Dump::read(archive)?);
        }
        let (mut ledger, _) = verify(dump, trust)?;
        if let Some(folded) = folded {
            folded::compare(&mut ledger, folded)?;
        }
        // Of a ledger that is not whole nothing is proven.
        if let (Some(payload), true) = (&opened.payload, ledger.report.is_whole()) {
            return opened.check(&ledger, payload, *output);
        }
        return show(&ledger, *checks, *output);
    }
    if let Some(path) = fork {
        return check_fork(path, trust, *output);
    }
    let proof = proof.as_ref().ok_or_else(|| Failure::new("give a dump or --proof FILE"))?;
    let proven = match check(proof, entry.as_deref(), continues.as_deref(), &trust.named()?)? {
        Ok(proven) => proven.if_witnessed(trust.quorum()?.as_ref()),
        Err(refusal) => Err((refusal.class(), refusal.to_string())),
    };
    match proven {
        Ok(Proven { value, text, published: _ }) => {
            print(*output, &value, || text)?;
            Ok(Answer::Yes)
        }
        Err((class, why)) => {
            let text = format!("{}: {}: {why}", paint("not proven", Tone::Bad), proof.display());
            print(*output, &json!({"verdict": class.as_str(), "proven": false, "why": why}), || text)?;
            Ok(answer_of(Some(class)))
        }
    }
}

/// Whether a log told two histories. That it did is what is asked here: then the answer is yes.
fn check_fork(path: &Path, trust: &Trust, output: Format) -> Result<Answer, Failure> {
    let (keys, epoch) = trust.named_with_epoch()?;
    let origin = keys.origin();
    let refused = |class: FindingClass, why: String| {
        let text = format!("{}: {}: {why}", paint("not proven", Tone::Bad), path.display());
        (json!({"verdict": class.as_str(), "proven": false, "why": why}), text, answer_of(Some(class)))
    };
    let checked = ForkProof::parse(&read_text(path)?).and_then(|proof| proof.check(&keys, epoch));
    let (value, text, answer) = match checked {
        Ok(Fork { culprit: culprit @ Culprit::Nobody(..), what }) => {
            // Two checkpoints of them would tell who it was.
            refused(FindingClass::Incomplete, format!("{what}; {culprit}"))
        }
        Ok(Fork { culprit, what }) => {
            let value = json!({
                "verdict": "good", "proven": true, "origin": origin, "what": what,
                "culprit": culprit.as_str(), "keys": culprit.keys(),
            });
            let word = paint("proven", Tone::Good);
            let text = format!("{word}: the log {origin} told two histories\n{what}\n{culprit}");
            (value, text, Answer::Yes)
        }
        Err(error @ ForkError::Format(_)) => refused(FindingClass::Unsupported, error.to_string()),
        Err(error) => refused(FindingClass::Tampered, error.to_string()),
    };
    print(output, &value, || text)?;
    Ok(answer)
}

/// Prints what a verification found.
pub(super) fn show(ledger: &Verified, checks: bool, output: Format) -> Result<Answer, Failure> {
    print(output, &report_value(ledger), || match checks {
        true => format!("{}\n{}", checks_text(&ledger.report, &ledger.scope), report_text(ledger)),
        false => report_text(ledger),
    })?;
    Ok(answer(&ledger.report.findings))
}

impl Refusal {
    /// What kind of trouble it is.
    fn class(&self) -> FindingClass {
        match self {
            Self::Entry(EntryError::Format { .. }) => FindingClass::Unsupported,
            Self::Checkpoint(_) | Self::Entry(_) | Self::Proof(_) | Self::Text(_) => FindingClass::Tampered,
        }
    }
}

/// What is proven, as data and in words, and by which checkpoint.
struct Proven {
    value: Value,
    text: String,
    published: Published,
}

impl Proven {
    /// The same, when the witnesses that are asked for have seen its checkpoint.
    fn if_witnessed(self, quorum: Option<&Quorum>) -> Result<Self, (FindingClass, String)> {
        match quorum.and_then(|quorum| witnessed::check(quorum, Some(&self.published), "checkpoint")) {
            None => Ok(self),
            Some(Finding { class, message, .. }) => Err((class, message)),
        }
    }
}

fn check(
    proof: &Path,
    entry: Option<&Path>,
    continues: Option<&Path>,
    keys: &LogKeys,
) -> Result<Result<Proven, Refusal>, Failure> {
    let place = proof.display();
    let text = match read_text(proof)?.parse() {
        Ok(ProofText::Inclusion(text)) => {
            let given = entry.map(read_text).transpose()?.map(String::into_bytes);
            let bytes = given.or_else(|| text.extra.clone()).ok_or_else(|| {
                Failure::new(format!("{place}: the proof is about an entry that is not in it"))
                    .with_next("give --entry FILE; `miax ledger prove INDEX --entry FILE` writes it")
            })?;
            return Ok(check_inclusion(&text, &bytes, keys));
        }
        Ok(ProofText::Consistency(text)) => text,
        Err(error) => return Ok(Err(error.into())),
    };
    let old = continues.ok_or_else(|| {
        Failure::new(format!("{place}: the proof is about an older checkpoint that is not in it"))
            .with_next("give --continues FILE, the checkpoint that you kept")
    })?;
    let old = Published::read(old, keys)?;
    Ok(check_consistency(&text, &old.signed, keys))
}

fn check_inclusion(text: &InclusionText, bytes: &[u8], keys: &LogKeys) -> Result<Proven, Refusal> {
    let origin = keys.origin();
    let InclusionText { extra: _, proof, checkpoint } = text;
    let signed = SignedCheckpoint::open_with(checkpoint, keys)?;
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
        "verdict": "good", "proven": true, "index": index, "size": size, "origin": origin, "leaf": leaf_hash(bytes), "kind": kind,
        "what": what,
    });
    let word = paint("proven", Tone::Good);
    let text = format!("{word}: entry {index} of {size} in the log {origin}\n{}", plain(&what));
    Ok(Proven { value, text, published: Published { note: checkpoint.clone(), signed } })
}

fn check_consistency(text: &ConsistencyText, old: &SignedCheckpoint, keys: &LogKeys) -> Result<Proven, Refusal> {
    let origin = keys.origin();
    let ConsistencyText { proof, checkpoint } = text;
    let new = SignedCheckpoint::open_with(checkpoint, keys)?;
    proof.verify(old, &new)?;
    let (before, size) = (old.checkpoint().size, new.checkpoint().size);
    let value = json!({"verdict": "good", "proven": true, "old": before, "size": size, "origin": origin});
    let word = paint("proven", Tone::Good);
    let text = format!("{word}: the log {origin} grew from {before} to {size} entries and changed nothing of before");
    Ok(Proven { value, text, published: Published { note: checkpoint.clone(), signed: new } })
}
