//! Files of Sloth: `prometheus/v1`, and the objects `sloth.slok.dev/v1`.
//! Source: Sloth's specification of `prometheus/v1`, and its CRD.

use serde_json::Value;

use crate::api::v1alpha1::{AlertPair, Alerts, Indicator};

use super::super::proposal::{Proposal, rolling};
use super::Read;
use super::reading::{Notes, Part, field, number, ratio, text};

/// The variable that Sloth puts the length of a range for.
const WINDOW: &str = "{{.window}}";

/// How the two formats call the same fields.
struct Words {
    error_query: &'static str,
    total_query: &'static str,
    page: &'static str,
    ticket: &'static str,
}

const FILE: Words =
    Words { error_query: "error_query", total_query: "total_query", page: "page_alert", ticket: "ticket_alert" };
const OBJECT: Words =
    Words { error_query: "errorQuery", total_query: "totalQuery", page: "pageAlert", ticket: "ticketAlert" };

/// The objectives of a file.
pub(super) fn file(document: &Value, window: &str, notes: &mut Notes) -> Vec<Read> {
    service(document, None, &FILE, window, notes)
}

/// The objectives of an object of Kubernetes.
pub(super) fn object(document: &Value, window: &str, notes: &mut Notes) -> Vec<Read> {
    let namespace = text(field(document, "metadata"), "namespace");
    service(field(document, "spec"), Some(namespace).filter(|n| !n.is_empty()), &OBJECT, window, notes)
}

fn service(spec: &Value, namespace: Option<&str>, words: &Words, window: &str, notes: &mut Notes) -> Vec<Read> {
    let service = text(spec, "service");
    notes.leftover(service, "service", spec, &["version", "service", "slos"]);
    let slos = field(spec, "slos").as_array().map(Vec::as_slice).unwrap_or_default();
    slos.iter()
        .map(|slo| {
            let name = format!("{service}-{}", text(slo, "name"));
            let proposal = objective(&name, slo, words, window, notes);
            let proposal = proposal.map(|p| Proposal { namespace: namespace.map(str::to_owned), ..p });
            (name, proposal)
        })
        .collect()
}

fn objective(name: &str, slo: &Value, words: &Words, window: &str, notes: &mut Notes) -> Result<Proposal, String> {
    let indicator = indicator(field(slo, "sli"), words)?;
    notes.leftover(name, "slo", slo, &["name", "objective", "description", "sli", "alerting"]);
    notes.tell(name, &format!("Sloth takes its window from a flag; here it is {window}, as --window says"));
    Ok(Proposal {
        name: name.to_owned(),
        namespace: None,
        description: Some(text(slo, "description").to_owned()),
        objective: number(slo, "objective").ok_or("objective is not a number")?,
        indicator,
        window: rolling(window),
        time_slices: None,
        alerts: alerts(name, field(slo, "alerting"), words, notes),
    })
}

fn indicator(sli: &Value, words: &Words) -> Result<Indicator, String> {
    let events = field(sli, "events");
    if events.is_null() {
        let kind = if field(sli, "raw").is_null() { "a plugin" } else { "a ratio that is calculated already" };
        return Err(format!(
            "its indicator is {kind}; Miax counts events, so write selectors of bad and of all of them"
        ));
    }
    let query = |key: &str| text(events, key).replace(WINDOW, "5m");
    ratio(Part::Bad, &query(words.error_query), &query(words.total_query))
}

/// Sloth's alerts are the workbook's; each of the two severities can be switched off.
fn alerts(name: &str, alerting: &Value, words: &Words, notes: &mut Notes) -> Option<Alerts> {
    notes.leftover(name, "alerting", alerting, &[words.page, words.ticket]);
    let disabled = |key: &str| {
        let alert = field(alerting, key);
        alert.get("disable").and_then(Value::as_bool) == Some(true)
    };
    for key in [words.page, words.ticket] {
        notes.leftover(name, &format!("alerting.{key}"), field(alerting, key), &["disable"]);
    }
    let pair = |severity: &str, long: &str, short: &str, factor: &str| AlertPair {
        severity: severity.to_owned(),
        long: long.to_owned(),
        short: short.to_owned(),
        factor: factor.to_owned(),
    };
    let pairs = match (disabled(words.page), disabled(words.ticket)) {
        (false, false) => return None,
        (true, true) => return Some(Alerts { policy: "None".to_owned(), pairs: None, min_events: None }),
        (false, true) => vec![pair("Page", "1h", "5m", "14.4"), pair("Page", "6h", "30m", "6")],
        (true, false) => vec![pair("Ticket", "1d", "2h", "3"), pair("Ticket", "3d", "6h", "1")],
    };
    Some(Alerts { policy: "Custom".to_owned(), pairs: Some(pairs), min_events: None })
}
