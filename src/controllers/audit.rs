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
use crate::ledger::{Check, Checkpoint, Finding, FindingClass, LogTrust, Report};
use crate::store::{
    Clock, ConfigMapStore, Health, HotStore as _, Ledger, ReadError, StoreEvent, View, load_snapshot, read_anchor,
};
use crate::telemetry::{AuditResult, Metrics};
use crate::units::UnixSeconds;

use super::Context;
use super::examine::{Material, examine};

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
        let store = ConfigMapStore::new(self.client.clone());
        let begin = match view.state.pruned() {
            None => None,
            Some(pruned) => {
                let bytes = load_snapshot(&store, pruned.block, &store.names().await?).await;
                Some((pruned.clone(), bytes.map_err(|e| e.to_string())))
            }
        };
        let blocks = store.list().await?;
        // What was listed may lack what has left the cluster meanwhile.
        if self.ledger.view().state.pruned() != view.state.pruned() {
            return Err(ReadError::Unavailable("the ledger was pruned while it was read; it is read again".to_owned()));
        }
        let (remembered, keys) = (Some(remembered).filter(|c| c.size > 0), view.head.log_keys().clone());
        let material = Material { blocks, anchor, remembered, keys, begin };
        let trust = self.trust.clone();
        // Hashing 64 MiB takes about a second; nobody else of this process should wait for it.
        let hashed = tokio::task::spawn_blocking(move || examine(trust, material)).await;
        let (report, first, blocks) = hashed.map_err(|e| ReadError::Unavailable(e.to_string()))?;
        let told = match report.findings.first() {
            None => StoreEvent::Audited(first, Arc::new(blocks)),
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
