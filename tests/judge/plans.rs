//! Mitigation plans (Article VII): which change they let pass, how often, until when, and what a spent budget leaves to be done.

use miax::api::GatedKind;
use miax::api::reason::Reason;
use miax::constitution::{BudgetVerdict, Facts, GateRequest, Owed, Proposal, Reply, State, deliberate, judge};
use miax::units::Digest;
use serde_json::{Value, json};

use crate::acts::{check, digest, draft, enact, no_target, signed};
use crate::objectives::{
    OWNERS, PLANNERS, at, change, changed, checkout, fact, facts, hold, measure, measured, new, objective, says,
};
use crate::org::{NOW, apply, create};

pub fn plan(slo: &Value, template: u8, uses: u32) -> Value {
    draft(
        "Mitigate",
        json!({
            "slo": "availability", "objective": digest(slo), "namespace": "shop",
            "target": {"kind": "Deployment", "name": "checkout"}, "template": Digest([template; 32]), "uses": uses,
            "until": at(3600).to_string(),
        }),
    )
}

#[test]
fn article_vii_a_plan_of_sre_reviewed_by_alpha_lets_one_named_change_pass() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let facts = facts(fact(&slo, *NOW), *NOW);
    let by = |people: &[(&str, &str)]| signed(&org, plan(&slo, 1, 1), people);
    check("SRE alone", &by(&[("frank", "SRE")]), &state, Reason::SeatsMissing);
    check("reviewed by SRE", &by(&[("frank", "SRE"), ("fay", "SRE")]), &state, Reason::SeatsMissing);
    check("of ALPHA", &by(&[("alma", "ALPHA"), ("alec", "ALPHA"), ("dana", "TCC")]), &state, Reason::AuthorNotEligible);
    assert_eq!(enact(&by(&PLANNERS), &mut state), None);
    says("another template", &change(2), &state, &facts, Some(Reason::BudgetExhausted));
    let cart = GateRequest { target: checkout(GatedKind::Deployment, "cart"), ..new(GatedKind::Deployment, "cart") };
    says("another workload", &cart, &state, &facts, Some(Reason::BudgetExhausted));
    says("the one change", &change(1), &state, &facts, Some(Reason::PlanUsed));
    let used = deliberate(&Proposal::Gate(Box::new(change(1))), &state, &facts);
    apply(&mut state, &used.events);
    let again = deliberate(&Proposal::Gate(Box::new(change(1))), &state, &facts);
    assert!(again.events.len() == 1 && state.plans(*NOW).next().is_none(), "used up");
    assert!(matches!(&again.reply, Reply::Judged(d) if d.reason() == Reason::BudgetExhausted));
    check("the command again", &by(&PLANNERS), &state, Reason::CommandConsumed);
}

#[test]
fn a_plan_is_used_as_often_as_it_says_and_a_repeated_question_uses_it_once() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let facts = facts(fact(&slo, *NOW), *NOW);
    assert_eq!(enact(&signed(&org, plan(&slo, 1, 2), &PLANNERS), &mut state), None);
    let ask = |uid: &str, salt: u8, state: &State| {
        let request = GateRequest { uid: uid.into(), ..change(1) };
        let outcome = deliberate(&Proposal::Gate(Box::new(request)), state, &facts);
        outcome.with_commitment(Some(Digest([salt; 32])), state)
    };
    let left = |state: &State| state.plans(*NOW).map(|(_, plan)| plan.left).sum::<u32>();
    for (uid, salt, expected) in [("a", 1, 1), ("a", 1, 1), ("b", 2, 0), ("b", 2, 0)] {
        let outcome = ask(uid, salt, &state);
        let allowed = matches!(&outcome.reply, Reply::Judged(d) | Reply::JudgedBefore(_, d) if d.is_allowed());
        assert!(allowed, "{uid}");
        apply(&mut state, &outcome.events);
        assert_eq!(left(&state), expected, "{uid}");
    }
    let outcome = ask("c", 3, &state);
    assert!(matches!(&outcome.reply, Reply::Judged(d) if !d.is_allowed()));
}

#[test]
fn a_plan_ends_with_its_time_and_with_its_version() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    assert_eq!(enact(&signed(&org, plan(&slo, 1, 9), &PLANNERS), &mut state), None);
    let spent = Some(Reason::BudgetExhausted);
    says("in time", &change(1), &state, &facts(fact(&slo, at(3599)), at(3599)), Some(Reason::PlanUsed));
    says("at its end", &change(1), &state, &facts(fact(&slo, at(3600)), at(3600)), spent);
    let second = signed(&org, objective(2), &OWNERS);
    assert_eq!(hold(&second, &mut state), None);
    says("under another version", &change(1), &state, &facts(fact(&second, *NOW), *NOW), spent);
    check("a plan for the old version", &signed(&org, plan(&slo, 2, 1), &PLANNERS), &state, Reason::ObjectiveUnknown);
    let nowhere = signed(
        &org,
        draft(
            "Mitigate",
            json!({
        "slo": "latency", "objective": digest(&slo), "namespace": "shop", "target": {"kind": "Deployment", "name": "checkout"},
        "template": Digest([1; 32]), "uses": 1, "until": at(60).to_string()}),
        ),
        &PLANNERS,
    );
    check("a plan for no objective", &nowhere, &state, Reason::ObjectiveUnknown);
}

#[test]
fn article_vii_a_spent_budget_asks_for_a_plan_and_its_review() {
    let (org, slo, mut state) = measured(BudgetVerdict::Exhausted);
    let owed: Vec<_> = state.obligations().map(|o| (o.owed, o.command, o.due)).collect();
    assert_eq!(owed, [(Owed::Mitigation, digest(&slo), at(120 * 3600))]);
    assert_eq!(measure(&slo, BudgetVerdict::Exhausted, at(60), &mut state), 0, "the same verdict is no news");
    let late = Facts { now: at(120 * 3600), ..no_target() };
    let weaker = signed(&org, changed(2, |s| s["objective"] = json!("99")), &OWNERS);
    let refused = judge(&create(&weaker), &state, &late);
    assert!(refused.findings.iter().any(|f| f.reason == Reason::ObligationOverdue), "{}", refused.message());
    // What is owed goes along with the next version.
    assert_eq!(hold(&weaker, &mut state), None);
    assert_eq!(state.obligations().map(|o| o.command).collect::<Vec<_>>(), [digest(&weaker)]);
    assert_eq!(enact(&signed(&org, plan(&weaker, 1, 1), &PLANNERS), &mut state), None);
    assert_eq!(state.obligations().count(), 0, "a plan meets it");
    let review = |command: Digest| draft("Review", json!({"command": command, "findings": "a cache ran full"}));
    let people = [("frank", "SRE"), ("alma", "ALPHA"), ("tina", "CTK")];
    check("nothing is owed", &signed(&org, review(digest(&weaker)), &people), &state, Reason::NothingToDo);
    measure(&weaker, BudgetVerdict::Met, at(70), &mut state);
    measure(&weaker, BudgetVerdict::Exhausted, at(80), &mut state);
    assert_eq!(enact(&signed(&org, review(digest(&weaker)), &people), &mut state), None);
    assert_eq!(state.obligations().count(), 0, "a review meets it too");
}
