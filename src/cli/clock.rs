//! The one place of the CLI that reads the wall clock.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::units::UnixSeconds;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place of the CLI that reads the clock")]
pub(super) fn now() -> UnixSeconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixSeconds::new(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
