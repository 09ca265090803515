//! Commands that wait in the cluster, and rules that only tell.

use miax::api::reason::Reason;
use miax::constitution::{CommandState, Mode, Operation, Proposal, Request, State, deliberate, judge, recheck};
use miax::trust::Verb;
use serde_json::{Value, json};

use crate::acts::{begin, digest, with_rule};
use crate::org::{Org, apply, create, draft, facts, state_with};

fn holding(org: &Org) -> Value {
    with_rule(org, "runtime-critical", |rule| rule["pending"] = json!("Hold"))
}

fn take(request: &Request, state: &mut State) -> miax::constitution::Decision {
    let decision = judge(request, state, &facts());
    let outcome = deliberate(&Proposal::Review(Box::new(request.clone())), state, &facts());
    apply(state, &outcome.events);
    decision
}

/// The same object with one signature more, as an update.
fn signed_more(org: &Org, old: &Value, name: &str, verb: Verb, seat: &str) -> Request {
    let mut object = old.clone();
    org.sign(&mut object, name, verb, seat);
    Request {
        uid: format!("{name}-{}", verb.as_str()),
        operation: Operation::Update,
        old: Some(old.clone()),
        ..create(&object)
    }
}

#[test]
fn a_held_command_waits_for_its_people_and_runs_when_all_have_signed() {
    let org = Org::new();
    let mut state = state_with(&holding(&org));
    let first = create(&org.command("Critical"));
    let decision = take(&first, &mut state);
    assert!(decision.is_allowed(), "{}", decision.message());
    assert_eq!(decision.reason(), Reason::Held);
    assert!(decision.message().contains("needs SRE (1 of: fay, frank, sam)"), "{}", decision.message());
    let object = first.object.expect("object");
    assert_eq!(
        begin(&object, &mut state, &facts()),
        Some(Reason::SeatsMissing),
        "nothing happens before it is complete"
    );
    let held: Vec<_> = state.held().collect();
    assert_eq!((held.len(), held[0].1.seats.len()), (1, 3), "State knows which seats are open");

    let mut object = object;
    for (name, seat) in [("frank", "SRE"), ("dana", "TCC")] {
        let request = signed_more(&org, &object, name, Verb::Approve, seat);
        assert_eq!(take(&request, &mut state).reason(), Reason::Held);
        object = request.object.expect("object");
    }
    let objection = signed_more(&org, &object, "eve", Verb::Object, "TCC");
    assert_eq!(take(&objection, &mut state).reason(), Reason::Held, "an objection is stored too");
    let last = signed_more(&org, &object, "alma", Verb::Approve, "ALPHA");
    assert_eq!(take(&last, &mut state).reason(), Reason::QuorumComplete);
    let object = last.object.expect("object");
    assert!(matches!(state.command(&digest(&object)), Some(CommandState::Allowed { .. })));
    assert_eq!(state.held().count(), 0);
    assert_eq!(begin(&object, &mut state, &facts()), None);
}

#[test]
fn only_missing_people_are_waited_for() {
    let org = Org::new();
    let state = state_with(&holding(&org));
    let unsigned = judge(&create(&draft("Critical")), &state, &facts());
    assert_eq!(unsigned.reason(), Reason::Unsigned);
    let mut wrong = org.command("Critical");
    org.sign(&mut wrong, "dana", Verb::Approve, "SRE");
    assert_eq!(judge(&create(&wrong), &state, &facts()).reason(), Reason::SeatNotHeld);
    assert_eq!(
        judge(&create(&org.command("High")), &state, &facts()).reason(),
        Reason::SeatsMissing,
        "another rule refuses"
    );
    let kind = miax::api::GovernedKind::ControlCommand;
    assert_eq!(
        recheck(&org.command("Critical"), kind, &state, &facts()).reason(),
        Reason::SeatsMissing,
        "the executor refuses"
    );
}

#[test]
fn a_held_command_cannot_be_edited_under_its_approvals() {
    let org = Org::new();
    let mut state = state_with(&holding(&org));
    let mut object = org.command("Critical");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    take(&create(&object), &mut state);
    let mut edited = object.clone();
    edited["spec"]["action"]["scale"]["replicas"] = json!(30);
    let update = Request { operation: Operation::Update, old: Some(object.clone()), ..create(&edited) };
    let decision = judge(&update, &state, &facts());
    assert_eq!(decision.reason(), Reason::SpecImmutable);
    assert!(
        decision.message().contains("every approval was for what it was, and would be void"),
        "{}",
        decision.message()
    );
    assert_eq!(judge(&create(&edited), &state, &facts()).reason(), Reason::SignatureInvalid, "nor made anew with them");
    let gone = Request {
        uid: "gone".into(),
        operation: Operation::Delete,
        object: None,
        old: Some(object),
        ..create(&edited)
    };
    take(&gone, &mut state);
    assert_eq!(state.held().count(), 0, "nobody waits for what is deleted");
}

#[test]
fn a_rule_that_is_not_enforced_only_tells() {
    let org = Org::new();
    for (word, mode) in [("Warn", Mode::Warn), ("Observe", Mode::Observe)] {
        let charter = org.charter_with(|o| {
            let rules = o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules");
            rules.push(json!({
                "name": "next-year", "article": "V", "mode": word, "match": {"actions": ["Scale"], "impact": "Critical"},
                "author": ["ALPHA"], "require": [{"seat": "CTK", "count": 1}, {"seat": "CEK", "count": 1}],
            }));
        });
        let state = state_with(&charter);
        let decision = judge(&create(&org.approved()), &state, &facts());
        assert_eq!(decision.reason(), Reason::QuorumComplete, "{word}: {}", decision.message());
        assert_eq!((decision.advice.len(), decision.advice[0].mode), (1, mode));
        let line = decision.advice[0].line();
        assert!(
            line.starts_with(&format!("NOT ENFORCED ({word}) next-year, Article V: would refuse: SeatsMissing")),
            "{line}"
        );
        assert!(!decision.rules.contains(&"next-year".to_owned()), "it is not among the rules that decided");
        let entry = &deliberate(&Proposal::Review(Box::new(create(&org.approved()))), &state, &facts()).events[0];
        assert_eq!(entry.fields().expect("fields")["advice"][0]["mode"], word, "the entry tells");
    }
}

#[test]
fn a_rule_that_is_not_enforced_allows_nothing() {
    let org = Org::new();
    let charter = with_rule(&org, "runtime-critical", |rule| rule["mode"] = json!("Warn"));
    let decision = judge(&create(&org.approved()), &state_with(&charter), &facts());
    assert_eq!(decision.reason(), Reason::NoRuleMatches, "{}", decision.message());
    assert!(decision.message().contains("runtime-critical would, but is not enforced"), "{}", decision.message());
}
