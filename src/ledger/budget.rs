//! How much of the ledger may be in the cluster: etcd is shared with everybody else, and at its quota the whole cluster can
//! only be read (docs/adr/0022).

/// The least that a budget can be, in bytes: below it one round of appends would not fit.
const LEAST: u64 = 256 * 1024;
/// What is allowed without a setting.
const DEFAULT: u64 = 64 * 1024 * 1024;
/// The part of the budget, one of this many, that is kept for a class alone.
const SHARE: u64 = 16;
/// Bytes that may come to the entries of one round of appends: headers, seals and edges of its blocks.
const ROUND_OVERHEAD: u64 = 48 * 1024;
/// Bytes of metadata that the API server adds to a block, at most.
const OBJECT_OVERHEAD: u64 = 1024;

/// The most bytes of blocks that may be in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(u64);

/// What is in the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HotSize {
    /// Bytes of the blocks, as the API server stores them, rounded up.
    pub bytes: u64,
    /// Number of blocks.
    pub blocks: u64,
}

/// What an entry is worth when there is not room for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntryClass {
    /// A refusal. It stands also when it is not recorded, but then it says so. The first to find no room: whoever is refused
    /// again and again must not keep others from being allowed.
    Refusal,
    /// An allow, or what follows from one.
    Ordinary,
    /// The end of what was begun, and whatever makes room.
    Closing,
}

/// How full the budget is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Below half of what ordinary entries may use.
    #[default]
    Low,
    /// From half on: people should look.
    Warn,
    /// From four fifths on: refusals are only counted, all together.
    Fold,
    /// Ordinary entries find no room.
    Full,
}

impl Default for Budget {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl Budget {
    /// A budget of this many bytes; at least 256 KiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        Self(bytes.max(LEAST))
    }

    /// The most bytes that may be in the cluster.
    #[must_use]
    pub fn cap(self) -> u64 {
        self.0
    }

    /// The most bytes with which an entry of this class still finds room.
    #[must_use]
    pub fn limit(self, class: EntryClass) -> u64 {
        match class {
            EntryClass::Closing => self.0,
            EntryClass::Ordinary => self.0 - self.0 / SHARE,
            EntryClass::Refusal => self.0 - 2 * (self.0 / SHARE),
        }
    }

    /// Whether entries of this class find room after `used` bytes. `entries` is what they have before packing, together with
    /// whatever is appended in the same round: packing only makes them smaller.
    #[must_use]
    pub fn admits(self, used: HotSize, entries: u64, class: EntryClass) -> bool {
        let after = used.bytes.saturating_add(entries).saturating_add(ROUND_OVERHEAD);
        after <= self.limit(class)
    }

    /// How full it is.
    #[must_use]
    pub fn pressure(self, used: HotSize) -> Pressure {
        // What a round may bring counts as used: at `Full` nothing ordinary is admitted.
        let (used, limit) = (used.bytes.saturating_add(ROUND_OVERHEAD), self.limit(EntryClass::Ordinary));
        match () {
            () if used >= limit => Pressure::Full,
            () if used >= limit / 5 * 4 => Pressure::Fold,
            () if used >= limit / 2 => Pressure::Warn,
            () => Pressure::Low,
        }
    }
}

impl HotSize {
    /// Adds a block of this many bytes in its four parts.
    pub fn add(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(OBJECT_OVERHEAD);
        self.blocks += 1;
    }

    /// Takes a block of this many bytes away.
    pub fn remove(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_sub(bytes.saturating_add(OBJECT_OVERHEAD));
        self.blocks = self.blocks.saturating_sub(1);
    }
}

impl EntryClass {
    /// Every class, the first to find no room first.
    pub const ALL: [Self; 3] = [Self::Refusal, Self::Ordinary, Self::Closing];

    /// The word in messages and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refusal => "refusal",
            Self::Ordinary => "ordinary",
            Self::Closing => "closing",
        }
    }
}

impl Pressure {
    /// The number in metrics: 0 low, 1 warn, 2 fold, 3 full.
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::Low => 0,
            Self::Warn => 1,
            Self::Fold => 2,
            Self::Full => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hot(bytes: u64) -> HotSize {
        HotSize { bytes, blocks: 0 }
    }

    #[test]
    fn classes_find_room_in_their_order() {
        let budget = Budget::new(64 << 20);
        let room = |used: u64, class| budget.admits(hot(used), 1000, class);
        let all = |used| EntryClass::ALL.map(|class| room(used, class));
        let limit = |class| budget.limit(class) - ROUND_OVERHEAD - 1000;
        assert_eq!(all(limit(EntryClass::Refusal)), [true, true, true]);
        assert_eq!(all(limit(EntryClass::Refusal) + 1), [false, true, true]);
        assert_eq!(all(limit(EntryClass::Ordinary) + 1), [false, false, true]);
        assert_eq!(all(limit(EntryClass::Closing) + 1), [false, false, false]);
    }

    #[test]
    fn pressure_grows_with_what_is_used() {
        let budget = Budget::default();
        let limit = budget.limit(EntryClass::Ordinary);
        let check = |used: u64, expected| assert_eq!(budget.pressure(hot(used)), expected, "{used}");
        check(0, Pressure::Low);
        check(limit / 2 - ROUND_OVERHEAD - 1, Pressure::Low);
        check(limit / 2 - ROUND_OVERHEAD, Pressure::Warn);
        check(limit / 5 * 4 - ROUND_OVERHEAD, Pressure::Fold);
        check(limit - ROUND_OVERHEAD, Pressure::Full);
        check(u64::MAX, Pressure::Full);
        assert_eq!(Budget::new(0).cap(), LEAST);
    }

    proptest! {
        #[test]
        fn what_is_admitted_never_passes_the_cap(cap in any::<u64>(), used in any::<u64>(), entries in any::<u64>()) {
            let budget = Budget::new(cap);
            for class in EntryClass::ALL {
                if budget.admits(hot(used), entries, class) {
                    prop_assert!(used + entries + ROUND_OVERHEAD <= budget.cap());
                }
            }
            let full = budget.pressure(hot(used)) == Pressure::Full;
            prop_assert!(!full || !budget.admits(hot(used), 1, EntryClass::Ordinary));
        }
    }
}
