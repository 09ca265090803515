//! `miax explain`: what a reason means.

use serde_json::json;

use crate::api::reason::{Reason, ReasonClass};

use super::output::{Answer, Failure, Format, print, table};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  miax explain SeatsMissing\n  miax explain -o json")]
pub(super) struct Arguments {
    /// The word, as in a denial or a condition; without one all are listed.
    reason: Option<String>,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

fn class(reason: Reason) -> &'static str {
    match reason.class() {
        ReasonClass::Allowed => "allowed",
        ReasonClass::Refused => "refused by a rule",
        ReasonClass::Malformed => "not a document that can be judged",
        ReasonClass::Unable => "Miax cannot judge now",
    }
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let Arguments { reason, output } = arguments;
    let chosen: Vec<Reason> = match reason {
        None => Reason::ALL.to_vec(),
        Some(word) => Reason::ALL.iter().copied().filter(|r| r.as_str().eq_ignore_ascii_case(word)).collect(),
    };
    if chosen.is_empty() {
        let word = reason.as_deref().unwrap_or_default();
        return Err(Failure::new(format!("`{word}` is not a reason")).with_next("miax explain lists all of them"));
    }
    let row = |r: &Reason| json!({"reason": r.as_str(), "class": class(*r), "code": r.class().http_code(), "meaning": r.meaning()});
    let value: Vec<_> = chosen.iter().map(row).collect();
    print(*output, &value, || {
        let rows: Vec<Vec<String>> =
            chosen.iter().map(|r| vec![r.as_str().to_owned(), class(*r).to_owned(), r.meaning().to_owned()]).collect();
        table(&rows)
    })?;
    Ok(Answer::Yes)
}
