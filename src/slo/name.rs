//! Which objective: its namespace and name, as labels and group names carry them.

use std::fmt;

use super::error::{Problem, SloError};

/// An objective by namespace and name; both are names of Kubernetes, so that nothing in them ends a text of a query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SloName {
    namespace: String,
    name: String,
}

impl SloName {
    /// Checks both names.
    ///
    /// # Errors
    /// [`SloError`] when one is not a name of Kubernetes (RFC 1123).
    pub fn try_new(namespace: &str, name: &str) -> Result<Self, SloError> {
        if !is_label(namespace) {
            return Err(SloError::new("metadata.namespace", Problem::Name(namespace.to_owned())));
        }
        if !is_subdomain(name) {
            return Err(SloError::new("metadata.name", Problem::Name(name.to_owned())));
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for SloName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn is_label(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a text is a name of most objects: labels with points between them, at most 253 bytes.
pub(super) fn is_subdomain(text: &str) -> bool {
    // A label of a subdomain may be longer than 63 for Kubernetes; only the whole is bounded.
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let part = |p: &str| !p.is_empty() && p.bytes().all(inner) && !p.starts_with('-') && !p.ends_with('-');
    text.len() <= 253 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_kubernetes() {
        let read =
            |namespace, name| SloName::try_new(namespace, name).map(|n| n.to_string()).map_err(|e| e.to_string());
        assert_eq!(read("shop", "checkout.latency-99"), Ok("shop/checkout.latency-99".to_owned()));
        for (namespace, name) in [
            ("", "a"),
            ("a", ""),
            ("a.b", "a"),
            ("a", "a/b"),
            ("a", "A"),
            ("a", "a\"} or vector(1) #"),
            ("a", "a\nb"),
            ("-a", "a"),
            ("a", "a..b"),
            ("a", "ünï"),
            ("a", "a-"),
        ] {
            assert!(
                read(namespace, name).is_err_and(|e| e.contains("is not a name of Kubernetes")),
                "{namespace}/{name}"
            );
        }
        assert!(SloName::try_new("a", &"a".repeat(254)).is_err());
    }
}
