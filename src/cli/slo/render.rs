//! `miax slo render`: the rules of objectives, for Prometheus.

use std::path::PathBuf;

use serde_json::Value;

use crate::slo::rules::{Group, Packed, WARN_BYTES, object_name, pack, render};
use crate::trust::to_yaml;
use crate::units::Seconds;

use super::super::output::{Answer, Failure, say, tell};
use super::source::{Named, read_all, resolution};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax slo render -f slo.yaml | kubectl apply --server-side -f -
  miax slo render -f slo.yaml -o file > rules.yaml
  miax slo render -f slo.yaml -o configmap --resolution 1m

The operator writes the same rules by itself; the annotation miax_rules of each alert is the digest of its group.")]
pub(super) struct Arguments {
    /// File with objectives; - for stdin.
    #[arg(short, long)]
    file: PathBuf,
    /// How often events are counted; at least twice the time between two scrapes.
    #[arg(long, default_value = "5m")]
    resolution: Seconds,
    /// What to print.
    #[arg(short, long, value_enum, default_value = "prometheusrule")]
    output: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A `PrometheusRule` for each objective, for the Prometheus operator.
    #[value(name = "prometheusrule")]
    PrometheusRule,
    /// A file of rules.
    File,
    /// A `ConfigMap` for each objective that holds a file of rules.
    #[value(name = "configmap")]
    ConfigMap,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let resolution = resolution(arguments.resolution)?;
    let mut groups = Vec::new();
    for Named { name, slo } in read_all(&arguments.file)? {
        match render(&name, &slo, resolution) {
            Some(group) => groups.push(group),
            None => tell(&format!("{name} has ended; it has no rules")),
        }
    }
    let documents: Vec<Value> = match arguments.output {
        Form::File => pack(&groups).iter().map(Packed::file).collect(),
        Form::PrometheusRule => each(&groups, |packed, namespace, name| packed.prometheus_rule(namespace, name)),
        Form::ConfigMap => each(&groups, |packed, namespace, name| packed.config_map(namespace, name, to_yaml)),
    };
    say(&documents.iter().map(to_yaml).collect::<Vec<_>>().join("---\n"));
    Ok(Answer::Yes)
}

/// An object for each group.
fn each(groups: &[Group], object: impl Fn(&Packed, &str, &str) -> Value) -> Vec<Value> {
    let of = |group: &Group| {
        let slo = group.recordings().slo();
        let packed = pack(std::slice::from_ref(group));
        for large in packed.iter().filter(|p| p.bytes() > WARN_BYTES) {
            tell(&format!("the rules of {slo} have {} bytes; shorten its selectors", large.bytes()));
        }
        packed.iter().map(|p| object(p, slo.namespace(), &object_name(slo))).collect::<Vec<_>>()
    };
    groups.iter().flat_map(of).collect()
}
