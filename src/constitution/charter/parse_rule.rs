//! Reads the rules of a charter.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::v1alpha1 as api;

use super::parse::{Organs, known, parse_actions, parse_impact};
use super::{
    Amount, CHARTER, CharterError, EMERGENCY_CHARTER, FilledBy, Mode, Pending, Requirement, Route, Rule, SLO, Scope,
    Signal,
};

/// Reads one rule; without authors of its own, those may author whom the routing table lets originate a command.
pub(super) fn parse_rule(
    raw: &api::Rule,
    organs: &Organs,
    routes: &BTreeMap<Signal, Route>,
) -> Result<Rule, CharterError> {
    let api::Rule { name, article, match_, author, require, mode, pending, overrides, .. } = raw;
    let api::Rule { max_validity, ratify_within, post_mortem_within, acknowledge_within, mitigate_within, .. } = raw;
    let place = format!("rule `{name}`");
    let scope = parse_scope(&place, match_)?;
    let authors = match (&scope, author.is_empty()) {
        (_, false) => known(&place, author, organs)?,
        (Scope::Commands { .. }, true) => {
            routes.get(&Signal::ControlCommand).map(|r| r.from.clone()).unwrap_or_default()
        }
        (Scope::Manifests(_) | Scope::Objects { .. }, true) => BTreeSet::new(),
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
    let (max_validity, ratify_within) = (period(max_validity)?, period(ratify_within)?);
    let (post_mortem_within, acknowledge_within) = (period(post_mortem_within)?, period(acknowledge_within)?);
    let mitigate_within = period(mitigate_within)?;
    let overriding = matches!(&scope, Scope::Commands { actions, .. } if actions.contains("Override"));
    // An override that nobody has to look at, or that nothing bounds, would be a second government.
    if overriding && (acknowledge_within.is_none() || overrides.is_empty()) {
        return Err(CharterError::OverrideBounds { rule: name.clone() });
    }
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
        acknowledge_within,
        mitigate_within,
        mode: parse_mode(&place, mode.as_deref())?,
        pending: parse_pending(&place, pending.as_deref())?,
        overrides: known(&place, overrides, organs)?,
    })
}

fn parse_mode(place: &str, text: Option<&str>) -> Result<Mode, CharterError> {
    match text {
        None | Some("Enforce") => Ok(Mode::Enforce),
        Some("Warn") => Ok(Mode::Warn),
        Some("Observe") => Ok(Mode::Observe),
        Some(other) => Err(CharterError::Choice {
            place: place.to_owned(),
            value: other.to_owned(),
            allowed: "Enforce, Warn, Observe",
        }),
    }
}

fn parse_pending(place: &str, text: Option<&str>) -> Result<Pending, CharterError> {
    match text {
        None | Some("Refuse") => Ok(Pending::Refuse),
        Some("Hold") => Ok(Pending::Hold),
        Some(other) => {
            Err(CharterError::Choice { place: place.to_owned(), value: other.to_owned(), allowed: "Refuse, Hold" })
        }
    }
}

fn parse_scope(place: &str, raw: &api::RuleMatch) -> Result<Scope, CharterError> {
    let api::RuleMatch { actions, manifests, kinds, impact, namespaces } = raw;
    let impact = impact.as_deref().map(|i| parse_impact(place, i)).transpose()?;
    match (actions.is_empty(), manifests.is_empty(), kinds.is_empty()) {
        (false, true, true) => Ok(Scope::Commands {
            actions: parse_actions(place, actions)?,
            impact,
            namespaces: namespaces.iter().cloned().collect(),
        }),
        (true, false, true) if impact.is_none() && namespaces.is_empty() => {
            match manifests.iter().find(|m| ![CHARTER, EMERGENCY_CHARTER].contains(&m.as_str())) {
                Some(value) => Err(CharterError::Choice {
                    place: place.to_owned(),
                    value: value.clone(),
                    allowed: "the manifest bodies: charter, emergencyCharter",
                }),
                None => Ok(Scope::Manifests(manifests.iter().cloned().collect())),
            }
        }
        (true, true, false) if impact.is_none() => match kinds.iter().find(|kind| ![SLO].contains(&kind.as_str())) {
            Some(value) => Err(CharterError::Choice {
                place: place.to_owned(),
                value: value.clone(),
                allowed: "the signed kinds beside commands and manifests: SLO",
            }),
            None => Ok(Scope::Objects {
                kinds: kinds.iter().cloned().collect(),
                namespaces: namespaces.iter().cloned().collect(),
            }),
        },
        _ => Err(CharterError::Empty { place: format!("{place}: match needs one of actions, manifests, kinds") }),
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
