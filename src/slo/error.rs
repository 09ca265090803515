//! Why a spec is not an objective that can be measured: where, what, and what to write instead.

/// A field that cannot be taken, by its path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct SloError {
    /// Path of the field, from `spec` on.
    pub path: String,
    /// What is wrong with it, and what to do.
    pub problem: Problem,
}

impl SloError {
    pub(super) fn new(path: impl Into<String>, problem: Problem) -> Self {
        Self { path: path.into(), problem }
    }
}

/// What is wrong with a field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not one of a closed list of words.
    #[error("`{found}` is not one of {allowed}")]
    Choice {
        /// What stands there.
        found: String,
        /// What may stand there.
        allowed: &'static str,
    },
    /// Not a decimal number in its one spelling.
    #[error("`{0}` is not a decimal number; write digits and perhaps a point with digits, for example `99.9`")]
    Decimal(String),
    /// The same thing stands twice.
    #[error("`{0}` stands twice; keep one of them")]
    Duplicate(String),
    /// Not a length of time.
    #[error("`{0}` is not a length of time; write a whole number and one of s, m, h, d, w, for example `30d`")]
    Duration(String),
    /// Not exactly one of the fields that exclude each other.
    #[error("must hold exactly one of {0}")]
    ExactlyOne(&'static str),
    /// A name that Kubernetes would not take.
    #[error("`{0}` is not a name of Kubernetes; write lower-case letters, digits, `-` and `.`")]
    Name(String),
    /// An objective that leaves no budget, or no promise.
    #[error("an objective of `{0}` percent {1}; write more than 0 and less than 100, for example `99.9`")]
    ObjectiveRange(String, &'static str),
    /// A number, length or version outside of its range.
    #[error("`{found}` is out of range; write {range}")]
    Range {
        /// What stands there.
        found: String,
        /// What may stand there.
        range: &'static str,
    },
    /// A selector that is more or less than a selector.
    #[error("`{found}` {wrong}")]
    Selector {
        /// What stands there.
        found: String,
        /// What is wrong, and what to do.
        wrong: String,
    },
    /// Not a time.
    #[error("`{0}` is not a time; write it in UTC with whole seconds, for example `2026-11-24T10:00:00Z`")]
    Time(String),
    /// Not a time zone of the database that is built in.
    #[error("`{0}` is not a time zone; write its IANA name, for example `Europe/Berlin` or `UTC`")]
    TimeZone(String),
    /// Two fields that do not fit together.
    #[error("{0}")]
    Unfit(String),
}
