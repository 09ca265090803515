//! Evidence packs: everything that the ledger holds about one document, in one file that is checked alone, offline, with
//! only the log's key. `miax ledger pack` writes one; `pack::check` reads it.

mod check;
mod choose;
mod make;

pub(super) use check::{check, read};
pub(super) use make::{Arguments, run};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::constitution::ObjectRef;
use crate::units::{Digest, LogIndex};

/// The form of packs; another one is another word.
const FORMAT: &str = "miax.dev/evidence-pack/v1";

/// A pack. As a file it is canonical JSON, so that there is one spelling and no byte without a meaning.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pack {
    /// The form.
    format: String,
    /// What it is about.
    about: About,
    /// The checkpoint, a signed note, as it was published.
    checkpoint: String,
    /// The entries, in the order of the log: those about the document, and those with the text of every charter that they
    /// were judged by.
    entries: Vec<Proven>,
    /// The document itself with its signatures, as far as anything of it has authority.
    document: Option<Value>,
}

/// What a pack is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum About {
    /// Every document that an object of this name held.
    Object {
        /// The object.
        object: ObjectRef,
    },
    /// One document.
    Document {
        /// Its digest.
        digest: Digest,
    },
}

/// An entry with the proof that it is in the log.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proven {
    /// Its index.
    index: LogIndex,
    /// Its bytes, which are text.
    entry: String,
    /// The hashes from its sibling up to the child of the root, in base64.
    proof: Vec<String>,
}

impl std::fmt::Display for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Object { object } => write!(f, "{object}"),
            Self::Document { digest } => write!(f, "{digest}"),
        }
    }
}
