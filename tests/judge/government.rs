//! Freezes, waivers, overrides: what organs decide about what others may do, and how it ends.

use miax::api::GatedKind;
use miax::api::names::executor_account;
use miax::api::reason::Reason;
use miax::constitution::{
    Decision, Event, Facts, GateRequest, GatedTarget, Operation, Proposal, Reply, State, deliberate, gate, judge,
};
use miax::trust::Verb;
use miax::units::{Digest, Seconds, UnixSeconds};
use serde_json::{Value, json};

use crate::acts::{begin, check, digest, draft, enact, no_target, signed};
use crate::org::{NOW, Org, apply, create, facts};

pub(crate) const FREEZERS: [(&str, &str); 3] = [("tina", "CTK"), ("alma", "ALPHA"), ("frank", "SRE")];
pub(crate) const THAWERS: [(&str, &str); 3] = [("tom", "CTK"), ("alec", "ALPHA"), ("fay", "SRE")];

pub(crate) fn at(seconds: u64) -> UnixSeconds {
    NOW.plus(Seconds(seconds))
}

pub(crate) fn named(name: &str, mut object: Value) -> Value {
    object["metadata"]["name"] = json!(name);
    object
}

fn freeze(org: &Org, until: Option<UnixSeconds>) -> Value {
    let until = until.map_or_else(|| json!({}), |u| json!({"until": u.to_string()}));
    let mut fields = json!({"namespace": "shop"});
    fields.as_object_mut().expect("map").extend(until.as_object().expect("map").clone());
    signed(org, draft("Freeze", fields), &FREEZERS)
}

fn checkout() -> GatedTarget {
    GatedTarget { kind: GatedKind::Deployment, namespace: "shop".into(), name: "checkout".into() }
}

pub(crate) fn change(template: u8) -> GateRequest {
    GateRequest {
        uid: format!("u{template}"),
        operation: Operation::Update,
        target: checkout(),
        template: Digest([template; 32]),
        template_before: Some(Digest([0; 32])),
        actor: "system:serviceaccount:argocd:syncer".into(),
    }
}

#[track_caller]
pub(crate) fn passes(name: &str, request: &GateRequest, state: &State, now: UnixSeconds) {
    let facts = Facts { now, ..no_target() };
    assert_eq!(gate(request, state, &facts).map(|g| g.decision.message()), None, "{name}");
}

#[track_caller]
pub(crate) fn frozen(name: &str, request: &GateRequest, state: &State, now: UnixSeconds) -> Decision {
    let decision = gate(request, state, &Facts { now, ..no_target() }).expect(name).decision;
    assert_eq!(decision.reason(), Reason::NamespaceFrozen, "{name}");
    decision
}

#[test]
fn a_frozen_namespace_takes_no_new_pod_template() {
    let org = Org::new();
    let mut state = org.state();
    passes("before", &change(1), &state, *NOW);
    assert_eq!(enact(&freeze(&org, Some(at(1800))), &mut state), None);
    let decision = frozen("a change", &change(1), &state, *NOW);
    let message = decision.message();
    assert!(message.contains("CTK froze the namespace shop until 2026-11-24T10:30:00Z"), "{message}");
    assert!(message.contains("miax draft waive deployment/checkout -n shop --rule freeze"), "{message}");
    passes("the same template", &GateRequest { template: Digest([0; 32]), ..change(1) }, &state, *NOW);
    frozen(
        "a new workload",
        &GateRequest { operation: Operation::Create, template_before: None, ..change(1) },
        &state,
        *NOW,
    );
    let elsewhere = GateRequest { target: GatedTarget { namespace: "bank".into(), ..checkout() }, ..change(1) };
    passes("another namespace", &elsewhere, &state, *NOW);
    passes("the end is exclusive", &change(1), &state, at(1800));
    frozen("right before", &change(1), &state, at(1799));
}

#[test]
fn a_syncer_that_tries_for_ever_is_recorded_once() {
    let org = Org::new();
    let mut state = org.state();
    assert_eq!(enact(&freeze(&org, None), &mut state), None);
    let before = state.next_index();
    for i in 0..100 {
        let request = GateRequest { uid: format!("try-{i}"), ..change(1) };
        let outcome = deliberate(&Proposal::Gate(Box::new(request)), &state, &no_target());
        assert!(matches!(outcome.reply, Reply::Judged(_) | Reply::JudgedBefore(..)));
        apply(&mut state, &outcome.events);
    }
    assert_eq!(state.next_index().0, before.0 + 1, "one entry for a hundred identical refusals");
    let other = deliberate(&Proposal::Gate(Box::new(change(2))), &state, &no_target());
    assert_eq!(other.events.len(), 1, "another template is another refusal");
    let passed = GateRequest { template: Digest([0; 32]), ..change(1) };
    let outcome = deliberate(&Proposal::Gate(Box::new(passed)), &state, &no_target());
    assert!(outcome.events.is_empty() && matches!(outcome.reply, Reply::Passed));
}

#[test]
fn a_refusal_whose_answer_was_lost_is_found_by_its_commitment() {
    let org = Org::new();
    let mut state = org.state();
    assert_eq!(enact(&freeze(&org, None), &mut state), None);
    let ask = |request: GateRequest, commitment: u8, state: &State| {
        let outcome = deliberate(&Proposal::Gate(Box::new(request)), state, &no_target());
        outcome.with_commitment(Some(Digest([commitment; 32])), state)
    };
    let first = ask(change(1), 7, &state);
    let [Event::Decision(entry)] = first.events.as_slice() else { panic!("one decision") };
    assert_eq!((entry.digest, entry.commitment), (None, Some(Digest([7; 32]))), "no digest of the template is left");
    let index = state.next_index();
    apply(&mut state, &first.events);
    let again = ask(change(1), 7, &state);
    assert!(matches!(again.reply, Reply::JudgedBefore(found, _) if found == index) && again.events.is_empty());
    assert_eq!(ask(change(1), 8, &state).events.len(), 1, "another salt is another question");
    let other = GateRequest { uid: "other".into(), ..change(1) };
    assert_eq!(ask(other, 7, &state).events.len(), 1, "whoever copies a commitment is not answered with its entry");
    assert!(state.committed("u1", &Digest([7; 32])).is_some() && state.committed("u1", &Digest([8; 32])).is_none());
}

#[test]
fn a_running_command_passes_the_freeze_and_nobody_rides_along() {
    let org = Org::new();
    let mut state = org.state();
    assert_eq!(enact(&freeze(&org, None), &mut state), None);
    let executor = GateRequest { actor: executor_account("SRE"), ..change(1) };
    frozen("no command runs", &executor, &state, *NOW);
    assert_eq!(begin(&org.approved(), &mut state, &facts()), None);
    passes("the executor of the command", &executor, &state, *NOW);
    frozen("somebody else meanwhile", &change(1), &state, *NOW);
    let other = GateRequest { target: GatedTarget { name: "cart".into(), ..checkout() }, ..executor.clone() };
    frozen("another workload", &other, &state, *NOW);
    frozen("another organ's account", &GateRequest { actor: executor_account("TCC"), ..change(1) }, &state, *NOW);
}

#[test]
fn who_freezes_thaws_and_nobody_below() {
    let org = Org::new();
    let mut state = org.state();
    let thaw = |people: &[(&str, &str)]| signed(&org, draft("Thaw", json!({"namespace": "shop"})), people);
    check("nothing is frozen", &thaw(&THAWERS), &state, Reason::NothingToDo);
    check(
        "operations alone do not freeze",
        &signed(&org, draft("Freeze", json!({"namespace": "shop"})), &[("frank", "SRE"), ("dana", "TCC")]),
        &state,
        Reason::SeatsMissing,
    );
    assert_eq!(enact(&freeze(&org, Some(at(1800))), &mut state), None);
    let shorter = named("shorter", draft("Freeze", json!({"namespace": "shop", "until": at(900).to_string()})));
    check("a shorter one is no thaw", &signed(&org, shorter, &FREEZERS), &state, Reason::NothingToDo);
    let by_alpha = thaw(&[("alec", "ALPHA"), ("tom", "CTK"), ("fay", "SRE")]);
    check("ALPHA ranks below CTK", &by_alpha, &state, Reason::RankTooLow);
    let by_ctk = thaw(&THAWERS);
    check("CTK itself", &by_ctk, &state, Reason::QuorumComplete);
    assert_eq!(enact(&by_ctk, &mut state), None);
    passes("thawed", &change(1), &state, *NOW);
    let system = draft("Freeze", json!({"namespace": "kube-system"}));
    check("Kubernetes itself", &system, &state, Reason::TargetProtected);
    let over = named("over", draft("Freeze", json!({"namespace": "shop", "until": NOW.to_string()})));
    check("an end that is over", &signed(&org, over, &FREEZERS), &state, Reason::Expired);
}

pub(crate) fn waive(rule: &str, until: UnixSeconds) -> Value {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "namespace": "shop"});
    draft("Waive", json!({"rule": rule, "target": target, "until": until.to_string()}))
}

#[test]
fn a_waiver_is_as_strong_as_what_it_switches_off() {
    let org = Org::new();
    let mut state = org.state();
    let waivers = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK")];
    let object = |people: &[(&str, &str)]| signed(&org, waive("runtime-critical", at(1800)), people);
    let weak = check("the rule's own seats are missing", &object(&waivers), &state, Reason::SeatsMissing);
    assert!(weak.message().contains("TCC"), "{}", weak.message());
    let full = object(&[("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK"), ("eve", "TCC"), ("frank", "SRE")]);
    check("with them", &full, &state, Reason::QuorumComplete);
    check("no such rule", &signed(&org, waive("gravity", at(1800)), &waivers), &state, Reason::FieldInvalid);
    check(
        "not a rule for workloads",
        &signed(&org, waive("amendment", at(1800)), &waivers),
        &state,
        Reason::FieldInvalid,
    );
    let endless = waive("runtime-critical", at(3601));
    check("longer than its command", &endless, &state, Reason::FieldInvalid);
    let mut without_end = waive("runtime-critical", at(1800));
    without_end["spec"]["action"]["waive"].as_object_mut().expect("map").remove("until");
    check("without an end", &without_end, &state, Reason::FieldInvalid);

    let mut alone = org.command("Critical");
    org.sign(&mut alone, "frank", Verb::Approve, "SRE");
    let verdict = |state: &State, seconds| judge(&create(&alone), state, &Facts { now: at(seconds), ..facts() });
    assert_eq!(verdict(&state, 0).reason(), Reason::SeatsMissing);
    assert_eq!(enact(&full, &mut state), None);
    let waived = verdict(&state, 0);
    // The floor of two persons for a high impact still holds: the machine that authored is none.
    assert_eq!(waived.reason(), Reason::FloorNotMet, "{}", waived.message());
    org.sign(&mut alone, "dana", Verb::Approve, "TCC");
    let waived = judge(&create(&alone), &state, &facts());
    assert_eq!(waived.reason(), Reason::QuorumComplete, "{}", waived.message());
    assert!(waived.message().contains("runtime-critical is waived until 2026-11-24T10:30:00Z"), "{}", waived.message());
    let later = judge(&create(&alone), &state, &Facts { now: at(1800), ..facts() });
    assert_eq!(later.reason(), Reason::SeatsMissing, "the waiver is over");
}

#[test]
fn one_workload_is_taken_out_of_a_freeze() {
    let org = Org::new();
    let mut state = org.state();
    assert_eq!(enact(&freeze(&org, None), &mut state), None);
    let mut object = waive("freeze", at(1800));
    let people = [("fay", "SRE"), ("alec", "ALPHA"), ("tom", "CTK")];
    object = signed(&org, object, &people);
    check("who may thaw is missing", &object, &state, Reason::SeatsMissing);
    org.sign(&mut object, "eve", Verb::Approve, "TCC");
    check("all", &object, &state, Reason::QuorumComplete);
    assert_eq!(enact(&object, &mut state), None);
    passes("the workload", &change(1), &state, *NOW);
    let other = GateRequest { target: GatedTarget { name: "cart".into(), ..checkout() }, ..change(1) };
    frozen("another one", &other, &state, *NOW);
    frozen("after its end", &change(1), &state, at(1800));
}

#[test]
fn article_iii_alpha_overrides_ctk_for_a_time_and_answers_to_cek() {
    let org = Org::new();
    let mut state = org.state();
    let frozen_by = freeze(&org, None);
    assert_eq!(enact(&frozen_by, &mut state), None);
    let over =
        |until: UnixSeconds| draft("Override", json!({"decision": digest(&frozen_by), "until": until.to_string()}));
    let alpha = [("alma", "ALPHA"), ("alec", "ALPHA"), ("dana", "TCC")];
    let command = signed(&org, over(at(1800)), &alpha);
    check(
        "CTK does not override itself",
        &signed(&org, over(at(1800)), &[("tina", "CTK"), ("alec", "ALPHA"), ("dana", "TCC")]),
        &state,
        Reason::AuthorNotEligible,
    );
    let mut endless = over(at(1800));
    endless["spec"]["action"]["override"].as_object_mut().expect("map").remove("until");
    check("without an expiry", &endless, &state, Reason::FieldInvalid);
    let nothing =
        signed(&org, draft("Override", json!({"decision": Digest([9; 32]), "until": at(60).to_string()})), &alpha);
    check("nothing that stands", &nothing, &state, Reason::NothingToDo);
    check("by ALPHA", &command, &state, Reason::QuorumComplete);
    assert_eq!(enact(&command, &mut state), None);
    passes("suspended", &change(1), &state, *NOW);
    let thaw = signed(&org, named("thaw", draft("Thaw", json!({"namespace": "shop"}))), &THAWERS);
    check("what is suspended can be ended for good", &thaw, &state, Reason::QuorumComplete);
    frozen("in force again", &change(1), &state, at(1800));

    let owed: Vec<_> = state.obligations().collect();
    assert_eq!((owed.len(), owed[0].owed.as_str(), owed[0].due), (1, "acknowledgement", at(86_400)));
    let again = named("again", over(at(3000)));
    check("twice", &signed(&org, again, &alpha), &state, Reason::NothingToDo);

    // Overdue: ALPHA overrides nothing more until CEK has looked at it.
    let late = Facts { now: at(86_400), ..no_target() };
    let mut next = named("next", over(at(86_400 + 1800)));
    next["spec"]["expiresAt"] = json!(at(86_400 + 3600).to_string());
    for (i, (name, seat)) in alpha.iter().enumerate() {
        let verb = if i == 0 { Verb::Author } else { Verb::Approve };
        org.sign_at(&mut next, name, verb, seat, at(86_400));
    }
    let refused = judge(&create(&next), &state, &late);
    assert_eq!(refused.reason(), Reason::ObligationOverdue, "{}", refused.message());
    assert!(
        refused.message().contains(&format!("miax draft acknowledge-override {}", digest(&command))),
        "{}",
        refused.message()
    );

    let acknowledge = |people: &[(&str, &str)]| {
        signed(&org, draft("AcknowledgeOverride", json!({"command": digest(&command)})), people)
    };
    check("CTK alone", &acknowledge(&[("tina", "CTK"), ("tom", "CTK")]), &state, Reason::SeatsMissing);
    let seen = acknowledge(&[("tina", "CTK"), ("carol", "CEK")]);
    check("CEK", &seen, &state, Reason::QuorumComplete);
    assert_eq!(enact(&seen, &mut state), None);
    assert_eq!(state.obligations().count(), 0);
    assert_eq!(judge(&create(&next), &state, &late).reason(), Reason::QuorumComplete);
}

#[test]
fn an_override_lifts_a_veto_of_ctk_but_none_of_cek() {
    let org = Org::new();
    let mut state = org.state();
    let approved = org.approved();
    let review = deliberate(&Proposal::Review(Box::new(create(&approved))), &state, &facts());
    apply(&mut state, &review.events);
    let veto = |people: &[(&str, &str)]| signed(&org, draft("Veto", json!({"command": digest(&approved)})), people);
    let over = |veto: &Value| {
        let fields = json!({"decision": digest(veto), "until": at(1800).to_string()});
        signed(&org, named("over", draft("Override", fields)), &[("alma", "ALPHA"), ("alec", "ALPHA"), ("dana", "TCC")])
    };
    let by_ctk = veto(&[("tina", "CTK"), ("tom", "CTK")]);
    let mut one = state.clone();
    assert_eq!(enact(&by_ctk, &mut one), None);
    assert_eq!(judge(&create(&approved), &one, &facts()).reason(), Reason::Vetoed);
    assert_eq!(enact(&over(&by_ctk), &mut one), None);
    assert_eq!(judge(&create(&approved), &one, &facts()).reason(), Reason::QuorumComplete);

    let by_cek = veto(&[("carol", "CEK"), ("cyrus", "CEK")]);
    assert_eq!(enact(&by_cek, &mut state), None);
    check("the highest organ", &over(&by_cek), &state, Reason::RankTooLow);
}
