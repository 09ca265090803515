//! Objectives from files.

use std::path::Path;

use serde_json::Value;

use crate::constitution::SloDocument;
use crate::slo::{Resolution, Slo, SloName};
use crate::trust::parse_yaml_strict;
use crate::units::Seconds;

use super::super::files::read_text;
use super::super::output::{Failure, failure};

/// An objective of a file.
pub(super) struct Named {
    pub(super) name: SloName,
    pub(super) slo: Slo,
}

/// A document of a file: where it stands, and what it is.
pub(super) struct Found {
    pub(super) place: String,
    pub(super) objective: Result<Named, String>,
}

/// Reads every document of a file.
pub(super) fn read(path: &Path) -> Result<Vec<Found>, Failure> {
    let file = path.display();
    let documents = parse_yaml_strict(&read_text(path)?).map_err(|e| {
        let next = "quote decimal numbers, as in `objective: \"99.9\"`";
        Failure::new(format!("{file}: {e}")).with_next(next)
    })?;
    if documents.is_empty() {
        return Err(Failure::new(format!("{file}: no document is in there")));
    }
    let many = documents.len() > 1;
    let found = (1..).zip(&documents).map(|(number, object)| {
        let place = if many { format!("{file}, document {number}") } else { file.to_string() };
        Found { place, objective: objective(object) }
    });
    Ok(found.collect())
}

/// Reads the objectives of a file; each must be one.
pub(super) fn read_all(path: &Path) -> Result<Vec<Named>, Failure> {
    let wrong = |place: String, e: String| Failure::new(format!("{place}: {e}"));
    read(path)?.into_iter().map(|Found { place, objective }| objective.map_err(|e| wrong(place, e))).collect()
}

/// Reads one document. It need not be signed, but it must be what could be.
fn objective(object: &Value) -> Result<Named, String> {
    let SloDocument { document, slo } = SloDocument::read(object).map_err(|e| e.to_string())?;
    let name = SloName::try_new(&document.object.namespace, &document.object.name).map_err(|e| e.to_string())?;
    Ok(Named { name, slo })
}

/// A resolution that was written on the command line.
pub(super) fn resolution(length: Seconds) -> Result<Resolution, Failure> {
    Resolution::try_new(length).map_err(|e| failure(&e))
}
