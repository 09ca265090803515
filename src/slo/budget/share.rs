//! Shares of a budget, for people and for the status: exact sums are compared elsewhere, never these.

use std::fmt;

use crate::slo::decimal::Decimal;

/// A share in millionths: 1 is all of it, 0 is nothing, below 0 is more than there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(i64);

/// A millionth of everything.
const PLACES: u32 = 6;
const ONE: i128 = 1_000_000;

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1_000_000);
    /// Nothing of it.
    pub const NONE: Self = Self(0);

    /// So many millionths.
    #[must_use]
    pub const fn millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// A decimal as a share; `None` when it has more than six places or is too large.
    #[must_use]
    pub fn exactly(decimal: Decimal) -> Option<Self> {
        i64::try_from(decimal.in_parts(PLACES)?).ok().map(Self)
    }

    /// `part / whole`, rounded down, so that never more is shown than there is; nothing when there is no whole.
    pub(super) fn down(part: i128, whole: i128) -> Self {
        match whole {
            0 => Self::NONE,
            _ => Self::clamped(part.saturating_mul(ONE).div_euclid(whole)),
        }
    }

    /// `part / whole`, rounded up, so that never less is shown than there is.
    pub(super) fn up(part: i128, whole: i128) -> Self {
        match whole {
            0 => Self::NONE,
            _ => Self::clamped(-(part.saturating_mul(-ONE)).div_euclid(whole)),
        }
    }

    fn clamped(millionths: i128) -> Self {
        Self(i64::try_from(millionths).unwrap_or(if millionths < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The number of millionths.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The share as a percentage, for sentences.
    #[must_use]
    pub fn percent(self) -> String {
        format!("{} %", Signed { millionths: self.0, places: PLACES - 2 })
    }
}

impl fmt::Display for Share {
    /// Decimal text in its shortest spelling: `0.25`, `-1.5`, `1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Signed { millionths: self.0, places: PLACES }.fmt(f)
    }
}

struct Signed {
    millionths: i64,
    places: u32,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.millionths < 0 { "-" } else { "" };
        write!(f, "{sign}{}", Decimal::shortest(u128::from(self.millionths.unsigned_abs()), self.places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_short_decimal_text() {
        for (millionths, text, percent) in [
            (1_000_000, "1", "100 %"),
            (0, "0", "0 %"),
            (250_000, "0.25", "25 %"),
            (-1_500_000, "-1.5", "-150 %"),
            (1, "0.000001", "0.0001 %"),
        ] {
            assert_eq!((Share(millionths).to_string().as_str(), Share(millionths).percent().as_str()), (text, percent));
        }
    }

    #[test]
    fn what_is_left_is_rounded_down_and_what_burns_up() {
        assert_eq!((Share::down(2, 3), Share::up(2, 3)), (Share(666_666), Share(666_667)));
        assert_eq!((Share::down(-2, 3), Share::up(-2, 3)), (Share(-666_667), Share(-666_666)));
        assert_eq!((Share::down(1, 0), Share::up(1, 0)), (Share::NONE, Share::NONE));
        assert_eq!((Share::down(i128::MAX, 1), Share::down(i128::MIN, 1)), (Share(i64::MAX), Share(i64::MIN)));
    }
}
