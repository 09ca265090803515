//! For how long the log has been larger than what a quorum of witnesses vouches for. A log at rest is witnessed for as long as
//! it rests.

use crate::units::{Seconds, UnixSeconds};

/// Follows the sizes of the log and of its newest witnessed checkpoint, as one process sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WitnessLag {
    /// The largest size that a quorum vouches for; of no entries there is nothing to vouch for.
    witnessed: u64,
    /// Since when a quorum vouches for it.
    since: UnixSeconds,
    /// The largest size of the log that was seen.
    size: Option<u64>,
    /// Since when the log is larger than what is witnessed.
    outgrown: Option<UnixSeconds>,
}

impl WitnessLag {
    /// Takes the size of the log in.
    pub fn saw(&mut self, size: u64, now: UnixSeconds) {
        // A process that starts cannot know since when the log is larger; at most since the quorum said that it was not.
        let began = if self.size.is_none() { self.since.min(now) } else { now };
        self.size = self.size.max(Some(size));
        if self.size <= Some(self.witnessed) {
            self.outgrown = None;
        } else if self.outgrown.is_none() {
            self.outgrown = Some(began);
        }
    }

    /// Takes in that a quorum vouches for a size since a time by the witnesses' clocks.
    pub fn witnessed(&mut self, size: u64, since: UnixSeconds, now: UnixSeconds) {
        if size < self.witnessed {
            return;
        }
        let grown = size > self.witnessed;
        (self.witnessed, self.since) = (size, self.since.max(since));
        if self.size <= Some(size) {
            self.outgrown = None;
        } else if grown {
            // What came after it came after it was signed, a moment ago.
            self.outgrown = Some(now);
        }
    }

    /// The largest size that a quorum vouches for.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.witnessed
    }

    /// Since when too few have vouched, when that is for longer than `most`: since the log outgrew what they vouch for, or since they
    /// vouched for anything at last. Witnesses are asked again also while the log rests: a ledger that was rolled back has only old
    /// answers to show.
    #[must_use]
    pub fn late(&self, most: Seconds, now: UnixSeconds) -> Option<UnixSeconds> {
        let vouched = (self.witnessed > 0).then_some(self.since);
        [self.outgrown, vouched].into_iter().flatten().find(|since| now.since(*since) > most)
    }

    /// For how long.
    #[must_use]
    pub fn age(&self, now: UnixSeconds) -> Seconds {
        self.outgrown.map_or(Seconds(0), |since| now.since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds::new(seconds)
    }

    #[test]
    fn age_counts_all_blocks_entry_that_is_not_witnessed() {
        let mut lag = WitnessLag::default();
        lag.saw(0, at(10));
        assert_eq!(lag.age(at(1000)), Seconds(0), "of nothing there is nothing to witness");
        lag.saw(3, at(1000));
        lag.saw(5, at(1010));
        assert_eq!(lag.age(at(1020)), Seconds(20));
        lag.witnessed(5, at(1021), at(1022));
        assert_eq!((lag.age(at(5000)), lag.size()), (Seconds(0), 5), "a log at rest is witnessed");
        assert_eq!(lag.late(Seconds(30), at(1051)), None);
        assert_eq!(lag.late(Seconds(30), at(1052)), Some(at(1021)), "they have said nothing since");
        lag.saw(6, at(5000));
        lag.saw(9, at(5010));
        assert_eq!(lag.age(at(5030)), Seconds(30));
        assert_eq!(lag.late(Seconds(20), at(5030)), Some(at(5000)));
        lag.witnessed(7, at(5031), at(5031));
        assert_eq!(lag.age(at(5032)), Seconds(1), "a log that grows and is witnessed has no age");
        lag.witnessed(7, at(5040), at(5040));
        assert_eq!(lag.age(at(5042)), Seconds(11), "saying the same again covers nothing new");
        lag.witnessed(4, at(5043), at(5043));
        assert_eq!(lag.size(), 7, "never less than before");
        lag.witnessed(9, at(5044), at(5044));
        assert_eq!(lag.age(at(9000)), Seconds(0));
    }

    #[test]
    fn a_process_that_starts_counts_from_what_the_quorum_said() {
        let mut lag = WitnessLag::default();
        lag.witnessed(5, at(900), at(1000));
        lag.saw(8, at(1000));
        assert_eq!(lag.age(at(1000)), Seconds(100));
        let mut ahead = WitnessLag::default();
        ahead.witnessed(5, at(1200), at(1000));
        ahead.saw(8, at(1000));
        assert_eq!(ahead.age(at(1000)), Seconds(0), "a witness's clock may be ahead");
        let mut never = WitnessLag::default();
        never.saw(8, at(1000));
        assert!(never.age(at(1000)) >= Seconds(1000), "nothing was ever witnessed");
        assert_eq!(never.late(Seconds(30), at(1000)), Some(at(0)));
    }
}
