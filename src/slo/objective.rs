//! How much must be good, in exact parts.

use std::fmt;

use crate::units::Seconds;

use super::decimal::Decimal;
use super::error::{Problem, SloError};

/// 1 as parts: eleven places, so that a percentage with nine is exact.
pub(super) const PARTS: u128 = 100_000_000_000;
const PARTS_PLACES: u32 = 11;
/// Most places of a percentage.
const PERCENT_PLACES: u32 = 9;

/// How much must be good: more than 0 and less than 100 percent, in steps of a thousand-millionth percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Objective {
    /// Parts of 10^11 that may be bad: from 1 to 10^11 - 1.
    bad: u64,
}

/// A share of the budget as a percentage, from 0 to less than 100, in the same steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Margin {
    /// Parts of 10^11.
    parts: u64,
}

impl Objective {
    /// Reads a percentage.
    ///
    /// # Errors
    /// [`SloError`] at `path` when it is not a decimal with at most nine places, or is not between 0 and 100.
    pub fn read(path: &str, text: &str) -> Result<Self, SloError> {
        let outside = |why| SloError::new(path, Problem::ObjectiveRange(text.to_owned(), why));
        let good = percentage(path, text)?;
        match PARTS.checked_sub(good).and_then(|bad| u64::try_from(bad).ok()) {
            Some(0) => Err(outside("leaves no budget: the first error would spend it for ever")),
            None => Err(outside("is more than everything")),
            Some(_) if good == 0 => Err(outside("promises nothing: no error would ever spend it")),
            Some(bad) => Ok(Self { bad }),
        }
    }

    /// Parts of [`PARTS`] that may be bad.
    pub(super) fn bad_parts(self) -> i128 {
        i128::from(self.bad)
    }

    /// The share of events that may be bad: more than 0, less than 1, exact.
    #[must_use]
    pub fn error_ratio(self) -> Decimal {
        Decimal::shortest(u128::from(self.bad), PARTS_PLACES)
    }

    /// How long everything may be bad in a time, at steady traffic: rounded down.
    #[must_use]
    pub fn outage(self, length: Seconds) -> Seconds {
        let seconds = u128::from(self.bad) * u128::from(length.0) / PARTS;
        Seconds(u64::try_from(seconds).unwrap_or(length.0))
    }

    /// The share of events that may be bad as a fraction of two whole numbers, in its lowest terms.
    #[must_use]
    pub fn error_fraction(self) -> (u128, u128) {
        let (mut a, mut b) = (u128::from(self.bad), PARTS);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (u128::from(self.bad) / a.max(1), PARTS / a.max(1))
    }
}

impl fmt::Display for Objective {
    /// The percentage that must be good, in its shortest spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal::shortest(PARTS - u128::from(self.bad), PERCENT_PLACES).fmt(f)
    }
}

impl Margin {
    /// One percent: what holds when nothing is written.
    pub const DEFAULT: Self = Self { parts: 1_000_000_000 };

    /// Reads a percentage.
    ///
    /// # Errors
    /// [`SloError`] at `path` when it is not a decimal with at most nine places, or not less than 100.
    pub fn read(path: &str, text: &str) -> Result<Self, SloError> {
        let parts = percentage(path, text)?;
        let range = "a percentage from 0 to less than 100";
        match u64::try_from(parts) {
            Ok(parts) if u128::from(parts) < PARTS => Ok(Self { parts }),
            _ => Err(SloError::new(path, Problem::Range { found: text.to_owned(), range })),
        }
    }

    /// Parts of [`PARTS`].
    pub(super) fn parts(self) -> i128 {
        i128::from(self.parts)
    }
}

impl fmt::Display for Margin {
    /// The percentage, in its shortest spelling.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Decimal::shortest(u128::from(self.parts), PERCENT_PLACES).fmt(f)
    }
}

/// A percentage in parts of [`PARTS`].
fn percentage(path: &str, text: &str) -> Result<u128, SloError> {
    let decimal: Decimal = text.parse().map_err(|_| SloError::new(path, Problem::Decimal(text.to_owned())))?;
    let range = "at most nine digits after the point";
    decimal
        .in_parts(PERCENT_PLACES)
        .ok_or_else(|| SloError::new(path, Problem::Range { found: text.to_owned(), range }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str), &str>) {
        let found = Objective::read("spec.objective", text).map_err(|e| e.to_string());
        match (found, expected) {
            (Ok(o), Ok((percent, ratio))) => {
                assert_eq!((o.to_string().as_str(), o.error_ratio().to_string().as_str()), (percent, ratio));
            }
            (Err(error), Err(part)) => {
                assert!(error.contains(part) && error.starts_with("spec.objective: "), "{error}")
            }
            (found, _) => panic!("{text}: {found:?}"),
        }
    }

    #[test]
    fn an_objective_is_an_exact_percentage_between_0_and_100() {
        check("99.9", Ok(("99.9", "0.001")));
        check("99.95", Ok(("99.95", "0.0005")));
        check("99.90", Ok(("99.9", "0.001")));
        check("50", Ok(("50", "0.5")));
        check("99.999999999", Ok(("99.999999999", "0.00000000001")));
        check("0.000000001", Ok(("0.000000001", "0.99999999999")));
        check("100", Err("leaves no budget"));
        check("100.0", Err("leaves no budget"));
        check("100.000000001", Err("more than everything"));
        check("999999999999999999", Err("more than everything"));
        check("0", Err("promises nothing"));
        check("0.0", Err("promises nothing"));
        check("99.9999999999", Err("at most nine digits"));
        check("-1", Err("not a decimal number"));
        check("99,9", Err("not a decimal number"));
        check("99.9%", Err("not a decimal number"));
        check("NaN", Err("not a decimal number"));
        check("1e2", Err("not a decimal number"));
        check("", Err("not a decimal number"));
    }

    #[test]
    fn the_share_of_errors_is_a_fraction_in_lowest_terms() {
        let fraction = |text| Objective::read("x", text).map(Objective::error_fraction);
        assert_eq!(fraction("99.95"), Ok((1, 2000)));
        assert_eq!(fraction("71"), Ok((29, 100)));
        assert_eq!(Objective::read("x", "99.9").map(|o| o.outage(Seconds(30 * 86_400))), Ok(Seconds(2592)));
        assert_eq!(fraction("99.999999999"), Ok((1, PARTS)));
    }

    #[test]
    fn a_margin_is_a_percentage_below_100() {
        let read = |text| Margin::read("spec.gate.margin", text).map(|m| m.to_string()).map_err(|e| e.to_string());
        assert_eq!(read("1"), Ok("1".to_owned()));
        assert_eq!(read("1"), Ok(Margin::DEFAULT.to_string()));
        assert_eq!(read("0"), Ok("0".to_owned()));
        assert_eq!(read("2.50"), Ok("2.5".to_owned()));
        assert!(read("100").is_err_and(|e| e.contains("less than 100")));
    }
}
