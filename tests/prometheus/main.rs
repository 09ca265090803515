//! The client, and what is asked about objectives, against a real Prometheus.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod client;
#[expect(dead_code, reason = "shared with a bench, which uses the rest")]
mod fake;
mod fleet;
mod slo;
mod support;
