//! The command line as people use it: the real binary, real OpenSSH keys, a real ssh-agent.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "cli/archives.rs"]
mod archives;
#[path = "cli/audit.rs"]
mod audit;
#[path = "cli/book.rs"]
mod book;
#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/drafts.rs"]
mod drafts;
#[path = "cli/floods.rs"]
mod floods;
#[path = "cli/forks.rs"]
mod forks;
#[path = "cli/keys.rs"]
mod keys;
#[path = "cli/ledger.rs"]
mod ledger;
#[path = "cli/packs.rs"]
mod packs;
#[path = "cli/payloads.rs"]
mod payloads;
#[path = "cli/pruned.rs"]
mod pruned;
#[path = "cli/reading.rs"]
mod reading;
#[path = "cli/replay.rs"]
mod replay;
#[path = "cli/showing.rs"]
mod showing;
#[path = "cli/signing.rs"]
mod signing;
#[path = "cli/slo.rs"]
mod slo;
#[path = "cli/suites.rs"]
mod suites;
#[path = "cli/words.rs"]
mod words;
