//! Freezes, thaws and waivers of freezes: whether they can be done, and by these people.

use std::collections::BTreeSet;

use crate::api::reason::Reason;
use crate::trust::Verb;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::{Calendar, FREEZE, Target, YEAR_AHEAD};
use super::super::decision::Finding;
use super::super::state::Freeze;
use super::oversight::{Case, finding, nothing, rank};

/// Most freezes that stand in one namespace: the gate looks at all of them, and State keeps them.
const MOST: usize = 16;

/// A freeze adds to those that stand and replaces none, so that it weakens nothing; what one does already is not done twice.
pub(super) fn freeze(
    namespace: &str,
    until: Option<UnixSeconds>,
    calendar: Option<&Calendar>,
    way_out: &BTreeSet<String>,
    case: &Case<'_>,
) -> Vec<Finding> {
    let Case { charter, state, now, rules: _, signatures: _ } = *case;
    let unknown = way_out.iter().filter(|seat| !charter.organs.contains_key(*seat));
    let mut findings: Vec<Finding> = unknown
        .map(|seat| finding(Reason::FieldInvalid, format!("freeze.wayOut: `{seat}` is no organ of the charter")))
        .collect();
    let does = |f: &&Freeze| {
        let Freeze { standing, calendar: windows, way_out: seats, rests_until } = f;
        let longer = standing.until.is_none_or(|end| until.is_some_and(|until| until <= end));
        let as_often = windows.is_none() || windows.as_ref() == calendar;
        longer && as_often && seats == way_out && rests_until.is_none_or(|rest| rest <= now)
    };
    if calendar.is_some_and(|calendar| !calendar.holds(now) && calendar.turns(now, YEAR_AHEAD).is_none()) {
        let message = "no window of its calendar opens in the year to come".to_owned();
        findings.push(finding(Reason::NothingToDo, message));
    }
    if let Some(standing) = state.freezes_of(namespace, now).find(does) {
        findings.push(nothing("the namespace is frozen at least as long already", standing.standing.index));
    }
    if state.freezes_of(namespace, now).count() >= MOST {
        let message = format!("{MOST} freezes of {namespace} stand; thaw one of them first");
        findings.push(finding(Reason::NothingToDo, message));
    }
    findings
}

/// Nobody below thaws what an organ froze: that would be an override without its bounds. A freeze that is overridden can be
/// ended too; else it would hold again.
pub(super) fn thaw(
    namespace: &str,
    named: Option<&Digest>,
    rest: Option<UnixSeconds>,
    case: &Case<'_>,
) -> Vec<Finding> {
    let standing: Vec<&Freeze> = case.state.freezes_of(namespace, case.now).collect();
    let meant = || standing.iter().filter(|f| f.meant_by(named, rest));
    if meant().next().is_none() {
        return vec![finding(Reason::NothingToDo, nothing_to_thaw(namespace, named, &standing))];
    }
    let resting = |f: &&&Freeze| rest.is_some_and(|until| f.rests_until.is_some_and(|rests| until <= rests));
    if meant().filter(resting).count() == meant().count() {
        let message = format!("the freezes of {namespace} rest at least as long already");
        return vec![finding(Reason::NothingToDo, message)];
    }
    let authors: Vec<&str> = case.signatures.iter().filter(|s| s.verb() == Verb::Author).map(|s| s.seat()).collect();
    let low = meant().flat_map(|f| authors.iter().map(move |seat| (&f.standing, *seat)));
    low.filter(|(frozen, seat)| rank(case.charter, seat) > rank(case.charter, &frozen.organ))
        .map(|(frozen, seat)| {
            let message = format!("{} froze it (ledger entry {}), and {seat} ranks below", frozen.organ, frozen.index);
            finding(Reason::RankTooLow, message)
        })
        .collect()
}

fn nothing_to_thaw(namespace: &str, named: Option<&Digest>, standing: &[&Freeze]) -> String {
    match (named, standing.is_empty()) {
        (Some(digest), _) => format!("no freeze of {namespace} with the digest {digest} stands"),
        (None, true) => format!("the namespace {namespace} is not frozen"),
        (None, false) => {
            let calendars: Vec<String> = standing.iter().map(|f| f.standing.decision.to_string()).collect();
            format!(
                "only calendars freeze {namespace}; end one by its digest ({}), or let them rest until a time",
                calendars.join(", ")
            )
        }
    }
}

/// Only what is frozen can be taken out, and only by a waiver that comes after the freezes: it is an exception to what its
/// signers knew.
pub(super) fn waive(target: &Target, until: UnixSeconds, case: &Case<'_>) -> Option<Finding> {
    let newest: Option<LogIndex> = case.state.freezes_of(&target.namespace, case.now).map(|f| f.standing.index).max();
    let Some(newest) = newest else {
        return Some(finding(Reason::NothingToDo, format!("the namespace {} is not frozen", target.namespace)));
    };
    let standing = case.state.waived(FREEZE, target, case.now);
    let standing = standing.filter(|w| w.until >= until && w.index > newest)?;
    Some(nothing("it is waived at least as long already", standing.index))
}
