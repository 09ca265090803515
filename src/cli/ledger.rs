//! `miax ledger`: head, list, show, verify. Whatever is shown was verified first; there is no unverified view.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::constitution::{DecisionEvent, Event, Verdict};
use crate::ledger::{Finding, FindingClass, Report};
use crate::store::Recorded;
use crate::units::{LogIndex, UnixSeconds};

use super::dump::Dump;
use super::output::{Answer, Failure, Format, Tone, one_line, paint, print, table, tell};
use super::source::{Source, Trust, Verified, verify};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger list
  miax ledger show 12 -o json
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify - --key 'miax.dev/ecm/…+1a2b3c4d+…'
  miax ledger verify ledger.tar.gz --checkpoint checkpoint.txt

`verify` needs no network. A dump cannot vouch for itself: give --key (miax ledger head prints it) and a --checkpoint that
you kept elsewhere, and a rewritten or cut ledger is found too.")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print size, root, key and checkpoint.
    #[command(after_help = "Example:\n  miax ledger head --context prod-eu")]
    Head {
        #[command(flatten)]
        source: Source,
    },
    /// List the entries.
    #[command(after_help = "Example:\n  miax ledger list --kind decision --limit 20")]
    List {
        #[command(flatten)]
        source: Source,
        /// Only entries of this kind, for example decision or effect.done.
        #[arg(long)]
        kind: Option<String>,
        /// Only the last N.
        #[arg(long)]
        limit: Option<usize>,
    },
    /// Print one entry.
    #[command(after_help = "Example:\n  miax ledger show 12 --dump ledger.tar.gz -o yaml")]
    Show {
        /// Its index.
        index: u64,
        #[command(flatten)]
        source: Source,
    },
    /// Judge every recorded decision again.
    Replay(super::replay::Arguments),
    /// Verify a dump offline: every byte, hash, seal, and what the entries mean.
    #[command(after_help = "Examples:
  miax ledger verify ledger.tar.gz --key KEY --checkpoint checkpoint.txt
  kubectl get configmap -n miax-ledger -o yaml | miax ledger verify - --key KEY

Exit codes: 0 whole, 1 changed or not complete, 2 could not tell.")]
    Verify {
        /// A directory, a tarball, a file of kubectl, or - for stdin.
        path: PathBuf,
        #[command(flatten)]
        trust: Trust,
        /// How to print.
        #[arg(short, long, default_value = "text")]
        output: Format,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.action {
        Action::Verify { path, trust, output } => {
            let (ledger, _) = verify(Dump::read(&path)?, &trust)?;
            print(output, &report_value(&ledger), || report_text(&ledger))?;
            Ok(answer(&ledger.report))
        }
        Action::Replay(arguments) => super::replay::run(&arguments),
        Action::Head { source } => {
            let ledger = source.read()?;
            print(source.output, &report_value(&ledger), || head_text(&ledger))?;
            Ok(complain(&ledger.report))
        }
        Action::List { source, kind, limit } => {
            let ledger = source.read()?;
            let mut rows: Vec<&Recorded> =
                ledger.entries.iter().filter(|r| kind.as_deref().is_none_or(|k| k == r.event.kind())).collect();
            let skip = limit.map_or(0, |limit| rows.len().saturating_sub(limit));
            rows.drain(..skip);
            let value: Vec<Value> = rows.iter().map(|r| entry_value(r)).collect();
            print(source.output, &value, || list_text(&rows))?;
            Ok(complain(&ledger.report))
        }
        Action::Show { index, source } => {
            let ledger = source.read()?;
            let found = ledger.entries.iter().find(|r| r.index == LogIndex(index));
            let entry = found.ok_or_else(|| {
                Failure::new(format!("there is no entry {index}; the ledger has {} entries", ledger.report.entries))
            })?;
            let value = entry_value(entry);
            print(source.output, &value, || crate::trust::to_yaml(&value))?;
            Ok(complain(&ledger.report))
        }
    }
}

fn answer(report: &Report) -> Answer {
    match report.findings.iter().map(|f| f.class).min() {
        None => Answer::Yes,
        Some(FindingClass::Tampered | FindingClass::Incomplete) => Answer::No,
        Some(FindingClass::Unsupported) => Answer::Unclear,
    }
}

/// For commands that show something: what is wrong goes to stderr.
fn complain(report: &Report) -> Answer {
    report.findings.iter().for_each(|f| tell(&finding_line(f)));
    answer(report)
}

fn finding_line(finding: &Finding) -> String {
    let Finding { class, object, entry, message } = finding;
    let entry = entry.map(|e| format!(", entry {e}")).unwrap_or_default();
    format!("{} {object}{entry}: {}", paint(class.as_str(), Tone::Bad), one_line(message))
}

fn report_value(ledger: &Verified) -> Value {
    let Verified { report, trust, entries: _, claims } = ledger;
    let finding =
        |f: &Finding| json!({"class": f.class.as_str(), "object": f.object, "entry": f.entry, "message": f.message});
    json!({
        "whole": report.is_whole(),
        "blocks": report.blocks,
        "entries": report.entries,
        "root": report.root,
        "origin": trust.origin,
        "key": trust.key.to_string(),
        "checkpoint": claims.checkpoint,
        "comparedCheckpoint": report.checkpoint,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn report_text(ledger: &Verified) -> String {
    let Report { blocks, entries, root, checkpoint, findings } = &ledger.report;
    let mut lines: Vec<String> = findings.iter().map(finding_line).collect();
    let (word, tone) = if findings.is_empty() { ("whole", Tone::Good) } else { ("not whole", Tone::Bad) };
    lines.push(format!("{}: {entries} entries in {blocks} blocks verify, root {root}", paint(word, tone)));
    lines.push(match checkpoint {
        Some(size) => format!("a checkpoint over {size} entries agrees"),
        None => "no checkpoint was compared: a cut end would not show".to_owned(),
    });
    lines.join("\n")
}

fn head_text(ledger: &Verified) -> String {
    let Verified { report, trust, claims, .. } = ledger;
    format!(
        "origin      {}\nkey         {}\nentries     {} in {} blocks\nroot        {}\ncheckpoint\n{}",
        trust.origin, trust.key, report.entries, report.blocks, report.root, claims.checkpoint
    )
}

fn entry_value(recorded: &Recorded) -> Value {
    let Recorded { index, time, writer, event } = recorded;
    let mut map = Map::from_iter([
        ("index".to_owned(), json!(index)),
        ("time".to_owned(), Value::from(UnixSeconds::from(*time).to_string())),
        ("kind".to_owned(), Value::from(event.kind())),
        ("writer".to_owned(), Value::from(writer.as_str())),
    ]);
    // An event that was read from its fields has fields.
    map.extend(event.fields().unwrap_or_default());
    Value::Object(map)
}

fn list_text(rows: &[&Recorded]) -> String {
    let header = ["INDEX", "TIME", "KIND", "RESULT", "OBJECT", "WHAT"].map(str::to_owned).to_vec();
    let rows = rows.iter().map(|r| {
        let (result, object, what) = columns(&r.event);
        let time = UnixSeconds::from(r.time).to_string();
        vec![r.index.to_string(), time, r.event.kind().to_owned(), result, object, what]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}

/// Result, object and summary of an event.
fn columns(event: &Event) -> (String, String, String) {
    match event {
        Event::Decision(e) => {
            let DecisionEvent { operation, object, summary, verdict, findings, .. } = e.as_ref();
            let word = match verdict {
                Verdict::Allow => "allow",
                Verdict::Deny => "deny",
            };
            let reason = findings.first().map(|f| f.reason.as_str()).unwrap_or_default();
            let what = summary.clone().unwrap_or_default();
            (format!("{word} {reason}"), object.to_string(), format!("{} {what}", operation.as_str()))
        }
        Event::Stored(e) => ("-".to_owned(), e.object.to_string(), format!("uid {}", e.uid)),
        Event::Document(e) => ("-".to_owned(), "-".to_owned(), format!("text part {} of {}", e.part + 1, e.parts)),
        Event::Adopt(e) => ("-".to_owned(), e.object.to_string(), format!("version {} is in force", e.version)),
        Event::EffectBegin(e) => ("-".to_owned(), e.object.to_string(), format!("{} by {}", e.summary, e.executor)),
        Event::Lapse(e) => {
            ("-".to_owned(), e.object.to_string(), format!("not ratified until {}; it lapsed", e.ratify_by))
        }
        Event::Enact(e) => ("-".to_owned(), e.object.to_string(), e.summary.clone()),
        Event::EffectDone(e) | Event::EffectFailed(e) => {
            (e.reason.to_string(), e.object.to_string(), e.message.clone())
        }
        Event::EffectUndone(e) => {
            ("-".to_owned(), e.object.to_string(), format!("what entry {} began was taken back", e.began))
        }
        Event::KeyAdd(e) => {
            let name = e.fields.get("name").and_then(Value::as_str).unwrap_or_default();
            ("-".to_owned(), "-".to_owned(), format!("writer {name}"))
        }
    }
}
