//! Article X: CEK and ALPHA amend in an emergency, for a while; the whole quorum ratifies it, or it lapses by itself.

use miax::api::reason::Reason;
use miax::constitution::{Event, Facts, Proposal, Reply, State, TargetFact, deliberate, judge};
use miax::trust::{Verb, signed_view};
use miax::units::{Digest, Seconds};
use serde_json::{Value, json};

use crate::org::{NOW, Org, apply, create, facts, state_with};

const HOUR: u64 = 3600;
const ENACT: [(&str, Verb, &str); 3] =
    [("carol", Verb::Author, "CEK"), ("cyrus", Verb::Approve, "CEK"), ("alma", Verb::Approve, "ALPHA")];

fn at(hours: u64) -> Facts {
    Facts { now: NOW.plus(Seconds(hours * HOUR)), target: TargetFact::NotNamed, ..facts() }
}

fn digest(object: &Value) -> Digest {
    signed_view(object).expect("canonical").digest()
}

/// An emergency charter to be ratified within these hours, signed so many hours after the beginning.
fn emergency(org: &Org, version: u64, signed: u64, within: u64, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = org.amendment(version, |o| {
        o["spec"]["ratifyBy"] = json!(NOW.plus(Seconds((signed + within) * HOUR)).to_string());
        change(o);
    });
    for (name, verb, seat) in ENACT {
        org.sign_at(&mut object, name, verb, seat, NOW.plus(Seconds(signed * HOUR)));
    }
    object
}

/// Takes a proposal; the refusal if there is one.
fn take(proposal: &Proposal, state: &mut State, facts: &Facts) -> Option<Reason> {
    let outcome = deliberate(proposal, state, facts);
    apply(state, &outcome.events);
    match outcome.reply {
        Reply::Judged(decision) => Some(decision.reason()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => None,
    }
}

fn adopt(object: &Value, state: &mut State, hours: u64) -> Option<Reason> {
    take(&Proposal::Adopt(Box::new(object.clone())), state, &at(hours))
}

/// A command that ratifies the charter, signed in the first hour.
fn ratification(org: &Org, charter: &Value, people: &[(&str, Verb, &str)]) -> Value {
    let mut object = json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "ControlCommand",
        "metadata": {"name": "ratify", "namespace": "miax-system"},
        "spec": {
            "audience": ["test"],
            "action": {"type": "RatifyAmendment", "ratifyAmendment": {"charter": digest(charter)}},
            "impact": "Critical",
            "reason": "reviewed",
            "expiresAt": NOW.plus(Seconds(72 * HOUR)).to_string(),
            "signatures": [],
        },
    });
    for (name, verb, seat) in people {
        org.sign(&mut object, name, *verb, seat);
    }
    object
}

fn version(state: &State, hours: u64) -> u64 {
    state.charter(at(hours).now).expect("in force").reference.version
}

#[test]
fn article_x_cek_and_alpha_amend_in_an_emergency() {
    let org = Org::new();
    let state = org.state();
    let judged = |object: &Value, hours: u64| judge(&create(object), &state, &at(hours)).reason();
    let object = emergency(&org, 2, 0, 48, |_| {});
    assert_eq!(judged(&object, 0), Reason::QuorumComplete);
    let mut alone = object.clone();
    alone["spec"]["signatures"].as_array_mut().expect("list").pop();
    assert_eq!(judged(&alone, 0), Reason::SeatsMissing, "CEK alone cannot");
    let mut ordinary = org.amendment(2, |_| {});
    for (name, verb, seat) in ENACT {
        org.sign(&mut ordinary, name, verb, seat);
    }
    assert_eq!(judged(&ordinary, 0), Reason::AuthorNotEligible, "without an end it is an ordinary amendment");
    assert_eq!(judged(&emergency(&org, 2, 0, 73, |_| {}), 0), Reason::ValidityTooLong, "longer than the rule allows");
    assert_eq!(judged(&object, 48), Reason::CharterLapsed, "it must be ratified before it is even adopted");
    let first = emergency(&org, 1, 0, 48, |_| {});
    let genesis = Facts { genesis: Some(digest(&first)), ..at(0) };
    assert_eq!(judge(&create(&first), &State::default(), &genesis).reason(), Reason::FieldInvalid, "nothing to amend");
    let late = emergency(&org, 2, 0, 48, |o| o["spec"]["expiresAt"] = json!(NOW.plus(Seconds(HOUR)).to_string()));
    assert_eq!(judged(&late, 0), Reason::FieldInvalid, "ratified after its own end");
    let unbounded = org.charter_with(|o| {
        let rules = o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules");
        for rule in rules {
            rule.as_object_mut().expect("rule").remove("ratifyWithin");
        }
    });
    let decision = judge(&create(&unbounded), &State::default(), &at(0));
    assert!(decision.message().contains("say with ratifyWithin"), "{}", decision.message());
}

#[test]
fn article_x_an_emergency_charter_lapses_by_itself() {
    let org = Org::new();
    let mut state = org.state();
    let object = emergency(&org, 2, 0, 48, |_| {});
    assert_eq!(adopt(&object, &mut state, 0), None);
    assert_eq!((version(&state, 0), version(&state, 47), version(&state, 48)), (2, 2, 1), "by time alone");
    let lapse = |state: &mut State, hours: u64| {
        let outcome = deliberate(&Proposal::Lapse, state, &at(hours));
        apply(state, &outcome.events);
        outcome.events.len()
    };
    assert_eq!(lapse(&mut state, 47), 0, "not before its time");
    assert_eq!(lapse(&mut state, 48), 1);
    assert_eq!(lapse(&mut state, 49), 0, "once");
    assert_eq!(version(&state, 0), 1, "a clock that is set back does not bring it back");
    assert_eq!(adopt(&object, &mut state, 1), Some(Reason::VersionReused), "a lapsed charter is used up");
    let again = emergency(&org, 3, 49, 48, |_| {});
    assert_eq!(adopt(&again, &mut state, 49), Some(Reason::ObligationOverdue), "no second emergency");
    let mut third = org.amendment(3, |_| {});
    org.ratify(&mut third);
    assert_eq!(adopt(&third, &mut state, 49), None, "the whole quorum goes on, with the next number");
    let fourth = emergency(&org, 4, 50, 48, |_| {});
    assert_eq!(adopt(&fourth, &mut state, 50), None, "and then there can be an emergency again");
}

#[test]
fn article_x_what_follows_a_lapse_stands_on_the_charter_before_it() {
    let org = Org::new();
    let mut state = org.state();
    assert_eq!(adopt(&emergency(&org, 2, 0, 48, |_| {}), &mut state, 0), None);
    let mut third = org.amendment(3, |_| {});
    org.ratify(&mut third);
    assert_eq!(adopt(&third, &mut state, 47), Some(Reason::RatificationPending));
    let outcome = deliberate(&Proposal::Adopt(Box::new(third)), &state, &at(48));
    assert!(matches!(outcome.events.first(), Some(Event::Lapse(_))), "the lapse is written down first");
    apply(&mut state, &outcome.events);
    assert_eq!(version(&state, 48), 3);
}

#[test]
fn article_x_the_charter_before_it_ratifies_an_emergency_charter() {
    let org = Org::new();
    let mut state = org.state();
    // CEK and ALPHA write themselves an easy way to ratify and to amend.
    let grab = |o: &mut Value| {
        for rule in o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules") {
            if rule["name"] == "ratification" || rule["name"] == "amendment" {
                rule["author"] = json!(["CEK"]);
                rule["require"] = json!([{"pool": ["CEK", "ALPHA"], "count": 1}]);
            }
        }
    };
    let object = emergency(&org, 2, 0, 48, grab);
    assert_eq!(adopt(&object, &mut state, 0), None);
    let enact = |command: &Value, state: &mut State, hours| {
        take(&Proposal::Enact(Box::new(command.clone())), state, &at(hours))
    };
    let usurped = ratification(&org, &object, &[("carol", Verb::Author, "CEK"), ("cyrus", Verb::Approve, "CEK")]);
    assert_eq!(enact(&usurped, &mut state, 0), Some(Reason::AuthorNotEligible), "not by its own rules");
    let mut next = org.amendment(3, |_| {});
    org.sign(&mut next, "carol", Verb::Author, "CEK");
    org.sign(&mut next, "cyrus", Verb::Approve, "CEK");
    assert_eq!(adopt(&next, &mut state, 0), Some(Reason::RatificationPending), "and no amendment by them");

    let whole = ratification(&org, &object, &crate::org::QUORUM);
    assert_eq!(enact(&whole, &mut state.clone(), 48), Some(Reason::CharterLapsed), "too late");
    assert_eq!(enact(&whole, &mut state, 47), None);
    assert_eq!(version(&state, 1000), 2, "it stays");
    assert!(deliberate(&Proposal::Lapse, &state, &at(1000)).events.is_empty());
    let mut again = whole.clone();
    again["metadata"]["name"] = json!("again");
    again["spec"]["signatures"] = json!([]);
    org.ratify(&mut again);
    let reason = enact(&again, &mut state, 47).expect("refused");
    assert!([Reason::NothingToDo, Reason::AuthorNotEligible].contains(&reason), "{reason}");
}

#[test]
fn people_whom_an_emergency_charter_removed_still_ratify() {
    let org = Org::new();
    let mut state = state_with(&org.charter);
    let purge = |o: &mut Value| {
        let people = o["spec"]["body"]["charter"]["principals"].as_array_mut().expect("list");
        for person in people.iter_mut().filter(|p| p["name"] == "theo") {
            person["seats"] = json!(["Dev"]);
        }
    };
    let object = emergency(&org, 2, 0, 48, purge);
    assert_eq!(adopt(&object, &mut state, 0), None);
    let whole = ratification(&org, &object, &crate::org::QUORUM);
    assert_eq!(take(&Proposal::Enact(Box::new(whole)), &mut state, &at(1)), None);
}
