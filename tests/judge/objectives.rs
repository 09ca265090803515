//! Objectives and error budgets (Article VII): who may set one, what a spent budget stops, and every way to go on.

use miax::api::GatedKind;
use miax::api::reason::Reason;
use miax::constitution::{
    BudgetFact, BudgetVerdict, Decision, Event, Facts, GateRequest, GatedTarget, ObjectRef, Operation, Proposal, Reply,
    SloVerdictEvent, State, Verdict, deliberate, gate, judge,
};
use miax::units::{Digest, Seconds, UnixSeconds};
use serde_json::{Value, json};

use crate::acts::{check, digest, enact, no_target, signed};
use crate::org::{NOW, Org, apply, create};
use crate::plans::plan;

pub const OWNERS: [(&str, &str); 2] = [("tina", "CTK"), ("frank", "SRE")];
pub const PLANNERS: [(&str, &str); 3] = [("frank", "SRE"), ("alma", "ALPHA"), ("dana", "TCC")];

pub fn at(seconds: u64) -> UnixSeconds {
    NOW.plus(Seconds(seconds))
}

/// An unsigned objective for the Deployment checkout.
pub fn objective(version: u64) -> Value {
    json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "SLO",
        "metadata": {"name": "availability", "namespace": "shop"},
        "spec": {
            "audience": ["test"],
            "version": version,
            "expiresAt": at(30 * 86_400).to_string(),
            "objective": "99.9",
            "indicator": {"ratio": {"bad": "http_errors_total{job=\"checkout\"}", "total": "http_requests_total{job=\"checkout\"}"}},
            "window": {"rolling": "30d"},
            "gate": {"workloads": [{"kind": "Deployment", "name": "checkout"}]},
            "signatures": [],
        },
    })
}

pub fn changed(version: u64, change: impl FnOnce(&mut Value)) -> Value {
    let mut object = objective(version);
    change(&mut object["spec"]);
    object
}

/// Lets a stored objective hold; the refusal if it is refused.
pub fn hold(object: &Value, state: &mut State) -> Option<Reason> {
    let outcome = deliberate(&Proposal::SetObjective(Box::new(object.clone())), state, &no_target());
    apply(state, &outcome.events);
    match outcome.reply {
        Reply::Judged(decision) => Some(decision.reason()),
        Reply::Done | Reply::Passed | Reply::Begin(_) | Reply::JudgedBefore(..) => None,
    }
}

pub fn measure(object: &Value, verdict: BudgetVerdict, when: UnixSeconds, state: &mut State) -> usize {
    let event = SloVerdictEvent {
        object: ObjectRef { kind: "SLO".into(), namespace: "shop".into(), name: "availability".into() },
        digest: digest(object),
        verdict,
        spent: (verdict == BudgetVerdict::Exhausted).then_some(when),
        message: "measured".into(),
        now: when,
    };
    let facts = Facts { now: when, ..no_target() };
    let outcome = deliberate(&Proposal::Verdict(Box::new(event)), state, &facts);
    apply(state, &outcome.events);
    outcome.events.len()
}

/// An organisation with the objective in force, measured with this verdict.
pub fn measured(verdict: BudgetVerdict) -> (Org, Value, State) {
    let org = Org::new();
    let mut state = org.state();
    let slo = signed(&org, objective(1), &OWNERS);
    assert_eq!(hold(&slo, &mut state), None);
    assert_eq!(measure(&slo, verdict, *NOW, &mut state), 1);
    (org, slo, state)
}

pub fn checkout(kind: GatedKind, name: &str) -> GatedTarget {
    GatedTarget { kind, namespace: "shop".into(), name: name.into() }
}

pub fn change(template: u8) -> GateRequest {
    GateRequest {
        uid: format!("u{template}"),
        operation: Operation::Update,
        target: checkout(GatedKind::Deployment, "checkout"),
        template: Digest([template; 32]),
        template_before: Some(Digest([0; 32])),
        actor: "system:serviceaccount:argocd:syncer".into(),
    }
}

pub fn new(kind: GatedKind, name: &str) -> GateRequest {
    GateRequest { operation: Operation::Create, target: checkout(kind, name), template_before: None, ..change(1) }
}

pub fn fact(slo: &Value, evaluated_at: UnixSeconds) -> BudgetFact {
    BudgetFact {
        slo: "availability".into(),
        digest: digest(slo),
        evaluated_at,
        interval: Seconds(300),
        healthy: None,
        numbers: "-0.2 of the budget is left".into(),
    }
}

pub fn facts(fact: BudgetFact, now: UnixSeconds) -> Facts {
    Facts { now, budgets: vec![fact], ..no_target() }
}

#[track_caller]
pub fn says(name: &str, request: &GateRequest, state: &State, facts: &Facts, expected: Option<Reason>) -> String {
    let gated = gate(request, state, facts);
    let decision = gated.map(|g| g.decision);
    assert_eq!(decision.as_ref().map(Decision::reason), expected, "{name}");
    decision.map(|d| d.message()).unwrap_or_default()
}

#[test]
fn article_vii_ctk_defines_objectives_and_sre_operates_them() {
    let org = Org::new();
    let state = org.state();
    let by = |people: &[(&str, &str)], object: Value| signed(&org, object, people);
    check("CTK and SRE", &by(&OWNERS, objective(1)), &state, Reason::QuorumComplete);
    check("nobody", &objective(1), &state, Reason::Unsigned);
    check("SRE alone", &by(&[("frank", "SRE"), ("fay", "SRE")], objective(1)), &state, Reason::AuthorNotEligible);
    check("CTK alone", &by(&[("tina", "CTK")], objective(1)), &state, Reason::SeatsMissing);
    let mut edited = by(&OWNERS, objective(1));
    edited["spec"]["objective"] = json!("99");
    check("edited after signing", &edited, &state, Reason::SignatureInvalid);
    for (field, value, part) in [
        ("objective", json!("100"), "leaves no budget"),
        ("objective", json!("0"), "spec.objective"),
        ("window", json!({"rolling": "400d"}), "spec.window.rolling"),
        ("indicator", json!({"ratio": {"bad": "rate(x[5m])", "total": "y"}}), "spec.indicator"),
        ("indicator", json!({"ratio": {"bad": "x", "total": "y\"} or vector(1) #"}}), "spec.indicator"),
        ("expiresAt", json!(at(401 * 86_400).to_string()), "at most 400d"),
    ] {
        let object = by(&OWNERS, changed(1, |spec| spec[field] = value.clone()));
        let decision = judge(&create(&object), &state, &no_target());
        assert!(!decision.is_allowed() && decision.message().contains(part), "{field}: {}", decision.message());
    }
}

#[test]
fn versions_of_an_objective_only_go_up() {
    let (org, first, mut state) = measured(BudgetVerdict::Met);
    assert_eq!(hold(&first, &mut state), None, "the same again is no news");
    let reused = signed(&org, changed(1, |s| s["objective"] = json!("99")), &OWNERS);
    check("the same version with other content", &reused, &state, Reason::VersionReused);
    let third = signed(&org, changed(3, |s| s["objective"] = json!("99.5")), &OWNERS);
    assert_eq!(hold(&third, &mut state), None);
    assert_eq!(state.objective("shop", "availability").map(|o| o.version), Some(3));
    check("an older version", &first, &state, Reason::VersionNotNext);
    let second = signed(&org, objective(2), &OWNERS);
    assert_eq!(hold(&second, &mut state), Some(Reason::VersionNotNext));
    // In place, as a syncer applies it: judged as the next version, with signatures of its own.
    let update = |old: &Value, object: &Value| {
        let request = create(object);
        let old = Some(old.clone());
        judge(&miax::constitution::Request { operation: Operation::Update, old, ..request }, &state, &no_target())
    };
    let fourth = signed(&org, objective(4), &OWNERS);
    assert_eq!(update(&third, &fourth).reason(), Reason::QuorumComplete);
    let mut same_version = signed(&org, changed(3, |s| s["objective"] = json!("90")), &OWNERS);
    same_version["spec"]["signatures"] = third["spec"]["signatures"].clone();
    assert_eq!(update(&third, &same_version).reason(), Reason::SpecImmutable);
}

#[test]
fn a_spent_budget_stops_what_it_binds_and_nothing_else() {
    let (_, slo, state) = measured(BudgetVerdict::Exhausted);
    let facts = facts(fact(&slo, *NOW), *NOW);
    let spent = Some(Reason::BudgetExhausted);
    let message = says("another template", &change(1), &state, &facts, spent);
    for part in [
        "SLO shop/availability (99.9 % over the last 30d): its error budget is spent since 2026-11-24T10:00:00Z",
        "-0.2 of the budget is left",
        "rollbacks to what ran well, scaling and deletions pass",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let plan = format!(
        "miax draft mitigate deployment/checkout -n shop --slo availability --objective {} --template {} --for 2h",
        digest(&slo),
        Digest([1; 32])
    );
    assert!(message.contains(&plan), "{message}");
    says("the same template", &GateRequest { template: Digest([0; 32]), ..change(1) }, &state, &facts, None);
    let other = GateRequest { target: checkout(GatedKind::Deployment, "cart"), ..change(1) };
    says("a workload that it does not bind", &other, &state, &facts, None);
    let other = GateRequest { target: GatedTarget { namespace: "bank".into(), ..change(1).target }, ..change(1) };
    says("another namespace", &other, &state, &facts, None);
    // Deleted and made again, under another name or as another kind: nobody can tell it from a new one.
    for kind in GatedKind::ALL {
        says("a new workload", &new(kind, "checkout-2"), &state, &facts, spent);
    }
}

#[test]
fn the_ledger_keeps_no_digest_of_a_refused_template() {
    let (_, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let outcome = deliberate(&Proposal::Gate(Box::new(change(9))), &state, &facts(fact(&slo, *NOW), *NOW));
    let template = Digest([9; 32]).to_string();
    assert!(matches!(&outcome.reply, Reply::Judged(d) if d.message().contains(&template)), "who asks is told");
    let outcome = outcome.with_commitment(Some(Digest([7; 32])), &state);
    let fields = outcome.events[0].fields().expect("fields");
    assert!(!serde_json::to_string(&fields).expect("json").contains(&template));
    apply(&mut state, &outcome.events);
}

#[test]
fn what_nobody_knows_counts_as_spent_unless_the_objective_says_otherwise() {
    let (org, slo, state) = measured(BudgetVerdict::Met);
    let unknown = Some(Reason::BudgetUnknown);
    let fresh = fact(&slo, *NOW);
    says("met and fresh", &change(1), &state, &facts(fresh.clone(), at(900)), None);
    // Three intervals of 5 minutes and 10 seconds.
    says("the last moment", &change(1), &state, &facts(fresh.clone(), at(910)), None);
    let message = says("too old", &change(1), &state, &facts(fresh.clone(), at(911)), unknown);
    assert!(message.contains("15m11s ago") || message.contains("911s ago"), "{message}");
    let slow = BudgetFact { interval: Seconds(86_400), ..fresh.clone() };
    says("an interval that nobody has", &change(1), &state, &facts(slow, at(1801)), unknown);
    says("a clock ahead of ours", &change(1), &state, &facts(fact(&slo, at(300)), *NOW), unknown);
    says("another version", &change(1), &state, &facts(BudgetFact { digest: Digest([3; 32]), ..fresh }, *NOW), unknown);
    let message = says("a deleted object", &change(1), &state, &no_target(), unknown);
    assert!(message.contains("its object is gone"), "{message}");
    says("after its end", &change(1), &state, &facts(fact(&slo, at(30 * 86_400)), at(30 * 86_400)), unknown);
    for (word, expected) in [("Deny", unknown), ("Allow", None), ("Warn", Some(Reason::Passed))] {
        let mut state = org.state();
        let slo = signed(&org, changed(1, |s| s["gate"]["onUnknown"] = json!(word)), &OWNERS);
        assert_eq!(hold(&slo, &mut state), None);
        says(word, &change(1), &state, &no_target(), expected);
        let warned = gate(&change(1), &state, &no_target()).map(|g| g.decision.advice.len());
        assert_eq!(warned, expected.map(|r| usize::from(r == Reason::Passed)), "{word}");
    }
}

#[test]
fn back_to_what_ran_well_a_workload_may_always_go() {
    let (_, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let seen = |healthy| BudgetFact { healthy, ..fact(&slo, *NOW) };
    let inside = facts(seen(Some(NOW.minus(Seconds(30 * 86_400)))), *NOW);
    says("healthy inside of the window", &change(1), &state, &inside, Some(Reason::RolledBack));
    says(
        "healthy before it",
        &change(1),
        &state,
        &facts(seen(Some(NOW.minus(Seconds(30 * 86_400 + 1)))), *NOW),
        Some(Reason::BudgetExhausted),
    );
    says("in the future", &change(1), &state, &facts(seen(Some(at(61))), *NOW), Some(Reason::BudgetExhausted));
    let other = BudgetFact { slo: "of-others".into(), ..fact(&slo, *NOW) };
    let inside = Facts { budgets: [inside.budgets, vec![other]].concat(), ..no_target() };
    let outcome = deliberate(&Proposal::Gate(Box::new(change(1))), &state, &inside);
    let [Event::Decision(entry)] = outcome.events.as_slice() else { panic!("one entry") };
    assert_eq!(
        (entry.verdict, entry.budgets.len()),
        (Verdict::Allow, 1),
        "an exception is in the ledger, with what was known of its objective alone"
    );
    apply(&mut state, &outcome.events);
}

#[test]
fn deleting_an_objective_opens_nothing_and_a_last_version_ends_it() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let delete = miax::constitution::Request {
        operation: Operation::Delete,
        object: None,
        old: Some(slo.clone()),
        ..create(&slo)
    };
    let outcome = deliberate(&Proposal::Review(Box::new(delete)), &state, &no_target());
    apply(&mut state, &outcome.events);
    says("its object is gone", &change(1), &state, &no_target(), Some(Reason::BudgetExhausted));
    let last = signed(&org, changed(2, |s| s["retired"] = json!(true)), &OWNERS);
    assert_eq!(hold(&last, &mut state), None);
    says("it has ended", &change(1), &state, &no_target(), None);
    assert_eq!(measure(&last, BudgetVerdict::Exhausted, at(60), &mut state), 0, "nothing is measured any more");
}

#[test]
fn a_time_without_data_does_not_forgive() {
    let (org, _, mut state) = measured(BudgetVerdict::Met);
    let lenient = signed(&org, changed(2, |s| s["gate"]["onUnknown"] = json!("Allow")), &OWNERS);
    assert_eq!(hold(&lenient, &mut state), None);
    let unknown = |spent| SloVerdictEvent {
        object: ObjectRef { kind: "SLO".into(), namespace: "shop".into(), name: "availability".into() },
        digest: digest(&lenient),
        verdict: BudgetVerdict::Unknown,
        spent,
        message: "Prometheus does not answer".into(),
        now: at(60),
    };
    let mut take = |event| {
        let outcome = deliberate(&Proposal::Verdict(Box::new(event)), &state, &no_target());
        apply(&mut state, &outcome.events);
        gate(&change(1), &state, &no_target()).map(|g| g.decision.reason())
    };
    assert_eq!(take(unknown(None)), None, "Unknown is let pass by this objective");
    assert_eq!(take(unknown(Some(*NOW))), Some(Reason::BudgetExhausted), "but it was spent when somebody last knew");
}

#[test]
fn two_objectives_on_one_workload_both_count() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let mut second = objective(1);
    second["metadata"]["name"] = json!("latency");
    second["spec"]["gate"] = json!({"allWorkloads": true});
    let second = signed(&org, second, &OWNERS);
    assert_eq!(hold(&second, &mut state), None);
    assert_eq!(enact(&signed(&org, plan(&slo, 1, 1), &PLANNERS), &mut state), None);
    let both = Facts { budgets: vec![fact(&slo, *NOW)], ..no_target() };
    let gated = gate(&change(1), &state, &both).expect("refused");
    let reasons: Vec<Reason> = gated.decision.findings.iter().map(|f| f.reason).collect();
    assert_eq!(
        (reasons.as_slice(), gated.plans.len()),
        ([Reason::BudgetUnknown].as_slice(), 0),
        "a plan is for one of them"
    );
}

#[test]
fn verdicts_on_other_versions_are_history() {
    let (_, slo, mut state) = measured(BudgetVerdict::Met);
    let other = objective(7);
    assert_eq!(measure(&other, BudgetVerdict::Exhausted, at(1), &mut state), 0);
    assert_eq!(
        state.objective("shop", "availability").and_then(|o| o.verdict).map(|v| v.verdict),
        Some(BudgetVerdict::Met)
    );
    assert_eq!(measure(&slo, BudgetVerdict::Unknown, at(2), &mut state), 1);
    says("unknown", &change(1), &state, &facts(fact(&slo, at(2)), at(2)), Some(Reason::BudgetUnknown));
}
