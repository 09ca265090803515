//! The judge, by tables: one row a case, its name a sentence, a refusal asserts its reason.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod acts;
mod amendments;
mod charters;
mod commands;
mod delegation;
mod emergency;
mod epochs;
mod freezes;
mod government;
#[path = "../shared/hardware_key.rs"]
mod hardware_key;
mod hold;
mod laws;
mod model;
mod objectives;
mod org;
mod oversight;
mod plans;
mod routing;
mod time;
mod witnessing;
