//! The documents that people kept: what a decision was about is found among them by its digest.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::api::GovernedKind;
use crate::constitution::{DecisionEvent, ObjectRef, Operation, Request};
use crate::trust::parse_yaml_strict;

use super::super::files::read_text;
use super::super::output::{Failure, tell};

/// Documents by the object that they are versions of.
#[derive(Default)]
pub(super) struct Documents {
    versions: BTreeMap<ObjectRef, Vec<Value>>,
}

impl Documents {
    /// Reads a file, or a directory as deep as it goes. What is no document is passed over; a file that cannot be read is
    /// told, and what it may hold will be missing.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let mut documents = Self::default();
        if path.is_dir() {
            documents.add_directory(path)?;
        } else {
            documents.add_text(&read_text(path)?, path)?;
        }
        Ok(documents)
    }

    fn add_directory(&mut self, path: &Path) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        for entry in std::fs::read_dir(path).map_err(wrong)? {
            let entry = entry.map_err(wrong)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(wrong)?);
            // A link to a directory could lead back here; one to a file cannot.
            if kind.is_dir() {
                self.add_directory(&path)?;
            } else if path.is_file() && path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
                let added = read_text(&path).and_then(|text| self.add_text(&text, &path));
                if let Err(Failure { message, next: _ }) = added {
                    tell(&format!("note: passed over: {message}"));
                }
            }
        }
        Ok(())
    }

    fn add_text(&mut self, text: &str, path: &Path) -> Result<(), Failure> {
        let documents = parse_yaml_strict(text).map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        documents.into_iter().for_each(|value| self.add(value));
        Ok(())
    }

    /// Adds an object of a governed kind, or those of a list as `kubectl get -o yaml` prints it.
    pub(super) fn add(&mut self, value: Value) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        match GovernedKind::from_kind(text("/kind")) {
            Some(kind) => {
                let object = ObjectRef::new(kind, text("/metadata/namespace"), text("/metadata/name"));
                self.versions.entry(object).or_default().push(value);
            }
            None => {
                if let Some(Value::Array(items)) = value.get("items") {
                    items.iter().for_each(|item| self.add(item.clone()));
                }
            }
        }
    }

    /// The request that a decision was about, when its documents are here. A deletion needs none.
    pub(super) fn request(&self, event: &DecisionEvent, kind: GovernedKind) -> Option<Request> {
        let request = |object: Option<&Value>, old: Option<&Value>| Request {
            uid: event.request.clone(),
            operation: event.operation,
            kind,
            namespace: event.object.namespace.clone(),
            name: event.object.name.clone(),
            object: object.cloned(),
            old: old.cloned(),
            actor: event.actor.clone(),
        };
        let versions = self.versions.get(&event.object).map(Vec::as_slice).unwrap_or_default();
        let fits = |request: &Request| event.inputs.is_some() && request.inputs() == event.inputs;
        match event.operation {
            Operation::Delete => Some(request(None, None)),
            Operation::Create => versions.iter().map(|object| request(Some(object), None)).find(fits),
            Operation::Update => versions
                .iter()
                .flat_map(|object| versions.iter().map(move |old| (object, old)))
                .map(|(object, old)| request(Some(object), Some(old)))
                .find(fits),
        }
    }
}
