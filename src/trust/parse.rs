//! Strict readers: what two readers could understand differently is refused. YAML lives behind this module only.

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::canonical::{MAX_DEPTH, Path, Step};

/// Most values in one document; what YAML aliases multiply beyond it is refused.
const MAX_VALUES: usize = 200_000;

/// Why a text is not a document that everybody reads alike.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A key stands twice in one object; readers differ in which one they take.
    #[error("`{path}` stands twice; keep one of them{at}")]
    DuplicateKey {
        /// Where.
        path: String,
        /// Line, if the format knows lines.
        at: Position,
    },
    /// A number has a fraction or an exponent.
    #[error("`{path}` is not a whole number; signed documents hold no floats{at}")]
    Float {
        /// Where.
        path: String,
        /// Line, if the format knows lines.
        at: Position,
    },
    /// The text is not JSON or YAML at all.
    #[error("cannot be read: {0}")]
    Syntax(String),
    /// The document is nested too deeply.
    #[error("`{path}` is nested deeper than {MAX_DEPTH} levels{at}")]
    TooDeep {
        /// Where.
        path: String,
        /// Line, if the format knows lines.
        at: Position,
    },
    /// The document has too many values, for example by aliases of aliases.
    #[error("the document has more than {MAX_VALUES} values")]
    TooLarge,
}

/// A line and column, when the format knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position(Option<(usize, usize)>);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, " (line {line}, column {column})"),
            None => Ok(()),
        }
    }
}

/// Reads one JSON value. Duplicate keys, floats, and deep nesting are refused.
///
/// # Errors
/// Every variant of [`ParseError`].
pub fn parse_json_strict(bytes: &[u8]) -> Result<Value, ParseError> {
    let walk = Walk::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict(&walk)
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|e| walk.error(&e.to_string(), Some((e.line(), e.column()))))?;
    Ok(value)
}

/// Reads every document of a YAML stream into JSON. Empty documents are skipped; duplicate keys, floats, tags and deep
/// nesting are refused.
///
/// # Errors
/// Every variant of [`ParseError`].
pub fn parse_yaml_strict(text: &str) -> Result<Vec<Value>, ParseError> {
    read_yaml(text, Floats::Refused)
}

/// The same for documents of others, which nobody signed: a number with a fraction becomes its shortest decimal text.
///
/// # Errors
/// Every variant of [`ParseError`]; [`ParseError::Float`] for what is no finite number.
pub fn parse_yaml_of_others(text: &str) -> Result<Vec<Value>, ParseError> {
    read_yaml(text, Floats::AsText)
}

fn read_yaml(text: &str, floats: Floats) -> Result<Vec<Value>, ParseError> {
    let mut documents = Vec::new();
    for reader in serde_yaml::Deserializer::from_str(text) {
        let walk = Walk { floats, ..Walk::default() };
        let value = Strict(&walk)
            .deserialize(reader)
            .map_err(|e| walk.error(&e.to_string(), e.location().map(|at| (at.line(), at.column()))))?;
        if !value.is_null() {
            documents.push(value);
        }
    }
    Ok(documents)
}

/// Writes a value as YAML, for people to read.
#[must_use]
pub fn to_yaml(value: &Value) -> String {
    // A JSON value is always a YAML document; the writer has no other failure.
    serde_yaml::to_string(value).unwrap_or_default()
}

/// Where the walk stands, and what it found first: serde's errors are texts, and we never read meaning from text.
#[derive(Default)]
struct Walk {
    floats: Floats,
    path: RefCell<Path>,
    values: RefCell<usize>,
    found: RefCell<Option<Wrong>>,
}

/// What becomes of numbers with a fraction.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Floats {
    #[default]
    Refused,
    AsText,
}

enum Wrong {
    DuplicateKey(String),
    Float(String),
    TooDeep(String),
    TooLarge,
}

impl Walk {
    fn error(&self, text: &str, at: Option<(usize, usize)>) -> ParseError {
        let at = Position(at);
        match self.found.take() {
            Some(Wrong::DuplicateKey(path)) => ParseError::DuplicateKey { path, at },
            Some(Wrong::Float(path)) => ParseError::Float { path, at },
            Some(Wrong::TooDeep(path)) => ParseError::TooDeep { path, at },
            Some(Wrong::TooLarge) => ParseError::TooLarge,
            None => ParseError::Syntax(text.to_owned()),
        }
    }

    fn fail<E: serde::de::Error>(&self, wrong: Wrong) -> E {
        self.found.borrow_mut().get_or_insert(wrong);
        E::custom("refused")
    }

    fn path(&self) -> String {
        self.path.borrow().text()
    }

    fn enter<E: serde::de::Error>(&self, step: Step) -> Result<(), E> {
        self.path.borrow_mut().0.push(step);
        *self.values.borrow_mut() += 1;
        if *self.values.borrow() > MAX_VALUES {
            return Err(self.fail(Wrong::TooLarge));
        }
        if self.path.borrow().0.len() > MAX_DEPTH + 1 {
            return Err(self.fail(Wrong::TooDeep(self.path())));
        }
        Ok(())
    }

    fn leave(&self) {
        self.path.borrow_mut().0.pop();
    }
}

struct Strict<'a>(&'a Walk);

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, v: f64) -> Result<Value, E> {
        match self.0.floats {
            Floats::AsText if v.is_finite() => Ok(Value::String(v.to_string())),
            Floats::AsText | Floats::Refused => Err(self.0.fail(Wrong::Float(self.0.path()))),
        }
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_string<E>(self, v: String) -> Result<Value, E> {
        Ok(Value::String(v))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        loop {
            self.0.enter::<A::Error>(Step::Index(items.len()))?;
            let item = access.next_element_seed(Strict(self.0))?;
            self.0.leave();
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Array(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key_seed(KeySeed)? {
            self.0.enter::<A::Error>(Step::Key(key.clone()))?;
            if map.contains_key(&key) {
                return Err(self.0.fail(Wrong::DuplicateKey(self.0.path())));
            }
            let value = access.next_value_seed(Strict(self.0))?;
            self.0.leave();
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Keys are texts. YAML's other keys (`1:`, `true:`, `~:`) have no one spelling in JSON.
struct KeySeed;

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        match KeyValue::deserialize(deserializer)? {
            KeyValue(Value::String(key)) => Ok(key),
            KeyValue(other) => Err(D::Error::custom(format!("the key {other} is not a text; quote it"))),
        }
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct KeyValue(Value);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_yaml(text: &str, expected: Result<Value, &str>) {
        let found = parse_yaml_strict(text).map(|mut d| d.pop().unwrap_or_default()).map_err(|e| e.to_string());
        match expected {
            Ok(value) => assert_eq!(found, Ok(value), "{text}"),
            Err(part) => assert!(found.as_ref().is_err_and(|e| e.contains(part)), "{text}: {found:?}"),
        }
    }

    #[test]
    fn yaml_has_one_meaning_or_none() {
        check_yaml("a: 1\nb: x", Ok(json!({"a": 1, "b": "x"})));
        check_yaml("at: 2026-11-24T10:00:00Z", Ok(json!({"at": "2026-11-24T10:00:00Z"})));
        check_yaml("a: [1, null, true]", Ok(json!({"a": [1, null, true]})));
        check_yaml("a: 1\nb:\n  c: 1\n  c: 2", Err("`b.c` stands twice"));
        check_yaml("spec: {replicas: 3.0}", Err("`spec.replicas` is not a whole number"));
        check_yaml("a: 1e3", Err("`a` is not a whole number"));
        check_yaml("a: .nan", Err("`a` is not a whole number"));
        check_yaml("1: x", Err("is not a text"));
        // kubectl would send the decoded bytes; the digest then differs and the signature refuses, so this is only a text.
        check_yaml("a: !!binary aGk=", Ok(json!({"a": "aGk="})));
        check_yaml("a: !secret x", Err("cannot be read"));
        check_yaml("a: b: c", Err("cannot be read"));
        check_yaml(&"[".repeat(60), Err("nested deeper"));
    }

    #[test]
    fn a_duplicate_key_is_found_with_its_line() {
        let error = parse_yaml_strict("a: 1\nspec:\n  x: 1\n  x: 2\n").expect_err("refused");
        assert!(matches!(error, ParseError::DuplicateKey { ref path, .. } if path == "spec.x"), "{error}");
        assert!(error.to_string().contains("(line "), "{error}");
    }

    #[test]
    fn a_fraction_of_others_is_its_shortest_text() {
        let read = |text: &str| parse_yaml_of_others(text).map(|mut d| d.pop().unwrap_or_default());
        assert_eq!(read("a: [99.9, 0.999, 1e-7, 3]"), Ok(json!({"a": ["99.9", "0.999", "0.0000001", 3]})));
        assert!(read("a: .nan").is_err() && read("a: .inf").is_err());
        assert!(read("a: 1\na: 2").is_err_and(|e| e.to_string().contains("stands twice")));
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..9 {
            let item = format!("*a{}", i - 1);
            text.push_str(&format!("a{i}: &a{i} [{}]\n", vec![item; 10].join(", ")));
        }
        assert!(parse_yaml_strict(&text).is_err());
    }

    #[test]
    fn several_documents_are_read_in_order() {
        let list = parse_yaml_strict("---\na: 1\n---\n---\nb: 2\n").expect("two documents");
        assert_eq!(list, [json!({"a": 1}), json!({"b": 2})]);
    }

    #[test]
    fn json_refuses_what_yaml_refuses() {
        for (text, part) in [
            (r#"{"a":1,"a":2}"#, "`a` stands twice"),
            (r#"{"a":[1.5]}"#, "`a[0]` is not a whole number"),
            (r#"{"a":1} x"#, "cannot be read"),
            (r#"{"a":1e2}"#, "`a` is not a whole number"),
        ] {
            let error = parse_json_strict(text.as_bytes()).expect_err("refused").to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert_eq!(parse_json_strict(br#"{"a":[1]}"#), Ok(json!({"a": [1]})));
    }
}
