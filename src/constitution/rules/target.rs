//! The target of a command: it must be there, and in the state that the command was made for.

use crate::api::reason::Reason;

use super::super::command::Command;
use super::super::decision::Finding;
use super::super::facts::TargetFact;

/// Refuses a command whose target is missing, unknown, or no longer in the state that its precondition names.
pub(in super::super) fn target(command: &Command, fact: &TargetFact) -> Option<Finding> {
    let finding = |reason, message| Some(Finding { reason, message, rule: None, next: None });
    // What changes no workload names none.
    let target = command.action.target()?;
    let state = match fact {
        TargetFact::Found(state) => state,
        TargetFact::Missing => {
            return finding(Reason::TargetMissing, format!("there is no {}", target));
        }
        TargetFact::Stale | TargetFact::NotNamed => {
            let message = format!("the view of {} is not complete or too old; try again", target);
            return finding(Reason::FactsStale, message);
        }
    };
    let wanted = command.generation.filter(|g| *g != state.generation)?;
    let message = format!("{} has the generation {}, the command was made for {wanted}", target, state.generation);
    finding(Reason::PreconditionFailed, message)
}
