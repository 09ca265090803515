//! How often events are counted.

use std::fmt;

use crate::units::Seconds;

/// The time between two recordings, from 1 s to 10 m. Miax's operator chooses it; it should be at least twice the interval at which
/// Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resolution(Seconds);

/// A resolution outside of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a resolution of {0} is out of range; choose one from 1s to 10m")]
pub struct ResolutionError(Seconds);

impl Resolution {
    /// Five minutes.
    pub const DEFAULT: Self = Self(Seconds(300));

    /// A resolution.
    ///
    /// # Errors
    /// [`ResolutionError`] below 1 s and above 10 m: the shortest window must have points enough.
    pub fn try_new(length: Seconds) -> Result<Self, ResolutionError> {
        match length.0 {
            1..=600 => Ok(Self(length)),
            _ => Err(ResolutionError(length)),
        }
    }

    /// Its length.
    #[must_use]
    pub fn length(self) -> Seconds {
        self.0
    }

    /// How old the newest recording may be: two intervals, and a little.
    #[must_use]
    pub fn oldest(self) -> Seconds {
        Seconds(self.0.0 * 2 + 10)
    }

    /// How many recordings a length of time has.
    #[must_use]
    pub fn points(self, length: Seconds) -> u64 {
        // The constructor lets no zero in.
        length.0 / self.0.0.max(1)
    }

    /// How long after an event it is counted: a scrape may end after the evaluation that its time is before, and what is counted
    /// twice or never because of that would be so at every evaluation.
    #[must_use]
    pub fn lag(self) -> Seconds {
        Seconds(self.0.0 / 10)
    }
}

impl fmt::Display for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolution_is_from_a_second_to_ten_minutes() {
        let read = |seconds| Resolution::try_new(Seconds(seconds)).map(Resolution::length);
        assert_eq!((read(1), read(300), read(600)), (Ok(Seconds(1)), Ok(Seconds(300)), Ok(Seconds(600))));
        assert_eq!((read(0), read(601)), (Err(ResolutionError(Seconds(0))), Err(ResolutionError(Seconds(601)))));
        assert_eq!(Resolution::DEFAULT.points(Seconds(30 * 86_400)), 8640);
        assert_eq!((Resolution::DEFAULT.lag(), Resolution::DEFAULT.oldest()), (Seconds(30), Seconds(610)));
    }
}
