//! What is left of a ledger, as the command that goes on with it says it.

use std::path::Path;

use serde_json::{Value, json};

use super::super::dump::Dump;
use super::super::output::{Failure, tell};
use super::super::source::Trust;
use super::super::walk::walk;

/// The fields of the action: everything up to the first thing that is wrong is kept.
pub(super) fn opening(ledger: &Path, trust: &Trust) -> Result<Value, Failure> {
    let (verified, _, head) = walk(Dump::read(ledger)?, trust, None)?;
    let Some(finding) = verified.report.findings.first() else {
        return Err(Failure::new("nothing of this ledger is missing; there is no epoch to open").with_next(
            "if the cluster has lost something, give the dump of the cluster, and --checkpoint with what was kept",
        ));
    };
    let epoch = head.trust().epoch.checked_add(1).ok_or_else(|| Failure::new("the ledger has no further epoch"))?;
    tell(&format!("kept: {} entries, up to {}: {}", head.next_index(), finding.object, finding.message));
    let beyond = verified.published.filter(|published| published.size() > head.next_index().0);
    match &beyond {
        Some(published) => tell(&format!("lost: the entries {} to {}", head.next_index(), published.size() - 1)),
        None => tell("lost: what came after them; no checkpoint says how much"),
    }
    let (blocks, entries, root) = (head.next_block(), head.next_index(), head.root());
    let checkpoint = beyond.map(|published| json!({"checkpoint": published.note}));
    let mut fields = json!({"epoch": epoch, "blocks": blocks, "entries": entries, "root": root});
    if let (Some(fields), Some(Value::Object(checkpoint))) = (fields.as_object_mut(), checkpoint) {
        fields.extend(checkpoint);
    }
    Ok(fields)
}
