//! When a freeze holds: hours and days, as clocks and calendars in its time zone show them.
//!
//! A moment is judged by what clocks show then, and not by a schedule and a length: nothing is missed or held for longer when
//! summer time begins or ends.

use std::fmt;

use jiff::civil::{Date, DateTime, Time, Weekday};
use serde::{Deserialize, Serialize};

use crate::api::v1alpha1 as api;
use crate::slo::Zone;
use crate::units::UnixSeconds;

/// As far as anybody plans ahead, in days.
pub const YEAR_AHEAD: usize = 400;
/// Minutes of a day.
const DAY: u16 = 24 * 60;
/// What documents call the days of the week.
const WEEK: [(&str, Weekday); 7] = [
    ("Mon", Weekday::Monday),
    ("Tue", Weekday::Tuesday),
    ("Wed", Weekday::Wednesday),
    ("Thu", Weekday::Thursday),
    ("Fri", Weekday::Friday),
    ("Sat", Weekday::Saturday),
    ("Sun", Weekday::Sunday),
];

/// When a freeze holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "api::FreezeCalendar", into = "api::FreezeCalendar")]
pub struct Calendar {
    zone: Zone,
    windows: Vec<Window>,
}

/// Hours of some days.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// Empty means all.
    days: Vec<Weekday>,
    hours: Hours,
    first: Option<Date>,
    last: Option<Date>,
}

/// Minutes of the day from which and to which it is open; what ends before it begins ends on the day after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hours {
    from: u16,
    to: u16,
}

const ALL_DAY: Hours = Hours { from: 0, to: DAY };

/// Why a calendar makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct CalendarError {
    /// The field, below the calendar.
    pub field: String,
    /// What is wrong with it.
    pub why: String,
}

impl Calendar {
    /// Whether the freeze holds at `now`; a time that no calendar knows counts as one in which it does.
    #[must_use]
    pub fn holds(&self, now: UnixSeconds) -> bool {
        self.zone.civil(now).is_none_or(|civil| self.windows.iter().any(|w| w.open(civil)))
    }

    /// When that changes next, if it does within so many days; each of them costs a look at every window.
    #[must_use]
    pub fn turns(&self, now: UnixSeconds, days: usize) -> Option<UnixSeconds> {
        let held = self.holds(now);
        let turns = |at: &UnixSeconds| *at > now && self.holds(*at) != held;
        // A window of yesterday may close today.
        let first = self.zone.civil(now)?.date().yesterday().ok()?;
        let mut days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(days);
        let edge = days.find_map(|day| self.edges(day).filter(turns).min());
        // Clocks that jump can jump into a window, or out of one.
        self.zone.jumps(now).take_while(|at| edge.is_some_and(|edge| *at < edge)).find(turns).or(edge)
    }

    /// When windows open that open on this day, and when these close.
    fn edges(&self, day: Date) -> impl Iterator<Item = UnixSeconds> {
        let opening = self.windows.iter().filter(move |w| w.opens_on(day));
        let moments = opening.flat_map(move |Window { hours: Hours { from, to }, .. }| {
            let closes = if from < to { Some(day) } else { day.tomorrow().ok() };
            [at(day, *from), closes.and_then(|day| at(day, *to))]
        });
        moments.flatten().flat_map(|civil| self.zone.moments(civil))
    }
}

impl Window {
    fn open(&self, now: DateTime) -> bool {
        let Hours { from, to } = self.hours;
        let minute = minute(now.time());
        let (today, yesterday) = (now.date(), now.date().yesterday().ok());
        if from < to {
            return (from..to).contains(&minute) && self.opens_on(today);
        }
        (minute >= from && self.opens_on(today)) || (minute < to && yesterday.is_some_and(|day| self.opens_on(day)))
    }

    fn opens_on(&self, day: Date) -> bool {
        (self.days.is_empty() || self.days.contains(&day.weekday()))
            && self.first.is_none_or(|first| first <= day)
            && self.last.is_none_or(|last| day <= last)
    }

    fn read(raw: &api::FreezeWindow) -> Result<Self, (&'static str, String)> {
        let api::FreezeWindow { days, from, to, first_day, last_day } = raw;
        let first = first_day.as_deref().map(read_day).transpose().map_err(|why| ("firstDay", why))?;
        let last = last_day.as_deref().map(read_day).transpose().map_err(|why| ("lastDay", why))?;
        if first.zip(last).is_some_and(|(first, last)| last < first) {
            return Err(("lastDay", "it is before firstDay".to_owned()));
        }
        let hours = match (from, to) {
            (None, None) => ALL_DAY,
            (Some(from), Some(to)) => Hours {
                from: read_minute(from).filter(|from| *from < DAY).ok_or_else(|| ("from", no_time(from)))?,
                to: read_minute(to).filter(|to| *to > 0).ok_or_else(|| ("to", no_time(to)))?,
            },
            (Some(_), None) => return Err(("to", "from and to go together".to_owned())),
            (None, Some(_)) => return Err(("from", "from and to go together".to_owned())),
        };
        if hours.from == hours.to {
            return Err(("to", "it closes when it opens; a whole day is from 00:00 to 24:00".to_owned()));
        }
        let days = read_days(days).map_err(|why| ("days", why))?;
        if days.is_empty() && hours == ALL_DAY && first.is_none() && last.is_none() {
            return Err(("", "it is always open; a freeze that always holds needs no calendar".to_owned()));
        }
        Ok(Self { days, hours, first, last })
    }
}

fn minute(time: Time) -> u16 {
    u16::try_from(time.hour()).unwrap_or_default() * 60 + u16::try_from(time.minute()).unwrap_or_default()
}

/// This minute of a day; the last one is midnight of the next.
fn at(day: Date, minute: u16) -> Option<DateTime> {
    if minute == DAY {
        return Some(day.tomorrow().ok()?.to_datetime(Time::midnight()));
    }
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, i8::try_from(minute % 60).ok()?);
    Some(day.to_datetime(Time::new(hour, minute, 0, 0).ok()?))
}

fn no_time(text: &str) -> String {
    format!("`{text}` is no time of day; write one like 16:00, from 00:00 to 24:00")
}

/// HH:MM, in one spelling.
fn read_minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |t: &str| t.parse::<u16>().ok().filter(|_| t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()));
    let (hour, minute) = (number(hour)?, number(minute)?);
    Some(hour * 60 + minute).filter(|m| minute < 60 && *m <= DAY)
}

/// YYYY-MM-DD, in one spelling.
fn read_day(text: &str) -> Result<Date, String> {
    let day: Option<Date> = text.parse().ok().filter(|day: &Date| day.to_string() == text);
    day.ok_or_else(|| format!("`{text}` is no day; write one like 2026-12-20"))
}

fn read_days(names: &[String]) -> Result<Vec<Weekday>, String> {
    let all = names.iter().map(|name| WEEK.iter().find(|(word, _)| word == name).map(|(_, day)| *day));
    let days: Vec<Weekday> = all.collect::<Option<_>>().ok_or_else(|| {
        format!("`{}` is not a list of days; write some of Mon, Tue, Wed, Thu, Fri, Sat, Sun", names.join(", "))
    })?;
    match WEEK.iter().find(|(_, day)| days.iter().filter(|d| *d == day).count() > 1) {
        Some((word, _)) => Err(format!("{word} stands twice")),
        None => Ok(days),
    }
}

impl TryFrom<api::FreezeCalendar> for Calendar {
    type Error = CalendarError;

    /// Reads a calendar.
    ///
    /// # Errors
    /// [`CalendarError`]: the time zone is unknown, there is no window, or one is always open, never, or not written as it must be.
    fn try_from(raw: api::FreezeCalendar) -> Result<Self, CalendarError> {
        let api::FreezeCalendar { time_zone, windows } = raw;
        let error = |field: &str, why: String| CalendarError { field: field.to_owned(), why };
        let unknown = || error("timeZone", format!("`{time_zone}` is not a time zone; write an IANA name"));
        let zone = Zone::named(&time_zone).ok_or_else(unknown)?;
        if windows.is_empty() {
            return Err(error("windows", "there is none; a freeze that always holds needs no calendar".to_owned()));
        }
        let read = |(index, raw): (usize, &api::FreezeWindow)| {
            Window::read(raw).map_err(|(field, why)| {
                let dot = if field.is_empty() { "" } else { "." };
                error(&format!("windows[{index}]{dot}{field}"), why)
            })
        };
        Ok(Self { zone, windows: windows.iter().enumerate().map(read).collect::<Result<_, _>>()? })
    }
}

impl From<Calendar> for api::FreezeCalendar {
    fn from(calendar: Calendar) -> Self {
        let Calendar { zone, windows } = calendar;
        let windows = windows.iter().map(|Window { days, hours, first, last }| {
            let part = Some(*hours).filter(|hours| *hours != ALL_DAY);
            api::FreezeWindow {
                days: words(days).map(str::to_owned).collect(),
                from: part.map(|hours| clock(hours.from)),
                to: part.map(|hours| clock(hours.to)),
                first_day: first.map(|day| day.to_string()),
                last_day: last.map(|day| day.to_string()),
            }
        });
        Self { time_zone: zone.name().to_owned(), windows: windows.collect() }
    }
}

fn words(days: &[Weekday]) -> impl Iterator<Item = &'static str> {
    WEEK.iter().filter(|(_, day)| days.contains(day)).map(|(word, _)| *word)
}

fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

impl fmt::Display for Window {
    /// `Fri 16:00-24:00`, `2026-12-20..2027-01-06`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, hours, first, last } = self;
        let mut parts = Vec::new();
        if !days.is_empty() {
            parts.push(words(days).collect::<Vec<_>>().join(","));
        }
        if *hours != ALL_DAY {
            parts.push(format!("{}-{}", clock(hours.from), clock(hours.to)));
        }
        if first.is_some() || last.is_some() {
            let day = |day: &Option<Date>| day.map(|day| day.to_string()).unwrap_or_default();
            parts.push(format!("{}..{}", day(first), day(last)));
        }
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows: Vec<String> = self.windows.iter().map(ToString::to_string).collect();
        write!(f, "{} ({})", windows.join("; "), self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(zone: &str, windows: serde_json::Value) -> Result<Calendar, String> {
        let raw = serde_json::json!({"timeZone": zone, "windows": windows});
        serde_json::from_value(raw).map_err(|e| e.to_string())
    }

    /// Says at each moment whether the calendar holds, and when it turns.
    #[track_caller]
    fn check(zone: &str, windows: serde_json::Value, moments: &[(&str, bool, &str)]) {
        let calendar = read(zone, windows).expect("a calendar");
        for (now, holds, turns) in moments {
            let now: UnixSeconds = now.parse().expect("a time");
            let next = calendar.turns(now, YEAR_AHEAD).map(|at| at.to_string()).unwrap_or_default();
            assert_eq!((calendar.holds(now), next.as_str()), (*holds, *turns), "{calendar} at {now}");
        }
    }

    #[test]
    fn a_window_opens_and_closes_by_the_clocks_of_its_zone() {
        let weekend = serde_json::json!([{"days": ["Fri"], "from": "16:00", "to": "24:00"}, {"days": ["Sat", "Sun"]}]);
        check(
            "Europe/Berlin",
            weekend,
            &[
                ("2026-11-27T14:59:59Z", false, "2026-11-27T15:00:00Z"),
                ("2026-11-27T15:00:00Z", true, "2026-11-29T23:00:00Z"),
                ("2026-11-29T22:59:59Z", true, "2026-11-29T23:00:00Z"),
                ("2026-11-29T23:00:00Z", false, "2026-12-04T15:00:00Z"),
            ],
        );
        let night = serde_json::json!([{"days": ["Fri"], "from": "22:00", "to": "06:00"}]);
        check(
            "UTC",
            night,
            &[
                ("2026-11-27T05:59:59Z", false, "2026-11-27T22:00:00Z"),
                ("2026-11-27T22:00:00Z", true, "2026-11-28T06:00:00Z"),
                ("2026-11-28T05:59:59Z", true, "2026-11-28T06:00:00Z"),
                ("2026-11-28T22:00:00Z", false, "2026-12-04T22:00:00Z"),
            ],
        );
        let holidays = serde_json::json!([{"firstDay": "2026-12-20", "lastDay": "2027-01-06"}]);
        check(
            "America/New_York",
            holidays,
            &[
                ("2026-12-20T04:59:59Z", false, "2026-12-20T05:00:00Z"),
                ("2026-12-20T05:00:00Z", true, "2027-01-07T05:00:00Z"),
                ("2027-01-07T05:00:00Z", false, ""),
            ],
        );
        // One that goes over into another is one to whoever waits.
        let overlap = serde_json::json!([{"from": "22:00", "to": "06:00"}, {"from": "05:00", "to": "07:00"}]);
        check("UTC", overlap, &[("2026-11-27T23:00:00Z", true, "2026-11-28T07:00:00Z")]);
    }

    #[test]
    fn clocks_that_jump_miss_no_window_and_hold_none_for_longer() {
        let early = serde_json::json!([{"from": "02:30", "to": "03:30"}]);
        // From 02:00 to 03:00 no clock shows anything on that day: half of the window is left.
        check(
            "Europe/Berlin",
            early.clone(),
            &[
                ("2026-03-29T00:59:59Z", false, "2026-03-29T01:00:00Z"),
                ("2026-03-29T01:00:00Z", true, "2026-03-29T01:30:00Z"),
                ("2026-03-29T01:30:00Z", false, "2026-03-30T00:30:00Z"),
            ],
        );
        // Clocks show 02:30 twice on that day, and it is open both times.
        check(
            "Europe/Berlin",
            early,
            &[
                ("2026-10-25T00:29:59Z", false, "2026-10-25T00:30:00Z"),
                ("2026-10-25T00:30:00Z", true, "2026-10-25T01:00:00Z"),
                ("2026-10-25T01:10:00Z", false, "2026-10-25T01:30:00Z"),
                ("2026-10-25T01:30:00Z", true, "2026-10-25T02:30:00Z"),
            ],
        );
    }

    #[test]
    fn a_calendar_says_which_field_is_wrong() {
        for (zone, windows, part) in [
            ("Mars/Olympus", serde_json::json!([{"days": ["Mon"]}]), "timeZone: `Mars/Olympus` is not a time zone"),
            ("UTC", serde_json::json!([]), "windows: there is none"),
            ("UTC", serde_json::json!([{"days": ["Mon"]}, {}]), "windows[1]: it is always open"),
            ("UTC", serde_json::json!([{"from": "00:00", "to": "24:00"}]), "windows[0]: it is always open"),
            ("UTC", serde_json::json!([{"days": ["Monday"]}]), "windows[0].days: `Monday` is not a list of days"),
            ("UTC", serde_json::json!([{"days": ["Mon", "Mon"]}]), "windows[0].days: Mon stands twice"),
            ("UTC", serde_json::json!([{"from": "16:00"}]), "windows[0].to: from and to go together"),
            ("UTC", serde_json::json!([{"from": "24:00", "to": "06:00"}]), "windows[0].from: `24:00` is no time"),
            ("UTC", serde_json::json!([{"from": "6:00", "to": "24:01"}]), "windows[0].from: `6:00` is no time"),
            ("UTC", serde_json::json!([{"from": "06:00", "to": "24:01"}]), "windows[0].to: `24:01` is no time"),
            ("UTC", serde_json::json!([{"from": "06:00", "to": "06:00"}]), "windows[0].to: it closes when it opens"),
            ("UTC", serde_json::json!([{"firstDay": "2026-02-29"}]), "windows[0].firstDay: `2026-02-29` is no day"),
            ("UTC", serde_json::json!([{"lastDay": "20261220"}]), "windows[0].lastDay: `20261220` is no day"),
            ("UTC", serde_json::json!([{"firstDay": "2026-12-20", "lastDay": "2026-12-19"}]), "it is before firstDay"),
            ("UTC", serde_json::json!([{"cron": "* * * * *"}]), "unknown field `cron`"),
        ] {
            let found = read(zone, windows);
            assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{part}: {found:?}");
        }
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let windows = serde_json::json!([
            {"days": ["Fri"], "from": "16:00", "to": "24:00"},
            {"firstDay": "2026-12-20", "lastDay": "2027-01-06", "days": ["Mon", "Sun"]},
        ]);
        let calendar = read("Europe/Berlin", windows.clone()).expect("a calendar");
        let written = serde_json::to_value(&calendar).expect("json");
        assert_eq!(written, serde_json::json!({"timeZone": "Europe/Berlin", "windows": windows}));
        assert_eq!(calendar.to_string(), "Fri 16:00-24:00; Mon,Sun 2026-12-20..2027-01-06 (Europe/Berlin)");
    }
}
