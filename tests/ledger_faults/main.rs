//! Appending under faults: whatever happens, the log verifies, and what was acknowledged is in it exactly once.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod forward;
mod keys;
mod memory;
mod prune;
mod room;
mod table;
mod touched;
