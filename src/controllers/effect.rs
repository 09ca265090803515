//! Carrying an approved action out, once.
//!
//! `effect.begin` is in the ledger before anything is touched, and is the fence: only one executor can append it. The world
//! after a crash: before it, nothing happened and the command is begun again. After it, the target tells: it shows the
//! action, or it is as it was when the action began, and then it is safe to do it now. If it is neither, somebody else
//! changed it meanwhile, and nobody can tell any more: that is written down, and the command is not tried again.

use std::time::Duration;

use kube::{Client, ResourceExt as _};

use crate::api::reason::Reason;
use crate::constitution::{Effect, EffectBeginEvent, EffectEndEvent, Proposal, Target, TargetFact, WorkloadAction};
use crate::units::{Digest, LogIndex};

use super::workload::{ChangeError, change, fact, read, shows};
use super::{Context, Error};

/// How long one action may take. A leader that loses its lease stops within this time, so that the next one never looks at
/// a target while the old one still changes it.
const DEADLINE: Duration = Duration::from_secs(8);

/// An action that began.
pub(super) struct Begun<'a> {
    pub(super) digest: Digest,
    pub(super) action: &'a WorkloadAction,
    pub(super) target: &'a Target,
    pub(super) begin: &'a EffectBeginEvent,
    pub(super) index: LogIndex,
}

/// What a look at the target says about an action that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    /// It happened.
    Done,
    /// Nothing happened since it began.
    Untouched,
    /// The target is gone, or another one, or was changed by somebody else.
    Lost,
}

/// Does the action if it did not happen yet, and records how it ended.
pub(super) async fn carry_out(context: &Context, begun: &Begun<'_>) -> Result<(), Error> {
    let client = (context.seats)(&begun.begin.executor)?;
    let effect = match tokio::time::timeout(DEADLINE, act(&client, context, begun)).await {
        Ok(Ok(effect)) => effect,
        Ok(Err(error)) => return Err(Error::EffectPending(error)),
        Err(_) => return Err(Error::EffectPending(format!("no answer in {} s", DEADLINE.as_secs()))),
    };
    let (event, word) = match &effect {
        Effect::Done(end) => (end, "done"),
        Effect::Failed(end) => (end, "failed"),
    };
    tracing::info!(digest = %event.digest, began = event.began.0, reason = %event.reason, word, "effect ended");
    context.ledger.append(Proposal::End(effect), context.facts(TargetFact::NotNamed)).await?;
    Ok(())
}

async fn act(client: &Client, context: &Context, begun: &Begun<'_>) -> Result<Effect, String> {
    let object = read(client, begun.target).await.map_err(|e| e.to_string())?;
    let trace = match &object {
        None => Trace::Lost,
        Some(object) => {
            let shows =
                shows(client, object, begun.target, begun.action, &begun.digest).await.map_err(|e| e.to_string())?;
            look(&fact(Some(object)), shows, &begun.begin.observed)
        }
    };
    let view = context.ledger.view();
    let veto = view.state.vetoed(&begun.digest, (context.clock)().into());
    let version = object.and_then(|o| o.resource_version());
    match trace {
        Trace::Done => Ok(Effect::Done(end(begun, Reason::EffectDone, begun.begin.summary.clone(), version))),
        Trace::Lost => {
            let message = format!("{} was changed or replaced before the action could be confirmed", begun.target);
            Ok(Effect::Failed(end(begun, Reason::EffectUnknown, message, version)))
        }
        Trace::Untouched if let Some(veto) = veto => {
            let message = format!("it was vetoed (ledger entry {}) before anything was done", veto.index);
            Ok(Effect::Failed(end(begun, Reason::Vetoed, message, version)))
        }
        Trace::Untouched => match change(client, begun.target, begun.action, &begun.digest).await {
            Ok(version) => Ok(Effect::Done(end(begun, Reason::EffectDone, begun.begin.summary.clone(), version))),
            Err(ChangeError::Refused(why)) => Ok(Effect::Failed(end(begun, Reason::EffectFailed, why, version))),
            Err(error @ ChangeError::Unknown(_)) => Err(error.to_string()),
        },
    }
}

/// Compares the target with what it was when the action began.
fn look(now: &TargetFact, shows: bool, then: &crate::constitution::TargetState) -> Trace {
    match now {
        TargetFact::Found(state) if state.uid != then.uid => Trace::Lost,
        TargetFact::Found(_) if shows => Trace::Done,
        TargetFact::Found(state) if state.generation == then.generation => Trace::Untouched,
        TargetFact::Found(_) | TargetFact::Missing | TargetFact::NotNamed | TargetFact::Stale => Trace::Lost,
    }
}

fn end(begun: &Begun<'_>, reason: Reason, message: String, resource_version: Option<String>) -> EffectEndEvent {
    EffectEndEvent {
        object: begun.begin.object.clone(),
        digest: begun.digest,
        began: begun.index,
        reason,
        message: message.chars().take(MAX_MESSAGE).collect(),
        resource_version,
    }
}

/// Most characters of Kubernetes' answer that are recorded.
const MAX_MESSAGE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::TargetState;

    fn state(uid: &str, generation: i64) -> TargetState {
        TargetState { uid: uid.into(), generation, resource_version: "9".into() }
    }

    #[test]
    fn after_a_crash_the_target_tells() {
        let then = state("a", 4);
        let check = |name: &str, now: TargetFact, shows: bool, expected: Trace| {
            assert_eq!(look(&now, shows, &then), expected, "{name}");
        };
        check("it shows the action", TargetFact::Found(state("a", 5)), true, Trace::Done);
        check("it had the wanted state before", TargetFact::Found(state("a", 4)), true, Trace::Done);
        check("nothing happened", TargetFact::Found(state("a", 4)), false, Trace::Untouched);
        check("somebody else changed it", TargetFact::Found(state("a", 5)), false, Trace::Lost);
        check("it is another one of that name", TargetFact::Found(state("b", 4)), true, Trace::Lost);
        check("it is gone", TargetFact::Missing, false, Trace::Lost);
    }
}
