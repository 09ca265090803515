//! The demo is a test: it checks each of its steps and fails when one is not as it should be.

use std::process::Command;

#[test]
fn the_demo_runs_to_its_end() {
    let output = Command::new(env!("CARGO_BIN_EXE_miax-demo")).output().expect("runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{errors}");
    for step in ["(a)", "(b)", "(c)", "(d)", "(e)", "(f)", "(g)", "(h)", "All of it happened as it should."] {
        assert!(text.contains(step), "{step} is missing in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colour is for terminals only");
}
