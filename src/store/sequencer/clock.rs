//! The times that a writer writes: its own never go back.

use crate::units::UnixMillis;

use super::Sequencer;

/// How far a clock may go back before the writer ends, in milliseconds.
const PATIENCE: u64 = 10_000;

impl<S> Sequencer<S> {
    /// The time for what is written next: never earlier than what this writer wrote before. A clock that was set back for
    /// longer than a moment ends the writer, so that the next one begins with the right time.
    pub(super) fn now(&mut self) -> UnixMillis {
        let now = (self.clock)();
        if now.0.saturating_add(PATIENCE) < self.newest.0 {
            tracing::warn!(from = self.newest.0, to = now.0, "the clock was set back; a new writer begins");
            self.writer = None;
            self.newest = now;
        }
        self.newest = self.newest.max(now);
        self.newest
    }
}
