//! `miax ledger`: head, list, show, verify. Whatever is shown was verified first; there is no unverified view.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::constitution::{DecisionEvent, Event, State, Verdict};
use crate::ledger::{Checkpoint, Finding, FindingClass, LogTrust, Report, Verifier};
use crate::store::{Recorded, replay};
use crate::trust::NoteVerifier;
use crate::units::{LogIndex, UnixSeconds};

use super::dump::{Claims, Dump};
use super::files::read_text;
use super::output::{Answer, Failure, Format, Tone, failure, one_line, paint, print, table, tell};

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

/// Where the ledger is read from.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Read this dump instead of the cluster.
    #[arg(long)]
    dump: Option<PathBuf>,
    #[cfg(feature = "client")]
    #[command(flatten)]
    cluster: super::online::Cluster,
    #[command(flatten)]
    trust: Trust,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    pub(super) output: Format,
}

/// What the verifier believes beforehand.
#[derive(Debug, clap::Args)]
struct Trust {
    /// The log's key, as `miax ledger head` prints it.
    #[arg(long, env = "MIAX_LOG_KEY", hide_env_values = true)]
    key: Option<String>,
    /// Origin of the log; without it the name in the key.
    #[arg(long)]
    origin: Option<String>,
    /// A checkpoint that was kept elsewhere; the log must contain it.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
}

/// A ledger after its verification.
struct Verified {
    report: Report,
    trust: LogTrust,
    entries: Vec<Recorded>,
    claims: Claims,
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.action {
        Action::Verify { path, trust, output } => {
            let (ledger, _) = verify(Dump::read(&path)?, &trust)?;
            print(output, &report_value(&ledger), || report_text(&ledger))?;
            Ok(answer(&ledger.report))
        }
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

impl Source {
    fn read(&self) -> Result<Verified, Failure> {
        verify(self.dump()?, &self.trust).map(|(ledger, _)| ledger)
    }

    /// Verifies and replays the ledger, for other commands.
    pub(super) fn replay(&self) -> Result<(Report, State), Failure> {
        verify(self.dump()?, &self.trust).map(|(ledger, state)| (ledger.report, state))
    }

    /// The same with the origin of the log, which names the cluster.
    pub(super) fn replay_with_origin(&self) -> Result<(Report, String, State), Failure> {
        let (ledger, state) = verify(self.dump()?, &self.trust)?;
        Ok((ledger.report, ledger.trust.origin, state))
    }

    fn dump(&self) -> Result<Dump, Failure> {
        match &self.dump {
            Some(path) => Dump::read(path),
            None => self.read_cluster(),
        }
    }

    #[cfg(feature = "client")]
    fn read_cluster(&self) -> Result<Dump, Failure> {
        self.cluster.read_ledger()
    }

    #[cfg(not(feature = "client"))]
    #[expect(clippy::unused_self, reason = "the other build uses it")]
    fn read_cluster(&self) -> Result<Dump, Failure> {
        Err(Failure::new("this build of miax talks to no cluster").with_next("give --dump FILE"))
    }
}

fn verify(dump: Dump, trust: &Trust) -> Result<(Verified, State), Failure> {
    let Dump { blocks, claims } = dump;
    let claims = claims.unwrap_or_default();
    let Resolved { trust, checkpoints, wrong } = trust.resolve(&claims)?;
    let mut verifier = Verifier::new(trust.clone(), checkpoints);
    let (mut state, mut entries) = (State::default(), Vec::new());
    let mut senseless = None;
    for (name, parts) in blocks {
        let block = match parts {
            Ok(parts) => verifier.block(&name, &parts),
            Err(what) => {
                verifier.unreadable(&name, what);
                None
            }
        };
        if let (Some(block), None) = (block, &senseless) {
            match replay(&block, &mut state) {
                Ok(recorded) => entries.extend(recorded),
                Err(error) => {
                    let class = if error.is_unsupported() { FindingClass::Unsupported } else { FindingClass::Tampered };
                    let (entry, message) = (Some(error.index()), error.to_string());
                    senseless = Some(Finding { class, object: name, entry, message });
                }
            }
        }
    }
    let mut report = verifier.finish();
    report.findings.extend(senseless);
    report.findings.extend(wrong);
    Ok((Verified { report, trust, entries, claims }, state))
}

/// What a verification starts with.
struct Resolved {
    trust: LogTrust,
    checkpoints: Vec<(Checkpoint, String)>,
    /// The checkpoint of the dump, when the log's key did not sign it.
    wrong: Option<Finding>,
}

impl Trust {
    /// The log's key and the checkpoints to compare: what the user brings, else what the dump says about itself.
    fn resolve(&self, claims: &Claims) -> Result<Resolved, Failure> {
        let text = match &self.key {
            Some(key) => key.clone(),
            None if claims.key.is_empty() => {
                return Err(Failure::new("the log's key is not in the dump")
                    .with_next("give --key, or dump the ConfigMap miax-checkpoint of miax-system too"));
            }
            None => {
                tell("note: the key is taken from the dump itself; give --key to be sure whose ledger it is");
                claims.key.clone()
            }
        };
        let key: NoteVerifier = text.parse().map_err(|e| failure(&e))?;
        let origin = self.origin.clone().unwrap_or_else(|| key.name().to_owned());
        let (mut checkpoints, mut wrong) = (Vec::new(), None);
        if !claims.checkpoint.is_empty() {
            match Checkpoint::open(&claims.checkpoint, &origin, &key) {
                Ok(checkpoint) => checkpoints.push((checkpoint, "the checkpoint in the dump".to_owned())),
                Err(error) => {
                    let (class, object) = (FindingClass::Tampered, CHECKPOINT_CONFIG_MAP.to_owned());
                    wrong = Some(Finding { class, object, entry: None, message: error.to_string() });
                }
            }
        }
        if let Some(path) = &self.checkpoint {
            let place = path.display().to_string();
            let opened = Checkpoint::open(&read_text(path)?, &origin, &key);
            checkpoints.push((opened.map_err(|e| Failure::new(format!("{place}: {e}")))?, place));
        }
        let trust = LogTrust { epoch: epoch_of(&origin)?, origin, key };
        Ok(Resolved { trust, checkpoints, wrong })
    }
}

/// The last part of an origin is the epoch of the log.
fn epoch_of(origin: &str) -> Result<u16, Failure> {
    let epoch = origin.rsplit_once('/').and_then(|(_, epoch)| epoch.parse().ok());
    epoch.ok_or_else(|| {
        Failure::new(format!("`{origin}` is not the origin of a ledger"))
            .with_next("it looks like OWNER/ecm/CLUSTER_UID/EPOCH; see `miax ledger head`")
    })
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
