//! `miax draft`: a command without signatures.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::trust::to_yaml;
use crate::units::{Seconds, UnixSeconds};

use super::clock::now;
use super::files::{Existing, Signed, write_object};
use super::output::{Answer, Failure, Format, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax draft scale deployment/checkout -n shop --replicas 12 --impact Critical --reason 'black friday' --audience prod-eu --out cmd.yaml
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu
  miax draft rollback deployment/checkout -n shop --to-revision 41 --reason 'errors since 42' --audience prod-eu")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Set the number of replicas.
    #[command(after_help = "Example:
  miax draft scale deployment/checkout -n shop --replicas 12 --reason 'black friday' --audience prod-eu --out cmd.yaml")]
    Scale {
        /// How many.
        #[arg(long)]
        replicas: u32,
        #[command(flatten)]
        common: Common,
    },
    /// Restart all pods.
    #[command(after_help = "Example:
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu")]
    Restart {
        #[command(flatten)]
        common: Common,
    },
    /// Bring the pod template of a revision back.
    #[command(after_help = "Example:
  miax draft rollback deployment/checkout -n shop --to-revision 41 --reason 'errors since 42' --audience prod-eu")]
    Rollback {
        /// The revision, as `kubectl rollout history` lists it.
        #[arg(long)]
        to_revision: u64,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The workload: deployment/NAME, statefulset/NAME or daemonset/NAME.
    target: String,
    /// Namespace of the workload and of the command.
    #[arg(short, long)]
    namespace: String,
    /// Names of the clusters that the command is meant for.
    #[arg(long, value_delimiter = ',', required = true)]
    audience: Vec<String>,
    /// Normal, High or Critical; the charter may raise it.
    #[arg(long, default_value = "Normal")]
    impact: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// A ticket that tells more.
    #[arg(long)]
    ticket: Option<String>,
    /// How long it is valid from now on, for example 2h.
    #[arg(long, default_value = "2h")]
    expires: Seconds,
    /// Only valid while the target has this `metadata.generation`.
    #[arg(long)]
    generation: Option<u64>,
    /// Name of the command; made from the action, the target and the time when it is not given.
    #[arg(long)]
    name: Option<String>,
    /// Write to this file instead of stdout.
    #[arg(long)]
    out: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, default_value = "yaml")]
    output: Format,
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let (kind, more, common) = match arguments.action {
        Action::Scale { replicas, common } => ("Scale", json!({"replicas": replicas}), common),
        Action::Restart { common } => ("Restart", json!({}), common),
        Action::Rollback { to_revision, common } => ("Rollback", json!({"revision": to_revision}), common),
    };
    let object = object(kind, more, &common, now())?;
    // The same reading as everywhere: what would be refused is not even written.
    let signed = Signed::read(&object)?;
    match &common.out {
        Some(path) => {
            write_object(path, &object, Existing::Keep)?;
            tell(&format!("{}: {} ({})", path.display(), signed.summary(), signed.document().digest));
        }
        None => print(common.output, &object, || to_yaml(&object))?,
    }
    Ok(Answer::Yes)
}

fn object(kind: &str, more: Value, common: &Common, now: UnixSeconds) -> Result<Value, Failure> {
    let (target_kind, name) = target(&common.target)?;
    let mut action =
        Map::from_iter([("target".to_owned(), json!({"apiVersion": "apps/v1", "kind": target_kind, "name": name}))]);
    action.extend(more.as_object().cloned().unwrap_or_default());
    let field = kind.to_ascii_lowercase();
    let default = format!("{field}-{name}-{}", now.get());
    let mut spec = json!({
        "audience": common.audience,
        "action": {"type": kind, (field): action},
        "impact": common.impact,
        "reason": common.reason,
        "expiresAt": now.plus(common.expires).to_string(),
        "signatures": [],
    });
    if let Some(map) = spec.as_object_mut() {
        map.extend(common.ticket.as_ref().map(|t| ("ticket".to_owned(), Value::from(t.as_str()))));
        map.extend(common.generation.map(|g| ("precondition".to_owned(), json!({"generation": g}))));
    }
    let name = common.name.clone().unwrap_or(default);
    Ok(json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "ControlCommand",
        "metadata": {"name": name, "namespace": common.namespace},
        "spec": spec,
    }))
}

fn target(text: &str) -> Result<(&'static str, &str), Failure> {
    let wrong = || {
        Failure::new(format!("`{text}` is not a workload"))
            .with_next("write deployment/NAME, statefulset/NAME or daemonset/NAME")
    };
    let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
    let kind = match kind.to_ascii_lowercase().as_str() {
        "deployment" | "deploy" | "deployments" => "Deployment",
        "statefulset" | "sts" | "statefulsets" => "StatefulSet",
        "daemonset" | "ds" | "daemonsets" => "DaemonSet",
        _ => return Err(wrong()),
    };
    Ok((kind, name))
}
