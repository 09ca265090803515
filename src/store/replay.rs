//! Where ledger and constitution meet: the entries of a verified block become events, and State takes them in. The only
//! place that knows both; the sequencer and the offline verifier share it.

use std::sync::Arc;

use crate::constitution::{Event, EventError, State, StateError};
use crate::ledger::{Block, Entry, EntryError};
use crate::units::{LogIndex, UnixMillis};

use super::flood::check_flood;

/// An entry with what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its position in the ledger.
    pub index: LogIndex,
    /// When it was written, by the writer's clock.
    pub time: UnixMillis,
    /// Name of the writer key.
    pub writer: String,
    /// What happened.
    pub event: Event,
}

/// Why a block whose bytes are right does not make sense. Nothing is allowed on such a ledger.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// An entry is not one.
    #[error("entry {index}: {source}")]
    Entry {
        /// Which entry.
        index: LogIndex,
        /// What is wrong.
        source: EntryError,
    },
    /// An entry is not an event.
    #[error("entry {index}: {source}")]
    Event {
        /// Which entry.
        index: LogIndex,
        /// What is wrong.
        source: EventError,
    },
    /// A flood contradicts itself.
    #[error("entry {index}: the flood is not one: {what}")]
    Flood {
        /// Which entry.
        index: LogIndex,
        /// What is wrong.
        what: &'static str,
    },
    /// An event does not fit to what came before.
    #[error(transparent)]
    State(#[from] StateError),
}

impl ReplayError {
    /// The entry that is wrong.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        match self {
            Self::Entry { index, .. } | Self::Event { index, .. } | Self::Flood { index, .. } => *index,
            Self::State(
                StateError::ArchiveOrder { index, .. }
                | StateError::DocumentIncomplete { index, .. }
                | StateError::DocumentWrong { index, .. }
                | StateError::EffectOrder { index, .. }
                | StateError::Index { index, .. }
                | StateError::Opening { index, .. }
                | StateError::PruneOrder { index }
                | StateError::WitnessOrder { index },
            ) => *index,
        }
    }

    /// Whether a newer version of miax may understand it.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(
            self,
            Self::Entry { source: EntryError::Format { .. }, .. } | Self::Event { source: EventError::Kind(_), .. }
        )
    }
}

/// The entry of an event, as bytes.
///
/// # Errors
/// [`EntryError`] when the event is too large for an entry.
pub fn encode(event: &Event, time: UnixMillis, writer: &str) -> Result<Vec<u8>, EntryError> {
    let fields = event.fields().map_err(|e| EntryError::Unreadable(e.to_string()))?;
    Entry { kind: event.kind().to_owned(), time, writer: writer.to_owned(), fields }.encode()
}

/// Takes every entry of a verified block into `state` and gives them with their meaning.
///
/// # Errors
/// [`ReplayError`] at the first entry that is wrong; `state` holds the ones before.
pub fn replay(block: &Block, state: &mut State) -> Result<Vec<Recorded>, ReplayError> {
    events(block)
        .map(|recorded| {
            let recorded = recorded?;
            state.apply(recorded.index, &recorded.event)?;
            Ok(recorded)
        })
        .collect()
}

/// The entries of a verified block with their meaning, each by itself: whether one fits to those before is not looked at.
///
/// # Errors
/// [`ReplayError::Entry`], [`ReplayError::Event`] and [`ReplayError::Flood`] at the first entry that is wrong.
pub fn read_entries(block: &Block) -> Result<Vec<Recorded>, ReplayError> {
    events(block).collect()
}

fn events(block: &Block) -> impl Iterator<Item = Result<Recorded, ReplayError>> {
    (block.header.first.0..).map(LogIndex).zip(block.entries()).map(|(index, bytes)| {
        // Most entries are decisions.
        match Entry::decode_as(Event::DECISION, bytes) {
            Some((time, writer, event)) => {
                Ok(Recorded { index, time, writer, event: Event::Decision(Arc::new(event)) })
            }
            None => read_any(index, bytes),
        }
    })
}

fn read_any(index: LogIndex, bytes: &[u8]) -> Result<Recorded, ReplayError> {
    let Entry { kind, time, writer, fields } =
        Entry::decode(bytes).map_err(|source| ReplayError::Entry { index, source })?;
    let event = Event::read(&kind, fields).map_err(|source| ReplayError::Event { index, source })?;
    if let Event::Flood(flood) = &event {
        check_flood(index, flood).map_err(|what| ReplayError::Flood { index, what })?;
    }
    Ok(Recorded { index, time, writer, event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::constitution::{Decision, DecisionEvent, ObjectRef, Operation, TargetFact, Verdict};
    use crate::trust::sha256;
    use crate::units::UnixSeconds;

    #[test]
    fn an_entry_means_the_same_whichever_way_it_is_read() {
        let event = DecisionEvent {
            request: "u".into(),
            operation: Operation::Create,
            object: ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: "\u{1}é".into() },
            digest: Some(sha256(b"x")),
            inputs: None,
            commitment: None,
            summary: Some("it".into()),
            actor: "eve".into(),
            verdict: Verdict::Deny,
            findings: Decision::refusal(Reason::Unsigned, "it carries no \"signature\"").findings,
            rules: vec!["r".into()],
            seats: Vec::new(),
            advice: Vec::new(),
            signers: Vec::new(),
            charter: None,
            budgets: Vec::new(),
            plans: Vec::new(),
            now: UnixSeconds::new(100),
            target: TargetFact::NotNamed,
        };
        let whole = encode(&Event::Decision(Arc::new(event)), UnixMillis(7), "w").expect("an entry");
        let check = |bytes: &[u8]| {
            let quickly = Entry::decode_as::<DecisionEvent>(Event::DECISION, bytes);
            let slowly = read_any(LogIndex(0), bytes).ok();
            let decision = |r: Recorded| match r.event {
                Event::Decision(event) => Some((r.time, r.writer, Arc::unwrap_or_clone(event))),
                _ => None,
            };
            assert_eq!(quickly, slowly.and_then(decision), "{}", String::from_utf8_lossy(bytes));
            quickly.is_some()
        };
        assert!(check(&whole));
        for at in 0..whole.len() {
            for byte in *b"\"{[,:01a \\" {
                let mut changed = whole.clone();
                changed[at] = byte;
                check(&changed);
                changed = whole.clone();
                changed.insert(at, byte);
                check(&changed);
            }
            let mut shorter = whole.clone();
            shorter.remove(at);
            check(&shorter);
        }
        assert!(!check(b"[1,\"decision\",7,\"w\"]"));
    }
}
