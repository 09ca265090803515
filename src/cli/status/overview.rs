//! What is worth knowing of State at a moment, as data.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::constitution::{
    Archived, DecisionEvent, EffectBeginEvent, Emergency, Event, Freeze, InForce, Mode, ObjectRef, Objective, Plan,
    Rule, Standing, State, StateAction, Waiver, YEAR_AHEAD,
};
use crate::ledger::Report;
use crate::store::Recorded;
use crate::units::{Digest, LogIndex, UnixSeconds};

/// Whether the ledger is whole, and how long.
#[derive(Clone, Debug)]
pub(super) struct Soundness {
    pub(super) entries: u64,
    pub(super) blocks: u64,
    pub(super) findings: Vec<String>,
}

/// What the entries say that State forgets: when overrides end.
#[derive(Debug, Default)]
pub(super) struct History {
    overrides: BTreeMap<LogIndex, UnixSeconds>,
}

/// A command that waits for people.
pub(super) struct Waiting<'a> {
    pub(super) digest: &'a Digest,
    pub(super) decision: &'a DecisionEvent,
    pub(super) index: LogIndex,
    pub(super) vetoed: Option<&'a Standing>,
}

/// A freeze that nobody ended.
pub(super) struct Frozen<'a> {
    pub(super) namespace: &'a str,
    pub(super) freeze: &'a Freeze,
    /// When a window of its calendar opens or closes.
    pub(super) turns: Option<UnixSeconds>,
    /// Whether it stops changes now.
    pub(super) holds: bool,
    /// Entry and end of the override that suspends it.
    pub(super) overridden: Option<(LogIndex, Option<UnixSeconds>)>,
}

/// Something that somebody must do.
pub(super) struct Due<'a> {
    pub(super) what: &'static str,
    /// The command or charter that it is owed for.
    pub(super) digest: Option<Digest>,
    pub(super) object: Option<&'a ObjectRef>,
    pub(super) summary: String,
    pub(super) since: LogIndex,
    pub(super) due: Option<UnixSeconds>,
    pub(super) overdue: bool,
    pub(super) next: String,
}

/// Everything that the status shows.
pub(super) struct Overview<'a> {
    pub(super) now: UnixSeconds,
    pub(super) charter: Option<&'a InForce>,
    pub(super) emergency: Option<Emergency<'a>>,
    pub(super) not_enforced: Vec<&'a Rule>,
    pub(super) ledger: Soundness,
    /// The entry that says that too few witnesses vouch for the log, and since when.
    pub(super) unwitnessed: Option<(LogIndex, UnixSeconds)>,
    pub(super) running: Vec<(&'a Digest, &'a EffectBeginEvent, LogIndex)>,
    pub(super) waiting: Vec<Waiting<'a>>,
    pub(super) frozen: Vec<Frozen<'a>>,
    pub(super) waived: Vec<&'a Waiver>,
    /// Those that were not ended.
    pub(super) objectives: Vec<&'a Objective>,
    /// Mitigation plans that are not used up, by the command.
    pub(super) plans: Vec<(&'a Digest, &'a Plan)>,
    pub(super) owed: Vec<Due<'a>>,
    /// What each archive holds, by its last seal.
    pub(super) archives: Vec<(&'a str, &'a Archived)>,
}

impl Soundness {
    /// What a verification found.
    pub(super) fn of(report: &Report) -> Self {
        let Report { blocks, entries, first: _, root: _, checkpoint: _, checkpoints: _, compared: _, findings } =
            report;
        let findings = findings.iter().map(|f| format!("{}: {}", f.object, f.message)).collect();
        Self { entries: *entries, blocks: *blocks, findings }
    }
}

impl History {
    /// The history in these entries.
    pub(super) fn of(entries: &[Recorded]) -> Self {
        let mut history = Self::default();
        entries.iter().for_each(|recorded| history.take(recorded));
        history
    }

    /// Takes the next entry in.
    pub(super) fn take(&mut self, recorded: &Recorded) {
        let Event::Enact(event) = &recorded.event else { return };
        if let StateAction::Override { decision: _, until } = &event.action {
            self.overrides.insert(recorded.index, *until);
        }
    }
}

impl<'a> Overview<'a> {
    /// What State and history add up to at `now`.
    pub(super) fn of(state: &'a State, history: &'a History, ledger: Soundness, now: UnixSeconds) -> Self {
        let charter = state.charter(now);
        let rules = charter.iter().flat_map(|c| &c.charter.rules);
        let mut waiting: Vec<Waiting<'a>> = state
            .held()
            .map(|(digest, decision, index)| Waiting { digest, decision, index, vetoed: state.vetoed(digest, now) })
            .collect();
        waiting.sort_by_key(|w| w.index);
        let mut running: Vec<_> =
            state.running().map(|(digest, begin, index)| (digest, begin.as_ref(), index)).collect();
        running.sort_by_key(|(_, _, index)| *index);
        Self {
            now,
            charter,
            emergency: state.emergency().filter(|e| now < e.ratify_by),
            not_enforced: rules.filter(|rule| rule.mode != Mode::Enforce).collect(),
            ledger,
            unwitnessed: state.unwitnessed(),
            running,
            waiting,
            frozen: frozen(state, history, now),
            waived: state.waivers(now).collect(),
            objectives: state.objectives().filter(|o| !o.retired).collect(),
            plans: state.plans(now).collect(),
            owed: owed(state, now),
            archives: state.archives().collect(),
        }
    }

    /// The same as data; the names of its fields are stable.
    pub(super) fn value(&self) -> Value {
        let Self {
            now,
            charter,
            emergency,
            not_enforced,
            ledger,
            unwitnessed,
            running,
            waiting,
            frozen,
            waived,
            objectives,
            plans,
            owed,
            archives,
        } = self;
        let Soundness { entries, blocks, findings } = ledger;
        json!({
            "at": now,
            "charter": charter.map(|c| json!({
                "object": c.object, "version": c.reference.version, "digest": c.reference.digest,
                "expiresAt": c.expires_at, "since": c.since, "ratifyBy": emergency.map(|e| e.ratify_by),
            })),
            "notEnforced": not_enforced.iter()
                .map(|r| json!({"rule": r.name, "article": r.article, "mode": r.mode})).collect::<Vec<_>>(),
            "ledger": {"entries": entries, "blocks": blocks, "whole": findings.is_empty(), "findings": findings},
            "unwitnessed": unwitnessed.map(|(index, since)| json!({"index": index, "since": since})),
            "running": running.iter()
                .map(|(digest, begin, index)| json!({
                    "digest": digest, "index": index, "summary": begin.summary, "object": begin.object,
                })).collect::<Vec<_>>(),
            "waiting": waiting.iter().map(Waiting::value).collect::<Vec<_>>(),
            "frozen": frozen.iter().map(Frozen::value).collect::<Vec<_>>(),
            "waived": waived.iter()
                .map(|w| json!({"rule": w.rule, "target": w.target, "until": w.until, "index": w.index})).collect::<Vec<_>>(),
            "objectives": objectives.iter().map(|o| objective_value(o)).collect::<Vec<_>>(),
            "plans": plans.iter()
                .map(|(digest, p)| json!({"command": digest, "index": p.index, "left": p.left, "plan": p.mitigation}))
                .collect::<Vec<_>>(),
            "archives": archives.iter()
                .map(|(name, a)| json!({"name": name, "entries": a.size, "root": a.root, "index": a.index}))
                .collect::<Vec<_>>(),
            "obligations": owed.iter().map(Due::value).collect::<Vec<_>>(),
        })
    }
}

impl Waiting<'_> {
    /// The command line by which the next person signs: a seat that is open, or any.
    pub(super) fn next(&self) -> String {
        let ObjectRef { kind, namespace, name } = &self.decision.object;
        let open = self.decision.seats.iter().find(|s| !s.open_to.is_empty());
        let seat = open.and_then(|s| s.seat.split(' ').next()).unwrap_or("SEAT");
        format!("miax approve {}/{name} -n {namespace} --seat {seat}", kind.to_ascii_lowercase())
    }

    fn value(&self) -> Value {
        let Self { digest, decision, index, vetoed } = self;
        json!({
            "digest": digest, "index": index, "object": decision.object, "summary": decision.summary,
            "seats": decision.seats, "findings": decision.findings, "advice": decision.advice,
            "vetoedBy": vetoed.map(|v| v.organ.as_ref()), "next": self.next(),
        })
    }
}

impl Frozen<'_> {
    fn value(&self) -> Value {
        let Self { namespace, freeze, turns, holds, overridden } = self;
        let Freeze { standing: Standing { decision, index, organ, until }, calendar, way_out, rests_until } = freeze;
        json!({
            "namespace": namespace, "organ": organ.as_ref(), "until": until, "index": index, "decision": decision,
            "calendar": calendar, "turns": turns, "wayOut": way_out, "restsUntil": rests_until, "holds": holds,
            "overridden": overridden.map(|(index, until)| json!({"index": index, "until": until})),
        })
    }
}

fn objective_value(objective: &Objective) -> Value {
    let Objective { object, version, digest, summary, expires_at, since, gate, verdict, .. } = objective;
    json!({
        "object": object, "version": version, "digest": digest, "summary": summary, "expiresAt": expires_at, "index": since,
        "gates": gate.is_some(), "verdict": verdict,
    })
}

impl Due<'_> {
    fn value(&self) -> Value {
        let Self { what, digest, object, summary, since, due, overdue, next } = self;
        json!({
            "owed": what, "command": digest, "object": object, "summary": summary, "since": since, "due": due,
            "overdue": overdue, "next": next,
        })
    }
}

/// Every freeze that was not thawed and has not ended, also one that rests, is overridden, or whose calendar pauses.
fn frozen<'a>(state: &'a State, history: &'a History, now: UnixSeconds) -> Vec<Frozen<'a>> {
    let stands = |(namespace, freeze): (&'a str, &'a Freeze)| {
        let over = state.overridden(&freeze.standing.decision, now);
        Frozen {
            namespace,
            freeze,
            turns: freeze.calendar.as_ref().and_then(|calendar| calendar.turns(now, YEAR_AHEAD)),
            holds: freeze.holds(now) && over.is_none(),
            overridden: over.map(|index| (index, history.overrides.get(&index).copied())),
        }
    };
    state.freezes(now).map(stands).collect()
}

/// What is owed, the soonest first.
fn owed(state: &State, now: UnixSeconds) -> Vec<Due<'_>> {
    let obligations = state.obligations().map(|o| Due {
        what: o.owed.as_str(),
        digest: Some(o.command),
        object: Some(&o.object),
        summary: o.summary.clone(),
        since: o.since,
        due: Some(o.due),
        overdue: o.is_overdue(now),
        next: o.next_step(),
    });
    let emergency = state.emergency().filter(|e| now < e.ratify_by).map(|e| Due {
        what: "ratification",
        digest: Some(e.charter.reference.digest),
        object: Some(&e.charter.object),
        summary: "an emergency amendment".to_owned(),
        since: e.charter.since,
        due: Some(e.ratify_by),
        overdue: false,
        next: format!("miax draft ratify-amendment {}", e.charter.reference.digest),
    });
    let lapsed = state.emergency_lapsed().map(|index| Due {
        what: "amendment with the whole quorum",
        digest: None,
        object: None,
        summary: "an emergency charter lapsed; there is no other before that".to_owned(),
        since: index,
        due: None,
        overdue: true,
        next: "miax charter next -f FILE".to_owned(),
    });
    let mut list: Vec<Due<'_>> = obligations.chain(emergency).chain(lapsed).collect();
    list.sort_by_key(|due| due.due);
    list
}
