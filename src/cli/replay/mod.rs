//! `miax ledger replay`: every recorded decision is judged again, against State as it stood right before it and with the
//! facts that its entry holds, and must come out the same.

mod documents;
mod gated;
mod samples;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::GovernedKind;
use crate::constitution::{
    DecisionEvent, DocumentEvent, Event, Facts, Manifest, Operation, Outcome, Proposal, Reply, SignerRef, State,
    TargetFact, Verdict, deliberate,
};
use crate::store::Recorded;
use crate::trust::parse_json_strict;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::files::Signed;
use super::output::{Answer, Failure, Tone, failure, one_line, paint, print};
use super::simulate::cluster_uid;
use super::source::{Source, Verified};
use documents::Documents;
use samples::samples;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger replay --documents commands/
  miax ledger replay --dump ledger.tar.gz --key KEY --documents repository/ -o json
  kubectl get mxcmd -A -o yaml | miax ledger replay --documents -

The ledger holds no documents but charters; those of commands come from your repository. An entry names the bytes that were
judged by their digest, so that no other version is taken for them. Deletions need no document.

Exit codes: 0 all the same, 1 a decision differs, 2 a document is missing or the ledger does not verify.")]
pub(super) struct Arguments {
    /// A directory with the documents, as deep as it goes, or one file, or - for stdin; YAML or JSON.
    #[arg(long, value_name = "PATH")]
    documents: PathBuf,
    /// Digest of the charter that the operator was started for; without it that of the first one adopted.
    #[arg(long, value_name = "DIGEST")]
    genesis: Option<Digest>,
    #[command(flatten)]
    source: Source,
}

/// What became of an entry.
enum Finding {
    /// The judge says the same.
    Same,
    /// The judge says something else, and what.
    Differs(Vec<Difference>),
    /// What was judged is not at hand.
    NoDocument,
    /// This version does not know the kind of object.
    KindUnknown,
    /// The entry tells what was seen; nothing was judged.
    Observed,
}

/// What the entry says and what the judge says now.
struct Difference {
    field: String,
    recorded: Value,
    judged: Value,
}

/// The findings about all entries.
#[derive(Default)]
struct Findings {
    same: usize,
    observed: usize,
    differ: Vec<(LogIndex, String, Vec<Difference>)>,
    without_document: Vec<(LogIndex, String)>,
    unknown: Vec<(LogIndex, String)>,
}

/// What entries are judged again with.
struct Bench {
    documents: Documents,
    cluster_uid: String,
    genesis: Option<Digest>,
    state: State,
    /// Commands that were allowed, by what signatures are over: the bytes that an executor can have found stored.
    allowed: HashMap<Digest, Vec<Value>>,
    /// The text of the charter that is being adopted, and State right before its first piece.
    pieces: Vec<DocumentEvent>,
    before: State,
    /// What became of the samples of floods, by the index of the flood.
    samples: HashMap<LogIndex, Finding>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { documents, genesis, source } = arguments;
    let mut documents = Documents::read(documents)?;
    let (Verified { trust, entries, began, .. }, _) = source.whole()?;
    let begin = began.map(|began| began.state).unwrap_or_default();
    // Charters are in the ledger itself, whole.
    let charters = charters(&entries);
    let first = charters.first().and_then(|charter| Manifest::read(charter).ok()).map(|m| m.document.digest);
    charters.into_iter().for_each(|charter| documents.add(charter));
    let mut bench = Bench {
        documents,
        cluster_uid: cluster_uid(&trust.origin).to_owned(),
        genesis: genesis.or(begin.first_charter()).or(first),
        state: begin,
        allowed: HashMap::new(),
        pieces: Vec::new(),
        before: State::default(),
        samples: HashMap::new(),
    };
    let samples = samples(&entries);
    let mut findings = Findings::default();
    for Recorded { index, time, writer: _, event } in &entries {
        // What was folded after so many entries was judged by State as it stands now.
        for (flood, sample) in samples.get(index).into_iter().flatten() {
            let finding = bench.decision(&Event::Decision((*sample).clone()), sample);
            bench.samples.insert(*flood, finding);
        }
        let judged = bench.samples.remove(index);
        let finding = judged.unwrap_or_else(|| bench.judge(event, (*time).into()));
        findings.add(*index, event, finding);
        bench.state.apply(*index, event).map_err(|e| failure(&e))?;
    }
    print(source.output, &findings.value(), || findings.text())?;
    Ok(findings.answer())
}

/// The charters whose texts the ledger holds, in the order in which they came into force.
fn charters(entries: &[Recorded]) -> Vec<Value> {
    let (mut pieces, mut charters) = (Vec::new(), Vec::new());
    for Recorded { index: _, time: _, writer: _, event } in entries {
        if let Event::Document(piece) = event {
            collect(&mut pieces, piece);
        }
        if let Event::Adopt(_) = event {
            charters.extend(assemble(&pieces));
        }
    }
    charters
}

/// A writer that died leaves pieces without an adoption; the next one starts over at part 0.
pub(super) fn collect(pieces: &mut Vec<DocumentEvent>, piece: &DocumentEvent) {
    if piece.part == 0 {
        pieces.clear();
    }
    pieces.push(piece.clone());
}

pub(super) fn assemble(pieces: &[DocumentEvent]) -> Option<Value> {
    let whole: String = pieces.iter().map(|p| p.piece.as_str()).collect();
    parse_json_strict(whole.as_bytes()).ok()
}

impl Bench {
    fn judge(&mut self, event: &Event, written: UnixSeconds) -> Finding {
        match event {
            Event::Decision(decision) => self.decision(event, decision),
            Event::EffectBegin(begin) => {
                let facts = self.facts(begin.now, TargetFact::Found(begin.observed.clone()));
                self.command(event, &begin.digest, &begin.signers, &facts, Proposal::Begin)
            }
            Event::Enact(enact) => {
                let facts = self.facts(enact.now, TargetFact::NotNamed);
                self.command(event, &enact.digest, &enact.signers, &facts, Proposal::Enact)
            }
            Event::SloSet(set) => {
                let facts = self.facts(set.now, TargetFact::NotNamed);
                self.command(event, &set.digest, &set.signers, &facts, Proposal::SetObjective)
            }
            Event::Document(piece) => {
                if piece.part == 0 {
                    self.before = self.state.clone();
                }
                collect(&mut self.pieces, piece);
                Finding::Observed
            }
            Event::Adopt(_) => self.adopt(event, written),
            Event::Lapse(lapse) => {
                let facts = self.facts(lapse.now, TargetFact::NotNamed);
                compare(event, &deliberate(&Proposal::Lapse, &self.state, &facts))
            }
            // State has judged its command again before it took it in.
            Event::EpochOpen(_) => Finding::Same,
            Event::Stored(_)
            | Event::EffectDone(_)
            | Event::EffectFailed(_)
            | Event::EffectUndone(_)
            | Event::Flood(_)
            | Event::PolicySet(_)
            | Event::Unwitnessed(_)
            | Event::Recover(_)
            | Event::SloVerdict(_)
            | Event::ArchiveSeal(_)
            | Event::Prune(_)
            | Event::KeyAdd(_)
            | Event::KeyRetire(_)
            | Event::KeyRevoke(_) => Finding::Observed,
        }
    }

    fn facts(&self, now: UnixSeconds, target: TargetFact) -> Facts {
        Facts { now, cluster_uid: self.cluster_uid.clone(), genesis: self.genesis, target, budgets: Vec::new() }
    }

    fn decision(&mut self, event: &Event, decision: &DecisionEvent) -> Finding {
        let Some(kind) = GovernedKind::from_kind(&decision.object.kind) else {
            return self.gated(event, decision).unwrap_or(Finding::KindUnknown);
        };
        let Some(request) = self.documents.request(decision, kind) else { return Finding::NoDocument };
        if let (Verdict::Allow, Some(digest), Some(object)) = (decision.verdict, decision.digest, &request.object) {
            self.allowed.entry(digest).or_default().push(object.clone());
        }
        let facts = self.facts(decision.now, decision.target.clone());
        let mut outcome = deliberate(&Proposal::Review(Box::new(request)), &self.state, &facts);
        if let (Operation::Delete, [Event::Decision(again)]) = (decision.operation, outcome.events.as_mut_slice()) {
            // What was deleted was not judged, and nobody needs to keep it.
            Arc::make_mut(again).inputs = decision.inputs;
        }
        // The commitment was made where the request arrived; whether it is the right one is told with its salt.
        compare(event, &outcome.with_commitment(decision.commitment, &self.state))
    }

    /// Judges the stored version of a command: the allowed one that the same people signed.
    fn command(
        &self,
        event: &Event,
        digest: &Digest,
        signers: &[SignerRef],
        facts: &Facts,
        proposal: impl FnOnce(Box<Value>) -> Proposal,
    ) -> Finding {
        let versions = self.allowed.get(digest).map(Vec::as_slice).unwrap_or_default();
        match versions.iter().find(|object| signed_by(object, signers)) {
            Some(object) => compare(event, &deliberate(&proposal(Box::new(object.clone())), &self.state, facts)),
            None => Finding::NoDocument,
        }
    }

    /// The pieces of the text and the adoption are one proposal: judged before the first of them. The time of that judgement
    /// is not in the entry; the time when it was written is moments later.
    fn adopt(&self, event: &Event, written: UnixSeconds) -> Finding {
        let Some(object) = assemble(&self.pieces) else { return Finding::NoDocument };
        let facts = self.facts(written, TargetFact::NotNamed);
        let Outcome { mut events, reply } = deliberate(&Proposal::Adopt(Box::new(object)), &self.before, &facts);
        // Fitting pieces are what State took the charter from; left is what they lead to.
        events.retain(|e| !matches!(e, Event::Document(_)));
        compare(event, &Outcome { events, reply })
    }
}

/// Whether a document carries the signatures of these, in this order: it is the order in which they are stored.
fn signed_by(object: &Value, signers: &[SignerRef]) -> bool {
    let Ok(signed) = Signed::read(object) else { return false };
    let carried = signed.document().signatures.iter().map(|s| (&s.principal, s.verb.as_str(), &s.seat, &s.key));
    carried.eq(signers.iter().map(|s| (&s.principal, s.verb.as_str(), &s.seat, &s.key)))
}

/// Compares the entry with what the judge makes of it now.
fn compare(recorded: &Event, outcome: &Outcome) -> Finding {
    let Outcome { events, reply } = outcome;
    let other = |judged: String| {
        let difference =
            Difference { field: "entry".to_owned(), recorded: Value::from(recorded.kind()), judged: judged.into() };
        Finding::Differs(vec![difference])
    };
    let differences = match (events.as_slice(), reply) {
        ([again], _) if again.kind() == recorded.kind() => {
            differences(&recorded.fields().unwrap_or_default(), &again.fields().unwrap_or_default())
        }
        ([], Reply::Judged(decision)) => return other(format!("none: {}", decision.message())),
        ([], Reply::JudgedBefore(index, _)) => return other(format!("none: entry {index} answers it")),
        ([], Reply::Done | Reply::Begin(_) | Reply::Passed) => return other("none".to_owned()),
        (more, _) => return other(more.iter().map(Event::kind).collect::<Vec<_>>().join(", ")),
    };
    if differences.is_empty() { Finding::Same } else { Finding::Differs(differences) }
}

fn differences(recorded: &Map<String, Value>, judged: &Map<String, Value>) -> Vec<Difference> {
    let mut fields: Vec<&String> = recorded.keys().chain(judged.keys()).collect();
    fields.sort_unstable();
    fields.dedup();
    let value = |map: &Map<String, Value>, field: &str| map.get(field).cloned().unwrap_or_default();
    fields
        .into_iter()
        .map(|field| Difference {
            field: field.clone(),
            recorded: value(recorded, field),
            judged: value(judged, field),
        })
        .filter(|d| d.recorded != d.judged)
        .collect()
}

/// What was judged, in a few words.
fn describe(event: &Event) -> String {
    let object = match event {
        Event::Decision(e) => &e.object,
        Event::Stored(e) => &e.object,
        Event::Adopt(e) => &e.object,
        Event::EffectBegin(e) => &e.object,
        Event::EffectDone(e) | Event::EffectFailed(e) => &e.object,
        Event::EffectUndone(e) => &e.object,
        Event::Enact(e) => &e.object,
        Event::SloSet(e) => &e.object,
        Event::SloVerdict(e) => &e.object,
        Event::EpochOpen(e) => &e.object,
        Event::Lapse(e) => &e.object,
        Event::Flood(e) => &e.sample.object,
        Event::ArchiveSeal(_)
        | Event::Prune(_)
        | Event::Document(_)
        | Event::Recover(_)
        | Event::PolicySet(_)
        | Event::Unwitnessed(_)
        | Event::KeyAdd(_)
        | Event::KeyRetire(_)
        | Event::KeyRevoke(_) => {
            return event.kind().to_owned();
        }
    };
    format!("{} of {object}", event.kind())
}

impl Findings {
    fn add(&mut self, index: LogIndex, event: &Event, finding: Finding) {
        let what = describe(event);
        match finding {
            Finding::Same => self.same += 1,
            Finding::Observed => self.observed += 1,
            Finding::Differs(differences) => self.differ.push((index, what, differences)),
            Finding::NoDocument => self.without_document.push((index, what)),
            Finding::KindUnknown => self.unknown.push((index, what)),
        }
    }

    fn answer(&self) -> Answer {
        let Self { same: _, observed: _, differ, without_document, unknown } = self;
        match (differ.is_empty(), without_document.is_empty() && unknown.is_empty()) {
            (true, true) => Answer::Yes,
            (true, false) => Answer::Unclear,
            (false, _) => Answer::No,
        }
    }

    fn value(&self) -> Value {
        let Self { same, observed, differ, without_document, unknown } = self;
        let entry = |(index, what): &(LogIndex, String)| json!({"index": index, "what": what});
        let difference = |d: &Difference| json!({"field": d.field, "recorded": d.recorded, "judged": d.judged});
        let differs = |(index, what, all): &(LogIndex, String, Vec<Difference>)| json!({"index": index, "what": what, "differences": all.iter().map(difference).collect::<Vec<_>>()});
        json!({
            "same": same,
            "observed": observed,
            "differ": differ.iter().map(differs).collect::<Vec<_>>(),
            "withoutDocument": without_document.iter().map(entry).collect::<Vec<_>>(),
            "unknown": unknown.iter().map(entry).collect::<Vec<_>>(),
        })
    }

    fn text(&self) -> String {
        let Self { same, observed, differ, without_document, unknown } = self;
        let mut lines = Vec::new();
        for (index, what, differences) in differ {
            let word = paint("differs", Tone::Bad);
            lines.extend(differences.iter().map(|Difference { field, recorded, judged }| {
                let change = one_line(&format!("{field}: the entry says {recorded}, the judge {judged}"));
                format!("entry {index}: {} {word}: {change}", one_line(what))
            }));
        }
        let word = paint("no document", Tone::Doubt);
        lines.extend(without_document.iter().map(|(index, what)| format!("entry {index}: {}: {word}", one_line(what))));
        let word = paint("unknown kind; use a newer miax", Tone::Doubt);
        lines.extend(unknown.iter().map(|(index, what)| format!("entry {index}: {}: {word}", one_line(what))));
        let missing = without_document.len() + unknown.len();
        let tone = if differ.is_empty() && missing == 0 { Tone::Good } else { Tone::Bad };
        let judged = format!("{same} re-judged and the same, {} differ, {missing} without a document", differ.len());
        lines.push(format!("{} ({observed} other entries hold no judgement)", paint(&judged, tone)));
        lines.join("\n")
    }
}
