//! A document is meant for named clusters; a signature for one environment is worth nothing in another (R8, R38).

use crate::api::reason::Reason;

use super::super::charter::Charter;
use super::super::decision::Finding;
use super::super::document::Document;

/// Refuses a document whose audience does not name this cluster, as the charter knows it.
pub(in super::super) fn audience(document: &Document, charter: &Charter, cluster_uid: &str) -> Option<Finding> {
    let name = charter.cluster_name(cluster_uid);
    if name.is_some_and(|n| document.audience.iter().any(|a| a == n)) {
        return None;
    }
    let here = match name {
        Some(name) => format!("this cluster is `{name}`"),
        None => format!("the charter does not list this cluster (kube-system has the uid {cluster_uid})"),
    };
    let message = format!("the audience is {}, but {here}", document.audience.join(", "));
    Some(Finding { reason: Reason::AudienceForeign, message, rule: None, next: None })
}
