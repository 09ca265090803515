//! A draft: judged proposals with their entries, before they are durable.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::constitution::{Event, Facts, Outcome, Proposal, State, deliberate};
use crate::units::LogIndex;

use super::handle::{AppendError, Committed, Submission};

/// Judges a proposal. One object that the judge stumbles over must not end the process for all others.
pub(super) fn judge_safely(proposal: &Proposal, state: &State, facts: &Facts) -> Result<Outcome, AppendError> {
    catch_unwind(AssertUnwindSafe(|| deliberate(proposal, state, facts)))
        .map_err(|_| AppendError::Unrecordable("the judge failed".to_owned()))
}

/// Judged proposals with their entries, in order.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) events: Vec<Event>,
    pub(super) bytes: Vec<Vec<u8>>,
    /// Each submission with its answer and how many entries must be durable before it is given.
    pub(super) answers: VecDeque<(usize, Submission, Committed)>,
}

impl Draft {
    /// Adds an entry, if State takes it.
    pub(super) fn push(
        &mut self,
        event: Event,
        bytes: Vec<u8>,
        state: &mut State,
        next: &mut LogIndex,
    ) -> Result<(), AppendError> {
        state.apply(*next, &event).map_err(|e| AppendError::Unrecordable(e.to_string()))?;
        *next = LogIndex(next.0 + 1);
        self.events.push(event);
        self.bytes.push(bytes);
        Ok(())
    }

    /// Drops the entries from `length` on.
    pub(super) fn truncate(&mut self, length: usize) {
        self.events.truncate(length);
        self.bytes.truncate(length);
    }

    /// Answers every submission whose entries are durable.
    pub(super) fn answer(&mut self, durable: usize) {
        while let Some((_, submission, committed)) = self.answers.pop_front_if(|(needed, _, _)| *needed <= durable) {
            let _ = submission.answer.send(Ok(committed));
        }
    }
}
