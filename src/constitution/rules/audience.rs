//! A document is meant for named clusters; a signature for one environment is worth nothing in another (R8, R38).

use crate::api::reason::Reason;

use super::super::charter::Charter;
use super::super::decision::Finding;
use super::super::document::Document;

/// What an audience must name: the cluster, and in a later epoch of its ledger the epoch too. What was signed before the epoch
/// may have been used in the part of the ledger that was lost, so that it is worth nothing any more (ADR 0025).
pub(in super::super) fn audience_name(cluster: &str, epoch: u16) -> String {
    if epoch == 0 { cluster.to_owned() } else { format!("{cluster}/{epoch}") }
}

/// Refuses a document whose audience does not name this cluster, as the charter knows it, in this epoch of its ledger.
pub(in super::super) fn audience(
    document: &Document,
    charter: &Charter,
    cluster_uid: &str,
    epoch: u16,
) -> Option<Finding> {
    let name = charter.cluster_name(cluster_uid).map(|name| audience_name(name, epoch));
    if name.as_ref().is_some_and(|n| document.audience.contains(n)) {
        return None;
    }
    let here = match name {
        Some(name) if epoch > 0 => {
            format!("this cluster is `{name}` since the epoch {epoch} of its ledger was opened; sign it again for that")
        }
        Some(name) => format!("this cluster is `{name}`"),
        None => format!("the charter does not list this cluster (kube-system has the uid {cluster_uid})"),
    };
    let message = format!("the audience is {}, but {here}", document.audience.join(", "));
    Some(Finding { reason: Reason::AudienceForeign, message, rule: None, next: None })
}
