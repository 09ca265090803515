//! The same on the same machine by logs that are not ours: Tessera's POSIX driver and the tree of Go's checksum database
//! (benches/peers). They are references: what they promise differs, see docs/benchmarks.md.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Row, millis};

/// How long each of them appends.
const SECONDS: &str = "10";
/// As many as the verifier's benchmark has.
const ENTRIES: &str = "1000000";

/// Builds the program; Go itself keeps what it built before.
fn build() -> PathBuf {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let mut go = Command::new("go");
    go.args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"]).arg(&program).arg(".");
    let status = go.current_dir(module).status().expect("go is installed (https://go.dev/dl)");
    assert!(status.success(), "the program of benches/peers builds");
    program
}

/// What the program measured, by name.
struct Measured(BTreeMap<String, f64>);

impl Measured {
    fn number(&self, name: &str) -> f64 {
        *self.0.get(name).expect("the program prints it")
    }
}

fn ask(program: &Path, arguments: &[&str]) -> Measured {
    let output = Command::new(program).args(arguments).output().expect("the program runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = said.lines().filter_map(|line| line.split_once(' '));
    Measured(lines.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect())
}

/// Tessera in a fresh directory beside etcd's: the same disk.
fn tessera(program: &Path, batch: &str, rate: &[&str]) -> Measured {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().display().to_string();
    ask(program, &[&["tessera", &path, SECONDS, batch], rate].concat())
}

pub(crate) fn rows() -> Vec<Row> {
    let program = build();
    let mut rows = Vec::new();
    for batch in ["5ms", "250ms"] {
        let most = tessera(&program, batch, &[]).number("per-second");
        let what = format!("Tessera POSIX, entries of 450 B, batches of {batch}: sustained");
        rows.push(Row::reference(what, format!("{most:.0}/s")));
    }
    let times = tessera(&program, "5ms", &["1000"]);
    for (name, what) in [("median-us", "median"), ("p99-us", "p99")] {
        let time = Duration::from_secs_f64(times.number(name) / 1e6);
        rows.push(Row::reference(format!("the same at 1,000/s, batches of 5ms, {what}"), millis(time)));
    }
    let tree = ask(&program, &["tlog", ENTRIES]);
    let speed = |name: &str| format!("{:.0}/s", tree.number(name));
    rows.push(Row::reference("Go tlog: entries of 450 B hashed into a tree of a million", speed("tree-per-second")));
    let hashes = tree.number("proof-hashes");
    rows.push(Row::reference(
        format!("Go tlog: inclusion proofs of {hashes} hashes checked"),
        speed("proofs-per-second"),
    ));
    rows
}
