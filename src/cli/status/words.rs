//! The status in words: sections for people.

use crate::api::reason::Reason;
use crate::constitution::{
    Archived, BudgetVerdict, Finding, Freeze, InForce, Lifetime, Measured, Mitigation, Objective, Plan, Standing,
    Waiver,
};
use crate::units::UnixSeconds;

use super::super::output::{Tone, one_line, paint, plain};
use super::super::show::seat_line;
use super::overview::{Due, Frozen, Overview, Soundness, Waiting};

/// The whole status.
pub(super) fn text(overview: &Overview<'_>) -> String {
    let Overview {
        now,
        charter,
        emergency,
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
        archives,
    } = overview;
    let mut lines = vec![format!("charter  {}", charter_line(*charter, *now))];
    if let Some(e) = emergency {
        let (by, digest) = (e.ratify_by, e.charter.reference.digest);
        let what = paint(&format!("an emergency amendment: it lapses at {by}"), Tone::Doubt);
        lines.push(format!("         {what} unless ratified; run: miax draft ratify-amendment {digest}"));
    }
    for rule in not_enforced {
        let what = format!("NOT ENFORCED ({}): {}; it refuses nothing", rule.mode.as_str(), rule.citation());
        lines.push(format!("         {}", paint(&one_line(&what), Tone::Bad)));
    }
    let Soundness { entries, blocks, findings } = ledger;
    let (word, tone) = if findings.is_empty() { ("whole", Tone::Good) } else { ("NOT WHOLE", Tone::Bad) };
    lines.push(format!("ledger   {}, {entries} entries in {blocks} blocks", paint(word, tone)));
    lines.extend(findings.iter().map(|f| format!("         {}", paint(&one_line(f), Tone::Bad))));
    if let Some((index, since)) = unwitnessed {
        let what = format!("UNWITNESSED since {since} (entry {index}): too few witnesses vouch for it");
        lines.push(format!("         {}", paint(&what, Tone::Bad)));
    }
    for (name, Archived { size, root: _, index }) in archives {
        lines.push(format!("archive  {name} holds {size} of {entries} entries (sealed by entry {index})"));
    }
    let running = running.iter().map(|(_, begin, index)| one_line(&format!("entry {index}: {}", begin.summary)));
    section(&mut lines, "running", running.collect());
    section(&mut lines, "waiting", waiting.iter().map(waiting_text).collect());
    section(&mut lines, "frozen", frozen.iter().map(|f| format!("{}; {}", frozen_line(f), unfreeze(f))).collect());
    section(&mut lines, "waived", waived.iter().map(|w| waived_line(w)).collect());
    let met = objectives.iter().filter(|o| is_met(o, *now)).count();
    lines.push(format!("{:<8} {} objectives, {met} with budget left when last measured", "budgets", objectives.len()));
    let others = objectives.iter().filter(|o| !is_met(o, *now));
    lines.extend(others.map(|o| format!("         {}", objective_line(o, *now))));
    section(&mut lines, "plans", plans.iter().map(|(_, plan)| plan_line(plan)).collect());
    section(&mut lines, "owed", owed.iter().map(owed_line).collect());
    lines.join("\n")
}

/// A section: how many there are, and each of them.
fn section(lines: &mut Vec<String>, name: &str, items: Vec<String>) {
    lines.push(format!("{name:<8} {}", items.len()));
    lines.extend(items.iter().flat_map(|item| item.lines()).map(|line| format!("         {line}")));
}

pub(super) fn charter_line(charter: Option<&InForce>, now: UnixSeconds) -> String {
    let Some(c) = charter else { return paint("none in force", Tone::Doubt) };
    let (name, since, end) = (&c.object.name, c.since, c.expires_at);
    match c.lifetime(now) {
        Lifetime::Long => format!("{name} in force since entry {since}, until {end}"),
        Lifetime::EndsSoon => {
            let word = paint("expires soon", Tone::Doubt);
            format!("{name} in force since entry {since}, {word}: {end}; run: miax charter next -f FILE")
        }
        Lifetime::Ended => {
            let word = paint("EXPIRED", Tone::Bad);
            format!("{name} {word} at {end}, nothing is allowed; run: miax charter next -f FILE")
        }
    }
}

fn waiting_text(waiting: &Waiting<'_>) -> String {
    let Waiting { digest, decision, index, vetoed } = waiting;
    let summary = decision.summary.as_deref().unwrap_or_default();
    let mut lines = vec![one_line(&format!("{} ({summary}, entry {index}, {digest})", decision.object))];
    if let Some(Standing { organ, index, decision, .. }) = vetoed {
        lines.push(paint(&format!("  VETOED by {organ} (entry {index}, {decision})"), Tone::Bad));
    }
    lines.extend(decision.seats.iter().map(|seat| plain(&seat_line(seat))));
    lines.extend(obstacles(&decision.findings).map(|f| paint(&format!("  {}", one_line(&f.message)), Tone::Bad)));
    lines.extend(decision.advice.iter().map(|a| paint(&format!("  {}", one_line(&a.line())), Tone::Doubt)));
    lines.push(format!("  run: {}", waiting.next()));
    lines.join("\n")
}

/// What stands in the way beside empty seats.
pub(super) fn obstacles(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|f| !matches!(f.reason, Reason::Held | Reason::SeatsMissing))
}

pub(super) fn frozen_line(frozen: &Frozen<'_>) -> String {
    let Frozen { namespace, freeze, turns, holds: _, overridden } = frozen;
    let Freeze { standing, calendar, way_out: _, rests_until } = freeze;
    let Standing { decision, index, organ, until } = standing;
    let end = until.map_or_else(|| "it is thawed".to_owned(), |until| until.to_string());
    let over = overridden.map(|(entry, until)| {
        let until = until.map(|u| format!(" until {u}")).unwrap_or_default();
        paint(&format!(", OVERRIDDEN{until} by entry {entry}: nothing is stopped"), Tone::Doubt)
    });
    let rests = rests_until.map(|until| paint(&format!(", RESTS until {until}"), Tone::Doubt)).unwrap_or_default();
    let windows = calendar.as_ref().map(|windows| format!(" in {windows}{}", window(*turns, frozen.holds)));
    let (windows, over) = (windows.unwrap_or_default(), over.unwrap_or_default());
    one_line(&format!("{namespace} by {organ}{windows} until {end} (entry {index}, {decision})")) + &rests + &over
}

/// What of its windows is next.
fn window(turns: Option<UnixSeconds>, holds: bool) -> String {
    match (turns, holds) {
        (Some(at), true) => format!(", this window until {at}"),
        (Some(at), false) => format!(", the next from {at}"),
        (None, _) => String::new(),
    }
}

fn unfreeze(frozen: &Frozen<'_>) -> String {
    let namespace = frozen.namespace;
    match frozen.freeze.calendar {
        None => format!("run: miax draft thaw -n {namespace}"),
        Some(_) => format!("run: miax draft thaw -n {namespace} --freeze {}", frozen.freeze.standing.decision),
    }
}

fn waived_line(waiver: &Waiver) -> String {
    let Waiver { rule, target, until, index } = waiver;
    one_line(&format!("{rule} for {target} until {until} (entry {index})"))
}

fn is_met(objective: &Objective, now: UnixSeconds) -> bool {
    now < objective.expires_at
        && objective.verdict.is_some_and(|m| m.verdict == BudgetVerdict::Met && m.spent_since().is_none())
}

/// An objective and what the ledger knows of its budget.
pub(super) fn objective_line(objective: &Objective, now: UnixSeconds) -> String {
    let Objective { object, summary, expires_at, verdict, .. } = objective;
    let known = match verdict {
        _ if *expires_at <= now => paint(&format!("EXPIRED at {expires_at}; sign its next version"), Tone::Bad),
        None => paint("not measured yet", Tone::Doubt),
        Some(measured) => {
            let Measured { verdict, since, spent: _, index } = measured;
            match (measured.spent_since(), verdict) {
                (Some(since), _) => paint(&format!("budget SPENT since {since} (entry {index})"), Tone::Bad),
                (None, BudgetVerdict::Met | BudgetVerdict::Exhausted) => {
                    format!("budget left since {since} (entry {index})")
                }
                (None, BudgetVerdict::Unknown) => {
                    paint(&format!("nobody can tell how much is left since {since} (entry {index})"), Tone::Doubt)
                }
            }
        }
    };
    format!("{}: {known}", one_line(&format!("{object} ({summary})")))
}

fn plan_line(plan: &Plan) -> String {
    let Plan { mitigation, left, index } = plan;
    let Mitigation { slo, objective: _, target, template, uses, until } = mitigation;
    one_line(&format!("{target} to {template} for {slo}, {left} of {uses} uses left until {until} (entry {index})"))
}

/// Something that is owed, and how to end it.
pub(super) fn owed_line(owed: &Due<'_>) -> String {
    let Due { what, digest: _, object, summary, since, due, overdue, next } = owed;
    let when = match (due, overdue) {
        (Some(due), true) => paint(&format!("OVERDUE since {due}"), Tone::Bad),
        (Some(due), false) => format!("due at {due}"),
        (None, _) => paint("DUE", Tone::Bad),
    };
    let of = match object {
        Some(object) => format!(" of {object} ({summary}, entry {since})"),
        None => format!(" ({summary}, entry {since})"),
    };
    format!("{what}{}, {when}; run: {next}", one_line(&of))
}
