//! What the log says about its witnesses: recorded when it is news, whoever reports it, and in order.

use miax::constitution::{Event, PolicySetEvent, Proposal, State, StateError, UnwitnessedEvent, deliberate};
use miax::trust::{WitnessMode, sha256};
use miax::units::{LogIndex, Seconds, UnixSeconds};

use crate::org::{apply, facts};

fn at(seconds: i64) -> UnixSeconds {
    UnixSeconds::new(1_795_514_400 + seconds)
}

/// Proposes, and applies what that leads to.
fn propose(state: &mut State, proposal: &Proposal) -> Vec<Event> {
    let events = deliberate(proposal, state, &facts()).events;
    apply(state, &events);
    let read = events.iter().map(|e| Event::read(e.kind(), e.fields().expect("fields")).expect("reads"));
    assert_eq!(read.collect::<Vec<_>>(), events, "an entry reads back");
    events
}

#[test]
fn a_policy_is_an_entry_when_it_is_another_one() {
    let mut state = State::default();
    let policy = |mode, quorum, keys: &str, age, now| PolicySetEvent {
        mode,
        quorum,
        witnesses: sha256(keys.as_bytes()),
        max_age: Seconds(age),
        now: at(now),
    };
    let first = policy(WitnessMode::Warn, 2, "a", 300, 0);
    let mut check = |name: &str, event: PolicySetEvent, entries: usize| {
        assert_eq!(propose(&mut state, &Proposal::Policy(event)).len(), entries, "{name}");
    };
    check("the first one", first.clone(), 1);
    check("the same later", PolicySetEvent { now: at(60), ..first }, 0);
    check("another mode", policy(WitnessMode::Require, 2, "a", 300, 60), 1);
    check("another number", policy(WitnessMode::Require, 1, "a", 300, 60), 1);
    check("other witnesses", policy(WitnessMode::Require, 1, "b", 300, 60), 1);
    check("another age", policy(WitnessMode::Require, 1, "b", 60, 60), 1);
    assert_eq!(state.witness_policy().map(|p| p.max_age), Some(Seconds(60)));
}

#[test]
fn unwitnessed_time_begins_once_and_ends_once() {
    let mut state = State::default();
    let event = |since, until: Option<i64>| UnwitnessedEvent {
        witnessed: 7,
        since: at(since),
        until: until.map(at),
        now: at(90),
    };
    let mut report = |event| propose(&mut state, &Proposal::Unwitnessed(event));
    assert_eq!(report(event(0, Some(80))), [], "what never began does not end");
    assert_eq!(report(event(10, None)).len(), 1);
    assert_eq!(report(event(20, None)), [], "another leader reports the same");
    let ended = report(event(20, Some(80)));
    let [Event::Unwitnessed(end)] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((end.since, end.until), (at(10), Some(at(80))), "the end names the beginning that is in the log");
    assert_eq!(report(event(20, Some(80))), []);
    assert_eq!(state.unwitnessed(), None);
}

#[test]
fn unwitnessed_time_out_of_order_breaks_the_ledger() {
    let event = |since, until: Option<i64>| {
        Event::Unwitnessed(UnwitnessedEvent { witnessed: 7, since: at(since), until: until.map(at), now: at(90) })
    };
    let check = |name: &str, events: &[Event]| {
        let mut state = State::default();
        let result = (0..).map(LogIndex).zip(events).try_for_each(|(index, event)| state.apply(index, event));
        let last = LogIndex(events.len() as u64 - 1);
        assert!(matches!(result, Err(StateError::WitnessOrder { index }) if index == last), "{name}: {result:?}");
    };
    check("an end of nothing", &[event(0, Some(80))]);
    check("two beginnings", &[event(0, None), event(1, None)]);
    check("the end of another time", &[event(0, None), event(1, Some(80))]);
}
