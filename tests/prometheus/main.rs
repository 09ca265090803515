//! The client against a real Prometheus: what it asks is understood, and what is answered is read right.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod client;
mod support;
