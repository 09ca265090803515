//! The cluster's verdict before anything is submitted: `miax simulate` says what the webhook says, word for word.

use miax_cluster::Output;
use miax_stage::Stage;
use serde_json::Value;

use crate::support::{accepts, approve, approved, draft, entries, scale, stage, wait_done};

/// Changes the text of a file into another one.
fn edit(stage: &Stage, from: &str, to: &str, old: &str, new: &str) -> String {
    let text = std::fs::read_to_string(stage.file(from)).expect("reads");
    assert!(text.contains(old), "{to}: {old} is not there");
    std::fs::write(stage.file(to), text.replacen(old, new, 1)).expect("written");
    to.to_owned()
}

/// The webhook's words, by a dry run: the reason and message, or nothing when it allows.
fn webhook(stage: &Stage, file: &str) -> Option<String> {
    let arguments = ["create", "--dry-run=server", "-f", &stage.file(file)];
    let Output { ok, stderr, .. } = stage.plane().kubectl().ask(&arguments, "").expect("kubectl runs");
    (!ok).then(|| stderr.split_once("denied the request: ").expect(&stderr).1.trim().to_owned())
}

fn simulate(stage: &Stage, file: &str, more: &[&str]) -> Option<String> {
    let arguments = [&["simulate", "-f", file, "-o", "json"], more].concat();
    let Output { stdout, stderr, .. } = stage.cli().ask(&arguments).expect("miax runs");
    let value: Value = serde_json::from_str(&stdout).expect(&stderr);
    let line = |f: &Value| {
        let part = |key: &str| f[key].as_str().unwrap_or_default().to_owned();
        (part("reason"), part("message"))
    };
    let findings: Vec<_> = value["findings"].as_array().expect("findings").iter().map(line).collect();
    (value["allowed"] == false)
        .then(|| findings.iter().map(|(r, m)| format!("{r}: {m}")).collect::<Vec<_>>().join("\n"))
}

#[test]
fn webhook_and_simulate_agree_on_every_fixture() {
    let stage = stage();
    let good = approved(&stage, "good", &scale("3"));
    let used = approved(&stage, "used", &scale("2"));
    accepts(&stage, &used);
    wait_done(&stage, "used");
    stage.plane().kubectl().run(&["-n", "shop", "delete", "mxcmd", "used"]).expect("deleted");
    let unsigned = draft(&stage, "unsigned", &scale("3"));
    let partly = draft(&stage, "partly", &scale("3"));
    stage.organisation().sign("sign", &partly, "alpha-bot", "ALPHA").expect("signed");
    stage.organisation().sign("approve", &partly, "frank", "SRE").expect("signed");
    let twice = draft(&stage, "twice", &scale("3"));
    for (verb, who, seat) in [
        ("sign", "alpha-bot", "ALPHA"),
        ("approve", "sam", "SRE"),
        ("approve", "sam", "TCC"),
        ("approve", "alma", "ALPHA"),
    ] {
        stage.organisation().sign(verb, &twice, who, seat).expect("signed");
    }
    let objected = draft(&stage, "objected", &scale("3"));
    approve(&stage, &objected);
    stage.organisation().sign("object", &objected, "eve", "TCC").expect("signed");
    let next = stage.cli().run(&["charter", "next", "-f", "constitution-v1.yaml"]).expect("drafted").trim().to_owned();
    let fixtures = [
        good.clone(),
        used,
        unsigned,
        partly,
        twice,
        objected,
        edit(&stage, &good, "changed.yaml", "replicas: 3", "replicas: 4"),
        edit(&stage, &good, "foreign.yaml", "- demo", "- prod"),
        edit(&stage, &good, "stranger.yaml", "principal: frank", "principal: nobody"),
        next,
        edit(&stage, "constitution-v1.yaml", "other.yaml", "authority: CEK", "authority: CTK"),
    ];
    let before = entries(&stage).len();
    let mut refused = 0;
    for file in &fixtures {
        let (webhook, simulated) = (webhook(&stage, file), simulate(&stage, file, &[]));
        refused += usize::from(webhook.is_some());
        let reasons = |text: &Option<String>| {
            let lines = text.as_ref().map(|t| t.lines().filter_map(|l| l.split_once(": ").map(|(r, _)| r.to_owned())));
            lines.map(Iterator::collect::<Vec<_>>)
        };
        assert_eq!(reasons(&webhook), reasons(&simulated), "{file}: {webhook:?}\n{simulated:?}");
    }
    assert_eq!(refused, fixtures.len() - 1, "all but the good one");
    assert_eq!(entries(&stage).len(), before, "nothing was recorded");

    // From a dump, away from the cluster, the same; and what the target is can be told.
    let dump = stage.plane().kubectl().run(&["get", "configmap", "-n", "miax-ledger", "-o", "yaml"]).expect("dumped");
    std::fs::write(stage.file("dump.yaml"), dump).expect("written");
    let head = stage.cli().run(&["ledger", "head", "-o", "json"]).expect("head");
    let key = serde_json::from_str::<Value>(&head).expect("json")["key"].as_str().expect("key").to_owned();
    let dumped = |more: &[&str]| simulate(&stage, &good, &[&["--dump", "dump.yaml", "--key", &key], more].concat());
    assert_eq!(dumped(&[]), None);
    assert!(dumped(&["--target-missing"]).expect("refused").starts_with("TargetMissing: "));
}
