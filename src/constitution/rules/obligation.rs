//! A rule under which something is overdue (a post-mortem, an acknowledgement) allows nothing more until that is met.

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
                "the {} of {} ({}, ledger entry {}) was due at {}",
                o.owed.as_str(),
                o.object,
                o.summary,
                o.since,
                o.due
            ),
            rule: Some(rule.citation()),
            next: Some(NextStep::Run(o.next_step())),
        })
    })
    .collect()
}
