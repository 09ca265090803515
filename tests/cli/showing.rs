//! What people are told before they sign.

use miax::units::{Seconds, UnixSeconds};
use serde_json::{Value, json};

use crate::desk::Desk;

const DIGEST: &str = "sha256:9f2c000000000000000000000000000000000000000000000000000000000000";
const LATE: &str = "2999-01-01T00:00:00Z";

#[track_caller]
fn check(action: &[&str], told: &[&str]) {
    let desk = Desk::empty();
    let fixed = ["--reason", "test", "--audience", "prod-eu", "--out", "cmd.yaml"];
    desk.miax(&[&["draft"], action, &fixed].concat()).expect_code(0);
    let shown = desk.miax(&["show", "-f", "cmd.yaml"]).expect_code(0);
    for part in told {
        assert!(shown.out.contains(part), "{action:?}: `{part}` is not in:\n{}", shown.out);
    }
    let value = desk.miax(&["show", "-f", "cmd.yaml", "-o", "json"]).expect_code(0).json();
    assert!(value["authorises"].as_array().is_some_and(|a| !a.is_empty()), "{action:?}");
}

#[test]
fn every_action_says_what_a_signature_would_authorise() {
    let workload = ["deployment/checkout", "-n", "shop"];
    let on = |action: &[&'static str], more: &[&'static str]| [action, &workload, more].concat();
    check(&on(&["scale"], &["--replicas", "3"]), &["Deployment shop/checkout gets 3 replicas, once"]);
    check(&on(&["restart"], &[]), &["every pod of Deployment shop/checkout is replaced, once"]);
    check(&on(&["rollback"], &["--to-revision", "4"]), &["is that of the revision 4 again; the replicas stay"]);
    check(&on(&["patch"], &["--image", "app=r/app:2"]), &["only the places above change"]);
    check(
        &on(&["isolate"], &["--until", LATE]),
        &["cut off from the network in both directions", "at 2999-01-01T00:00:00Z that is taken back by itself"],
    );
    check(
        &["freeze", "-n", "shop"],
        &["no pod template in the namespace shop changes, but by commands; it lasts until", "scaling, deletions and"],
    );
    check(&["freeze", "-n", "shop", "--until", LATE], &["it ends by itself at 2999-01-01T00:00:00Z"]);
    check(&["thaw", "-n", "shop"], &["may change again"]);
    check(&on(&["waive"], &["--rule", "freeze", "--until", LATE]), &["other workloads stay frozen"]);
    check(
        &on(&["waive"], &["--rule", "runtime-high", "--until", LATE]),
        &["commands on Deployment shop/checkout need not fill the seats of runtime-high until 2999", "floors"],
    );
    check(&["override", DIGEST, "--until", LATE], &["stops nothing until 2999", "must acknowledge this"]);
    check(&["acknowledge-override", DIGEST], &["nothing is owed for the override"]);
    check(&["acknowledge-incident", "latency-42"], &["the ledger says that latency-42 was seen"]);
    check(&["revoke-key", "SHA256:abc"], &["SHA256:abc signs nothing more, for ever"]);
    check(&["veto", DIGEST], &["never begins, unless this is overridden"]);
    check(&["review", DIGEST, "--findings", "cache"], &["nobody who signed that command may sign this"]);
    check(&["ratify-amendment", DIGEST], &["stays in force and no longer lapses"]);
}

/// An organisation whose charter delegates, lets a key end, and has a rule that only tells.
fn desk() -> Desk {
    let desk = Desk::with_keys();
    desk.init().expect_code(0);
    desk.draft();
    let command = miax::trust::parse_yaml_strict(&desk.text("cmd.yaml")).expect("yaml").remove(0);
    let expires: UnixSeconds =
        command["spec"]["expiresAt"].as_str().and_then(|t| t.parse().ok()).expect("a command expires");
    let soon = expires.plus(Seconds(10 * 86_400)).to_string();
    let mut object = miax::trust::parse_yaml_strict(&desk.text("charter.yaml")).expect("yaml").remove(0);
    let charter = &mut object["spec"]["body"]["charter"];
    charter["delegations"] =
        json!([{"from": "TCC", "to": "bea", "actions": ["Scale"], "namespaces": ["shop"], "until": soon}]);
    let principals = charter["principals"].as_array_mut().expect("list");
    let dana = principals.iter_mut().find(|p| p["name"] == "dana").expect("dana");
    dana["keys"][0]["expiresAt"] = json!(soon);
    charter["rules"].as_array_mut().expect("rules").push(json!({
        "name": "next-year", "article": "V", "mode": "Warn", "match": {"actions": ["Scale"], "impact": "Critical"},
        "author": ["ALPHA"], "require": [{"seat": "CTK", "count": 1}, {"seat": "CEK", "count": 1}],
    }));
    desk.write("charter.yaml", &miax::trust::to_yaml(&object));
    desk.sign_charter();
    desk
}

#[test]
fn the_charter_tells_on_what_signatures_stand_and_what_only_tells() {
    let desk = desk();
    desk.miax(&["show", "-f", "charter.yaml"]).expect_code(0).expect_out("NOT ENFORCED (Warn) next-year, Article V");
    let sign = |verb: &str, seat: &str, key: &str| {
        desk.miax(&[verb, "-f", "cmd.yaml", "--seat", seat, "--key", key, "--charter", "charter.yaml", "-y"])
    };
    sign("sign", "ALPHA", "bot.key").expect_code(0);
    sign("approve", "SRE", "dana").expect_code(0).expect_err("note: the key of dana ends soon, at ");
    let delegated = "bea signs for TCC by delegation: Scale in shop until ";
    sign("approve", "TCC", "bea").expect_code(0).expect_err(delegated);
    let show = ["show", "-f", "cmd.yaml", "--charter", "charter.yaml"];
    let shown = desk.miax(&show).expect_code(0);
    let shown = shown.expect_out(delegated).expect_out("the key of dana ends soon");
    shown
        .expect_out("opens      a post-mortem, due 5d after it began [runtime-critical, Article V]")
        .expect_out("NOT ENFORCED (Warn) next-year, Article V: would refuse: SeatsMissing");
    let value = desk.miax(&[&show[..], &["-o", "json"]].concat()).expect_code(0).json();
    assert_eq!(value["terms"].as_array().map(Vec::len), Some(2), "{value}");
    assert_eq!(value["advice"][0]["mode"], "Warn");
}

#[test]
fn a_verdict_names_the_rules_that_only_tell() {
    let desk = desk();
    desk.approve_all();
    let verify = ["verify", "-f", "cmd.yaml", "--charter", "charter.yaml"];
    let verdict =
        desk.miax(&verify).expect_code(0).expect_out("NOT ENFORCED (Warn) next-year, Article V: would refuse");
    assert!(verdict.out.starts_with("allowed\n"), "{}", verdict.out);
    let advice = desk.verify().expect_code(0).json()["advice"].clone();
    assert_eq!(advice.as_array().map(Vec::len), Some(1), "{advice}");
    let expected: Vec<Value> = advice[0]["findings"].as_array().cloned().unwrap_or_default();
    assert_eq!(expected[0]["reason"], "SeatsMissing");
}
