//! What can be wrong with an archive.

/// What is wrong with an archive, in one word: the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArchiveTrouble {
    /// It holds more than the ledger, or the ledger does not go on from it.
    Ahead,
    /// What it holds is damaged or missing.
    Damaged,
    /// It holds other bytes than were written, or did not keep them.
    Differs,
    /// It does not answer in time.
    Late,
    /// A block of the ledger cannot be read.
    Ledger,
    /// It cannot be reached, is full, or refuses.
    Refused,
}

impl ArchiveTrouble {
    /// Every trouble.
    pub const ALL: [Self; 6] = [Self::Ahead, Self::Damaged, Self::Differs, Self::Late, Self::Ledger, Self::Refused];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ahead => "ahead",
            Self::Damaged => "damaged",
            Self::Differs => "differs",
            Self::Late => "late",
            Self::Ledger => "ledger",
            Self::Refused => "refused",
        }
    }
}
