//! Objectives that a command makes: unsigned, parsed before they are printed.

use serde_json::{Value, json};

use crate::api::API_VERSION;
use crate::api::v1alpha1::{Alerts, Indicator, SloSpec, TimeSlices, Window};
use crate::slo::{Slo, SloName};
use crate::trust::to_yaml;
use crate::units::Seconds;

use super::super::clock::now;
use super::super::output::say;

/// What every objective needs and no file of others says.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    /// Namespace of the objectives, that of the workloads.
    #[arg(short, long)]
    pub(super) namespace: Option<String>,
    /// Cluster that they are meant for; can be repeated.
    #[arg(long, required = true)]
    audience: Vec<String>,
    /// How long they are valid.
    #[arg(long = "for", value_name = "DURATION")]
    valid: Seconds,
}

/// An objective to be.
pub(super) struct Proposal {
    pub(super) name: String,
    /// When the file says one.
    pub(super) namespace: Option<String>,
    pub(super) description: Option<String>,
    pub(super) objective: String,
    pub(super) indicator: Indicator,
    pub(super) window: Window,
    pub(super) time_slices: Option<TimeSlices>,
    pub(super) alerts: Option<Alerts>,
}

impl Common {
    /// The object, and why it would not be taken.
    pub(super) fn object(&self, proposal: Proposal) -> Result<Value, String> {
        let Proposal { name, namespace, description, objective, indicator, window, time_slices, alerts } = proposal;
        let namespace = self.namespace.clone().or(namespace).ok_or("no namespace is named; write --namespace")?;
        let name = SloName::try_new(&namespace, &object_name(&name)).map_err(|e| e.to_string())?;
        let spec = SloSpec {
            audience: self.audience.clone(),
            version: 1,
            expires_at: now().plus(self.valid).to_string(),
            description: description.filter(|d| !d.trim().is_empty()),
            objective,
            indicator,
            window,
            time_slices,
            alerts,
            gate: None,
            retired: None,
            signatures: Vec::new(),
        };
        Slo::try_from(&spec).map_err(|e| e.to_string())?;
        let mut spec = serde_json::to_value(&spec).map_err(|e| e.to_string())?;
        if let Some(map) = spec.as_object_mut() {
            map.remove("signatures");
        }
        Ok(json!({
            "apiVersion": API_VERSION,
            "kind": "SLO",
            "metadata": { "namespace": name.namespace(), "name": name.name() },
            "spec": spec,
        }))
    }
}

/// An empty indicator, to be filled in one place.
pub(super) fn no_indicator() -> Indicator {
    Indicator { ratio: None, latency: None, native_latency: None, gauge: None }
}

/// A rolling window.
pub(super) fn rolling(length: &str) -> Window {
    Window { rolling: Some(length.to_owned()), calendar: None }
}

/// A name that Kubernetes takes, as near as it can be to one of others.
fn object_name(name: &str) -> String {
    let fits = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c == '.' => c,
        _ => '-',
    };
    name.chars().map(fits).collect::<String>().trim_matches(['-', '.']).to_owned()
}

/// Prints objects as YAML documents.
pub(super) fn print(objects: &[Value]) {
    say(&objects.iter().map(to_yaml).collect::<Vec<_>>().join("---\n"));
}
