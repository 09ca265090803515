//! What an event says, by the questions that people ask of it: who, what, for whom, why.

use serde_json::{Map, Value, json};

use crate::api::reason::Reason;
use crate::constitution::{CharterRef, Event, FloodEvent, ObjectRef, SignerRef, StateAction, Verdict};
use crate::store::Recorded;
use crate::units::{Digest, UnixSeconds};

/// The answers of one event; empty where its kind has none.
pub(super) struct Told<'a> {
    /// Which object it is about.
    pub(super) object: Option<&'a ObjectRef>,
    /// Digest of that object.
    pub(super) digest: Option<Digest>,
    /// Digest of another document that it acts upon.
    pub(super) upon: Option<Digest>,
    /// Who sent the request; recorded, not trusted.
    pub(super) actor: Option<&'a str>,
    /// Every reason.
    pub(super) reasons: Vec<Reason>,
    /// Who signed for which seat.
    pub(super) signers: &'a [SignerRef],
    /// The charter by which it was judged.
    pub(super) charter: Option<&'a CharterRef>,
    /// The outcome in a word or two.
    pub(super) result: String,
    /// What was asked or done, in a few words.
    pub(super) what: String,
}

impl<'a> Told<'a> {
    fn about(object: &'a ObjectRef, digest: Digest, what: String) -> Self {
        Self { object: Some(object), digest: Some(digest), ..Self::of_the_log(what) }
    }

    fn of_the_log(what: String) -> Self {
        Self {
            object: None,
            digest: None,
            upon: None,
            actor: None,
            reasons: Vec::new(),
            signers: &[],
            charter: None,
            result: "-".to_owned(),
            what,
        }
    }
}

impl<'a> From<&'a Event> for Told<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Decision(e) => {
                let reasons: Vec<Reason> = e.findings.iter().map(|f| f.reason).collect();
                let first = reasons.first().map(|r| r.as_str()).unwrap_or_default();
                Told {
                    object: Some(&e.object),
                    digest: e.digest,
                    actor: Some(&e.actor),
                    result: format!("{} {first}", verdict(e.verdict)).trim_end().to_owned(),
                    reasons,
                    signers: &e.signers,
                    charter: e.charter.as_ref(),
                    ..Told::of_the_log(format!("{} {}", e.operation.as_str(), e.summary.clone().unwrap_or_default()))
                }
            }
            Event::Stored(e) => Told::about(&e.object, e.digest, format!("uid {}", e.uid)),
            Event::Document(e) => Told::of_the_log(format!("text part {} of {}", e.part + 1, e.parts)),
            Event::Adopt(e) => Told::about(&e.object, e.digest, format!("version {} is in force", e.version)),
            Event::EffectBegin(e) => Told {
                signers: &e.signers,
                charter: Some(&e.charter),
                ..Told::about(&e.object, e.digest, format!("{} by {}", e.summary, e.executor))
            },
            Event::EffectDone(e) | Event::EffectFailed(e) => Told {
                reasons: vec![e.reason],
                result: e.reason.to_string(),
                ..Told::about(&e.object, e.digest, e.message.clone())
            },
            Event::EffectUndone(e) => {
                Told::about(&e.object, e.digest, format!("what entry {} began was taken back", e.began))
            }
            Event::Enact(e) => Told {
                signers: &e.signers,
                charter: Some(&e.charter),
                upon: upon(&e.action),
                ..Told::about(&e.object, e.digest, e.summary.clone())
            },
            Event::Lapse(e) => {
                let what = format!("not ratified until {}; it lapsed", e.ratify_by);
                Told { charter: Some(&e.charter), ..Told::about(&e.object, e.charter.digest, what) }
            }
            Event::Flood(e) => {
                let FloodEvent { source, count, sample, .. } = e.as_ref();
                let reason = sample.findings.first().map(|f| f.reason);
                let who = if source.is_some() { "" } else { " from several" };
                let (first, last) = (e.first, e.last);
                Told {
                    actor: source.as_ref().map(|s| s.actor.as_str()),
                    result: format!("deny {}", reason.map(|r| r.as_str()).unwrap_or_default()).trim_end().to_owned(),
                    reasons: reason.into_iter().collect(),
                    ..Told::of_the_log(format!("{count} refusals{who} from {first} to {last}"))
                }
            }
            Event::PolicySet(e) => Told {
                result: e.mode.as_str().to_owned(),
                ..Told::of_the_log(format!("witnesses {}, {} must cosign", e.witnesses, e.quorum))
            },
            Event::Unwitnessed(e) => match e.until {
                None => {
                    Told { result: "begins".to_owned(), ..Told::of_the_log(format!("unwitnessed since {}", e.since)) }
                }
                Some(until) => {
                    let what = format!("unwitnessed from {} to {until}", e.since);
                    Told { result: "ended".to_owned(), ..Told::of_the_log(what) }
                }
            },
            Event::EpochOpen(e) => Told {
                signers: &e.signers,
                ..Told::about(&e.object, e.digest, format!("epoch {} goes on with {} entries", e.epoch, e.entries))
            },
            Event::SloSet(e) => Told {
                signers: &e.signers,
                charter: Some(&e.charter),
                ..Told::about(&e.object, e.digest, format!("version {} holds: {}", e.version, e.summary))
            },
            Event::SloVerdict(e) => {
                Told { result: e.verdict.as_str().to_owned(), ..Told::about(&e.object, e.digest, e.message.clone()) }
            }
            Event::Recover(e) => Told::of_the_log(format!("whole again: {}", e.what)),
            Event::Prune(e) => Told::of_the_log(format!("the first {} entries may leave the cluster", e.size)),
            Event::ArchiveSeal(e) => Told::of_the_log(format!("archive {} holds {} entries", e.store, e.to)),
            Event::KeyAdd(e) => {
                let text = |field: &str| e.fields.get(field).and_then(Value::as_str).unwrap_or_default();
                Told::of_the_log(match text("role") {
                    "log" => format!("a further key of the log: {}", text("public")),
                    _ => format!("writer {}", text("name")),
                })
            }
            Event::KeyRetire(e) | Event::KeyRevoke(e) => {
                let key = e.fields.get("public").and_then(Value::as_str).unwrap_or_default();
                Told::of_the_log(format!("the log's key {key}"))
            }
        }
    }
}

/// The verdict in a word.
fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allow",
        Verdict::Deny => "deny",
    }
}

fn upon(action: &StateAction) -> Option<Digest> {
    match action {
        StateAction::Freeze { namespace: _, until: _, calendar: _, way_out: _ }
        | StateAction::Waive { rule: _, target: _, until: _ }
        | StateAction::AcknowledgeIncident { incident: _ }
        | StateAction::OpenEpoch(_)
        | StateAction::RevokeKey { key: _ } => None,
        StateAction::Mitigate(plan) => Some(plan.objective),
        StateAction::Thaw { namespace: _, freeze, until: _ } => *freeze,
        StateAction::Override { decision, until: _ } => Some(*decision),
        StateAction::AcknowledgeOverride { command }
        | StateAction::Veto { command }
        | StateAction::Review { command, findings: _ } => Some(*command),
        StateAction::RatifyAmendment { charter } => Some(*charter),
    }
}

/// An entry as data: its fields, with index and time in words.
pub(super) fn entry_value(recorded: &Recorded) -> Value {
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
