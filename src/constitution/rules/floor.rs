//! Floors: the fewest people who must agree, whatever the rules of the charter ask for. Checked after all rules; none of them
//! can relax it.

use crate::api::reason::Reason;
use crate::trust::VerifiedSignature;

use super::super::charter::{Charter, Floor};
use super::super::command::Command;
use super::super::count::persons;
use super::super::decision::Finding;

/// A finding for each floor that covers the command and is not reached.
pub(in super::super) fn floors(command: &Command, charter: &Charter, signatures: &[VerifiedSignature]) -> Vec<Finding> {
    let agreeing = persons(charter, signatures);
    let have = u32::try_from(agreeing.len()).unwrap_or(u32::MAX);
    let missed = charter.floors.iter().filter(|f| covers(f, command, charter) && have < f.min_persons);
    missed
        .map(|floor| Finding {
            reason: Reason::FloorNotMet,
            message: format!(
                "a floor of the charter asks for {} different persons, and {have} signed; no rule can relax it",
                floor.min_persons
            ),
            rule: None,
            next: None,
        })
        .collect()
}

fn covers(floor: &Floor, command: &Command, charter: &Charter) -> bool {
    let Floor { actions, namespaces, impact, min_persons: _ } = floor;
    let raised = charter.impact(&command.action, command.namespace(), command.impact);
    raised >= *impact
        && (actions.is_empty() || actions.contains(command.action.name()))
        && (namespaces.is_empty() || namespaces.contains(command.namespace()))
}
