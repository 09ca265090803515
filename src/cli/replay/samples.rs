//! Samples of floods: refusals that were judged before the entry that holds them was written.

use std::collections::HashMap;
use std::sync::Arc;

use crate::constitution::{DecisionEvent, Event};
use crate::store::Recorded;
use crate::units::LogIndex;

/// The samples of floods with the index of their entry, by how many entries there were when they were judged.
pub(super) fn samples(entries: &[Recorded]) -> HashMap<LogIndex, Vec<(LogIndex, &Arc<DecisionEvent>)>> {
    let mut samples: HashMap<LogIndex, Vec<_>> = HashMap::new();
    for Recorded { index, time: _, writer: _, event } in entries {
        if let Event::Flood(flood) = event {
            samples.entry(flood.after).or_default().push((*index, &flood.sample));
        }
    }
    samples
}
