//! What an audit leaves behind: findings, fork proofs and its state. Each is on the disk before the next step is taken.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::clock::now;
use crate::cli::files::{Existing, read_text, write_text};
use crate::cli::ledger::report::finding_value;
use crate::cli::output::{Failure, failure};
use crate::ledger::{AuditState, Finding, ForkProof};
use crate::trust::sha256;

/// How many digits of its digest stand in the name of a fork proof.
const NAME_DIGITS: usize = 16;

/// What an earlier audit wrote; `None` when there was none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Failure> {
    match path.try_exists() {
        Ok(true) => read_text(path).map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
    }
}

/// Replaces the state.
pub(super) fn advance(path: &Path, state: &AuditState) -> Result<(), Failure> {
    write_text(path, &state.to_text().map_err(|e| failure(&e))?, Existing::Replace)?;
    sync_directory(path)
}

/// Appends findings to a file, a JSON object a line.
pub(super) fn append(path: &Path, origin: &str, findings: &[Finding]) -> Result<(), Failure> {
    let wrong = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
    let at = now();
    let line = |finding: &Finding| {
        let mut value = finding_value(finding);
        if let Value::Object(map) = &mut value {
            map.insert("time".to_owned(), Value::from(at.to_string()));
            map.insert("origin".to_owned(), Value::from(origin));
        }
        format!("{value}\n")
    };
    let text: String = findings.iter().map(line).collect();
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path).map_err(wrong)?;
    // One write for all lines, so that another audit that writes at the same time does not cut one in two.
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(wrong)?;
    sync_directory(path)
}

/// Writes a fork proof under a name that its content gives; one that is there already is the same.
pub(super) fn write_fork(directory: &Path, proof: &ForkProof) -> Result<PathBuf, Failure> {
    let text = proof.to_text().map_err(|e| failure(&e))?;
    let digest = sha256(text.as_bytes()).hex();
    let path = directory.join(format!("miax-fork-{}.json", digest.get(..NAME_DIGITS).unwrap_or_default()));
    write_text(&path, &text, Existing::Replace)?;
    sync_directory(&path)?;
    Ok(path)
}

/// A name is durable when its directory is.
fn sync_directory(path: &Path) -> Result<(), Failure> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = std::fs::File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|e| Failure::new(format!("{}: {e}", parent.display())))
}
