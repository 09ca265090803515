//! The points that a verifier checks, by name, and what became of each. The list is that of docs/verify/checklist.md.

use std::collections::BTreeSet;

use crate::units::LogIndex;

use super::verify::{Finding, FindingClass, Report};

macro_rules! checks {
    ($($(#[doc = $doc:literal])+ $name:ident: $word:literal,)*) => {
        /// A point that a verifier checks.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Check {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Check {
            /// Every point, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name, in reports and in the list.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What is checked.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+).trim_ascii(),)* }
            }
        }
    };
}

checks! {
    /// Every block and checkpoint is of this log and epoch.
    OriginAndEpoch: "origin-and-epoch",
    /// The trust policy is signed, and each key is used inside of its window.
    TrustPolicy: "trust-policy",
    /// Names and numbers of blocks have no gaps.
    DenseBlocks: "dense-blocks",
    /// Every header has its one spelling.
    CanonicalHeader: "canonical-header",
    /// Every block cites the one before it.
    PreviousDigest: "previous-digest",
    /// First index and count of every block continue the log; none crosses a multiple of 256.
    ContiguousIndices: "contiguous-indices",
    /// Nothing is larger than its limit, before and while it is inflated.
    SizeLimits: "size-limits",
    /// The packed bytes are those that were sealed.
    PackedDigest: "packed-digest",
    /// Length, UTF-8, canonical form and fields of every entry, and that each fits to those before it.
    EntryForm: "entry-form",
    /// Every entry has the leaf hash that was sealed.
    LeafHashes: "leaf-hashes",
    /// The tree over the entries has the root and the edge that were sealed, at every block.
    TreeRoot: "tree-root",
    /// Every block is sealed by a writer whose key is valid there.
    WriterSeal: "writer-seal",
    /// Keys are introduced by a signed entry before they are used.
    KeyEvents: "key-events",
    /// Every checkpoint is signed by the log's key.
    CheckpointSignatures: "checkpoint-signatures",
    /// The root of every checkpoint is the recomputed one.
    CheckpointRoot: "checkpoint-root",
    /// All checkpoints that are known continue each other.
    CheckpointConsistency: "checkpoint-consistency",
    /// Enough witnesses have cosigned the checkpoint, at times that make sense.
    WitnessQuorum: "witness-quorum",
    /// Counts of folded floods are those of what was folded.
    FloodCounts: "flood-counts",
    /// Objects of an archive, and what entries say of archives and of pruning, are those of the log.
    ArchiveAndPrune: "archive-and-prune",
    /// An epoch cites the one before it.
    EpochLinks: "epoch-links",
    /// Heartbeats have no gaps.
    Heartbeats: "heartbeats",
    /// The largest size that is known is here.
    LargestKnownSize: "largest-known-size",
    /// Signatures inside of entries verify.
    EmbeddedSignatures: "embedded-signatures",
    /// Unknown kinds and versions are reported, never skipped.
    UnknownForms: "unknown-forms",
    /// The exit code tells the findings apart.
    ExitCodes: "exit-codes",
}

/// What became of a point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It held for everything that was looked at.
    Passed {
        /// How many entries that were.
        entries: u64,
    },
    /// It did not hold.
    Failed(Finding),
    /// There was nothing to check.
    NotApplicable {
        /// Why.
        because: &'static str,
    },
}

/// What lay before the verifier beside the blocks: by it is told whether a point has anything to check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Epoch of the log.
    pub epoch: u16,
    /// Whether witnesses were named whose cosignatures count.
    pub witnesses: bool,
    /// Whether what was read is an archive, whose objects are compared.
    pub archived: bool,
    /// How many other copies and kept checkpoints it was compared with.
    pub copies: usize,
    /// How many signed documents inside of entries were checked.
    pub documents: usize,
    /// The kinds of entries that were read.
    pub kinds: BTreeSet<&'static str>,
}

impl Check {
    /// Its number in the list, from 1.
    #[must_use]
    pub fn point(self) -> usize {
        Self::ALL.iter().take_while(|c| **c != self).count() + 1
    }

    /// Why there was nothing to check; `None` when there was.
    fn pointless(self, report: &Report, scope: &Scope) -> Option<&'static str> {
        let unless = |is: bool, because| (!is).then_some(because);
        match self {
            Self::TrustPolicy => Some("no policy is signed yet: the log's key was given by name"),
            Self::OriginAndEpoch
            | Self::DenseBlocks
            | Self::CanonicalHeader
            | Self::PreviousDigest
            | Self::ContiguousIndices
            | Self::SizeLimits
            | Self::PackedDigest
            | Self::EntryForm
            | Self::LeafHashes
            | Self::TreeRoot
            | Self::WriterSeal
            | Self::KeyEvents
            | Self::UnknownForms => unless(report.entries > report.first.0, "no entry could be verified"),
            Self::CheckpointSignatures => unless(report.checkpoints > 0, "no checkpoint was given"),
            Self::CheckpointRoot => unless(report.compared > 0, "no checkpoint was given whose entries are here"),
            Self::CheckpointConsistency => unless(
                report.compared > 1 || scope.copies > 0,
                "fewer than two checkpoints could be compared, and no other copy",
            ),
            // When the walk ended early, whether the rest is here was not looked at.
            Self::LargestKnownSize => unless(
                report.checkpoints > 0 && report.compared == report.checkpoints,
                "no checkpoint was given, or the walk ended before it",
            ),
            Self::WitnessQuorum => unless(scope.witnesses, "no witness was named"),
            Self::FloodCounts => unless(scope.kinds.contains("flood"), "nothing was folded"),
            Self::ArchiveAndPrune => unless(
                scope.archived || scope.kinds.contains("archive.seal") || scope.kinds.contains("prune"),
                "this is no archive, and nothing was archived or pruned",
            ),
            Self::EpochLinks => unless(scope.epoch > 0, "this is the first epoch"),
            Self::Heartbeats => unless(scope.kinds.contains("heartbeat"), "no heartbeats are written"),
            Self::EmbeddedSignatures => unless(scope.documents > 0, "no entry holds a signed document"),
            Self::ExitCodes => Some("it is about the verifier itself; its own tests hold it"),
        }
    }

    fn outcome(self, report: &Report, scope: &Scope) -> Outcome {
        if let Some(finding) = report.findings.iter().find(|f| f.check == Some(self)) {
            return Outcome::Failed(finding.clone());
        }
        match self.pointless(report, scope) {
            Some(because) => Outcome::NotApplicable { because },
            None => Outcome::Passed { entries: report.entries - report.first.0 },
        }
    }
}

/// What became of every point, in the order of the list.
#[must_use]
pub fn outcomes(report: &Report, scope: &Scope) -> Vec<(Check, Outcome)> {
    Check::ALL.iter().map(|check| (*check, check.outcome(report, scope))).collect()
}

impl Finding {
    /// What is missing in the log itself, and not only in a copy of it, was taken away.
    pub fn of_the_log_itself(&mut self) {
        if (self.check, self.class) == (Some(Check::LargestKnownSize), FindingClass::Incomplete) {
            self.class = FindingClass::Tampered;
        }
    }

    /// A finding about a point.
    #[must_use]
    pub fn new(
        check: Check,
        class: FindingClass,
        object: impl Into<String>,
        entry: Option<LogIndex>,
        message: impl Into<String>,
    ) -> Self {
        Self { check: Some(check), class, object: object.into(), entry, message: message.into() }
    }
}
