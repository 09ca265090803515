//! A command works once (R15): from `effect.begin` on its digest is used up, whatever happens to the object.

use crate::api::reason::Reason;
use crate::units::Digest;

use super::super::decision::{Finding, NextStep};
use super::super::state::{CommandState, State};

/// Refuses a command that was used.
pub(in super::super) fn consumed(digest: &Digest, state: &State) -> Option<Finding> {
    let (index, what) = match state.command(digest) {
        None | Some(CommandState::Held { .. } | CommandState::Allowed { .. }) => return None,
        Some(CommandState::Running { index, .. }) => (index, "began"),
        Some(CommandState::Done { index, .. }) => (index, "was done"),
        Some(CommandState::Enacted { index, .. }) => (index, "was done"),
        Some(CommandState::Failed { index, .. }) => (index, "failed"),
    };
    Some(Finding {
        reason: Reason::CommandConsumed,
        message: format!("this command {what} already (ledger entry {index}); a command works once"),
        rule: None,
        next: Some(NextStep::Do("draft a new one: its expiry or name makes it another command".to_owned())),
    })
}
