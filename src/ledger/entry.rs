//! An entry: one canonical JSON object. The leaf of the tree is exactly the stored bytes; nobody writes them a second time
//! to verify them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::trust::{canonical_json, is_canonical, read_canonical};
use crate::units::UnixMillis;

/// Largest entry in bytes.
pub const MAX_ENTRY_BYTES: usize = 16 * 1024;
/// Version of the form of entries.
const FORMAT: u64 = 1;
/// The fields that every entry has, beside those of its kind.
const COMMON: [&str; 4] = ["v", "kind", "time", "writer"];

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What kind of event it holds, for example `decision`.
    pub kind: String,
    /// When it was written, by the writer's clock; order is by index only.
    pub time: UnixMillis,
    /// Which writer key wrote it.
    pub writer: String,
    /// The fields of the event.
    pub fields: Map<String, Value>,
}

/// The fields that every entry has, read alone.
#[derive(Deserialize)]
struct Common<'a> {
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    time: u64,
    writer: String,
}

/// Why bytes are not an entry, or an entry has no bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// A field of the event has the name of a common one.
    #[error("the field `{0}` is reserved")]
    FieldReserved(String),
    /// The form is of another version.
    #[error("the entry has the form {found}; this version of miax reads {FORMAT}; use a newer one")]
    Format {
        /// What stands there.
        found: String,
    },
    /// The bytes are not canonical JSON.
    #[error("the entry is not canonical JSON")]
    NotCanonical,
    /// The bytes are not JSON, or a common field is missing.
    #[error("the entry is not readable: {0}")]
    Unreadable(String),
    /// The entry is too large.
    #[error("the entry has {size} bytes; at most {MAX_ENTRY_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
    },
}

impl Entry {
    /// The entry's bytes: canonical JSON.
    ///
    /// # Errors
    /// [`EntryError::FieldReserved`], [`EntryError::TooLarge`], and [`EntryError::Unreadable`] for values that canonical
    /// JSON cannot hold.
    pub fn encode(self) -> Result<Vec<u8>, EntryError> {
        let Self { kind, time, writer, fields: mut map } = self;
        if let Some(name) = COMMON.iter().find(|c| map.contains_key(**c)) {
            return Err(EntryError::FieldReserved((*name).to_owned()));
        }
        map.insert("v".to_owned(), Value::from(FORMAT));
        map.insert("kind".to_owned(), Value::from(kind));
        map.insert("time".to_owned(), Value::from(time.0));
        map.insert("writer".to_owned(), Value::from(writer));
        let bytes = canonical_json(&Value::Object(map)).map_err(|e| EntryError::Unreadable(e.to_string()))?.into_vec();
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { size: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads an entry and checks that its bytes are canonical.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`], [`EntryError::NotCanonical`] (what is no JSON at all included), [`EntryError::Format`],
    /// [`EntryError::Unreadable`] when a common field is missing.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { size: bytes.len() });
        }
        let value = read_canonical(bytes).ok_or(EntryError::NotCanonical)?;
        let Value::Object(mut fields) = value else {
            return Err(EntryError::Unreadable("it is not an object".to_owned()));
        };
        match fields.remove("v") {
            Some(v) if v == FORMAT => {}
            other => return Err(EntryError::Format { found: other.unwrap_or_default().to_string() }),
        }
        let missing = |name: &str| EntryError::Unreadable(format!("`{name}` is missing"));
        let mut text = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => Ok(text),
            _ => Err(missing(name)),
        };
        let (kind, writer) = (text("kind")?, text("writer")?);
        let time = fields.remove("time").and_then(|v| v.as_u64()).map(UnixMillis).ok_or_else(|| missing("time"))?;
        Ok(Self { kind, time, writer, fields })
    }

    /// Time, writer and fields of an entry of one kind, for a `T` that ignores the fields that every entry has: the same as by
    /// [`Entry::decode`], faster, because no value is built in between. `None` for an entry of another kind, and for
    /// what is none: why, [`Entry::decode`] tells.
    #[must_use]
    pub fn decode_as<'a, T: Deserialize<'a>>(kind: &str, bytes: &'a [u8]) -> Option<(UnixMillis, String, T)> {
        // To serde an array is an object too.
        if bytes.len() > MAX_ENTRY_BYTES || !bytes.starts_with(b"{") {
            return None;
        }
        let Common { v, kind: found, time, writer } = serde_json::from_slice(bytes).ok()?;
        let right = v == FORMAT && found == kind && is_canonical(bytes);
        right.then(|| serde_json::from_slice(bytes).ok())?.map(|fields| (UnixMillis(time), writer, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(note: &str) -> Entry {
        let fields = Map::from_iter([("note".to_owned(), Value::from(note))]);
        Entry { kind: "decision".into(), time: UnixMillis(7), writer: "w".into(), fields }
    }

    #[test]
    fn only_canonical_bytes_of_a_known_form_are_an_entry() {
        let bytes = entry("x").encode().expect("encodes");
        assert_eq!(bytes, br#"{"kind":"decision","note":"x","time":7,"v":1,"writer":"w"}"#);
        let check = |bytes: &[u8], part: &str| {
            let error = Entry::decode(bytes).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        check(br#"{"kind":"decision", "note":"x","time":7,"v":1,"writer":"w"}"#, "not canonical");
        check(br#"{"note":"x","kind":"decision","time":7,"v":1,"writer":"w"}"#, "not canonical");
        check(br#"{"kind":"decision","time":7,"v":2,"writer":"w"}"#, "the form 2");
        check(br#"{"kind":"decision","v":1,"writer":"w"}"#, "`time` is missing");
        check(b"[]", "not an object");
        check(&[b' '; MAX_ENTRY_BYTES + 1], "16385 bytes");
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        assert!(matches!(entry(&"x".repeat(MAX_ENTRY_BYTES)).encode(), Err(EntryError::TooLarge { .. })));
        let mut wrong = entry("x");
        wrong.fields.insert("kind".into(), Value::Null);
        assert_eq!(wrong.encode(), Err(EntryError::FieldReserved("kind".into())));
    }

    proptest! {
        #[test]
        fn every_entry_reads_back(note in ".{0,200}", time in 0..=(1_u64 << 53) - 1) {
            let entry = Entry { time: UnixMillis(time), ..entry(&note) };
            prop_assert_eq!(Entry::decode(&entry.clone().encode().expect("encodes")), Ok(entry));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Entry::decode(&bytes);
        }
    }
}
