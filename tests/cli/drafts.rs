//! Drafts of every action, and the commands that denials tell people to run.

use std::path::Path;

use miax::units::{Seconds, UnixSeconds};
use serde_json::{Value, json};

use crate::desk::{Desk, Run};

const DIGEST: &str = "sha256:9f2c000000000000000000000000000000000000000000000000000000000000";
const LATE: &str = "2999-01-01T00:00:00Z";

fn draft(desk: &Desk, action: &[&str], more: &[&str]) -> Run {
    let fixed = ["--reason", "test", "--audience", "prod-eu", "-o", "json"];
    desk.miax(&[&["draft"], action, more, &fixed].concat())
}

fn time(object: &Value, place: &str) -> UnixSeconds {
    object.pointer(place).and_then(Value::as_str).expect(place).parse().expect("a time")
}

#[track_caller]
fn check(desk: &Desk, action: &[&str], namespace: &str, expected: Value) {
    let object = draft(desk, action, &[]).expect_code(0).json();
    assert_eq!(object["metadata"]["namespace"], namespace, "{action:?}");
    assert_eq!(object["spec"]["action"], expected, "{action:?}");
    assert_eq!(object["spec"]["signatures"], json!([]));
}

#[test]
fn every_action_of_government_is_drafted_where_it_belongs() {
    let desk = Desk::empty();
    let checkout = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"});
    let mut far = checkout.clone();
    far["namespace"] = json!("shop");
    let isolate = ["isolate", "deployment/checkout", "-n", "shop", "--until", LATE];
    check(&desk, &isolate, "shop", json!({"type": "Isolate", "isolate": {"target": checkout, "until": LATE}}));
    check(&desk, &["freeze", "-n", "shop"], "shop", json!({"type": "Freeze", "freeze": {}}));
    check(
        &desk,
        &["freeze", "-n", "shop", "--system", "--until", LATE],
        "miax-system",
        json!({"type": "Freeze", "freeze": {"namespace": "shop", "until": LATE}}),
    );
    check(&desk, &["thaw", "-n", "shop"], "shop", json!({"type": "Thaw", "thaw": {}}));
    check(
        &desk,
        &["thaw", "-n", "shop", "--system"],
        "miax-system",
        json!({"type": "Thaw", "thaw": {"namespace": "shop"}}),
    );
    let weekends = ["--window", "Fri 16:00-24:00", "--window", "Sat-Sun", "--time-zone", "UTC", "--way-out", "SRE,CTK"];
    let windows = json!([{"days": ["Fri"], "from": "16:00", "to": "24:00"}, {"days": ["Sat", "Sun"]}]);
    check(
        &desk,
        &[&["freeze", "-n", "shop"], &weekends[..]].concat(),
        "shop",
        json!({"type": "Freeze", "freeze": {"calendar": {"timeZone": "UTC", "windows": windows}, "wayOut": ["SRE", "CTK"]}}),
    );
    check(
        &desk,
        &["thaw", "-n", "shop", "--freeze", DIGEST, "--until", LATE],
        "shop",
        json!({"type": "Thaw", "thaw": {"freeze": DIGEST, "until": LATE}}),
    );
    let waive = ["waive", "deployment/checkout", "-n", "shop", "--rule", "freeze", "--until", LATE];
    let expected =
        |target: &Value| json!({"type": "Waive", "waive": {"rule": "freeze", "target": target, "until": LATE}});
    check(&desk, &waive, "shop", expected(&checkout));
    check(&desk, &[&waive[..], &["--system"]].concat(), "miax-system", expected(&far));
    check(
        &desk,
        &["override", DIGEST, "--until", LATE],
        "miax-system",
        json!({"type": "Override", "override": {"decision": DIGEST, "until": LATE}}),
    );
    check(
        &desk,
        &["acknowledge-override", DIGEST],
        "miax-system",
        json!({"type": "AcknowledgeOverride", "acknowledgeOverride": {"command": DIGEST}}),
    );
    check(
        &desk,
        &["acknowledge-incident", "latency-42"],
        "miax-system",
        json!({"type": "AcknowledgeIncident", "acknowledgeIncident": {"incident": "latency-42"}}),
    );
}

#[test]
fn a_window_that_makes_no_sense_is_not_even_drafted() {
    let desk = Desk::empty();
    let freeze = |more: &[&str]| draft(&desk, &["freeze", "-n", "shop"], more).err;
    for (more, part) in [
        (["--window", "weekend", "--time-zone", "UTC"], "`weekend` is not a window"),
        (["--window", "Fri 6:00-7:00", "--time-zone", "UTC"], "windows[0].from: `6:00` is no time of day"),
        (["--window", "Fri", "--time-zone", "Berlin"], "`Berlin` is not a time zone"),
        (["--window", "Fri", "--window", "Sat"], "--time-zone <ZONE>"),
    ] {
        let stderr = freeze(&more);
        assert!(stderr.contains(part), "{more:?}: {stderr}");
    }
}

#[test]
fn an_exception_never_outlives_its_command() {
    let desk = Desk::empty();
    let waive = ["waive", "deployment/checkout", "-n", "shop", "--rule", "runtime-critical"];
    let longer = draft(&desk, &waive, &["--for", "8h"]).expect_code(0).expect_err("the command expires at");
    let object = longer.json();
    assert_eq!(time(&object, "/spec/expiresAt"), time(&object, "/spec/action/waive/until"));
    let shorter = draft(&desk, &waive, &["--for", "1h"]).expect_code(0);
    let object = shorter.json();
    assert_eq!(time(&object, "/spec/expiresAt").since(time(&object, "/spec/action/waive/until")), Seconds(3600));
    assert!(shorter.err.is_empty(), "{}", shorter.err);
    draft(&desk, &waive, &["--for", "8h", "--expires", "1h"]).expect_code(2).expect_err("after spec.expiresAt");
    let overrides = draft(&desk, &["override", DIGEST], &["--for", "4h"]).expect_code(0).json();
    assert_eq!(time(&overrides, "/spec/expiresAt"), time(&overrides, "/spec/action/override/until"));
}

#[test]
fn an_end_is_one_time_and_lies_ahead() {
    let desk = Desk::empty();
    let isolate = ["isolate", "deployment/checkout", "-n", "shop"];
    draft(&desk, &isolate, &[]).expect_code(2).expect_err("when does it end?").expect_err("next: --for 2h");
    draft(&desk, &["override", DIGEST], &[]).expect_code(2).expect_err("when does it end?");
    draft(&desk, &isolate, &["--for", "2h", "--until", LATE]).expect_code(2).expect_err("cannot be used with");
    draft(&desk, &isolate, &["--for", "soon"]).expect_code(2).expect_err("is not a duration");
    draft(&desk, &isolate, &["--for", "0s"]).expect_code(2).expect_err("the effect would end at");
    let past = ["--until", "2020-01-01T00:00:00Z"];
    draft(&desk, &isolate, &past).expect_code(2).expect_err("the effect would end at 2020-01-01T00:00:00Z");
    draft(&desk, &["freeze", "-n", "shop"], &past).expect_code(2).expect_err("next: --until with a later time");
}

#[test]
fn what_a_draft_misses_is_named() {
    let desk = Desk::empty();
    draft(&desk, &["freeze"], &[]).expect_code(2).expect_err("which namespace?").expect_err("next: -n NAMESPACE");
    draft(&desk, &["freeze", "-n", "kube-system"], &[]).expect_code(2).expect_err("TargetProtected");
    draft(&desk, &["override", "sha256:9f2c", "--for", "1h"], &[]).expect_code(2).expect_err("is not a digest");
    draft(&desk, &["acknowledge-incident", " "], &[]).expect_code(2).expect_err("name the incident");
    let thaw = ["draft", "thaw", "-n", "shop"];
    desk.miax(&[&thaw[..], &["--audience", "prod-eu"]].concat()).expect_code(2).expect_err("next: --reason TEXT");
    desk.miax(&[&thaw[..], &["--reason", "r"]].concat()).expect_code(2).expect_err("next: --audience NAME");
    desk.miax_with(&[&thaw[..], &["--reason", "r"]].concat(), &[("MIAX_AUDIENCE", "prod-eu")]).expect_code(0);
}

/// Every command line in a source file, with samples for what is filled in.
fn told(text: &str) -> Vec<String> {
    let starts = ["\"miax ", "run: miax "].into_iter().flat_map(|start| {
        text.match_indices(start).map(move |(at, found)| at + found.len() - "miax ".len()).collect::<Vec<_>>()
    });
    let ends = |c: char| c == '"' || c == ';';
    let lines = starts.filter_map(|at| text.get(at..)?.split(ends).next().map(str::to_owned));
    let samples = [
        ("{kind}/{name}", "deployment/checkout"),
        ("{name}", "cmd"),
        ("{namespace}", "shop"),
        ("{seat}", "SRE"),
        ("{FREEZE}", "freeze"),
        ("{digest}", DIGEST),
        ("{}", DIGEST),
        ("TIME", LATE),
        (" DIGEST", &format!(" {DIGEST}")),
        ("WORKLOAD", "deployment/checkout"),
    ];
    lines.map(|line| samples.iter().fold(line, |line, (blank, sample)| line.replace(blank, sample))).collect()
}

fn sources(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("folder").map(|e| e.expect("entry").path());
    entries
        .flat_map(
            |path| if path.is_dir() { sources(&path) } else { vec![std::fs::read_to_string(path).expect("text")] },
        )
        .collect()
}

#[test]
fn what_denials_and_the_status_tell_to_run_is_a_command_of_this_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let texts = [sources(&root.join("constitution")), sources(&root.join("cli/status"))].concat();
    let lines: Vec<String> = texts.iter().flat_map(|text| told(text)).collect();
    for line in &lines {
        assert!(!line.contains('{'), "no sample for: {line}");
        let parsed = miax::cli::definition().try_get_matches_from(line.split_whitespace());
        assert!(parsed.is_ok(), "`{line}` cannot be run: {}", parsed.expect_err("an error"));
    }
    let told_to = [
        "draft waive",
        "draft review",
        "draft acknowledge-override",
        "draft ratify-amendment",
        "draft thaw",
        "draft mitigate",
    ];
    for part in told_to.into_iter().chain(["approve controlcommand/", "charter next"]) {
        assert!(lines.iter().any(|l| l.contains(part)), "nobody is told to run {part}: {lines:#?}");
    }
}
