//! `miax verify`: the verdict of the cluster, offline, by the same judge.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::constitution::{
    Decision, Facts, Outcome, Proposal, Reply, State, TargetFact, TargetState, deliberate, recheck,
};
use crate::units::{LogIndex, UnixSeconds};

use super::clock::now;
use super::files::{Signed, read_charter, read_object};
use super::output::{Answer, Failure, Format, Tone, failure, paint, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax verify -f cmd.yaml --charter constitution-v1.yaml
  miax verify -f cmd.yaml --charter constitution-v1.yaml --at 2026-11-24T10:00:00Z -o json

The charter is trusted because you name it. What only the cluster knows (the target, used commands) is not judged.")]
pub(super) struct Arguments {
    /// The document.
    #[arg(short, long)]
    file: PathBuf,
    /// The charter in force.
    #[arg(long)]
    charter: PathBuf,
    /// Judge as of this time.
    #[arg(long)]
    at: Option<UnixSeconds>,
    /// UID of the cluster, when the charter governs several.
    #[arg(long)]
    cluster_uid: Option<String>,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { file, charter, at, cluster_uid, output } = arguments;
    let object = read_object(file)?;
    let decision = judge_offline(&object, charter, at.unwrap_or_else(now), cluster_uid.as_deref())?;
    let value = json!({
        "allowed": decision.is_allowed(),
        "reason": decision.reason(),
        "findings": decision.findings,
        "seats": decision.seats,
        "digest": decision.digest,
    });
    let (word, tone) = if decision.is_allowed() { ("allowed", Tone::Good) } else { ("refused", Tone::Bad) };
    print(*output, &value, || format!("{}\n{}", paint(word, tone), decision.message()))?;
    tell("judged offline: the target and used commands are known to the cluster only");
    Ok(if decision.is_allowed() { Answer::Yes } else { Answer::No })
}

/// Judges a document by the charter of a file. A charter is judged as the first one.
pub(super) fn judge_offline(
    object: &Value,
    charter: &Path,
    at: UnixSeconds,
    cluster_uid: Option<&str>,
) -> Result<Decision, Failure> {
    let (charter_object, manifest) = read_charter(charter)?;
    let signed = Signed::read(object)?;
    let uid = cluster_uid
        .or_else(|| manifest.charter.clusters.values().next().map(String::as_str))
        .ok_or_else(|| Failure::new(format!("{}: the charter governs no cluster", charter.display())))?;
    // The target is taken as the command wants it; whether it is so only the cluster knows.
    let target = match &signed {
        Signed::Command(command) => TargetFact::Found(TargetState {
            uid: String::new(),
            generation: command.generation.unwrap_or_default(),
            resource_version: String::new(),
        }),
        Signed::Manifest(_) => TargetFact::NotNamed,
    };
    let facts = Facts { now: at, cluster_uid: uid.to_owned(), genesis: Some(manifest.document.digest), target };
    if signed.document().digest == manifest.document.digest {
        return Ok(recheck(object, signed.document().kind, &State::default(), &facts));
    }
    let state = adopt(&charter_object, &facts, charter)?;
    Ok(recheck(object, signed.document().kind, &state, &facts))
}

/// State with the charter in force. It must be valid itself.
fn adopt(charter: &Value, facts: &Facts, place: &Path) -> Result<State, Failure> {
    let mut state = State::default();
    let Outcome { events, reply } = deliberate(&Proposal::Adopt(Box::new(charter.clone())), &state, facts);
    if let Reply::Judged(decision) = reply {
        let message = format!("{}: the charter itself is refused:\n{}", place.display(), decision.message());
        return Err(Failure::new(message).with_next("collect its signatures first"));
    }
    for (index, event) in (0..).map(LogIndex).zip(&events) {
        state.apply(index, event).map_err(|e| failure(&e))?;
    }
    Ok(state)
}
