//! Opening an epoch: what is left of the ledger is verified, the people's command is judged by it, and the first block of the new
//! epoch is made (ADR 0025).

use serde_json::Value;

use crate::constitution::{Action, Command, EpochOpenEvent, Event, OpenEpoch, State, StateAction};
use crate::ledger::{BlockError, BlockParts, Checkpoint, EntryError, Head, LogTrust, VouchError, Writer};
use crate::units::UnixMillis;

use super::replay::{encode, replay};

/// What is left of a ledger, verified.
#[derive(Debug)]
pub struct Remains {
    /// Its end.
    pub head: Head,
    /// What its entries add up to.
    pub state: State,
}

/// Why no epoch is opened.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    /// The first block of the new epoch cannot be made.
    #[error("the first block of the epoch cannot be made: {0}")]
    Block(#[from] BlockError),
    /// The blocks that are to be kept are not those.
    #[error("the command keeps {asked} blocks with {entries} entries and the root {root}; here {found}")]
    Blocks {
        /// How many blocks the command keeps.
        asked: u64,
        /// How many entries.
        entries: u64,
        /// Their root.
        root: String,
        /// What is here, in words.
        found: String,
    },
    /// The command does not say what is lost.
    #[error(
        "a checkpoint vouches for {known} entries; the command must cite it in openEpoch.checkpoint, so that its signers know"
    )]
    Loss {
        /// How many entries.
        known: u64,
    },
    /// The command is none, or the people of the charter do not open the epoch.
    #[error("the epoch is not opened: {0}")]
    Refused(String),
    /// The opening does not fit into an entry.
    #[error("the command cannot be an entry: {0}")]
    TooLarge(#[from] EntryError),
    /// The checkpoint that the command cites is not one of this log.
    #[error("the checkpoint that the command cites: {0}")]
    Vouch(#[from] VouchError),
}

/// What a command asks for that opens an epoch.
///
/// # Errors
/// [`OpeningError::Refused`] for any other command.
pub fn asked_for(command: &Value) -> Result<OpenEpoch, OpeningError> {
    match Command::read(command).map_err(|e| OpeningError::Refused(e.to_string()))?.action {
        Action::State(StateAction::OpenEpoch(asked)) => Ok(*asked),
        other => Err(OpeningError::Refused(format!("it is a command to {}", other.name()))),
    }
}

impl Remains {
    /// Verifies the first blocks of the log, as many as the command keeps. `blocks` are in the order of the log.
    ///
    /// # Errors
    /// [`OpeningError::Blocks`] when what is there is wrong, or is not what the command keeps.
    pub fn verify<'a>(
        trust: LogTrust,
        blocks: impl IntoIterator<Item = &'a BlockParts>,
        asked: &OpenEpoch,
    ) -> Result<Self, OpeningError> {
        let OpenEpoch { epoch: _, blocks: count, entries, root, checkpoint: _ } = asked;
        let (count, entries, root) = (*count, *entries, *root);
        let other = |found: String| OpeningError::Blocks { asked: count.0, entries, root: root.to_string(), found };
        let (mut head, mut state) = (Head::genesis(trust), State::default());
        for parts in blocks.into_iter().take(usize::try_from(count.0).unwrap_or(usize::MAX)) {
            let name = head.next_block();
            let block = head.fold(parts).map_err(|e| other(format!("block {name} is wrong: {e}")))?;
            replay(&block, &mut state).map_err(|e| other(format!("block {name} is wrong: {e}")))?;
        }
        if (head.next_block(), head.next_index().0, head.root()) != (count, entries, root) {
            let (blocks, found) = (head.next_block(), head.next_index());
            return Err(other(format!("{blocks} blocks hold {found} entries with the root {}", head.root())));
        }
        Ok(Self { head, state })
    }

    /// What opens the epoch by this command, at this time. `known` is the largest checkpoint that the cluster has; what it vouches
    /// for beyond what is kept must be cited.
    ///
    /// # Errors
    /// [`OpeningError::Loss`], [`OpeningError::Vouch`], [`OpeningError::Refused`].
    pub fn opening(
        &self,
        command: &Value,
        known: Option<&Checkpoint>,
        now: UnixMillis,
    ) -> Result<EpochOpenEvent, OpeningError> {
        let cited = asked_for(command)?.checkpoint;
        let cited = cited.map(|note| self.head.log_keys().open(&note)).transpose()?;
        let size = known.map_or(0, |c| c.size);
        if size > self.head.next_index().0 && cited.is_none_or(|c| c.size < size) {
            return Err(OpeningError::Loss { known: size });
        }
        self.state.opening(command, now.into()).map_err(OpeningError::Refused)
    }

    /// The first block of the new epoch, by a writer that a key of the log has introduced under the new origin. It was folded.
    ///
    /// # Errors
    /// [`OpeningError::TooLarge`], [`OpeningError::Block`]; [`OpeningError::Refused`] when it does not fold.
    pub fn first_block(
        &self,
        event: EpochOpenEvent,
        writer: &Writer,
        now: UnixMillis,
    ) -> Result<BlockParts, OpeningError> {
        let opening = encode(&Event::EpochOpen(Box::new(event)), now, writer.name())?;
        let parts = self.head.next_epoch().propose(&[opening, writer.introduce(now)?], writer, now, now)?;
        let (mut head, mut state) = (self.head.clone(), self.state.clone());
        let block = head.fold(&parts).map_err(|e| OpeningError::Refused(e.to_string()))?;
        replay(&block, &mut state).map_err(|e| OpeningError::Refused(e.to_string()))?;
        Ok(parts)
    }
}
