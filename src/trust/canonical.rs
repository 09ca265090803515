//! The bytes that are hashed and signed: RFC 8785 canonical JSON of the part of an object that has authority.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::units::Digest;

use super::canonical_form::is_canonical;

/// Deepest nesting of a signed document; the schemas of all kinds are shallower.
pub const MAX_DEPTH: usize = 32;
/// Largest signed document in bytes of canonical JSON. etcd refuses objects above 1.5 MiB.
pub const MAX_DOCUMENT: usize = 1 << 20;
/// Largest integer that every JSON reader reads exactly (RFC 8785, appendix D).
pub(super) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Canonical bytes of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanonicalBytes(Vec<u8>);

/// Why a document has no canonical bytes.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// A field that is part of the signed bytes is not there.
    #[error("`{field}` is missing")]
    FieldMissing {
        /// Which one.
        field: &'static str,
    },
    /// A field that is part of the signed bytes has another type.
    #[error("`{field}` must be {expected}")]
    FieldType {
        /// Which one.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A number has a fraction or an exponent.
    #[error("`{path}` is not a whole number; signed documents hold no floats")]
    Float {
        /// Where.
        path: String,
    },
    /// An integer is outside of what every JSON reader reads exactly.
    #[error("`{path}` is beyond 2^53 - 1; not every reader would read the same number")]
    IntegerRange {
        /// Where.
        path: String,
    },
    /// The object leaves its name to the server, but the name is signed.
    #[error("metadata.generateName is set; a signed object needs a fixed metadata.name")]
    NameGenerated,
    /// The document is nested too deeply.
    #[error("`{path}` is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where.
        path: String,
    },
    /// The document is too large.
    #[error("the document has {size} bytes; at most {MAX_DOCUMENT} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// The JSON writer failed.
    #[error("the document cannot be written as JSON: {0}")]
    Write(#[source] serde_json::Error),
}

impl CanonicalBytes {
    /// The bytes themselves.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, owned.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(&self.0)
    }
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// Canonical bytes of a whole value (RFC 8785), with integers only.
///
/// # Errors
/// [`CanonicalError::Float`], [`CanonicalError::IntegerRange`], [`CanonicalError::TooDeep`],
/// [`CanonicalError::TooLarge`], [`CanonicalError::Write`].
pub fn canonical_json(value: &Value) -> Result<CanonicalBytes, CanonicalError> {
    // serde_json writes several times as fast, and but for keys beyond ASCII and for what has no canonical form it writes the same.
    let plain = serde_json::to_vec(value).map_err(CanonicalError::Write)?;
    if plain.len() <= MAX_DOCUMENT && is_canonical(&plain) {
        return Ok(CanonicalBytes(plain));
    }
    canonical_json_slowly(value)
}

/// The same by a writer of RFC 8785 alone: what the fast way is compared with.
pub(super) fn canonical_json_slowly(value: &Value) -> Result<CanonicalBytes, CanonicalError> {
    check(value, &mut Path::default())?;
    write(value)
}

/// Reads canonical JSON: `None` when the bytes are anything but the canonical form of what they mean, a duplicate key or a
/// float included.
#[must_use]
pub fn read_canonical(bytes: &[u8]) -> Option<Value> {
    is_canonical(bytes).then(|| serde_json::from_slice(bytes).ok())?
}

/// Canonical bytes of the part of a Kubernetes object that signatures cover: apiVersion, kind, name, namespace, and the
/// spec without its signatures. Labels, annotations, status and owner references have no authority (R8, R9).
///
/// # Errors
/// Those of [`canonical_json`], [`CanonicalError::FieldMissing`], [`CanonicalError::FieldType`] and
/// [`CanonicalError::NameGenerated`].
pub fn signed_view(object: &Value) -> Result<CanonicalBytes, CanonicalError> {
    let api_version = text(object, "apiVersion", "apiVersion")?;
    let kind = text(object, "kind", "kind")?;
    let metadata = object.get("metadata").ok_or(CanonicalError::FieldMissing { field: "metadata" })?;
    // The server that generated a name leaves this field behind; the name was then never signed by anybody (R13).
    if metadata.get("generateName").is_some_and(|v| v.as_str() != Some("")) {
        return Err(CanonicalError::NameGenerated);
    }
    let name = text(metadata, "name", "metadata.name")?;
    let namespace = match metadata.get("namespace") {
        None | Some(Value::Null) => None,
        Some(Value::String(s)) => Some(s.as_str()).filter(|s| !s.is_empty()),
        Some(_) => return Err(CanonicalError::FieldType { field: "metadata.namespace", expected: "a text" }),
    };
    let spec = match object.get("spec") {
        Some(Value::Object(map)) => map,
        Some(_) => return Err(CanonicalError::FieldType { field: "spec", expected: "an object" }),
        None => return Err(CanonicalError::FieldMissing { field: "spec" }),
    };
    let mut path = Path(vec![Step::Key("spec".to_owned())]);
    for (key, value) in spec {
        path.within(Step::Key(key.clone()), |p| check(value, p))?;
    }
    write(&SignedView { api_version, kind, metadata: SignedMetadata { name, namespace }, spec: SignedSpec(spec) })
}

fn text<'a>(object: &'a Value, key: &str, field: &'static str) -> Result<&'a str, CanonicalError> {
    match object.get(key) {
        Some(Value::String(s)) if !s.is_empty() => Ok(s),
        Some(Value::String(_)) | None => Err(CanonicalError::FieldMissing { field }),
        Some(_) => Err(CanonicalError::FieldType { field, expected: "a text" }),
    }
}

fn write(value: &impl Serialize) -> Result<CanonicalBytes, CanonicalError> {
    let bytes = serde_json_canonicalizer::to_vec(value).map_err(CanonicalError::Write)?;
    if bytes.len() > MAX_DOCUMENT {
        return Err(CanonicalError::TooLarge { size: bytes.len() });
    }
    Ok(CanonicalBytes(bytes))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SignedView<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: SignedMetadata<'a>,
    spec: SignedSpec<'a>,
}

#[derive(Serialize)]
struct SignedMetadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
}

/// The spec without its signatures: they cannot cover themselves.
struct SignedSpec<'a>(&'a Map<String, Value>);

impl Serialize for SignedSpec<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.0.iter().filter(|(key, _)| *key != "signatures") {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Where a walk through a document stands; written only when something is wrong.
#[derive(Default)]
pub(super) struct Path(pub(super) Vec<Step>);

pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn within<T>(&mut self, step: Step, walk: impl FnOnce(&mut Self) -> T) -> T {
        self.0.push(step);
        let result = walk(self);
        self.0.pop();
        result
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, step| {
            match step {
                Step::Key(key) if text.is_empty() => text.push_str(key),
                Step::Key(key) => text.extend([".", key]),
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
            text
        })
    }
}

fn check(value: &Value, path: &mut Path) -> Result<(), CanonicalError> {
    if path.0.len() > MAX_DEPTH {
        return Err(CanonicalError::TooDeep { path: path.text() });
    }
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
        Value::Number(n) => match (n.as_u64(), n.as_i64()) {
            (Some(u), _) if u <= MAX_INTEGER => Ok(()),
            (None, Some(i)) if i.unsigned_abs() <= MAX_INTEGER => Ok(()),
            (None, None) => Err(CanonicalError::Float { path: path.text() }),
            _ => Err(CanonicalError::IntegerRange { path: path.text() }),
        },
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, item)| path.within(Step::Index(i), |p| check(item, p)))
        }
        Value::Object(map) => {
            map.iter().try_for_each(|(key, item)| path.within(Step::Key(key.clone()), |p| check(item, p)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn command() -> Value {
        json!({"apiVersion": "miax.dev/v1alpha1", "kind": "ControlCommand",
            "metadata": {"name": "a", "namespace": "shop", "labels": {"x": "y"}},
            "spec": {"b": 1, "a": "é", "signatures": [{"value": "x"}]}, "status": {"c": 1.5}})
    }

    fn bytes(object: &Value) -> String {
        String::from_utf8(signed_view(object).expect("canonical").into_vec()).expect("utf-8")
    }

    #[test]
    fn only_canonical_bytes_are_read_back() {
        for text in ["{}", r#"{"a":[1,-2,"x\n\u0001é"],"b":{"a":null}}"#, r#"{"\u20ac":1,"\ud83d\ude00":2}"#] {
            let value: Value = serde_json::from_str(text).expect("json");
            let canonical = canonical_json(&value).expect("canonical");
            assert_eq!(read_canonical(canonical.as_slice()), Some(value), "{text}");
        }
        let refused: [&[u8]; 8] = [
            br#"{"b":1,"a":2}"#,
            br#"{"a":1, "b":2}"#,
            br#"{"a":1,"a":1}"#,
            br#"{"a":1.0}"#,
            br#"{"a":1e2}"#,
            br#"{"a":"\u0041"}"#,
            br#"{"a":-0}"#,
            br#"{"a":9007199254740993}"#,
        ];
        for bytes in refused {
            assert_eq!(read_canonical(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn only_what_has_authority_is_signed() {
        let expected = r#"{"apiVersion":"miax.dev/v1alpha1","kind":"ControlCommand","metadata":{"name":"a","namespace":"shop"},"spec":{"a":"é","b":1}}"#;
        assert_eq!(bytes(&command()), expected);
        let mut other = command();
        other["metadata"]["annotations"] = json!({"synced-by": "argo"});
        other["spec"]["signatures"] = json!([]);
        other["status"] = Value::Null;
        assert_eq!(bytes(&other), expected);
    }

    #[test]
    fn every_signed_field_changes_the_digest() {
        let base = signed_view(&command()).expect("canonical").digest();
        for (pointer, value) in [
            ("/apiVersion", json!("miax.dev/v2")),
            ("/kind", json!("Manifest")),
            ("/metadata/name", json!("b")),
            ("/metadata/namespace", json!("other")),
            ("/spec/a", json!("e")),
            ("/spec/b", json!(2)),
        ] {
            let mut other = command();
            *other.pointer_mut(pointer).expect("there") = value;
            assert_ne!(signed_view(&other).expect("canonical").digest(), base, "{pointer}");
        }
    }

    #[track_caller]
    fn check_refused(object: &Value, expected: &str) {
        assert_eq!(signed_view(object).expect_err("refused").to_string(), expected);
    }

    #[test]
    fn what_has_no_one_spelling_is_refused() {
        let with = |pointer: &str, value: Value| {
            let mut object = command();
            *object.pointer_mut(pointer).expect("there") = value;
            object
        };
        check_refused(&with("/spec/b", json!(1.0)), "`spec.b` is not a whole number; signed documents hold no floats");
        check_refused(
            &with("/spec/b", json!([{"c": 9_007_199_254_740_992_u64}])),
            "`spec.b[0].c` is beyond 2^53 - 1; not every reader would read the same number",
        );
        check_refused(&with("/metadata/name", json!("")), "`metadata.name` is missing");
        check_refused(
            &with("/metadata", json!({"generateName": "a-"})),
            "metadata.generateName is set; a signed object needs a fixed metadata.name",
        );
        check_refused(&with("/spec", json!([])), "`spec` must be an object");
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(signed_view(&with("/spec/b", deep)), Err(CanonicalError::TooDeep { .. })));
        let large = json!("x".repeat(MAX_DOCUMENT));
        assert!(matches!(signed_view(&with("/spec/b", large)), Err(CanonicalError::TooLarge { .. })));
    }

    #[test]
    fn keys_sort_by_utf16_as_rfc_8785_demands() {
        // Section 3.2.3: the emoji's surrogate pair sorts before U+FB33.
        let value = json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        let text = String::from_utf8(canonical_json(&value).expect("canonical").into_vec()).expect("utf-8");
        let order: String = text.split(':').skip(1).filter_map(|t| t.chars().next()).collect();
        assert_eq!(order, "2467153");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-1_000_000_i64..1_000_000).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn canonical_bytes_are_a_fixed_point(value in any_value()) {
            let once = canonical_json(&value).expect("canonical");
            let back: Value = serde_json::from_slice(once.as_slice()).expect("json");
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical_json(&back).expect("canonical"), once);
        }

        #[test]
        fn the_fast_writer_writes_what_the_slow_one_does(value in any_value()) {
            prop_assert_eq!(canonical_json(&value).ok(), canonical_json_slowly(&value).ok());
        }
    }
}
