//! Whether an entry is about a file: the commitment in the entry, opened with its salt.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::files::read_object;
use crate::cli::output::{Answer, Failure, Format, Tone, paint, print};
use crate::cli::source::Verified;
use crate::constitution::{DecisionEvent, Event, WorkloadKind, authority};
use crate::trust::{CanonicalBytes, Salt, canonical_json};
use crate::units::LogIndex;

/// A file, and what opens the commitment of its entry.
#[derive(Debug, clap::Args)]
pub(super) struct Opened {
    /// Tell whether the entry --index is about this document or workload, and not only about its name.
    #[arg(long, value_name = "FILE", requires_all = ["path", "salt", "index"])]
    pub(super) payload: Option<PathBuf>,
    /// The salt of that entry, in hex, as the webhook kept it.
    #[arg(long, value_name = "HEX", requires = "payload")]
    salt: Option<String>,
    /// The index of that entry.
    #[arg(long, requires = "payload")]
    index: Option<u64>,
}

impl Opened {
    /// Compares, after the ledger was found whole.
    pub(super) fn check(&self, ledger: &Verified, path: &Path, output: Format) -> Result<Answer, Failure> {
        let (salt, index) = (self.salt.as_deref().unwrap_or_default(), LogIndex(self.index.unwrap_or_default()));
        let salt = Salt::read(salt).ok_or_else(|| Failure::new("--salt is not 64 hex digits"))?;
        let entry = ledger.entries.iter().find(|r| r.index == index);
        let decision = match entry.map(|r| &r.event) {
            Some(Event::Decision(decision)) => decision,
            Some(_) => return Err(Failure::new(format!("entry {index} is no decision"))),
            None => return Err(Failure::new(format!("there is no entry {index}"))),
        };
        let Some(commitment) = decision.commitment else {
            return Err(Failure::new(format!("entry {index} holds no commitment")));
        };
        let payload = payload(decision, &read_object(path)?, path)?;
        let proven = salt.commit(payload.as_slice()) == commitment;
        let place = path.display();
        let text = match proven {
            true => format!("{}: entry {index} is about {place}", paint("proven", Tone::Good)),
            false => format!(
                "{}: entry {index} is not about {place}, or the salt is that of another entry",
                paint("not proven", Tone::Bad)
            ),
        };
        print(output, &json!({"proven": proven, "index": index, "commitment": commitment}), || text)?;
        Ok(if proven { Answer::Yes } else { Answer::No })
    }
}

/// What was committed to: what has authority in a document, or the pod template of a workload.
fn payload(decision: &DecisionEvent, object: &Value, path: &Path) -> Result<CanonicalBytes, Failure> {
    let workload = WorkloadKind::ALL.into_iter().any(|kind| kind.as_str() == decision.object.kind);
    let bytes = match (workload, object.pointer("/spec/template")) {
        (true, Some(template)) => canonical_json(template),
        (true, None) => return Err(Failure::new(format!("{}: it has no spec.template", path.display()))),
        (false, _) => authority(object),
    };
    bytes.map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}
