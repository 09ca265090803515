//! Reviews of workloads in namespaces that opted in to the gate. Most change no pod template, or nothing stands against them:
//! those are answered from memory, without a record.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::api::reason::Reason;
use crate::constitution::{
    Decision, GateRequest, Operation, Proposal, Reply, Target, TargetFact, Verdict, WorkloadKind, gate,
};
use crate::store::{AppendError, Committed, Health, Kept};
use crate::trust::{CanonicalBytes, canonical_json, sha256};

use super::handler::{APPEND_DEADLINE, Webhook, no_randomness, unable};
use super::review::{MAX_ACTOR, ReviewError, respond};

/// What is read of a review: borrowed, because most of it is looked at by nobody.
#[derive(Deserialize)]
struct RawReview<'a> {
    #[serde(borrow)]
    request: RawRequest<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest<'a> {
    uid: String,
    kind: RawKind,
    operation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default, borrow)]
    object: Option<RawObject<'a>>,
    #[serde(default, borrow)]
    old_object: Option<RawObject<'a>>,
    #[serde(default)]
    user_info: RawUser,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct RawKind {
    group: String,
    kind: String,
}

#[derive(Default, Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize)]
struct RawObject<'a> {
    #[serde(default)]
    metadata: RawMetadata,
    #[serde(borrow)]
    spec: RawSpec<'a>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMetadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    generate_name: String,
}

#[derive(Deserialize)]
struct RawSpec<'a> {
    #[serde(borrow)]
    template: &'a RawValue,
}

/// A review of a workload, read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct GatedReview {
    uid: String,
    kind: WorkloadKind,
    /// `None` when the bytes of the pod template are the same as before: nothing to judge.
    change: Option<GateRequest>,
    /// The canonical bytes of the pod template.
    payload: Vec<u8>,
    dry_run: bool,
}

impl GatedReview {
    fn read(body: &[u8]) -> Result<Self, ReviewError> {
        let raw: RawReview<'_> = serde_json::from_slice(body).map_err(|e| ReviewError {
            uid: String::new(),
            reason: Reason::ReviewInvalid,
            message: format!("the review cannot be read: {e}"),
        })?;
        let RawRequest { uid, kind, operation, name, namespace, object, old_object, user_info, dry_run } = raw.request;
        let wrong = |reason, message| ReviewError { uid: uid.clone(), reason, message };
        let known = WorkloadKind::ALL.into_iter().find(|k| kind.group == "apps" && k.as_str() == kind.kind);
        let Some(kind) = known else {
            let message = format!("`{}, {}` is not a workload that the gate knows", kind.group, kind.kind);
            return Err(wrong(Reason::KindUnknown, message));
        };
        let operation = match operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            other => return Err(wrong(Reason::ReviewInvalid, format!("the gate is not asked about `{other}`"))),
        };
        let Some(object) = object else {
            return Err(wrong(Reason::ReviewInvalid, "the review holds no object".to_owned()));
        };
        let dry_run = dry_run.unwrap_or(false);
        let before = old_object.map(|o| o.spec.template);
        // The API server writes both with one encoder: the same bytes are the same template.
        if before.is_some_and(|before| before.get() == object.spec.template.get()) {
            return Ok(Self { uid, kind, change: None, payload: Vec::new(), dry_run });
        }
        let bytes = |template: &RawValue| bytes_of(template).map_err(|m| wrong(Reason::ReviewInvalid, m));
        let payload = bytes(object.spec.template)?;
        let before = before.map(bytes).transpose()?;
        let RawMetadata { name: own, generate_name } = object.metadata;
        let name = [name, own, generate_name].into_iter().find(|n| !n.is_empty()).unwrap_or_default();
        let change = GateRequest {
            uid: uid.clone(),
            operation,
            target: Target { kind, namespace, name },
            template: sha256(&payload),
            template_before: before.map(|bytes| sha256(&bytes)),
            actor: user_info.username.chars().take(MAX_ACTOR).collect(),
        };
        Ok(Self { uid, kind, change: Some(change), payload, dry_run })
    }
}

fn bytes_of(template: &RawValue) -> Result<Vec<u8>, String> {
    let value: Value = serde_json::from_str(template.get()).map_err(|e| e.to_string())?;
    canonical_json(&value).map(CanonicalBytes::into_vec).map_err(|e| format!("spec.template: {e}"))
}

impl Webhook {
    /// Answers one review of a workload; always an AdmissionReview, whatever the bytes are.
    pub async fn answer_gated(&self, body: &[u8]) -> Value {
        let started = Instant::now();
        let review = match GatedReview::read(body) {
            Ok(review) => review,
            Err(ReviewError { uid, reason, message }) => {
                return respond(&uid, &Decision::refusal(reason, message), Kept::Nowhere);
            }
        };
        let (decision, kept) = match review.change {
            None => (passed(), Kept::Nowhere),
            Some(change) => self.decide_change(change, &review.payload, review.dry_run).await,
        };
        self.metrics.gated(review.kind, decision.is_allowed(), started.elapsed());
        if !decision.is_allowed() {
            let (reason, kind) = (decision.reason(), review.kind.as_str());
            let (index, folded) = (kept.index().map(|i| i.0), kept.folded().map(|f| f.to_string()));
            tracing::info!(uid = review.uid, kind, allowed = false, %reason, index, folded, "decided");
        }
        respond(&review.uid, &decision, kept)
    }

    /// Whether another pod template may run. In a namespace that opted in, a ledger that cannot be read refuses it: nobody knows
    /// what is frozen.
    async fn decide_change(&self, change: GateRequest, payload: &[u8], dry_run: bool) -> (Decision, Kept) {
        let facts = self.snapshot.with_target(TargetFact::NotNamed);
        let view = self.ledger.view();
        let decision = match &view.health {
            Health::Whole => gate(&change, &view.state, facts.now),
            Health::Starting => Some(unable(&AppendError::Starting)),
            Health::Broken(what) => Some(unable(&AppendError::Broken(what.clone()))),
        };
        // The witnesses' silence is no reason: what is frozen is known. That the ledger is not the whole one is.
        if let Some((Reason::LedgerBroken, message)) = (self.doubts)() {
            return (Decision::refusal(Reason::LedgerBroken, message), Kept::Nowhere);
        }
        let Some(refusal) = decision else { return (passed(), Kept::Nowhere) };
        if dry_run || view.health != Health::Whole {
            return (refusal, Kept::Nowhere);
        }
        let Some((salt, commitment)) = self.salts.commit(payload) else { return (no_randomness(), Kept::Nowhere) };
        let uid = change.uid.clone();
        let append = self.ledger.decide(Proposal::Gate(Box::new(change)), facts, Some(commitment));
        let answer = match tokio::time::timeout(APPEND_DEADLINE, append).await {
            Ok(Ok(Committed { kept, reply: Reply::Judged(decision) })) => (*decision, kept),
            Ok(Ok(Committed { reply: Reply::JudgedBefore(index, decision), .. })) => (*decision, Kept::Entry(index)),
            // The freeze ended between the look and the append.
            Ok(Ok(Committed { reply: Reply::Passed, .. })) => (passed(), Kept::Nowhere),
            // It is refused all the same; only the entry is missing.
            Ok(Ok(Committed { reply: Reply::Begin(_) | Reply::Done, .. }) | Err(_)) | Err(_) => {
                (refusal, Kept::Nowhere)
            }
        };
        self.keep_salt(&uid, &commitment, salt).await;
        answer
    }
}

/// Nothing stands against it.
fn passed() -> Decision {
    let mut decision = Decision::refusal(Reason::Passed, "nothing stands against it");
    decision.verdict = Verdict::Allow;
    decision.recorded = false;
    decision
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(operation: &str, image: &str, before: Option<&str>) -> Vec<u8> {
        let object = |image: &str| json!({"metadata": {"name": "checkout"}, "spec": {"replicas": 3, "template": {"spec": {"containers": [{"image": image}]}}}});
        json!({"request": {
            "uid": "u1", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}, "operation": operation,
            "name": "checkout", "namespace": "shop", "userInfo": {"username": "syncer"},
            "object": object(image), "oldObject": before.map(object),
        }})
        .to_string()
        .into_bytes()
    }

    #[test]
    fn only_another_pod_template_is_a_change() {
        let read = |b: &[u8]| GatedReview::read(b).expect("a review").change;
        assert_eq!(read(&body("UPDATE", "a:1", Some("a:1"))), None);
        let change = read(&body("UPDATE", "a:2", Some("a:1"))).expect("a change");
        assert!(change.changes_template() && change.target.to_string() == "Deployment shop/checkout");
        assert!(read(&body("CREATE", "a:1", None)).expect("a new workload").template_before.is_none());
    }

    #[test]
    fn what_is_not_such_a_review_is_refused() {
        let check = |body: &[u8], reason: Reason| {
            assert_eq!(GatedReview::read(body).expect_err("refused").reason, reason);
        };
        check(b"{", Reason::ReviewInvalid);
        check(&body("DELETE", "a:1", None), Reason::ReviewInvalid);
        let other = String::from_utf8(body("CREATE", "a:1", None)).expect("text").replace("Deployment", "CronJob");
        check(other.as_bytes(), Reason::KindUnknown);
        let empty =
            json!({"request": {"uid": "u", "kind": {"group": "apps", "kind": "Deployment"}, "operation": "CREATE"}});
        check(empty.to_string().as_bytes(), Reason::ReviewInvalid);
        let no_template = json!({"request": {"uid": "u", "kind": {"group": "apps", "kind": "Deployment"},
            "operation": "CREATE", "object": {"spec": {}}}});
        check(no_template.to_string().as_bytes(), Reason::ReviewInvalid);
    }
}
