//! Changes of the log's own keys: entries that add, retire and revoke them, and what is signed for each.

use serde_json::{Map, Value};

use crate::trust::{NoteError, NoteVerifier};

use super::entry::Entry;

const ADD: &str = "key.add";
const RETIRE: &str = "key.retire";
const REVOKE: &str = "key.revoke";
/// Field of a `key.add` that tells the log's keys from those of writers.
const ROLE: &str = "role";
const LOG: &str = "log";

/// A change of the log's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChange {
    /// A key vouches from here on, beside those that do. Signed by one of them, and by itself.
    Add(NoteVerifier),
    /// A key vouches for nothing from here on. Signed by another one.
    Retire(NoteVerifier),
    /// A key is in wrong hands: what it vouched for beyond this size is void. Signed by another one.
    Revoke {
        /// The key.
        key: NoteVerifier,
        /// The largest size that is known to be right.
        last_good: u64,
    },
}

impl KeyChange {
    /// The kind of its entry.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Add(_) => ADD,
            Self::Retire(_) => RETIRE,
            Self::Revoke { .. } => REVOKE,
        }
    }

    /// What is signed, in a log of this origin.
    #[must_use]
    pub fn text(&self, origin: &str) -> String {
        let first = "miax.dev/log-key/v1";
        match self {
            Self::Add(key) => format!("{first}\n{origin}\nadd\n{key}\n"),
            Self::Retire(key) => format!("{first}\n{origin}\nretire\n{key}\n"),
            Self::Revoke { key, last_good } => format!("{first}\n{origin}\nrevoke\n{key}\n{last_good}\n"),
        }
    }

    /// The fields of its entry, with the signed note of [`KeyChange::text`].
    #[must_use]
    pub fn fields(&self, proof: &str) -> Map<String, Value> {
        let (key, more) = match self {
            Self::Add(key) => (key, Some((ROLE, Value::from(LOG)))),
            Self::Retire(key) => (key, None),
            Self::Revoke { key, last_good } => (key, Some(("lastGood", Value::from(*last_good)))),
        };
        let mut fields = Map::new();
        fields.insert("public".to_owned(), key.to_string().into());
        fields.insert("proof".to_owned(), proof.into());
        fields.extend(more.map(|(name, value)| (name.to_owned(), value)));
        fields
    }

    /// The change that an entry makes, with its proof; `None` for entries that make none.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn read(entry: &Entry) -> Result<Option<(Self, &str)>, String> {
        let Entry { kind, time: _, writer: _, fields } = entry;
        let is_of_log = kind == ADD && fields.get(ROLE).and_then(Value::as_str) == Some(LOG);
        if !is_of_log && kind != RETIRE && kind != REVOKE {
            return Ok(None);
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).ok_or_else(|| format!("`{name}` is missing"));
        let key: NoteVerifier = text("public")?.parse().map_err(|e: NoteError| e.to_string())?;
        let change = match kind.as_str() {
            ADD => Self::Add(key),
            RETIRE => Self::Retire(key),
            _ => {
                let last_good = fields.get("lastGood").and_then(Value::as_u64);
                Self::Revoke { key, last_good: last_good.ok_or("`lastGood` is missing")? }
            }
        };
        Ok(Some((change, text("proof")?)))
    }
}
