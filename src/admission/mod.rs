//! The webhook: bytes to a review, a review to a request and facts, a decision to an answer.
//!
//! Must not: decide (that is `constitution::judge`), call anything on the way to an answer but the ledger append, or let an
//! error become an allow.

mod certificates;
mod door;
mod gated;
mod gated_review;
mod handler;
mod objectives;
mod peers;
mod review;
mod salts;
mod server;
mod snapshot;

pub use certificates::{Authority, AuthorityError, AuthorityStep, Leaf, PeerRole};
pub use door::{Door, DoorError};
pub use handler::{Doubts, Webhook};
pub use objectives::ObjectiveCache;
pub use peers::{PeerError, PeerTls};
pub use review::{Review, ReviewError, respond};
pub use salts::{Randomness, Salts};
pub use server::{ServeError, Server, router};
pub use snapshot::{Snapshot, WorkloadCache};
