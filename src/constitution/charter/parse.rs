//! Reads the charter of the API into closed types. Admission, controllers, CLI and the fold all go through here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::api::v1alpha1 as api;
use crate::trust::{KeyType, PublicKey};
use crate::units::UnixSeconds;

use super::super::action::Action;
use super::{
    Amount, CHARTER, COMMAND_SIGNAL, Charter, CharterError, Delegation, EMERGENCY_CHARTER, FilledBy, Floor, Impact,
    Principal, PrincipalKind, Priority, Requirement, Route, Rule, Scope,
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

fn unique<V>(
    place: &'static str,
    items: impl IntoIterator<Item = (String, V)>,
) -> Result<BTreeMap<String, V>, CharterError> {
    let mut map = BTreeMap::new();
    for (name, value) in items {
        if map.contains_key(&name) {
            return Err(CharterError::DuplicateName { place, name });
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

type Organs = BTreeMap<String, u32>;

fn known(place: &str, names: &[String], organs: &Organs) -> Result<BTreeSet<String>, CharterError> {
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

fn parse_route(raw: &api::Route, organs: &Organs) -> Result<(String, Route), CharterError> {
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
    Ok((signal.clone(), Route { from: known(&place, from, organs)?, to: to.clone(), priority }))
}

fn parse_impact(place: &str, text: &str) -> Result<Impact, CharterError> {
    Impact::parse(text).ok_or_else(|| CharterError::Choice {
        place: place.to_owned(),
        value: text.to_owned(),
        allowed: "Normal, High, Critical",
    })
}

fn parse_actions(place: &str, names: &[String]) -> Result<BTreeSet<String>, CharterError> {
    match names.iter().find(|n| !Action::NAMES.contains(&n.as_str())) {
        Some(value) => Err(CharterError::Choice {
            place: place.to_owned(),
            value: value.clone(),
            allowed: "Scale, Restart, Rollback, Patch, RevokeKey, Veto, Review, RatifyAmendment",
        }),
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

fn parse_rule(raw: &api::Rule, organs: &Organs, routes: &BTreeMap<String, Route>) -> Result<Rule, CharterError> {
    let api::Rule { name, article, match_, author, require, max_validity, ratify_within, post_mortem_within } = raw;
    let place = format!("rule `{name}`");
    let scope = parse_scope(&place, match_)?;
    let authors = match (&scope, author.is_empty()) {
        (_, false) => known(&place, author, organs)?,
        (Scope::Commands { .. }, true) => routes.get(COMMAND_SIGNAL).map(|r| r.from.clone()).unwrap_or_default(),
        (Scope::Manifests(_), true) => BTreeSet::new(),
    };
    if authors.is_empty() {
        return Err(CharterError::Empty { place: format!("{place}: author") });
    }
    if require.is_empty() {
        return Err(CharterError::Empty { place: format!("{place}: require") });
    }
    let require = require.iter().map(|r| parse_requirement(name, r, organs)).collect::<Result<_, _>>()?;
    let period = |text: &Option<String>| {
        let wrong = |source| CharterError::Validity { rule: name.clone(), source };
        text.as_deref().map(str::parse).transpose().map_err(wrong)
    };
    let (max_validity, post_mortem_within) = (period(max_validity)?, period(post_mortem_within)?);
    let ratify_within = period(ratify_within)?;
    if ratify_within.is_none() && matches!(&scope, Scope::Manifests(bodies) if bodies.contains(EMERGENCY_CHARTER)) {
        return Err(CharterError::RatifyWithin { rule: name.clone() });
    }
    Ok(Rule {
        name: name.clone(),
        article: article.clone(),
        scope,
        authors,
        require,
        max_validity,
        ratify_within,
        post_mortem_within,
    })
}

fn parse_scope(place: &str, raw: &api::RuleMatch) -> Result<Scope, CharterError> {
    let api::RuleMatch { actions, manifests, impact, namespaces } = raw;
    let impact = impact.as_deref().map(|i| parse_impact(place, i)).transpose()?;
    match (actions.is_empty(), manifests.is_empty()) {
        (false, true) => Ok(Scope::Commands {
            actions: parse_actions(place, actions)?,
            impact,
            namespaces: namespaces.iter().cloned().collect(),
        }),
        (true, false) if impact.is_none() && namespaces.is_empty() => {
            match manifests.iter().find(|m| ![CHARTER, EMERGENCY_CHARTER].contains(&m.as_str())) {
                Some(value) => Err(CharterError::Choice {
                    place: place.to_owned(),
                    value: value.clone(),
                    allowed: "the manifest bodies: charter, emergencyCharter",
                }),
                None => Ok(Scope::Manifests(manifests.iter().cloned().collect())),
            }
        }
        _ => Err(CharterError::Empty { place: format!("{place}: match needs either actions or manifests") }),
    }
}

fn parse_requirement(rule: &str, raw: &api::Requirement, organs: &Organs) -> Result<Requirement, CharterError> {
    let api::Requirement { seat, pool, count, fraction, by, require_hardware } = raw;
    let shape = || CharterError::RequirementShape { rule: rule.to_owned() };
    let place = format!("rule `{rule}`");
    let by = match by.as_deref() {
        None | Some("Person") => FilledBy::Person,
        Some("Any") => FilledBy::Any,
        Some(other) => {
            return Err(CharterError::Choice { place, value: other.to_owned(), allowed: "Person, Any" });
        }
    };
    let seats = match (seat, pool.is_empty()) {
        (Some(seat), true) => known(&place, std::slice::from_ref(seat), organs)?,
        (None, false) => known(&place, pool, organs)?,
        _ => return Err(shape()),
    };
    let amount = match (count, fraction, seat.is_some()) {
        (Some(count), None, _) => match u32::try_from(*count) {
            Ok(count @ 1..) => Amount::Count(count),
            _ => return Err(CharterError::Threshold { rule: rule.to_owned(), value: count.to_string() }),
        },
        (None, Some(fraction), false) => parse_fraction(rule, fraction)?,
        _ => return Err(shape()),
    };
    let hardware = match require_hardware {
        None => false,
        Some(true) => true,
        // A second spelling of the same would be another document with the same meaning.
        Some(false) => {
            let value = "requireHardware: false".to_owned();
            return Err(CharterError::Choice { place, value, allowed: "requireHardware: true, or no such field" });
        }
    };
    Ok(Requirement { seats, amount, by, hardware })
}

fn parse_fraction(rule: &str, text: &str) -> Result<Amount, CharterError> {
    let wrong = || CharterError::Threshold { rule: rule.to_owned(), value: text.to_owned() };
    let (above, below) = text.split_once('/').ok_or_else(wrong)?;
    let digits = |t: &str| t.bytes().all(|c| c.is_ascii_digit()).then(|| t.parse::<u32>().ok()).flatten();
    let (numerator, denominator) = (digits(above).ok_or_else(wrong)?, digits(below).ok_or_else(wrong)?);
    if numerator == 0 || numerator > denominator {
        return Err(wrong());
    }
    Ok(Amount::Fraction { numerator, denominator })
}
