//! `miax draft`: a command without signatures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::api::names::SYSTEM_NAMESPACE;
use crate::trust::to_yaml;
use crate::units::{Digest, Seconds, UnixSeconds};

use super::clock::now;
use super::files::{Existing, Signed, write_object};
use super::output::{Answer, Failure, Format, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax draft scale deployment/checkout -n shop --replicas 12 --impact Critical --reason 'black friday' --audience prod-eu --out cmd.yaml
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu
  miax draft rollback deployment/checkout -n shop --to-revision 41 --reason 'errors since 42' --audience prod-eu
  miax draft patch deployment/checkout -n shop --image app=registry.example/checkout:42 --reason 'OPS-7' --audience prod-eu
  miax draft revoke-key SHA256:Yx0... --reason 'laptop lost' --audience prod-eu --out revoke.yaml
  miax draft veto sha256:9f2c... --reason 'not during the audit' --audience prod-eu --out veto.yaml
  miax draft review sha256:9f2c... --findings 'cache ran full, see OPS-7' --reason 'post-mortem' --audience prod-eu")]
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
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Restart all pods.
    #[command(after_help = "Example:
  miax draft restart statefulset/db -n shop --impact High --reason 'leak, see OPS-7' --audience prod-eu")]
    Restart {
        #[command(flatten)]
        workload: Workload,
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
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Change images, environment, resources or replicas, and nothing else.
    #[command(after_help = "Example:
  miax draft patch deployment/checkout -n shop --image app=registry.example/checkout:42 --env app:LOG=debug \\
      --limit app:memory=1Gi --reason 'fix for OPS-7' --audience prod-eu --out cmd.yaml")]
    Patch {
        /// CONTAINER=IMAGE.
        #[arg(long)]
        image: Vec<String>,
        /// CONTAINER:NAME=VALUE.
        #[arg(long)]
        env: Vec<String>,
        /// CONTAINER:RESOURCE=AMOUNT.
        #[arg(long)]
        request: Vec<String>,
        /// CONTAINER:RESOURCE=AMOUNT.
        #[arg(long)]
        limit: Vec<String>,
        /// How many replicas.
        #[arg(long)]
        replicas: Option<u32>,
        #[command(flatten)]
        workload: Workload,
        #[command(flatten)]
        common: Common,
    },
    /// Make a key worthless; whoever holds it may do so alone.
    #[command(after_help = "Example:
  miax draft revoke-key SHA256:Yx0... --reason 'laptop lost' --audience prod-eu --out revoke.yaml
  miax sign -f revoke.yaml --as dana --seat SRE --key spare    # your own key: your signature is enough")]
    RevokeKey {
        /// Fingerprint of the key, as `ssh-keygen -l` prints it.
        key: String,
        #[command(flatten)]
        common: Common,
    },
    /// Stop a command of a lower organ that is not done yet.
    #[command(after_help = "Example:
  miax draft veto sha256:9f2c... --reason 'not during the audit' --audience prod-eu --out veto.yaml")]
    Veto {
        /// Digest of the command, as `miax show` prints it.
        command: Digest,
        #[command(flatten)]
        common: Common,
    },
    /// Confirm an emergency amendment, by the quorum of the charter before it.
    #[command(after_help = "Example:
  miax draft ratify-amendment sha256:9f2c... --reason 'reviewed' --audience prod-eu --out ratify.yaml")]
    RatifyAmendment {
        /// Digest of the emergency charter, as `miax status` prints it.
        charter: Digest,
        #[command(flatten)]
        common: Common,
    },
    /// Close the post-mortem of a command; by people who did not sign it.
    #[command(after_help = "Example:
  miax draft review sha256:9f2c... --findings 'cache ran full, see OPS-7' --reason 'post-mortem' --audience prod-eu")]
    Review {
        /// Digest of the command, as `miax status` prints it.
        command: Digest,
        /// What was found: a summary, or where the post-mortem is.
        #[arg(long)]
        findings: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, clap::Args)]
struct Workload {
    /// The workload: deployment/NAME, statefulset/NAME or daemonset/NAME.
    target: String,
    /// Only valid while the target has this `metadata.generation`.
    #[arg(long)]
    generation: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// Namespace of the command; a workload is in the same one. Needed for commands on workloads.
    #[arg(short, long)]
    namespace: Option<String>,
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

/// The action as the object carries it, what its default name is made from, and the generation of its target.
struct Drafted {
    kind: &'static str,
    fields: Value,
    about: String,
    generation: Option<u64>,
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    let (drafted, common) = match arguments.action {
        Action::Scale { replicas, workload, common } => {
            (on_workload("Scale", json!({"replicas": replicas}), &workload, &common)?, common)
        }
        Action::Restart { workload, common } => (on_workload("Restart", json!({}), &workload, &common)?, common),
        Action::Rollback { to_revision, workload, common } => {
            (on_workload("Rollback", json!({"revision": to_revision}), &workload, &common)?, common)
        }
        Action::Patch { image, env, request, limit, replicas, workload, common } => {
            let fields = places(replicas, &image, &env, &request, &limit)?;
            (on_workload("Patch", fields, &workload, &common)?, common)
        }
        Action::RevokeKey { key, common } => (on_state("RevokeKey", json!({"key": key})), common),
        Action::Veto { command, common } => (on_state("Veto", json!({"command": command})), common),
        Action::RatifyAmendment { charter, common } => {
            (on_state("RatifyAmendment", json!({"charter": charter})), common)
        }
        Action::Review { command, findings, common } => {
            (on_state("Review", json!({"command": command, "findings": findings})), common)
        }
    };
    let object = object(&drafted, &common, now());
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

fn on_workload(kind: &'static str, more: Value, workload: &Workload, common: &Common) -> Result<Drafted, Failure> {
    let (target_kind, name) = target(&workload.target)?;
    if common.namespace.is_none() {
        return Err(Failure::new(format!("in which namespace is {}?", workload.target)).with_next("-n NAMESPACE"));
    }
    let mut fields =
        Map::from_iter([("target".to_owned(), json!({"apiVersion": "apps/v1", "kind": target_kind, "name": name}))]);
    fields.extend(more.as_object().cloned().unwrap_or_default());
    Ok(Drafted { kind, fields: fields.into(), about: format!("-{name}"), generation: workload.generation })
}

/// The changes of a patch, by container.
fn places(
    replicas: Option<u32>,
    images: &[String],
    env: &[String],
    requests: &[String],
    limits: &[String],
) -> Result<Value, Failure> {
    let mut containers: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for text in images {
        let (container, image) = split(text, '=', "CONTAINER=IMAGE")?;
        containers.entry(container.to_owned()).or_default().insert("image".to_owned(), json!(image));
    }
    for text in env {
        let (container, pair) = split(text, ':', "CONTAINER:NAME=VALUE")?;
        let (name, value) = split(pair, '=', "CONTAINER:NAME=VALUE")?;
        let list = containers.entry(container.to_owned()).or_default().entry("env").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"name": name, "value": value}));
        }
    }
    for (field, texts) in [("requests", requests), ("limits", limits)] {
        for text in texts {
            let (container, pair) = split(text, ':', "CONTAINER:RESOURCE=AMOUNT")?;
            let (what, amount) = split(pair, '=', "CONTAINER:RESOURCE=AMOUNT")?;
            let map = containers.entry(container.to_owned()).or_default().entry(field).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(what.to_owned(), json!(amount));
            }
        }
    }
    let named = |(name, mut fields): (String, Map<String, Value>)| {
        fields.insert("name".to_owned(), json!(name));
        Value::Object(fields)
    };
    let mut fields = Map::new();
    fields.extend(replicas.map(|r| ("replicas".to_owned(), json!(r))));
    if !containers.is_empty() {
        fields.insert("containers".to_owned(), containers.into_iter().map(named).collect());
    }
    Ok(fields.into())
}

fn split<'a>(text: &'a str, at: char, form: &str) -> Result<(&'a str, &'a str), Failure> {
    text.split_once(at).filter(|(before, _)| !before.is_empty()).ok_or_else(|| {
        Failure::new(format!("`{text}` is not what changes in a container")).with_next(format!("write {form}"))
    })
}

fn on_state(kind: &'static str, fields: Value) -> Drafted {
    Drafted { kind, fields, about: String::new(), generation: None }
}

fn object(drafted: &Drafted, common: &Common, now: UnixSeconds) -> Value {
    let Drafted { kind, fields, about, generation } = drafted;
    let (first, rest) = kind.split_at(1);
    let field = format!("{}{rest}", first.to_ascii_lowercase());
    let default = format!("{}{about}-{}", kind.to_ascii_lowercase(), now.get());
    let mut spec = json!({
        "audience": common.audience,
        "action": {"type": kind, (field): fields},
        "impact": common.impact,
        "reason": common.reason,
        "expiresAt": now.plus(common.expires).to_string(),
        "signatures": [],
    });
    if let Some(map) = spec.as_object_mut() {
        map.extend(common.ticket.as_ref().map(|t| ("ticket".to_owned(), Value::from(t.as_str()))));
        map.extend(generation.map(|g| ("precondition".to_owned(), json!({"generation": g}))));
    }
    json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "ControlCommand",
        "metadata": {
            "name": common.name.clone().unwrap_or(default),
            "namespace": common.namespace.as_deref().unwrap_or(SYSTEM_NAMESPACE),
        },
        "spec": spec,
    })
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
