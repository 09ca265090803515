//! `miax ledger pack`: makes a pack from a ledger that verifies.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::api::GovernedKind;
use crate::cli::files::read_object;
use crate::cli::ledger::prove::covered;
use crate::cli::output::{Answer, Failure, failure, say, tell};
use crate::cli::source::Source;
use crate::constitution::ObjectRef;
use crate::store::Recorded;
use crate::trust::read_canonical;

use super::choose::{charters, check_document, choose, missing_charters, signed_parts};
use super::{About, FORMAT, Pack, Proven};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger pack shop/checkout-3 --file checkout-3.yaml > checkout-3.pack.json
  miax ledger pack sha256:5372… --dump ledger.tar.gz > command.pack.json
  miax ledger pack constitution-v2 > amendment.pack.json
  miax ledger verify checkout-3.pack.json --key KEY

A pack proves that its entries are in the log. It does not prove that there are no others: that takes the whole ledger.")]
pub(in super::super) struct Arguments {
    /// NAMESPACE/NAME of a command, the name of a manifest, or the digest of either.
    name: String,
    /// The document itself, to put it in with its signatures.
    #[arg(short, long)]
    file: Option<PathBuf>,
    #[command(flatten)]
    source: Source,
}

pub(in super::super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { name, file, source } = arguments;
    source.only_json("a pack")?;
    let (ledger, _) = source.whole()?;
    let tree = ledger.tree()?;
    let published = ledger.published()?;
    let about = about(name);
    let chosen: Vec<Recorded> = choose(&about, &ledger.entries).into_iter().cloned().collect();
    if chosen.is_empty() {
        return Err(Failure::new(format!("no entry is about {about}"))
            .with_next("miax ledger list shows the objects; a digest finds every version of one"));
    }
    let known = charters(&chosen).map_err(|(index, what)| Failure::new(format!("entry {index}: {what}")))?;
    if let Some((index, charter)) = missing_charters(&chosen, &known).first() {
        return Err(Failure::new(format!(
            "entry {index} names charter version {}, which was never adopted",
            charter.version
        )));
    }
    let document = match file {
        None => None,
        Some(path) => {
            let document = signed_parts(&read_object(path)?);
            check_document(&about, &document, &chosen, &known).map_err(|(_, what)| {
                Failure::new(format!("{}: {what}", path.display()))
                    .with_next("give the file as it was when it was allowed, or leave --file out")
            })?;
            Some(document)
        }
    };
    let mut entries = Vec::new();
    for Recorded { index, .. } in &chosen {
        let bytes = covered(&ledger, published, *index)?;
        let entry = String::from_utf8(bytes.to_vec()).map_err(|e| failure(&e))?;
        let proof = tree.inclusion(*index, published.size());
        let proof = proof.ok_or_else(|| Failure::new(format!("entry {index} is not in the tree of the checkpoint")))?;
        entries.push(Proven {
            index: *index,
            entry,
            proof: proof.hashes.iter().map(|hash| STANDARD.encode(hash.0)).collect(),
        });
    }
    let count = entries.len();
    let text =
        write(&Pack { format: FORMAT.to_owned(), about, checkpoint: published.note.clone(), entries, document })?;
    tell(&format!("{count} entries, {} bytes, under a checkpoint over {} entries", text.len(), published.size()));
    say(&text);
    Ok(Answer::Yes)
}

fn about(name: &str) -> About {
    match (name.parse(), name.split_once('/')) {
        (Ok(digest), _) => About::Document { digest },
        (Err(_), Some((namespace, name))) => {
            About::Object { object: ObjectRef::new(GovernedKind::ControlCommand, namespace, name) }
        }
        (Err(_), None) => About::Object { object: ObjectRef::new(GovernedKind::Manifest, "", name) },
    }
}

/// The pack as canonical JSON: one spelling.
fn write(pack: &Pack) -> Result<String, Failure> {
    let value: Value = serde_json::to_value(pack).map_err(|e| failure(&e))?;
    let text = value.to_string();
    match read_canonical(text.as_bytes()) {
        Some(_) => Ok(text),
        None => Err(Failure::new("the pack has no canonical form; this should not happen, please report it")),
    }
}
