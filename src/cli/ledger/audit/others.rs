//! The other copies of the log, and the checkpoints that were kept: where they part from the log that is audited.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::dump::Dump;
use crate::cli::ledger::report::verdict;
use crate::cli::output::{Failure, Tone, one_line, paint};
use crate::cli::source::{Published, Trust, Verified};
use crate::cli::walk::verify;
use crate::ledger::{
    Check, Difference, Finding, FindingClass, ForkProof, LogCopy, LogKeys, LogTrust, Statement, find_fork,
};
use crate::units::LogIndex;

/// Everything that is known of one log.
pub(super) struct Others {
    own: LogCopy,
    copies: Vec<(String, LogCopy, Vec<Finding>)>,
    kept: Vec<(String, Statement)>,
}

/// A copy after its comparison.
pub(super) struct Compared {
    place: String,
    entries: u64,
    verdict: &'static str,
    difference: Difference,
}

/// What the comparison found.
pub(super) struct Seen {
    pub(super) copies: Vec<Compared>,
    pub(super) findings: Vec<Finding>,
    pub(super) fork: Option<ForkProof>,
}

fn statement(published: &Published) -> Statement {
    let Published { note, signed } = published.clone();
    Statement { note, signed }
}

/// The blocks of a dump up to the first that does not open.
fn copy_of(dump: &Dump) -> LogCopy {
    let mut copy = LogCopy::default();
    let mut parts = dump.blocks.iter().map_while(|(_, parts)| parts.as_ref().ok());
    while parts.next().is_some_and(|parts| copy.push(parts)) {}
    copy
}

impl Others {
    /// Begins with the log that is audited, if there will be something to compare it with.
    pub(super) fn begin(dump: &Dump, wanted: bool) -> Self {
        let own = if wanted { copy_of(dump) } else { LogCopy::default() };
        Self { own, copies: Vec::new(), kept: Vec::new() }
    }

    /// Reads the copies and the checkpoints. A copy is verified by itself, with the key of the log that is audited.
    pub(super) fn read(&mut self, ledger: &Verified, against: &[PathBuf], kept: &[PathBuf]) -> Result<(), Failure> {
        let LogTrust { origin, epoch: _, key } = &ledger.trust;
        self.own.vouch_all(ledger.published.as_ref().map(statement));
        for path in against {
            let dump = Dump::read(path)?;
            let mut copy = copy_of(&dump);
            let (other, _) = verify(dump, &Trust::of_log(origin, key))?;
            copy.vouch_all(other.published.as_ref().map(statement));
            self.copies.push((path.display().to_string(), copy, other.report.findings));
        }
        for path in kept {
            let published = Published::read(path, &ledger.keys)?;
            self.kept.push((path.display().to_string(), statement(&published)));
        }
        Ok(())
    }

    /// Compares everything with everything.
    pub(super) fn compare(self, keys: &LogKeys, epoch: u16, live: bool) -> Seen {
        let Self { own, copies, kept } = self;
        let mut findings = Vec::new();
        let mut compared = Vec::new();
        for (place, copy, wrong) in &copies {
            let difference = own.compare(copy);
            let verdict = verdict(wrong);
            // What is wrong with a copy is not wrong with the log; that it is wrong must be told.
            let of_copy = |f: &Finding| Finding { object: format!("{place}: {}", f.object), check: None, ..f.clone() };
            findings.extend(wrong.iter().map(of_copy));
            findings.extend(apart(&own, copy, place, &difference));
            compared.push(Compared { place: place.clone(), entries: copy.size(), verdict, difference });
        }
        findings.extend(kept.iter().filter_map(|(place, statement)| discontinued(&own, place, statement)));
        if live {
            findings.iter_mut().for_each(Finding::of_the_log_itself);
        }
        let mut held = LogCopy::default();
        held.vouch_all(kept.into_iter().map(|(_, statement)| statement));
        let all: Vec<&LogCopy> = std::iter::once(&own).chain(copies.iter().map(|(_, c, _)| c)).chain([&held]).collect();
        Seen { copies: compared, findings, fork: find_fork(&all, keys, epoch) }
    }
}

fn apart(own: &LogCopy, copy: &LogCopy, place: &str, difference: &Difference) -> Option<Finding> {
    match difference {
        Difference::Parted { block, entry } => {
            let message = format!("block {block} is another one here; the two have not the same history from there on");
            let (check, class) = (Check::CheckpointConsistency, FindingClass::Tampered);
            Some(Finding::new(check, class, place, Some(*entry), message))
        }
        Difference::None { .. } if copy.size() > own.size() => {
            let (more, ours) = (copy.size(), own.size());
            let message = format!("it has {more} entries, the log only {ours}: its end was cut off or it was set back");
            let (check, class) = (Check::LargestKnownSize, FindingClass::Incomplete);
            Some(Finding::new(check, class, place, Some(LogIndex(ours)), message))
        }
        Difference::None { .. } => None,
    }
}

/// What a kept checkpoint says against the log.
fn discontinued(own: &LogCopy, place: &str, Statement { note: _, signed }: &Statement) -> Option<Finding> {
    let checkpoint = signed.checkpoint();
    let (size, ours) = (checkpoint.size, own.size());
    match own.root(size) {
        Some(root) if root == checkpoint.root => None,
        Some(_) => {
            let message = format!("the first {size} entries of the log are not those that it vouches for");
            let (check, class) = (Check::CheckpointConsistency, FindingClass::Tampered);
            Some(Finding::new(check, class, place, None, message))
        }
        None => {
            let message = format!("it vouches for {size} entries, but only {ours} are here");
            let (check, class) = (Check::LargestKnownSize, FindingClass::Incomplete);
            Some(Finding::new(check, class, place, Some(LogIndex(ours)), message))
        }
    }
}

impl Compared {
    pub(super) fn value(&self) -> Value {
        let Self { place, entries, verdict, difference } = self;
        let parted = match difference {
            Difference::None { common } => json!({"common": common}),
            Difference::Parted { block, entry } => json!({"block": block, "entry": entry}),
        };
        let word = if matches!(difference, Difference::None { .. }) { "same" } else { "parted" };
        json!({"path": place, "entries": entries, "verdict": verdict, word: parted})
    }

    pub(super) fn text(&self) -> String {
        let Self { place, entries, verdict, difference } = self;
        let place = one_line(place);
        match difference {
            Difference::None { common } => {
                let word = paint("same", Tone::Good);
                format!("{word}: {place} has the first {common} entries too, of {entries}; by itself it is {verdict}")
            }
            Difference::Parted { block, entry } => {
                let word = paint("parted", Tone::Bad);
                format!("{word}: {place} has another block {block}, from entry {entry} on; by itself it is {verdict}")
            }
        }
    }
}
