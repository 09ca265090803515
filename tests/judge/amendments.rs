//! Article X: how one charter follows another.

use miax::api::reason::Reason;
use miax::constitution::{Decision, Facts, Manifest, Proposal, Reply, State, deliberate, judge};
use miax::trust::{SigningKey, Verb};
use miax::units::Seconds;
use serde_json::{Value, json};

use crate::org::{NOW, Org, QUORUM, apply, create, facts, signature, state_with};

#[track_caller]
fn check(name: &str, object: &Value, state: &State, expected: Reason) -> Decision {
    let decision = judge(&create(object), state, &facts());
    assert_eq!(decision.reason(), expected, "{name}: {}", decision.message());
    decision
}

/// Tries to bring a stored charter into force.
fn adopt(object: &Value, state: &mut State) -> Option<Reason> {
    let outcome = deliberate(&Proposal::Adopt(Box::new(object.clone())), state, &facts());
    apply(state, &outcome.events);
    match outcome.reply {
        Reply::Judged(decision) => Some(decision.reason()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => None,
    }
}

fn principals(object: &mut Value) -> &mut Vec<Value> {
    object["spec"]["body"]["charter"]["principals"].as_array_mut().expect("principals")
}

#[test]
fn article_x_the_next_version_needs_the_whole_quorum() {
    let org = Org::new();
    let state = org.state();
    let mut object = org.amendment(2, |_| {});
    check("nobody signed", &object, &state, Reason::Unsigned);
    for (name, verb, seat) in &QUORUM[..4] {
        org.sign(&mut object, name, *verb, seat);
    }
    let decision = check("two thirds are not reached", &object, &state, Reason::SeatsMissing);
    assert_eq!(decision.findings.len(), 1, "old and new rules ask for the same: {}", decision.message());
    org.sign(&mut object, "theo", Verb::Approve, "TC");
    check("all of them", &object, &state, Reason::QuorumComplete);
    let mut object = org.amendment(2, |_| {});
    for (name, verb, seat) in QUORUM {
        let (name, seat) = if name == "tina" { ("alma", "ALPHA") } else { (name, seat) };
        org.sign(&mut object, name, verb, seat);
    }
    check("only CTK proposes", &object, &state, Reason::AuthorNotEligible);
    let mut object = org.amendment(2, |_| {});
    for (name, verb, seat) in QUORUM {
        let (name, seat) = match name {
            "carol" => ("abel", "APXGP"),
            "cyrus" => ("thea", "TC"),
            _ => (name, seat),
        };
        org.sign(&mut object, name, verb, seat);
    }
    check("two thirds without CEK ratify nothing", &object, &state, Reason::SeatsMissing);
}

#[test]
fn article_x_versions_are_never_skipped_and_never_come_back() {
    let org = Org::new();
    let mut state = org.state();
    let signed = |version, change: fn(&mut Value)| {
        let mut object = org.amendment(version, change);
        org.ratify(&mut object);
        object
    };
    check("a version is skipped", &signed(3, |_| {}), &state, Reason::VersionNotNext);
    let second = signed(2, |_| {});
    let rival = signed(2, |o| o["spec"]["expiresAt"] = json!(NOW.plus(Seconds(86_400)).to_string()));
    check("one amendment", &second, &state, Reason::QuorumComplete);
    check("another one of the same number", &rival, &state, Reason::QuorumComplete);
    assert_eq!(adopt(&second, &mut state), None);
    assert_eq!(state.charter(*NOW).expect("in force").reference.version, 2);
    assert_eq!(adopt(&rival, &mut state), Some(Reason::VersionReused), "of two that race one wins");
    assert_eq!(adopt(&second, &mut state), None, "it is in force already");
    check("the old charter, still signed and still valid", &org.charter, &state, Reason::VersionNotNext);
    assert_eq!(adopt(&org.charter, &mut state), Some(Reason::VersionNotNext));
    let index =
        |object: &Value| state.adopted(&miax::constitution::Manifest::read(object).expect("charter").document.digest);
    assert!(index(&org.charter) < index(&second) && index(&rival).is_none());
    let other = {
        let mut object = org.amendment(3, |o| {
            o["metadata"]["name"] = json!("other-v3");
            o["spec"]["id"] = json!("other");
        });
        org.ratify(&mut object);
        object
    };
    check("a charter with another id", &other, &state, Reason::VersionNotNext);
}

/// Version 2 in which these people replace those of version 1.
fn replaced(org: &Org, people: &[(&str, &str, u8)]) -> Value {
    org.amendment(2, |object| {
        let list = principals(object);
        for (old, new, seed) in people {
            let key = SigningKey::from_ed25519_seed(&[*seed; 32]).public().expect("public");
            let one = list.iter_mut().find(|p| p["name"] == *old).expect("known");
            one["name"] = json!(new);
            one["keys"] = json!([{"type": key.key_type().as_str(), "public": key.text()}]);
        }
    })
}

fn sign_new(object: &mut Value, name: &str, seed: u8, seat: &str) {
    let key = SigningKey::from_ed25519_seed(&[seed; 32]);
    let signature = signature(object, &key, name, Verb::Approve, seat, *NOW);
    object["spec"]["signatures"].as_array_mut().expect("list").push(signature);
}

#[test]
fn article_x_old_and_new_quorum_must_both_agree() {
    let org = Org::new();
    let state = org.state();
    // Both holders of CEK are replaced.
    let people = [("carol", "clara", 101), ("cyrus", "claus", 102)];
    let mut object = replaced(&org, &people);
    org.ratify(&mut object);
    let decision = check("only the old ones agree", &object, &state, Reason::SeatsMissing);
    assert!(decision.message().contains("by its own rules"), "{}", decision.message());

    let mut object = replaced(&org, &people);
    org.sign(&mut object, "tina", Verb::Author, "CTK");
    for (name, seat) in [("anna", "APXGP"), ("theo", "TC")] {
        org.sign(&mut object, name, Verb::Approve, seat);
    }
    sign_new(&mut object, "clara", 101, "CEK");
    sign_new(&mut object, "claus", 102, "CEK");
    let decision = check("only the new ones agree", &object, &state, Reason::SeatsMissing);
    assert!(!decision.message().contains("by its own rules"), "{}", decision.message());

    org.sign(&mut object, "carol", Verb::Approve, "CEK");
    org.sign(&mut object, "cyrus", Verb::Approve, "CEK");
    check("both", &object, &state, Reason::QuorumComplete);
    let mut state = state;
    assert_eq!(adopt(&object, &mut state), None);

    // Nobody of whom the first charter knew anything more can be taken away by a stranger.
    let mut stranger = replaced(&org, &people);
    org.ratify(&mut stranger);
    sign_new(&mut stranger, "mallory", 103, "CEK");
    check("a signature that neither knows", &stranger, &org.state(), Reason::PrincipalUnknown);
}

#[test]
fn article_x_a_key_is_replaced_without_losing_the_seat() {
    let org = Org::new();
    // Cyrus lost his key; the others give him a new one, and he need not sign with either.
    let mut object = replaced(&org, &[("cyrus", "cyrus", 104)]);
    for (name, verb, seat) in QUORUM {
        let (name, seat) = if name == "cyrus" { ("thea", "TC") } else { (name, seat) };
        org.sign(&mut object, name, verb, seat);
    }
    let mut state = org.state();
    assert_eq!(adopt(&object, &mut state), None);
    // The old key fills no seat any more, not even under a charter that would list it again.
    let mut third = org.amendment(3, |_| {});
    org.ratify(&mut third);
    check("the old key", &third, &state, Reason::SeatsMissing);
}

#[test]
fn article_x_an_expired_charter_can_still_be_followed() {
    let org = Org::new();
    let charter = org.charter_with(|o| o["spec"]["expiresAt"] = json!(NOW.plus(Seconds(60)).to_string()));
    let mut state = state_with(&charter);
    let mut object = org.amendment(2, |_| {});
    org.ratify(&mut object);
    let late = miax::constitution::Facts { now: NOW.plus(Seconds(120)), ..facts() };
    let outcome = deliberate(&Proposal::Adopt(Box::new(object)), &state, &late);
    apply(&mut state, &outcome.events);
    assert_eq!(state.charter(*NOW).expect("in force").reference.version, 2);
}

#[test]
fn of_two_amendments_that_race_one_comes_into_force() {
    let org = Org::new();
    let mut state = org.state();
    let version = |reason: &str| {
        let mut object = org.amendment(2, |o| {
            let waiver = json!({"finding": "NoHardwareSeat", "subject": "rules", "reason": reason});
            o["spec"]["body"]["charter"]["waivers"] = json!([waiver]);
        });
        org.ratify(&mut object);
        object
    };
    let (one, other) = (version("one"), version("other"));
    for object in [&one, &other] {
        let review = deliberate(&Proposal::Review(Box::new(create(object))), &state, &facts());
        apply(&mut state, &review.events);
        assert!(matches!(review.reply, Reply::Judged(d) if d.is_allowed()), "both are right when they are asked about");
    }
    assert_eq!(adopt(&other, &mut state), None);
    assert_eq!(adopt(&one, &mut state), Some(Reason::VersionReused), "the second is judged again and comes too late");
}

#[test]
fn a_ledger_of_another_first_charter_allows_nothing() {
    let org = Org::new();
    let state = org.state();
    let digest = Manifest::read(&org.charter).expect("charter").document.digest;
    let at = |genesis| judge(&create(&org.approved()), &state, &Facts { genesis, ..facts() });
    assert_eq!(at(Some(digest)).reason(), Reason::QuorumComplete);
    let other = at(Some(miax::units::Digest([7; 32])));
    assert_eq!(other.reason(), Reason::GenesisMismatch, "{}", other.message());
}
