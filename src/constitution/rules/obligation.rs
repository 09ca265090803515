//! A rule whose post-mortem is overdue allows nothing more until the review is there.

use crate::api::reason::Reason;
use crate::units::UnixSeconds;

use super::super::charter::Rule;
use super::super::decision::{Finding, NextStep};
use super::super::state::State;

/// A finding for each overdue obligation of these rules.
pub(in super::super) fn overdue(rules: &[&Rule], state: &State, now: UnixSeconds) -> Vec<Finding> {
    let owed = state.obligations().filter(|o| o.is_overdue(now));
    owed.filter_map(|o| {
        let rule = rules.iter().find(|r| o.rules.contains(&r.name))?;
        Some(Finding {
            reason: Reason::ObligationOverdue,
            message: format!(
                "the post-mortem of {} ({}, ledger entry {}) was due at {}",
                o.object, o.summary, o.since, o.due
            ),
            rule: Some(rule.citation()),
            next: Some(NextStep::Run(format!("miax draft review {} --findings TEXT", o.command))),
        })
    })
    .collect()
}
