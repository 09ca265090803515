//! Waiting for a condition: the only place that pauses.

use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(40);

/// Asks until there is an answer, for at most 30 seconds.
pub fn eventually<T>(ask: impl FnMut() -> Option<T>) -> Option<T> {
    eventually_within(Duration::from_secs(30), ask)
}

/// Asks until there is an answer, for at most `limit`; at least once.
#[expect(clippy::disallowed_methods, reason = "this is the one place that waits for the outside world")]
pub fn eventually_within<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
