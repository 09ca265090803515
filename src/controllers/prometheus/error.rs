//! Why there is no answer, and why a series of an answer is worth nothing.

use crate::units::{Millis, UnixMillis};

use super::files::FileError;

/// Longest text of somebody else that stands in an error, in characters.
const LONGEST: usize = 200;

/// Why there is no answer of Prometheus that can be believed.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// Prometheus refuses the question, or could not find the answer.
    #[error("Prometheus answers {kind}: {message}")]
    Api {
        /// The word of its API: `bad_data`, `timeout`, `execution`, …
        kind: String,
        /// What it says.
        message: String,
    },
    /// The answer ends before its end.
    #[error("the answer of Prometheus breaks off: {0}")]
    Cut(String),
    /// A file with a credential or an authority cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is no answer of the API.
    #[error("the answer of Prometheus is not what its API answers: {0}")]
    Form(String),
    /// It did not answer in time.
    #[error("Prometheus did not answer in {} ms", .0.0)]
    Late(Millis),
    /// Its clock and ours are too far apart.
    #[error("the clock of Prometheus is {} ms {} ours", .theirs.0.abs_diff(.ours.0), if .theirs > .ours { "ahead of" } else { "behind" })]
    Skew {
        /// Our time while it was asked.
        ours: UnixMillis,
        /// The time that it answers.
        theirs: UnixMillis,
    },
    /// A status code without an error of the API.
    #[error("Prometheus answers with status {code}{}", hint(*.code))]
    Status {
        /// The code.
        code: u16,
    },
    /// There are more bytes than an answer may have.
    #[error("the answer of Prometheus has more than {0} bytes")]
    TooLarge(usize),
    /// The result is of another type than the question's.
    #[error("Prometheus answers with a {found}, not with a {expected}")]
    Type {
        /// The type of every answer to such a question.
        expected: &'static str,
        /// The type of this one.
        found: String,
    },
    /// There is no connection.
    #[error("Prometheus cannot be reached: {0}")]
    Unreachable(String),
    /// It answers, and says that the answer may be incomplete.
    #[error("Prometheus warns that its answer may not be whole: {0}")]
    Warned(String),
}

/// Why the value of a series is worth nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeriesError {
    /// There is more than one series for one name.
    #[error(
        "there is more than one series; two Prometheus servers may be behind one address, or two copies of the rules"
    )]
    Duplicate,
    /// It is a histogram.
    #[error("the sample is a histogram, not a number")]
    Histogram,
    /// It is plus or minus infinity.
    #[error("the value is infinite")]
    Infinite,
    /// It is not a number.
    #[error("the value is not a number (NaN)")]
    NotANumber,
    /// Its time is not the one that was asked for.
    #[error("the sample is of another time, {} ms off", .found.0.abs_diff(.asked.0))]
    Time {
        /// What was asked for.
        asked: UnixMillis,
        /// What is there.
        found: UnixMillis,
    },
    /// It is no value that Prometheus would write.
    #[error("`{0}` is no value")]
    Unreadable(String),
}

/// What to do about a status code.
fn hint(code: u16) -> &'static str {
    match code {
        300..=399 => "; redirects are not followed, give --prometheus-url the address that it leads to",
        401 | 403 => "; it does not let this operator ask, see --prometheus-token-file and --prometheus-cert",
        404 => "; there is no Prometheus API at --prometheus-url",
        429 | 503 => "; it has too much to do",
        _ => "",
    }
}

/// A text of somebody else, as it may stand in an error or a log: short, and on one line.
pub(super) fn quoted(text: &str) -> String {
    let one_line = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = one_line.take(LONGEST).collect();
    if text.trim().chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// An error with what caused it, without saying anything twice.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    });
    quoted(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_cut_to_one_short_line() {
        assert_eq!(quoted(" a\nb\u{1b}[31m\tc "), "a b [31m c");
        let long = quoted(&"ä".repeat(1000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        assert!(long.ends_with('…'));
        assert_eq!(quoted(&"x".repeat(LONGEST)).chars().count(), LONGEST);
    }

    #[test]
    fn an_error_says_which_clock_is_ahead() {
        let skew =
            |ours, theirs| PrometheusError::Skew { ours: UnixMillis(ours), theirs: UnixMillis(theirs) }.to_string();
        assert_eq!(skew(1000, 301_000), "the clock of Prometheus is 300000 ms ahead of ours");
        assert_eq!(skew(301_000, 1000), "the clock of Prometheus is 300000 ms behind ours");
    }
}
