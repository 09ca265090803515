//! Where a command stands.

use std::sync::Arc;

use crate::units::LogIndex;

use super::super::event::{DecisionEvent, EffectBeginEvent, EffectEndEvent, ObjectRef};

/// Where a command stands.
#[derive(Clone, Debug, PartialEq, Eq)]
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
        /// The organ that its author signed for.
        author: Arc<str>,
        /// Its object.
        object: Arc<ObjectRef>,
        /// Whether an executor has to act on a workload.
        on_workload: bool,
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
