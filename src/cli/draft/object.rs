//! From what was asked for to the object: where the command stands, what it acts on, and when it ends.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::api::GatedKind;
use crate::api::names::SYSTEM_NAMESPACE;
use crate::units::{Seconds, UnixSeconds};

use super::super::output::{Failure, Format, ask, tell};

/// How long a command is valid when nobody says it.
const USUAL_VALIDITY: Seconds = Seconds(2 * 3600);

/// A workload, and what must be true of it.
#[derive(Debug, clap::Args)]
pub(super) struct Workload {
    /// The workload: deployment/NAME, statefulset/NAME or daemonset/NAME.
    target: String,
    /// Only valid while the target has this `metadata.generation`.
    #[arg(long)]
    generation: Option<u64>,
    #[command(flatten)]
    place: Place,
}

/// Where the command stands.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// Put the command into miax-system; it acts in the namespace all the same.
    #[arg(long)]
    system: bool,
}

/// When the effect ends.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct End {
    /// The effect ends by itself after this time from now on, for example 2h.
    #[arg(long = "for", value_name = "LENGTH")]
    length: Option<Seconds>,
    /// The effect ends by itself at this time, for example 2026-11-24T10:00:00Z.
    #[arg(long, value_name = "TIME")]
    until: Option<UnixSeconds>,
}

/// What every command has.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Namespace of the command; a workload or a freeze is in the same one. Commands on neither go into miax-system without it.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Names of the clusters that the command is meant for; asked for on a terminal.
    #[arg(long, value_delimiter = ',', env = "MIAX_AUDIENCE", hide_env_values = true)]
    audience: Vec<String>,
    /// Normal, High or Critical; the charter may raise it.
    #[arg(long, default_value = "Normal")]
    impact: String,
    /// Why; asked for on a terminal.
    #[arg(long)]
    reason: Option<String>,
    /// A ticket that tells more.
    #[arg(long)]
    ticket: Option<String>,
    /// How long it is valid from now on [default: 2h; for a waiver or an override at least until that ends].
    #[arg(long)]
    expires: Option<Seconds>,
    /// Name of the command; made from the action, the target and the time when it is not given.
    #[arg(long)]
    name: Option<String>,
    /// Write to this file instead of stdout.
    #[arg(long)]
    pub(super) out: Option<PathBuf>,
    /// How to print.
    #[arg(short, long, default_value = "yaml")]
    pub(super) output: Format,
}

/// The action as the object carries it, and what the rest of the object needs to know of it.
pub(super) struct Drafted {
    kind: &'static str,
    fields: Value,
    /// What the default name is made from, after the action.
    about: String,
    namespace: String,
    /// Of the target.
    generation: Option<u64>,
    /// The command must not expire before.
    covers: Option<UnixSeconds>,
}

impl End {
    /// When the effect ends, if it does.
    pub(super) fn at(&self, now: UnixSeconds) -> Result<Option<UnixSeconds>, Failure> {
        let end = self.until.or_else(|| self.length.map(|length| now.plus(length)));
        match end.filter(|end| *end <= now) {
            Some(past) => Err(Failure::new(format!("the effect would end at {past}, and it is {now} now"))
                .with_next("--until with a later time, or --for with a length")),
            None => Ok(end),
        }
    }

    /// The same for what must have an end.
    pub(super) fn required(&self, now: UnixSeconds) -> Result<UnixSeconds, Failure> {
        self.at(now)?.ok_or_else(|| Failure::new("when does it end?").with_next("--for 2h, or --until TIME"))
    }
}

impl Drafted {
    /// An action on a workload.
    pub(super) fn on_workload(
        kind: &'static str,
        more: Value,
        workload: &Workload,
        common: &Common,
    ) -> Result<Self, Failure> {
        let Workload { target: named, generation, place } = workload;
        let (target_kind, name) = target(named)?;
        let namespace = common.namespace.as_ref();
        let namespace = namespace
            .ok_or_else(|| Failure::new(format!("in which namespace is {named}?")).with_next("-n NAMESPACE"))?;
        let mut target = json!({"apiVersion": "apps/v1", "kind": target_kind, "name": name});
        let stands_in = place.choose(namespace, &mut target);
        let mut fields = Map::from_iter([("target".to_owned(), target)]);
        fields.extend(more.as_object().cloned().unwrap_or_default());
        let about = format!("-{name}");
        Ok(Self { kind, fields: fields.into(), about, namespace: stands_in, generation: *generation, covers: None })
    }

    /// An action on a whole namespace.
    pub(super) fn on_namespace(
        kind: &'static str,
        mut fields: Value,
        place: &Place,
        common: &Common,
    ) -> Result<Self, Failure> {
        let namespace = common.namespace.as_ref();
        let namespace = namespace.ok_or_else(|| Failure::new("which namespace?").with_next("-n NAMESPACE"))?;
        let stands_in = place.choose(namespace, &mut fields);
        Ok(Self { kind, fields, about: format!("-{namespace}"), namespace: stands_in, generation: None, covers: None })
    }

    /// An action on State alone.
    pub(super) fn on_state(kind: &'static str, fields: Value, common: &Common) -> Self {
        let namespace = common.namespace.clone().unwrap_or_else(|| SYSTEM_NAMESPACE.to_owned());
        Self { kind, fields, about: String::new(), namespace, generation: None, covers: None }
    }

    /// The same action, in a command that does not expire before `end`: an exception never outlives its command.
    pub(super) fn covering(self, end: UnixSeconds) -> Self {
        Self { covers: Some(end), ..self }
    }
}

impl Place {
    /// The namespace that the command stands in. From miax-system it must name the one that it acts in.
    fn choose(&self, namespace: &str, acts_on: &mut Value) -> String {
        if !self.system {
            return namespace.to_owned();
        }
        if let Some(map) = acts_on.as_object_mut() {
            map.insert("namespace".to_owned(), json!(namespace));
        }
        SYSTEM_NAMESPACE.to_owned()
    }
}

/// The object, without signatures.
pub(super) fn object(drafted: &Drafted, common: &Common, now: UnixSeconds) -> Result<Value, Failure> {
    let Drafted { kind, fields, about, namespace, generation, covers } = drafted;
    let (first, rest) = kind.split_at(1);
    let field = format!("{}{rest}", first.to_ascii_lowercase());
    let default = format!("{}{about}-{}", kind.to_ascii_lowercase(), now.get());
    let mut spec = json!({
        "audience": audience(common)?,
        "action": {"type": kind, (field): fields},
        "impact": common.impact,
        "reason": reason(common)?,
        "expiresAt": expires_at(common, *covers, now).to_string(),
        "signatures": [],
    });
    if let Some(map) = spec.as_object_mut() {
        map.extend(common.ticket.as_ref().map(|t| ("ticket".to_owned(), Value::from(t.as_str()))));
        map.extend(generation.map(|g| ("precondition".to_owned(), json!({"generation": g}))));
    }
    Ok(json!({
        "apiVersion": crate::api::API_VERSION,
        "kind": "ControlCommand",
        "metadata": {"name": common.name.clone().unwrap_or(default), "namespace": namespace},
        "spec": spec,
    }))
}

/// What was said, else when the usual validity ends, or what the command covers if that ends later.
fn expires_at(common: &Common, covers: Option<UnixSeconds>, now: UnixSeconds) -> UnixSeconds {
    match (common.expires, covers) {
        (None, Some(end)) if end > now.plus(USUAL_VALIDITY) => {
            tell(&format!("the command expires at {end}, when its effect ends"));
            end
        }
        (None, Some(_) | None) => now.plus(USUAL_VALIDITY),
        (Some(length), Some(_) | None) => now.plus(length),
    }
}

/// The clusters. They are signed: nothing stands for a name that nobody gave.
fn audience(common: &Common) -> Result<Vec<String>, Failure> {
    if !common.audience.is_empty() {
        return Ok(common.audience.clone());
    }
    let missing = || Failure::new("for which clusters is it?").with_next("--audience NAME, or set MIAX_AUDIENCE");
    let answer = ask("for which clusters is it, as the charter names them?")?.ok_or_else(missing)?;
    Ok(answer.split(',').map(|name| name.trim().to_owned()).collect())
}

fn reason(common: &Common) -> Result<String, Failure> {
    match &common.reason {
        Some(reason) => Ok(reason.clone()),
        None => ask("why?")?.ok_or_else(|| Failure::new("why? the reason is missing").with_next("--reason TEXT")),
    }
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

/// A workload that the gate judges, as kind and name.
pub(super) fn gated(text: &str) -> Result<(GatedKind, &str), Failure> {
    let wrong = || {
        Failure::new(format!("`{text}` is not a workload that the gate judges"))
            .with_next("write deployment/NAME, statefulset/NAME, daemonset/NAME, replicaset/NAME, job/NAME, cronjob/NAME or pod/NAME")
    };
    let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
    let named = GatedKind::ALL.into_iter().find(|k| k.as_str().eq_ignore_ascii_case(kind));
    Ok((named.ok_or_else(wrong)?, name))
}
