//! The witnesses of this cluster's log: asked for cosignatures by the leading controller, heard of by the webhooks.
//!
//! Must not: believe a witness what is not signed, or wait for one that is slow.

mod endpoint;
mod leaves;
#[cfg(test)]
mod lies;
mod round;
mod standing;

pub use endpoint::{AddressError, Endpoint, EndpointError, WitnessAddress};
pub use round::{Heard, hear};
pub use standing::{Vouching, follow_anchor};

pub(super) use leaves::LeafError;
pub(super) use round::{CompareError, Question, Witnesses};
