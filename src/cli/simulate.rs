//! `miax simulate`: the cluster's verdict about a document, from a ledger and a file, by the same judge.

use std::path::PathBuf;

use serde_json::Value;

use crate::constitution::{Decision, Facts, Operation, Request, State, TargetFact, TargetState, judge};
use crate::units::{Digest, UnixSeconds};

use super::clock::now;
use super::files::{Signed, kind_of, read_object};
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

/// What the target of a command is taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Assumed {
    /// As the command wants it.
    AsWanted,
    /// It has this `metadata.generation`.
    Generation(i64),
    /// There is none.
    Missing,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { file, at, target_generation, target_missing, source } = arguments;
    let object = read_object(file)?;
    let (origin, state) = source.replay_whole()?;
    let assumed = match (target_missing, target_generation) {
        (true, _) => Assumed::Missing,
        (false, Some(generation)) => Assumed::Generation(*generation),
        (false, None) => Assumed::AsWanted,
    };
    let decision = judge_creation(&object, &state, cluster_uid(&origin), at.unwrap_or_else(now), assumed)?;
    print_decision(&decision, source.output)?;
    tell(&format!("judged at ledger entry {}; nothing was recorded", state.next_index()));
    Ok(if decision.is_allowed() { Answer::Yes } else { Answer::No })
}

/// What the webhook would say if this object were created: by the same judge, also about what is malformed.
pub(super) fn judge_creation(
    object: &Value,
    state: &State,
    cluster_uid: &str,
    now: UnixSeconds,
    assumed: Assumed,
) -> Result<Decision, Failure> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = kind_of(object)?;
    // What is malformed names no target and is no charter; the judge says what is wrong with it.
    let signed = Signed::read(object).ok();
    let facts = Facts {
        now,
        cluster_uid: cluster_uid.to_owned(),
        genesis: signed.as_ref().and_then(|signed| first_charter(signed, state)),
        target: signed.as_ref().map_or(TargetFact::NotNamed, |signed| target(signed, assumed)),
        budgets: Vec::new(),
    };
    let request = Request {
        uid: String::new(),
        operation: Operation::Create,
        kind,
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        object: Some(object.clone()),
        old: None,
        actor: String::new(),
    };
    Ok(judge(&request, state, &facts))
}

/// The UID of the cluster that an origin names: `<owner>/ecm/<uid>/<epoch>`.
pub(super) fn cluster_uid(origin: &str) -> &str {
    origin.rsplit('/').nth(1).unwrap_or_default()
}

/// Before the first charter the operator's configuration says which one it is; here the file does.
fn first_charter(signed: &Signed, state: &State) -> Option<Digest> {
    (state.newest_version() == 0).then(|| signed.document().digest)
}

fn target(signed: &Signed, assumed: Assumed) -> TargetFact {
    let command = match signed {
        Signed::Command(command) if command.action.target().is_some() => command,
        Signed::Command(_) | Signed::Manifest(_) | Signed::Slo(_) => return TargetFact::NotNamed,
    };
    let found =
        |generation| TargetFact::Found(TargetState { uid: String::new(), generation, resource_version: String::new() });
    match assumed {
        Assumed::AsWanted => found(command.generation.unwrap_or_default()),
        Assumed::Generation(generation) => found(generation),
        Assumed::Missing => TargetFact::Missing,
    }
}
