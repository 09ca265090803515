//! `miax status`: what is in force, what runs, whether the ledger is whole; from the verified ledger, not from objects.

use serde_json::json;

use crate::constitution::{Lifetime, Obligation};
use crate::units::UnixSeconds;

use super::clock::now;
use super::output::{Answer, Failure, Tone, paint, plain, print};
use super::source::Source;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miax status\n  miax status --dump ledger.tar.gz -o json")]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let (report, state) = arguments.source.replay()?;
    let now = now();
    let charter = state.charter(now);
    let emergency = state.emergency().filter(|e| now < e.ratify_by);
    let running: Vec<_> = state
        .running()
        .map(|(digest, begin, index)| json!({"digest": digest, "index": index, "summary": begin.summary, "object": begin.object}))
        .collect();
    let mut owed: Vec<_> = state.obligations().collect();
    owed.sort_by_key(|o| o.due);
    let obligations: Vec<_> = owed
        .iter()
        .map(|o| json!({"owed": o.owed.as_str(), "command": o.command, "object": o.object, "summary": o.summary, "since": o.since, "due": o.due, "overdue": o.is_overdue(now)}))
        .collect();
    let findings: Vec<String> = report.findings.iter().map(|f| format!("{}: {}", f.object, f.message)).collect();
    let value = json!({
        "charter": charter.map(|c| json!({
            "object": c.object, "version": c.reference.version, "digest": c.reference.digest,
            "expiresAt": c.expires_at, "since": c.since, "ratifyBy": emergency.map(|e| e.ratify_by),
        })),
        "running": running,
        "obligations": obligations,
        "ledger": {"entries": report.entries, "blocks": report.blocks, "whole": report.is_whole(), "findings": findings},
    });
    print(arguments.source.output, &value, || {
        let mut lines = vec![match charter {
            Some(c) => {
                let (name, since, end) = (&c.object.name, c.since, c.expires_at);
                match c.lifetime(now) {
                    Lifetime::Long => format!("charter  {name} in force since entry {since}, until {end}"),
                    Lifetime::EndsSoon => {
                        let word = paint("expires soon", Tone::Doubt);
                        format!("charter  {name} in force since entry {since}, {word}: {end}; run: miax charter next")
                    }
                    Lifetime::Ended => {
                        let word = paint("EXPIRED", Tone::Bad);
                        format!("charter  {name} {word} at {end}, nothing is allowed; run: miax charter next")
                    }
                }
            }
            None => format!("charter  {}", paint("none in force", Tone::Doubt)),
        }];
        if let Some(e) = emergency {
            let (by, digest) = (e.ratify_by, e.charter.reference.digest);
            let what = paint(&format!("an emergency amendment: it lapses at {by}"), Tone::Doubt);
            lines.push(format!("         {what} unless ratified; run: miax draft ratify-amendment {digest}"));
        }
        let (word, tone) = if report.is_whole() { ("whole", Tone::Good) } else { ("NOT WHOLE", Tone::Bad) };
        lines.push(format!("ledger   {}, {} entries in {} blocks", paint(word, tone), report.entries, report.blocks));
        lines.extend(findings.iter().map(|f| format!("         {}", paint(f, Tone::Bad))));
        lines.push(format!("running  {}", running.len()));
        lines.extend(state.running().map(|(_, begin, index)| format!("         entry {index}: {}", begin.summary)));
        lines.push(format!("owed     {}", owed.len()));
        lines.extend(owed.iter().map(|o| owed_line(o, now)));
        lines.join("\n")
    })?;
    Ok(if report.is_whole() { Answer::Yes } else { Answer::No })
}

/// Something that is owed, and how to end it.
fn owed_line(owed: &Obligation, now: UnixSeconds) -> String {
    let Obligation { owed: what, command: _, object, summary, since, due, rules: _, involved: _ } = owed;
    let when = match owed.is_overdue(now) {
        true => paint(&format!("OVERDUE since {due}"), Tone::Bad),
        false => format!("due at {due}"),
    };
    let of = plain(&format!("{object} ({summary}, entry {since})"));
    format!("         {} of {of}, {when}; run: {}", what.as_str(), owed.next_step())
}
