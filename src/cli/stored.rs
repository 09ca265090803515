//! A document that is stored in a cluster: read, and given one signature more by server-side apply. Nothing else is ever sent:
//! what the signer saw and what is stored are compared by digest.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, ValidationDirective};
use kube::client::Body;
use kube::core::{ApiResource, GroupVersionKind, Request};
use serde_json::{Value, json};

use crate::api::names::signer_manager;
use crate::api::{API_VERSION, GROUP, GovernedKind, VERSION};

use super::files::Signed;
use super::online::Cluster;
use super::output::{Answer, Failure, failure, plain, tell};

/// How often the status is looked at, and for how long, until the controllers have judged a new signature.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 40;

/// Which stored document.
#[derive(Debug, clap::Args)]
pub(super) struct Stored {
    /// Instead of a file: a document that is stored in the cluster, controlcommand/NAME, manifest/NAME or slo/NAME.
    #[arg(value_name = "KIND/NAME", conflicts_with = "file")]
    object: Option<String>,
    /// Its namespace; a manifest has none.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: Cluster,
}

/// Which object, with its API.
struct Handle<'a> {
    kind: GovernedKind,
    name: &'a str,
    client: Client,
    api: Api<DynamicObject>,
}

/// What the API server answered to a patch.
enum Reply {
    /// The object, as it is stored now, and what it warned of.
    Taken(Value, Vec<String>),
    /// Why not, and whether that was a verdict about the document.
    Refused { message: String, judged: bool },
}

impl Stored {
    /// Reads the document.
    pub(super) fn read(&self) -> Result<Value, Failure> {
        self.cluster.with_client(async |client| self.handle(client)?.get().await)
    }

    /// Adds a signature to the document that was read, and says what became of it.
    pub(super) fn add(&self, before: &Value, signature: &Value, what: &str) -> Result<(Value, Answer), Failure> {
        self.cluster.with_client(async |client| {
            let handle = self.handle(client)?;
            let place = handle.place(self.namespace.as_deref());
            let (after, warnings) = match handle.apply(before, signature).await? {
                Reply::Taken(after, warnings) => (after, warnings),
                Reply::Refused { message, judged: true } => {
                    tell(&plain(&format!("refused, nothing is stored: {message}")));
                    return Ok((before.clone(), Answer::No));
                }
                Reply::Refused { message, judged: false } => {
                    return Err(Failure::new(format!("{place}: {message}"))
                        .with_next("you need the rights to get and to patch it"));
                }
            };
            check_stored(before, &after, signature)?;
            tell(&format!("{place}: {what} is added"));
            warnings.iter().for_each(|w| tell(&plain(&format!("warning: {w}"))));
            if handle.kind == GovernedKind::ControlCommand {
                tell(&handle.verdict(&after).await?);
            }
            Ok((after, Answer::Yes))
        })
    }

    fn handle(&self, client: Client) -> Result<Handle<'_>, Failure> {
        let text = self.object.as_deref().unwrap_or_default();
        let wrong = || {
            Failure::new(format!("`{text}` is not a document"))
                .with_next("write controlcommand/NAME, manifest/NAME or slo/NAME")
        };
        let (kind, name) = text.split_once('/').filter(|(_, name)| is_plain(name)).ok_or_else(wrong)?;
        let kind = match kind.to_ascii_lowercase().as_str() {
            "controlcommand" | "controlcommands" | "mxcmd" => GovernedKind::ControlCommand,
            "manifest" | "manifests" => GovernedKind::Manifest,
            "slo" | "slos" | "mxslo" => GovernedKind::Slo,
            _ => return Err(wrong()),
        };
        let gvk = GroupVersionKind::gvk(GROUP, VERSION, kind.kind());
        let resource = ApiResource::from_gvk_with_plural(&gvk, kind.plural());
        let api = match (kind, self.namespace.as_deref()) {
            (GovernedKind::ControlCommand | GovernedKind::Slo, Some(namespace)) if is_plain(namespace) => {
                Api::namespaced_with(client.clone(), namespace, &resource)
            }
            (GovernedKind::ControlCommand | GovernedKind::Slo, _) => {
                return Err(Failure::new(format!("in which namespace is {text}?")).with_next("-n NAMESPACE"));
            }
            (GovernedKind::Manifest, _) => Api::all_with(client.clone(), &resource),
        };
        Ok(Handle { kind, name, client, api })
    }
}

/// The name becomes part of a URL.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-.".contains(&c))
}

impl Handle<'_> {
    fn place(&self, namespace: Option<&str>) -> String {
        let namespace = namespace.map(|n| format!("{n}/")).unwrap_or_default();
        format!("{} {namespace}{}", self.kind.kind(), self.name)
    }

    async fn get(&self) -> Result<Value, Failure> {
        let found = self.api.get_opt(self.name).await.map_err(|e| Failure::new(format!("{}: {e}", self.name)))?;
        let object = found.ok_or_else(|| {
            Failure::new(format!("there is no {} {} there", self.kind.kind(), self.name))
                .with_next(format!("kubectl get {} -A", self.kind.plural()))
        })?;
        serde_json::to_value(object).map_err(|e| failure(&e))
    }

    /// Applies the signature as the field manager of its principal. The list is a map by principal, verb and seat, so that the
    /// signatures of others stay whoever sends what at the same time.
    async fn apply(&self, before: &Value, signature: &Value) -> Result<Reply, Failure> {
        let principal = signature.get("principal").and_then(Value::as_str).unwrap_or_default();
        let mut params = PatchParams::apply(&signer_manager(principal));
        params.field_validation = Some(ValidationDirective::Strict);
        let patch = Patch::Apply(with_own(before, signature, principal));
        let request = Request::new(self.api.resource_url()).patch(self.name, &params, &patch);
        let request = request.map_err(|e| failure(&e))?.map(Body::from);
        // Not by `Api::patch`: it drops the warnings, and what a rule only tells is in them.
        let response = self.client.send(request).await.map_err(|e| Failure::new(format!("{}: {e}", self.name)))?;
        let (head, body) = response.into_parts();
        let bytes = body.collect_bytes().await.map_err(|e| failure(&e))?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| failure(&e))?;
        if head.status.is_success() {
            let warnings = head.headers.get_all("warning").iter().filter_map(|w| w.to_str().ok()).map(warning);
            return Ok(Reply::Taken(value, warnings.collect()));
        }
        let message = value.get("message").and_then(Value::as_str).unwrap_or("the API server refused").to_owned();
        if head.status.as_u16() == 409 {
            return Err(Failure::new(format!("{} changed meanwhile: {message}", self.name))
                .with_next("look at it again, then sign again"));
        }
        let judged = message.contains("denied the request") || head.status.as_u16() == 422;
        Ok(Reply::Refused { message, judged })
    }

    /// What became of the command with this signature, as soon as the controllers have looked at it.
    async fn verdict(&self, stored: &Value) -> Result<String, Failure> {
        let generation = stored.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or_default();
        for _ in 0..LOOKS {
            let object = self.api.get_opt(self.name).await.map_err(|e| failure(&e))?;
            let status = object.as_ref().and_then(|o| o.data.get("status"));
            if let Some(verdict) = status.and_then(|status| verdict_in(status, generation)) {
                return Ok(plain(&verdict));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok("stored; the controllers have not looked at it yet; run: miax status".to_owned())
    }
}

/// The patch. The UID is a condition, not a change: a document that was deleted and made anew is another one. An apply takes away
/// what its manager applied before and leaves out now; so what the principal said before goes along as it stands.
fn with_own(before: &Value, signature: &Value, principal: &str) -> Value {
    let stored = before.pointer("/spec/signatures").and_then(Value::as_array).into_iter().flatten();
    let own = stored.filter(|s| s.get("principal").and_then(Value::as_str) == Some(principal));
    let signatures: Vec<&Value> = own.chain([signature]).collect();
    let mut metadata = json!({});
    if let (Some(map), Some(found)) = (metadata.as_object_mut(), before.get("metadata")) {
        for name in ["name", "namespace", "uid"] {
            map.extend(found.get(name).map(|value| (name.to_owned(), value.clone())));
        }
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": before.get("kind"),
        "metadata": metadata,
        "spec": {"signatures": signatures},
    })
}

/// The text of a Warning header: `299 - "text"`.
fn warning(header: &str) -> String {
    let text = header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(text, _)| text);
    text.replace("\\\"", "\"")
}

/// What was signed is what is stored.
fn check_stored(before: &Value, after: &Value, signature: &Value) -> Result<(), Failure> {
    let digest = |object: &Value| Signed::read(object).map(|signed| signed.document().digest);
    let mut list = after.pointer("/spec/signatures").and_then(Value::as_array).into_iter().flatten();
    if digest(before)? == digest(after)? && list.any(|s| s == signature) {
        return Ok(());
    }
    Err(Failure::new("the cluster stored something else than what was signed")
        .with_next("something between here and etcd changes documents; look for mutating webhooks"))
}

/// The condition `Approved`, when the status is about this generation.
fn verdict_in(status: &Value, generation: i64) -> Option<String> {
    if status.get("observedGeneration").and_then(Value::as_i64)? < generation {
        return None;
    }
    let conditions = status.get("conditions")?.as_array()?;
    let approved = conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some("Approved"))?;
    let text = |field: &str| approved.get(field).and_then(Value::as_str).unwrap_or_default();
    Some(match text("status") {
        "True" => format!("complete: {}", text("message")),
        _ => format!("it waits, stored without effect: {}", text("message")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(principal: &str, verb: &str) -> Value {
        json!({"principal": principal, "verb": verb, "seat": "SRE", "value": "AAAA"})
    }

    #[test]
    fn a_patch_carries_nothing_but_what_its_principal_says() {
        let stored = json!({
            "kind": "ControlCommand",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u1", "resourceVersion": "7", "labels": {"x": "y"}},
            "spec": {"reason": "sale", "signatures": [signature("bot", "author"), signature("frank", "object")]},
            "status": {"conditions": []},
        });
        let expected = json!({
            "apiVersion": "miax.dev/v1alpha1",
            "kind": "ControlCommand",
            "metadata": {"name": "a", "namespace": "shop", "uid": "u1"},
            "spec": {"signatures": [signature("frank", "object"), signature("frank", "withdraw")]},
        });
        assert_eq!(with_own(&stored, &signature("frank", "withdraw"), "frank"), expected);
    }

    #[test]
    fn a_verdict_is_about_the_generation_that_was_asked_for() {
        let status = |generation: i64, word: &str| {
            let approved = json!({"type": "Approved", "status": word, "message": "needs TCC"});
            json!({"observedGeneration": generation, "conditions": [approved]})
        };
        assert_eq!(verdict_in(&status(1, "True"), 2), None, "the controllers have not seen the new signature");
        assert_eq!(verdict_in(&status(2, "True"), 2).as_deref(), Some("complete: needs TCC"));
        assert_eq!(verdict_in(&status(2, "False"), 2).as_deref(), Some("it waits, stored without effect: needs TCC"));
        assert_eq!(verdict_in(&json!({}), 1), None);
    }

    #[test]
    fn a_warning_is_its_text() {
        assert_eq!(warning(r#"299 - "NOT ENFORCED (Warn) a \"b\" c""#), r#"NOT ENFORCED (Warn) a "b" c"#);
        assert_eq!(warning("odd"), "odd");
    }
}
