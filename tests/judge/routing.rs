//! The routing table: who may send which signal, who receives it; a signal without a door is refused.

use miax::api::reason::Reason;
use miax::constitution::{Charter, Manifest, Signal, executor, judge, lint};
use miax::trust::Verb;
use serde_json::{Value, json};

use crate::acts::{check, draft, signed};
use crate::org::{Org, create, facts, state_with};

/// The default charter with another row for a signal.
fn routed(org: &Org, signal: &str, change: impl FnOnce(&mut Value)) -> Value {
    org.charter_with(|o| {
        let rows = o["spec"]["body"]["charter"]["routing"].as_array_mut().expect("rows");
        change(rows.iter_mut().find(|r| r["signal"] == signal).expect("a row"));
    })
}

#[test]
fn a_control_command_comes_from_alpha_and_operations_carry_it_out() {
    let org = Org::new();
    let state = org.state();
    assert_eq!(judge(&create(&org.approved()), &state, &facts()).reason(), Reason::QuorumComplete);
    let charter = &state.charter(facts().now).expect("in force").charter;
    assert_eq!(executor(charter), Some("SRE"));
    assert_eq!(charter.routes[&Signal::ControlCommand].priority.as_str(), "Critical");

    // A rule that lets others author does not open the route.
    let loose = org.charter_with(|o| {
        for rule in o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules") {
            if rule["name"] == "runtime-normal" {
                rule["author"] = json!(["ALPHA", "CTK"]);
            }
        }
    });
    let mut object = crate::org::draft("Normal");
    org.sign(&mut object, "tina", Verb::Author, "CTK");
    for name in ["frank", "fay"] {
        org.sign(&mut object, name, Verb::Approve, "SRE");
    }
    let decision = judge(&create(&object), &state_with(&loose), &facts());
    assert_eq!(decision.reason(), Reason::RouteForbidden, "{}", decision.message());
    assert!(decision.message().contains("CTK may not send the signal ControlCommand; it comes from ALPHA"));
}

#[test]
fn a_policy_manifest_comes_from_cek_alone() {
    let org = Org::new();
    let state = org.state();
    let mut next = org.amendment(2, |_| {});
    org.ratify(&mut next);
    check("under CEK, signed by CEK", &next, &state, Reason::QuorumComplete);

    let elsewhere = routed(&org, "PolicyManifest", |row| row["from"] = json!(["CTK"]));
    let shut = judge(&create(&elsewhere), &miax::constitution::State::default(), &{
        let mut facts = facts();
        facts.genesis = Some(Manifest::read(&elsewhere).expect("charter").document.digest);
        facts
    });
    assert_eq!(shut.reason(), Reason::RouteForbidden, "{}", shut.message());

    // Whatever the rules ask for, a charter needs a signature of the organ that it stands under.
    let loose = org.charter_with(|o| {
        for rule in o["spec"]["body"]["charter"]["rules"].as_array_mut().expect("rules") {
            if rule["name"] == "amendment" {
                rule["require"] = json!([{"seat": "APXGP", "count": 1}, {"seat": "TC", "count": 1}]);
            }
        }
    });
    let mut object = org.amendment(2, |o| o["spec"]["body"] = loose["spec"]["body"].clone());
    for (name, verb, seat) in
        [("tina", Verb::Author, "CTK"), ("anna", Verb::Approve, "APXGP"), ("theo", Verb::Approve, "TC")]
    {
        org.sign(&mut object, name, verb, seat);
    }
    let decision = judge(&create(&object), &state_with(&loose), &facts());
    assert_eq!(decision.reason(), Reason::AuthorityWrong, "{}", decision.message());
}

#[test]
fn an_alert_comes_from_operations_and_must_be_received() {
    let org = Org::new();
    let mut state = org.state();
    let incident = |people: &[(&str, &str)]| {
        signed(&org, draft("AcknowledgeIncident", json!({"incident": "checkout-errors"})), people)
    };
    let command = incident(&[("frank", "SRE"), ("alma", "ALPHA"), ("dana", "TCC")]);
    check("SRE sends, ALPHA and TCC receive", &command, &state, Reason::QuorumComplete);
    check("nobody received it", &incident(&[("frank", "SRE")]), &state, Reason::SeatsMissing);
    check("CTK sends no alerts", &incident(&[("tina", "CTK"), ("alma", "ALPHA")]), &state, Reason::AuthorNotEligible);
    check("no name", &draft("AcknowledgeIncident", json!({"incident": " "})), &state, Reason::FieldInvalid);
    assert_eq!(crate::acts::enact(&command, &mut state), None);
    assert!(state.incident("checkout-errors").is_some());
    let mut again = draft("AcknowledgeIncident", json!({"incident": "checkout-errors"}));
    again["metadata"]["name"] = json!("again");
    let again = signed(&org, again, &[("fay", "SRE"), ("alma", "ALPHA"), ("dana", "TCC")]);
    check("twice", &again, &state, Reason::NothingToDo);

    let deaf = routed(&org, "AlertIncident", |row| row["to"] = json!(["ALPHA"]));
    let unheard = incident(&[("frank", "SRE"), ("dana", "TCC"), ("eve", "TCC")]);
    check("the row no longer leads to TCC", &unheard, &state_with(&deaf), Reason::RouteForbidden);
}

#[test]
fn whoever_leaves_no_trace_in_the_ledger_may_not_act() {
    let org = Org::new();
    let silent = routed(&org, "AuditEntry", |row| row["from"] = json!(["CEK", "CTK", "SRE", "TCC"]));
    let decision = judge(&create(&org.approved()), &state_with(&silent), &facts());
    assert_eq!(decision.reason(), Reason::RouteForbidden, "{}", decision.message());
    assert!(decision.message().contains("ALPHA may not send the signal AuditEntry"), "{}", decision.message());
}

#[test]
fn a_signal_without_a_row_or_without_a_door_is_refused() {
    let org = Org::new();
    let unknown = routed(&org, "FileIngest", |row| row["signal"] = json!("Carrier-Pigeon"));
    let error = Manifest::read(&unknown).expect_err("refused");
    assert!(error.to_string().contains("`Carrier-Pigeon` is not one of PolicyManifest"), "{error}");

    let mut charter = org.charter.clone();
    charter["spec"]["body"]["charter"]["routing"]
        .as_array_mut()
        .expect("rows")
        .retain(|r| r["signal"] != "AlertIncident");
    let raw = serde_json::from_value(charter["spec"]["body"]["charter"].clone()).expect("charter");
    let findings = lint(&Charter::try_from(&raw).expect("charter"));
    assert!(findings.iter().any(|f| f.name.as_str() == "RouteMissing" && f.subject == "AlertIncident"));

    // Nothing can be sent as a signal that has no door: there is no such action.
    for action in ["IngestFile", "DeploySchema", "RequestExtension"] {
        check(action, &draft(action, json!({})), &org.state(), Reason::FieldUnknown);
    }
}
