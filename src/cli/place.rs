//! Where the document that is signed stands: in a file, or stored in a cluster.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files::{Existing, Signed, read_object, write_object};
use super::output::{Answer, Failure, tell};

/// One document.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The document: a file.
    #[cfg_attr(feature = "client", arg(short, long, required_unless_present = "object", conflicts_with = "object"))]
    #[cfg_attr(not(feature = "client"), arg(short, long, required = true))]
    file: Option<PathBuf>,
    #[cfg(feature = "client")]
    #[command(flatten)]
    stored: super::stored::Stored,
}

impl Place {
    /// Refuses a place that no signature can be put into.
    pub(super) fn check(&self) -> Result<(), Failure> {
        match self.file.as_deref() {
            Some(file) if file == Path::new("-") => {
                Err(Failure::new("a signature is written into a file").with_next("-f FILE"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the document.
    pub(super) fn read(&self) -> Result<Value, Failure> {
        match &self.file {
            Some(file) => read_object(file),
            None => self.read_stored(),
        }
    }

    /// Adds a signature to the document that was read; gives the document with it, and whether it was taken.
    pub(super) fn add(&self, before: &Value, signature: &Value, what: &str) -> Result<(Value, Answer), Failure> {
        let Some(file) = &self.file else { return self.add_stored(before, signature, what) };
        let after = with_signature(before, signature)?;
        if read_object(file)? != *before {
            return Err(Failure::new(format!("{} changed meanwhile", file.display()))
                .with_next("look at it again, then sign again"));
        }
        write_object(file, &after, Existing::Replace)?;
        tell(&format!("{}: {what} is added", file.display()));
        Ok((after, Answer::Yes))
    }

    /// What somebody can do who said the same before.
    pub(super) fn said_before(&self) -> &'static str {
        match self.file {
            Some(_) => "remove the old signature from the file first, if it is to be replaced",
            None => "what is stored stays; miax withdraw takes it back",
        }
    }

    #[cfg(feature = "client")]
    fn read_stored(&self) -> Result<Value, Failure> {
        self.stored.read()
    }

    #[cfg(feature = "client")]
    fn add_stored(&self, before: &Value, signature: &Value, what: &str) -> Result<(Value, Answer), Failure> {
        self.stored.add(before, signature, what)
    }

    #[cfg(not(feature = "client"))]
    #[expect(clippy::unused_self, reason = "the other build uses it")]
    fn read_stored(&self) -> Result<Value, Failure> {
        Err(Failure::new("this build of miax talks to no cluster").with_next("-f FILE"))
    }

    #[cfg(not(feature = "client"))]
    fn add_stored(&self, _before: &Value, _signature: &Value, _what: &str) -> Result<(Value, Answer), Failure> {
        self.read_stored().map(|object| (object, Answer::No))
    }
}

/// The object with one signature more; it reads back, or nothing is written.
fn with_signature(before: &Value, signature: &Value) -> Result<Value, Failure> {
    let mut object = before.clone();
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).ok_or_else(|| Failure::new("there is no spec"))?;
    let list = spec.entry("signatures").or_insert_with(|| json!([]));
    list.as_array_mut().ok_or_else(|| Failure::new("spec.signatures is not a list"))?.push(signature.clone());
    Signed::read(&object)?;
    Ok(object)
}
