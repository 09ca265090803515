//! Charters: the first one, its lint, and what comes after it.

use miax::api::reason::Reason;
use miax::constitution::{Charter, Facts, LintLevel, LintName, Manifest, judge, lint};
use miax::constitution::{State, TargetFact};
use miax::trust::Verb;
use miax::units::Seconds;
use serde_json::{Value, json};

use crate::org::{NOW, Org, create, facts};

/// Judges a charter as the first one.
fn first(object: &Value) -> (Reason, String) {
    let genesis = Manifest::read(object).ok().map(|m| m.document.digest);
    let facts = Facts { genesis, target: TargetFact::NotNamed, ..facts() };
    let decision = judge(&create(object), &State::default(), &facts);
    (decision.reason(), decision.message())
}

#[track_caller]
fn check(name: &str, change: impl FnOnce(&mut Value), expected: Reason, part: &str) {
    let (reason, message) = first(&Org::new().charter_with(|o| change(&mut o["spec"]["body"]["charter"])));
    assert_eq!(reason, expected, "{name}: {message}");
    assert!(message.contains(part), "{name}: {message}");
}

#[test]
fn the_first_charter_is_chosen_by_its_digest() {
    let org = Org::new();
    assert_eq!(first(&org.charter).0, Reason::QuorumComplete);
    let without = Facts { target: TargetFact::NotNamed, ..facts() };
    let reason = |facts: &Facts| judge(&create(&org.charter), &State::default(), facts).reason();
    assert_eq!(reason(&without), Reason::GenesisMismatch);
    let other = Facts { genesis: Some(miax::trust::sha256(b"other")), ..without };
    assert_eq!(reason(&other), Reason::GenesisMismatch);
    let command = judge(&create(&org.approved()), &State::default(), &facts());
    assert_eq!(command.reason(), Reason::NoCharter);
}

#[test]
fn versions_follow_each_other() {
    let org = Org::new();
    let state = org.state();
    let judged = |object: &Value| judge(&create(object), &state, &facts()).reason();
    assert_eq!(judged(&org.charter), Reason::QuorumComplete, "the charter in force, again");
    let reused = org.charter_with(|o| o["spec"]["expiresAt"] = json!("2027-01-01T00:00:00Z"));
    assert_eq!(judged(&reused), Reason::VersionReused);
    let version = |version: u64| {
        org.charter_with(|o| {
            o["metadata"]["name"] = json!(format!("constitution-v{version}"));
            o["spec"]["version"] = json!(version);
        })
    };
    assert_eq!(judged(&version(3)), Reason::VersionNotNext);
    let named = org.charter_with(|o| o["metadata"]["name"] = json!("constitution-v9"));
    assert_eq!(judged(&named), Reason::NameInvalid);
}

#[test]
fn an_expired_charter_allows_nothing() {
    let org = Org::new();
    let charter = org.charter_with(|o| o["spec"]["expiresAt"] = json!(NOW.plus(Seconds(60)).to_string()));
    let state = crate::org::state_with(&charter);
    let late = Facts { now: NOW.plus(Seconds(60)), ..facts() };
    assert_eq!(judge(&create(&org.approved()), &state, &late).reason(), Reason::CharterExpired);
    let empty = org.charter_with(|o| o["spec"]["authority"] = json!("CTK"));
    assert_eq!(first(&empty).0, Reason::AuthorityWrong);
}

#[test]
fn charters_that_cannot_be_understood_are_refused() {
    let lint = Reason::CharterLint;
    check("nobody at all", |c| c["principals"] = json!([]), lint, "principals is empty");
    check("no seats", |c| c["principals"][0]["seats"] = json!([]), lint, "keys or seats is empty");
    check("no keys", |c| c["principals"][0]["keys"] = json!([]), lint, "keys or seats is empty");
    check("zero seats in a rule", |c| rule(c, "runtime-critical")["require"] = json!([]), lint, "is empty");
    check("threshold 0", |c| rule(c, "runtime-critical")["require"][0]["count"] = json!(0), lint, "threshold `0`");
    check(
        "threshold below 0",
        |c| rule(c, "runtime-critical")["require"][0]["count"] = json!(-1),
        lint,
        "threshold `-1`",
    );
    check(
        "a fraction above 1",
        |c| rule(c, "amendment")["require"][2]["fraction"] = json!("3/2"),
        lint,
        "threshold `3/2`",
    );
    check(
        "a fraction of nothing",
        |c| rule(c, "amendment")["require"][2]["fraction"] = json!("0/2"),
        lint,
        "threshold `0/2`",
    );
    check(
        "an unknown organ",
        |c| rule(c, "runtime-critical")["require"][0]["seat"] = json!("XYZ"),
        lint,
        "organ `XYZ`",
    );
    check(
        "a seat and a pool",
        |c| rule(c, "runtime-critical")["require"][0]["pool"] = json!(["SRE"]),
        lint,
        "nothing else",
    );
    check("a shared key", |c| c["principals"][1]["keys"] = c["principals"][0]["keys"].clone(), lint, "share the key");
    check("a name twice", |c| c["principals"][1]["name"] = json!("carol"), lint, "stands twice");
    check("an unknown key type", |c| c["principals"][0]["keys"][0]["type"] = json!("rsa"), lint, "`rsa`");
    check("a broken key", |c| c["principals"][0]["keys"][0]["public"] = json!("AAAA"), lint, "carol");
    check("a period without a unit", |c| rule(c, "runtime-normal")["maxValidity"] = json!("4"), lint, "not a duration");
}

/// Findings of the lint that are not warnings, as `name subject`.
fn findings(change: impl FnOnce(&mut Value)) -> Vec<(LintName, String)> {
    let object = Org::new().charter_with(|o| change(&mut o["spec"]["body"]["charter"]));
    let charter: Charter = Manifest::read(&object).expect("charter").charter;
    lint(&charter).into_iter().filter(|f| f.blocks()).map(|f| (f.name, f.subject)).collect()
}

/// A rule of the charter.
fn rule<'a>(charter: &'a mut Value, name: &str) -> &'a mut Value {
    let rules = charter["rules"].as_array_mut().expect("rules");
    rules.iter_mut().find(|r| r["name"] == name).expect("the rule is there")
}

fn remove(charter: &mut Value, names: &[&str]) {
    let keep = |p: &Value| !names.contains(&p["name"].as_str().expect("name"));
    charter["principals"].as_array_mut().expect("principals").retain(keep);
}

/// The rules that nobody can satisfy without alma, when alec is not there.
const ONLY_ALMA: [&str; 6] =
    ["runtime-critical", "post-mortem", "mitigation", "waive", "override", "emergency-amendment"];

#[test]
fn lint_finds_what_would_hurt() {
    assert_eq!(findings(|_| {}), [], "the default charter with this organisation is clean");
    let critical = || "runtime-critical".to_owned();
    let found = findings(|c| remove(c, &["alec"]));
    assert_eq!(
        found,
        ONLY_ALMA.map(|rule| (LintName::LostKeyBlocksRule, rule.to_owned())),
        "only alma can approve for ALPHA"
    );
    let found = findings(|c| {
        rule(c, "runtime-critical")["require"] = json!([{"seat": "SRE", "count": 1}]);
    });
    assert_eq!(found, [(LintName::OnePersonSatisfiesRule, critical())], "frank and the machine");
    let found = findings(|c| rule(c, "runtime-critical")["require"][0]["count"] = json!(9));
    assert_eq!(found, [(LintName::RuleImpossible, critical())], "nine of three");
    let found = findings(|c| remove(c, &["anna", "abel"]));
    let impossible = |rule: &str| (LintName::RuleImpossible, rule.to_owned());
    let empty = (LintName::OrganWithoutHolders, "APXGP".to_owned());
    let expected = [empty, impossible("amendment"), impossible("ratification"), impossible("open-epoch")];
    assert_eq!(found, expected, "nobody can review an amendment");
    let without =
        |gone: &'static str| findings(move |c| c["rules"].as_array_mut().expect("rules").retain(|r| r["name"] != gone));
    assert_eq!(without("amendment"), [(LintName::NoPathToAmend, "rules".to_owned())]);
    assert_eq!(without("post-mortem"), [(LintName::NoPathToReview, critical())], "the rule would stop itself for ever");
    let found = findings(|c| c["impacts"] = json!([{"atLeast": "Critical"}]));
    let names = ["runtime-normal", "runtime-high"].map(|n| (LintName::RuleUnreachable, n.to_owned()));
    assert_eq!(found, names, "everything is critical");
}

#[test]
fn a_second_key_is_not_a_second_person() {
    let found = findings(|c| {
        remove(c, &["alec"]);
        for (seed, name) in [(77, "alma"), (78, "alpha-bot")] {
            let spare = json!({"type": "ed25519", "public": spare_key(seed)});
            let principal = c["principals"].as_array_mut().expect("list").iter_mut().find(|p| p["name"] == name);
            principal.expect("there")["keys"].as_array_mut().expect("keys").push(spare);
        }
    });
    assert_eq!(found, [], "alma and the machine that authors may each lose one key");
}

fn spare_key(seed: u8) -> String {
    miax::trust::SigningKey::from_ed25519_seed(&[seed; 32]).public().expect("public").text()
}

#[test]
fn a_waiver_is_part_of_the_charter() {
    let waive = |c: &mut Value| {
        remove(c, &["alec"]);
        let waiver =
            |rule: &str| json!({"finding": "LostKeyBlocksRule", "subject": rule, "reason": "alec joins in May"});
        c["waivers"] = json!(ONLY_ALMA.map(waiver));
    };
    assert_eq!(findings(waive), []);
    let object = Org::new().charter_with(|o| waive(&mut o["spec"]["body"]["charter"]));
    let charter = Manifest::read(&object).expect("charter").charter;
    let waived = LintLevel::Waived("alec joins in May".into());
    assert!(lint(&charter).iter().any(|f| f.level == waived), "it is shown for ever");
    assert_eq!(first(&object).0, Reason::QuorumComplete);
    let refused = Org::new().charter_with(|o| remove(&mut o["spec"]["body"]["charter"], &["alec"]));
    let (reason, message) = first(&refused);
    assert_eq!(reason, Reason::CharterLint);
    assert!(message.contains("LostKeyBlocksRule (runtime-critical)"), "{message}");
}

#[test]
fn no_rule_relaxes_a_floor() {
    let org = Org::new();
    // A rule that one person could satisfy with the machine, waived by the signers; the floor stays.
    let charter = |floors: Value| {
        org.charter_with(|o| {
            let c = &mut o["spec"]["body"]["charter"];
            rule(c, "runtime-high")["require"] = json!([{"pool": ["SRE", "TCC"], "count": 1}]);
            let waiver = |f: &str| json!({"finding": f, "subject": "runtime-high", "reason": "a small team"});
            c["waivers"] = json!([waiver("OnePersonSatisfiesRule")]);
            match floors {
                Value::Null => drop(c.as_object_mut().expect("charter").remove("floors")),
                floors => c["floors"] = floors,
            }
        })
    };
    let judged = |floors: Value, impact: &str, people: &[&str]| {
        let mut object = org.command(impact);
        for name in people {
            org.sign(&mut object, name, Verb::Approve, "SRE");
        }
        judge(&create(&object), &crate::org::state_with(&charter(floors)), &facts()).reason()
    };
    let two = || json!([{"impact": "High", "minPersons": 2}]);
    assert_eq!(judged(Value::Null, "High", &["frank"]), Reason::QuorumComplete, "without a floor");
    assert_eq!(judged(two(), "High", &["frank"]), Reason::FloorNotMet, "the machine is no person");
    assert_eq!(judged(two(), "High", &["frank", "fay"]), Reason::QuorumComplete);
    assert_eq!(judged(json!([{"impact": "Critical", "minPersons": 2}]), "High", &["frank"]), Reason::QuorumComplete);
    assert_eq!(judged(json!([{"actions": ["Restart"], "minPersons": 2}]), "High", &["frank"]), Reason::QuorumComplete);
    assert_eq!(
        judged(json!([{"namespaces": ["shop"], "minPersons": 3}]), "Normal", &["frank", "fay"]),
        Reason::FloorNotMet
    );
    let found = findings(|c| c["floors"] = json!([{"minPersons": 99}]));
    assert_eq!(found, [(LintName::RuleImpossible, "floors".to_owned())]);
    check("a floor of nobody", |c| c["floors"] = json!([{"minPersons": 0}]), Reason::CharterLint, "threshold `0`");
}
