//! The order of effects: commands on workloads begin in the order in which the ledger allowed them, also after a restart, when
//! the API server lists them by name.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::units::Digest;

/// How long a command waits for an earlier one that nobody comes to carry out: its object is gone, was
/// never stored, or cannot be read.
const PATIENCE: Duration = Duration::from_secs(10);

/// Earlier commands that others wait for.
#[derive(Debug, Default)]
pub struct Queue {
    /// Since when somebody waits; `None` once nobody waits any more.
    awaited: Mutex<HashMap<Digest, Option<Instant>>>,
}

impl Queue {
    /// The first of `ahead` that is worth waiting for.
    pub(super) fn waits_for(&self, ahead: impl Iterator<Item = Digest>) -> Option<Digest> {
        let Ok(mut awaited) = self.awaited.lock() else { return None };
        let now = Instant::now();
        let worth = ahead.filter(|digest| match awaited.entry(*digest).or_insert(Some(now)) {
            Some(since) => now.duration_since(*since) < PATIENCE,
            None => false,
        });
        // All of them are looked at: the patience with each runs at the same time.
        worth.fold(None, |first, digest| first.or(Some(digest)))
    }

    /// Nobody waits for this command: the judge refuses it as things stand.
    pub(super) fn pass_over(&self, digest: Digest) {
        if let Ok(mut awaited) = self.awaited.lock() {
            awaited.insert(digest, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_waits_for_earlier_ones_but_not_for_ever() {
        let queue = Queue::default();
        let (first, second) = (Digest([1; 32]), Digest([2; 32]));
        assert_eq!(queue.waits_for([].into_iter()), None);
        assert_eq!(queue.waits_for([first, second].into_iter()), Some(first));
        queue.pass_over(first);
        assert_eq!(queue.waits_for([first, second].into_iter()), Some(second), "the refused one is passed over");
        tokio::time::advance(PATIENCE).await;
        assert_eq!(queue.waits_for([first, second].into_iter()), None, "and the one that nobody comes for");
    }
}
