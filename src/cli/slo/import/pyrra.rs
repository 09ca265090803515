//! Objects of Pyrra: `pyrra.dev/v1alpha1`.
//! Source: Pyrra's CRD of ServiceLevelObjective.

use serde_json::Value;

use crate::api::v1alpha1::{Alerts, GaugeIndicator, Indicator, LatencyIndicator};
use crate::slo::Decimal;

use super::super::proposal::{Proposal, no_indicator, rolling};
use super::Read;
use super::reading::{Notes, Part, field, number, ratio, text};

/// The objective of an object.
pub(super) fn objective(document: &Value, notes: &mut Notes) -> Read {
    let metadata = field(document, "metadata");
    let name = text(metadata, "name").to_owned();
    let proposal = read(&name, text(metadata, "namespace"), field(document, "spec"), notes);
    (name, proposal)
}

fn read(name: &str, namespace: &str, spec: &Value, notes: &mut Notes) -> Result<Proposal, String> {
    let indicator = indicator(field(spec, "indicator"))?;
    notes.leftover(name, "spec", spec, &["target", "window", "description", "indicator", "alerting"]);
    let alerting = field(spec, "alerting");
    notes.leftover(name, "spec.alerting", alerting, &["disabled"]);
    let off = alerting.get("disabled").and_then(Value::as_bool) == Some(true);
    let policy = if off { "None" } else { "Pyrra" };
    Ok(Proposal {
        name: name.to_owned(),
        namespace: Some(namespace.to_owned()).filter(|n| !n.is_empty()),
        description: Some(text(spec, "description").to_owned()),
        objective: number(spec, "target").ok_or("spec.target is missing")?,
        indicator,
        window: rolling(text(spec, "window")),
        time_slices: None,
        alerts: Some(Alerts { policy: policy.to_owned(), pairs: None, min_events: None }),
    })
}

fn indicator(spec: &Value) -> Result<Indicator, String> {
    let kinds = spec.as_object().map(|map| map.iter().collect::<Vec<_>>()).unwrap_or_default();
    let [(kind, of)] = kinds.as_slice() else {
        return Err("spec.indicator must hold exactly one indicator".to_owned());
    };
    if of.get("grouping").and_then(Value::as_array).is_some_and(|g| !g.is_empty()) {
        return Err("it is grouped: one objective for each group; write an objective for each of them".to_owned());
    }
    let metric = |key: &str| text(field(of, key), "metric");
    match kind.as_str() {
        "ratio" => ratio(Part::Bad, metric("errors"), metric("total")),
        "latency" => ratio(Part::Good, metric("success"), metric("total")),
        "latencyNative" => {
            let native =
                LatencyIndicator { histogram: metric("total").to_owned(), threshold: seconds(text(of, "latency"))? };
            Ok(Indicator { native_latency: Some(native), ..no_indicator() })
        }
        "bool_gauge" => {
            let gauge = GaugeIndicator { up: text(of, "metric").to_owned() };
            Ok(Indicator { gauge: Some(gauge), ..no_indicator() })
        }
        other => Err(format!("an indicator `{other}` is not known")),
    }
}

/// `1s`, `250ms` as seconds, exactly.
fn seconds(text: &str) -> Result<String, String> {
    let wrong = || format!("a latency of `{text}` is not a number of seconds or milliseconds");
    let (digits, thousandth) = match text.strip_suffix("ms") {
        Some(digits) => (digits, true),
        None => (text.strip_suffix('s').ok_or_else(wrong)?, false),
    };
    let number: Decimal = digits.parse().map_err(|_| wrong())?;
    let unit: Decimal = if thousandth { "0.001" } else { "1" }.parse().map_err(|_| wrong())?;
    number.times(unit).map(|s| s.to_string()).ok_or_else(wrong)
}
