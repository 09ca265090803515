//! The auditor: reads the whole ledger from the API server on a schedule, hashes every byte of it again, and compares it with
//! the checkpoint and with what this replica remembers. Every replica audits for itself: whoever allows must have looked.
//!
//! What it finds breaks the ledger off, and nothing is allowed any more. While the ledger is broken it looks more often: when
//! every byte is there again, the replica goes on, and the leading controller writes the entry `recover`.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::api::reason::Reason;
use crate::constitution::{Proposal, RecoverEvent, TargetFact};
use crate::ledger::{
    BlockParts, Check, Checkpoint, Finding, FindingClass, Lineage, LogKeys, LogTrust, Report, SignedCheckpoint,
    Verifier, parse_block_name,
};
use crate::store::{
    Anchor, Clock, ConfigMapStore, Health, Ledger, ReadError, StoreEvent, View, read_anchor, read_entries,
};
use crate::telemetry::{AuditResult, Metrics};
use crate::units::UnixSeconds;

use super::Context;

/// First and longest pause between two looks at a broken ledger: somebody may be repairing it.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long the sequencer may take to take a good audit in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Audits the ledger of a process.
pub struct Auditor {
    /// The client of the process.
    pub client: Client,
    /// Which log it is, and whose key vouches for it.
    pub trust: LogTrust,
    /// What this replica knows.
    pub ledger: Ledger,
    /// Where the sequencer learns what an audit found.
    pub findings: mpsc::Sender<StoreEvent>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// The wall clock.
    pub clock: Clock,
    /// How often everything is hashed again.
    pub period: Duration,
    /// With it this is the leading controller, who tells others and writes the entry.
    pub leading: Option<Arc<Context>>,
}

/// What was wrong, and since when.
struct Trouble {
    what: String,
    since: UnixSeconds,
}

/// What lay in the store and beside it.
struct Material {
    blocks: Vec<(String, Result<BlockParts, ReadError>)>,
    anchor: Anchor,
    remembered: Option<Checkpoint>,
    /// The log's keys, as this replica has read them.
    keys: LogKeys,
}

/// Audits for ever.
pub async fn audit(auditor: Auditor) {
    let mut views = auditor.ledger.changes();
    let mut trouble: Option<Trouble> = None;
    let mut pause = FIRST_LOOK;
    loop {
        let period = if trouble.is_some() { pause } else { auditor.period };
        pause = if trouble.is_some() { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_LOOK };
        // A ledger that breaks is looked at when it does; one that is broken, after a while.
        let is_new = trouble.is_none();
        let _ = timeout(period, views.wait_for(|view| is_new && matches!(view.health, Health::Broken(_)))).await;
        let view = auditor.ledger.view();
        if let (Health::Broken(what), None) = (&view.health, &trouble) {
            let since = (auditor.clock)().into();
            auditor.tell(EventType::Warning, Reason::LedgerBroken, what).await;
            trouble = Some(Trouble { what: what.clone(), since });
        }
        if view.health == Health::Starting {
            continue;
        }
        match auditor.look(&view).await {
            Ok(report) => {
                auditor.take(&report);
                if report.is_whole() && trouble.is_some() && auditor.is_whole_again().await {
                    auditor.recover(&mut trouble, &report).await;
                }
            }
            Err(error) => {
                auditor.metrics.audited(AuditResult::Unreadable, (auditor.clock)().into());
                tracing::warn!(%error, "the ledger cannot be read for an audit");
            }
        }
    }
}

impl Auditor {
    /// Reads everything, hashes it, and tells the sequencer what came of it.
    async fn look(&self, view: &View) -> Result<Report, ReadError> {
        let gone = |_| ReadError::Unavailable("this replica is stopping".to_owned());
        self.findings.send(StoreEvent::AuditBegins).await.map_err(gone)?;
        // What is remembered was there before; what the checkpoint says, too: all of it must be in the list that follows.
        let remembered =
            Checkpoint { origin: self.trust.origin.clone(), size: view.head.next_index().0, root: view.head.root() };
        let anchor = read_anchor(self.client.clone()).await?.unwrap_or_default();
        let blocks = ConfigMapStore::new(self.client.clone()).list().await?;
        let (remembered, keys) = (Some(remembered).filter(|c| c.size > 0), view.head.log_keys().clone());
        let material = Material { blocks, anchor, remembered, keys };
        let trust = self.trust.clone();
        // Hashing 64 MiB takes about a second; nobody else of this process should wait for it.
        let hashed = tokio::task::spawn_blocking(move || examine(trust, material)).await;
        let (report, blocks) = hashed.map_err(|e| ReadError::Unavailable(e.to_string()))?;
        let told = match report.findings.first() {
            None => StoreEvent::Audited(Arc::new(blocks)),
            Some(Finding { object, message, .. }) => StoreEvent::AuditFailed(format!("`{object}`: {message}")),
        };
        self.findings.send(told).await.map_err(gone)?;
        Ok(report)
    }

    /// Counts and tells what was found.
    fn take(&self, report: &Report) {
        let now = (self.clock)().into();
        for Finding { check, class, object, entry, message } in &report.findings {
            let (check, class) = (check.map(Check::as_str), class.as_str());
            let entry = entry.map(|e| e.0);
            tracing::error!(check, class, object, entry, message, "the audit of the ledger found something wrong");
        }
        let result = FindingClass::worst(&report.findings).map_or(AuditResult::Good, AuditResult::Found);
        self.metrics.audited(result, now);
    }

    /// Whether the sequencer has taken the ledger up again.
    async fn is_whole_again(&self) -> bool {
        let mut views = self.ledger.changes();
        let whole = views.wait_for(|view| view.health == Health::Whole);
        timeout(PATIENCE, whole).await.is_ok_and(|seen| seen.is_ok())
    }

    /// Writes that the ledger was broken, and is whole again. What could not be written is tried again.
    async fn recover(&self, trouble: &mut Option<Trouble>, report: &Report) {
        let Some(Trouble { what, since }) = trouble.take() else { return };
        let Some(context) = &self.leading else { return };
        let now = (self.clock)().into();
        let event = RecoverEvent { what: what.clone(), since, size: report.entries, root: report.root, now };
        match context.ledger.append(Proposal::Recover(event), context.facts(TargetFact::NotNamed)).await {
            Ok(_) => {
                self.tell(EventType::Normal, Reason::LedgerWhole, &format!("it was broken since {since}: {what}"))
                    .await;
            }
            Err(error) => {
                tracing::warn!(%error, "that the ledger is whole again is not written yet");
                *trouble = Some(Trouble { what, since });
            }
        }
    }

    /// An Event for whoever watches; never an authority, and nothing waits for it.
    async fn tell(&self, type_: EventType, reason: Reason, note: &str) {
        let Some(context) = &self.leading else { return };
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            name: Some(CHECKPOINT_CONFIG_MAP.to_owned()),
            ..ObjectReference::default()
        };
        let note = note.get(..note.floor_char_boundary(super::events::LONGEST_NOTE)).map(str::to_owned);
        let event = Event { type_, reason: reason.to_string(), note, action: "Audit".to_owned(), secondary: None };
        let sent = timeout(PATIENCE, context.events.publish(&event, &about)).await;
        if !sent.is_ok_and(|sent| sent.is_ok()) {
            tracing::warn!(reason = %reason, "an Event about the ledger was not written");
        }
    }
}

/// Hashes everything; gives the blocks back when they are right.
fn examine(trust: LogTrust, material: Material) -> (Report, Vec<BlockParts>) {
    let Material { blocks, anchor, remembered, keys } = material;
    let mut checkpoints = Vec::new();
    let mut wrong = Vec::new();
    if !anchor.checkpoint.is_empty() {
        match SignedCheckpoint::open_with(&anchor.checkpoint, &keys) {
            Ok(signed) => checkpoints.push((signed.checkpoint().clone(), "the checkpoint".to_owned())),
            Err(error) => {
                let (check, class) = (Check::CheckpointSignatures, FindingClass::Tampered);
                wrong.push(Finding::new(check, class, CHECKPOINT_CONFIG_MAP, None, error.to_string()));
            }
        }
    }
    checkpoints.extend(remembered.map(|checkpoint| (checkpoint, "the memory of this replica".to_owned())));
    let lineage = Lineage::claimed(blocks.iter().filter_map(|(name, _)| parse_block_name(name)));
    let mut verifier = Verifier::new(trust, checkpoints);
    let mut right = Vec::new();
    for (name, parts) in blocks {
        match parts {
            // What was lost when a later epoch was opened is no part of the ledger.
            Ok(_) | Err(_) if parse_block_name(&name).is_none_or(|(epoch, number)| !lineage.holds(epoch, number)) => {}
            Ok(parts) => {
                let read = verifier.block(&name, &parts).map(|block| read_entries(&block));
                if let Some(Err(error)) = read {
                    let (check, class) = match error.is_unsupported() {
                        true => (Check::UnknownForms, FindingClass::Unsupported),
                        false => (Check::EntryForm, FindingClass::Tampered),
                    };
                    wrong.push(Finding::new(check, class, name, Some(error.index()), error.to_string()));
                }
                right.push(parts);
            }
            Err(error) => verifier.unreadable(&name, error.to_string()),
        }
    }
    let mut report = verifier.finish();
    report.findings.extend(wrong);
    report.findings.iter_mut().for_each(Finding::of_the_log_itself);
    (report, right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Head, KeyChange, Writer, block_name};
    use crate::trust::NoteSigner;
    use crate::units::{BlockNumber, LogIndex, UnixMillis};

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn key() -> NoteSigner {
        NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
    }

    fn trust() -> LogTrust {
        LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key: key().verifier() }
    }

    /// A ledger of four blocks as it lies in the store, with its checkpoint, and with what a replica remembers.
    fn material() -> Material {
        let writer = Writer::try_new(ORIGIN, &key(), "w", &[2; 32], UnixMillis(1 << 40)).expect("writer");
        let (mut head, mut blocks) = (Head::genesis(trust()), Vec::new());
        for number in 0..4 {
            let introduction = writer.introduce(UnixMillis(number)).expect("entry");
            let parts = head.propose(&[introduction], &writer, UnixMillis(number), UnixMillis(number)).expect("block");
            blocks.push((block_name(0, head.next_block()), Ok(parts.clone())));
            head.fold(&parts).expect("folds");
        }
        let end = Checkpoint { origin: ORIGIN.to_owned(), size: head.next_index().0, root: head.root() };
        let checkpoint = end.sign(&key()).expect("signs");
        let (origin, key) = (ORIGIN.to_owned(), trust().key.to_string());
        let anchor = Anchor { origin, key, checkpoint, ..Anchor::default() };
        Material { blocks, anchor, remembered: Some(end), keys: head.log_keys().clone() }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Material), check: Check, class: FindingClass, part: &str) {
        let mut material = material();
        change(&mut material);
        let (report, _) = examine(trust(), material);
        let found = report.findings.first().expect("something is wrong");
        assert_eq!((found.check, found.class), (Some(check), class), "{}", found.message);
        assert!(found.message.contains(part), "{}", found.message);
    }

    #[test]
    fn a_whole_ledger_is_found_whole_and_given_back() {
        let (report, blocks) = examine(trust(), material());
        assert!(report.is_whole() && blocks.len() == 4, "{report:?}");
        // Whoever puts a block of another epoch there opens none; but it is seen.
        let mut claimed = material();
        claimed.blocks.push((block_name(1, BlockNumber(4)), Err(ReadError::Unavailable("x".to_owned()))));
        assert!(!examine(trust(), claimed).0.is_whole());
    }

    #[test]
    fn every_way_to_touch_the_ledger_is_named() {
        use FindingClass::{Tampered, Unsupported};
        check(|m| drop(m.blocks.remove(1)), Check::DenseBlocks, Tampered, "the block is missing");
        let swap = |m: &mut Material| {
            let (a, b) = (m.blocks[1].1.clone(), m.blocks[2].1.clone());
            (m.blocks[1].1, m.blocks[2].1) = (b, a);
        };
        check(swap, Check::DenseBlocks, Tampered, "block 2 stands where block 1 should");
        let edit = |m: &mut Material| {
            if let Ok(parts) = &mut m.blocks[2].1 {
                parts.edge[0] ^= 1;
            }
        };
        check(edit, Check::TreeRoot, Tampered, "the edge of the tree was changed");
        check(|m| drop(m.blocks.pop()), Check::LargestKnownSize, Tampered, "vouches for 4 entries, but only 3");
        let unreadable = |m: &mut Material| {
            m.blocks[0].1 = Err(ReadError::NotABlock { name: "x".to_owned(), what: "data.seal is missing" });
        };
        check(unreadable, Check::DenseBlocks, Tampered, "data.seal is missing");
        let stranger = |m: &mut Material| m.anchor.checkpoint = m.anchor.checkpoint.replace("\n4\n", "\n5\n");
        check(stranger, Check::CheckpointSignatures, Tampered, "does not verify");
        let newer = |m: &mut Material| {
            if let Ok(parts) = &mut m.blocks[3].1 {
                parts.header = parts.header.replace("\"v\":1,", "\"v\":2,");
            }
        };
        check(newer, Check::UnknownForms, Unsupported, "use a newer one");
    }

    #[test]
    fn a_ledger_that_was_set_back_with_its_checkpoint_is_known_by_memory() {
        let set_back = |m: &mut Material| {
            m.blocks.truncate(2);
            m.anchor.checkpoint = String::new();
        };
        check(set_back, Check::LargestKnownSize, FindingClass::Tampered, "the memory of this replica vouches for 4");
    }

    #[test]
    fn the_checkpoint_is_opened_with_the_keys_that_vouch_now() {
        let (old, new) = (key(), NoteSigner::try_new(ORIGIN, &[3; 32]).expect("name"));
        let mut keys = LogKeys::new(ORIGIN, old.verifier());
        for (index, change) in [(1, KeyChange::Add(new.verifier())), (2, KeyChange::Retire(old.verifier()))] {
            let text = change.text(ORIGIN);
            let lines: String = [&old, &new].map(|key| key.line(&text).expect("signs")).concat();
            keys.apply(LogIndex(index), &change, &format!("{text}\n{lines}")).expect("taken in");
        }
        let signed_by = |signer: &NoteSigner| {
            let mut material = material();
            let end = material.remembered.clone().expect("an end");
            (material.anchor.checkpoint, material.keys) = (end.sign(signer).expect("signs"), keys.clone());
            examine(trust(), material).0
        };
        assert!(signed_by(&new).is_whole());
        let found = signed_by(&old).findings.first().map(|f| f.check);
        assert_eq!(found, Some(Some(Check::CheckpointSignatures)), "the first key vouches for nothing more");
    }

    #[test]
    fn an_entry_of_another_kind_is_not_skipped() {
        let mut material = material();
        let writer = Writer::try_new(ORIGIN, &key(), "w", &[2; 32], UnixMillis(1 << 40)).expect("writer");
        let mut head = Head::genesis(trust());
        material.blocks.iter().for_each(|(_, parts)| drop(head.fold(parts.as_ref().expect("a block")).expect("folds")));
        let fields = serde_json::Map::new();
        let entry = Entry { kind: "tomorrow".to_owned(), time: UnixMillis(9), writer: "w".to_owned(), fields };
        let entries = [entry.encode().expect("entry")];
        let parts = head.propose(&entries, &writer, UnixMillis(9), UnixMillis(9)).expect("block");
        material.blocks.push((block_name(0, BlockNumber(4)), Ok(parts)));
        let (report, _) = examine(trust(), material);
        assert_eq!(
            report.findings.first().map(|f| (f.class, f.entry.map(|e| e.0))),
            Some((FindingClass::Unsupported, Some(4)))
        );
    }
}
