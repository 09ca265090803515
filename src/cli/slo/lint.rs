//! `miax slo lint`: what is wrong in objectives, and what people do not expect.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::json;

use crate::slo::{AlertPolicy, Budgeting, Life, Resolution, Slo};
use crate::units::{Seconds, UnixSeconds};

use super::super::clock::now;
use super::super::output::{Answer, Failure, Format, Tone, one_line, paint, print};
use super::source::{Found, Named, read, resolution};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax slo lint -f slo.yaml
  miax slo lint -f checkout.yaml -f search.yaml --retention 15d
  miax slo lint -f slo.yaml -o json

The exit code is 1 when there is an error; warnings are for people.")]
pub(super) struct Arguments {
    /// Files with objectives.
    #[arg(short, long, required = true)]
    file: Vec<PathBuf>,
    /// How long Prometheus keeps its data; a window that is longer is never known.
    #[arg(long)]
    retention: Option<Seconds>,
    /// How often events are counted.
    #[arg(long, default_value = "5m")]
    resolution: Seconds,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Level {
    Error,
    Warning,
}

#[derive(Debug, Serialize)]
struct Finding {
    level: Level,
    place: String,
    message: String,
}

/// From how many days on an end is near.
const SOON: Seconds = Seconds(30 * 86_400);

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let resolution = resolution(arguments.resolution)?;
    let mut findings = Vec::new();
    let mut objectives: Vec<Named> = Vec::new();
    for Found { place, objective } in
        arguments.file.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
    {
        match objective {
            Ok(named) => objectives.push(named),
            Err(message) => findings.push(Finding { level: Level::Error, place, message }),
        }
    }
    for Named { name, slo } in &objectives {
        let found = alone(slo, arguments.retention, resolution, now());
        findings.extend(found.into_iter().map(|(level, message)| Finding { level, place: name.to_string(), message }));
    }
    findings.extend(together(&objectives));
    print(arguments.output, &json!({ "findings": findings }), || text(&findings, objectives.len()))?;
    Ok(if findings.iter().any(|f| f.level == Level::Error) { Answer::No } else { Answer::Yes })
}

/// What one objective says by itself.
fn alone(slo: &Slo, retention: Option<Seconds>, resolution: Resolution, now: UnixSeconds) -> Vec<(Level, String)> {
    let mut found = Vec::new();
    if slo.life == Life::Retired {
        return vec![(Level::Warning, "this version ends it; nothing is recorded any more".to_owned())];
    }
    let window = slo.window.longest();
    if let Some(kept) = retention.filter(|kept| *kept < window) {
        let message = format!(
            "spec.window: {window} is longer than the {kept} that Prometheus keeps; once it is full the verdict is Unknown for good"
        );
        found.push((Level::Error, message));
    }
    match slo.expires_at {
        end if end <= now => {
            found.push((Level::Error, format!("spec.expiresAt: it expired at {end}; the verdict is Unknown")))
        }
        end if end.since(now) < SOON => {
            found.push((Level::Warning, format!("spec.expiresAt: it expires soon, at {end}")))
        }
        _ => {}
    }
    if let Budgeting::TimeSlices(_) = slo.budgeting {
        let slices = resolution.points(slo.window.nominal());
        let (allowed, of) = slo.objective.error_fraction();
        if u128::from(slices) * allowed < of {
            let message =
                format!("spec.objective: of {slices} slices not one may be bad; the first one spends the budget");
            found.push((Level::Warning, message));
        }
    }
    found.extend(about_alerts(slo));
    if slo.gate.is_none() {
        found.push((Level::Warning, "spec.gate is missing; a spent budget stops no change".to_owned()));
    }
    found
}

fn about_alerts(slo: &Slo) -> Vec<(Level, String)> {
    let pairs = slo.alerts.pairs(&slo.window);
    let never = |factor: &crate::slo::Decimal| {
        factor.times(slo.objective.error_ratio()).is_none_or(|share| share >= crate::slo::Decimal::ONE)
    };
    let mut found: Vec<(Level, String)> = pairs
        .iter()
        .filter(|pair| never(&pair.factor))
        .map(|pair| {
            let message = format!(
                "spec.alerts: {} times too fast in {} never happens at {} %; that alert is left away",
                pair.factor, pair.long, slo.objective
            );
            (Level::Warning, message)
        })
        .collect();
    match slo.alerts.policy {
        AlertPolicy::Workbook | AlertPolicy::Pyrra if pairs.is_empty() => {
            let message = "spec.alerts: the window is too short for the pairs of this policy; nobody is alerted before the budget is spent";
            found.push((Level::Warning, message.to_owned()));
        }
        AlertPolicy::Workbook | AlertPolicy::Pyrra | AlertPolicy::Custom(_) | AlertPolicy::None => {}
    }
    found
}

/// What objectives say only together.
fn together(objectives: &[Named]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut versions: BTreeMap<String, u64> = BTreeMap::new();
    for (index, Named { name, slo }) in objectives.iter().enumerate() {
        if versions.insert(name.to_string(), slo.version).is_some() {
            let message = "stands twice; a name has one version at a time".to_owned();
            found.push(Finding { level: Level::Error, place: name.to_string(), message });
        }
        let others =
            objectives.iter().take(index).filter(|o| o.name != *name && o.name.namespace() == name.namespace());
        for other in others {
            let (Some(a), Some(b)) = (&slo.gate, &other.slo.gate) else { continue };
            if let Some(shared) = a.binds.shared(&b.binds) {
                let message =
                    format!("binds {shared}, and so does {}; either budget stops it when it is spent", other.name);
                found.push(Finding { level: Level::Warning, place: name.to_string(), message });
            }
        }
    }
    found
}

fn text(findings: &[Finding], objectives: usize) -> String {
    let line = |finding: &Finding| {
        let Finding { level, place, message } = finding;
        let word = match level {
            Level::Error => paint("error", Tone::Bad),
            Level::Warning => paint("warning", Tone::Doubt),
        };
        format!("{word}: {}: {}", one_line(place), one_line(message))
    };
    match findings.is_empty() {
        true => format!("objectives: {objectives}, findings: 0"),
        false => findings.iter().map(line).collect::<Vec<_>>().join("\n"),
    }
}
