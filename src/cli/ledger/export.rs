//! `miax ledger export`: the entries as CloudEvents 1.0, one JSON object a line, for systems that keep or search events.

use serde_json::{Value, json};

use crate::cli::output::{Answer, Failure, failure, say};
use crate::cli::source::{Source, Verified};
use crate::constitution::ObjectRef;
use crate::store::Recorded;
use crate::units::UnixSeconds;

use super::filter::Filters;
use super::report::complain;
use super::told::Told;

/// What the type of every event begins with; the kind of entry follows.
const TYPE: &str = "dev.miax.ledger.";

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger export --dump ledger.tar.gz > events.jsonl
  miax ledger export --kind decision --since 2026-11-01T00:00:00Z | jq .data

`data` is the entry itself: its canonical JSON (RFC 8785) is the leaf of the tree that `miax ledger prove` proves.")]
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { filters, source } = arguments;
    source.only_json("a CloudEvent")?;
    let ledger = source.read()?;
    for recorded in filters.choose(&ledger.entries)? {
        say(&cloud_event(&ledger, recorded)?.to_string());
    }
    Ok(complain(&ledger.report))
}

fn cloud_event(ledger: &Verified, recorded: &Recorded) -> Result<Value, Failure> {
    let Recorded { index, time, writer: _, event } = recorded;
    let data: Value = serde_json::from_slice(ledger.bytes(*index).unwrap_or_default()).map_err(|e| failure(&e))?;
    let origin = &ledger.trust.origin;
    let mut value = json!({
        "specversion": "1.0",
        "id": format!("{origin}#{index}"),
        "source": origin,
        "type": format!("{TYPE}{}", event.kind()),
        "time": UnixSeconds::from(*time),
        "datacontenttype": "application/json",
        "data": data,
    });
    if let (Some(ObjectRef { kind, namespace, name }), Value::Object(map)) = (Told::from(event).object, &mut value) {
        let parts: Vec<&str> = [kind.as_str(), namespace, name].into_iter().filter(|p| !p.is_empty()).collect();
        map.insert("subject".to_owned(), Value::from(parts.join("/")));
    }
    Ok(value)
}
