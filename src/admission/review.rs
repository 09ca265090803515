//! AdmissionReview to request, decision to AdmissionReview. Every answer is built by [`respond`]; there is no other.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::reason::Reason;
use crate::api::{GROUP, GovernedKind, VERSION};
use crate::constitution::{Decision, Mode, Operation, Request};
use crate::store::Kept;

/// Most characters of the requester's name that are recorded.
pub(super) const MAX_ACTOR: usize = 256;
/// Most characters of a warning; the API server cuts longer ones.
const MAX_WARNING: usize = 256;

/// A review, read.
#[derive(Clone, Debug)]
pub struct Review {
    /// What is asked.
    pub request: Request,
    /// Whether the caller only wants to know the verdict.
    pub dry_run: bool,
}

/// Why a review cannot be read. It is refused, with the UID if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReviewError {
    /// UID of the request; empty when not even that can be read.
    pub uid: String,
    /// Why.
    pub reason: Reason,
    /// What is wrong.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawReview {
    request: RawRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRequest {
    uid: String,
    kind: RawKind,
    operation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
    #[serde(default)]
    user_info: RawUser,
    #[serde(default)]
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
struct RawKind {
    group: String,
    version: String,
    kind: String,
}

#[derive(Default, Deserialize)]
struct RawUser {
    #[serde(default)]
    username: String,
}

impl Review {
    /// Reads the body of a review.
    ///
    /// # Errors
    /// [`ReviewError`] with `ReviewInvalid` for what is not a review, `KindUnknown` for a kind or version that is not
    /// governed.
    pub fn read(body: &[u8]) -> Result<Self, ReviewError> {
        let raw: RawReview = serde_json::from_slice(body).map_err(|e| ReviewError {
            uid: String::new(),
            reason: Reason::ReviewInvalid,
            message: format!("the review cannot be read: {e}"),
        })?;
        let RawRequest { uid, kind, operation, name, namespace, object, old_object, user_info, dry_run } = raw.request;
        let wrong = |reason, message| ReviewError { uid: uid.clone(), reason, message };
        let RawKind { group, version, kind } = kind;
        let governed = GovernedKind::from_kind(&kind).filter(|_| group == GROUP && version == VERSION);
        let Some(kind) = governed else {
            let message = format!("`{group}/{version}, {kind}` is not a governed kind of {GROUP}/{VERSION}");
            return Err(wrong(Reason::KindUnknown, message));
        };
        let operation = match operation.as_str() {
            "CREATE" => Operation::Create,
            "UPDATE" => Operation::Update,
            "DELETE" => Operation::Delete,
            other => return Err(wrong(Reason::ReviewInvalid, format!("`{other}` is not an operation that is judged"))),
        };
        let present = |value: Value| (!value.is_null()).then_some(value);
        let actor = user_info.username.chars().take(MAX_ACTOR).collect();
        let request = Request {
            uid: uid.clone(),
            operation,
            kind,
            namespace,
            // A deletion of a collection carries no name; the object that is to go does.
            name: if name.is_empty() {
                name_in(&old_object).or_else(|| name_in(&object)).unwrap_or_default()
            } else {
                name
            },
            object: present(object),
            old: present(old_object),
            actor,
        };
        Ok(Self { request, dry_run: dry_run.unwrap_or(false) })
    }
}

fn name_in(object: &Value) -> Option<String> {
    object.get("metadata")?.get("name")?.as_str().map(str::to_owned)
}

/// The answer to a review: code, reason, message and audit annotations come from here and nowhere else.
#[must_use]
pub fn respond(uid: &str, decision: &Decision, kept: Kept) -> Value {
    let reason = decision.reason();
    let mut annotations = json!({"reason": reason.as_str()});
    if let Some(map) = annotations.as_object_mut() {
        let facts = [
            ("index", kept.index().map(|i| i.to_string())),
            ("folded", kept.folded().map(|f| f.to_string())),
            ("digest", decision.digest.map(|d| d.to_string())),
            ("charter", decision.charter.as_ref().map(|c| c.digest.to_string())),
        ];
        map.extend(facts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::from(value?)))));
    }
    let mut response = json!({"uid": uid, "allowed": decision.is_allowed(), "auditAnnotations": annotations});
    let warned = decision.advice.iter().filter(|a| a.mode == Mode::Warn && !a.findings.is_empty());
    let warnings: Vec<String> = warned.map(|a| a.line().chars().take(MAX_WARNING).collect()).collect();
    if let (false, Some(map)) = (warnings.is_empty(), response.as_object_mut()) {
        map.insert("warnings".to_owned(), json!(warnings));
    }
    if !decision.is_allowed()
        && let Some(map) = response.as_object_mut()
    {
        let entry = match kept {
            Kept::Nowhere => String::new(),
            Kept::Entry(index) => format!("\n(ledger entry {index})"),
            Kept::Folded(_) => "\n(one of many; the ledger counts them in one entry)".to_owned(),
        };
        let status = json!({
            "status": "Failure",
            "code": reason.class().http_code(),
            "reason": reason.as_str(),
            "message": format!("{}{entry}", decision.message()),
        });
        map.insert("status".to_owned(), status);
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::Advice;
    use crate::ledger::Folded;
    use crate::units::{Digest, LogIndex};

    fn body(operation: &str, kind: &str, extra: &Value) -> Vec<u8> {
        let mut request = json!({
            "uid": "u1",
            "kind": {"group": "miax.dev", "version": "v1alpha1", "kind": kind},
            "operation": operation,
            "name": "a",
            "namespace": "shop",
            "userInfo": {"username": "robot"},
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_deletion_is_read_from_the_old_object() {
        let old = json!({"name": "", "object": null, "oldObject": {"metadata": {"name": "b"}}, "dryRun": true});
        let review = Review::read(&body("DELETE", "ControlCommand", &old)).expect("review");
        assert_eq!(review.request.name, "b");
        assert!(review.request.object.is_none() && review.request.old.is_some() && review.dry_run);
    }

    #[test]
    fn what_is_not_a_review_of_a_governed_kind_is_refused_with_its_uid() {
        let check = |body: &[u8], uid: &str, reason: Reason| {
            let error = Review::read(body).expect_err("refused");
            assert_eq!((error.uid.as_str(), error.reason), (uid, reason), "{}", error.message);
        };
        check(b"{", "", Reason::ReviewInvalid);
        check(b"{}", "", Reason::ReviewInvalid);
        check(&body("CREATE", "Pod", &json!({})), "u1", Reason::KindUnknown);
        check(&body("CONNECT", "Manifest", &json!({})), "u1", Reason::ReviewInvalid);
        let old = json!({"kind": {"group": "miax.dev", "version": "v1beta1", "kind": "Manifest"}});
        check(&body("CREATE", "Manifest", &old), "u1", Reason::KindUnknown);
    }

    #[test]
    fn a_rule_that_warns_is_heard_and_one_that_observes_is_not() {
        let advice = |mode| Advice {
            rule: "next-year, Article V".into(),
            mode,
            findings: Decision::refusal(Reason::SeatsMissing, "needs CEK").findings,
        };
        let mut decision = Decision::refusal(Reason::Unsigned, "it carries no signature");
        decision.advice = vec![advice(Mode::Warn), advice(Mode::Observe)];
        let warnings = &respond("u1", &decision, Kept::Nowhere)["response"]["warnings"];
        let expected = "NOT ENFORCED (Warn) next-year, Article V: would refuse: SeatsMissing: needs CEK";
        assert_eq!(*warnings, json!([expected]));
    }

    #[test]
    fn a_refusal_carries_code_reason_message_and_index() {
        let decision = Decision::refusal(Reason::Unsigned, "it carries no signature");
        let answer = respond("u1", &decision, Kept::Entry(LogIndex(7)));
        let response = &answer["response"];
        assert_eq!(response["allowed"], false);
        assert_eq!(response["status"]["code"], 403);
        assert_eq!(response["status"]["reason"], "Unsigned");
        assert_eq!(response["status"]["message"], "Unsigned: it carries no signature\n(ledger entry 7)");
        assert_eq!(response["auditAnnotations"], json!({"reason": "Unsigned", "index": "7"}));
    }

    #[test]
    fn a_folded_refusal_tells_where_it_is_counted() {
        let place = Folded { window: [7; 8], position: 3, hash: Digest([9; 32]) };
        let answer = respond("u1", &Decision::refusal(Reason::Unsigned, "x"), Kept::Folded(place));
        assert_eq!(answer["response"]["auditAnnotations"], json!({"reason": "Unsigned", "folded": place.to_string()}));
        let message = answer["response"]["status"]["message"].as_str().expect("a message");
        assert!(message.ends_with("(one of many; the ledger counts them in one entry)"), "{message}");
    }
}
