//! Files with signed documents: read strictly, written so that nothing is ever half there.

use std::io::{Read as _, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::api::GovernedKind;
use crate::constitution::{Command, Document, Manifest, SloDocument};
use crate::trust::{parse_yaml_strict, to_yaml};

use super::output::Failure;

/// Largest file with a document; a document itself has 1 MiB at most.
const MAX_FILE: u64 = 4 << 20;

/// A signed document, whatever its kind.
pub(super) enum Signed {
    /// A command.
    Command(Box<Command>),
    /// A manifest.
    Manifest(Box<Manifest>),
    /// An objective.
    Slo(Box<SloDocument>),
}

impl Signed {
    /// Reads an object.
    pub(super) fn read(object: &Value) -> Result<Self, Failure> {
        match kind_of(object)? {
            GovernedKind::ControlCommand => Command::read(object).map(|c| Self::Command(Box::new(c))),
            GovernedKind::Manifest => Manifest::read(object).map(|m| Self::Manifest(Box::new(m))),
            GovernedKind::Slo => SloDocument::read(object).map(|s| Self::Slo(Box::new(s))),
        }
        .map_err(|e| Failure::new(format!("{}: {e}", e.reason)))
    }

    /// What all documents share.
    pub(super) fn document(&self) -> &Document {
        match self {
            Self::Command(command) => &command.document,
            Self::Manifest(manifest) => &manifest.document,
            Self::Slo(slo) => &slo.document,
        }
    }

    /// What it does, in a few words.
    pub(super) fn summary(&self) -> String {
        match self {
            Self::Command(command) => command.summary(),
            Self::Manifest(manifest) => manifest.summary(),
            Self::Slo(slo) => slo.summary(),
        }
    }
}

/// The kind of an object that is signed.
pub(super) fn kind_of(object: &Value) -> Result<GovernedKind, Failure> {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    GovernedKind::from_kind(kind)
        .ok_or_else(|| Failure::new(format!("`{kind}` is not a signed kind; write ControlCommand, Manifest or SLO")))
}

/// Reads a text file, or stdin for `-`, up to the limit.
pub(super) fn read_text(path: &Path) -> Result<String, Failure> {
    let place = path.display();
    let mut text = String::new();
    let result = if path == Path::new("-") {
        std::io::stdin().take(MAX_FILE + 1).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text))
    };
    result.map_err(|e| Failure::new(format!("{place}: {e}")))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(Failure::new(format!(
            "{place}: larger than {} MiB; this is not a signed document",
            MAX_FILE >> 20
        )));
    }
    Ok(text)
}

/// Reads the one document of a file.
pub(super) fn read_object(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path)?;
    let place = path.display();
    let mut documents = parse_yaml_strict(&text).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    match (documents.pop(), documents.len()) {
        (Some(object), 0) => Ok(object),
        (None, _) => Err(Failure::new(format!("{place}: no document is in there"))),
        (Some(_), more) => Err(Failure::new(format!("{place}: {} documents; a signature is for one", more + 1))
            .with_next("write each document into a file of its own")),
    }
}

/// Reads a charter.
pub(super) fn read_charter(path: &Path) -> Result<(Value, Manifest), Failure> {
    let object = read_object(path)?;
    match Signed::read(&object)? {
        Signed::Manifest(manifest) => Ok((object, *manifest)),
        Signed::Command(_) => Err(Failure::new(format!("{}: this is a command, not a charter", path.display()))),
        Signed::Slo(_) => Err(Failure::new(format!("{}: this is an objective, not a charter", path.display()))),
    }
}

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Existing {
    /// It is the file that was read.
    Replace,
    /// It would be lost.
    Keep,
}

/// Writes an object as YAML: beside its place first, then renamed, so that a crash leaves the old file whole.
pub(super) fn write_object(path: &Path, object: &Value, existing: Existing) -> Result<(), Failure> {
    write_text(path, &to_yaml(object), existing)
}

/// Writes a text in the same way.
pub(super) fn write_text(path: &Path, text: &str, existing: Existing) -> Result<(), Failure> {
    let place = path.display();
    let taken = || Failure::new(format!("{place} exists")).with_next("choose another name, or remove it first");
    if existing == Existing::Keep && path.symlink_metadata().is_ok() {
        return Err(taken());
    }
    // A rename over a symlink would replace the link and leave the file that it points to as it was.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let name = target.file_name().and_then(|n| n.to_str()).unwrap_or("document");
    let part = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        // `create_new` follows no link that somebody else put there.
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&part)?;
        file.write_all(text.as_bytes())?;
        if let Ok(before) = target.metadata() {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&part, &target)
    };
    write().map_err(|e| {
        // Nothing is lost when this fails too: the old file is whole, only the part stays.
        let _ = std::fs::remove_file(&part);
        Failure::new(format!("{place}: {e}"))
    })
}
