//! The walk over a ledger that was read: every block is verified, every entry read, State folded.

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::constitution::{Event, State};
use crate::ledger::{
    AuditState, BlockParts, Check, Finding, FindingClass, Head, LogKeys, LogTrust, Scope, Verifier, parse_block_name,
};
use crate::store::{ReplayError, Snapshot, read_entries, replay};
use crate::trust::sha256;

use super::archived::{Vouched, check_seals, tiles_of};
use super::dump::Dump;
use super::output::Failure;
use super::pruned::{Began, snapshot_of};
use super::source::{Resolved, Trust, Verified};
use super::{embedded, witnessed};

/// How an earlier audit of the same log ended.
pub(super) struct Earlier {
    /// What it wrote.
    pub(super) text: String,
    /// Where that is.
    pub(super) place: String,
    /// Whether to go on there, and not to hash again what it has hashed.
    pub(super) go_on: bool,
}

/// Verifies and replays what was read.
pub(super) fn verify(dump: Dump, trust: &Trust) -> Result<(Verified, State), Failure> {
    walk(dump, trust, None).map(|(ledger, state, _)| (ledger, state))
}

/// The same, with the end of the chain that was verified. What an earlier audit saw must still be there; State is that of
/// the entries that were looked at.
pub(super) fn walk(dump: Dump, trust: &Trust, earlier: Option<&Earlier>) -> Result<(Verified, State, Head), Failure> {
    let claims = dump.claims.clone().unwrap_or_default();
    let log = trust.log_of(&claims)?.in_epoch(dump.lineage().epoch());
    let snapshot = snapshot_of(&dump, &log);
    if snapshot.is_some() {
        // What a snapshot says of the log's keys is worth as much as a checkpoint over what follows it, signed by keys that are
        // believed beforehand.
        let keys = trust.believed(&log)?;
        return walk_with(&dump, trust, earlier, (&log, &keys), snapshot);
    }
    let mut keys = LogKeys::new(&log.origin, log.key.clone());
    // A key that followed the first is known by the log alone: then the checkpoints are opened with what it says.
    if trust.resolve(&claims, &keys).is_ok_and(|resolved| resolved.wrong.is_none()) {
        let walked = walk_with(&dump, trust, earlier, (&log, &keys), None)?;
        if !walked.2.log_keys().is_rotated() {
            return Ok(walked);
        }
        keys = walked.2.log_keys().clone();
    } else {
        let mut head = Head::genesis(log.clone());
        let lineage = dump.lineage();
        let held = |name: &str| parse_block_name(name).is_none_or(|(epoch, number)| lineage.holds(epoch, number));
        let parts = dump.blocks.iter().filter(|(name, _)| held(name)).filter_map(|(_, parts)| parts.as_ref().ok());
        let _ = parts.map(|parts| head.fold(parts)).take_while(Result::is_ok).count();
        keys = head.log_keys().clone();
    }
    walk_with(&dump, trust, earlier, (&log, &keys), None)
}

/// Walks with keys of the log that are known beforehand: checkpoints are opened with them. A pruned ledger begins at its snapshot.
fn walk_with(
    dump: &Dump,
    trust: &Trust,
    earlier: Option<&Earlier>,
    (log, keys): (&LogTrust, &LogKeys),
    snapshot: Option<Result<Snapshot, Finding>>,
) -> Result<(Verified, State, Head), Failure> {
    let Dump { blocks, snapshots: _, claims, archived, live } = dump;
    let claims = claims.clone().unwrap_or_default();
    let quorum = trust.quorum()?;
    let Resolved { mut checkpoints, published, wrong } = trust.resolve(&claims, keys)?;
    let trust = log.clone();
    let vouched = archived.as_ref().map(|a| a.vouched(keys)).unwrap_or_default();
    let Vouched { checkpoints: kept, size: archived_size, wrong: wrong_in_archive } = vouched;
    checkpoints.extend(kept);
    let (mut begin, mut state) = (Head::genesis(trust.clone()), State::default());
    let (mut began, unreadable) = match snapshot.transpose() {
        Ok(Some(snapshot)) => {
            let began = Began::at(&snapshot);
            (begin, state) = (snapshot.head, snapshot.state);
            (Some(began), None)
        }
        Ok(None) => (None, None),
        Err(finding) => (None, Some(finding)),
    };
    let (mut replaced, mut goes_on) = (None, false);
    if let Some(Earlier { text, place, go_on }) = earlier {
        let useless = |e: &dyn std::fmt::Display| {
            Failure::new(format!("{place}: {e}"))
                .with_next("remove the file to begin anew; keep it if you did not change it")
        };
        let state = AuditState::parse(text, &trust.origin).map_err(|e| useless(&e))?;
        checkpoints.push((state.checkpoint(), format!("the last audit, in {place},")));
        // What it has seen last may have left the cluster since.
        if *go_on && began.as_ref().is_none_or(|began| state.blocks() > began.block) {
            begin = state.resume(trust.clone()).map_err(|e| useless(&e))?;
            replaced = last_replaced(blocks, &state);
            (began, goes_on) = (None, true);
        }
    }
    let (resumed, lineage) = (begin.next_block(), dump.lineage());
    let archived = archived.as_ref().filter(|_| resumed.0 == 0);
    let mut verifier = Verifier::resume(begin, checkpoints);
    let mut entries = Vec::new();
    let (mut right, mut stored) = (Vec::new(), Vec::new());
    let mut senseless = None;
    for (name, parts) in blocks {
        // What is not held was lost when a later epoch was opened: it is kept as evidence, and no part of the ledger.
        if parse_block_name(name).is_some_and(|(epoch, number)| number < resumed || !lineage.holds(epoch, number)) {
            continue;
        }
        let parts = match parts {
            Ok(parts) => parts,
            Err(what) => {
                verifier.unreadable(name, what.clone());
                continue;
            }
        };
        if let (Some(block), None) = (verifier.block(name, parts), &senseless) {
            // Where the beginning was not read, nothing can be said about what fits to it.
            let read = if goes_on { read_entries(&block) } else { replay(&block, &mut state) };
            match read {
                Ok(recorded) => {
                    entries.extend(recorded);
                    right.push(block);
                    stored.push((name.clone(), parts.clone()));
                }
                Err(error) => {
                    let (check, class) = match &error {
                        unknown if unknown.is_unsupported() => (Check::UnknownForms, FindingClass::Unsupported),
                        ReplayError::Flood { .. } => (Check::FloodCounts, FindingClass::Tampered),
                        ReplayError::Entry { .. } | ReplayError::Event { .. } | ReplayError::State(_) => {
                            (Check::EntryForm, FindingClass::Tampered)
                        }
                    };
                    senseless = Some(Finding::new(check, class, name.as_str(), Some(error.index()), error.to_string()));
                }
            }
        }
    }
    let head = verifier.head().clone();
    let keys = head.log_keys().clone();
    let mut report = verifier.finish();
    report.findings.extend(unreadable);
    report.findings.extend(senseless);
    let unmeant = began.as_mut().and_then(|began| began.find_meaning(&entries, &report, trust.epoch));
    report.findings.extend(unmeant);
    report.checkpoints += usize::from(wrong.is_some());
    report.findings.extend(replaced);
    report.findings.extend(wrong);
    report.findings.extend(wrong_in_archive);
    let sealed = entries.iter().any(|r| matches!(r.event, Event::ArchiveSeal(_)));
    // The objects of an archive are computed again from all blocks.
    if resumed.0 == 0 && (archived.is_some() || sealed) {
        let tiles = tiles_of(&stored, &right);
        report.findings.extend(archived.iter().flat_map(|a| a.check(&tiles, archived_size)));
        report.findings.extend(check_seals(&entries, &tiles));
    }
    let (documents, forged) = embedded::check(&entries);
    report.findings.extend(forged);
    let unwitnessed = quorum.as_ref().and_then(|q| witnessed::check(q, published.as_ref(), CHECKPOINT_CONFIG_MAP));
    report.findings.extend(unwitnessed);
    if *live {
        report.findings.iter_mut().for_each(Finding::of_the_log_itself);
    }
    let kinds = entries.iter().map(|r| r.event.kind()).collect();
    let (epoch, witnesses, archived) = (trust.epoch, quorum.is_some(), archived.is_some());
    let scope = Scope { epoch, witnesses, archived, copies: 0, documents, kinds };
    let ledger =
        Verified { report, scope, trust, entries, claims, blocks: right, parts: stored, published, keys, began };
    Ok((ledger, state, head))
}

/// Whether the last block that an earlier audit saw is another one now, or gone.
fn last_replaced(blocks: &[(String, Result<BlockParts, String>)], state: &AuditState) -> Option<Finding> {
    let last = state.blocks().0.checked_sub(1)?;
    let is_last = |name: &str| parse_block_name(name).is_some_and(|(_, number)| number.0 == last);
    let found = blocks.iter().find(|(name, _)| is_last(name));
    let digest = found.and_then(|(_, parts)| parts.as_ref().ok()).map(|parts| sha256(parts.header.as_bytes()));
    let same = digest == Some(state.previous());
    let message = "the last block that was audited is gone or is another one now".to_owned();
    let object = found.map_or_else(|| format!("block {last}"), |(name, _)| name.clone());
    (!same).then(|| Finding::new(Check::PreviousDigest, FindingClass::Tampered, object, None, message))
}
