//! Miax: constitution as code for Kubernetes.
//!
//! Dependencies point down; `tests/layering.rs` holds the table and fails on an upward or sideways import.
//! Ranks 0 to 3 are pure: no clock, no network, no file, no environment, no Kubernetes client.

// rank 0
pub mod units;
// rank 1
pub mod api;
// rank 2
pub mod slo;
pub mod trust;
// rank 3
pub mod constitution;
pub mod ledger;
// rank 4
pub mod store;
#[cfg(feature = "operator")]
pub mod telemetry;
// rank 5
#[cfg(feature = "operator")]
pub mod admission;
pub mod cli;
#[cfg(feature = "operator")]
pub mod controllers;
// rank 6
#[cfg(feature = "operator")]
pub mod operator;
