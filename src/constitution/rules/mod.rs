//! The rules that the engine always applies to a signed document, beside those that the charter writes. Each gives its
//! findings; all are run, and every finding is reported.

mod audience;
mod consumed;
mod floor;
mod freeze;
mod ground;
mod obligation;
mod oversight;
mod quorum;
mod revoked;
mod route;
mod target;
mod validity;
mod version;

pub(super) use audience::{audience, audience_name};
pub(super) use consumed::consumed;
pub(super) use floor::floors;
pub(super) use ground::ground;
pub(super) use obligation::overdue;
pub(super) use oversight::{Case, state_action, vetoed};
pub(super) use quorum::{Counted, quorum};
pub(super) use revoked::{ended, revoked};
pub(super) use route::{may_send, route};
pub(super) use target::target;
pub(super) use validity::{effect_ahead, ratified_in_time, signing_times, validity, window};
pub(super) use version::version;
