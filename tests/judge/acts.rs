//! Commands whose effect is in State: drafting, signing and enacting them.

use miax::api::reason::Reason;
use miax::constitution::{Decision, Facts, Proposal, Reply, State, TargetFact, deliberate, judge};
use miax::trust::{Verb, signed_view};
use miax::units::{Digest, Seconds};
use serde_json::{Value, json};

use crate::org::{NOW, Org, apply, create, facts};

pub fn digest(object: &Value) -> Digest {
    signed_view(object).expect("canonical").digest()
}

pub fn fingerprint(org: &Org, name: &str) -> String {
    org.key(name).public().expect("public").id().to_string()
}

/// An unsigned command of this action in miax-system.
pub fn draft(action: &str, fields: Value) -> Value {
    let (first, rest) = action.split_at(1);
    let field = format!("{}{rest}", first.to_lowercase());
    json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "ControlCommand",
        "metadata": {"name": "oversight", "namespace": "miax-system"},
        "spec": {
            "audience": ["test"],
            "action": {"type": action, (field): fields},
            "impact": "Normal",
            "reason": "oversight",
            "expiresAt": NOW.plus(Seconds(3600)).to_string(),
            "signatures": [],
        },
    })
}

/// The draft, authored by the first and approved by the others.
pub fn signed(org: &Org, mut object: Value, people: &[(&str, &str)]) -> Value {
    for (i, (name, seat)) in people.iter().enumerate() {
        let verb = if i == 0 { Verb::Author } else { Verb::Approve };
        org.sign(&mut object, name, verb, seat);
    }
    object
}

pub fn no_target() -> Facts {
    Facts { target: TargetFact::NotNamed, ..facts() }
}

#[track_caller]
pub fn check(name: &str, object: &Value, state: &State, expected: Reason) -> Decision {
    let decision = judge(&create(object), state, &no_target());
    assert_eq!(decision.reason(), expected, "{name}: {}", decision.message());
    decision
}

/// Lets the command change State; the refusal if it is refused.
pub fn enact(object: &Value, state: &mut State) -> Option<Reason> {
    let outcome = deliberate(&Proposal::Enact(Box::new(object.clone())), state, &no_target());
    apply(state, &outcome.events);
    match outcome.reply {
        Reply::Judged(decision) => Some(decision.reason()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => None,
    }
}

/// Begins the action of a command.
pub fn begin(object: &Value, state: &mut State, facts: &Facts) -> Option<Reason> {
    let outcome = deliberate(&Proposal::Begin(Box::new(object.clone())), state, facts);
    apply(state, &outcome.events);
    match outcome.reply {
        Reply::Judged(decision) => Some(decision.reason()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => None,
    }
}

/// A change of one rule of the default charter.
pub fn with_rule(org: &Org, name: &str, change: impl FnOnce(&mut Value)) -> Value {
    org.charter_with(|o| {
        let rules = o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules");
        change(rules.iter_mut().find(|r| r["name"] == name).expect("the rule is there"));
    })
}
