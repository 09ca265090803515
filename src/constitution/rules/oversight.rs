//! Actions whose whole effect is in State: whether what they ask for can be done, and by these people.

use crate::api::reason::Reason;
use crate::trust::{Keyring as _, Verb, VerifiedSignature};
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::StateAction;
use super::super::charter::{Charter, ROOT_RANK};
use super::super::decision::Finding;
use super::super::state::{CommandState, State};

fn finding(reason: Reason, message: String) -> Finding {
    Finding { reason, message, rule: None, next: None }
}

/// Refuses a command that was vetoed.
pub(in super::super) fn vetoed(digest: &Digest, state: &State) -> Option<Finding> {
    let index = state.vetoed(digest)?;
    Some(finding(Reason::Vetoed, format!("this command was vetoed (ledger entry {index})")))
}

/// Refuses what is so already, what can no longer be done, and what is not for these people to do.
pub(in super::super) fn state_action(
    action: &StateAction,
    charter: &Charter,
    state: &State,
    now: UnixSeconds,
    signatures: &[VerifiedSignature],
) -> Vec<Finding> {
    match action {
        StateAction::RevokeKey { key } => revocation(key, charter, state).into_iter().collect(),
        StateAction::Veto { command } => veto(command, charter, state, signatures),
        StateAction::Review { command, findings: _ } => review(command, state, signatures),
        StateAction::RatifyAmendment { charter } => ratification(charter, state, now).into_iter().collect(),
    }
}

fn nothing(what: &str, index: LogIndex) -> Finding {
    finding(Reason::NothingToDo, format!("{what} (ledger entry {index})"))
}

fn revocation(key: &str, charter: &Charter, state: &State) -> Option<Finding> {
    if let Some(index) = state.revoked(key) {
        return Some(nothing("the key is revoked already", index));
    }
    match charter.owner_of(key) {
        Some(_) => None,
        None => Some(finding(Reason::KeyUnknown, format!("no principal of the charter has the key {key}"))),
    }
}

/// A veto stops what is not done yet, and comes from above: from the highest rank always, else from organs that all rank
/// above the one that authored the command.
fn veto(command: &Digest, charter: &Charter, state: &State, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    if let Some(index) = state.vetoed(command) {
        return vec![nothing("the command is vetoed already", index)];
    }
    let author = match state.command(command) {
        // Nobody has seen it yet; then only the highest rank can know that it comes from below.
        None => None,
        Some(CommandState::Allowed { author, .. }) => Some(author.to_string()),
        Some(CommandState::Running { begin, .. }) => {
            begin.signers.iter().find(|s| s.verb == Verb::Author.as_str()).map(|s| s.seat.clone())
        }
        Some(
            CommandState::Enacted { index, .. } | CommandState::Done { index, .. } | CommandState::Failed { index, .. },
        ) => return vec![nothing("the command is not to be stopped any more", *index)],
    };
    let rank = |organ: &str| charter.organs.get(organ).copied().unwrap_or(u32::MAX);
    let below = author.as_deref().map_or(ROOT_RANK + 1, |organ| rank(organ).max(ROOT_RANK + 1));
    let whose =
        author.map_or_else(|| "an author whom the ledger does not know".to_owned(), |a| format!("an author of {a}"));
    let decides = |s: &&VerifiedSignature| matches!(s.verb(), Verb::Author | Verb::Approve);
    let low = signatures.iter().filter(decides).filter(|s| rank(s.seat()) >= below);
    low.map(|s| {
        let message = format!("`{}` signed for {}, which does not rank above {whose}", s.principal(), s.seat());
        finding(Reason::RankTooLow, message)
    })
    .collect()
}

/// Nobody reviews what they signed.
fn review(command: &Digest, state: &State, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let Some(owed) = state.obligation(command) else {
        return vec![finding(Reason::NothingToDo, format!("no post-mortem of {command} is owed"))];
    };
    let involved = signatures.iter().filter(|s| owed.involved.contains(s.principal()));
    involved
        .map(|s| {
            let message = format!("`{}` signed the command that is reviewed", s.principal());
            finding(Reason::ReviewerInvolved, message)
        })
        .collect()
}

/// Only the emergency charter that waits for it can be ratified, and only in time.
fn ratification(charter: &Digest, state: &State, now: UnixSeconds) -> Option<Finding> {
    match state.emergency().filter(|e| e.charter.reference.digest == *charter) {
        None => {
            Some(finding(Reason::NothingToDo, format!("no emergency charter {charter} waits for its ratification")))
        }
        Some(e) if now >= e.ratify_by => {
            Some(finding(Reason::CharterLapsed, format!("the charter had to be ratified before {}", e.ratify_by)))
        }
        Some(_) => None,
    }
}
