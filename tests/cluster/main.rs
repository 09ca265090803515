//! Miax on a real API server, as processes with the tokens of its own service accounts.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod actions;
mod amendments;
mod archive;
mod articles;
mod audits;
mod budgets;
mod coverage;
mod door;
mod epochs;
mod events;
mod faults;
mod forwarding;
mod gate;
mod gated_kinds;
mod gitops;
mod guards;
mod hold;
mod inputs;
mod keys;
mod load;
mod oversight;
mod privacy;
mod prometheus_rules;
mod pruning;
mod rules;
mod simulate;
mod standing;
mod support;
mod witnesses;
mod workload_coverage;
