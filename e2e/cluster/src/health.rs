//! What Argo CD and kstatus say of an object: a script for Argo CD runs in Argo CD's own Lua engine, and kstatus is the one that
//! Flux and Helm are built with.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::binaries::{Tool, binary};
use crate::error::ClusterError;

/// A health with its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The word.
    pub status: String,
    /// What people read.
    pub message: String,
}

/// What is said of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// By the script: Healthy, Progressing, Suspended or Degraded.
    pub argo: Health,
    /// By kstatus: Current, `InProgress`, Failed or Terminating.
    pub kstatus: Health,
}

/// Asks about an object, with the script for its kind.
///
/// # Errors
/// Those of [`binary`]; [`ClusterError::Health`] when the script fails or the object cannot be read.
pub fn health(script: &str, object: &Value) -> Result<Verdicts, ClusterError> {
    let wrong = || ClusterError::io("the health program cannot be run");
    let mut child = Command::new(binary(Tool::Health)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(wrong())?;
    if let Some(mut pipe) = child.stdin.take() {
        let question = json!({"script": script, "object": object});
        pipe.write_all(format!("{question}\n").as_bytes()).map_err(wrong())?;
    }
    let output = child.wait_with_output().map_err(wrong())?;
    let failed = || ClusterError::Health(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    let answer: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed())?;
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).map(str::to_owned).ok_or_else(failed);
    let of = |who: &str| {
        Ok::<_, ClusterError>(Health {
            status: text(&format!("/{who}/status"))?,
            message: text(&format!("/{who}/message"))?,
        })
    };
    Ok(Verdicts { argo: of("argo")?, kstatus: of("kstatus")? })
}
