//! What a verification found, in words and as data.

use serde_json::{Value, json};

use crate::cli::output::{Answer, Tone, one_line, paint, table, tell};
use crate::cli::pruned::Began;
use crate::cli::source::Verified;
use crate::ledger::{Check, Finding, FindingClass, Outcome, Report, Scope, outcomes};

/// The exit code of a verification: 1 says that the log is not what it was, 2 that this could not be told.
pub(super) fn answer(findings: &[Finding]) -> Answer {
    answer_of(FindingClass::worst(findings))
}

/// The exit code for the worst class of what was found.
pub(super) fn answer_of(worst: Option<FindingClass>) -> Answer {
    match worst {
        None => Answer::Yes,
        Some(FindingClass::Tampered) => Answer::No,
        Some(FindingClass::Incomplete | FindingClass::Unwitnessed | FindingClass::Unsupported) => Answer::Unclear,
    }
}

/// The same in a word: the worst class, or `good`.
pub(super) fn verdict(findings: &[Finding]) -> &'static str {
    FindingClass::worst(findings).map_or("good", FindingClass::as_str)
}

/// For commands that show something: what is wrong goes to stderr.
pub(super) fn complain(report: &Report) -> Answer {
    report.findings.iter().for_each(|f| tell(&finding_line(f)));
    answer(&report.findings)
}

pub(super) fn finding_line(finding: &Finding) -> String {
    let Finding { check, class, object, entry, message } = finding;
    let entry = entry.map(|e| format!(", entry {e}")).unwrap_or_default();
    let point = check.map(|c| format!(" (V{} {})", c.point(), c.as_str())).unwrap_or_default();
    format!("{} {object}{entry}: {}{point}", paint(class.as_str(), Tone::Bad), one_line(message))
}

pub(super) fn finding_value(finding: &Finding) -> Value {
    let Finding { check, class, object, entry, message } = finding;
    let check = check.map(Check::as_str);
    json!({"check": check, "class": class.as_str(), "object": object, "entry": entry, "message": message})
}

fn check_value((check, outcome): &(Check, Outcome)) -> Value {
    let (point, name) = (check.point(), check.as_str());
    match outcome {
        Outcome::Passed { entries } => {
            json!({"point": point, "check": name, "result": "passed", "entries": entries})
        }
        Outcome::Failed(finding) => {
            json!({"point": point, "check": name, "result": "failed", "finding": finding_value(finding)})
        }
        Outcome::NotApplicable { because } => {
            json!({"point": point, "check": name, "result": "not applicable", "because": because})
        }
    }
}

/// A line for each point: what became of it.
pub(super) fn checks_text(report: &Report, scope: &Scope) -> String {
    let row = |(check, outcome): &(Check, Outcome)| {
        let result = match outcome {
            Outcome::Passed { entries } => format!("passed, over {entries} entries"),
            Outcome::Failed(Finding { class, entry: Some(entry), .. }) => {
                format!("{} at entry {entry}", class.as_str())
            }
            Outcome::Failed(Finding { class, object, entry: None, .. }) => format!("{}: {object}", class.as_str()),
            Outcome::NotApplicable { because } => format!("not applicable: {because}"),
        };
        vec![format!("V{}", check.point()), check.as_str().to_owned(), result]
    };
    table(&outcomes(report, scope).iter().map(row).collect::<Vec<_>>())
}

pub(super) fn report_value(ledger: &Verified) -> Value {
    let Verified { report, scope, trust, claims, began, .. } = ledger;
    let checks = outcomes(report, scope);
    json!({
        "verdict": verdict(&report.findings),
        "whole": report.is_whole(),
        "blocks": report.blocks,
        "entries": report.entries,
        "first": report.first,
        "snapshot": began.as_ref().map(|b| json!({"block": b.block, "entry": b.meant})),
        "root": report.root,
        "origin": trust.origin,
        "key": trust.key.to_string(),
        "checkpoint": claims.checkpoint,
        "comparedCheckpoint": report.checkpoint,
        "findings": report.findings.iter().map(finding_value).collect::<Vec<_>>(),
        "checks": checks.iter().map(check_value).collect::<Vec<_>>(),
    })
}

pub(super) fn report_text(ledger: &Verified) -> String {
    let Report { blocks, entries, first, root, checkpoint, checkpoints: _, compared: _, findings } = &ledger.report;
    let mut lines: Vec<String> = findings.iter().map(finding_line).collect();
    let word = match FindingClass::worst(findings) {
        None => paint("whole", Tone::Good),
        Some(FindingClass::Tampered) => paint("tampered", Tone::Bad),
        Some(class) => paint(&format!("could not tell, {}", class.as_str()), Tone::Doubt),
    };
    let from = match (first.0, &ledger.began) {
        (0, _) => String::new(),
        (_, Some(_)) => format!(" from entry {first} on"),
        (_, None) => format!(", those before entry {first} in an earlier run"),
    };
    lines.push(format!("{word}: {entries} entries in {blocks} blocks verify{from}, root {root}"));
    lines.push(match checkpoint {
        Some(size) => format!("a checkpoint over {size} entries was compared"),
        None => "no checkpoint was compared: a cut end would not show".to_owned(),
    });
    lines.extend(ledger.began.as_ref().map(Began::text));
    lines.join("\n")
}

pub(super) fn head_text(ledger: &Verified) -> String {
    let Verified { report, trust, claims, .. } = ledger;
    format!(
        "origin      {}\nkey         {}\nentries     {} in {} blocks\nroot        {}\ncheckpoint\n{}",
        trust.origin, trust.key, report.entries, report.blocks, report.root, claims.checkpoint
    )
}
