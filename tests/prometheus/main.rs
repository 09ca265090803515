//! The client, and what is asked about objectives, against a real Prometheus.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod client;
mod fleet;
mod slo;
mod support;
