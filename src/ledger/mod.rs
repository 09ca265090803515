//! What was decided, in order: entries, blocks, the RFC 6962 tree over them, proofs, and the verifier.
//!
//! Must not: know what an entry means (that is `constitution`), where blocks are stored (that is `store`), or what time it
//! is. A ledger is tamper-evident: a change is found and named. Nothing here can prevent one.

mod audit;
mod audit_clock;
mod audit_state;
mod block;
mod budget;
mod chain;
mod checkpoint;
mod cosigning;
mod entry;
mod epoch;
mod flood;
mod fork;
mod fork_find;
mod key_change;
mod lag;
mod log_keys;
mod proof;
mod proof_text;
mod tiles;
mod tree;
mod verify;
mod witness;
mod writer;

pub use audit::{Check, Outcome, Scope, outcomes};
pub use audit_clock::{ClockStep, ClockWatch};
pub use audit_state::{AuditState, AuditStateError};
pub use block::{
    Block, BlockError, BlockParts, Header, MAX_BLOCK_BYTES, MAX_BLOCK_ENTRIES, block_name, parse_block_name,
};
pub use budget::{Budget, EntryClass, HotSize, Pressure};
pub use chain::{ChainError, Head, LogTrust, boundary_room};
pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use cosigning::{Contradiction, CosigningAnswer, contradicts, read_answer};
pub use entry::{Entry, EntryError, MAX_ENTRY_BYTES};
pub use epoch::Lineage;
pub use flood::{Bucket, Flood, Folded, FoldedError, Folding, Limits, Rate, root_of};
pub use fork::{Culprit, Fork, ForkError, ForkProof, Sealed};
pub use fork_find::{Difference, LogCopy, Statement, find_fork};
pub use key_change::KeyChange;
pub use lag::WitnessLag;
pub use log_keys::{LogKeys, VouchError};
pub use proof::{ConsistencyProof, HashTree, InclusionProof, ProofError};
pub use proof_text::{ConsistencyText, InclusionText, ProofText, ProofTextError};
pub use tiles::{
    ArchiveName, ArchiveObject, ArchiveTrouble, BlocksError, Growth, NameError, TileCheck, TileKind, TileName, Tiling,
    TilingError, read_blocks, tiles_of,
};
pub use tree::{CompactRange, leaf_hash};
pub use verify::{Finding, FindingClass, Report, Verifier};
pub use witness::{AddCheckpoint, Candidate, Consistent, Cosigned, KnownLog, Refusal};
pub use writer::{Writer, WriterDraft, WriterError};
