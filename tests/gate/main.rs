//! The gate as the API server asks it, in one process: what it answers, and what it asks others for that.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "shared with the judge's tests, which use the rest")]
#[path = "../judge/org.rs"]
mod org;
#[expect(dead_code, reason = "shared with the bench, which uses the rest")]
mod place;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::ListParams;
use miax::api::reason::Reason;
use miax::constitution::Proposal;
use miax::trust::Verb;
use serde_json::{Value, json};

use org::{NOW, Org};
use place::{Place, SYNCER, Size, digest, digest_of, done, namespace, passes, review, template, workload};

const SMALL: Size = Size { namespaces: 10, objectives: 4, workloads: 3 };

/// The answer to a change of a workload: whether it is allowed, and the message.
async fn ask(place: &Place, workload: (usize, usize, usize), before: usize, after: usize) -> (bool, String) {
    answer(place, &review(workload, before, after, SYNCER)).await
}

async fn answer(place: &Place, review: &[u8]) -> (bool, String) {
    let answer: Value = place.webhook.answer_gated(review).await;
    let response = &answer["response"];
    let message = response["status"]["message"].as_str().unwrap_or_default().to_owned();
    (response["allowed"].as_bool().expect("an answer"), message)
}

#[tokio::test]
async fn a_gate_decision_asks_nobody() {
    let place = Place::prepare(SMALL).await;
    let (asked, before) = (place.asked(), place.ledger.view().head.next_index());
    let (mut passed, mut refused) = (0, 0);
    for tag in 2..12 {
        for one in SMALL.each() {
            let (allowed, message) = ask(&place, one, 0, tag).await;
            assert_eq!(allowed, passes(one), "{one:?}: {message}");
            if allowed { passed += 1 } else { refused += 1 }
        }
    }
    assert!(passed > 0 && refused > 0, "{passed} passed, {refused} refused");
    assert!(place.ledger.view().head.next_index() > before, "refusals are in the ledger");
    assert_eq!(place.asked(), asked, "nobody was asked for {passed} passes and {refused} refusals");
    // The count would have told: what asks the API server through the webhook's client is counted.
    let api: Api<Deployment> = Api::all(place.client.clone());
    api.list(&ListParams::default()).await.expect("a list");
    assert_eq!(place.asked(), asked + 1);
}

#[tokio::test]
async fn a_flood_of_refusals_is_refused_and_counted_while_others_pass() {
    let place = Place::prepare(SMALL).await;
    let before = place.ledger.view().head.next_index().0;
    // All ask before the first is answered, and each is somebody else and asks for something else.
    let reviews: Vec<Vec<u8>> = (0..1000).map(|n| review((9, 0, 0), 0, n + 2, &format!("somebody-{n}"))).collect();
    let flood = reviews.iter().map(|review| answer(&place, review));
    for (allowed, message) in futures::future::join_all(flood).await {
        assert!(!allowed && message.contains("NamespaceFrozen: "), "{message}");
    }
    let written = place.ledger.view().head.next_index().0 - before;
    assert!((1..500).contains(&written), "{written} entries");
    assert!(ask(&place, (0, 0, 0), 0, 2).await.0, "others pass");
}

#[tokio::test]
async fn while_nobody_vouches_for_the_ledger_no_plan_is_used() {
    let place = Place::prepare(Size { namespaces: 1, objectives: 2, workloads: 2 }).await;
    let org = Org::new();
    let spent = place.ledger.view().state.objective(&namespace(0), "availability-1").cloned().expect("an objective");
    let changed = digest_of(&template(3));
    let mut plan = json!({
        "apiVersion": "miax.dev/v1alpha1", "kind": "ControlCommand",
        "metadata": {"name": "plan", "namespace": namespace(0)},
        "spec": {
            "audience": ["test"], "impact": "Normal", "reason": "a smaller pool", "expiresAt": "2026-11-24T12:00:00Z",
            "action": {"type": "Mitigate", "mitigate": {
                "slo": "availability-1", "objective": spent.digest, "template": changed, "uses": 1,
                "target": {"kind": "Deployment", "name": workload(1, 1)}, "until": "2026-11-24T12:00:00Z",
            }},
            "signatures": [],
        },
    });
    org.sign(&mut plan, "frank", Verb::Author, "SRE");
    org.sign(&mut plan, "alma", Verb::Approve, "ALPHA");
    org.sign(&mut plan, "dana", Verb::Approve, "TCC");
    done(&place.ledger, Proposal::Enact(Box::new(plan.clone())), None).await;
    assert!(place.ledger.view().state.plans(*NOW).any(|(command, _)| *command == digest(&plan)));

    let doubts = || Some((Reason::Unwitnessed, "too few witnesses answer".to_owned()));
    let place = place.with_doubts(Arc::new(doubts));
    let left = |place: &Place| place.ledger.view().state.plans(*NOW).count();
    let (allowed, message) = ask(&place, (0, 1, 1), 0, 3).await;
    assert!(!allowed && message.contains("Unwitnessed: too few witnesses answer"), "{message}");
    assert_eq!(left(&place), 1, "no use is spent");
    let (allowed, message) = ask(&place, (0, 1, 0), 0, 1).await;
    assert!(allowed, "back to what ran well: {message}");
    let (allowed, message) = ask(&place, (0, 0, 0), 0, 3).await;
    assert!(allowed, "nothing stands against it: {message}");
    let place = place.with_doubts(Arc::new(|| None));
    let (allowed, message) = ask(&place, (0, 1, 1), 0, 3).await;
    assert!(allowed, "{message}");
    assert_eq!(left(&place), 0, "it is used up");
}
