//! What the command line says: help, exit codes, JSON.

use std::process::Command;

use crate::desk::Desk;

/// Every command and subcommand, as words.
fn commands(command: &clap::Command, path: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![path.to_vec()];
    for sub in command.get_subcommands() {
        let mut longer = path.to_vec();
        longer.push(sub.get_name().to_owned());
        all.extend(commands(sub, &longer));
    }
    all
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let desk = Desk::empty();
    for path in commands(&miax::cli::definition(), &[]) {
        let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        arguments.push("--help");
        desk.miax(&arguments).expect_code(0).expect_out("Usage: miax").expect_out("Example").expect_out("  miax ");
    }
}

#[test]
fn as_a_kubectl_plugin_it_says_so() {
    let desk = Desk::empty();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_miax"), desk.path("kubectl-miax")).expect("link");
    let output = Command::new(desk.path("kubectl-miax")).arg("--help").output().expect("runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("Usage: kubectl miax"));
}

#[test]
fn bad_usage_is_neither_yes_nor_no() {
    let desk = Desk::empty();
    desk.miax(&[]).expect_code(2);
    desk.miax(&["approve"]).expect_code(2);
    desk.miax(&["explain", "Nonsense"]).expect_code(2).expect_err("next: miax explain");
    desk.miax(&["show", "-f", "missing.yaml"]).expect_code(2).expect_err("missing.yaml");
    desk.write("a.yaml", "a: 1\na: 2\n");
    desk.miax(&["show", "-f", "a.yaml"]).expect_code(2).expect_err("stands twice");
    desk.write("b.yaml", "kind: Pod\n");
    desk.miax(&["show", "-f", "b.yaml"]).expect_code(2).expect_err("not a signed kind");
    std::fs::write(desk.path("c.yaml"), [0xff, 0xfe]).expect("file");
    desk.miax(&["show", "-f", "c.yaml"]).expect_code(2);
}

#[test]
fn reasons_are_explained() {
    let desk = Desk::empty();
    desk.miax(&["explain", "seatsmissing"]).expect_code(0).expect_out("SeatsMissing");
    let all = desk.miax(&["explain", "-o", "json"]).expect_code(0).json();
    assert_eq!(all.as_array().map(Vec::len), Some(miax::api::reason::Reason::ALL.len()));
}

#[test]
fn a_draft_is_data_and_carries_no_signature() {
    let desk = Desk::empty();
    let draft = |more: &[&str]| {
        let mut arguments = vec!["draft", "scale", "deployment/checkout", "-n", "shop", "--reason", "sale"];
        arguments.extend(["--audience", "prod-eu"]);
        arguments.extend(more);
        desk.miax(&arguments)
    };
    let object = draft(&["--replicas", "3", "-o", "json"]).expect_code(0).json();
    assert_eq!(object.pointer("/spec/action/scale/replicas").and_then(serde_json::Value::as_u64), Some(3));
    assert_eq!(object.pointer("/spec/signatures"), Some(&serde_json::json!([])));
    draft(&["--replicas", "1000000"]).expect_code(2).expect_err("ReplicasInvalid");
    draft(&["--replicas", "3", "--expires", "soon"]).expect_code(2).expect_err("is not a duration");
    desk.miax(&["draft", "scale", "daemonset/x", "-n", "shop", "--replicas", "1", "--reason", "r", "--audience", "a"])
        .expect_code(2)
        .expect_err("ActionNotForKind");
    desk.draft();
    let before = desk.text("cmd.yaml");
    draft(&["--replicas", "4", "--out", "cmd.yaml"]).expect_code(2).expect_err("cmd.yaml exists");
    assert_eq!(desk.text("cmd.yaml"), before);
}

#[test]
fn definitions_and_completions_are_printed() {
    let desk = Desk::empty();
    let crds = desk.miax(&["crds"]).expect_code(0).expect_out("controlcommands.miax.dev").out;
    assert_eq!(crds.matches("kind: CustomResourceDefinition").count(), miax::api::GovernedKind::ALL.len());
    for shell in ["bash", "zsh", "fish"] {
        desk.miax(&["completion", shell]).expect_code(0).expect_out("miax");
    }
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let desk = Desk::empty();
    let script = format!("{} explain | head -1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_miax"));
    let output = Command::new("bash").args(["-c", &script]).current_dir(desk.path("")).output().expect("bash");
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "{output:?}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn without_a_cluster_the_ledger_cannot_be_told() {
    let desk = Desk::empty();
    desk.miax(&["ledger", "list"]).expect_code(2).expect_err("--dump FILE");
    desk.miax(&["status"]).expect_code(2).expect_err("--dump FILE");
}
