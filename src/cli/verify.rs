//! `miax verify`: the verdict of the cluster, offline, by the same judge.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::api::reason::Reason;
use crate::constitution::{
    AdoptEvent, Decision, DocumentEvent, Event, Facts, Manifest, Outcome, Proposal, Reply, State, TargetFact,
    TargetState, deliberate, recheck,
};
use crate::trust::{canonical_json, sha256};
use crate::units::{LogIndex, UnixSeconds};

use super::clock::now;
use super::files::{Signed, read_charter, read_object};
use super::output::{Answer, Failure, Format, Tone, failure, paint, plain, print, tell};

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
    #[arg(long, env = "MIAX_CHARTER", hide_env_values = true)]
    charter: PathBuf,
    /// Judge as of this time.
    #[arg(long)]
    at: Option<UnixSeconds>,
    /// UID of the cluster; without it the first cluster of the audience that the charter governs.
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
    print_decision(&decision, *output)?;
    tell("judged offline: the target and used commands are known to the cluster only");
    Ok(if decision.is_allowed() { Answer::Yes } else { Answer::No })
}

/// Prints a decision; its words come from the document too.
pub(super) fn print_decision(decision: &Decision, output: Format) -> Result<(), Failure> {
    let value = json!({
        "allowed": decision.is_allowed(),
        "reason": decision.reason(),
        "findings": decision.findings,
        "rules": decision.rules,
        "seats": decision.seats,
        "advice": decision.advice,
        "digest": decision.digest,
        "charter": decision.charter,
    });
    let (word, tone) = if decision.is_allowed() { ("allowed", Tone::Good) } else { ("refused", Tone::Bad) };
    print(output, &value, || {
        let advice = decision.advice.iter().map(|a| format!("\n{}", paint(&plain(&a.line()), Tone::Bad)));
        format!("{}\n{}{}", paint(word, tone), plain(&decision.message()), advice.collect::<String>())
    })
}

/// Judges a document by the charter of a file. That charter itself is judged as the first one.
pub(super) fn judge_offline(
    object: &Value,
    charter: &Path,
    at: UnixSeconds,
    cluster_uid: Option<&str>,
) -> Result<Decision, Failure> {
    let (charter_object, manifest) = read_charter(charter)?;
    let signed = match Signed::read(object) {
        Ok(signed) => signed,
        // The judge tells what is malformed, as it would in the cluster.
        Err(failure) => return malformed(object).ok_or(failure),
    };
    let document = signed.document();
    // The target is taken as the command wants it; whether it is so only the cluster knows.
    let target = match &signed {
        Signed::Command(command) if command.action.target().is_none() => TargetFact::NotNamed,
        Signed::Command(command) => TargetFact::Found(TargetState {
            uid: String::new(),
            generation: command.generation.unwrap_or_default(),
            resource_version: String::new(),
        }),
        Signed::Manifest(_) | Signed::Slo(_) => TargetFact::NotNamed,
    };
    let uid = cluster_uid.unwrap_or_else(|| cluster_of(&document.audience, &manifest));
    let facts = Facts {
        now: at,
        cluster_uid: uid.to_owned(),
        genesis: Some(manifest.document.digest),
        target,
        budgets: Vec::new(),
    };
    if document.digest == manifest.document.digest {
        return Ok(recheck(object, document.kind, &State::default(), &facts));
    }
    let charter_uid = cluster_uid.unwrap_or_else(|| cluster_of(&manifest.document.audience, &manifest));
    let adoption = Facts { cluster_uid: charter_uid.to_owned(), target: TargetFact::NotNamed, ..facts.clone() };
    let state = adopt(&charter_object, &adoption, charter)?;
    Ok(recheck(object, document.kind, &state, &facts))
}

/// State with the charter of a file in force at this time, and that charter.
pub(super) fn charter_in_force(path: &Path, now: UnixSeconds) -> Result<(State, Manifest), Failure> {
    let (object, manifest) = read_charter(path)?;
    let cluster_uid = cluster_of(&manifest.document.audience, &manifest).to_owned();
    let genesis = Some(manifest.document.digest);
    let facts = Facts { now, cluster_uid, genesis, target: TargetFact::NotNamed, budgets: Vec::new() };
    Ok((adopt(&object, &facts, path)?, manifest))
}

/// The verdict about an object of a governed kind that is no document.
fn malformed(object: &Value) -> Option<Decision> {
    let kind = object.get("kind").and_then(Value::as_str).and_then(crate::api::GovernedKind::from_kind)?;
    let facts = Facts {
        now: now(),
        cluster_uid: String::new(),
        genesis: None,
        target: TargetFact::NotNamed,
        budgets: Vec::new(),
    };
    Some(recheck(object, kind, &State::default(), &facts))
}

/// UID of the first cluster of the audience that the charter governs, else of any: then the judge tells what is wrong.
pub(super) fn cluster_of<'a>(audience: &[String], manifest: &'a Manifest) -> &'a str {
    let clusters = &manifest.charter.clusters;
    // In a later epoch of its ledger a cluster is called NAME/EPOCH.
    let plain = |name: &String| clusters.get(name.split('/').next().unwrap_or_default());
    let named = audience.iter().find_map(plain);
    named.or_else(|| clusters.values().next()).map(String::as_str).unwrap_or_default()
}

/// State with the charter in force. It must be valid itself. A later version is taken as the first one is: that the version
/// before it agreed is in the ledger, and the user names the charter that is in force.
fn adopt(charter: &Value, facts: &Facts, place: &Path) -> Result<State, Failure> {
    let mut state = State::default();
    let Outcome { mut events, reply } = deliberate(&Proposal::Adopt(Box::new(charter.clone())), &state, facts);
    if let Reply::Judged(decision) = reply {
        if decision.findings.iter().any(|f| f.reason != Reason::NoCharter) {
            let message = format!("{}: the charter itself is refused:\n{}", place.display(), decision.message());
            return Err(Failure::new(message).with_next("collect its signatures first"));
        }
        events = later_version(charter)?;
        tell("note: the charter is taken as in force; that its previous version allowed it is in the ledger only");
    }
    for (index, event) in (0..).map(LogIndex).zip(&events) {
        state.apply(index, event).map_err(|e| failure(&e))?;
    }
    Ok(state)
}

/// The events of the adoption of a charter whose previous version is not at hand.
fn later_version(charter: &Value) -> Result<Vec<Event>, Failure> {
    let manifest = Manifest::read(charter).map_err(|e| failure(&e))?;
    let bytes = canonical_json(charter).map_err(|e| failure(&e))?;
    let text = sha256(bytes.as_slice());
    let piece = String::from_utf8(bytes.into_vec()).map_err(|e| failure(&e))?;
    let Manifest { document, version, .. } = manifest;
    Ok(vec![
        Event::Document(DocumentEvent { text, part: 0, parts: 1, piece }),
        Event::Adopt(AdoptEvent { object: document.object, version, digest: document.digest, text }),
    ])
}
