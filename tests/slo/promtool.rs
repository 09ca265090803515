//! Rules and what they should say, given to promtool.

use std::path::PathBuf;

use miax::slo::rules::{Group, pack};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Writes the groups as a file of rules.
pub fn write(folder: &TempDir, groups: &[Group]) -> PathBuf {
    let path = folder.path().join("rules.yaml");
    let packed = pack(groups);
    let [one] = packed.as_slice() else { panic!("{} files", packed.len()) };
    std::fs::write(&path, one.file().to_string()).expect("written");
    path
}

/// Whether promtool takes the groups.
#[track_caller]
pub fn check_rules(groups: &[Group]) {
    let folder = TempDir::new().expect("a folder");
    let path = write(&folder, groups);
    let said = miax_cluster::promtool(&["check", "rules", &path.to_string_lossy()]).expect("promtool runs");
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
}

/// Series with their samples, and expressions that must be 1 at a time, or that must have no answer.
pub struct Case {
    pub interval: u64,
    pub resolution: u64,
    pub series: Vec<(String, String)>,
    pub at: u64,
    pub one: Vec<String>,
    pub nothing: Vec<String>,
    pub alerts: Vec<(&'static str, bool)>,
}

/// Lets promtool evaluate the groups over the series.
#[track_caller]
pub fn check_case(groups: &[Group], case: &Case) {
    let folder = TempDir::new().expect("a folder");
    let rules = write(&folder, groups);
    let Case { interval, resolution, series, at, one, nothing, alerts } = case;
    let inputs: Vec<Value> = series.iter().map(|(name, values)| json!({ "series": name, "values": values })).collect();
    let at = format!("{at}s");
    let is = |expr: &String, samples: Value| json!({ "expr": expr, "eval_time": at, "exp_samples": samples });
    let mut expressions: Vec<Value> = one.iter().map(|e| is(e, json!([{ "labels": "{}", "value": 1 }]))).collect();
    expressions.extend(nothing.iter().map(|e| is(e, json!([]))));
    // Firing alerts are series too, whatever their annotations say.
    expressions.extend(alerts.iter().map(|(name, fires)| {
        let expr = format!("count(ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}) > bool 0");
        is(&expr, if *fires { json!([{ "labels": "{}", "value": 1 }]) } else { json!([]) })
    }));
    let test = json!({
        "rule_files": [rules],
        "evaluation_interval": format!("{resolution}s"),
        "tests": [{ "interval": format!("{interval}s"), "input_series": inputs, "promql_expr_test": expressions }],
    });
    let path = folder.path().join("test.yaml");
    std::fs::write(&path, test.to_string()).expect("written");
    let said = miax_cluster::promtool(&["test", "rules", &path.to_string_lossy()]).expect("promtool runs");
    assert!(said.ok, "{}{}", said.stdout, said.stderr);
}
