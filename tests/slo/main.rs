//! Objectives as the real promtool sees them: it takes every rule, and what the rules count is what happened.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod exactness;
mod fleet;
mod kinds;
mod promtool;
mod taken;

use std::path::Path;

use miax::api::v1alpha1::SloSpec;
use miax::slo::rules::{Group, render};
use miax::slo::{Resolution, Slo, SloName};
use miax::trust::parse_yaml_strict;
use serde_json::Value;

/// The documents of `config/samples` that are objectives, by file name.
fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/samples");
    let entries = std::fs::read_dir(folder).expect("samples").map(|e| e.expect("an entry").path());
    let name = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let mut found: Vec<(String, Value)> = entries
        .filter(|path| name(path).starts_with("slo-"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("text");
            (name(&path), parse_yaml_strict(&text).expect("yaml").pop().expect("a document"))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// The rules of an object.
fn group(object: &Value, resolution: Resolution) -> Group {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let name = SloName::try_new(text("namespace"), text("name")).expect("a name");
    let spec: SloSpec = serde_json::from_value(object["spec"].clone()).expect("a spec");
    render(&name, &Slo::try_from(&spec).expect("an objective"), resolution).expect("rules")
}
