//! Where ledger and constitution meet: the entries of a verified block become events, and State takes them in. The only
//! place that knows both; the sequencer and the offline verifier share it.

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
        let Entry { kind, time, writer, fields } =
            Entry::decode(bytes).map_err(|source| ReplayError::Entry { index, source })?;
        let event = Event::read(&kind, fields).map_err(|source| ReplayError::Event { index, source })?;
        if let Event::Flood(flood) = &event {
            check_flood(index, flood).map_err(|what| ReplayError::Flood { index, what })?;
        }
        Ok(Recorded { index, time, writer, event })
    })
}
