//! Documents of OpenSLO: `openslo/v1`, an objective with its indicator inside of it or beside it.
//! Source: the OpenSLO specification, version v1.

use serde_json::Value;

use crate::api::v1alpha1::{CalendarWindow, Indicator, TimeSlices, Window};

use super::super::proposal::{Proposal, rolling};
use super::Read;
use super::reading::{Notes, Part, field, number, percent, ratio, text};

/// The objectives of a document; each of its targets is one of ours.
pub(super) fn objectives(document: &Value, documents: &[Value], window: &str, notes: &mut Notes) -> Vec<Read> {
    let name = text(field(document, "metadata"), "name");
    let spec = field(document, "spec");
    let known = ["description", "service", "indicator", "indicatorRef", "timeWindow", "budgetingMethod", "objectives"];
    notes.leftover(name, "spec", spec, &known);
    let targets = field(spec, "objectives").as_array().map(Vec::as_slice).unwrap_or_default();
    if targets.is_empty() {
        return vec![(name.to_owned(), Err("spec.objectives is empty".to_owned()))];
    }
    let shared =
        indicator(spec, documents).and_then(|indicator| Ok((indicator, time_window(name, spec, window, notes)?)));
    (1..)
        .zip(targets)
        .map(|(number, target)| {
            let name = if targets.len() == 1 { name.to_owned() } else { format!("{name}-{number}") };
            let proposal = shared.clone().and_then(|(indicator, window)| {
                let (objective, time_slices) = target_of(&name, spec, target, notes)?;
                Ok(Proposal {
                    name: name.clone(),
                    namespace: None,
                    description: Some(text(spec, "description").to_owned()),
                    objective,
                    indicator,
                    window,
                    time_slices,
                    alerts: None,
                })
            });
            (name, proposal)
        })
        .collect()
}

fn target_of(
    name: &str,
    spec: &Value,
    target: &Value,
    notes: &mut Notes,
) -> Result<(String, Option<TimeSlices>), String> {
    let known = ["displayName", "target", "targetPercent", "timeSliceTarget", "timeSliceWindow"];
    notes.leftover(name, "objectives", target, &known);
    let objective = match (number(target, "target"), number(target, "targetPercent")) {
        (Some(share), None) => percent(&share)?,
        (None, Some(percent)) => percent,
        (Some(_), Some(_)) | (None, None) => return Err("must have exactly one of target, targetPercent".to_owned()),
    };
    let slices = match text(spec, "budgetingMethod") {
        "Occurrences" => None,
        "Timeslices" => {
            let share = number(target, "timeSliceTarget").ok_or("timeSliceTarget is missing")?;
            let length = text(target, "timeSliceWindow");
            notes.tell(name, &format!("a slice of {length} becomes one of the resolution, 5m by default"));
            Some(TimeSlices { objective: percent(&share)? })
        }
        other => {
            return Err(format!("the budgeting method `{other}` is not taken over; Occurrences and Timeslices are"));
        }
    };
    Ok((objective, slices))
}

fn time_window(name: &str, spec: &Value, default: &str, notes: &mut Notes) -> Result<Window, String> {
    let windows = field(spec, "timeWindow").as_array().map(Vec::as_slice).unwrap_or_default();
    let window = match windows {
        [] => {
            notes.tell(name, &format!("it has no window; here it is {default}, as --window says"));
            return Ok(rolling(default));
        }
        [one] => one,
        more => return Err(format!("has {} windows; an objective has one", more.len())),
    };
    let duration = text(window, "duration");
    let calendar = field(window, "calendar");
    if calendar.is_null() {
        return match window.get("isRolling").and_then(Value::as_bool) {
            Some(true) => Ok(rolling(duration)),
            Some(false) | None => Err("its window is neither rolling nor of a calendar".to_owned()),
        };
    }
    let period = match duration {
        "1d" => "Day",
        "1w" => "Week",
        "1M" => "Month",
        "1Q" => "Quarter",
        other => return Err(format!("a calendar of `{other}` is not known; 1d, 1w, 1M and 1Q are")),
    };
    let start = text(calendar, "startTime");
    notes.tell(
        name,
        &format!("its calendar turns over with the {}, and not counted from {start}", period.to_lowercase()),
    );
    let time_zone = text(calendar, "timeZone").to_owned();
    Ok(Window { rolling: None, calendar: Some(CalendarWindow { period: period.to_owned(), time_zone }) })
}

/// The indicator inside of the objective, or the one that it names.
fn indicator(spec: &Value, documents: &[Value]) -> Result<Indicator, String> {
    let named = text(spec, "indicatorRef");
    let sli = match field(spec, "indicator") {
        Value::Null => documents
            .iter()
            .find(|d| text(d, "kind") == "SLI" && text(field(d, "metadata"), "name") == named)
            .ok_or_else(|| format!("its indicator `{named}` is not in the file"))?,
        inside => inside,
    };
    let sli = field(sli, "spec");
    let metric = field(sli, "ratioMetric");
    if metric.is_null() {
        return Err("its indicator is no ratio of events; Miax counts events".to_owned());
    }
    if metric.get("counter").and_then(Value::as_bool) != Some(true) {
        return Err("its metrics are not said to be counters; write `counter: true` if they are".to_owned());
    }
    let query = |key: &str| {
        let source = field(field(metric, key), "metricSource");
        let kind = text(source, "type");
        match (source.is_null(), kind) {
            (true, _) => Ok(None),
            (false, "" | "Prometheus" | "prometheus") => Ok(Some(text(field(source, "spec"), "query"))),
            (false, other) => Err(format!("{key}: comes from {other}; Miax reads Prometheus")),
        }
    };
    match (query("bad")?, query("good")?, query("total")?) {
        (Some(bad), None, Some(total)) => ratio(Part::Bad, bad, total),
        (None, Some(good), Some(total)) => ratio(Part::Good, good, total),
        _ => Err("its ratio must have total and exactly one of bad, good".to_owned()),
    }
}
