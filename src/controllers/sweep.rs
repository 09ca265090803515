//! Commands whose object was deleted while their action ran: no reconcile will come for them, so that their end is written
//! here. The ledger never keeps an action open for ever.

use std::sync::Arc;
use std::time::Duration;

use kube::Api;
use kube::api::DynamicObject;

use crate::api::GovernedKind;
use crate::api::reason::Reason;
use crate::constitution::{Effect, EffectEndEvent, Proposal, TargetFact};

use super::{Context, Error, resource};

/// How often it is looked for. Longer than an action may take, so that none is judged while it runs.
const PERIOD: Duration = Duration::from_secs(30);

/// Looks for ever.
pub async fn sweep(context: Arc<Context>) {
    let mut before = Vec::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        let view = context.ledger.view();
        let running: Vec<_> = view.state.running().map(|(d, begin, index)| (*d, begin.clone(), index)).collect();
        for (digest, begin, index) in &running {
            // Seen running twice: the executor that began it had a whole period to end it.
            if before.contains(digest)
                && let Err(error) = end_if_gone(&context, *digest, begin, *index).await
            {
                tracing::warn!(%digest, %error, "an open effect cannot be checked");
            }
        }
        before = running.into_iter().map(|(digest, ..)| digest).collect();
    }
}

async fn end_if_gone(
    context: &Context,
    digest: crate::units::Digest,
    begin: &crate::constitution::EffectBeginEvent,
    began: crate::units::LogIndex,
) -> Result<(), Error> {
    let kind = resource(GovernedKind::ControlCommand);
    let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), &begin.object.namespace, &kind);
    if api.get_opt(&begin.object.name).await?.is_some() {
        return Ok(());
    }
    let end = EffectEndEvent {
        object: begin.object.clone(),
        digest,
        began,
        reason: Reason::EffectUnknown,
        message: "the command was deleted before its effect was confirmed".to_owned(),
        resource_version: None,
    };
    context.ledger.append(Proposal::End(Effect::Failed(end)), context.facts(TargetFact::NotNamed)).await?;
    Ok(())
}
