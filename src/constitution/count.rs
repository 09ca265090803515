//! The one counting function. Webhook, executor, CLI and lint call it; nothing else counts signatures (R1).
//!
//! It counts principals, never keys or list entries; one principal fills one seat; the author fills none; the order of
//! signatures never matters. What does not fit refuses, it is never skipped.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::reason::Reason;
use crate::trust::{Verb, VerifiedSignature};

use super::charter::{Amount, Charter, Delegation, FilledBy, PrincipalKind, Requirement, Rule, is_hardware};
use super::decision::{Finding, SeatView};

/// The result of counting the signatures of one document under one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    /// Why the signatures cannot count at all; empty when they can.
    pub findings: Vec<Finding>,
    /// Requirements that are not met yet.
    pub vacancies: Vec<Vacancy>,
    /// Every requirement with who fills it.
    pub seats: Vec<SeatView>,
}

/// A requirement that is not met yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vacancy {
    /// The organs whose holders may fill it.
    pub seats: Vec<String>,
    /// How many more it needs.
    pub missing: u32,
    /// Who could fill it.
    pub open_to: Vec<String>,
}

impl Quorum {
    /// Whether the rule is satisfied: nothing wrong, nothing missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.findings.is_empty() && self.vacancies.is_empty()
    }
}

/// Counts `signatures` under `rule` of `charter`.
#[must_use]
pub fn count(rule: &Rule, charter: &Charter, signatures: &[VerifiedSignature]) -> Quorum {
    let mut findings = duplicates(signatures);
    findings.extend(seats_not_held(charter, signatures));
    let author = check_author(rule, signatures, &mut findings);
    findings.extend(objections(rule, signatures));
    let approvals = approvals(signatures);
    if let Some(author) = author
        && approvals.contains_key(author)
    {
        findings.push(finding(Reason::AuthorApproves, format!("`{author}` wrote this and cannot approve it too")));
    }
    // Only what can count is shown as filled: with a finding the document is refused whatever the seats say.
    let countable = if findings.is_empty() { approvals } else { BTreeMap::new() };
    let filled = assign(rule, charter, &countable);
    let (seats, vacancies) = describe(rule, charter, &countable, &filled, author);
    Quorum { findings, vacancies, seats }
}

/// Approvals that stand, by principal.
type Approvals<'a> = BTreeMap<&'a str, Approval<'a>>;

/// For which seat somebody approves, and with what kind of key.
#[derive(Clone, Copy)]
struct Approval<'a> {
    seat: &'a str,
    hardware: bool,
}

fn finding(reason: Reason, message: String) -> Finding {
    Finding { reason, message, rule: None, next: None }
}

/// R4: a principal says each thing once, and approves for one seat.
fn duplicates(signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let mut seen: BTreeMap<(&str, Verb), Vec<&str>> = BTreeMap::new();
    for s in signatures {
        seen.entry((s.principal(), s.verb())).or_default().push(s.seat());
    }
    let many = seen.into_iter().filter(|((_, verb), seats)| *verb != Verb::Withdraw && seats.len() > 1);
    many.map(|((principal, verb), mut seats)| {
        seats.sort_unstable();
        let message =
            format!("`{principal}` signed `{}` for {}; one person fills one seat", verb.as_str(), seats.join(" and "));
        finding(Reason::DuplicatePrincipal, message)
    })
    .collect()
}

fn seats_not_held(charter: &Charter, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let wrong: BTreeSet<(&str, &str)> = signatures
        .iter()
        .map(|s| (s.principal(), s.seat()))
        .filter(|(principal, seat)| !charter.holds(principal, seat))
        .collect();
    wrong
        .into_iter()
        .map(|(principal, seat)| {
            let delegated: Vec<String> = charter.delegated(principal, seat).map(narrowly).collect();
            let message = format!("`{principal}` does not hold the seat {seat}{}", delegated.concat());
            finding(Reason::SeatNotHeld, message)
        })
        .collect()
}

/// What a delegation is for, where somebody took it for more.
fn narrowly(delegation: &Delegation) -> String {
    let Delegation { from: _, to: _, actions, namespaces, until } = delegation;
    let words = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
    format!("; it is delegated only for {} in {} until {until}", words(actions), words(namespaces))
}

/// Exactly one author, of an organ that may originate this. `None` when there is not exactly one.
fn check_author<'a>(rule: &Rule, signatures: &'a [VerifiedSignature], findings: &mut Vec<Finding>) -> Option<&'a str> {
    let mut authors = signatures.iter().filter(|s| s.verb() == Verb::Author);
    let (first, second) = (authors.next(), authors.next());
    let organs = || rule.authors.iter().cloned().collect::<Vec<_>>().join(" or ");
    match (first, second) {
        (None, _) => {
            let message = format!("nobody signed as the author; {} may author this", organs());
            findings.push(finding(Reason::AuthorMissing, message));
            None
        }
        (Some(a), Some(b)) => {
            let (one, other) = (a.principal().min(b.principal()), a.principal().max(b.principal()));
            let message = format!("`{one}` and `{other}` both signed as the author; exactly one may");
            findings.push(finding(Reason::AuthorNotUnique, message));
            None
        }
        (Some(author), None) => {
            if !rule.authors.contains(author.seat()) {
                let message = format!(
                    "`{}` authored for {}, but only {} may author this",
                    author.principal(),
                    author.seat(),
                    organs()
                );
                findings.push(finding(Reason::AuthorNotEligible, message));
            }
            Some(author.principal())
        }
    }
}

/// The newest moment at which the principal withdrew what they said for the seat.
fn withdrawn_at(signatures: &[VerifiedSignature], of: &VerifiedSignature) -> Option<crate::units::UnixSeconds> {
    signatures
        .iter()
        .filter(|s| s.verb() == Verb::Withdraw && s.principal() == of.principal() && s.seat() == of.seat())
        .map(VerifiedSignature::signed_at)
        .max()
}

/// Approvals that were not withdrawn. On a tie the withdrawal wins: doubt never fills a seat.
fn approvals(signatures: &[VerifiedSignature]) -> Approvals<'_> {
    signatures
        .iter()
        .filter(|s| s.verb() == Verb::Approve)
        .filter(|s| withdrawn_at(signatures, s).is_none_or(|at| at < s.signed_at()))
        .map(|s| (s.principal(), Approval { seat: s.seat(), hardware: s.is_hardware() }))
        .collect()
}

/// The different persons who agree: the author, and whose approvals stand. Machines are none.
#[must_use]
pub(super) fn persons<'a>(charter: &Charter, signatures: &'a [VerifiedSignature]) -> BTreeSet<&'a str> {
    let authors = signatures.iter().filter(|s| s.verb() == Verb::Author).map(VerifiedSignature::principal);
    let all = authors.chain(approvals(signatures).into_keys());
    all.filter(|name| charter.principals.get(*name).is_some_and(|p| p.kind == PrincipalKind::Person)).collect()
}

/// Objections by seats that the rule requires, not withdrawn. On a tie the objection stands.
fn objections(rule: &Rule, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let mut list: Vec<_> = signatures
        .iter()
        .filter(|s| s.verb() == Verb::Object && rule.require.iter().any(|r| r.seats.contains(s.seat())))
        .filter(|s| withdrawn_at(signatures, s).is_none_or(|at| at <= s.signed_at()))
        .map(|s| (s.principal(), s.seat()))
        .collect();
    list.sort_unstable();
    list.into_iter()
        .map(|(who, seat)| {
            finding(Reason::ObjectionPresent, format!("`{who}` objects for {seat} and has not withdrawn"))
        })
        .collect()
}

/// One seat to fill, by requirement.
struct Slot<'a> {
    index: usize,
    requirement: &'a Requirement,
}

fn slots(rule: &Rule) -> Vec<Slot<'_>> {
    rule.require
        .iter()
        .enumerate()
        .flat_map(|(index, requirement)| {
            let many = match requirement.amount {
                Amount::Count(count) => count,
                Amount::Fraction { .. } => 0,
            };
            (0..many).map(move |_| Slot { index, requirement })
        })
        .collect()
}

/// Whether this approval of `principal` can fill a seat of the requirement.
fn accepts(charter: &Charter, requirement: &Requirement, principal: &str, approval: Approval<'_>) -> bool {
    let Requirement { seats, amount: _, by, hardware } = requirement;
    seats.contains(approval.seat)
        && (approval.hardware || !hardware)
        && charter.principals.get(principal).is_some_and(|p| by.accepts(p.kind))
}

/// Who fills which requirement: a largest assignment of people to seats (augmenting paths), one seat a person.
fn assign<'a>(rule: &Rule, charter: &Charter, approvals: &Approvals<'a>) -> BTreeMap<usize, BTreeSet<&'a str>> {
    let slots = slots(rule);
    let mut holder_of: Vec<Option<&'a str>> = vec![None; slots.len()];
    for (principal, approval) in approvals {
        let fits = fitting(&slots, charter, principal, *approval);
        let mut visited = BTreeSet::new();
        augment(principal, &fits, &slots, charter, approvals, &mut holder_of, &mut visited);
    }
    let mut filled: BTreeMap<usize, BTreeSet<&'a str>> = BTreeMap::new();
    for (slot, holder) in slots.iter().zip(&holder_of) {
        if let Some(principal) = holder {
            filled.entry(slot.index).or_default().insert(principal);
        }
    }
    for (i, r) in rule.require.iter().enumerate() {
        if matches!(r.amount, Amount::Fraction { .. }) {
            let share = approvals.iter().filter(|(p, approval)| accepts(charter, r, p, **approval)).map(|(p, _)| *p);
            filled.insert(i, share.collect());
        }
    }
    filled
}

/// The slots that this approval could fill.
fn fitting(slots: &[Slot<'_>], charter: &Charter, principal: &str, approval: Approval<'_>) -> Vec<usize> {
    let fits = slots.iter().enumerate().filter(|(_, s)| accepts(charter, s.requirement, principal, approval));
    fits.map(|(i, _)| i).collect()
}

/// Gives `principal` one of the slots that `fits`, moving whoever sits there to another one if that is possible.
fn augment<'a>(
    principal: &'a str,
    fits: &[usize],
    slots: &[Slot<'_>],
    charter: &Charter,
    approvals: &Approvals<'a>,
    holder_of: &mut Vec<Option<&'a str>>,
    visited: &mut BTreeSet<usize>,
) -> bool {
    for &slot in fits {
        if !visited.insert(slot) {
            continue;
        }
        let moved = match holder_of.get(slot).copied().flatten() {
            None => true,
            Some(other) => approvals.get(other).is_some_and(|approval| {
                let others = fitting(slots, charter, other, *approval);
                augment(other, &others, slots, charter, approvals, holder_of, visited)
            }),
        };
        if moved && let Some(place) = holder_of.get_mut(slot) {
            *place = Some(principal);
            return true;
        }
    }
    false
}

fn describe(
    rule: &Rule,
    charter: &Charter,
    approvals: &Approvals<'_>,
    filled: &BTreeMap<usize, BTreeSet<&str>>,
    author: Option<&str>,
) -> (Vec<SeatView>, Vec<Vacancy>) {
    let mut views = Vec::with_capacity(rule.require.len());
    let mut vacancies = Vec::new();
    for (i, requirement) in rule.require.iter().enumerate() {
        let needed = charter.needed(requirement);
        let filled_by: Vec<String> = filled.get(&i).into_iter().flatten().map(|p| (*p).to_owned()).collect();
        let have = u32::try_from(filled_by.len()).unwrap_or(u32::MAX);
        let missing = needed.saturating_sub(have);
        let open_to = if missing == 0 { Vec::new() } else { open_to(requirement, charter, approvals, author) };
        if missing > 0 {
            let seats = requirement.seats.iter().cloned().collect();
            vacancies.push(Vacancy { seats, missing, open_to: open_to.clone() });
        }
        let hardware = if requirement.hardware { " (hardware key)" } else { "" };
        let seat = requirement.seats.iter().cloned().collect::<Vec<_>>().join(" + ") + hardware;
        views.push(SeatView { seat, needed, filled_by, open_to });
    }
    (views, vacancies)
}

/// Holders who have not approved yet and are not the author.
fn open_to(
    requirement: &Requirement,
    charter: &Charter,
    approvals: &Approvals<'_>,
    author: Option<&str>,
) -> Vec<String> {
    charter
        .eligible(requirement)
        .filter(|name| Some(*name) != author && !approvals.contains_key(name))
        .map(str::to_owned)
        .collect()
}

/// Who is left, and with which keys: a principal's name, and whether a key in hardware is asked for.
pub(super) type Available<'a> = dyn Fn(&str, bool) -> bool + 'a;

/// Whether some author and some approvals of `available` principals could satisfy the rule. Lint asks this with people or keys
/// taken away; it is here because it is counting.
#[must_use]
pub(super) fn is_satisfiable(rule: &Rule, charter: &Charter, available: &Available<'_>) -> bool {
    let mut authors = charter.holders(&rule.authors, FilledBy::Any).filter(|name| available(name, false));
    authors.any(|author| can_fill(rule, charter, &|name, hardware| available(name, hardware) && name != author))
}

/// Whether `available` principals can fill all seats at once, each signing for the seat where they are needed.
fn can_fill(rule: &Rule, charter: &Charter, available: &Available<'_>) -> bool {
    let slots = slots(rule);
    let mut holder_of: BTreeMap<usize, &str> = BTreeMap::new();
    let all_filled =
        (0..slots.len()).all(|slot| place(slot, &slots, charter, available, &mut holder_of, &mut BTreeSet::new()));
    all_filled
        && rule.require.iter().all(|r| {
            let share = charter.eligible(r).filter(|name| available(name, r.hardware)).count();
            u32::try_from(share).unwrap_or(u32::MAX) >= charter.needed(r)
        })
}

fn place<'a>(
    slot: usize,
    slots: &[Slot<'_>],
    charter: &'a Charter,
    available: &Available<'_>,
    holder_of: &mut BTreeMap<usize, &'a str>,
    visited: &mut BTreeSet<&'a str>,
) -> bool {
    let Some(Slot { requirement: Requirement { seats, amount: _, by, hardware }, .. }) = slots.get(slot) else {
        return false;
    };
    for (name, principal) in &charter.principals {
        let has_key = !hardware || principal.keys.iter().any(|(_, key)| is_hardware(key));
        let fits = by.accepts(principal.kind) && !principal.seats.is_disjoint(seats) && has_key;
        if !fits || !available(name, *hardware) || !visited.insert(name) {
            continue;
        }
        let sits_at = holder_of.iter().find(|(_, who)| **who == name).map(|(at, _)| *at);
        let free = sits_at.is_none_or(|other| place(other, slots, charter, available, holder_of, visited));
        if free {
            holder_of.insert(slot, name);
            return true;
        }
    }
    false
}
