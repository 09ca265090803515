//! Reads the charter of the API into closed types. Admission, controllers, CLI and the fold all go through here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::api::v1alpha1 as api;
use crate::trust::{KeyType, PublicKey};
use crate::units::UnixSeconds;

use super::super::action::Action;
use super::parse_rule::parse_rule;
use super::{
    Charter, CharterError, Delegation, Floor, Impact, Principal, PrincipalKind, Priority, Route, Rule, Signal,
};

impl TryFrom<&api::Charter> for Charter {
    type Error = CharterError;

    fn try_from(raw: &api::Charter) -> Result<Self, CharterError> {
        let api::Charter { clusters, organs, principals, routing, rules, impacts, floors, delegations, waivers } = raw;
        for (place, empty) in [
            ("clusters", clusters.is_empty()),
            ("organs", organs.is_empty()),
            ("principals", principals.is_empty()),
            ("routing", routing.is_empty()),
            ("rules", rules.is_empty()),
        ] {
            if empty {
                return Err(CharterError::Empty { place: place.to_owned() });
            }
        }
        let clusters = unique("clusters", clusters.iter().map(|c| (c.name.clone(), c.uid.clone())))?;
        let organs = parse_organs(organs)?;
        let mut owners = HashMap::new();
        let mut key_ends = BTreeMap::new();
        let parsed: Vec<_> = principals
            .iter()
            .map(|p| parse_principal(p, &organs, &mut owners, &mut key_ends))
            .collect::<Result<_, _>>()?;
        let principals = unique("principals", parsed)?;
        let parsed: Vec<_> = routing.iter().map(|r| parse_route(r, &organs)).collect::<Result<_, _>>()?;
        let routes = unique("routing", parsed)?;
        let rules: Vec<Rule> = rules.iter().map(|r| parse_rule(r, &organs, &routes)).collect::<Result<_, _>>()?;
        unique("rules", rules.iter().map(|r| (r.name.clone(), ())))?;
        let impacts = impacts.iter().map(parse_impact_floor).collect::<Result<_, _>>()?;
        let floors = floors.iter().map(parse_floor).collect::<Result<_, _>>()?;
        let delegations =
            delegations.iter().map(|d| parse_delegation(d, &organs, &principals)).collect::<Result<_, _>>()?;
        let waivers = waivers.iter().map(|w| ((w.finding.clone(), w.subject.clone()), w.reason.clone())).collect();
        Ok(Self {
            clusters,
            organs,
            principals,
            routes,
            rules,
            impacts,
            floors,
            waivers,
            delegations,
            owners,
            key_ends,
        })
    }
}

fn unique<K: Ord + ToString, V>(
    place: &'static str,
    items: impl IntoIterator<Item = (K, V)>,
) -> Result<BTreeMap<K, V>, CharterError> {
    let mut map = BTreeMap::new();
    for (name, value) in items {
        if map.contains_key(&name) {
            return Err(CharterError::DuplicateName { place, name: name.to_string() });
        }
        map.insert(name, value);
    }
    Ok(map)
}

fn parse_organs(raw: &[api::Organ]) -> Result<BTreeMap<String, u32>, CharterError> {
    let rank = |o: &api::Organ| match u32::try_from(o.rank) {
        Ok(rank @ 1..) => Ok((o.name.clone(), rank)),
        _ => Err(CharterError::Choice {
            place: format!("organ `{}`", o.name),
            value: o.rank.to_string(),
            allowed: "the ranks 1 to 99",
        }),
    };
    unique("organs", raw.iter().map(rank).collect::<Result<Vec<_>, _>>()?)
}

pub(super) type Organs = BTreeMap<String, u32>;

pub(super) fn known(place: &str, names: &[String], organs: &Organs) -> Result<BTreeSet<String>, CharterError> {
    if let Some(organ) = names.iter().find(|n| !organs.contains_key(*n)) {
        return Err(CharterError::UnknownOrgan { place: place.to_owned(), organ: organ.clone() });
    }
    Ok(names.iter().cloned().collect())
}

fn parse_principal(
    raw: &api::Principal,
    organs: &Organs,
    owners: &mut HashMap<String, String>,
    key_ends: &mut BTreeMap<String, UnixSeconds>,
) -> Result<(String, Principal), CharterError> {
    let api::Principal { name, kind, keys, seats } = raw;
    let place = format!("principal `{name}`");
    let choice = |value: &str, allowed| CharterError::Choice { place: place.clone(), value: value.to_owned(), allowed };
    let kind = match kind.as_str() {
        "Person" => PrincipalKind::Person,
        "Machine" => PrincipalKind::Machine,
        other => return Err(choice(other, "Person, Machine")),
    };
    if keys.is_empty() || seats.is_empty() {
        return Err(CharterError::Empty { place: format!("{place}: keys or seats") });
    }
    let mut parsed = Vec::with_capacity(keys.len());
    for key in keys {
        let api::KeySpec { type_, public, expires_at } = key;
        let key_type = KeyType::parse(type_).ok_or_else(|| choice(type_, KeyType::CHOICES))?;
        let key = PublicKey::parse(key_type, public)
            .map_err(|source| CharterError::Key { principal: name.clone(), source })?;
        let id = key.id();
        if let Some(first) = owners.insert(id.to_string(), name.clone()) {
            return Err(CharterError::SharedKey { first, second: name.clone(), key: id.to_string() });
        }
        if let Some(end) = expires_at {
            key_ends.insert(id.to_string(), parse_time(&place, end)?);
        }
        parsed.push((id, key));
    }
    Ok((name.clone(), Principal { kind, keys: parsed, seats: known(&place, seats, organs)? }))
}

fn parse_time(place: &str, text: &str) -> Result<UnixSeconds, CharterError> {
    text.parse().map_err(|source| CharterError::Time { place: place.to_owned(), source })
}

fn parse_delegation(
    raw: &api::Delegation,
    organs: &Organs,
    principals: &BTreeMap<String, Principal>,
) -> Result<Delegation, CharterError> {
    let api::Delegation { from, to, actions, namespaces, until } = raw;
    let place = format!("delegation of {from} to `{to}`");
    known(&place, std::slice::from_ref(from), organs)?;
    if !principals.contains_key(to) {
        return Err(CharterError::UnknownPrincipal { place, principal: to.clone() });
    }
    // An empty list must never mean "everything": a delegation only narrows.
    if actions.is_empty() || namespaces.is_empty() {
        return Err(CharterError::Empty { place: format!("{place}: actions or namespaces") });
    }
    Ok(Delegation {
        from: from.clone(),
        to: to.clone(),
        actions: parse_actions(&place, actions)?,
        namespaces: namespaces.iter().cloned().collect(),
        until: parse_time(&place, until)?,
    })
}

fn parse_route(raw: &api::Route, organs: &Organs) -> Result<(Signal, Route), CharterError> {
    let api::Route { signal, from, to, channel: _, priority } = raw;
    let place = format!("route `{signal}`");
    if from.is_empty() || to.is_empty() {
        return Err(CharterError::Empty { place: format!("{place}: from or to") });
    }
    let priority = match priority.as_str() {
        "Low" => Priority::Low,
        "Medium" => Priority::Medium,
        "High" => Priority::High,
        "Critical" => Priority::Critical,
        other => {
            return Err(CharterError::Choice {
                place,
                value: other.to_owned(),
                allowed: "Low, Medium, High, Critical",
            });
        }
    };
    known(&place, to, organs)?;
    let signal = Signal::parse(signal).ok_or_else(|| CharterError::Choice {
        place: "routing".to_owned(),
        value: signal.clone(),
        allowed: Signal::CHOICES,
    })?;
    Ok((signal, Route { from: known(&place, from, organs)?, to: to.clone(), priority }))
}

pub(super) fn parse_impact(place: &str, text: &str) -> Result<Impact, CharterError> {
    Impact::parse(text).ok_or_else(|| CharterError::Choice {
        place: place.to_owned(),
        value: text.to_owned(),
        allowed: "Normal, High, Critical",
    })
}

pub(super) fn parse_actions(place: &str, names: &[String]) -> Result<BTreeSet<String>, CharterError> {
    match names.iter().find(|n| !Action::NAMES.contains(&n.as_str())) {
        Some(value) => {
            Err(CharterError::Choice { place: place.to_owned(), value: value.clone(), allowed: Action::CHOICES })
        }
        None => Ok(names.iter().cloned().collect()),
    }
}

fn parse_impact_floor(raw: &api::ImpactFloor) -> Result<(BTreeSet<String>, BTreeSet<String>, Impact), CharterError> {
    let api::ImpactFloor { actions, namespaces, at_least } = raw;
    Ok((parse_actions("impacts", actions)?, namespaces.iter().cloned().collect(), parse_impact("impacts", at_least)?))
}

fn parse_floor(raw: &api::Floor) -> Result<Floor, CharterError> {
    let api::Floor { actions, namespaces, impact, min_persons } = raw;
    let min_persons = u32::try_from(*min_persons)
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| CharterError::Threshold { rule: "floors".to_owned(), value: min_persons.to_string() })?;
    Ok(Floor {
        actions: parse_actions("floors", actions)?,
        namespaces: namespaces.iter().cloned().collect(),
        impact: impact.as_deref().map_or(Ok(Impact::Normal), |i| parse_impact("floors", i))?,
        min_persons,
    })
}
