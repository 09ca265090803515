//! Delegations, hardware seats, keys that end: who may sign for what, for how long, with what.

use miax::api::reason::Reason;
use miax::constitution::{Charter, Facts, judge, lint};
use miax::trust::Verb;
use miax::units::Seconds;
use serde_json::{Value, json};

use crate::acts::with_rule;
use crate::hardware_key::{hardware_key, hardware_signature};
use crate::org::{NOW, Org, create, draft, facts, signature, state_with, statement_of};

/// The default charter in which TCC delegates something to anna of APXGP.
fn delegating(org: &Org, delegation: Value) -> Value {
    org.charter_with(|o| o["spec"]["body"]["charter"]["delegations"] = json!([delegation]))
}

fn to_anna() -> Value {
    let until = NOW.plus(Seconds(1800)).to_string();
    json!({"from": "TCC", "to": "anna", "actions": ["Scale"], "namespaces": ["shop"], "until": until})
}

/// A critical command with the approvals of SRE, ALPHA, and of `tcc` for TCC.
fn approved_by(org: &Org, object: Value, tcc: &str) -> Value {
    let mut object = object;
    org.sign(&mut object, "alpha-bot", Verb::Author, "ALPHA");
    for (name, seat) in [("frank", "SRE"), (tcc, "TCC"), ("alma", "ALPHA")] {
        org.sign(&mut object, name, Verb::Approve, seat);
    }
    object
}

#[test]
fn a_delegate_fills_the_seat_for_what_was_delegated_and_nothing_else() {
    let org = Org::new();
    let state = state_with(&delegating(&org, to_anna()));
    let scale = approved_by(&org, draft("Critical"), "anna");
    let at = |object: &Value, facts: &Facts| judge(&create(object), &state, facts);
    assert_eq!(at(&scale, &facts()).reason(), Reason::QuorumComplete, "{}", at(&scale, &facts()).message());
    assert_eq!(judge(&create(&scale), &org.state(), &facts()).reason(), Reason::SeatNotHeld, "without the delegation");

    let end = Facts { now: NOW.plus(Seconds(1800)), ..facts() };
    let late = at(&scale, &end);
    assert_eq!(late.reason(), Reason::SeatNotHeld, "past its end");
    assert!(
        late.message().contains("it is delegated only for Scale in shop until 2026-11-24T10:30:00Z"),
        "{}",
        late.message()
    );

    let mut restart = draft("Critical");
    let target = restart["spec"]["action"]["scale"]["target"].clone();
    restart["spec"]["action"] = json!({"type": "Restart", "restart": {"target": target}});
    assert_eq!(at(&approved_by(&org, restart, "anna"), &facts()).reason(), Reason::SeatNotHeld, "another action");
    let mut elsewhere = draft("Critical");
    elsewhere["metadata"]["namespace"] = json!("bank");
    assert_eq!(at(&approved_by(&org, elsewhere, "anna"), &facts()).reason(), Reason::SeatNotHeld, "another namespace");
}

#[test]
fn a_delegate_is_still_one_person() {
    let org = Org::new();
    let until = NOW.plus(Seconds(1800)).to_string();
    let frank = json!({"from": "TCC", "to": "frank", "actions": ["Scale"], "namespaces": ["shop"], "until": until});
    let state = state_with(&delegating(&org, frank));
    let twice = approved_by(&org, draft("Critical"), "frank");
    assert_eq!(judge(&create(&twice), &state, &facts()).reason(), Reason::DuplicatePrincipal);
}

#[test]
fn a_delegation_only_narrows() {
    let org = Org::new();
    let refused = |delegation: Value, part: &str| {
        let error = miax::constitution::Manifest::read(&delegating(&org, delegation)).expect_err("refused");
        assert!(error.to_string().contains(part), "{error}");
    };
    let with = |key: &str, value: Value| {
        let mut delegation = to_anna();
        delegation[key] = value;
        delegation
    };
    refused(with("actions", json!([])), "an empty list means nobody");
    refused(with("namespaces", json!([])), "an empty list means nobody");
    refused(with("to", json!("zoe")), "there is no principal `zoe`");
    refused(with("from", json!("XYZ")), "organ `XYZ` is not in `organs`");
    refused(with("until", json!("soon")), "is not a time");

    let wide = delegating(&org, with("actions", json!(["Scale", "RevokeKey"])));
    let raw = serde_json::from_value(wide["spec"]["body"]["charter"].clone()).expect("charter");
    let findings = lint(&Charter::try_from(&raw).expect("charter"));
    let finding = findings.iter().find(|f| f.name.as_str() == "DelegationWidens").expect("found");
    assert!(finding.blocks() && finding.message.contains("TCC has no say in RevokeKey"), "{}", finding.message);
}

/// The default charter in which the SRE seat of a critical command asks for hardware. Frank's only key is a token; nobody else
/// of SRE has one, so that the lint must be waived.
fn with_token(org: &Org) -> Value {
    let token = hardware_key(77);
    org.charter_with(|o| {
        let charter = &mut o["spec"]["body"]["charter"];
        let people = charter["principals"].as_array_mut().expect("people");
        let frank = people.iter_mut().find(|p| p["name"] == "frank").expect("frank");
        frank["keys"] = json!([{"type": token.key_type().as_str(), "public": token.text()}]);
        let rules = charter["rules"].as_array_mut().expect("rules");
        let rule = rules.iter_mut().find(|r| r["name"] == "runtime-critical").expect("the rule");
        rule["require"][0]["requireHardware"] = json!(true);
        charter["waivers"] =
            json!([{"finding": "LostKeyBlocksRule", "subject": "runtime-critical", "reason": "one token for now"}]);
    })
}

#[test]
fn a_seat_that_asks_for_hardware_is_not_filled_by_a_file() {
    let org = Org::new();
    let state = state_with(&with_token(&org));
    let approved = |sre: &str| {
        let mut object = org.command("Critical");
        for (name, seat) in [(sre, "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            if name == "frank" {
                let mut token = signature(&object, org.key("frank"), "frank", Verb::Approve, "SRE", *NOW);
                token["key"] = json!(hardware_key(77).id().as_str());
                token["format"] = json!("sshsig");
                token["value"] = json!(hardware_signature(77, 1, &statement_of(&object, "frank", "SRE")));
                object["spec"]["signatures"].as_array_mut().expect("list").push(token);
            } else {
                org.sign(&mut object, name, Verb::Approve, seat);
            }
        }
        judge(&create(&object), &state, &facts())
    };
    let file = approved("fay");
    assert_eq!(file.reason(), Reason::SeatsMissing, "{}", file.message());
    assert!(file.message().contains("needs SRE (1 of: frank)"), "only who has a token is asked: {}", file.message());
    assert_eq!(approved("frank").reason(), Reason::QuorumComplete, "{}", approved("frank").message());

    let spelt = with_rule(&org, "runtime-critical", |rule| rule["require"][0]["requireHardware"] = json!(false));
    assert!(miax::constitution::Manifest::read(&spelt).is_err(), "one spelling only");
    let nobody = with_rule(&org, "runtime-critical", |rule| rule["require"][0]["requireHardware"] = json!(true));
    let raw = serde_json::from_value(nobody["spec"]["body"]["charter"].clone()).expect("charter");
    let findings = lint(&Charter::try_from(&raw).expect("charter"));
    let found = |name: &str| findings.iter().any(|f| f.name.as_str() == name);
    assert!(found("RuleImpossible") && !found("NoHardwareSeat"), "{findings:?}");
}

#[test]
fn a_key_that_ended_signs_nothing_more() {
    let org = Org::new();
    let end = NOW.plus(Seconds(600));
    let charter = org.charter_with(|o| {
        let people = o["spec"]["body"]["charter"]["principals"].as_array_mut().expect("people");
        let bot = people.iter_mut().find(|p| p["name"] == "alpha-bot").expect("the machine");
        bot["keys"][0]["expiresAt"] = json!(end.to_string());
    });
    let state = state_with(&charter);
    let at =
        |seconds: u64| judge(&create(&org.approved()), &state, &Facts { now: NOW.plus(Seconds(seconds)), ..facts() });
    assert_eq!(at(599).reason(), Reason::QuorumComplete);
    assert_eq!(at(600).reason(), Reason::KeyExpired, "the end is exclusive");
    assert!(at(600).message().contains("which ended at 2026-11-24T10:10:00Z"), "{}", at(600).message());
    let raw = serde_json::from_value(charter["spec"]["body"]["charter"].clone()).expect("charter");
    let findings = lint(&Charter::try_from(&raw).expect("charter"));
    let endless: Vec<&str> =
        findings.iter().filter(|f| f.name.as_str() == "MachineKeyWithoutEnd").map(|f| f.subject.as_str()).collect();
    assert_eq!(endless, ["sre-bot"]);
}
