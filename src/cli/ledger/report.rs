//! What a verification found, in words and as data.

use serde_json::{Value, json};

use crate::cli::output::{Answer, Tone, one_line, paint, tell};
use crate::cli::source::Verified;
use crate::ledger::{Finding, FindingClass, Report};

pub(super) fn answer(findings: &[Finding]) -> Answer {
    match findings.iter().map(|f| f.class).min() {
        None => Answer::Yes,
        Some(FindingClass::Tampered | FindingClass::Incomplete) => Answer::No,
        Some(FindingClass::Unsupported) => Answer::Unclear,
    }
}

/// For commands that show something: what is wrong goes to stderr.
pub(super) fn complain(report: &Report) -> Answer {
    report.findings.iter().for_each(|f| tell(&finding_line(f)));
    answer(&report.findings)
}

pub(super) fn finding_line(finding: &Finding) -> String {
    let Finding { class, object, entry, message } = finding;
    let entry = entry.map(|e| format!(", entry {e}")).unwrap_or_default();
    format!("{} {object}{entry}: {}", paint(class.as_str(), Tone::Bad), one_line(message))
}

pub(super) fn report_value(ledger: &Verified) -> Value {
    let Verified { report, trust, claims, .. } = ledger;
    let finding =
        |f: &Finding| json!({"class": f.class.as_str(), "object": f.object, "entry": f.entry, "message": f.message});
    json!({
        "whole": report.is_whole(),
        "blocks": report.blocks,
        "entries": report.entries,
        "root": report.root,
        "origin": trust.origin,
        "key": trust.key.to_string(),
        "checkpoint": claims.checkpoint,
        "comparedCheckpoint": report.checkpoint,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

pub(super) fn report_text(ledger: &Verified) -> String {
    let Report { blocks, entries, root, checkpoint, findings } = &ledger.report;
    let mut lines: Vec<String> = findings.iter().map(finding_line).collect();
    let (word, tone) = if findings.is_empty() { ("whole", Tone::Good) } else { ("not whole", Tone::Bad) };
    lines.push(format!("{}: {entries} entries in {blocks} blocks verify, root {root}", paint(word, tone)));
    lines.push(match checkpoint {
        Some(size) => format!("a checkpoint over {size} entries agrees"),
        None => "no checkpoint was compared: a cut end would not show".to_owned(),
    });
    lines.join("\n")
}

pub(super) fn head_text(ledger: &Verified) -> String {
    let Verified { report, trust, claims, .. } = ledger;
    format!(
        "origin      {}\nkey         {}\nentries     {} in {} blocks\nroot        {}\ncheckpoint\n{}",
        trust.origin, trust.key, report.entries, report.blocks, report.root, claims.checkpoint
    )
}
