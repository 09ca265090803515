//! `miax simulate`: the cluster's verdict about a document, from a ledger and a file, by the same judge.

use std::path::PathBuf;

use crate::constitution::{Facts, Operation, Request, State, TargetFact, TargetState, judge};
use crate::units::UnixSeconds;

use super::clock::now;
use super::files::{Signed, read_object};
use super::output::{Answer, Failure, tell};
use super::source::Source;
use super::verify::print_decision;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax simulate -f cmd.yaml --dump ledger.tar.gz
  miax simulate -f cmd.yaml                        # with the ledger of the cluster; nothing is submitted or recorded
  miax simulate -f cmd.yaml --dump ledger.tar.gz --target-generation 41 -o json

The charter in force, used commands, revoked keys and what is owed come from the verified ledger. The target is taken to be
as the command wants it, unless you say what it is.")]
pub(super) struct Arguments {
    /// The document.
    #[arg(short, long)]
    file: PathBuf,
    /// Judge as of this time.
    #[arg(long)]
    at: Option<UnixSeconds>,
    /// `metadata.generation` that the target has.
    #[arg(long, conflicts_with = "target_missing")]
    target_generation: Option<i64>,
    /// There is no such target.
    #[arg(long)]
    target_missing: bool,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { file, at, target_generation, target_missing, source } = arguments;
    let object = read_object(file)?;
    let signed = Signed::read(&object)?;
    let (report, origin, state) = source.replay_with_origin()?;
    if !report.is_whole() {
        return Err(Failure::new("the ledger does not verify; the cluster would refuse everything")
            .with_next("miax ledger verify tells what is wrong"));
    }
    let facts = Facts {
        now: at.unwrap_or_else(now),
        cluster_uid: cluster_uid(&origin).to_owned(),
        genesis: first_charter(&signed, &state),
        target: target(&signed, *target_generation, *target_missing),
    };
    let document = signed.document();
    let request = Request {
        uid: String::new(),
        operation: Operation::Create,
        kind: document.kind,
        namespace: document.object.namespace.clone(),
        name: document.object.name.clone(),
        object: Some(object.clone()),
        old: None,
        actor: String::new(),
    };
    let decision = judge(&request, &state, &facts);
    print_decision(&decision, source.output)?;
    tell(&format!("judged at ledger entry {}; nothing was recorded", state.next_index()));
    Ok(if decision.is_allowed() { Answer::Yes } else { Answer::No })
}

/// The UID of the cluster that an origin names: `<owner>/ecm/<uid>/<epoch>`.
fn cluster_uid(origin: &str) -> &str {
    origin.rsplit('/').nth(1).unwrap_or_default()
}

/// Before the first charter the operator's configuration says which one it is; here the file does.
fn first_charter(signed: &Signed, state: &State) -> Option<crate::units::Digest> {
    (state.newest_version() == 0).then(|| signed.document().digest)
}

fn target(signed: &Signed, generation: Option<i64>, missing: bool) -> TargetFact {
    match signed {
        Signed::Command(command) if command.action.target().is_some() => match missing {
            true => TargetFact::Missing,
            false => TargetFact::Found(TargetState {
                uid: String::new(),
                generation: generation.or(command.generation).unwrap_or_default(),
                resource_version: String::new(),
            }),
        },
        Signed::Command(_) | Signed::Manifest(_) => TargetFact::NotNamed,
    }
}
