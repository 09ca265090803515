//! Counts of floods against what the refused were told: the annotation `folded` of the API server's audit log.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cli::files::read_text;
use crate::cli::output::Failure;
use crate::cli::source::Verified;
use crate::constitution::{Event, FloodEvent};
use crate::ledger::{Check, Finding, FindingClass, Folded, root_of};
use crate::store::{Recorded, refusal_leaf};
use crate::units::{Digest, LogIndex};

/// The hashes that were told of one window, by position.
type Window = BTreeMap<u64, Digest>;

/// Compares the floods of a ledger with a file that has a line `WINDOW/POSITION HASH` for each refusal that was folded, and
/// adds what does not agree to the report.
pub(super) fn compare(ledger: &mut Verified, path: &Path) -> Result<(), Failure> {
    let findings = check(path, &ledger.entries)?;
    ledger.report.findings.extend(findings);
    Ok(())
}

fn check(path: &Path, entries: &[Recorded]) -> Result<Vec<Finding>, Failure> {
    let place = path.display().to_string();
    let mut windows = read(&read_text(path)?, &place)?;
    let mut findings = Vec::new();
    let finding =
        |class, entry, message: String| Finding::new(Check::FloodCounts, class, place.clone(), entry, message);
    for Recorded { index, time: _, writer: _, event } in entries {
        let Event::Flood(flood) = event else { continue };
        let Some((hash, _)) = refusal_leaf(&flood.sample) else { continue };
        let (window, _) = hash.0.as_chunks::<8>();
        let told = window.first().and_then(|window| windows.remove(window));
        if let Some((class, message)) = told.and_then(|told| disagreement(flood, &told)) {
            findings.push(finding(class, Some(*index), message));
        }
    }
    for (window, told) in windows {
        let message = format!(
            "no entry counts the window {} with {} refusals: its writer died, or the ledger ends before it",
            crate::units::hex(&window),
            told.len()
        );
        findings.push(finding(FindingClass::Incomplete, None::<LogIndex>, message));
    }
    Ok(findings)
}

fn read(text: &str, place: &str) -> Result<BTreeMap<[u8; 8], Window>, Failure> {
    let mut windows: BTreeMap<[u8; 8], Window> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let Folded { window, position, hash } = line.trim().parse().map_err(|e| {
            Failure::new(format!("{place}: line {number}: {e}"))
                .with_next("take the annotation governed.miax.dev/folded out of the audit log, one a line")
        })?;
        let before = windows.entry(window).or_default().insert(position, hash);
        if before.is_some_and(|before| before != hash) {
            return Err(Failure::new(format!("{place}: line {number}: position {position} was told twice")));
        }
    }
    Ok(windows)
}

/// What does not agree, if anything.
fn disagreement(flood: &FloodEvent, told: &Window) -> Option<(FindingClass, String)> {
    let (count, known) = (flood.count, u64::try_from(told.len()).unwrap_or(u64::MAX));
    match told.last_key_value() {
        Some((last, _)) if *last >= count => {
            let told = last.saturating_add(1);
            Some((
                FindingClass::Tampered,
                format!("it counts {count} refusals, but {told} were told that they are in it"),
            ))
        }
        _ if known < count => {
            Some((FindingClass::Incomplete, format!("it counts {count} refusals, of which {known} are in the file")))
        }
        _ if root_of(told.values().copied()) != flood.root => {
            Some((FindingClass::Tampered, "its root is not the one over the refusals in the file".to_owned()))
        }
        _ => None,
    }
}
