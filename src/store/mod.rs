//! Where blocks are kept, and the one task that appends them.
//!
//! Must not: decide anything (`constitution` does) or trust what it reads back (`ledger` checks every byte).

mod flood;
mod opening;
mod replay;
mod snapshot;

#[cfg(feature = "client")]
mod archive;
#[cfg(feature = "client")]
mod block_store;
#[cfg(feature = "client")]
mod config_map;
#[cfg(feature = "client")]
mod draft;
#[cfg(feature = "client")]
mod folding;
#[cfg(feature = "client")]
mod follow;
#[cfg(feature = "client")]
mod forward;
#[cfg(feature = "client")]
mod handle;
#[cfg(feature = "client")]
mod hot;
#[cfg(feature = "client")]
mod log_signer;
#[cfg(feature = "client")]
mod prune;
#[cfg(feature = "client")]
mod sequencer;

#[cfg(feature = "client")]
pub use archive::{ArchiveError, ArchivePlace, ArchivePlaceError, ArchiveRun, ArchiveStore, Growing};
#[cfg(feature = "client")]
pub use block_store::{BlockStore, CreateError, ReadError};
#[cfg(feature = "client")]
pub use config_map::{Anchor, ConfigMapStore, anchor_data, anchor_of, parts_of, read_anchor};
pub use flood::{check_flood, refusal_leaf};
#[cfg(feature = "client")]
pub use folding::{end_floods, keep_floods};
#[cfg(feature = "client")]
pub use follow::{StoreEvent, follow};
#[cfg(feature = "client")]
pub use forward::{Common, Desk, ForwardStats, Forwarder, Link, Route};
#[cfg(feature = "client")]
pub use handle::{AppendError, Committed, Confirmed, Health, Kept, Ledger, SequencerInput, Stats, View};
#[cfg(feature = "client")]
pub use log_signer::{DeviceKey, DigestSigner, HeldKeys, LogKeyring, LogSigner, SignError, held, sign_note};
pub use opening::{OpeningError, Remains, asked_for};
#[cfg(feature = "client")]
pub use prune::{HotStore, PruneError, Pruning, begin, load_snapshot, prepare, sweep_pruned};
pub use replay::{Recorded, ReplayError, encode, read_entries, replay};
#[cfg(feature = "client")]
pub use sequencer::{Clock, Seed, Sequencer, WriterSource};
pub use snapshot::{
    Snapshot, SnapshotError, pack_snapshot, parse_snapshot_name, read_snapshot, snapshot_name, unpack_snapshot,
    write_snapshot,
};
