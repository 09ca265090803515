//! Where a command stands.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::LogIndex;

use super::super::event::{DecisionEvent, EffectBeginEvent, EffectEndEvent};

/// Where a command stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandState {
    /// Stored without effect until people have signed it.
    Held {
        /// Index of the newest decision about it.
        index: LogIndex,
        /// The decision.
        decision: Arc<DecisionEvent>,
    },
    /// Judged and allowed.
    Allowed {
        /// Index of the decision.
        index: LogIndex,
        /// The decision.
        decision: Arc<DecisionEvent>,
    },
    /// It changed State.
    Enacted {
        /// Index of `enact`.
        index: LogIndex,
        /// What it did, in a few words.
        summary: Arc<str>,
    },
    /// An executor began; the command is consumed.
    Running {
        /// Index of `effect.begin`.
        index: LogIndex,
        /// What was begun.
        begin: Arc<EffectBeginEvent>,
    },
    /// The action is done.
    Done {
        /// Index of `effect.done`.
        index: LogIndex,
        /// How it ended.
        end: Arc<EffectEndEvent>,
    },
    /// The action failed or cannot be told.
    Failed {
        /// Index of `effect.failed`.
        index: LogIndex,
        /// How it ended.
        end: Arc<EffectEndEvent>,
    },
}

impl CommandState {
    /// Index of the entry that brought it here.
    #[must_use]
    pub fn index(&self) -> LogIndex {
        match self {
            Self::Held { index, .. }
            | Self::Allowed { index, .. }
            | Self::Enacted { index, .. }
            | Self::Running { index, .. }
            | Self::Done { index, .. }
            | Self::Failed { index, .. } => *index,
        }
    }

    /// Whether it has not come to its end.
    #[must_use]
    pub(super) fn is_open(&self) -> bool {
        match self {
            Self::Held { .. } | Self::Allowed { .. } | Self::Running { .. } => true,
            Self::Enacted { .. } | Self::Done { .. } | Self::Failed { .. } => false,
        }
    }
}
