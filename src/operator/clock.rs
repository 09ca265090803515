//! The one place of the operator that reads the wall clock and asks for randomness; everything else is handed both.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::store::{Clock, Seed};
use crate::units::UnixMillis;

/// The wall clock.
pub(super) fn wall_clock() -> Clock {
    Arc::new(now)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Random bytes of the operating system.
///
/// # Errors
/// When the operating system has none; the operator does not start then.
pub(super) fn random_bytes() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A source of secret bytes for writer keys: an expansion of a seed that the operating system gave once, so that it cannot
/// fail later.
pub(super) fn seed_source(seed: [u8; 32]) -> Seed {
    let counter = std::sync::atomic::AtomicU64::new(0);
    Arc::new(move || {
        let count = counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut input = seed.to_vec();
        input.extend_from_slice(&count.to_be_bytes());
        crate::trust::sha256(&input).0
    })
}
