//! Time: exact ends, and a clock that does not go back.

use miax::api::reason::Reason;
use miax::constitution::{Facts, Proposal, Request, State, deliberate, judge};
use miax::units::Seconds;
use serde_json::json;

use crate::commands::{changed, check, check_at};
use crate::org::{NOW, Org, apply, create, facts};

#[test]
fn time_has_exact_ends() {
    let object = Org::new().approved();
    let at = |seconds| Facts { now: NOW.plus(Seconds(seconds)), ..facts() };
    check_at("the last second", &object, &at(3599), Reason::QuorumComplete);
    check_at("its end", &object, &at(3600), Reason::Expired);
    let later = NOW.plus(Seconds(60)).to_string();
    let object = changed(|o| o["spec"]["notBefore"] = json!(later));
    check_at("before its beginning", &object, &at(59), Reason::NotYetValid);
    check_at("its beginning", &object, &at(60), Reason::QuorumComplete);
    let valid_for = |seconds| {
        let end = NOW.plus(Seconds(seconds)).to_string();
        changed(|o| o["spec"]["expiresAt"] = json!(end))
    };
    check("the longest that the rule allows", &valid_for(4 * 3600), Reason::QuorumComplete);
    check("one second more", &valid_for(4 * 3600 + 1), Reason::ValidityTooLong);
    let early = |seconds| Facts { now: NOW.minus(Seconds(seconds)), ..facts() };
    let object = Org::new().approved();
    check_at("a signer's clock five minutes ahead", &object, &early(300), Reason::QuorumComplete);
    check_at("more than that", &object, &early(301), Reason::SignedAtImplausible);
}

#[test]
fn a_clock_that_is_set_back_revives_nothing() {
    let org = Org::new();
    let mut state = org.state();
    let at = |seconds: u64| Facts { now: NOW.plus(Seconds(seconds)), ..facts() };
    let late = org.approved();
    let verdict = |state: &State, seconds| judge(&create(&late), state, &at(seconds)).reason();
    assert_eq!(verdict(&state, 3599), Reason::QuorumComplete);
    assert_eq!(verdict(&state, 3600), Reason::Expired);
    let seen = Request { uid: "late".into(), ..create(&late) };
    let events = deliberate(&Proposal::Review(Box::new(seen)), &state, &at(3600)).events;
    apply(&mut state, &events);
    assert_eq!(verdict(&state, 0), Reason::ClockBehind, "an hour back");
    assert_eq!(verdict(&state, 3600 - 301), Reason::ClockBehind);
    assert_eq!(verdict(&state, 3600 - 300), Reason::QuorumComplete, "replicas are not quite of one time");
    // A writer that once was a day ahead must not stop everything for that long.
    let mut state = org.state();
    let events = deliberate(&Proposal::Review(Box::new(create(&late))), &state, &at(86_400)).events;
    apply(&mut state, &events);
    assert_eq!(verdict(&state, 0), Reason::QuorumComplete);
}
