//! What everything else stands on: that this is the ledger of the charter that the operator was started for, and that its clock
//! does not run behind what was recorded.

use crate::api::reason::Reason;
use crate::units::Seconds;

use super::super::decision::Finding;
use super::super::facts::Facts;
use super::super::state::State;

/// How far the clock may be behind the newest entry: replicas are not quite of one time.
const BEHIND: Seconds = Seconds(300);
/// From here on the entry is taken for the wrong one: a writer whose clock once ran far ahead must not stop everything until then.
const ABSURD: Seconds = Seconds(86_400);

/// A finding when nothing can be judged here and now.
pub(in super::super) fn ground(state: &State, facts: &Facts) -> Vec<Finding> {
    let finding = |reason, message| Finding { reason, message, rule: None, next: None };
    let mut findings = Vec::new();
    if let (Some(first), Some(expected)) = (state.first_charter(), facts.genesis)
        && first != expected
    {
        let message =
            format!("this ledger began with the charter {first}, but the operator was started for {expected}");
        findings.push(finding(Reason::GenesisMismatch, message));
    }
    // What has expired must not come back to life, and what is owed must not become early again.
    let newest = state.newest_time();
    let behind = newest.since(facts.now);
    if behind > BEHIND && behind < ABSURD {
        let message = format!("the clock says {}, but the newest entry was made at {newest}; set the clock", facts.now);
        findings.push(finding(Reason::ClockBehind, message));
    }
    findings
}
