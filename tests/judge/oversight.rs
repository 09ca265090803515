//! Commands whose whole effect is in State: revoked keys, vetoes, post-mortems.

use miax::api::reason::Reason;
use miax::constitution::{CommandState, Effect, EffectEndEvent, Facts, Proposal, State, deliberate, judge};
use miax::trust::Verb;
use miax::units::{Digest, Seconds};
use serde_json::{Value, json};

use crate::acts::{begin, check, digest, draft, enact, fingerprint, signed};
use crate::org::{NOW, Org, apply, create, facts, state_with};

#[test]
fn article_i_a_revoked_key_signs_nothing_more() {
    let org = Org::new();
    let mut state = org.state();
    let key = fingerprint(&org, "dana");
    let revoke = |people: &[(&str, &str)]| signed(&org, draft("RevokeKey", json!({"key": key})), people);
    check("CTK alone", &revoke(&[("tina", "CTK")]), &state, Reason::SeatsMissing);
    check(
        "operations do not revoke",
        &revoke(&[("frank", "SRE"), ("carol", "CEK")]),
        &state,
        Reason::AuthorNotEligible,
    );
    let unknown = signed(&org, draft("RevokeKey", json!({"key": "SHA256:AAAA"})), &[("tina", "CTK"), ("carol", "CEK")]);
    check("a key that nobody has", &unknown, &state, Reason::KeyUnknown);

    let approved = org.approved();
    let recheck = |state: &State| judge(&create(&approved), state, &facts()).reason();
    assert_eq!(recheck(&state), Reason::QuorumComplete);
    let command = revoke(&[("tina", "CTK"), ("carol", "CEK")]);
    assert_eq!(enact(&command, &mut state), None);
    assert!(matches!(state.command(&digest(&command)), Some(CommandState::Enacted { .. })));
    assert_eq!(recheck(&state), Reason::KeyRevoked, "what is not used yet needs a new signature");
    assert_eq!(begin(&approved, &mut state, &facts()), Some(Reason::KeyRevoked), "also right before the action");
    assert_eq!(enact(&command, &mut state), Some(Reason::CommandConsumed), "a command works once");
    let mut again = command.clone();
    again["metadata"]["name"] = json!("again");
    again["spec"]["signatures"] = json!([]);
    let again = signed(&org, again, &[("tina", "CTK"), ("carol", "CEK")]);
    check("what is so already", &again, &state, Reason::NothingToDo);

    // A charter cannot bring it back, and one without it can follow.
    let mut listed = org.amendment(2, |_| {});
    org.ratify(&mut listed);
    check("a charter that lists it", &listed, &state, Reason::KeyRevoked);
    let mut clean = org.amendment(2, |o| {
        let people = o["spec"]["body"]["charter"]["principals"].as_array_mut().expect("list");
        people.retain(|p| p["name"] != "dana");
    });
    org.ratify(&mut clean);
    check("a charter without it", &clean, &state, Reason::QuorumComplete);
}

#[test]
fn article_i_a_holder_revokes_their_own_key_alone() {
    let org = Org::new();
    let mut state = org.state();
    let own = |who: &str, seat: &str| {
        signed(&org, draft("RevokeKey", json!({"key": fingerprint(&org, "dana")})), &[(who, seat)])
    };
    check("nobody signed", &draft("RevokeKey", json!({"key": fingerprint(&org, "dana")})), &state, Reason::Unsigned);
    check("not for another's seat", &own("dana", "CEK"), &state, Reason::SeatNotHeld);
    check("not another's key", &own("eve", "TCC"), &state, Reason::AuthorNotEligible);
    let mut forged = own("dana", "TCC");
    forged["spec"]["reason"] = json!("else");
    check("not without the signature", &forged, &state, Reason::SignatureInvalid);
    let command = own("dana", "TCC");
    check("alone", &command, &state, Reason::QuorumComplete);
    assert_eq!(enact(&command, &mut state), None);
    assert!(state.revoked(&fingerprint(&org, "dana")).is_some());
    // Machines too: a leaked key is taken away by whoever finds it.
    let bot =
        signed(&org, draft("RevokeKey", json!({"key": fingerprint(&org, "alpha-bot")})), &[("alpha-bot", "ALPHA")]);
    assert_eq!(enact(&bot, &mut state), None);
    assert_eq!(judge(&create(&org.approved()), &state, &facts()).reason(), Reason::KeyRevoked);
}

#[test]
fn section_5_a_higher_organ_stops_a_command_of_a_lower_one() {
    let org = Org::new();
    let mut state = org.state();
    let approved = org.approved();
    let veto = |people: &[(&str, &str)]| signed(&org, draft("Veto", json!({"command": digest(&approved)})), people);
    let by_ctk = veto(&[("tina", "CTK"), ("tom", "CTK")]);
    check("of a command that nobody has seen only CEK knows that it is below", &by_ctk, &state, Reason::RankTooLow);
    check("CEK always", &veto(&[("carol", "CEK"), ("cyrus", "CEK")]), &state, Reason::QuorumComplete);
    let review = deliberate(&Proposal::Review(Box::new(create(&approved))), &state, &facts());
    apply(&mut state, &review.events);
    check("CTK ranks above ALPHA", &by_ctk, &state, Reason::QuorumComplete);
    check("one person is not enough", &veto(&[("tina", "CTK")]), &state, Reason::SeatsMissing);
    check("operations cannot", &veto(&[("frank", "SRE"), ("tina", "CTK")]), &state, Reason::AuthorNotEligible);
    let equal = org.charter_with(|o| {
        for organ in o["spec"]["body"]["charter"]["organs"].as_array_mut().expect("organs") {
            if organ["name"] == "ALPHA" {
                organ["rank"] = json!(3);
            }
        }
    });
    let mut peers = state_with(&equal);
    let review = deliberate(&Proposal::Review(Box::new(create(&approved))), &peers, &facts());
    apply(&mut peers, &review.events);
    check("of the same rank is not above", &by_ctk, &peers, Reason::RankTooLow);

    assert_eq!(enact(&by_ctk, &mut state), None);
    assert_eq!(judge(&create(&approved), &state, &facts()).reason(), Reason::Vetoed);
    assert_eq!(begin(&approved, &mut state, &facts()), Some(Reason::Vetoed));
    let mut twice = draft("Veto", json!({"command": digest(&approved)}));
    twice["metadata"]["name"] = json!("twice");
    check("twice", &signed(&org, twice, &[("carol", "CEK"), ("cyrus", "CEK")]), &state, Reason::NothingToDo);
}

#[test]
fn a_command_that_is_done_cannot_be_vetoed_and_a_running_one_can() {
    let org = Org::new();
    let mut state = org.state();
    let approved = org.approved();
    let began = state.next_index();
    assert_eq!(begin(&approved, &mut state, &facts()), None);
    let veto = signed(&org, draft("Veto", json!({"command": digest(&approved)})), &[("tina", "CTK"), ("tom", "CTK")]);
    check("it runs", &veto, &state, Reason::QuorumComplete);
    let end = EffectEndEvent {
        object: miax::constitution::ObjectRef::new(miax::api::GovernedKind::ControlCommand, "shop", "scale"),
        digest: digest(&approved),
        began,
        reason: Reason::EffectDone,
        message: "done".into(),
        resource_version: None,
    };
    let done = deliberate(&Proposal::End(Effect::Done(end)), &state, &facts());
    apply(&mut state, &done.events);
    check("it is done", &veto, &state, Reason::NothingToDo);
}

#[test]
fn escalation_a_critical_command_owes_a_post_mortem() {
    let org = Org::new();
    let mut state = org.state();
    let first = org.approved();
    assert_eq!(begin(&first, &mut state, &facts()), None);
    let owed = state.obligation(&digest(&first)).expect("owed").clone();
    assert_eq!(owed.due, NOW.plus(Seconds(120 * 3600)));
    assert_eq!(owed.rules, ["runtime-critical"]);

    // The next one, at a time of its own.
    let next = |at: u64, impact: &str| {
        let mut object = crate::org::draft(impact);
        object["metadata"]["name"] = json!("next");
        object["spec"]["expiresAt"] = json!(NOW.plus(Seconds(at + 3600)).to_string());
        let at = NOW.plus(Seconds(at));
        org.sign_at(&mut object, "alpha-bot", Verb::Author, "ALPHA", at);
        for (name, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            if impact == "Critical" || seat != "ALPHA" {
                org.sign_at(&mut object, name, Verb::Approve, seat, at);
            }
        }
        (object, Facts { now: at, ..facts() })
    };
    let judged = |state: &State, at: u64, impact: &str| {
        let (object, facts) = next(at, impact);
        judge(&create(&object), state, &facts).reason()
    };
    let due = 120 * 3600;
    assert_eq!(judged(&state, due - 1, "Critical"), Reason::QuorumComplete, "as long as there is time");
    assert_eq!(judged(&state, due, "Critical"), Reason::ObligationOverdue);
    assert_eq!(judged(&state, due, "High"), Reason::QuorumComplete, "other classes go on");

    let review = |people: &[(&str, &str)]| {
        let fields = json!({"command": digest(&first), "findings": "the cache ran full"});
        signed(&org, draft("Review", fields), people)
    };
    let by_others = review(&[("fay", "SRE"), ("alec", "ALPHA"), ("tina", "CTK")]);
    check(
        "its author had approved it",
        &review(&[("frank", "SRE"), ("alec", "ALPHA"), ("tina", "CTK")]),
        &state,
        Reason::ReviewerInvolved,
    );
    check(
        "one who accepts it had approved it",
        &review(&[("fay", "SRE"), ("alma", "ALPHA"), ("tina", "CTK")]),
        &state,
        Reason::ReviewerInvolved,
    );
    check("nobody accepts it", &review(&[("fay", "SRE")]), &state, Reason::SeatsMissing);
    let other = draft("Review", json!({"command": digest(&by_others), "findings": "nothing"}));
    let other = signed(&org, other, &[("fay", "SRE"), ("alec", "ALPHA"), ("tina", "CTK")]);
    check("of what owes nothing", &other, &state, Reason::NothingToDo);
    assert_eq!(enact(&by_others, &mut state), None);
    assert_eq!(judged(&state, due, "Critical"), Reason::QuorumComplete);
    assert!(state.obligations().next().is_none());
}

#[test]
fn what_is_not_such_a_command_is_refused() {
    let org = Org::new();
    let state = org.state();
    let refuse = |name: &str, object: Value, reason: Reason| {
        check(name, &signed(&org, object, &[("tina", "CTK"), ("carol", "CEK")]), &state, reason);
    };
    refuse("a digest that is none", draft("Veto", json!({"command": "sha256:12"})), Reason::FieldInvalid);
    let empty = json!({"command": Digest([1; 32]), "findings": " "});
    refuse("empty findings", draft("Review", empty), Reason::FieldInvalid);
    let mut two = draft("Veto", json!({"command": Digest([1; 32])}));
    two["spec"]["action"]["revokeKey"] = json!({"key": "a"});
    refuse("two actions in one", two, Reason::ActionUnknown);
    let mut bound = draft("RevokeKey", json!({"key": "a"}));
    bound["spec"]["precondition"] = json!({"generation": 1});
    refuse("a precondition on nothing", bound, Reason::FieldInvalid);
}
