//! Commands: who may, when, where, on what.

use miax::api::GovernedKind;
use miax::api::reason::Reason;
use miax::constitution::{
    Decision, Effect, EffectEndEvent, Facts, Operation, Proposal, Reply, Request, TargetFact, deliberate, judge,
};
use miax::trust::{SigningKey, Verb};
use miax::units::{LogIndex, Seconds};
use serde_json::{Value, json};

use crate::org::{NOW, Org, apply, create, draft, facts, signature, state_with};

fn decide(object: &Value, facts: &Facts) -> Decision {
    judge(&create(object), &Org::new().state(), facts)
}

#[track_caller]
pub fn check_at(name: &str, object: &Value, facts: &Facts, expected: Reason) -> Decision {
    let decision = decide(object, facts);
    assert_eq!(decision.reason(), expected, "{name}: {}", decision.message());
    assert_eq!(decision.is_allowed(), expected == Reason::QuorumComplete, "{name}");
    decision
}

#[track_caller]
pub fn check(name: &str, object: &Value, expected: Reason) -> Decision {
    check_at(name, object, &facts(), expected)
}

/// The approved command after a change, signed again by everybody.
pub fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let org = Org::new();
    let mut object = draft("Critical");
    change(&mut object);
    for (name, verb, seat) in [
        ("alpha-bot", Verb::Author, "ALPHA"),
        ("frank", Verb::Approve, "SRE"),
        ("dana", Verb::Approve, "TCC"),
        ("alma", Verb::Approve, "ALPHA"),
    ] {
        org.sign(&mut object, name, verb, seat);
    }
    object
}

/// The approved command after a change that nobody signed.
fn spoiled(change: impl FnOnce(&mut Value)) -> Value {
    let mut object = Org::new().approved();
    change(&mut object);
    object
}

#[test]
fn seats_are_filled_by_different_people() {
    let org = Org::new();
    check("SRE, TCC and ALPHA approve", &org.approved(), Reason::QuorumComplete);
    check("nobody signed", &draft("Critical"), Reason::Unsigned);
    let mut object = draft("Critical");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    check("nobody authored", &object, Reason::AuthorMissing);
    let mut object = org.approved();
    org.sign(&mut object, "alec", Verb::Author, "ALPHA");
    check("two authors", &object, Reason::AuthorNotUnique);
    let mut object = draft("Critical");
    org.sign(&mut object, "frank", Verb::Author, "SRE");
    check("an organ that may not author", &object, Reason::AuthorNotEligible);
    let mut object = draft("Critical");
    org.sign(&mut object, "alma", Verb::Author, "ALPHA");
    for (name, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
        org.sign(&mut object, name, Verb::Approve, seat);
    }
    check("the author approves", &object, Reason::AuthorApproves);
    let mut object = org.command("Critical");
    for (name, seat) in [("sam", "SRE"), ("sam", "TCC"), ("alma", "ALPHA")] {
        org.sign(&mut object, name, Verb::Approve, seat);
    }
    check("one person in two seats", &object, Reason::DuplicatePrincipal);
    let mut object = org.command("Critical");
    org.sign(&mut object, "dana", Verb::Approve, "SRE");
    check("a seat that the signer does not hold", &object, Reason::SeatNotHeld);
    let mut object = org.command("Critical");
    for (name, seat) in [("sre-bot", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
        org.sign(&mut object, name, Verb::Approve, seat);
    }
    check("a machine fills no person's seat", &object, Reason::SeatsMissing);
}

#[test]
fn a_denial_says_who_is_missing_and_what_to_run() {
    let org = Org::new();
    let mut object = org.command("Critical");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    org.sign(&mut object, "alma", Verb::Approve, "ALPHA");
    let decision = check("TCC is open", &object, Reason::SeatsMissing);
    assert_eq!(
        decision.message(),
        "SeatsMissing: needs TCC (1 of: dana, eve, sam) [runtime-critical, Article V]; run: miax approve -f scale.yaml --seat TCC"
    );
}

#[test]
fn a_pool_takes_anybody_of_it_but_two_different_people() {
    let org = Org::new();
    let mut object = org.command("Normal");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    check("one of two", &object, Reason::SeatsMissing);
    org.sign(&mut object, "fay", Verb::Approve, "SRE");
    check("two of one organ", &object, Reason::QuorumComplete);
}

#[test]
fn objections_stop_until_they_are_withdrawn() {
    let org = Org::new();
    let at = |seconds| NOW.plus(Seconds(seconds));
    let late = Facts { now: at(60), ..facts() };
    let mut object = org.approved();
    org.sign_at(&mut object, "eve", Verb::Object, "TCC", at(10));
    check_at("an objection beats approvals", &object, &late, Reason::ObjectionPresent);
    org.sign_at(&mut object, "eve", Verb::Withdraw, "TCC", at(10));
    check_at("a withdrawal of the same second does not lift it", &object, &late, Reason::ObjectionPresent);
    let mut object = org.approved();
    org.sign_at(&mut object, "eve", Verb::Object, "TCC", at(10));
    org.sign_at(&mut object, "eve", Verb::Withdraw, "TCC", at(11));
    check_at("a later withdrawal lifts it", &object, &late, Reason::QuorumComplete);
    let mut object = org.approved();
    org.sign_at(&mut object, "dana", Verb::Withdraw, "TCC", *NOW);
    check_at("an approval can be withdrawn", &object, &late, Reason::SeatsMissing);
    let mut object = org.approved();
    org.sign_at(&mut object, "tom", Verb::Object, "CTK", at(10));
    check_at("a seat that the rule does not need has no say", &object, &late, Reason::QuorumComplete);
}

#[test]
fn signatures_must_be_what_they_claim() {
    let org = Org::new();
    check("one byte changed", &spoiled(|o| o["spec"]["reason"] = json!("sake")), Reason::SignatureInvalid);
    check("another name", &spoiled(|o| o["metadata"]["name"] = json!("other")), Reason::SignatureInvalid);
    check("another namespace", &spoiled(|o| o["metadata"]["namespace"] = json!("bank")), Reason::SignatureInvalid);
    let one =
        |field: &'static str, value: &'static str| spoiled(move |o| o["spec"]["signatures"][1][field] = json!(value));
    check("another comment", &one("comment", "x"), Reason::SignatureInvalid);
    check("another time", &one("signedAt", "2026-11-24T09:59:59Z"), Reason::SignatureInvalid);
    check("an unknown principal", &one("principal", "nobody"), Reason::PrincipalUnknown);
    check("an unknown key", &one("key", "SHA256:AAAA"), Reason::KeyUnknown);
    check("malformed base64", &one("value", "%%%"), Reason::SignatureMalformed);
    check("not a signature", &one("value", "AAAA"), Reason::SignatureMalformed);
    check("another format", &one("format", "sshsig"), Reason::SignatureMalformed);
    check("an unknown verb", &one("verb", "endorse"), Reason::FieldInvalid);
    let alma = org.key("alma").public().expect("public").id().to_string();
    let foreign = spoiled(move |o| o["spec"]["signatures"][1]["key"] = json!(alma));
    check("a key of another principal", &foreign, Reason::KeyOfAnotherPrincipal);
    let mut object = org.approved();
    let stranger = SigningKey::from_ed25519_seed(&[99; 32]);
    let extra = signature(&object, &stranger, "eve", Verb::Approve, "TCC", *NOW);
    object["spec"]["signatures"].as_array_mut().expect("list").push(extra);
    check("an extra signature by a stranger's key refuses the whole", &object, Reason::KeyUnknown);
}

#[test]
fn a_command_is_for_its_cluster_and_namespace() {
    check("no audience", &changed(|o| o["spec"]["audience"] = json!([])), Reason::AudienceMissing);
    check("another cluster's", &changed(|o| o["spec"]["audience"] = json!(["prod"])), Reason::AudienceForeign);
    let elsewhere = Facts { cluster_uid: "other".into(), ..facts() };
    check_at("a cluster that the charter does not know", &Org::new().approved(), &elsewhere, Reason::AudienceForeign);
    let target =
        |field: &'static str, value: Value| changed(move |o| o["spec"]["action"]["scale"]["target"][field] = value);
    check("a target in another namespace", &target("namespace", json!("bank")), Reason::TargetInOtherNamespace);
    let governance = |namespace: &'static str| {
        changed(move |o| {
            o["metadata"]["namespace"] = json!("miax-system");
            o["spec"]["action"]["scale"]["target"]["namespace"] = json!(namespace);
        })
    };
    check("a governance command may reach out", &governance("bank"), Reason::QuorumComplete);
    check("but not to kube-system", &governance("kube-system"), Reason::TargetProtected);
    check("nor to the ledger", &governance("miax-ledger"), Reason::TargetProtected);
    check("a name that is a path", &target("name", json!("a/../b")), Reason::FieldInvalid);
}

#[test]
fn the_target_must_be_there_and_as_expected() {
    let object = Org::new().approved();
    let with = |target| Facts { target, ..facts() };
    check_at("it is missing", &object, &with(TargetFact::Missing), Reason::TargetMissing);
    check_at("the view is stale", &object, &with(TargetFact::Stale), Reason::FactsStale);
    check_at("nobody looked", &object, &with(TargetFact::NotNamed), Reason::FactsStale);
    let at = |generation: i64| changed(move |o| o["spec"]["precondition"] = json!({"generation": generation}));
    check("the generation that was meant", &at(4), Reason::QuorumComplete);
    check("another one", &at(3), Reason::PreconditionFailed);
}

#[test]
fn what_is_not_a_command_is_refused() {
    let replicas = |value: Value| changed(move |o| o["spec"]["action"]["scale"]["replicas"] = value);
    check("replicas below zero", &replicas(json!(-1)), Reason::ReplicasInvalid);
    check("too many replicas", &replicas(json!(100_001)), Reason::ReplicasInvalid);
    check("no replicas at all", &replicas(json!(0)), Reason::QuorumComplete);
    let kind = |kind: &'static str| changed(move |o| o["spec"]["action"]["scale"]["target"]["kind"] = json!(kind));
    check("a DaemonSet cannot be scaled", &kind("DaemonSet"), Reason::ActionNotForKind);
    check("a kind that nobody knows", &kind("Pod"), Reason::ActionNotForKind);
    check("an unknown action", &changed(|o| o["spec"]["action"]["type"] = json!("Explode")), Reason::ActionUnknown);
    let two = changed(|o| o["spec"]["action"]["restart"] = o["spec"]["action"]["scale"].clone());
    check("two actions with unknown fields", &two, Reason::FieldUnknown);
    check("an unknown field", &changed(|o| o["spec"]["force"] = json!(true)), Reason::FieldUnknown);
    check("an empty reason", &changed(|o| o["spec"]["reason"] = json!(" ")), Reason::FieldInvalid);
    check("an unknown impact", &changed(|o| o["spec"]["impact"] = json!("Huge")), Reason::FieldInvalid);
    check("a float", &spoiled(|o| o["spec"]["action"]["scale"]["replicas"] = json!(3.5)), Reason::FloatFound);
    check("another api version", &spoiled(|o| o["apiVersion"] = json!("miax.dev/v1")), Reason::KindUnknown);
    check("no spec", &spoiled(|o| o["spec"] = Value::Null), Reason::FieldInvalid);
    check("a generated name", &spoiled(|o| o["metadata"]["generateName"] = json!("x-")), Reason::NameInvalid);
    check("six mebibytes", &spoiled(|o| o["spec"]["reason"] = json!("x".repeat(6 << 20))), Reason::TooLarge);
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    check("a hundred levels", &spoiled(move |o| o["spec"]["deep"] = deep), Reason::TooDeep);
}

#[test]
fn a_patch_names_its_places_and_nothing_else() {
    let patch = |fields: Value| {
        changed(move |o| {
            let mut patch = fields;
            patch["target"] = o["spec"]["action"]["scale"]["target"].clone();
            o["spec"]["action"] = json!({"type": "Patch", "patch": patch});
        })
    };
    let container = |fields: Value| patch(json!({"containers": [fields]}));
    let image = container(json!({"name": "app", "image": "registry.example/checkout:2"}));
    let decision = check("an image", &image, Reason::QuorumComplete);
    assert_eq!(decision.rules, ["runtime-critical"]);
    check("replicas", &patch(json!({"replicas": 2})), Reason::QuorumComplete);
    check("nothing", &patch(json!({})), Reason::FieldInvalid);
    check("a container without a change", &container(json!({"name": "app"})), Reason::FieldInvalid);
    check("replicas below zero", &patch(json!({"replicas": -2})), Reason::ReplicasInvalid);
    check("another place", &container(json!({"name": "app", "command": ["sh"]})), Reason::FieldUnknown);
    let twice = json!([{"name": "app", "image": "a"}, {"name": "app", "image": "b"}]);
    check("a container twice", &patch(json!({"containers": twice})), Reason::FieldInvalid);
    let env = json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]);
    check("a variable twice", &container(json!({"name": "app", "env": env})), Reason::FieldInvalid);
}

#[test]
fn a_command_works_once() {
    let org = Org::new();
    let object = org.approved();
    let mut state = org.state();
    let review = deliberate(&Proposal::Review(Box::new(create(&object))), &state, &facts());
    apply(&mut state, &review.events);
    let again = Request { uid: "u2".into(), ..create(&object) };
    assert!(judge(&again, &state, &facts()).is_allowed(), "before it began, a re-create is the same command");
    let begun = deliberate(&Proposal::Begin(Box::new(object.clone())), &state, &facts());
    let Reply::Begin(plan) = &begun.reply else { panic!("{:?}", begun.reply) };
    assert_eq!(plan.begin.executor, "SRE");
    let began: LogIndex = state.next_index();
    apply(&mut state, &begun.events);
    assert_eq!(judge(&again, &state, &facts()).reason(), Reason::CommandConsumed);
    let second = deliberate(&Proposal::Begin(Box::new(object.clone())), &state, &facts());
    assert!(second.events.is_empty(), "only one executor can begin");
    let end = EffectEndEvent {
        object: plan.begin.object.clone(),
        digest: plan.digest,
        began,
        reason: Reason::EffectDone,
        message: "done".into(),
        resource_version: None,
    };
    let done = Proposal::End(Effect::Done(end));
    let ended = deliberate(&done, &state, &facts());
    assert_eq!(ended.events.len(), 1);
    apply(&mut state, &ended.events);
    assert!(deliberate(&done, &state, &facts()).events.is_empty(), "an end is recorded once");
    assert_eq!(judge(&again, &state, &facts()).reason(), Reason::CommandConsumed);
}

#[test]
fn the_same_request_is_recorded_once() {
    let org = Org::new();
    let mut state = org.state();
    let review = Proposal::Review(Box::new(create(&org.approved())));
    let first = deliberate(&review, &state, &facts());
    let index = state.next_index();
    apply(&mut state, &first.events);
    let second = deliberate(&review, &state, &facts());
    assert!(second.events.is_empty());
    assert!(matches!(second.reply, Reply::JudgedBefore(at, decision) if at == index && decision.is_allowed()));
    // The UID of an allowed request does not carry another object through.
    let stolen = Proposal::Review(Box::new(create(&draft("Critical"))));
    let third = deliberate(&stolen, &state, &facts());
    assert!(matches!(third.reply, Reply::Judged(decision) if decision.reason() == Reason::Unsigned));
}

#[test]
fn updates_may_only_add_signatures() {
    let org = Org::new();
    let old = org.approved();
    let update = |new: &Value| {
        let request = Request { operation: Operation::Update, old: Some(old.clone()), ..create(new) };
        judge(&request, &org.state(), &facts())
    };
    let mut labelled = old.clone();
    labelled["metadata"]["labels"] = json!({"a": "b"});
    let decision = update(&labelled);
    assert_eq!((decision.reason(), decision.recorded), (Reason::Unchanged, false));
    let mut more = old.clone();
    org.sign(&mut more, "fay", Verb::Approve, "SRE");
    assert_eq!(update(&more).reason(), Reason::QuorumComplete);
    let mut other = old.clone();
    other["spec"]["reason"] = json!("because");
    assert_eq!(update(&other).reason(), Reason::SpecImmutable);
    let mut fewer = old.clone();
    fewer["spec"]["signatures"].as_array_mut().expect("list").pop();
    assert_eq!(update(&fewer).reason(), Reason::SignatureRemoved);
}

#[test]
fn commands_may_be_deleted_and_the_charter_in_force_not() {
    let state = Org::new().state();
    let delete = |kind: GovernedKind, name: &str| {
        let request = Request {
            operation: Operation::Delete,
            kind,
            name: name.into(),
            object: None,
            ..create(&Org::new().approved())
        };
        judge(&request, &state, &facts()).reason()
    };
    assert_eq!(delete(GovernedKind::ControlCommand, "scale"), Reason::DeletionAllowed);
    assert_eq!(delete(GovernedKind::Manifest, "constitution-v1"), Reason::CharterInForce);
    assert_eq!(delete(GovernedKind::Manifest, "constitution-v0"), Reason::DeletionAllowed);
}

#[test]
fn the_charter_raises_the_impact() {
    let org = Org::new();
    let charter = org.charter_with(|c| {
        c["spec"]["body"]["charter"]["impacts"] = json!([{"namespaces": ["shop"], "atLeast": "Critical"}]);
    });
    let mut object = org.command("Normal");
    org.sign(&mut object, "frank", Verb::Approve, "SRE");
    org.sign(&mut object, "fay", Verb::Approve, "SRE");
    let decision = judge(&create(&object), &state_with(&charter), &facts());
    assert_eq!(decision.rules, ["runtime-critical"]);
    assert_eq!(decision.reason(), Reason::SeatsMissing);
}

#[test]
fn what_no_rule_covers_is_refused() {
    let org = Org::new();
    let charter = org.charter_with(|c| {
        c["spec"]["body"]["charter"]["rules"]
            .as_array_mut()
            .expect("rules")
            .retain(|r| r["name"] != "runtime-critical");
    });
    let decision = judge(&create(&org.approved()), &state_with(&charter), &facts());
    assert_eq!(decision.reason(), Reason::NoRuleMatches);
}
