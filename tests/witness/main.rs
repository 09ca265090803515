//! Witnesses as they run: the real binary as the server, over HTTP.

#![expect(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod http;
mod log;
mod served;
mod server;
