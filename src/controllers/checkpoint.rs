//! Checkpoints: the log's key vouches for size and root of what was read back from the store, never for less than before, and
//! never for anything that contradicts what a witness holds.
//!
//! The order, and the world after a crash at each step: a checkpoint is stored (compare-and-swap) before any witness is asked,
//! so that the log never shows a witness what the next leader does not know of; cosignatures are added under it as they come.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::api::names::{CHECKPOINT_CONFIG_MAP, SYSTEM_NAMESPACE};
use crate::constitution::{PolicySetEvent, Proposal, TargetFact, UnwitnessedEvent};
use crate::ledger::{Checkpoint, Contradiction, WitnessLag};
use crate::store::{Anchor, AppendError, ConfigMapStore, Confirmed, Health, StoreEvent, View, anchor_data, anchor_of};
use crate::trust::{NoteSigner, NoteVerifier, WitnessMode, WitnessPolicy, sha256};
use crate::units::{Seconds, UnixSeconds};

use super::Context;
use super::witness::{CompareError, Endpoint, Heard, LeafError, Question, Witnesses};

/// How often it is looked whether the log has grown.
const PERIOD: Duration = Duration::from_secs(1);
/// For how long a larger checkpoint may only mean that this replica is behind.
const GRACE: Duration = Duration::from_secs(10);

/// Signs checkpoints into the ConfigMap `miax-checkpoint`, and has them cosigned.
pub struct CheckpointWriter {
    /// What every controller works with.
    pub context: Arc<Context>,
    /// The log's key.
    pub key: NoteSigner,
    /// The blocks, to make proofs from.
    pub store: ConfigMapStore,
    /// Epoch of the log.
    pub epoch: u16,
    /// Where the ledger is broken off when a witness shows that it cannot be the whole one.
    pub alarms: mpsc::Sender<StoreEvent>,
    /// The policy for witnesses, if there are any.
    pub policy: Option<WitnessPolicy>,
    /// The witnesses.
    pub endpoints: Vec<Endpoint>,
}

/// Why a checkpoint was not written or not cosigned.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error("an entry about witnesses was not written: {0}")]
    Append(#[from] AppendError),
    #[error("the checkpoint in the cluster is over other entries")]
    Another,
    #[error("{0}")]
    Compare(#[from] CompareError),
    #[error("{0}")]
    Kube(#[from] kube::Error),
    #[error("the witnesses cannot be asked: {0}")]
    Leaves(#[from] LeafError),
    #[error("{0}")]
    Note(#[from] crate::trust::NoteError),
    #[error("the checkpoint in the cluster does not open: {0}")]
    Open(#[from] crate::ledger::CheckpointError),
    #[error("the checkpoint in the cluster vouches for {0} entries, this replica has seen {1}")]
    Smaller(u64, u64),
    #[error("too few witnesses were heard: {0} of {1}; nothing is signed before")]
    Unheard(usize, usize),
}

/// The writer with what it remembers.
struct Keeper {
    writer: CheckpointWriter,
    verifier: NoteVerifier,
    witnesses: Option<Witnesses<ConfigMapStore>>,
    /// Whether the witnesses were asked what they know, before anything is signed.
    heard: bool,
    /// Since when a checkpoint is known that is larger than this replica's ledger.
    ahead: Option<Instant>,
    /// A contradiction that the cluster does not know of yet.
    untold: Option<String>,
    written: u64,
    lag: WitnessLag,
}

/// Writes checkpoints for ever.
pub async fn keep_checkpoints(mut writer: CheckpointWriter) {
    let endpoints = std::mem::take(&mut writer.endpoints);
    let store = || writer.store.clone();
    let witnesses = writer.policy.clone().map(|policy| Witnesses::new(policy, endpoints, store(), writer.epoch));
    let (verifier, heard) = (writer.key.verifier(), witnesses.is_none());
    let lag = WitnessLag::default();
    let mut keeper = Keeper { writer, verifier, witnesses, heard, ahead: None, untold: None, written: 0, lag };
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
        let checkpoint = Checkpoint { origin: self.verifier.name().to_owned(), size, root };
        if size > self.written {
            self.write(&checkpoint).await?;
            self.written = size;
        }
        let asked = self.ask(&checkpoint, view, now).await;
        self.measure(view, now);
        self.record(view, now).await?;
        asked
    }

    fn question<'a>(note: &'a str, view: &View, key: &'a NoteVerifier, now: UnixSeconds) -> Question<'a> {
        Question { note, end: view.confirmed, tip: view.head.next_block(), key, now }
    }

    /// Compares what witnesses and cluster hold with what is here. `false`: nothing may be signed yet.
    async fn hear(&mut self, view: &View, now: UnixSeconds) -> Result<bool, WriteError> {
        let anchor = anchor_of(&self.api().get(CHECKPOINT_CONFIG_MAP).await?);
        let Some(witnesses) = &mut self.witnesses else { return Ok(true) };
        let Heard { keys: count, largest, .. } = witnesses.hear(&self.verifier).await;
        let question = Self::question("", view, &self.verifier, now);
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
            self.change(|anchor| anchor.contradiction.clear()).await?;
            tracing::warn!("the ledger holds again what contradicted it; the contradiction is taken back");
        }
        self.heard = true;
        Ok(true)
    }

    async fn ask(&mut self, checkpoint: &Checkpoint, view: &View, now: UnixSeconds) -> Result<(), WriteError> {
        let note = checkpoint.sign(&self.writer.key)?;
        let Some(witnesses) = &mut self.witnesses else { return Ok(()) };
        let round = witnesses.ask(&Self::question(&note, view, &self.verifier, now)).await?;
        round.results.iter().for_each(|(_, result)| self.writer.context.metrics.witness_answered(*result));
        let cosigned = witnesses.cosigned(&note);
        let reached = witnesses.policy.quorum.reached(&cosigned, now)?;
        if let Some((contradiction, shown)) = round.contradiction {
            self.accuse(contradiction, shown).await;
            return Ok(());
        }
        self.ahead = None;
        if round.news {
            self.publish(checkpoint, &cosigned, reached.is_some()).await?;
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
        if let (false, Some(witnesses)) = (self.heard, &mut self.witnesses) {
            self.heard = true;
            let heard = witnesses.hear(&self.verifier).await;
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
            self.change(|anchor| anchor.contradiction = shown).await?;
            self.untold = None;
        }
        Ok(())
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.writer.context.client.clone(), SYSTEM_NAMESPACE)
    }

    async fn change(&self, change: impl FnOnce(&mut Anchor)) -> Result<(), WriteError> {
        let mut map = self.api().get(CHECKPOINT_CONFIG_MAP).await?;
        let mut anchor = anchor_of(&map);
        change(&mut anchor);
        map.data = Some(anchor_data(&anchor));
        // With the resourceVersion that was read: of two writers one wins, the other reads again.
        self.api().replace(CHECKPOINT_CONFIG_MAP, &PostParams::default(), &map).await?;
        Ok(())
    }

    async fn known(&self) -> Result<Option<Checkpoint>, WriteError> {
        let anchor = anchor_of(&self.api().get(CHECKPOINT_CONFIG_MAP).await?);
        match anchor.checkpoint.as_str() {
            "" => Ok(None),
            note => Ok(Some(Checkpoint::open(note, self.verifier.name(), &self.verifier)?)),
        }
    }

    async fn write(&self, checkpoint: &Checkpoint) -> Result<(), WriteError> {
        match self.known().await? {
            // Another replica was faster, or we are behind: a smaller size is never signed.
            Some(known) if known.size > checkpoint.size => Err(WriteError::Smaller(known.size, checkpoint.size)),
            Some(known) if known.size == checkpoint.size && known.root != checkpoint.root => Err(WriteError::Another),
            Some(known) if known.size == checkpoint.size => Ok(()),
            Some(_) | None => {
                let note = checkpoint.sign(&self.writer.key)?;
                self.change(|anchor| anchor.checkpoint = note).await
            }
        }
    }

    /// Shows the checkpoint with the lines of the witnesses, if it is still the newest.
    async fn publish(&self, checkpoint: &Checkpoint, cosigned: &str, quorum: bool) -> Result<(), WriteError> {
        let is_newest = self.known().await?.as_ref() == Some(checkpoint);
        self.change(|anchor| {
            if is_newest {
                cosigned.clone_into(&mut anchor.checkpoint);
            }
            if quorum {
                cosigned.clone_into(&mut anchor.witnessed);
            }
        })
        .await
    }

    fn measure(&mut self, view: &View, now: UnixSeconds) {
        self.lag.saw(view.head.next_index().0, now);
        if let Some(witnesses) = &self.witnesses {
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
            (None, Some(since)) => self.append(Proposal::Unwitnessed(event(since, None))).await,
            // It ended when witnesses vouched for the entry that says that it began.
            (Some((index, since)), _) if self.lag.size() > index.0 => {
                self.append(Proposal::Unwitnessed(event(since, Some(now)))).await
            }
            (None, None) | (Some(_), _) => Ok(()),
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
