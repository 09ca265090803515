//! The seam between the sequencer and where blocks are kept.

use std::future::Future;

use crate::ledger::BlockParts;
use crate::units::BlockNumber;

/// How an attempt to create a block failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// A block of this number exists: ours from an attempt whose answer was lost, or another writer's.
    #[error("the block exists")]
    Exists,
    /// The store refused, for certain: nothing was stored.
    #[error("the store refused the block: {0}")]
    Refused(String),
    /// The answer was lost: the block may be stored, now or a moment later.
    #[error("the store did not answer: {0}")]
    Unknown(String),
}

/// Why a block cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The object is there, but is not a block.
    #[error("`{name}` is not a ledger block: {what}")]
    NotABlock {
        /// Name of the object.
        name: String,
        /// What is missing.
        what: &'static str,
    },
    /// The store did not answer.
    #[error("the store did not answer: {0}")]
    Unavailable(String),
}

/// Keeps the blocks of one log.
///
/// Contract. *Consistency*: `create` succeeds for exactly one caller per number, among all replicas; `read` after a
/// successful `create` or after `Exists` gives the block that won. *Durability*: when `create` returns `Ok`, the block
/// survives the loss of every process. *Retries*: neither call retries; the sequencer does, with the same bytes.
/// *Concurrency*: any number of callers. *Attacker*: whoever owns the store can delete or replace blocks; readers check
/// every byte and the chain, so that this is found, not prevented.
pub trait BlockStore: Send + Sync + 'static {
    /// Stores a block under its number, if nothing is stored there: the compare-and-swap of the ledger.
    fn create(
        &self,
        epoch: u16,
        number: BlockNumber,
        parts: &BlockParts,
    ) -> impl Future<Output = Result<(), CreateError>> + Send;

    /// Reads the block of this number; `None` when there is none.
    fn read(
        &self,
        epoch: u16,
        number: BlockNumber,
    ) -> impl Future<Output = Result<Option<BlockParts>, ReadError>> + Send;
}
