//! Over which time a budget is counted, and when a calendar turns over.
//!
//! Must not: read a clock or the zone database of the machine. The database is built in, so that all replicas and everybody who
//! judges again come to the same.

use std::fmt;

use jiff::civil::{Date, Time};

use crate::api::v1alpha1 as raw;
use crate::units::{Seconds, UnixSeconds};

use super::error::{Problem, SloError};
use super::zone::Zone;

/// Shortest rolling window.
pub const SHORTEST_WINDOW: Seconds = Seconds(3600);
/// Longest window; no quarter is longer.
pub const LONGEST_WINDOW: Seconds = Seconds(92 * 86_400);

/// The time that a budget is counted over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// The last so many seconds, from [`SHORTEST_WINDOW`] to [`LONGEST_WINDOW`].
    Rolling(Seconds),
    /// Since the calendar last turned over.
    Calendar(Calendar),
}

/// A calendar in a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// How long a page of it is.
    pub period: Period,
    zone: Zone,
}

/// How long a page of the calendar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday.
    Week,
    /// From the first of a month.
    Month,
    /// From the first of January, April, July and October.
    Quarter,
}

/// A window at one time: what of it has passed, and when all of it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first moment.
    pub from: UnixSeconds,
    /// All of it: the length of the rolling window, or of this page of the calendar.
    pub length: Seconds,
    /// When the budget begins anew; a rolling window never does.
    pub turns: Option<UnixSeconds>,
}

impl Window {
    /// Reads a window.
    ///
    /// # Errors
    /// [`SloError`] below `path` when it is not exactly one window, or one out of range.
    pub fn read(path: &str, spec: &raw::Window) -> Result<Self, SloError> {
        let raw::Window { rolling, calendar } = spec;
        match (rolling, calendar) {
            (Some(text), None) => {
                let path = format!("{path}.rolling");
                let length = duration(&path, text)?;
                if length < SHORTEST_WINDOW || length > LONGEST_WINDOW {
                    let range = "a length from 1h to 92d";
                    return Err(SloError::new(path, Problem::Range { found: text.clone(), range }));
                }
                Ok(Self::Rolling(length))
            }
            (None, Some(calendar)) => Calendar::read(&format!("{path}.calendar"), calendar).map(Self::Calendar),
            (None, None) | (Some(_), Some(_)) => Err(SloError::new(path, Problem::ExactlyOne("rolling, calendar"))),
        }
    }

    /// The window at `now`.
    #[must_use]
    pub fn at(&self, now: UnixSeconds) -> Span {
        match self {
            Self::Rolling(length) => Span { from: now.minus(*length), length: *length, turns: None },
            Self::Calendar(calendar) => calendar.at(now),
        }
    }

    /// The longest that it can be.
    #[must_use]
    pub fn longest(&self) -> Seconds {
        let hours = match self {
            Self::Rolling(length) => return *length,
            // A day has 25 hours when summer time ends.
            Self::Calendar(Calendar { period: Period::Day, .. }) => 25,
            Self::Calendar(Calendar { period: Period::Week, .. }) => 7 * 24 + 1,
            Self::Calendar(Calendar { period: Period::Month, .. }) => 31 * 24 + 1,
            Self::Calendar(Calendar { period: Period::Quarter, .. }) => 92 * 24 + 1,
        };
        Seconds(hours * 3600)
    }

    /// About how long it is: what alert factors are scaled by.
    #[must_use]
    pub fn nominal(&self) -> Seconds {
        let days = match self {
            Self::Rolling(length) => return *length,
            Self::Calendar(Calendar { period: Period::Day, .. }) => 1,
            Self::Calendar(Calendar { period: Period::Week, .. }) => 7,
            Self::Calendar(Calendar { period: Period::Month, .. }) => 30,
            Self::Calendar(Calendar { period: Period::Quarter, .. }) => 91,
        };
        Seconds(days * 86_400)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rolling(length) => write!(f, "the last {length}"),
            Self::Calendar(Calendar { period, zone }) => {
                write!(f, "the calendar {} in {zone}", period.as_str().to_lowercase())
            }
        }
    }
}

impl Period {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "Day",
            Self::Week => "Week",
            Self::Month => "Month",
            Self::Quarter => "Quarter",
        }
    }

    /// The first day of the page that `day` is on.
    fn first(self, day: Date) -> Option<Date> {
        let back = |days: i64| day.checked_sub(jiff::Span::new().try_days(days).ok()?).ok();
        match self {
            Self::Day => Some(day),
            Self::Week => back(i64::from(day.weekday().to_monday_zero_offset())),
            Self::Month => Some(day.first_of_month()),
            Self::Quarter => Date::new(day.year(), (day.month() - 1) / 3 * 3 + 1, 1).ok(),
        }
    }

    /// The first day of the page after the one that begins on `first`.
    fn next(self, first: Date) -> Option<Date> {
        let span = jiff::Span::new();
        let span = match self {
            Self::Day => span.try_days(1),
            Self::Week => span.try_days(7),
            Self::Month => span.try_months(1),
            Self::Quarter => span.try_months(3),
        };
        first.checked_add(span.ok()?).ok()
    }
}

impl Calendar {
    fn read(path: &str, spec: &raw::CalendarWindow) -> Result<Self, SloError> {
        let raw::CalendarWindow { period, time_zone } = spec;
        let period = match period.as_str() {
            "Day" => Period::Day,
            "Week" => Period::Week,
            "Month" => Period::Month,
            "Quarter" => Period::Quarter,
            other => {
                let problem = Problem::Choice { found: other.to_owned(), allowed: "Day, Week, Month, Quarter" };
                return Err(SloError::new(format!("{path}.period"), problem));
            }
        };
        let unknown = || SloError::new(format!("{path}.timeZone"), Problem::TimeZone(time_zone.clone()));
        Ok(Self { period, zone: Zone::named(time_zone).ok_or_else(unknown)? })
    }

    fn at(&self, now: UnixSeconds) -> Span {
        let start = |day: Date| self.zone.moment(day.to_datetime(Time::midnight()));
        let page = || {
            let first = self.period.first(self.zone.civil(now)?.date())?;
            Some((start(first)?, start(self.period.next(first)?)?))
        };
        // Only years that the calendar cannot hold have no page; there nothing has passed and nothing turns.
        let (from, turns) = page().unwrap_or((now, now));
        Span { from, length: turns.since(from), turns: Some(turns) }
    }
}

/// Reads a length of time: a whole number above 0 and one of s, m, h, d, w.
///
/// # Errors
/// [`SloError`] at `path` when the text is anything else.
pub(super) fn duration(path: &str, text: &str) -> Result<Seconds, SloError> {
    let weeks = text.strip_suffix('w').map(|n| format!("{n}d"));
    let read: Option<Seconds> = match &weeks {
        Some(days) => days.parse::<Seconds>().ok().and_then(|s| s.0.checked_mul(7)).map(Seconds),
        None => text.parse().ok(),
    };
    read.filter(|s| s.0 > 0 && !text.starts_with('0'))
        .ok_or_else(|| SloError::new(path, Problem::Duration(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolling(text: &str) -> Result<Window, String> {
        let spec = raw::Window { rolling: Some(text.to_owned()), calendar: None };
        Window::read("spec.window", &spec).map_err(|e| e.to_string())
    }

    fn calendar(period: &str, zone: &str) -> Result<Window, String> {
        let calendar = raw::CalendarWindow { period: period.to_owned(), time_zone: zone.to_owned() };
        let spec = raw::Window { rolling: None, calendar: Some(calendar) };
        Window::read("spec.window", &spec).map_err(|e| e.to_string())
    }

    #[test]
    fn a_rolling_window_is_from_an_hour_to_92_days() {
        assert_eq!(rolling("30d"), Ok(Window::Rolling(Seconds(30 * 86_400))));
        assert_eq!(rolling("4w"), Ok(Window::Rolling(Seconds(28 * 86_400))));
        assert_eq!(rolling("1h"), Ok(Window::Rolling(SHORTEST_WINDOW)));
        assert_eq!(rolling("92d"), Ok(Window::Rolling(LONGEST_WINDOW)));
        for (text, part) in [
            ("59m", "from 1h to 92d"),
            ("93d", "from 1h to 92d"),
            ("999999w", "from 1h to 92d"),
            ("0d", "not a length of time"),
            ("1h30m", "not a length of time"),
            ("1y", "not a length of time"),
            ("99999999999999999999w", "not a length of time"),
            ("w", "not a length of time"),
            ("", "not a length of time"),
        ] {
            assert!(rolling(text).as_ref().is_err_and(|e| e.contains(part)), "{text}: {:?}", rolling(text));
        }
        let both = raw::Window { rolling: None, calendar: None };
        assert!(Window::read("spec.window", &both).is_err());
    }

    #[track_caller]
    fn check_page(period: &str, zone: &str, now: &str, from: &str, turns: &str) {
        let window = calendar(period, zone).expect("a window");
        let span = window.at(now.parse().expect("a time"));
        assert_eq!(
            (span.from.to_string(), span.turns.map(|t| t.to_string())),
            (from.to_owned(), Some(turns.to_owned()))
        );
        assert!(span.length <= window.longest(), "{span:?}");
    }

    #[test]
    fn a_calendar_turns_over_in_its_time_zone() {
        check_page("Day", "UTC", "2026-11-28T03:00:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z");
        check_page("Month", "Europe/Berlin", "2026-11-30T22:59:59Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z");
        check_page("Month", "Europe/Berlin", "2026-11-30T23:00:00Z", "2026-11-30T23:00:00Z", "2026-12-31T23:00:00Z");
        check_page("Week", "Asia/Kolkata", "2026-11-29T18:29:59Z", "2026-11-22T18:30:00Z", "2026-11-29T18:30:00Z");
        check_page(
            "Quarter",
            "America/New_York",
            "2026-11-28T00:00:00Z",
            "2026-10-01T04:00:00Z",
            "2027-01-01T05:00:00Z",
        );
        check_page("Quarter", "UTC", "2026-09-30T23:59:59Z", "2026-07-01T00:00:00Z", "2026-10-01T00:00:00Z");
        // The day on which summer time ends has 25 hours, the one on which it begins has 23.
        check_page("Day", "Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        check_page("Day", "Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        // Here midnight does not exist when summer time begins: the day begins an hour later.
        check_page("Day", "Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z");
        check_page("Month", "UTC", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
    }

    #[test]
    fn a_calendar_needs_a_period_and_a_zone_that_exist() {
        for (period, zone, part) in [
            ("Year", "UTC", "spec.window.calendar.period: `Year` is not one of"),
            ("Month", "Europe/Bärlin", "spec.window.calendar.timeZone"),
            ("Month", "europe/berlin", "not a time zone"),
            ("Month", "../../etc/passwd", "not a time zone"),
            ("Month", "", "not a time zone"),
        ] {
            let found = calendar(period, zone);
            assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{found:?}");
        }
    }
}
