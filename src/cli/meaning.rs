//! What a document means for whoever is about to sign it, in plain words: what it does, what it opens, and on what a signature
//! stands.

use crate::constitution::{
    Action, Charter, Command, Decision, Delegation, FREEZE, Manifest, Mitigation, Mode, SloDocument, StateAction,
    Target, WorkloadAction,
};
use crate::slo::{Bound, Life, Slo};
use crate::units::{Seconds, UnixSeconds};

use super::files::Signed;

/// How long before its end a key is worth a word.
const KEY_ENDS_SOON: Seconds = Seconds(30 * 86_400);

/// What happens when everybody agrees.
pub(super) fn authorises(action: &Action) -> Vec<String> {
    match action {
        Action::Workload { action, target } => vec![on_workload(action, target)],
        Action::State(action) => on_state(action),
    }
}

fn on_workload(action: &WorkloadAction, target: &Target) -> String {
    match action {
        WorkloadAction::Scale { replicas } => format!("{target} gets {replicas} replicas, once, whatever it has then"),
        WorkloadAction::Restart => format!("every pod of {target} is replaced, once"),
        WorkloadAction::Rollback { revision } => {
            format!("the pod template of {target} is that of the revision {revision} again; the replicas stay")
        }
        WorkloadAction::Patch(_) => "only the places above change, in containers that are there".to_owned(),
        WorkloadAction::Isolate { until } => format!(
            "the pods of {target} are cut off from the network in both directions, incoming and outgoing; at {until} that is taken back by itself"
        ),
    }
}

fn on_state(action: &StateAction) -> Vec<String> {
    match action {
        StateAction::Freeze { namespace, until, calendar, way_out } => {
            let end = match until {
                Some(until) => format!("it ends by itself at {until}"),
                None => "it lasts until somebody thaws it".to_owned(),
            };
            let mut lines = vec![
                format!("no pod template in the namespace {namespace} changes, but by commands; {end}"),
                "scaling, deletions and everything that changes no pod template pass".to_owned(),
            ];
            lines.extend(calendar.as_ref().map(|windows| format!("it holds in these windows alone: {windows}")));
            if !way_out.is_empty() {
                let seats: Vec<&str> = way_out.iter().map(String::as_str).collect();
                lines.push(format!(
                    "a waiver for one workload needs {} instead of those who may thaw",
                    seats.join(" and ")
                ));
            }
            lines
        }
        StateAction::Thaw { namespace, freeze, until } => {
            let which = match freeze {
                Some(digest) => format!("the freeze {digest} of the namespace {namespace}"),
                None if until.is_some() => format!("every freeze of the namespace {namespace} that stands now"),
                None => format!("every freeze of the namespace {namespace} that has no calendar"),
            };
            vec![match until {
                Some(until) => format!("{which} rests until {until}, and holds again then"),
                None => format!("{which} ends: pod templates may change again, by whoever may in Kubernetes"),
            }]
        }
        StateAction::Waive { rule, target, until } if rule == FREEZE => vec![format!(
            "the pod template of {target} may change while its namespace is frozen, until {until}; other workloads stay frozen"
        )],
        StateAction::Waive { rule, target, until } => vec![format!(
            "commands on {target} need not fill the seats of {rule} until {until}; their author, the floors and every other rule still bind"
        )],
        StateAction::Override { decision, until } => vec![
            format!("the freeze or veto that {decision} decided stops nothing until {until}; then it holds again"),
            "the highest organ must acknowledge this; while that is overdue, its rule allows no other override"
                .to_owned(),
        ],
        StateAction::AcknowledgeOverride { command } => {
            vec![format!("nothing is owed for the override {command} any more; it goes on until its end")]
        }
        StateAction::AcknowledgeIncident { incident } => {
            vec![format!("the ledger says that {incident} was seen, and by whom; nothing else changes")]
        }
        StateAction::RevokeKey { key } => {
            vec![format!("{key} signs nothing more, for ever; what it signed before stays valid history")]
        }
        StateAction::Veto { command } => {
            vec![format!("the command {command} never begins, unless this is overridden; what is done stays done")]
        }
        StateAction::Review { command, findings: _ } => {
            vec![format!("nothing is owed for {command} any more; nobody who signed that command may sign this")]
        }
        StateAction::OpenEpoch(opening) => vec![
            format!(
                "the ledger goes on with its first {} entries as the epoch {}; what came after them is lost for good",
                opening.entries, opening.epoch
            ),
            "everything that was signed before is void: people sign again, for the new epoch".to_owned(),
            "keys that were revoked in the lost part are good again until they are revoked again".to_owned(),
        ],
        StateAction::Mitigate(plan) => {
            let Mitigation { slo, objective: _, target, template, uses, until } = plan.as_ref();
            let times = if *uses == 1 { "once".to_owned() } else { format!("{uses} times") };
            vec![
                format!("{target} may change to the pod template {template} and no other, {times}, until {until}"),
                format!(
                    "the error budget of the objective {slo} stays as it is; another version of it makes this void"
                ),
            ]
        }
        StateAction::RatifyAmendment { charter } => {
            vec![format!("the emergency charter {charter} stays in force and no longer lapses")]
        }
    }
}

/// What an objective counts, and what it stops.
pub(super) fn measures(document: &SloDocument) -> Vec<String> {
    let Slo { indicator, gate, life, .. } = &document.slo;
    if *life == Life::Retired {
        return vec!["the objective ends: nothing is measured any more, and no change stops for it".to_owned()];
    }
    let mut lines = vec![format!("{} must be good; counted is {}", document.asks_for(), indicator.words())];
    if let Some(gate) = gate {
        let bound = match &gate.binds {
            Bound::Everything => "of every workload of the namespace".to_owned(),
            Bound::Named(named) => {
                let named: Vec<String> = named.iter().map(ToString::to_string).collect();
                format!("of {}, and new workloads,", named.join(", "))
            }
        };
        let unknown = gate.on_unknown.as_str();
        lines.push(format!("once the budget is spent, the pod templates {bound} only go back, or change by a plan"));
        lines.push(format!("while nobody can tell how much is left: {unknown}"));
    }
    lines
}

/// What is owed afterwards, by the rules that were applied.
pub(super) fn opens(decision: &Decision, charter: &Charter) -> Vec<String> {
    let applied = charter.rules.iter().filter(|r| decision.rules.contains(&r.name));
    let owed = applied.flat_map(|rule| {
        let post_mortem = rule.post_mortem_within.map(|w| format!("a post-mortem, due {w} after it began"));
        let acknowledgement =
            rule.acknowledge_within.map(|w| format!("an acknowledgement, due {w} after it took effect"));
        let cited = move |what: String| format!("{what} [{}]", rule.citation());
        [post_mortem, acknowledgement].into_iter().flatten().map(cited)
    });
    owed.collect()
}

/// The rules of a charter that only tell.
pub(super) fn not_enforced(manifest: &Manifest) -> Vec<String> {
    let lenient = manifest.charter.rules.iter().filter(|rule| rule.mode != Mode::Enforce);
    lenient.map(|r| format!("NOT ENFORCED ({}) {}: it refuses nothing", r.mode.as_str(), r.citation())).collect()
}

/// On what the signature of `principal` for `seat` stands: a delegation, and a key that ends.
pub(super) fn terms(
    signed: &Signed,
    charter: &Charter,
    (principal, seat, key): (&str, &str, &str),
    now: UnixSeconds,
) -> Vec<String> {
    let mut terms = Vec::new();
    if let (Signed::Command(command), false) = (signed, charter.holds(principal, seat)) {
        let used = charter.delegated(principal, seat).find(|d| covers(d, command, now));
        terms.extend(used.map(|d| {
            let Delegation { from, to, actions, namespaces, until } = d;
            let words = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
            let (actions, namespaces) = (words(actions), words(namespaces));
            format!("{to} signs for {from} by delegation: {actions} in {namespaces} until {until}")
        }));
    }
    terms.extend(charter.key_end(key).filter(|end| *end <= now.plus(KEY_ENDS_SOON)).map(|end| match end <= now {
        true => format!("the key of {principal} ended at {end}; what it signs does not count"),
        false => format!("the key of {principal} ends soon, at {end} ({} from now)", end.since(now)),
    }));
    terms
}

fn covers(delegation: &Delegation, command: &Command, now: UnixSeconds) -> bool {
    let Delegation { from: _, to: _, actions, namespaces, until } = delegation;
    now < *until && actions.contains(command.action.name()) && namespaces.contains(command.namespace())
}
