//! `miax show`: in plain words what a signature would authorise. `sign` and `approve` show the same before they sign.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::constitution::{Action, Charter, Decision, SeatView, StateAction};

use super::clock::now;
use super::files::{Signed, read_charter, read_object};
use super::meaning::{authorises, measures, not_enforced, opens, terms};
use super::output::{Answer, Failure, Format, Tone, one_line, paint, print, tell};
use super::verify::judge_offline;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax show -f cmd.yaml
  miax show -f cmd.yaml --charter constitution-v1.yaml   # with the seats that are still empty")]
pub(super) struct Arguments {
    /// The document.
    #[arg(short, long)]
    file: PathBuf,
    /// The charter in force; then the seats are shown too.
    #[arg(long, env = "MIAX_CHARTER", hide_env_values = true)]
    charter: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { file, charter, output } = arguments;
    let object = read_object(file)?;
    let signed = Signed::read(&object)?;
    let known = charter.as_deref().map(read_charter).transpose()?.map(|(_, manifest)| manifest.charter);
    let judged = charter.as_deref().map(|c| judge_offline(&object, c, now(), None));
    // A charter that is not in force yet says nothing of seats; the document can be shown all the same.
    let decision = match judged {
        Some(Err(wrong)) => {
            tell(&format!("no seats are shown: {wrong}"));
            None
        }
        Some(Ok(decision)) => Some(decision),
        None => None,
    };
    let value = json!({
        "summary": signed.summary(),
        "digest": signed.document().digest,
        "object": signed.document().object,
        "spec": object.get("spec"),
        "expired": signed.document().expires_at <= now(),
        "authorises": effects(&signed),
        "opens": known.as_ref().zip(decision.as_ref()).map(|(charter, decision)| opens(decision, charter)),
        "terms": known.as_ref().map(|charter| signed_on(&signed, charter)),
        "notEnforced": lenient(&signed),
        "advice": decision.as_ref().map(|d| &d.advice),
        "seats": decision.as_ref().map(|d| &d.seats),
        "findings": decision.as_ref().map(|d| &d.findings),
    });
    print(*output, &value, || describe(&signed, &object, known.as_ref(), decision.as_ref()))?;
    Ok(Answer::Yes)
}

fn effects(signed: &Signed) -> Vec<String> {
    match signed {
        Signed::Command(command) => authorises(&command.action),
        Signed::Manifest(_) => Vec::new(),
        Signed::Slo(slo) => measures(slo),
    }
}

fn lenient(signed: &Signed) -> Vec<String> {
    match signed {
        Signed::Command(_) | Signed::Slo(_) => Vec::new(),
        Signed::Manifest(manifest) => not_enforced(manifest),
    }
}

/// On what the signatures that are there stand.
fn signed_on(signed: &Signed, charter: &Charter) -> Vec<String> {
    let signatures = signed.document().signatures.iter();
    signatures.flat_map(|s| terms(signed, charter, (&s.principal, &s.seat, &s.key), now())).collect()
}

/// The document in plain words; with a charter also what that says of it.
pub(super) fn describe(
    signed: &Signed,
    object: &Value,
    charter: Option<&Charter>,
    decision: Option<&Decision>,
) -> String {
    let document = signed.document();
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let mut lines = vec![paint(&one_line(&signed.summary()), Tone::Strong)];
    let mut row = |name: &str, value: String| lines.push(format!("  {name:<10} {}", one_line(&value)));
    effects(signed).into_iter().for_each(|effect| row("effect", effect));
    let opened = charter.zip(decision).map(|(charter, decision)| opens(decision, charter));
    opened.into_iter().flatten().for_each(|owed| row("opens", owed));
    row("object", document.object.to_string());
    row("clusters", document.audience.join(", "));
    match signed {
        Signed::Command(command) => {
            row("impact", command.impact.as_str().to_owned());
            row("reason", command.reason.clone());
            if !text("/spec/ticket").is_empty() {
                row("ticket", text("/spec/ticket").to_owned());
            }
            if let Action::State(StateAction::Review { findings, .. }) = &command.action {
                row("findings", findings.clone());
            }
            if let Some(generation) = command.generation {
                row("only while", format!("the target has the generation {generation}"));
            }
        }
        Signed::Slo(slo) => {
            if let Some(description) = &slo.slo.description {
                row("about", description.clone());
            }
        }
        Signed::Manifest(manifest) => {
            row("authority", manifest.authority.clone());
            if let Some(by) = manifest.ratify_by {
                row("emergency", format!("lapses at {by} unless it is ratified"));
            }
            let (people, rules) = (manifest.charter.principals.len(), manifest.charter.rules.len());
            row("content", format!("{people} principals, {rules} rules"));
        }
    }
    if let Some(start) = document.not_before {
        row("from", start.to_string());
    }
    let (end, now) = (document.expires_at, now());
    let left = if end > now { format!("{} from now", end.since(now)) } else { "expired".to_owned() };
    row("until", format!("{end} ({left})"));
    row("digest", document.digest.to_string());
    for s in &document.signatures {
        let comment = s.comment.as_ref().map(|c| format!(": {c}")).unwrap_or_default();
        row("signed", format!("{} by {} for {} at {}{comment}", s.verb.as_str(), s.principal, s.seat, s.signed_at));
    }
    charter.map(|c| signed_on(signed, c)).into_iter().flatten().for_each(|term| row("note", term));
    let loud = |line: &String| format!("  {}", paint(&one_line(line), Tone::Bad));
    lines.extend(lenient(signed).iter().map(loud));
    if let Some(decision) = decision {
        lines.extend(decision.seats.iter().map(seat_line));
        lines.extend(decision.advice.iter().map(|advice| loud(&advice.line())));
    }
    lines.join("\n")
}

/// One seat, and who fills it or may.
pub(super) fn seat_line(seat: &SeatView) -> String {
    let SeatView { seat, needed, filled_by, open_to } = seat;
    let full = u32::try_from(filled_by.len()).unwrap_or(u32::MAX) >= *needed;
    let (mark, tone) = if full { ("filled", Tone::Good) } else { ("open", Tone::Doubt) };
    let by = if filled_by.is_empty() { String::new() } else { format!(" by {}", filled_by.join(", ")) };
    let open = if full || open_to.is_empty() { String::new() } else { format!("; may sign: {}", open_to.join(", ")) };
    format!("  {} {seat} ({} of {needed}){by}{open}", paint(&format!("{mark:<10}"), tone), filled_by.len())
}
