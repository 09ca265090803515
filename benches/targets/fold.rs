//! The fold of State, and a judgement under a large charter.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use miax::constitution::{DecisionEvent, Event, Manifest, ObjectRef, Operation, State, TargetFact, Verdict, judge};
use miax::trust::{SigningKey, sha256};
use miax::units::{LogIndex, UnixSeconds};
use serde_json::{Value, json};

use crate::org::{CLUSTER, NOW, Org, create, facts, state_with};
use crate::{Row, median, micros, now, per_second};

const ENTRIES: u64 = 500_000;
const PEOPLE: u32 = 500;
const RULES: usize = 200;

fn decision(number: u64) -> Event {
    Event::Decision(Arc::new(DecisionEvent {
        request: format!("705ab4f5-6393-11e8-b7cc-{number:012}"),
        operation: Operation::Create,
        object: ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: format!("scale-{number}") },
        digest: Some(sha256(&number.to_be_bytes())),
        inputs: Some(sha256(&number.to_be_bytes())),
        commitment: None,
        summary: Some("Scale Deployment shop/checkout to 3".into()),
        actor: "system:serviceaccount:argocd:argocd-application-controller".into(),
        verdict: if number.is_multiple_of(2) { Verdict::Allow } else { Verdict::Deny },
        findings: Vec::new(),
        rules: vec!["runtime-critical".into()],
        seats: Vec::new(),
        advice: Vec::new(),
        signers: Vec::new(),
        charter: None,
        now: UnixSeconds::new(1_795_514_400),
        target: TargetFact::Missing,
        budgets: Vec::new(),
        plans: Vec::new(),
    }))
}

/// The default charter with many more people and rules.
fn large(org: &Org) -> Value {
    org.charter_with(|object| {
        let charter = &mut object["spec"]["body"]["charter"];
        let people = charter["principals"].as_array_mut().expect("list");
        for number in 0..PEOPLE - u32::try_from(people.len()).expect("few") {
            let mut seed = [7; 32];
            seed[..4].copy_from_slice(&number.to_be_bytes());
            let key = SigningKey::from_ed25519_seed(&seed).public().expect("public");
            people.push(json!({
                "name": format!("person-{number}"), "kind": "Person", "seats": ["Dev"],
                "keys": [{"type": key.key_type().as_str(), "public": key.text()}],
            }));
        }
        let rules = charter["rules"].as_array_mut().expect("list");
        for number in rules.len()..RULES {
            let mut rule = rules[number % 3].clone();
            rule["name"] = json!(format!("rule-{number}"));
            rule["match"]["namespaces"] = json!([format!("team-{number}")]);
            rules.push(rule);
        }
    })
}

pub(crate) fn rows() -> Vec<Row> {
    let events: Vec<Event> = (0..ENTRIES).map(decision).collect();
    let mut state = State::default();
    let started = now();
    for (index, event) in (0..).map(LogIndex).zip(&events) {
        state.apply(index, event).expect("applies");
    }
    let speed = per_second(events.len(), started.elapsed());
    assert_eq!(state.next_index(), LogIndex(ENTRIES));

    let org = Org::new();
    let charter = large(&org);
    let state = state_with(&charter);
    let in_force = &state.charter(*NOW).expect("in force").charter;
    assert_eq!((in_force.rules.len(), in_force.principals.len()), (RULES, 500));
    let (request, facts) = (create(&org.approved()), facts());
    assert_eq!(facts.cluster_uid, CLUSTER);
    let time = median(|| assert!(judge(black_box(&request), &state, &facts).is_allowed()));
    let read = median(|| drop(Manifest::read(black_box(&charter)).expect("a charter")));
    vec![
        Row::new("fold of State", format!("{speed:.0}/s"), ">= 500000/s", speed >= 500_000.0),
        Row::new("judge under 500 people and 200 rules", micros(time), "< 1000 us", time < Duration::from_millis(1)),
        Row::reference("read that charter", micros(read)),
    ]
}
