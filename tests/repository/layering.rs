//! Dependencies point down. The table of ARCHITECTURE.md, as a test.

use std::path::Path;
use std::process::Command;

use crate::{files, root};

/// Module and rank. A module imports lower ranks only, and none of its own rank but itself.
const RANKS: [(&str, u8); 13] = [
    ("units", 0),
    ("api", 1),
    ("slo", 2),
    ("trust", 2),
    ("constitution", 3),
    ("ledger", 3),
    ("store", 4),
    ("telemetry", 4),
    ("admission", 5),
    ("controllers", 5),
    ("cli", 5),
    ("operator", 6),
    ("bin", 7),
];

/// Ranks up to this one are pure.
const PURE: u8 = 3;

/// What a pure module must not name: clocks, randomness, files, processes, the environment, the network, logs, tasks.
const IMPURE: [&str; 15] = [
    "std::time",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::io::std",
    "SystemTime",
    "Instant",
    "getrandom",
    "tokio",
    "kube::Client",
    "kube::Api",
    "tracing::",
    "async fn",
];

fn module(path: &Path) -> String {
    let inside = path.strip_prefix("src").expect("in src");
    let first = inside.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn rank(module: &str) -> u8 {
    match RANKS.iter().find(|(name, _)| *name == module) {
        Some((_, rank)) => *rank,
        None if module == "main" || module == "lib" => 7,
        None => panic!("`{module}` has no rank; add it to the table here and in ARCHITECTURE.md"),
    }
}

/// Modules that a text imports by `crate::` or `miax::`.
fn imports(text: &str) -> Vec<&str> {
    let code = text.lines().filter(|l| !l.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1).chain(line.split("miax::").skip(1)));
    names.map(|rest| rest.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default()).collect()
}

#[test]
fn dependencies_point_down() {
    let mut wrong = Vec::new();
    for (path, text) in files("src", "rs") {
        let own = module(&path);
        for import in imports(&text).into_iter().filter(|i| *i != own && RANKS.iter().any(|(name, _)| name == i)) {
            if rank(import) >= rank(&own) {
                wrong.push(format!(
                    "{}: {own} (rank {}) imports {import} (rank {})",
                    path.display(),
                    rank(&own),
                    rank(import)
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "upward or sideways imports:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_reach_nothing_outside() {
    let mut wrong = Vec::new();
    for (path, text) in files("src", "rs") {
        if rank(&module(&path)) > PURE {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (number, line) in (1..).zip(code.lines()).filter(|(_, l)| !l.trim_start().starts_with("//")) {
            for name in IMPURE.iter().filter(|name| line.contains(**name)) {
                wrong.push(format!("{}:{number}: {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "pure modules must not reach outside:\n{}", wrong.join("\n"));
}

#[test]
fn the_pure_build_cannot_name_a_client() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "miax",
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&tree.stdout);
    assert!(tree.status.success() && text.contains("ed25519-dalek"), "{}", String::from_utf8_lossy(&tree.stderr));
    for name in ["tokio ", "hyper ", "rustls ", "axum ", "kube-client ", "kube-runtime ", "openssl"] {
        assert!(!text.lines().any(|l| l.starts_with(name)), "the pure build brings {name}");
    }
}
