//! The judge, by tables: one row a case, its name a sentence, a refusal asserts its reason.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod amendments;
mod charters;
mod commands;
mod emergency;
mod laws;
mod model;
mod org;
mod oversight;
