//! The status as facts, one line each: what whoever follows it compares, and what a pipe gets.

use std::collections::BTreeMap;

use crate::constitution::SeatView;

use super::overview::{Overview, Waiting};
use super::words::{charter_line, frozen_line, objective_line, obstacles, owed_line};

/// Each fact, by what it is about.
pub(super) fn facts(overview: &Overview<'_>) -> BTreeMap<String, String> {
    let Overview {
        now,
        charter,
        emergency: _,
        not_enforced,
        ledger,
        unwitnessed,
        running,
        waiting,
        frozen,
        waived,
        objectives,
        plans,
        owed,
        archives: _,
    } = overview;
    let mut facts = BTreeMap::from([("charter".to_owned(), charter_line(*charter, *now))]);
    for rule in not_enforced {
        facts.insert(format!("rule {}", rule.name), format!("NOT ENFORCED ({})", rule.mode.as_str()));
    }
    for finding in &ledger.findings {
        facts.insert("ledger NOT WHOLE".to_owned(), finding.clone());
    }
    if let Some((index, since)) = unwitnessed {
        facts.insert("ledger UNWITNESSED".to_owned(), format!("since {since} (entry {index})"));
    }
    for (_, begin, index) in running {
        facts.insert(format!("running {}", begin.object), format!("{} (entry {index})", begin.summary));
    }
    for one in waiting {
        facts.insert(format!("waiting {}", one.decision.object), waiting_line(one));
    }
    for one in frozen {
        let entry = one.freeze.standing.index;
        facts.insert(format!("frozen {} by entry {entry}", one.namespace), frozen_line(one));
    }
    for one in waived {
        facts.insert(format!("waived {} for {}", one.rule, one.target), format!("until {}", one.until));
    }
    for one in objectives {
        facts.insert(format!("objective {}", one.object), objective_line(one, *now));
    }
    for (command, plan) in plans {
        facts.insert(format!("plan {command} for {}", plan.mitigation.slo), format!("{} uses left", plan.left));
    }
    for one in owed {
        facts.insert(format!("owed {} since entry {}", one.what, one.since), owed_line(one));
    }
    facts
}

fn waiting_line(waiting: &Waiting<'_>) -> String {
    let Waiting { digest: _, decision, index: _, vetoed } = waiting;
    let seat = |seat: &SeatView| {
        let by = if seat.filled_by.is_empty() { String::new() } else { format!(" by {}", seat.filled_by.join(", ")) };
        format!("{} {} of {}{by}", seat.seat, seat.filled_by.len(), seat.needed)
    };
    let mut parts: Vec<String> = decision.seats.iter().map(seat).collect();
    parts.extend(obstacles(&decision.findings).map(|f| f.message.clone()));
    parts.extend(vetoed.map(|v| format!("VETOED by {}", v.organ)));
    format!("{}; {}", decision.summary.as_deref().unwrap_or_default(), parts.join("; "))
}
