//! The archive's form: a ledger as the plain, immutable files of <https://c2sp.org/tlog-tiles>, with the blocks themselves
//! beside them, so that any reader of that form checks the tree and the cluster's own objects can be made again byte by
//! byte.
//!
//! Must not: read or write an object. It is given bytes and gives bytes.

mod blocks;
mod check;
mod growth;
mod name;
mod tiling;
mod trouble;

pub use blocks::{BlocksError, read_blocks};
pub use check::TileCheck;
pub use growth::Growth;
pub use name::{ArchiveName, NameError, TileKind, TileName, tiles_of};
pub use tiling::{ArchiveObject, Tiling, TilingError};
pub use trouble::ArchiveTrouble;
