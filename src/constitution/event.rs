//! Events: what the entries of the ledger mean to the constitution.

mod archive;
mod effect;
mod epoch;
mod flood;
mod recover;
mod slo;
mod witness;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::{GatedKind, GovernedKind};
use crate::units::{Digest, UnixSeconds};

use super::decision::{Advice, Finding, SeatView, Verdict};
use super::facts::{BudgetFact, TargetFact};
use super::request::Operation;

pub use archive::{ArchiveSealEvent, PruneEvent};
pub use effect::{EffectBeginEvent, EffectEndEvent, EffectUndoneEvent, EnactEvent, LapseEvent};
pub use epoch::EpochOpenEvent;
pub use flood::{FloodEvent, FloodSource};
pub use recover::RecoverEvent;
pub use slo::{BudgetVerdict, GateTerms, SloSetEvent, SloVerdictEvent};
pub use witness::{PolicySetEvent, UnwitnessedEvent};

/// A thing that happened. The ledger stores it as an entry of the kind [`Event::kind`] with the fields of the variant. What
/// [`super::State`] remembers whole is shared with it, not copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A request was judged. An allow is a verdict, not yet a fact.
    Decision(Arc<DecisionEvent>),
    /// A controller saw the object stored.
    Stored(StoredEvent),
    /// A piece of a document's text, so that State can be folded from the ledger alone (ADR 0005).
    Document(DocumentEvent),
    /// A manifest came into force.
    Adopt(AdoptEvent),
    /// An executor is about to act; the command is consumed from here on.
    EffectBegin(Arc<EffectBeginEvent>),
    /// The action is done.
    EffectDone(EffectEndEvent),
    /// The action failed or cannot be told.
    EffectFailed(EffectEndEvent),
    /// What an action did for a time was taken back.
    EffectUndone(EffectUndoneEvent),
    /// A command changed State; it is consumed and done.
    Enact(Box<EnactEvent>),
    /// An emergency charter was not ratified in time.
    Lapse(LapseEvent),
    /// Refusals that were not written one by one.
    Flood(Box<FloodEvent>),
    /// The ledger was broken and is whole again.
    Recover(RecoverEvent),
    /// The end of the ledger was lost for good; it goes on with what is left.
    EpochOpen(Box<EpochOpenEvent>),
    /// A key of a writer or of the log was introduced; the ledger checks it, State ignores it.
    KeyAdd(KeyEvent),
    /// A key of the log vouches for nothing more; the ledger checks it, State ignores it.
    KeyRetire(KeyEvent),
    /// A key of the log is in wrong hands; the ledger checks it, State ignores it.
    KeyRevoke(KeyEvent),
    /// The operator runs by another policy for witnesses than before.
    PolicySet(PolicySetEvent),
    /// The log was unwitnessed for too long, or is witnessed again.
    Unwitnessed(UnwitnessedEvent),
    /// An archive holds the ledger up to here.
    ArchiveSeal(ArchiveSealEvent),
    /// The oldest blocks leave the cluster.
    Prune(PruneEvent),
    /// A version of an objective holds from here on.
    SloSet(Box<SloSetEvent>),
    /// The verdict on an error budget changed.
    SloVerdict(Box<SloVerdictEvent>),
}

/// Which object an event is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `Manifest`, `ControlCommand`, or the kind of a workload whose change was refused.
    pub kind: String,
    /// Empty for cluster-scoped kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

/// A charter version by name and digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CharterRef {
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
}

/// Who signed what, without the signature's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignerRef {
    /// Name in the charter.
    pub principal: String,
    /// The verb.
    pub verb: String,
    /// The seat.
    pub seat: String,
    /// Fingerprint of the key.
    pub key: String,
}

/// A judged request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionEvent {
    /// UID of the admission request.
    pub request: String,
    /// What was asked.
    pub operation: Operation,
    /// About which object.
    pub object: ObjectRef,
    /// Digest of the object, when it could be computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Digest of everything that was judged ([`super::Request::inputs`]); by it `miax ledger replay` knows the documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Digest>,
    /// Commitment to what was judged, by a salt that is kept elsewhere; the only trace of a pod template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<Digest>,
    /// In a few words what the document would do, for example `Scale Deployment shop/checkout to 3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Who sent the request; recorded, not trusted.
    pub actor: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Every reason.
    pub findings: Vec<Finding>,
    /// Rules of the charter that were applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The seats of a command that waits for people; else empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seats: Vec<SeatView>,
    /// What rules say that are not enforced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<Advice>,
    /// Verified signatures; empty when they do not verify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signers: Vec<SignerRef>,
    /// The charter in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charter: Option<CharterRef>,
    /// The time that the decision used.
    pub now: UnixSeconds,
    /// The target as the decision saw it.
    pub target: TargetFact,
    /// What was known of the error budgets that the change stands under.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetFact>,
    /// Mitigation plans of which this change used one use each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plans: Vec<Digest>,
}

/// An object that was seen stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredEvent {
    /// Which object.
    pub object: ObjectRef,
    /// Its digest.
    pub digest: Digest,
    /// Its UID.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
}

/// A piece of a document's text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentEvent {
    /// SHA-256 of the whole text.
    pub text: Digest,
    /// Number of this piece, from 0.
    pub part: u32,
    /// How many pieces there are.
    pub parts: u32,
    /// The piece.
    pub piece: String,
}

/// A manifest that came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptEvent {
    /// Which object.
    pub object: ObjectRef,
    /// Its version.
    pub version: u64,
    /// Its digest.
    pub digest: Digest,
    /// SHA-256 of its whole canonical text, signatures included, as given by the `document` entries before.
    pub text: Digest,
}

/// A key of a writer or of the log. The ledger verifies and uses it; the constitution only shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvent {
    /// The fields as the ledger stores them.
    pub fields: Map<String, Value>,
}

/// Why an entry is not an event.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// The fields are not those of the kind.
    #[error("entry of kind `{kind}` is not readable: {source}")]
    Fields {
        /// The kind.
        kind: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The kind is not known to this version.
    #[error("entry kind `{0}` is not known to this version of miax; use a newer one")]
    Kind(String),
}

impl DecisionEvent {
    /// Puts a commitment in. The digest of a pod template goes: its parts can be secret and guessable, where a governed document
    /// is a public act.
    pub fn commit(&mut self, commitment: Digest) {
        self.commitment = Some(commitment);
        if GatedKind::from_kind(&self.object.kind).is_some() {
            self.digest = None;
        }
    }
}

impl ObjectRef {
    /// A reference to an object of a governed kind.
    #[must_use]
    pub fn new(kind: GovernedKind, namespace: &str, name: &str) -> Self {
        Self { kind: kind.kind().to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { write!(f, "{kind} {name}") } else { write!(f, "{kind} {namespace}/{name}") }
    }
}

impl Event {
    /// The kind of most entries.
    pub const DECISION: &'static str = "decision";

    /// The kind of entry that the ledger stores it as.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Decision(_) => Self::DECISION,
            Self::Stored(_) => "stored",
            Self::Document(_) => "document",
            Self::Adopt(_) => "adopt",
            Self::EffectBegin(_) => "effect.begin",
            Self::EffectDone(_) => "effect.done",
            Self::EffectFailed(_) => "effect.failed",
            Self::EffectUndone(_) => "effect.undone",
            Self::Enact(_) => "enact",
            Self::Lapse(_) => "charter.lapse",
            Self::Flood(_) => "flood",
            Self::Recover(_) => "recover",
            Self::EpochOpen(_) => "epoch.open",
            Self::KeyAdd(_) => "key.add",
            Self::PolicySet(_) => "policy.set",
            Self::Unwitnessed(_) => "unwitnessed",
            Self::KeyRetire(_) => "key.retire",
            Self::KeyRevoke(_) => "key.revoke",
            Self::ArchiveSeal(_) => "archive.seal",
            Self::Prune(_) => "prune",
            Self::SloSet(_) => "slo.set",
            Self::SloVerdict(_) => "slo.verdict",
        }
    }

    /// The time that it was decided at, by the clock of whoever decided; `None` for what only follows.
    #[must_use]
    pub fn now(&self) -> Option<UnixSeconds> {
        match self {
            Self::Decision(e) => Some(e.now),
            Self::EffectBegin(e) => Some(e.now),
            Self::EffectUndone(e) => Some(e.now),
            Self::Enact(e) => Some(e.now),
            Self::Lapse(e) => Some(e.now),
            Self::Flood(e) => Some(e.last),
            Self::PolicySet(e) => Some(e.now),
            Self::Unwitnessed(e) => Some(e.now),
            Self::Recover(e) => Some(e.now),
            Self::EpochOpen(e) => Some(e.now),
            Self::ArchiveSeal(e) => Some(e.now),
            Self::Prune(e) => Some(e.now),
            Self::SloSet(e) => Some(e.now),
            Self::SloVerdict(e) => Some(e.now),
            Self::Stored(_)
            | Self::Document(_)
            | Self::Adopt(_)
            | Self::EffectDone(_)
            | Self::EffectFailed(_)
            | Self::KeyAdd(_)
            | Self::KeyRetire(_)
            | Self::KeyRevoke(_) => None,
        }
    }

    /// The fields of the entry.
    ///
    /// # Errors
    /// [`EventError::Fields`] when a field cannot be written as JSON.
    pub fn fields(&self) -> Result<Map<String, Value>, EventError> {
        let value = match self {
            Self::Decision(e) => serde_json::to_value(e.as_ref()),
            Self::Stored(e) => serde_json::to_value(e),
            Self::Document(e) => serde_json::to_value(e),
            Self::Adopt(e) => serde_json::to_value(e),
            Self::EffectBegin(e) => serde_json::to_value(e.as_ref()),
            Self::EffectDone(e) | Self::EffectFailed(e) => serde_json::to_value(e),
            Self::EffectUndone(e) => serde_json::to_value(e),
            Self::Enact(e) => serde_json::to_value(e),
            Self::Lapse(e) => serde_json::to_value(e),
            Self::Flood(e) => serde_json::to_value(e),
            Self::PolicySet(e) => serde_json::to_value(e),
            Self::Unwitnessed(e) => serde_json::to_value(e),
            Self::Recover(e) => serde_json::to_value(e),
            Self::EpochOpen(e) => serde_json::to_value(e),
            Self::ArchiveSeal(e) => serde_json::to_value(e),
            Self::Prune(e) => serde_json::to_value(e),
            Self::SloSet(e) => serde_json::to_value(e),
            Self::SloVerdict(e) => serde_json::to_value(e),
            Self::KeyAdd(e) | Self::KeyRetire(e) | Self::KeyRevoke(e) => Ok(Value::Object(e.fields.clone())),
        };
        match value {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Ok(Map::new()),
            Err(source) => Err(EventError::Fields { kind: self.kind().to_owned(), source }),
        }
    }

    /// Reads the event that an entry of this kind with these fields stands for.
    ///
    /// # Errors
    /// [`EventError::Kind`] for a kind that this version does not know, [`EventError::Fields`] for wrong fields.
    pub fn read(kind: &str, fields: Map<String, Value>) -> Result<Self, EventError> {
        let value = Value::Object(fields);
        let event = match kind {
            Self::DECISION => serde_json::from_value(value).map(|e| Self::Decision(Arc::new(e))),
            "stored" => serde_json::from_value(value).map(Self::Stored),
            "document" => serde_json::from_value(value).map(Self::Document),
            "adopt" => serde_json::from_value(value).map(Self::Adopt),
            "effect.begin" => serde_json::from_value(value).map(|e| Self::EffectBegin(Arc::new(e))),
            "effect.done" => serde_json::from_value(value).map(Self::EffectDone),
            "effect.failed" => serde_json::from_value(value).map(Self::EffectFailed),
            "effect.undone" => serde_json::from_value(value).map(Self::EffectUndone),
            "enact" => serde_json::from_value(value).map(Self::Enact),
            "charter.lapse" => serde_json::from_value(value).map(Self::Lapse),
            "flood" => serde_json::from_value(value).map(Self::Flood),
            "policy.set" => serde_json::from_value(value).map(Self::PolicySet),
            "unwitnessed" => serde_json::from_value(value).map(Self::Unwitnessed),
            "recover" => serde_json::from_value(value).map(Self::Recover),
            "epoch.open" => serde_json::from_value(value).map(Self::EpochOpen),
            "archive.seal" => serde_json::from_value(value).map(Self::ArchiveSeal),
            "prune" => serde_json::from_value(value).map(Self::Prune),
            "slo.set" => serde_json::from_value(value).map(Self::SloSet),
            "slo.verdict" => serde_json::from_value(value).map(Self::SloVerdict),
            "key.add" => serde_json::from_value(value).map(|fields| Self::KeyAdd(KeyEvent { fields })),
            "key.retire" => serde_json::from_value(value).map(|fields| Self::KeyRetire(KeyEvent { fields })),
            "key.revoke" => serde_json::from_value(value).map(|fields| Self::KeyRevoke(KeyEvent { fields })),
            other => return Err(EventError::Kind(other.to_owned())),
        };
        event.map_err(|source| EventError::Fields { kind: kind.to_owned(), source })
    }
}
