//! Numbers as people write them, exactly: digits, and perhaps a point with digits. Never a float.
//!
//! Must not: round. What cannot be held exactly is refused.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A decimal number of at least 0 in its shortest spelling: at most 18 digits before the point and 18 after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The value is `digits / 10^places`; `places` is as small as it can be, so that equal values are equal.
    digits: u128,
    places: u32,
}

/// Most digits on each side of the point.
const MOST_PLACES: usize = 18;

impl Decimal {
    /// 1.
    pub const ONE: Self = Self { digits: 1, places: 0 };

    /// A whole number.
    #[must_use]
    pub fn whole(number: u64) -> Self {
        Self::shortest(u128::from(number), 0)
    }

    /// `digits / 10^places`, where both are small enough by construction.
    pub(super) fn shortest(mut digits: u128, mut places: u32) -> Self {
        while places > 0 && digits.is_multiple_of(10) {
            digits /= 10;
            places -= 1;
        }
        Self { digits, places }
    }

    /// The product; `None` when it is too large to be held exactly.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        Some(Self::shortest(self.digits.checked_mul(other.digits)?, self.places + other.places))
    }

    /// The value as a whole number of parts, `10^places` of which make 1; `None` when that is not exact.
    pub(super) fn in_parts(self, places: u32) -> Option<u128> {
        let more = places.checked_sub(self.places)?;
        self.digits.checked_mul(10_u128.checked_pow(more)?)
    }

    /// How many digits stand after the point.
    pub(super) fn places(self) -> u32 {
        self.places
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        // Whole parts first, then the fractions at the same number of places: neither can overflow.
        let split = |d: &Self| {
            let one = 10_u128.saturating_pow(d.places);
            (d.digits / one, d.digits % one)
        };
        let ((whole, part), (other_whole, other_part)) = (split(self), split(other));
        let places = self.places.max(other.places);
        let at = |part: u128, own: u32| part.saturating_mul(10_u128.saturating_pow(places - own));
        whole.cmp(&other_whole).then(at(part, self.places).cmp(&at(other_part, other.places)))
    }
}

impl fmt::Display for Decimal {
    /// The shortest literal that is exactly this value; PromQL reads it too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 10_u128.saturating_pow(self.places);
        match self.places {
            0 => write!(f, "{}", self.digits),
            places => write!(f, "{}.{:0width$}", self.digits / one, self.digits % one, width = places as usize),
        }
    }
}

/// The text is not a decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number")]
pub struct NotDecimal;

impl FromStr for Decimal {
    type Err = NotDecimal;

    /// Reads digits and perhaps a point with digits; no sign, no exponent, no needless zero before.
    ///
    /// # Errors
    /// [`NotDecimal`] when the text is anything else, or longer than 18 digits on one side.
    fn from_str(text: &str) -> Result<Self, NotDecimal> {
        let (whole, part) = match text.split_once('.') {
            Some((_, "")) => return Err(NotDecimal),
            Some(both) => both,
            None => (text, ""),
        };
        let digits_only = |t: &str| t.bytes().all(|c| c.is_ascii_digit()) && t.len() <= MOST_PLACES;
        let spelled = !whole.is_empty() && (whole == "0" || !whole.starts_with('0'));
        if !spelled || !digits_only(whole) || !digits_only(part) {
            return Err(NotDecimal);
        }
        let places = u32::try_from(part.len()).map_err(|_| NotDecimal)?;
        let digits = format!("{whole}{part}").parse().map_err(|_| NotDecimal)?;
        Ok(Self::shortest(digits, places))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_has_one_shortest_spelling() {
        for (text, shortest) in
            [("99.9", "99.9"), ("99.90", "99.9"), ("0.0", "0"), ("100", "100"), ("0.000001", "0.000001")]
        {
            assert_eq!(text.parse::<Decimal>().map(|d| d.to_string()), Ok(shortest.to_owned()));
        }
        for wrong in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "01", "1,5", " 1", "1 ", "٣", "NaN", "1234567890123456789", "0x1"]
        {
            assert_eq!(wrong.parse::<Decimal>(), Err(NotDecimal), "{wrong}");
        }
    }

    #[test]
    fn a_product_is_exact() {
        let product = |a: &str, b: &str| a.parse::<Decimal>().ok()?.times(b.parse().ok()?).map(|d| d.to_string());
        assert_eq!(product("14.4", "0.001").as_deref(), Some("0.0144"));
        assert_eq!(product("0.1", "0.2").as_deref(), Some("0.02"));
    }

    proptest! {
        #[test]
        fn decimals_are_ordered_like_their_parts(a in 0..=u64::MAX / 2, b in 0..=u64::MAX / 2, places in 0_u32..18) {
            let of = |digits: u64| Decimal::shortest(u128::from(digits), places);
            prop_assert_eq!(of(a).cmp(&of(b)), a.cmp(&b));
            prop_assert_eq!(of(a).in_parts(places), Some(u128::from(a)));
        }

        #[test]
        fn every_decimal_reads_back(whole in 0_u64..1_000_000_000, part in 0_u64..1_000_000_000) {
            let text = format!("{whole}.{part:09}");
            let decimal: Decimal = text.parse().expect("a decimal");
            prop_assert_eq!(decimal.to_string().parse(), Ok(decimal));
            prop_assert_eq!(decimal.in_parts(9), Some(u128::from(whole) * 1_000_000_000 + u128::from(part)));
        }
    }
}
