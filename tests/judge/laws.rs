//! Laws: what holds for every set of signatures.

use std::sync::LazyLock;

use miax::api::GovernedKind;
use miax::constitution::{Proposal, State, deliberate, judge, recheck};
use miax::trust::Verb;
use proptest::prelude::*;
use serde_json::Value;

use crate::org::{Org, apply, create, facts};

static ORG: LazyLock<Org> = LazyLock::new(Org::new);
static STATE: LazyLock<State> = LazyLock::new(|| ORG.state());

/// Who can approve a command, and for which seat.
const APPROVALS: [(&str, &str); 8] = [
    ("frank", "SRE"),
    ("fay", "SRE"),
    ("sam", "SRE"),
    ("sam", "TCC"),
    ("dana", "TCC"),
    ("eve", "TCC"),
    ("alma", "ALPHA"),
    ("alec", "ALPHA"),
];

fn with(chosen: &[usize], impact: &str) -> Value {
    let mut object = ORG.command(impact);
    for i in chosen {
        let (name, seat) = APPROVALS[*i];
        ORG.sign(&mut object, name, Verb::Approve, seat);
    }
    object
}

fn allowed(object: &Value) -> bool {
    judge(&create(object), &STATE, &facts()).is_allowed()
}

/// How many seats of the rule are filled.
fn filled(object: &Value) -> usize {
    judge(&create(object), &STATE, &facts()).seats.iter().map(|s| s.filled_by.len()).sum()
}

/// The rule runtime-critical by brute force: three different people, one for each seat.
fn quorum(chosen: &[usize]) -> bool {
    let people = |seat: &str| -> Vec<&str> {
        chosen.iter().map(|i| APPROVALS[*i]).filter(|(_, s)| *s == seat).map(|(name, _)| name).collect()
    };
    // Saying two things is refused whatever else is said.
    let twice = chosen.iter().any(|i| chosen.iter().any(|j| i != j && APPROVALS[*i].0 == APPROVALS[*j].0));
    let fills =
        people("SRE").iter().any(|sre| people("TCC").iter().any(|tcc| sre != tcc)) && !people("ALPHA").is_empty();
    fills && !twice
}

fn chosen() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..APPROVALS.len()).collect::<Vec<_>>(), 0..=APPROVALS.len())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn counting_is_what_brute_force_says(chosen in chosen()) {
        prop_assert_eq!(allowed(&with(&chosen, "Critical")), quorum(&chosen), "{:?}", chosen);
    }

    #[test]
    fn the_order_of_signatures_never_matters(chosen in chosen(), seed in any::<u64>()) {
        let object = with(&chosen, "Critical");
        let mut shuffled = object.clone();
        let list = shuffled["spec"]["signatures"].as_array_mut().expect("list");
        let length = list.len();
        for i in 1..length {
            list.swap(i, usize::try_from(seed.rotate_left(u32::try_from(i).expect("small")) % 97).expect("small") % (i + 1));
        }
        let verdict = |o: &Value| {
            let decision = judge(&create(o), &STATE, &facts());
            (decision.verdict, decision.reason())
        };
        prop_assert_eq!(verdict(&object), verdict(&shuffled));
    }

    #[test]
    fn a_duplicate_never_helps(chosen in chosen(), again in 0..APPROVALS.len()) {
        let mut object = with(&chosen, "Normal");
        let before = allowed(&object);
        let (name, seat) = APPROVALS[again];
        ORG.sign(&mut object, name, Verb::Approve, seat);
        ORG.sign(&mut object, name, Verb::Approve, seat);
        prop_assert!(!allowed(&object) || before);
    }

    #[test]
    fn taking_an_approval_away_never_allows(chosen in chosen(), index in 0..APPROVALS.len()) {
        // Saying two things refuses, and taking one of them away makes it count again; that is not the law here.
        let distinct = chosen.iter().all(|i| chosen.iter().filter(|j| APPROVALS[**j].0 == APPROVALS[*i].0).count() == 1);
        prop_assume!(distinct && chosen.contains(&index));
        let fewer: Vec<usize> = chosen.iter().copied().filter(|i| *i != index).collect();
        let (all, less) = (with(&chosen, "Critical"), with(&fewer, "Critical"));
        prop_assert!(allowed(&all) || !allowed(&less));
    }

    #[test]
    fn one_signature_more_empties_no_seat(chosen in chosen(), more in 0..APPROVALS.len()) {
        let distinct = |chosen: &[usize]| chosen.iter().all(|i| chosen.iter().filter(|j| APPROVALS[**j].0 == APPROVALS[*i].0).count() == 1);
        let mut longer = chosen.clone();
        longer.push(more);
        // Somebody who says two things refuses the whole; that is another law.
        prop_assume!(distinct(&longer));
        prop_assert!(filled(&with(&longer, "Critical")) >= filled(&with(&chosen, "Critical")));
    }

    #[test]
    fn a_person_who_leaves_fills_no_seat(chosen in chosen(), gone in 0..APPROVALS.len()) {
        let name = APPROVALS[gone].0;
        let stays: Vec<usize> = chosen.iter().copied().filter(|i| APPROVALS[*i].0 != name).collect();
        let distinct = chosen.iter().all(|i| chosen.iter().filter(|j| APPROVALS[**j].0 == APPROVALS[*i].0).count() == 1);
        prop_assume!(distinct);
        let (all, less) = (filled(&with(&chosen, "Critical")), filled(&with(&stays, "Critical")));
        prop_assert!(less <= all && all <= less + 1, "one person fills at most one seat: {} and {}", all, less);
    }

    #[test]
    fn no_single_person_satisfies_a_rule_of_two_seats(who in 0..APPROVALS.len(), impact in prop::sample::select(vec!["Normal", "High", "Critical"])) {
        let name = APPROVALS[who].0;
        let own: Vec<usize> = (0..APPROVALS.len()).filter(|i| APPROVALS[*i].0 == name).collect();
        prop_assert!(!allowed(&with(&own, impact)));
    }

    #[test]
    fn requests_about_other_objects_never_change_a_verdict(first in chosen(), second in chosen()) {
        let (one, other) = (with(&first, "Critical"), with(&second, "High"));
        let before = judge(&create(&one), &STATE, &facts());
        let mut state = STATE.clone();
        let events = deliberate(&Proposal::Review(Box::new(create(&other))), &state, &facts()).events;
        apply(&mut state, &events);
        prop_assert_eq!(before, judge(&create(&one), &state, &facts()));
    }

    #[test]
    fn no_object_makes_the_judge_panic(text in "\\PC{0,40}", number in any::<i64>(), at in 0..8_usize) {
        let mut object = with(&[0, 4, 6], "Critical");
        let place = ["spec", "metadata", "kind", "apiVersion", "status", "spec/action", "spec/audience", "spec/signatures"][at];
        if let Some(slot) = object.pointer_mut(&format!("/{place}")) {
            *slot = if number % 2 == 0 { Value::from(text) } else { Value::from(number) };
        }
        let decision = recheck(&object, GovernedKind::ControlCommand, &STATE, &facts());
        prop_assert!(at == 4 || !decision.is_allowed());
    }
}

#[test]
fn folding_the_same_events_gives_the_same_judgements() {
    let mut first = ORG.state();
    let review = deliberate(&Proposal::Review(Box::new(create(&ORG.approved()))), &first, &facts());
    apply(&mut first, &review.events);
    let mut second = ORG.state();
    apply(&mut second, &review.events);
    let begin = |state: &State| deliberate(&Proposal::Begin(Box::new(ORG.approved())), state, &facts()).events;
    assert_eq!(begin(&first), begin(&second));
}
