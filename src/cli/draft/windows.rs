//! Windows of a calendar, as people write them on a command line: `Fri 16:00-24:00`, `Sat,Sun`, `2026-12-20..2027-01-06`.

use serde_json::{Map, Value, json};

use super::super::output::Failure;

/// Days of the week in their order.
const WEEK: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// When a freeze holds.
#[derive(Debug, clap::Args)]
pub(super) struct Windows {
    /// It holds in this window alone, and every week again: days, hours, or first and last day, with spaces between; can be given
    /// several times. Hours that end before they begin end on the next day.
    #[arg(long = "window", value_name = "WINDOW", requires = "time_zone")]
    windows: Vec<String>,
    /// Time zone of the windows by its IANA name, for example Europe/Berlin or UTC.
    #[arg(long, value_name = "ZONE", requires = "windows")]
    time_zone: Option<String>,
}

impl Windows {
    /// The calendar, as the command carries it; `None` when no window was given.
    pub(super) fn calendar(&self) -> Result<Option<Value>, Failure> {
        let Some(zone) = &self.time_zone else { return Ok(None) };
        let windows: Vec<Value> = self.windows.iter().map(|text| window(text)).collect::<Result<_, _>>()?;
        Ok(Some(json!({"timeZone": zone, "windows": windows})))
    }
}

/// Takes a window apart. Whether its parts make sense says who reads the command.
fn window(text: &str) -> Result<Value, Failure> {
    let mut fields = Map::new();
    for part in text.split_whitespace() {
        let read = match (part.split_once(".."), part.contains(':').then(|| part.split_once('-'))) {
            (Some((first, last)), _) => vec![("firstDay", json!(first)), ("lastDay", json!(last))],
            (None, Some(Some((from, to)))) => vec![("from", json!(from)), ("to", json!(to))],
            (None, Some(None)) => return Err(wrong(text)),
            (None, None) => vec![("days", json!(days(part).ok_or_else(|| wrong(text))?))],
        };
        for (field, value) in read.into_iter().filter(|(_, value)| *value != "") {
            if fields.insert(field.to_owned(), value).is_some() {
                return Err(wrong(text));
            }
        }
    }
    Ok(fields.into())
}

/// `Sat,Sun`, `Mon-Fri`, `Fri-Mon`.
fn days(text: &str) -> Option<Vec<&'static str>> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (WEEK.iter().position(|d| *d == first)?, WEEK.iter().position(|d| *d == last)?);
        let length = (last + WEEK.len() - first) % WEEK.len() + 1;
        all.extend(WEEK.iter().cycle().skip(first).take(length));
    }
    Some(all)
}

fn wrong(text: &str) -> Failure {
    Failure::new(format!("`{text}` is not a window")).with_next(
        "--window 'Fri 16:00-24:00', --window Sat,Sun, --window Mon-Fri, or --window '2026-12-20..2027-01-06'",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_days_hours_and_dates() {
        let check = |text: &str, expected: Value| match window(text) {
            Ok(found) => assert_eq!(found, expected, "{text}"),
            Err(_) => panic!("{text}"),
        };
        check("Fri 16:00-24:00", json!({"days": ["Fri"], "from": "16:00", "to": "24:00"}));
        check("Sat,Sun", json!({"days": ["Sat", "Sun"]}));
        check("Mon-Wed,Fri", json!({"days": ["Mon", "Tue", "Wed", "Fri"]}));
        check("Sat-Mon", json!({"days": ["Sat", "Sun", "Mon"]}));
        check("22:00-06:00", json!({"from": "22:00", "to": "06:00"}));
        check("2026-12-20..2027-01-06", json!({"firstDay": "2026-12-20", "lastDay": "2027-01-06"}));
        check("2026-12-20.. Mon", json!({"firstDay": "2026-12-20", "days": ["Mon"]}));
        for text in ["fri", "Mon Tue", "16:00", "16:00-17:00 18:00-19:00", "2026-12-20", "Mon-", "weekend"] {
            assert!(window(text).is_err(), "{text}");
        }
    }
}
