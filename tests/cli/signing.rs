//! From keys to a verdict.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::desk::{Desk, UID};

/// The reasons of a verdict.
fn reasons(run: &crate::desk::Run) -> Vec<String> {
    let findings = run.json()["findings"].as_array().cloned().unwrap_or_default();
    findings.iter().filter_map(|f| f["reason"].as_str().map(str::to_owned)).collect()
}

#[track_caller]
fn check_refused(desk: &Desk, reason: &str) {
    let run = desk.verify().expect_code(1);
    assert!(reasons(&run).iter().any(|r| r == reason), "{reason} is not in {:?}", reasons(&run));
}

#[test]
fn an_organisation_can_be_founded_and_approve_a_command() {
    let desk = Desk::with_charter();
    desk.miax(&["charter", "lint", "-f", "charter.yaml"]).expect_code(0);
    desk.miax(&["verify", "-f", "charter.yaml", "--charter", "charter.yaml"]).expect_code(0).expect_out("allowed");
    desk.draft();
    check_refused(&desk, "Unsigned");
    desk.approve_all();
    let verdict = desk.verify().expect_code(0);
    assert_eq!((verdict.json()["allowed"].as_bool(), reasons(&verdict)), (Some(true), vec!["QuorumComplete".into()]));
}

#[test]
fn the_digest_of_the_charter_does_not_depend_on_its_signatures() {
    let desk = Desk::with_keys();
    let printed = desk.init().expect_code(0).out;
    desk.miax(&["sign", "-f", "charter.yaml", "--as", "carl", "--seat", "CTK", "--key", "carl", "--yes"])
        .expect_code(0);
    let digest = desk.miax(&["charter", "digest", "-f", "charter.yaml"]).expect_code(0).out;
    assert_eq!(printed, digest);
}

#[test]
fn one_person_cannot_fill_two_seats() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.approve_all();
    desk.sign("approve", "dana", "TCC").expect_code(0);
    check_refused(&desk, "DuplicatePrincipal");
}

#[test]
fn a_file_that_changes_after_signing_is_refused() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.approve_all();
    desk.write("cmd.yaml", &desk.text("cmd.yaml").replace("replicas: 3", "replicas: 4"));
    check_refused(&desk, "SignatureInvalid");
}

#[test]
fn an_objection_stops_a_command_until_it_is_withdrawn() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.approve_all();
    desk.sign("object", "dirk", "SRE").expect_code(0);
    check_refused(&desk, "ObjectionPresent");
}

#[test]
fn what_is_still_missing_is_told_with_the_next_step() {
    let desk = Desk::with_charter();
    desk.draft();
    let arguments =
        ["sign", "-f", "cmd.yaml", "--seat", "ALPHA", "--key", "bot.key", "--charter", "charter.yaml", "-y"];
    desk.miax(&arguments).expect_code(0).expect_err("SeatsMissing").expect_err("run: miax approve");
    let shown = desk.miax(&["show", "-f", "cmd.yaml", "--charter", "charter.yaml", "-o", "json"]).expect_code(0);
    assert_eq!(shown.json()["seats"].as_array().map(Vec::len), Some(3));
    desk.miax(&["show", "-f", "cmd.yaml"]).expect_code(0).expect_out("Scale Deployment shop/checkout to 3");
}

#[test]
fn the_charter_keeps_useless_signatures_out_of_the_file() {
    let desk = Desk::with_charter();
    desk.draft();
    let before = desk.text("cmd.yaml");
    let sign = |more: &[&str]| {
        let mut arguments = vec!["approve", "-f", "cmd.yaml", "--charter", "charter.yaml", "--yes"];
        arguments.extend(more);
        desk.miax(&arguments).expect_code(2)
    };
    sign(&["--seat", "TCC", "--key", "dana"]).expect_err("does not hold the seat TCC");
    sign(&["--seat", "SRE", "--key", "dana", "--as", "dirk"]).expect_err("belongs to `dana`");
    assert_eq!(desk.text("cmd.yaml"), before);
}

#[test]
fn a_document_has_one_author_and_nobody_says_a_thing_twice() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.sign("sign", "al", "ALPHA").expect_code(0);
    desk.sign("sign", "al", "ALPHA").expect_code(2).expect_err("already");
    desk.sign("sign", "dana", "SRE").expect_code(2).expect_err("`al` is the author already");
}

#[test]
fn nothing_is_signed_without_a_yes() {
    let desk = Desk::with_charter();
    desk.draft();
    let before = desk.text("cmd.yaml");
    let run = desk.miax(&["approve", "-f", "cmd.yaml", "--as", "dana", "--seat", "SRE", "--key", "dana"]);
    run.expect_code(2).expect_err("add --yes").expect_err("Scale Deployment shop/checkout to 3");
    assert_eq!(desk.text("cmd.yaml"), before);
}

#[test]
fn what_is_shown_cannot_rewrite_the_screen() {
    let desk = Desk::empty();
    desk.draft();
    let evil = desk.text("cmd.yaml").replace("reason: sale", r#"reason: "sale\e[2K\rScale to 1\nuntil never\u202e""#);
    assert_ne!(evil, desk.text("cmd.yaml"));
    desk.write("cmd.yaml", &evil);
    let shown = desk.miax(&["show", "-f", "cmd.yaml"]).expect_code(0).expect_out("sale\\u{1b}[2K").out;
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()) && !shown.contains('\u{202e}'), "{shown:?}");
    assert!(!shown.lines().any(|l| l.starts_with("until")), "{shown}");
}

#[test]
fn what_has_expired_or_is_several_documents_is_not_signed() {
    let desk = Desk::with_charter();
    desk.draft();
    let text = desk.text("cmd.yaml");
    desk.write("cmd.yaml", &format!("{text}---\n{text}"));
    desk.sign("approve", "dana", "SRE").expect_code(2).expect_err("2 documents");
    let expires = text.lines().find(|l| l.contains("expiresAt")).expect("expiresAt");
    desk.write("cmd.yaml", &text.replace(expires, "  expiresAt: 2020-01-01T00:00:00Z"));
    desk.sign("approve", "dana", "SRE").expect_code(2).expect_err("expired at 2020-01-01T00:00:00Z");
    check_refused(&desk, "Expired");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let desk = Desk::with_charter();
    desk.draft();
    for (key, who) in [("dana", "dana"), ("bot.key", "bot")] {
        std::fs::set_permissions(desk.path(key), std::fs::Permissions::from_mode(0o640)).expect("mode");
        let run = desk.miax(&["approve", "-f", "cmd.yaml", "--as", who, "--seat", "SRE", "--key", key, "--yes"]);
        run.expect_code(2).expect_err(&format!("chmod 600 {key}"));
    }
}

#[test]
fn a_new_key_is_private_and_never_replaces_another() {
    let desk = Desk::empty();
    desk.miax(&["key", "new", "bot.key"]).expect_code(0);
    let mode = std::fs::metadata(desk.path("bot.key")).expect("key").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = desk.text("bot.key");
    let again = desk.miax(&["key", "new", "bot.key"]).expect_code(2);
    assert_eq!(desk.text("bot.key"), before);
    let shown = ["bot.key", "bot.key.pub"].map(|f| desk.miax(&["key", "show", f]).expect_code(0));
    assert_eq!(shown[0].out, shown[1].out);
    let secret = before.split_whitespace().last().expect("secret").to_owned();
    assert!(shown.iter().chain([&again]).all(|r| !r.out.contains(&secret) && !r.err.contains(&secret)));
}

#[test]
fn an_encrypted_key_signs_with_its_passphrase() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.ssh_key("locked", "correct horse");
    desk.write("right", "correct horse\n");
    desk.write("wrong", "battery staple\n");
    let arguments = ["approve", "-f", "cmd.yaml", "--as", "dana", "--seat", "SRE", "--key", "locked", "--yes"];
    desk.miax_with(&arguments, &[("MIAX_PASSPHRASE_FILE", "wrong")]).expect_code(2).expect_err("encrypted");
    desk.miax_with(&arguments, &[("MIAX_PASSPHRASE_FILE", "right")]).expect_code(0);
    check_refused(&desk, "KeyUnknown");
}

/// An agent that ends with the test.
struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ssh_agent_signs() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.miax(&["sign", "-f", "cmd.yaml", "--as", "bot", "--seat", "ALPHA", "--key", "bot.key", "-y"]).expect_code(0);
    let socket = desk.path("agent");
    let arguments = ["approve", "-f", "cmd.yaml", "--seat", "SRE", "--charter", "charter.yaml", "--yes"];
    desk.miax(&arguments).expect_code(2).expect_err("SSH_AUTH_SOCK");
    let mut started = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::piped()).spawn();
    let agent = started.as_mut().expect("ssh-agent");
    // It prints where it listens once it does.
    let mut line = String::new();
    let reader = agent.stdout.take().expect("stdout");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).expect("ssh-agent");
    let _agent = Agent(started.expect("ssh-agent"));
    let socket = socket.to_str().expect("UTF-8");
    let environment = [("SSH_AUTH_SOCK", socket)];
    desk.miax_with(&arguments, &environment).expect_code(2).expect_err("ssh-add");
    for key in ["dana", "eve"] {
        let status =
            Command::new("ssh-add").args(["-q", key]).env("SSH_AUTH_SOCK", socket).current_dir(desk.path("")).status();
        assert!(status.expect("ssh-add").success());
    }
    desk.miax_with(&arguments, &environment).expect_code(2).expect_err("several keys");
    let chosen = |seat: &str, key: &str| {
        let arguments =
            ["approve", "-f", "cmd.yaml", "--seat", seat, "--agent", "--key", key, "--charter", "charter.yaml", "-y"];
        desk.miax_with(&arguments, &environment).expect_code(0);
    };
    chosen("SRE", "dana.pub");
    chosen("TCC", "eve.pub");
    desk.sign("approve", "al", "ALPHA").expect_code(0);
    desk.verify().expect_code(0);
}

#[test]
fn the_charter_and_the_cluster_decide_what_a_verdict_is_about() {
    let desk = Desk::with_charter();
    desk.draft();
    desk.approve_all();
    let verify = |more: &[&str]| {
        let mut arguments = vec!["verify", "-f", "cmd.yaml", "--charter", "charter.yaml"];
        arguments.extend(more);
        desk.miax(&arguments)
    };
    verify(&["--cluster-uid", UID]).expect_code(0);
    // A charter that does not govern the cluster is not in force there.
    verify(&["--cluster-uid", "other"]).expect_code(2).expect_err("AudienceForeign");
    verify(&["--at", "2020-01-01T00:00:00Z"]).expect_code(2).expect_err("SignedAtImplausible");
    verify(&["--at", "yesterday"]).expect_code(2).expect_err("is not a time");
}

#[test]
fn a_later_charter_is_taken_as_in_force_and_says_so() {
    let desk = Desk::with_keys();
    desk.init().expect_code(0);
    let later = desk.text("charter.yaml").replace("version: 1", "version: 2").replace("-v1", "-v2");
    desk.write("charter.yaml", &later);
    desk.draft();
    desk.approve_all();
    desk.verify().expect_code(2).expect_err("the charter itself is refused");
    desk.sign_charter();
    desk.verify().expect_code(0).expect_err("is in the ledger only");
}

#[test]
fn init_finds_what_a_charter_should_not_be() {
    let desk = Desk::empty();
    desk.ssh_key("alice", "");
    let cluster = format!("prod-eu={UID}");
    let arguments = ["init", "--cluster", &cluster, "--principal", "alice=CEK,APXGP,CTK:alice.pub", "--out", "c.yaml"];
    desk.miax(&arguments).expect_code(1).expect_err("OrganWithoutHolders");
    desk.miax(&arguments).expect_code(2).expect_err("c.yaml exists");
    let findings = desk.miax(&["charter", "lint", "-f", "c.yaml", "-o", "json"]).expect_code(1).json();
    assert!(findings.as_array().is_some_and(|f| f.iter().any(|f| f["level"] == "error")));
    let waived = ["--waive", "OrganWithoutHolders:SRE=we are one person", "--out", "d.yaml"];
    let arguments: Vec<&str> = arguments[..5].iter().chain(&waived).copied().collect();
    desk.miax(&arguments).expect_code(1).expect_err("accepted: we are one person");
}

#[test]
fn an_amendment_starts_from_the_charter_and_is_told_in_plain_words() {
    let desk = Desk::with_charter();
    let next = desk.miax(&["charter", "next", "-f", "charter.yaml"]).expect_code(0);
    assert_eq!(next.out.trim(), "constitution-v2.yaml");
    desk.miax(&["charter", "next", "-f", "charter.yaml"]).expect_code(2).expect_err("exists");
    let text = desk.text("constitution-v2.yaml");
    assert!(text.contains("signatures: []") && text.contains("version: 2"), "{text}");
    let diff =
        |code| desk.miax(&["charter", "diff", "-f", "charter.yaml", "--to", "constitution-v2.yaml"]).expect_code(code);
    diff(0).expect_out("~ version: 1 -> 2");

    let mut object = miax::trust::parse_yaml_strict(&text).expect("yaml").remove(0);
    let charter = &mut object["spec"]["body"]["charter"];
    charter["organs"][0]["rank"] = 2.into();
    let principals = charter["principals"].as_array_mut().expect("list");
    let gone = principals.remove(0)["name"].as_str().expect("name").to_owned();
    principals[0]["seats"] = serde_json::json!(["CEK", "TC"]);
    charter["rules"][2]["require"].as_array_mut().expect("list").pop();
    charter["rules"].as_array_mut().expect("list").remove(0);
    charter["impacts"] = serde_json::json!([{"namespaces": ["shop"], "atLeast": "High"}]);
    desk.write("constitution-v2.yaml", &miax::trust::to_yaml(&object));
    let run = diff(0);
    let told = [
        "~ organ CEK: rank 1 -> rank 2".to_owned(),
        format!("- principal {gone}: Person for "),
        "- rule runtime-normal: Isolate, Patch, Restart, Rollback, Scale of the impact Normal".to_owned(),
        "~ rule runtime-critical, needs: 1 of SRE and 1 of TCC and 1 of ALPHA -> 1 of SRE and 1 of TCC".to_owned(),
        "+ impact: every action in shop is at least High".to_owned(),
    ];
    for line in told {
        assert!(run.out.contains(&line), "`{line}` is not in:\n{}", run.out);
    }
    diff(0).expect_out(", seat: TC");
    let same =
        desk.miax(&["charter", "diff", "-f", "charter.yaml", "--to", "charter.yaml", "-o", "json"]).expect_code(0);
    assert_eq!(same.json()["changes"], serde_json::json!([]));
}
