//! The seats that the charter's rules demand.

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::trust::VerifiedSignature;

use super::super::charter::{Charter, Rule};
use super::super::count::{Quorum, Vacancy, count};
use super::super::decision::{Finding, NextStep, SeatView};
use super::super::document::Document;

/// What counting under all matching rules gave.
#[derive(Debug, Default)]
pub(in super::super) struct Counted {
    /// Every reason against.
    pub(in super::super) findings: Vec<Finding>,
    /// The seats of all rules.
    pub(in super::super) seats: Vec<SeatView>,
}

/// Counts under every rule; all must be satisfied.
pub(in super::super) fn quorum(
    document: &Document,
    rules: &[&Rule],
    charter: &Charter,
    signatures: &[VerifiedSignature],
) -> Counted {
    let mut counted = Counted::default();
    for rule in rules {
        let Quorum { findings, vacancies, seats } = count(rule, charter, signatures);
        let wrong = !findings.is_empty();
        counted.findings.extend(findings.into_iter().map(|f| advise(f, document, rule)));
        // With a finding nothing was counted; "seats are missing" would only hide it.
        if !wrong && !vacancies.is_empty() {
            counted.findings.push(seats_missing(document, rule, &vacancies));
        }
        counted.seats.extend(seats);
    }
    counted.findings.dedup();
    counted
}

fn advise(finding: Finding, document: &Document, rule: &Rule) -> Finding {
    let next = match finding.reason {
        Reason::AuthorMissing => {
            rule.authors.first().map(|seat| NextStep::Run(format!("miax sign -f {} --seat {seat}", file(document))))
        }
        _ => finding.next,
    };
    Finding { rule: Some(rule.citation()), next, ..finding }
}

/// The file that the author most likely keeps the document in; only for the suggested command line.
fn file(document: &Document) -> String {
    match document.kind {
        GovernedKind::ControlCommand | GovernedKind::Manifest | GovernedKind::Slo => {
            format!("{}.yaml", document.object.name)
        }
    }
}

fn seats_missing(document: &Document, rule: &Rule, vacancies: &[Vacancy]) -> Finding {
    let needs: Vec<String> = vacancies.iter().map(need).collect();
    let next = vacancies
        .first()
        .and_then(|v| v.seats.first())
        .map(|seat| NextStep::Run(format!("miax approve -f {} --seat {seat}", file(document))));
    Finding {
        reason: Reason::SeatsMissing,
        message: format!("needs {}", needs.join(" and ")),
        rule: Some(rule.citation()),
        next,
    }
}

fn need(vacancy: &Vacancy) -> String {
    let Vacancy { seats, missing, open_to } = vacancy;
    let who = if open_to.is_empty() { "nobody left who could sign".to_owned() } else { open_to.join(", ") };
    format!("{} ({missing} of: {who})", seats.join(" or "))
}
