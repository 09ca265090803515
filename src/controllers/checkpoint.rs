//! Checkpoints: the log's keys vouch for size and root of what was read back from the store, never for less than before, and
//! never for anything that contradicts what a witness holds.
//!
//! The order, and the world after a crash at each step: a checkpoint is stored (compare-and-swap) before any witness is asked,
//! so that the log never shows a witness what the next leader does not know of; cosignatures are added under it as they come.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::api::reason::Reason;
use crate::constitution::{PolicySetEvent, Proposal, TargetFact, UnwitnessedEvent};
use crate::ledger::{Checkpoint, Contradiction, Lineage, LogKeys, WitnessLag};
use crate::store::{Anchor, AppendError, ConfigMapStore, Confirmed, Health, HeldKeys, StoreEvent, View};
use crate::trust::{WitnessMode, WitnessPolicy, sha256};
use crate::units::{Seconds, UnixSeconds};

use super::Context;
use super::anchor::{AnchorStore as _, ClusterAnchor, change_anchor};
use super::published::{PublishError, Published};
use super::signing::{Signing, SigningError};
use super::witness::{CompareError, Endpoint, Heard, LeafError, Question, Witnesses};

/// How often it is looked whether the log has grown.
const PERIOD: Duration = Duration::from_secs(1);
/// For how long a larger checkpoint may only mean that this replica is behind.
const GRACE: Duration = Duration::from_secs(10);
/// An Event that takes longer is lost.
const EVENT_DEADLINE: Duration = Duration::from_secs(2);

/// Signs checkpoints into the ConfigMap `miax-checkpoint`, and has them cosigned.
pub struct CheckpointWriter {
    /// What every controller works with.
    pub context: Arc<Context>,
    /// The log's keys that this process holds: every one that vouches signs.
    pub keys: HeldKeys,
    /// The blocks, to make proofs from.
    pub store: ConfigMapStore,
    /// Which block belongs to which epoch.
    pub lineage: Lineage,
    /// Where the ledger is broken off when a witness shows that it cannot be the whole one.
    pub alarms: mpsc::Sender<StoreEvent>,
    /// The policy for witnesses, if there are any.
    pub policy: Option<WitnessPolicy>,
    /// The witnesses.
    pub endpoints: Vec<Endpoint>,
    /// Told how many entries a quorum of them vouches for, and every one of them has cosigned.
    pub covered: watch::Sender<u64>,
}

/// Why a checkpoint was not written or not cosigned.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("an entry about witnesses was not written: {0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Compare(#[from] CompareError),
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("the witnesses cannot be asked: {0}")]
    Leaves(#[from] LeafError),
    #[error("{0}")]
    Note(#[from] crate::trust::NoteError),
    #[error("{0}")]
    Publish(#[from] PublishError),
    #[error("{0}")]
    Sign(#[from] SigningError),
    #[error("too few witnesses were heard: {0} of {1}; nothing is signed before")]
    Unheard(usize, usize),
}

/// The writer with what it remembers.
struct Keeper {
    writer: CheckpointWriter,
    signing: Signing,
    published: Published<ClusterAnchor>,
    witnesses: Option<Witnesses<ConfigMapStore>>,
    /// Whether the witnesses were asked what they know, before anything is signed.
    heard: bool,
    /// Since when a checkpoint is known that is larger than this replica's ledger.
    ahead: Option<Instant>,
    /// A contradiction that the cluster does not know of yet.
    untold: Option<String>,
    lag: WitnessLag,
}

/// Writes checkpoints for ever.
pub async fn keep_checkpoints(mut writer: CheckpointWriter) {
    let endpoints = std::mem::take(&mut writer.endpoints);
    let store = || writer.store.clone();
    let witnesses =
        writer.policy.clone().map(|policy| Witnesses::new(policy, endpoints, store(), writer.lineage.clone()));
    let (signing, heard) = (Signing::new(writer.keys.clone()), witnesses.is_none());
    let lag = WitnessLag::default();
    let published = Published::new(ClusterAnchor::new(writer.context.client.clone()));
    let mut keeper = Keeper { writer, signing, published, witnesses, heard, ahead: None, untold: None, lag };
    loop {
        tokio::time::sleep(PERIOD).await;
        let view = keeper.writer.context.ledger.view();
        let kept = match view.health {
            Health::Whole => keeper.step(&view).await,
            Health::Starting => Ok(()),
            Health::Broken(_) => keeper.tell_why(&view).await,
        };
        if let Err(error) = kept {
            tracing::warn!(%error, size = view.confirmed.size, "the checkpoint is not as it should be");
        }
    }
}

impl Keeper {
    async fn step(&mut self, view: &View) -> Result<(), WriteError> {
        let now = (self.writer.context.clock)().into();
        if !self.heard && !self.hear(view, now).await? {
            return Ok(());
        }
        let Confirmed { size, root: Some(root) } = view.confirmed else { return Ok(()) };
        let checkpoint = Checkpoint { origin: view.head.trust().origin.clone(), size, root };
        let note = self.signing.sign(&checkpoint, view.head.log_keys()).await?;
        self.published.write(&checkpoint, &note, view.head.log_keys()).await?;
        let asked = self.ask(&checkpoint, &note, view, now).await;
        self.measure(view, now);
        self.record(view, now).await?;
        asked
    }

    fn question<'a>(note: &'a str, view: &View, keys: &'a LogKeys, now: UnixSeconds) -> Question<'a> {
        Question { note, end: view.confirmed, tip: view.head.next_block(), keys, now }
    }

    /// The keys by which something may contradict what is here.
    fn keys(&self, view: &View) -> LogKeys {
        self.signing.beside(view.head.log_keys(), view.head.next_index().0)
    }

    /// Compares what witnesses and cluster hold with what is here. `false`: nothing may be signed yet.
    async fn hear(&mut self, view: &View, now: UnixSeconds) -> Result<bool, WriteError> {
        let anchor = self.published.store().read().await?.0;
        let keys = self.keys(view);
        let Some(witnesses) = &mut self.witnesses else { return Ok(true) };
        let Heard { keys: count, largest, .. } = witnesses.hear(&keys).await;
        let question = Self::question("", view, &keys, now);
        let kept = Some(anchor.contradiction).filter(|note| !note.is_empty());
        for shown in largest.map(|(_, note)| note).into_iter().chain(kept.clone()) {
            if let Some(contradiction) = witnesses.compare(&shown, &question).await? {
                self.accuse(contradiction, shown).await;
                return Ok(false);
            }
        }
        self.ahead = None;
        let needed = witnesses.policy.hearing();
        if count < needed && witnesses.policy.mode == WitnessMode::Require {
            return Err(WriteError::Unheard(count, needed));
        }
        if kept.is_some() {
            let clear = |anchor: &mut Anchor| {
                anchor.contradiction.clear();
                Ok(true)
            };
            self.change(clear).await?;
            tracing::warn!("the ledger holds again what contradicted it; the contradiction is taken back");
        }
        self.heard = true;
        Ok(true)
    }

    async fn ask(
        &mut self,
        checkpoint: &Checkpoint,
        note: &str,
        view: &View,
        now: UnixSeconds,
    ) -> Result<(), WriteError> {
        let keys = self.keys(view);
        let Some(witnesses) = &mut self.witnesses else { return Ok(()) };
        let round = witnesses.ask(&Self::question(note, view, &keys, now)).await?;
        round.results.iter().for_each(|(_, result)| self.writer.context.metrics.witness_answered(*result));
        let cosigned = witnesses.cosigned(note);
        let reached = witnesses.policy.quorum.reached(&cosigned, now)?;
        if let Some((contradiction, shown)) = round.contradiction {
            self.accuse(contradiction, shown).await;
            return Ok(());
        }
        self.ahead = None;
        if round.news {
            self.published.cosigned(checkpoint, &cosigned, reached.is_some(), view.head.log_keys()).await?;
        }
        if let Some(since) = reached {
            self.lag.witnessed(checkpoint.size, since, now);
        }
        Ok(())
    }

    /// Breaks the ledger off. A checkpoint that is only larger may mean for a while that this replica is behind.
    async fn accuse(&mut self, contradiction: Contradiction, shown: String) {
        let waited = self.ahead.get_or_insert_with(Instant::now).elapsed();
        if matches!(contradiction, Contradiction::Beyond { .. }) && waited < GRACE {
            tracing::warn!(%contradiction, "a witness holds more than this replica has read; it is looked at again");
            return;
        }
        tracing::error!(%contradiction, shown, "a witness holds what contradicts this ledger");
        self.writer.context.metrics.contradicted();
        self.untold = Some(shown);
        // The sequencer is gone only when the process ends.
        let _ = self.writer.alarms.send(StoreEvent::Alarm(contradiction.to_string())).await;
        if let Err(error) = self.tell_contradiction().await {
            tracing::error!(%error, "the webhooks do not know of it yet; it is tried again");
        }
    }

    /// The ledger is broken off. If that is because a witness holds more of it, the others learn it too, and people get the proof.
    async fn tell_why(&mut self, view: &View) -> Result<(), WriteError> {
        let keys = self.keys(view);
        if let (false, Some(witnesses)) = (self.heard, &mut self.witnesses) {
            self.heard = true;
            let heard = witnesses.hear(&keys).await;
            if let Some((_, note)) = heard.largest.filter(|(held, _)| held.size > view.head.next_index().0) {
                tracing::error!(shown = note, "a witness holds more of the ledger than is here");
                self.writer.context.metrics.contradicted();
                self.untold = Some(note);
            }
        }
        self.tell_contradiction().await
    }

    async fn tell_contradiction(&mut self) -> Result<(), WriteError> {
        if let Some(shown) = self.untold.clone() {
            let tell = |anchor: &mut Anchor| {
                anchor.contradiction = shown;
                Ok(true)
            };
            self.change(tell).await?;
            self.untold = None;
            let note =
                "a witness holds a checkpoint of this log that contradicts the ledger; it is in data.contradiction";
            self.announce(EventType::Warning, Reason::LedgerBroken, note.to_owned()).await;
        }
        Ok(())
    }

    async fn change(&self, change: impl FnOnce(&mut Anchor) -> Result<bool, WriteError>) -> Result<(), WriteError> {
        change_anchor(self.published.store(), change).await
    }

    fn measure(&mut self, view: &View, now: UnixSeconds) {
        self.lag.saw(view.head.next_index().0, now);
        if let Some(witnesses) = &self.witnesses {
            self.writer.covered.send_replace(self.lag.size().min(witnesses.least()));
            self.writer.context.metrics.witnessed(self.lag.age(now), self.lag.size(), witnesses.sizes());
        }
    }

    /// Writes down by which policy the log is witnessed, and when it is not.
    async fn record(&self, view: &View, now: UnixSeconds) -> Result<(), WriteError> {
        let event = policy_event(self.writer.policy.as_ref(), now);
        let before = view.state.witness_policy();
        if before.is_some() || event.mode != WitnessMode::Off {
            // The sequencer compares it with what is recorded: most of the time nothing happens.
            let same = before.is_some_and(|before| PolicySetEvent { now, ..before.clone() } == event);
            if !same {
                self.append(Proposal::Policy(event)).await?;
            }
        }
        let asked = self.witnesses.as_ref().filter(|witnesses| witnesses.policy.mode != WitnessMode::Off);
        let Some(witnesses) = asked else { return Ok(()) };
        let event = |since, until| UnwitnessedEvent { witnessed: self.lag.size(), since, until, now };
        let late = self.lag.late(witnesses.policy.max_age, now);
        match (view.state.unwitnessed(), late) {
            (None, Some(since)) => {
                self.append(Proposal::Unwitnessed(event(since, None))).await?;
                let note = format!("too few witnesses have vouched for the ledger since {since}");
                self.announce(EventType::Warning, Reason::Unwitnessed, note).await;
                Ok(())
            }
            // It ended when witnesses vouched for the entry that says that it began.
            (Some((index, since)), _) if self.lag.size() > index.0 => {
                self.append(Proposal::Unwitnessed(event(since, Some(now)))).await?;
                let note = format!("enough witnesses vouch for the ledger again; they did not since {since}");
                self.announce(EventType::Normal, Reason::Unwitnessed, note).await;
                Ok(())
            }
            (None, None) | (Some(_), _) => Ok(()),
        }
    }

    /// An Event on the ConfigMap with the checkpoint; nothing waits for it.
    async fn announce(&self, type_: EventType, reason: Reason, note: String) {
        let (reason, action) = (reason.as_str().to_owned(), "Witness".to_owned());
        let event = Event { type_, reason, note: Some(note), action, secondary: None };
        let object = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("ConfigMap".to_owned()),
            namespace: Some(SYSTEM_NAMESPACE.to_owned()),
            name: Some(CHECKPOINT_CONFIG_MAP.to_owned()),
            ..ObjectReference::default()
        };
        let sent = tokio::time::timeout(EVENT_DEADLINE, self.writer.context.events.publish(&event, &object)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!(reason = event.reason, "an Event was not written");
        }
    }

    async fn append(&self, proposal: Proposal) -> Result<(), WriteError> {
        let context = &self.writer.context;
        context.ledger.append(proposal, context.facts(TargetFact::NotNamed)).await?;
        Ok(())
    }
}

/// The policy as the log says it; without witnesses nobody is asked.
fn policy_event(policy: Option<&WitnessPolicy>, now: UnixSeconds) -> PolicySetEvent {
    match policy {
        None => PolicySetEvent { mode: WitnessMode::Off, quorum: 0, witnesses: sha256(b""), max_age: Seconds(0), now },
        Some(policy) => PolicySetEvent {
            mode: policy.mode,
            quorum: u32::try_from(policy.quorum.needed()).unwrap_or(u32::MAX),
            witnesses: policy.keys(),
            max_age: policy.max_age,
            now,
        },
    }
}
