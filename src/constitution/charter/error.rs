//! Why a charter cannot be understood.

use crate::trust::KeyError;

/// Why a charter cannot be understood at all. None of these can be waived.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CharterError {
    /// A word that must be one of a closed list is not.
    #[error("{place}: `{value}` is not one of {allowed}")]
    Choice {
        /// Where.
        place: String,
        /// What stands there.
        value: String,
        /// What may.
        allowed: &'static str,
    },
    /// A name stands twice.
    #[error("{place}: `{name}` stands twice")]
    DuplicateName {
        /// Which list.
        place: &'static str,
        /// The name.
        name: String,
    },
    /// A list that must not be empty is.
    #[error("{place} is empty; an empty list means nobody")]
    Empty {
        /// Which list.
        place: String,
    },
    /// A public key cannot be read.
    #[error("principal `{principal}`: {source}")]
    Key {
        /// Whose key.
        principal: String,
        /// What is wrong.
        source: KeyError,
    },
    /// Two principals share a key, or one lists it twice.
    #[error("principals `{first}` and `{second}` share the key {key}; a key belongs to one principal")]
    SharedKey {
        /// Who has it first.
        first: String,
        /// Who has it too.
        second: String,
        /// The fingerprint.
        key: String,
    },
    /// A rule for Override does not say how it is bounded.
    #[error(
        "rule `{rule}` matches Override; say with overrides whose decisions, and with acknowledgeWithin how soon the override \
         is looked at, for example 24h"
    )]
    OverrideBounds {
        /// Which rule.
        rule: String,
    },
    /// A requirement is neither a seat with a count nor a pool with a count or a fraction.
    #[error("rule `{rule}`: a requirement is `seat` with `count`, or `pool` with `count` or `fraction`, nothing else")]
    RequirementShape {
        /// In which rule.
        rule: String,
    },
    /// An emergency charter could stay for ever.
    #[error(
        "rule `{rule}` matches emergencyCharter; say with ratifyWithin how long such a charter lasts, for example 72h"
    )]
    RatifyWithin {
        /// Which rule.
        rule: String,
    },
    /// A threshold is below 1 or a fraction above 1.
    #[error("rule `{rule}`: threshold `{value}` is out of range; it must be at least 1 and at most all")]
    Threshold {
        /// In which rule.
        rule: String,
        /// The value.
        value: String,
    },
    /// A time is not one.
    #[error("{place}: {source}")]
    Time {
        /// Where.
        place: String,
        /// What is wrong.
        source: crate::units::UnitError,
    },
    /// A principal is named that does not exist.
    #[error("{place}: there is no principal `{principal}`")]
    UnknownPrincipal {
        /// Where.
        place: String,
        /// The name.
        principal: String,
    },
    /// An organ is named that does not exist.
    #[error("{place}: organ `{organ}` is not in `organs`")]
    UnknownOrgan {
        /// Where.
        place: String,
        /// The name.
        organ: String,
    },
    /// A period is not a number and a unit.
    #[error("rule `{rule}`: {source}")]
    Validity {
        /// In which rule.
        rule: String,
        /// What is wrong.
        source: crate::units::UnitError,
    },
}
