//! `miax ledger list`: one line an entry.

use serde_json::Value;

use crate::cli::output::{Answer, Failure, print, table};
use crate::cli::source::Source;
use crate::store::Recorded;
use crate::units::UnixSeconds;

use super::filter::Filters;
use super::report::complain;
use super::told::{Told, entry_value};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax ledger list --kind decision --limit 20
  miax ledger list --object shop/checkout-3
  miax ledger list --reason SeatsMissing --since 2026-11-01T00:00:00Z --organ SRE")]
pub(super) struct Arguments {
    #[command(flatten)]
    filters: Filters,
    /// Only the last N of them.
    #[arg(long)]
    limit: Option<usize>,
    #[command(flatten)]
    source: Source,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { filters, limit, source } = arguments;
    let ledger = source.read()?;
    let mut rows = filters.choose(&ledger.entries)?;
    let skip = limit.map_or(0, |limit| rows.len().saturating_sub(limit));
    rows.drain(..skip);
    let value: Vec<Value> = rows.iter().map(|r| entry_value(r)).collect();
    print(source.output, &value, || list_text(&rows))?;
    Ok(complain(&ledger.report))
}

/// A table of entries.
pub(super) fn list_text(rows: &[&Recorded]) -> String {
    let header = ["INDEX", "TIME", "KIND", "RESULT", "OBJECT", "WHAT"].map(str::to_owned).to_vec();
    let rows = rows.iter().map(|r| {
        let Told { object, result, what, .. } = Told::from(&r.event);
        let object = object.map_or_else(|| "-".to_owned(), ToString::to_string);
        vec![
            r.index.to_string(),
            UnixSeconds::from(r.time).to_string(),
            r.event.kind().to_owned(),
            result,
            object,
            what,
        ]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>())
}
