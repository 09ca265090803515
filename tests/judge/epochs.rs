//! A ledger whose end is lost goes on with what is left, when the people of the charter say so (ADR 0025).

use miax::api::reason::Reason;
use miax::constitution::{CommandState, Event, State, StateError, judge};
use miax::trust::Verb;
use miax::units::{Digest, Seconds};
use serde_json::{Value, json};

use crate::org::{NOW, Org, QUORUM, apply, create, facts};

const ROOT: Digest = Digest([7; 32]);

/// The command that opens the epoch 1 after all entries of `state`, not signed.
fn unsigned(state: &State) -> Value {
    json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "ControlCommand",
        "metadata": {"name": "epoch-1", "namespace": "miax-system"},
        "spec": {
            "audience": ["test"],
            "action": {"type": "OpenEpoch", "openEpoch": {
                "epoch": 1, "blocks": 4, "entries": state.next_index().0, "root": ROOT.to_string(),
            }},
            "impact": "Critical",
            "reason": "the disk of etcd is gone",
            "expiresAt": NOW.plus(Seconds(3600)).to_string(),
            "signatures": [],
        },
    })
}

fn signed(org: &Org, state: &State, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = unsigned(state);
    change(&mut object);
    org.ratify(&mut object);
    object
}

fn opened(org: &Org, state: &mut State) {
    let event = state.opening(&signed(org, state, |_| {}), *NOW).expect("the quorum opens it");
    apply(state, &[Event::EpochOpen(Box::new(event))]);
}

#[test]
fn an_epoch_is_opened_by_the_quorum_and_nobody_else() {
    let org = Org::new();
    let state = org.state();
    let refused = |object: &Value, part: &str| {
        let error = state.opening(object, *NOW).expect_err(part);
        assert!(error.contains(part), "{part}: {error}");
    };
    refused(&unsigned(&state), "Unsigned");
    let mut object = unsigned(&state);
    for (name, verb, seat) in &QUORUM[..4] {
        org.sign(&mut object, name, *verb, seat);
    }
    refused(&object, "SeatsMissing");
    refused(&signed(&org, &state, |o| o["spec"]["audience"] = json!(["elsewhere"])), "AudienceForeign");
    refused(&signed(&org, &state, |o| o["spec"]["action"]["openEpoch"]["epoch"] = 2.into()), "the next one is 1");
    refused(&signed(&org, &state, |o| o["spec"]["action"]["openEpoch"]["entries"] = 1.into()), "it keeps 1 entries");
    refused(&org.approved(), "a command to Scale");
    let mut changed = signed(&org, &state, |_| {});
    changed["spec"]["action"]["openEpoch"]["blocks"] = 3.into();
    refused(&changed, "SignatureInvalid");
    let late = state.opening(&signed(&org, &state, |_| {}), NOW.plus(Seconds(7200))).expect_err("too late");
    assert!(late.contains("Expired"), "{late}");
    assert_eq!(state.opening(&signed(&org, &state, |_| {}), *NOW).expect("the quorum").epoch, 1);
}

#[test]
fn an_opening_that_its_command_does_not_ask_for_is_not_taken_in() {
    let org = Org::new();
    let state = org.state();
    let event = state.opening(&signed(&org, &state, |_| {}), *NOW).expect("the quorum");
    let mut others = vec![event.clone(); 4];
    others[0].root = Digest([8; 32]);
    others[1].blocks.0 += 1;
    others[2].signers.pop();
    others[3].command = unsigned(&state).to_string();
    for other in others {
        let applied = state.clone().apply(state.next_index(), &Event::EpochOpen(Box::new(other.clone())));
        assert!(matches!(applied, Err(StateError::Opening { .. })), "{other:?}");
    }
    state.clone().apply(state.next_index(), &Event::EpochOpen(Box::new(event))).expect("as it is, it is right");
}

#[test]
fn what_was_signed_before_an_epoch_is_worth_nothing_in_it() {
    let org = Org::new();
    let mut state = org.state();
    let before = org.approved();
    assert_eq!(judge(&create(&before), &state, &facts()).reason(), Reason::QuorumComplete);
    opened(&org, &mut state);
    assert_eq!(state.epoch(), 1);
    let refused = judge(&create(&before), &state, &facts());
    assert_eq!(refused.reason(), Reason::AudienceForeign);
    assert!(refused.message().contains("this cluster is `test/1` since the epoch 1"), "{}", refused.message());

    // Signed for the epoch, the same is allowed.
    let mut again = before;
    again["spec"]["audience"] = json!(["test/1"]);
    again["spec"]["signatures"] = json!([]);
    org.sign(&mut again, "alpha-bot", Verb::Author, "ALPHA");
    for (name, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
        org.sign(&mut again, name, Verb::Approve, seat);
    }
    assert_eq!(judge(&create(&again), &state, &facts()).reason(), Reason::QuorumComplete);
}

#[test]
fn an_epoch_is_opened_once_and_the_next_one_follows_it() {
    let org = Org::new();
    let mut state = org.state();
    let first = signed(&org, &state, |_| {});
    opened(&org, &mut state);
    let digest = miax::constitution::Command::read(&first).expect("a command").document.digest;
    assert!(matches!(state.command(&digest), Some(CommandState::Enacted { .. })));
    let again = state.opening(&first, *NOW).expect_err("used");
    assert!(again.contains("Consumed"), "{again}");
    let next = signed(&org, &state, |o| {
        o["spec"]["audience"] = json!(["test/1"]);
        o["spec"]["action"]["openEpoch"]["epoch"] = 2.into();
    });
    assert_eq!(state.opening(&next, *NOW).expect("after another disaster").epoch, 2);
}

#[test]
fn a_ledger_that_takes_entries_has_no_epoch_to_open() {
    let org = Org::new();
    let mut state = org.state();
    let object = signed(&org, &state, |_| {});
    // Whatever is written makes the ledger longer than what it keeps.
    apply(
        &mut state,
        &[Event::Stored(miax::constitution::StoredEvent {
            object: miax::constitution::ObjectRef {
                kind: "Manifest".into(),
                namespace: String::new(),
                name: "x".into(),
            },
            digest: ROOT,
            uid: "u".into(),
            resource_version: "1".into(),
        })],
    );
    let decision = judge(&create(&object), &state, &facts());
    assert_eq!(decision.reason(), Reason::NothingToDo);
    assert!(decision.message().contains("opened by the operator from a signed file"), "{}", decision.message());
}
