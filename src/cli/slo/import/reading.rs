//! What the readers of all three formats share.

use serde_json::{Map, Value};

use crate::api::v1alpha1::{Indicator, RatioIndicator};
use crate::slo::{Counted, Decimal, counted};

use super::super::proposal::no_indicator;

/// What is said beside the objectives.
#[derive(Default)]
pub(super) struct Notes {
    lines: Vec<String>,
    refused: usize,
}

impl Notes {
    /// Something that is not, or not exactly, taken over.
    pub(super) fn tell(&mut self, name: &str, what: &str) {
        self.lines.push(format!("note: {name}: {what}"));
    }

    /// An objective that is not taken over.
    pub(super) fn refuse(&mut self, name: &str, why: &str) {
        self.refused += 1;
        self.lines.push(format!("refused: {name}: {why}"));
    }

    /// Tells of every field that is not among those that were read.
    pub(super) fn leftover(&mut self, name: &str, place: &str, value: &Value, read: &[&str]) {
        let keys = value.as_object().map(Map::keys).into_iter().flatten();
        let left = keys.filter(|key| !read.contains(&key.as_str())).map(|key| format!("{place}.{key}"));
        let left: Vec<String> = left.collect();
        if !left.is_empty() {
            self.tell(name, &format!("{} not taken over", left.join(", ")));
        }
    }

    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    pub(super) fn refused(&self) -> usize {
        self.refused
    }
}

/// The text of a field; empty when there is none.
pub(super) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A number of a field, whole or not, as text.
pub(super) fn number(value: &Value, key: &str) -> Option<String> {
    match value.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The value of a field; nothing when there is none.
pub(super) fn field<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// A share from 0 to 1 as a percentage, exactly.
pub(super) fn percent(share: &str) -> Result<String, String> {
    let decimal: Decimal = share.parse().map_err(|_| format!("`{share}` is not a decimal number"))?;
    decimal.times(Decimal::whole(100)).map(|p| p.to_string()).ok_or_else(|| format!("`{share}` is too long"))
}

/// Which part of all events a query counts.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Bad,
    Good,
}

/// The indicator of two queries, of a part of the events and of all of them.
pub(super) fn ratio(part: Part, query: &str, total: &str) -> Result<Indicator, String> {
    let read = |name: &str, query: &str| counted(name, query).map_err(|e| e.to_string());
    let Counted::All(all) = read("total", total)? else {
        return Err("total: is a difference; write the counters of all events".to_owned());
    };
    let (bad, good) = match (part, read("part", query)?) {
        (Part::Bad, Counted::All(bad)) => (Some(bad), None),
        (Part::Good, Counted::All(good)) => (None, Some(good)),
        // All events without the good ones are the bad ones, and the other way round.
        (part, Counted::Without(from, rest)) if from == all => match part {
            Part::Bad => (None, Some(rest)),
            Part::Good => (Some(rest), None),
        },
        (Part::Bad | Part::Good, Counted::Without(from, _)) => {
            return Err(format!("part: is a difference from `{from}` and not from all events, `{all}`"));
        }
    };
    let text = |selector: Option<crate::slo::Selector>| selector.map(|s| s.to_string());
    let ratio = RatioIndicator { bad: text(bad), good: text(good), total: all.to_string() };
    Ok(Indicator { ratio: Some(ratio), ..no_indicator() })
}
