//! `miax ledger show`: who asked, what for, the verdict and why, who signed for which seat, and what belongs to it.

use serde_json::{Value, json};

use crate::cli::output::{Answer, Failure, Tone, one_line, paint, print};
use crate::cli::source::Source;
use crate::constitution::{
    Event, Finding, FloodEvent, FloodSource, GateTerms, NextStep, PolicySetEvent, SignerRef, TargetFact, TargetState,
    UnwitnessedEvent, Verdict,
};
use crate::store::Recorded;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::report::complain;
use super::told::{Told, entry_value};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger show 12
  miax ledger show 12 --dump ledger.tar.gz -o yaml")]
pub(super) struct Arguments {
    /// Its index.
    index: u64,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { index, source } = arguments;
    let ledger = source.read()?;
    let found = ledger.entries.iter().find(|r| r.index == LogIndex(*index));
    let entry = found.ok_or_else(|| {
        Failure::new(format!("there is no entry {index}; the ledger has {} entries", ledger.report.entries))
    })?;
    let linked = linked(&ledger.entries, entry);
    let mut value = entry_value(entry);
    if let Value::Object(map) = &mut value {
        let links = linked.iter().map(|r| json!({"index": r.index, "kind": r.event.kind()})).collect();
        map.insert("linked".to_owned(), links);
    }
    print(source.output, &value, || describe(entry, &linked))?;
    Ok(complain(&ledger.report))
}

/// The other entries about the same document, and those that act upon it.
fn linked<'a>(entries: &'a [Recorded], entry: &Recorded) -> Vec<&'a Recorded> {
    let documents = |r: &Recorded| {
        let told = Told::from(&r.event);
        [told.digest, told.upon]
    };
    let own: Vec<Digest> = documents(entry).into_iter().flatten().collect();
    let same = |r: &&Recorded| r.index != entry.index && documents(r).into_iter().flatten().any(|d| own.contains(&d));
    entries.iter().filter(same).collect()
}

/// Rows of a name and its value, everything on one line: the words come from strangers.
struct Rows(Vec<String>);

impl Rows {
    fn add(&mut self, name: &str, value: &str) {
        self.0.push(format!("  {name:<10} {}", one_line(value)));
    }
}

fn describe(entry: &Recorded, linked: &[&Recorded]) -> String {
    let Recorded { index, time, writer, event } = entry;
    let title = format!("entry {index}, {}, {}", UnixSeconds::from(*time), event.kind());
    let mut rows = Rows(vec![paint(&title, Tone::Strong)]);
    let told = Told::from(event);
    if let Some(object) = told.object {
        rows.add("object", &object.to_string());
    }
    describe_event(event, &mut rows);
    told.signers.iter().for_each(|s| rows.add("signed", &signer_line(s)));
    if let Some(charter) = told.charter {
        rows.add("charter", &format!("version {}, {}", charter.version, charter.digest));
    }
    if let Some(digest) = told.digest {
        rows.add("digest", &digest.to_string());
    }
    rows.add("writer", writer);
    let (before, after): (Vec<&Recorded>, Vec<&Recorded>) = linked.iter().partition(|r| r.index < *index);
    before.iter().for_each(|r| rows.add("before", &link_line(r)));
    after.iter().for_each(|r| rows.add("followed", &link_line(r)));
    if after.is_empty() && told.digest.is_some() {
        rows.add("followed", "nothing so far");
    }
    rows.0.join("\n")
}

fn gate_line(gate: Option<&GateTerms>) -> String {
    match gate {
        None => "it stops no changes".to_owned(),
        Some(GateTerms { workloads: None, on_unknown: _ }) => "it binds every workload of its namespace".to_owned(),
        Some(GateTerms { workloads: Some(named), on_unknown: _ }) => {
            let named: Vec<String> = named.iter().map(|(kind, name)| format!("{} {name}", kind.as_str())).collect();
            format!("it binds {}", named.join(", "))
        }
    }
}

/// What only events of this kind say.
fn describe_event(event: &Event, rows: &mut Rows) {
    match event {
        Event::Decision(e) => {
            let actor = if e.actor.is_empty() { "nobody named" } else { &e.actor };
            rows.add("asked by", actor);
            let summary = e.summary.as_ref().map(|s| format!(": {s}")).unwrap_or_default();
            rows.add("asked", &format!("{}{summary}", e.operation.as_str()));
            let (word, tone) = match e.verdict {
                Verdict::Allow => ("allowed", Tone::Good),
                Verdict::Deny => ("refused", Tone::Bad),
            };
            rows.0.push(format!("  {:<10} {} at {}", "verdict", paint(word, tone), e.now));
            e.findings.iter().for_each(|f| describe_finding(f, rows));
            if !e.rules.is_empty() {
                rows.add("rules", &e.rules.join(", "));
            }
            rows.add("target", &target_line(&e.target));
            e.plans.iter().for_each(|plan| rows.add("plan", &format!("one use of {plan}")));
        }
        Event::Stored(e) => {
            rows.add("seen", &format!("stored as uid {}, resource version {}", e.uid, e.resource_version));
        }
        Event::Document(e) => {
            rows.add("text", &format!("part {} of {} of {}", e.part + 1, e.parts, e.text));
            rows.add("piece", &e.piece);
        }
        Event::Adopt(e) => rows.add("what", &format!("version {} came into force; its text is {}", e.version, e.text)),
        Event::EffectBegin(e) => {
            rows.add("what", &format!("{} was begun by {}", e.summary, e.executor));
            rows.add("rules", &e.rules.join(", "));
            rows.add("target", &state_line(&e.observed));
            if let Some(due) = e.post_mortem_due {
                rows.add("owed", &format!("a post-mortem until {due}"));
            }
        }
        Event::EffectDone(e) | Event::EffectFailed(e) => {
            rows.add("outcome", &format!("{}: {}", e.reason, e.message));
            rows.add("began", &format!("entry {}", e.began));
        }
        Event::EffectUndone(e) => rows.add("what", &format!("what entry {} began was taken back", e.began)),
        Event::Enact(e) => rows.add("what", &format!("{}; in force at once", e.summary)),
        Event::Lapse(e) => rows.add("what", &format!("the emergency charter was not ratified until {}", e.ratify_by)),
        Event::Flood(e) => describe_flood(e, rows),
        Event::PolicySet(e) => {
            let PolicySetEvent { mode, quorum, witnesses, max_age, now: _ } = e;
            rows.add("what", &format!("witnesses: {}; {quorum} must cosign within {max_age}", mode.as_str()));
            rows.add("witnesses", &witnesses.to_string());
        }
        Event::Unwitnessed(e) => {
            let UnwitnessedEvent { witnessed, since, until, now: _ } = e;
            let what = match until {
                None => format!("too few witnesses have vouched for the log since {since}"),
                Some(until) => format!("from {since} to {until} too few witnesses vouched for the log"),
            };
            rows.add("what", &what);
            rows.add("witnessed", &format!("{witnessed} entries"));
        }
        Event::EpochOpen(e) => {
            rows.add(
                "what",
                &format!("the epoch {} goes on with {} entries in {} blocks", e.epoch, e.entries, e.blocks.0),
            );
            rows.add("root", &e.root.to_string());
            rows.add("command", &e.command);
        }
        Event::SloSet(e) => {
            let end = if e.retired { ", and ends it" } else { "" };
            rows.add("what", &format!("version {} holds from here on{end}: {}", e.version, e.summary));
            rows.add("gate", &gate_line(e.gate.as_ref()));
            rows.add("rules", &e.rules.join(", "));
        }
        Event::SloVerdict(e) => {
            rows.add("what", &format!("the error budget is {} since {}", e.verdict.as_str(), e.now));
            rows.add("because", &e.message);
        }
        Event::Recover(e) => {
            rows.add(
                "what",
                &format!("the ledger was broken since {} and is whole again; nothing was allowed", e.since),
            );
            rows.add("because", &e.what);
            rows.add("hashed", &format!("{} entries, root {}", e.size, e.root));
        }
        Event::Prune(e) => {
            let what = format!(
                "the first {} entries may leave the cluster; block {} is the first that stays",
                e.size, e.block
            );
            rows.add("what", &what);
            rows.add("snapshot", &format!("{}, root {}", e.snapshot, e.root));
        }
        Event::ArchiveSeal(e) => {
            rows.add("what", &format!("the archive {} holds the first {} entries; {} before", e.store, e.to, e.from));
            rows.add("root", &e.root.to_string());
            rows.add("objects", &format!("{} were added and read back, together {}", e.count, e.objects));
        }
        Event::KeyAdd(e) => {
            let text = |key: &str| e.fields.get(key).and_then(Value::as_str).unwrap_or_default();
            rows.add(
                "what",
                &match text("role") {
                    "log" => "a further key vouches for the log from here on, beside those that do".to_owned(),
                    _ => format!("the log's key vouches for the writer {}", text("name")),
                },
            );
            rows.add("key", text("public"));
        }
        Event::KeyRetire(e) => {
            rows.add("what", "this key of the log vouches for nothing from here on; what it vouched for holds");
            rows.add("key", e.fields.get("public").and_then(Value::as_str).unwrap_or_default());
        }
        Event::KeyRevoke(e) => {
            let last = e.fields.get("lastGood").and_then(Value::as_u64).unwrap_or_default();
            rows.add(
                "what",
                &format!("this key of the log is void: it vouches for no more than the first {last} entries"),
            );
            rows.add("key", e.fields.get("public").and_then(Value::as_str).unwrap_or_default());
        }
    }
}

fn describe_flood(flood: &FloodEvent, rows: &mut Rows) {
    let FloodEvent { source, count, first, last, root, after, sample } = flood;
    let (who, which) = match source {
        Some(FloodSource { actor, reason, kind }) => {
            (actor.as_str(), format!("about objects of the kind {kind}, first reason {reason}"))
        }
        None => ("more callers than are told apart", "of any kind, for any reason".to_owned()),
    };
    rows.add("asked by", if who.is_empty() { "nobody named" } else { who });
    rows.add("what", &format!("{count} refusals {which}, counted and not written one by one"));
    rows.add("when", &format!("from {first} to {last}"));
    rows.add("root", &format!("{root} over all of them"));
    rows.add(
        "sample",
        &format!("the first, judged after {after} entries: {} of {}", sample.operation.as_str(), sample.object),
    );
    sample.findings.iter().for_each(|f| describe_finding(f, rows));
}

fn describe_finding(finding: &Finding, rows: &mut Rows) {
    let Finding { reason, message, rule, next } = finding;
    let rule = rule.as_ref().map(|r| format!(" [{r}]")).unwrap_or_default();
    rows.add("because", &format!("{reason}: {message}{rule}"));
    match next {
        Some(NextStep::Run(step) | NextStep::Do(step)) => rows.add("next was", step),
        None => {}
    }
}

fn signer_line(signer: &SignerRef) -> String {
    let SignerRef { principal, verb, seat, key } = signer;
    format!("{verb} by {principal} for {seat}, key {key}")
}

fn target_line(target: &TargetFact) -> String {
    match target {
        TargetFact::NotNamed => "none is named".to_owned(),
        TargetFact::Stale => "the view of the cluster was too old".to_owned(),
        TargetFact::Missing => "there was none".to_owned(),
        TargetFact::Found(state) => state_line(state),
    }
}

fn state_line(state: &TargetState) -> String {
    let TargetState { uid, generation, resource_version } = state;
    format!("generation {generation}, resource version {resource_version}, uid {uid}")
}

fn link_line(recorded: &Recorded) -> String {
    let Told { result, what, .. } = Told::from(&recorded.event);
    let result = if result == "-" { String::new() } else { format!(" {result}:") };
    format!("entry {}, {}:{result} {}", recorded.index, recorded.event.kind(), what.trim())
}
