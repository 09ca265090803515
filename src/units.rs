//! Plain quantities with their units, so that no bare number or string crosses a module.
//!
//! Must not: read a clock, allocate authority, or know anything of Kubernetes.

use std::fmt;
use std::str::FromStr;

/// A point in time as whole seconds since 1970-01-01T00:00:00Z, from year 0 to year 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(i64);

/// A point in time as milliseconds since 1970-01-01T00:00:00Z; what ledger entries carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

/// A length of time in whole seconds, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u64);

/// A length of time in milliseconds; also a moment of a clock that only goes forward, as the time since it was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

/// The position of an entry in the ledger; the first entry has index 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogIndex(pub u64);

/// The number of a block in its ledger; the first block has number 0, and a new epoch counts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(pub u64);

/// A SHA-256 digest; written `sha256:` and 64 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Why a text is not the quantity that it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not `sha256:` followed by 64 lower-case hex digits.
    #[error("`{0}` is not a digest; write `sha256:` and 64 lower-case hex digits")]
    Digest(String),
    /// Not a whole number followed by `s`, `m`, `h` or `d`.
    #[error("`{0}` is not a duration; write a whole number and one of s, m, h, d, for example `4h`")]
    Duration(String),
    /// Not RFC 3339 in UTC with whole seconds.
    #[error("`{0}` is not a time; write it in UTC with whole seconds, for example `2026-11-24T10:00:00Z`")]
    Time(String),
}

const SECONDS_PER_DAY: i64 = 86_400;
/// 9999-12-31T23:59:59Z, the last instant that four year digits can write.
const LAST_INSTANT: i64 = 253_402_300_799;
/// 0000-01-01T00:00:00Z, the first one.
const FIRST_INSTANT: i64 = -62_167_219_200;

impl UnixSeconds {
    /// Seconds since the epoch, clamped to the years 0 to 9999 so that every value can be written and read back.
    #[must_use]
    pub fn new(seconds: i64) -> Self {
        Self(seconds.clamp(FIRST_INSTANT, LAST_INSTANT))
    }

    /// The number of seconds since the epoch.
    #[must_use]
    pub fn get(self) -> i64 {
        self.0
    }

    /// The instant `by` later.
    #[must_use]
    pub fn plus(self, by: Seconds) -> Self {
        Self::new(self.0.saturating_add_unsigned(by.0))
    }

    /// The instant `by` earlier.
    #[must_use]
    pub fn minus(self, by: Seconds) -> Self {
        Self::new(self.0.saturating_sub_unsigned(by.0))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Seconds {
        Seconds(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl From<UnixMillis> for UnixSeconds {
    fn from(ms: UnixMillis) -> Self {
        Self::new(i64::try_from(ms.0 / 1000).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for UnixSeconds {
    /// RFC 3339 in UTC with whole seconds: the one spelling that signed documents use.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.div_euclid(SECONDS_PER_DAY);
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        let (year, month, day) = civil_from_days(days);
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }
}

impl FromStr for UnixSeconds {
    type Err = UnitError;

    /// Reads exactly `YYYY-MM-DDTHH:MM:SSZ`. Offsets, fractions and leap seconds are refused: a signed document has one
    /// spelling for one instant.
    ///
    /// # Errors
    /// [`UnitError::Time`] when the text is anything else, a day that does not exist included.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        parse_time(text).ok_or_else(|| UnitError::Time(text.to_owned()))
    }
}

fn parse_time(text: &str) -> Option<UnixSeconds> {
    let shape = text.len() == 20
        && text.bytes().zip(b"0000-00-00T00:00:00Z").all(|(c, want)| match want {
            b'0' => c.is_ascii_digit(),
            other => c == *other,
        });
    if !shape {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (h, m, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if h > 23 || m > 59 || s > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // A day that does not exist (2026-02-30) would come back as another one.
    let exists = (1..=12).contains(&month) && civil_from_days(days) == (year, month, day);
    exists.then(|| UnixSeconds::new(days * SECONDS_PER_DAY + h * 3600 + m * 60 + s))
}

// The two conversions follow the proleptic Gregorian calendar in 400-year eras that start on 1 March, so that the leap
// day is the last of its year.
const DAYS_PER_ERA: i64 = 146_097;
const EPOCH_FROM_ERA_ZERO: i64 = 719_468;

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - EPOCH_FROM_ERA_ZERO
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + EPOCH_FROM_ERA_ZERO;
    let era = z.div_euclid(DAYS_PER_ERA);
    let doe = z.rem_euclid(DAYS_PER_ERA);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (era * 400 + yoe + i64::from(month <= 2), month, day)
}

impl fmt::Display for Seconds {
    /// The largest unit of d, h, m, s that divides the value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, unit) = [(86_400, 'd'), (3600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(size, _)| self.0 >= *size && self.0.is_multiple_of(*size))
            .unwrap_or((1, 's'));
        write!(f, "{}{unit}", self.0 / size)
    }
}

impl FromStr for Seconds {
    type Err = UnitError;

    /// Reads a whole number and one unit: `30s`, `15m`, `4h`, `5d`.
    ///
    /// # Errors
    /// [`UnitError::Duration`] when the text is anything else or too large.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wrong = || UnitError::Duration(text.to_owned());
        let mut chars = text.chars();
        let size = match chars.next_back() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let digits = chars.as_str();
        if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
            return Err(wrong());
        }
        digits.parse::<u64>().ok().and_then(|n| n.checked_mul(size)).map(Self).ok_or_else(wrong)
    }
}

impl Digest {
    /// The 64 lower-case hex digits without the prefix.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Lower-case hex digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        for nibble in [b >> 4, b & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        out
    })
}

/// The bytes that lower-case hex digits stand for; `None` for anything else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = UnitError;

    /// Reads the form that [`Digest`] is written in.
    ///
    /// # Errors
    /// [`UnitError::Digest`] when the text is anything else.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.strip_prefix("sha256:")
            .and_then(unhex)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| UnitError::Digest(text.to_owned()))
    }
}

macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl serde::Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(UnixSeconds, Seconds, Digest);

macro_rules! serde_as_number {
    ($($t:ident),*) => {$(
        impl serde::Serialize for $t {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_u64(self.0)
            }
        }
        impl<'de> serde::Deserialize<'de> for $t {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                u64::deserialize(d).map(Self)
            }
        }
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    )*};
}
serde_as_number!(UnixMillis, LogIndex, BlockNumber);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_time(text: &str, expected: Option<i64>) {
        assert_eq!(text.parse::<UnixSeconds>().ok().map(UnixSeconds::get), expected, "{text}");
    }

    #[test]
    fn time_has_one_spelling() {
        check_time("1970-01-01T00:00:00Z", Some(0));
        check_time("2026-11-24T10:00:00Z", Some(1_795_514_400));
        check_time("2024-02-29T23:59:59Z", Some(1_709_251_199));
        check_time("9999-12-31T23:59:59Z", Some(LAST_INSTANT));
        check_time("0000-01-01T00:00:00Z", Some(FIRST_INSTANT));
        for wrong in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.0Z",
            "2026-01-01t00:00:00z",
            "2026-01-01",
            "",
        ] {
            check_time(wrong, None);
        }
    }

    #[test]
    fn durations_are_a_number_and_a_unit() {
        assert_eq!("4h".parse(), Ok(Seconds(14_400)));
        assert_eq!(Seconds(14_400).to_string(), "4h");
        assert_eq!(Seconds(90).to_string(), "90s");
        assert_eq!(Seconds(0).to_string(), "0s");
        for wrong in ["", "h", "4", "-4h", "+4h", "4.5h", "4h30m", "99999999999999999999s", "9999999999999999999d"] {
            assert_eq!(wrong.parse::<Seconds>(), Err(UnitError::Duration(wrong.to_owned())));
        }
    }

    #[test]
    fn digest_refuses_upper_case_and_other_lengths() {
        let good = format!("sha256:{}", "0f".repeat(32));
        assert_eq!(good.parse::<Digest>().map(|d| d.to_string()), Ok(good.clone()));
        for wrong in [good.to_uppercase(), good.replace("sha256:", ""), format!("{good}00"), format!("{good}0")] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_reads_back(seconds in FIRST_INSTANT..=LAST_INSTANT) {
            let time = UnixSeconds::new(seconds);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn every_duration_reads_back(seconds in 0..=u64::MAX / 86_400) {
            prop_assert_eq!(Seconds(seconds).to_string().parse(), Ok(Seconds(seconds)));
        }

        #[test]
        fn hex_reads_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(unhex(&hex(&bytes)), Some(bytes));
        }
    }
}
