//! Epochs: after a disaster the ledger goes on with what is left of it, if the people whom the charter names for that say so.

use serde_json::Value;

use crate::units::{LogIndex, UnixSeconds};

use super::super::action::{Action, OpenEpoch, StateAction};
use super::super::command::Command;
use super::super::event::EpochOpenEvent;
use super::super::facts::{Facts, TargetFact};
use super::super::judge::judge_command;
use super::super::rules::audience_name;
use super::{CommandState, State, StateError};

impl State {
    /// The epoch of the ledger; 0 until one is opened.
    #[must_use]
    pub fn epoch(&self) -> u16 {
        self.epoch
    }

    /// What opens the epoch that a signed command asks for, at this time.
    ///
    /// # Errors
    /// A sentence: what the command is not, or why the charter does not allow it.
    pub fn opening(&self, command: &Value, now: UnixSeconds) -> Result<EpochOpenEvent, String> {
        let asked = asked_for(command)?;
        let document = Command::read(command).map_err(|e| e.to_string())?.document;
        let charter = self.charter(now).ok_or("no charter is in force in what is left of the ledger")?;
        // Which cluster it is for follows from the ledger that it names by its root; the audience must be one of the charter's.
        let clusters = &charter.charter.clusters;
        let meant = clusters.iter().find(|(name, _)| document.audience.contains(&audience_name(name, self.epoch)));
        let uid = meant.map(|(_, uid)| uid.clone()).unwrap_or_default();
        let facts = Facts { now, cluster_uid: uid, genesis: None, target: TargetFact::NotNamed, budgets: Vec::new() };
        let judged = judge_command(command, self, &facts);
        if !judged.decision.is_allowed() {
            let told: Vec<String> =
                judged.decision.findings.iter().map(|f| format!("{}: {}", f.reason.as_str(), f.message)).collect();
            return Err(told.join("; "));
        }
        let OpenEpoch { epoch, blocks, entries, root, checkpoint: _ } = asked;
        Ok(EpochOpenEvent {
            epoch,
            blocks,
            entries,
            root,
            object: document.object,
            digest: document.digest,
            command: command.to_string(),
            signers: judged.signers,
            now,
        })
    }

    /// Takes the opening in, if it is what its own command asks for and the charter allows that.
    pub(super) fn open_epoch(&mut self, index: LogIndex, event: &EpochOpenEvent) -> Result<(), StateError> {
        let wrong = |what: String| StateError::Opening { index, what };
        let command: Value = serde_json::from_str(&event.command).map_err(|e| wrong(format!("the command: {e}")))?;
        let expected = self.opening(&command, event.now).map_err(wrong)?;
        if expected != (EpochOpenEvent { command: expected.command.clone(), ..event.clone() }) {
            return Err(wrong("it does not do what its command asks for".to_owned()));
        }
        let summary = StateAction::OpenEpoch(Box::new(asked_for(&command).map_err(wrong)?)).summary();
        self.set(event.digest, CommandState::Enacted { index, summary: summary.as_str().into() });
        self.epoch = event.epoch;
        Ok(())
    }
}

fn asked_for(command: &Value) -> Result<OpenEpoch, String> {
    match Command::read(command).map_err(|e| e.to_string())?.action {
        Action::State(StateAction::OpenEpoch(asked)) => Ok(*asked),
        other => Err(format!("it is a command to {}, not to open an epoch", other.name())),
    }
}
