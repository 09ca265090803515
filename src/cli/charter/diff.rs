//! `miax charter diff`: what an amendment changes, in plain words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::json;

use crate::constitution::{
    Amount, Charter, Delegation, FilledBy, Floor, Impact, Manifest, Pending, Principal, Requirement, Route, Rule, Scope,
};

use crate::units::Seconds;

use super::super::files::read_charter;
use super::super::output::{Answer, Failure, Format, one_line, print};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax charter diff -f constitution-v1.yaml --to constitution-v2.yaml
  miax charter diff -f constitution-v1.yaml --to constitution-v2.yaml -o json

The exit code is 0 whether or not there is a difference.")]
pub(super) struct Arguments {
    /// The charter in force.
    #[arg(short, long)]
    file: PathBuf,
    /// The next one.
    #[arg(long)]
    to: PathBuf,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let (_, old) = read_charter(&arguments.file)?;
    let (_, new) = read_charter(&arguments.to)?;
    let changes = changes(&old, &new);
    print(arguments.output, &json!({"from": old.version, "to": new.version, "changes": changes}), || {
        match changes.is_empty() {
            true => "no difference".to_owned(),
            false => changes.iter().map(|c| one_line(c)).collect::<Vec<_>>().join("\n"),
        }
    })?;
    Ok(Answer::Yes)
}

/// Every difference as one sentence, in the order of the charter's sections.
fn changes(old: &Manifest, new: &Manifest) -> Vec<String> {
    let mut list = Vec::new();
    changed(&mut list, "version", &old.version, &new.version);
    changed(&mut list, "expires", &old.document.expires_at, &new.document.expires_at);
    let lapses =
        |m: &Manifest| m.ratify_by.map_or_else(|| "no".to_owned(), |by| format!("must be ratified before {by}"));
    changed(&mut list, "emergency", &lapses(old), &lapses(new));
    changed(&mut list, "audience", &old.document.audience.join(", "), &new.document.audience.join(", "));
    changed(&mut list, "authority", &old.authority, &new.authority);
    let Charter { clusters, organs, principals, routes, rules, waivers, .. } = &old.charter;
    let next = &new.charter;
    named(&mut list, "cluster", clusters, &next.clusters, Clone::clone, changed);
    let rank = |rank: &u32| format!("rank {rank}");
    named(&mut list, "organ", organs, &next.organs, rank, |list, what, a, b| changed(list, what, &rank(a), &rank(b)));
    named(&mut list, "principal", principals, &next.principals, introduce, principal_changed);
    named(&mut list, "route", routes, &next.routes, route, |list, what, a, b| {
        changed(list, what, &route(a), &route(b))
    });
    let by_name = |rules: &[Rule]| rules.iter().map(|r| (r.name.clone(), r.clone())).collect::<BTreeMap<_, _>>();
    named(&mut list, "rule", &by_name(rules), &by_name(&next.rules), summary, rule_changed);
    let floors = |charter: &Charter| charter.impact_floors().map(floor).collect::<BTreeSet<_>>();
    set_changed(&mut list, "impact", &floors(&old.charter), &floors(next));
    let least = |charter: &Charter| charter.floors.iter().map(fewest).collect::<BTreeSet<_>>();
    set_changed(&mut list, "floor", &least(&old.charter), &least(next));
    set_changed(&mut list, "end of key", &key_ends(&old.charter), &key_ends(next));
    let delegated = |charter: &Charter| charter.delegations.iter().map(delegation).collect::<BTreeSet<_>>();
    set_changed(&mut list, "delegation", &delegated(&old.charter), &delegated(next));
    let accepted = |waivers: &BTreeMap<(String, String), String>| {
        waivers.iter().map(|((finding, subject), reason)| format!("{finding} ({subject}): {reason}")).collect()
    };
    set_changed(&mut list, "accepted finding", &accepted(waivers), &accepted(&next.waivers));
    list
}

fn changed<T: PartialEq + std::fmt::Display>(list: &mut Vec<String>, what: &str, old: &T, new: &T) {
    if old != new {
        list.push(format!("~ {what}: {old} -> {new}"));
    }
}

fn set_changed(list: &mut Vec<String>, what: &str, old: &BTreeSet<String>, new: &BTreeSet<String>) {
    list.extend(old.difference(new).map(|gone| format!("- {what}: {gone}")));
    list.extend(new.difference(old).map(|come| format!("+ {what}: {come}")));
}

/// What left, what came, and what `inside` says about that which stayed.
fn named<K: Ord + std::fmt::Display, T>(
    list: &mut Vec<String>,
    what: &str,
    old: &BTreeMap<K, T>,
    new: &BTreeMap<K, T>,
    describe: impl Fn(&T) -> String,
    inside: impl Fn(&mut Vec<String>, &str, &T, &T),
) {
    for (name, before) in old {
        match new.get(name) {
            None => list.push(format!("- {what} {name}: {}", describe(before))),
            Some(after) => inside(list, &format!("{what} {name}"), before, after),
        }
    }
    let come = new.iter().filter(|(name, _)| !old.contains_key(*name));
    list.extend(come.map(|(name, after)| format!("+ {what} {name}: {}", describe(after))));
}

fn words(set: &BTreeSet<String>) -> String {
    set.iter().cloned().collect::<Vec<_>>().join(", ")
}

fn keys(principal: &Principal) -> BTreeSet<String> {
    principal.keys.iter().map(|(id, key)| format!("{} {id}", key.key_type().as_str())).collect()
}

/// When keys end, each with its owner.
fn key_ends(charter: &Charter) -> BTreeSet<String> {
    let all = charter.principals.iter().flat_map(|(name, p)| p.keys.iter().map(move |(id, _)| (name, id)));
    all.filter_map(|(name, id)| Some(format!("{id} of {name} at {}", charter.key_end(id.as_str())?))).collect()
}

fn introduce(principal: &Principal) -> String {
    format!("{} for {} with {}", principal.kind.as_str(), words(&principal.seats), words(&keys(principal)))
}

fn principal_changed(list: &mut Vec<String>, what: &str, old: &Principal, new: &Principal) {
    changed(list, what, &old.kind.as_str(), &new.kind.as_str());
    set_changed(list, &format!("{what}, seat"), &old.seats, &new.seats);
    set_changed(list, &format!("{what}, key"), &keys(old), &keys(new));
}

fn route(route: &Route) -> String {
    format!("from {} to {}, {}", words(&route.from), route.to.join(", "), route.priority.as_str())
}

fn floor((actions, namespaces, least): (&BTreeSet<String>, &BTreeSet<String>, Impact)) -> String {
    let any = |set: &BTreeSet<String>, all: &str| if set.is_empty() { all.to_owned() } else { words(set) };
    let (actions, namespaces) = (any(actions, "every action"), any(namespaces, "every namespace"));
    format!("{actions} in {namespaces} is at least {}", least.as_str())
}

fn fewest(floor: &Floor) -> String {
    let Floor { actions, namespaces, impact, min_persons } = floor;
    let any = |set: &BTreeSet<String>, all: &str| if set.is_empty() { all.to_owned() } else { words(set) };
    let (actions, namespaces) = (any(actions, "every action"), any(namespaces, "every namespace"));
    format!("{actions} in {namespaces} from {} on needs {min_persons} persons", impact.as_str())
}

fn scope(rule: &Rule) -> String {
    match &rule.scope {
        Scope::Manifests(bodies) => format!("manifests with {}", words(bodies)),
        Scope::Commands { actions, impact, namespaces } => {
            let impact = impact.map(|i| format!(" of the impact {}", i.as_str())).unwrap_or_default();
            let place = if namespaces.is_empty() { String::new() } else { format!(" in {}", words(namespaces)) };
            format!("{}{impact}{place}", words(actions))
        }
        Scope::Objects { kinds, namespaces } => {
            let place = if namespaces.is_empty() { String::new() } else { format!(" in {}", words(namespaces)) };
            format!("objects of the kind {}{place}", words(kinds))
        }
    }
}

fn delegation(delegation: &Delegation) -> String {
    let Delegation { from, to, actions, namespaces, until } = delegation;
    format!("{to} may sign for {from}: {} in {} until {until}", words(actions), words(namespaces))
}

fn need(requirement: &Requirement) -> String {
    let Requirement { seats, amount, by, hardware } = requirement;
    let seats = seats.iter().cloned().collect::<Vec<_>>().join(" + ");
    let amount = match amount {
        Amount::Count(count) => format!("{count} of {seats}"),
        Amount::Fraction { numerator, denominator } => format!("{numerator}/{denominator} of {seats}"),
    };
    let machines = match by {
        FilledBy::Person => "",
        FilledBy::Any => ", machines too",
    };
    format!("{amount}{machines}{}", if *hardware { ", hardware keys only" } else { "" })
}

fn needs(rule: &Rule) -> String {
    rule.require.iter().map(need).collect::<Vec<_>>().join(" and ")
}

fn longest(rule: &Rule) -> String {
    rule.max_validity.map_or_else(|| "any time".to_owned(), |s| s.to_string())
}

fn summary(rule: &Rule) -> String {
    format!("{}: {} may author, needs {}, valid for {}", scope(rule), words(&rule.authors), needs(rule), longest(rule))
}

fn rule_changed(list: &mut Vec<String>, what: &str, old: &Rule, new: &Rule) {
    changed(list, &format!("{what}, article"), &old.article, &new.article);
    changed(list, &format!("{what}, matches"), &scope(old), &scope(new));
    changed(list, &format!("{what}, authors"), &words(&old.authors), &words(&new.authors));
    changed(list, &format!("{what}, needs"), &needs(old), &needs(new));
    changed(list, &format!("{what}, longest validity"), &longest(old), &longest(new));
    let period = |period: Option<Seconds>| period.map_or_else(|| "none".to_owned(), |p| p.to_string());
    for (name, before, after) in [
        ("ratify within", old.ratify_within, new.ratify_within),
        ("post-mortem within", old.post_mortem_within, new.post_mortem_within),
        ("acknowledge within", old.acknowledge_within, new.acknowledge_within),
        ("mitigate within", old.mitigate_within, new.mitigate_within),
    ] {
        changed(list, &format!("{what}, {name}"), &period(before), &period(after));
    }
    changed(list, &format!("{what}, mode"), &old.mode.as_str(), &new.mode.as_str());
    changed(list, &format!("{what}, while people are missing"), &pending(old), &pending(new));
    changed(list, &format!("{what}, overrides"), &words(&old.overrides), &words(&new.overrides));
}

fn pending(rule: &Rule) -> &'static str {
    match rule.pending {
        Pending::Refuse => "refuse",
        Pending::Hold => "hold",
    }
}
