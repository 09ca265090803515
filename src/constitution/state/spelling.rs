//! JSON with keys in their order, piece by piece. A value sorts its keys but takes many times the room of its text: here there is
//! one of each element at a time, and never one of the whole.

use std::collections::BTreeMap;

use serde::ser::{Error as _, Serialize, Serializer};

/// What is small enough for a value of its own.
pub(super) fn whole<T: Serialize, S: Serializer>(this: &T, to: S) -> Result<S::Ok, S::Error> {
    serde_json::to_value(this).map_err(S::Error::custom)?.serialize(to)
}

/// A map, whatever the order of its own is.
pub(super) fn map<'a, M, K, V, S>(this: &'a M, to: S) -> Result<S::Ok, S::Error>
where
    &'a M: IntoIterator<Item = (&'a K, &'a V)>,
    K: Serialize + 'a,
    V: Serialize + 'a,
    S: Serializer,
{
    let name = |key: &K| match serde_json::to_value(key) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        Ok(_) => Err(S::Error::custom("a key of a map is not a text")),
        Err(error) => Err(S::Error::custom(error)),
    };
    let entries = this.into_iter().map(|(key, value)| Ok((name(key)?, Whole(value))));
    to.collect_map(entries.collect::<Result<BTreeMap<_, _>, S::Error>>()?)
}

/// A list.
pub(super) fn list<T: Serialize, S: Serializer>(this: &[T], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(this.iter().map(Whole))
}

struct Whole<'a, T>(&'a T);

impl<T: Serialize> Serialize for Whole<'_, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        whole(self.0, to)
    }
}
