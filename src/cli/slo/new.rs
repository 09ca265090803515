//! `miax slo new`: objectives for metrics that exist, as a beginning.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::api::v1alpha1::{GaugeIndicator, Indicator, LatencyIndicator, RatioIndicator};
use crate::slo::Decimal;

use super::super::files::read_text;
use super::super::output::{Answer, Failure, one_line, tell};
use super::proposal::{Common, Proposal, no_indicator, print, rolling};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  curl -s http://checkout:8080/metrics | miax slo new -f - -n shop --job checkout --audience prod-eu --for 365d
  miax slo new -f metrics.txt -n shop --audience prod-eu --for 365d --objective 99.5 > slo.yaml

Counters with a label code, status, status_code or grpc_code become ratios of errors, histograms become latencies up to the first bucket
that holds as many of the present events as the objective asks for, and probe_success and up become gauges. Look at each before you sign it.")]
pub(super) struct Arguments {
    /// Metrics as a target shows them to Prometheus; - for stdin.
    #[arg(short, long)]
    file: PathBuf,
    /// Name of the scrape job; without it the objectives count the metric wherever it comes from.
    #[arg(long)]
    job: Option<String>,
    /// How much must be good, in percent.
    #[arg(long, default_value = "99.9")]
    objective: String,
    /// Over which time.
    #[arg(long, default_value = "30d")]
    window: String,
    #[command(flatten)]
    common: Common,
}

/// Labels that tell an error, with the pattern of those that do.
const ERRORS: [(&str, &str); 4] = [
    ("code", "5.."),
    ("status", "5.."),
    ("status_code", "5.."),
    ("grpc_code", "Unknown|DeadlineExceeded|Unimplemented|Internal|Unavailable|DataLoss"),
];

/// A family of metrics: its type, and its samples by name with labels and value.
#[derive(Default)]
struct Family {
    kind: String,
    samples: Vec<Sample>,
}

struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let families = families(&read_text(&arguments.file)?);
    let mut objects: Vec<Value> = Vec::new();
    for (name, family) in &families {
        let Some((what, indicator)) = indicator(name, family, arguments)? else { continue };
        let proposal = Proposal {
            name: format!("{}{name}", arguments.job.as_ref().map(|j| format!("{j}-")).unwrap_or_default()),
            namespace: None,
            description: None,
            objective: arguments.objective.clone(),
            indicator,
            window: rolling(&arguments.window),
            time_slices: None,
            alerts: None,
        };
        tell(&one_line(&format!("{name}: {what}")));
        objects.push(arguments.common.object(proposal).map_err(|e| Failure::new(format!("{name}: {e}")))?);
    }
    if objects.is_empty() {
        return Err(Failure::new(
            "no metric says what is good: no counter of errors, no histogram, no gauge of a probe",
        )
        .with_next("write the selectors yourself; config/samples/slo-availability.yaml is a beginning"));
    }
    print(&objects);
    Ok(Answer::Yes)
}

/// What a family can be measured by, in words and as an indicator.
fn indicator(name: &str, family: &Family, arguments: &Arguments) -> Result<Option<(String, Indicator)>, Failure> {
    let selector = |metric: &str, more: Option<(&str, &str)>| {
        let job = arguments.job.as_ref().map(|j| format!("job=\"{}\"", j.replace('\\', "\\\\").replace('"', "\\\"")));
        let more = more.map(|(label, pattern)| format!("{label}=~\"{pattern}\""));
        format!("{metric}{{{}}}", job.into_iter().chain(more).collect::<Vec<_>>().join(","))
    };
    let labelled = |label: &str| family.samples.iter().any(|s| s.labels.contains_key(label));
    match family.kind.as_str() {
        "counter" => {
            let found = ERRORS.into_iter().find(|(label, _)| labelled(label));
            let metric = family.samples.first().map_or(name, |s| s.name.as_str());
            Ok(found.map(|(label, pattern)| {
                let ratio = RatioIndicator {
                    bad: Some(selector(metric, Some((label, pattern)))),
                    good: None,
                    total: selector(metric, None),
                };
                (format!("errors are those with {label} {pattern}"), Indicator { ratio: Some(ratio), ..no_indicator() })
            }))
        }
        "histogram" => {
            let objective: Decimal = arguments.objective.parse().map_err(|_| {
                Failure::new(format!("an objective of `{}` is not a decimal number", arguments.objective))
            })?;
            Ok(bucket(family, objective).map(|(threshold, share)| {
                let latency = LatencyIndicator { histogram: selector(name, None), threshold: threshold.clone() };
                let what = format!("{share} % of the events so far are within {threshold}");
                (what, Indicator { latency: Some(latency), ..no_indicator() })
            }))
        }
        "gauge" if matches!(name, "probe_success" | "up") => {
            let gauge = GaugeIndicator { up: selector(name, None) };
            Ok(Some(("good is what is 1".to_owned(), Indicator { gauge: Some(gauge), ..no_indicator() })))
        }
        _ => Ok(None),
    }
}

/// The first bucket that holds as large a share of the events as the objective asks for, with the share in percent.
fn bucket(family: &Family, objective: Decimal) -> Option<(String, String)> {
    let mut buckets: BTreeMap<Decimal, f64> = BTreeMap::new();
    let mut all = 0.0;
    for Sample { name, labels, value } in &family.samples {
        match labels.get("le") {
            Some(bound) if name.ends_with("_bucket") => {
                if let Ok(bound) = bound.parse() {
                    *buckets.entry(bound).or_default() += value;
                }
            }
            _ if name.ends_with("_count") => all += value,
            _ => {}
        }
    }
    let wanted: f64 = objective.to_string().parse().ok()?;
    let share = |count: f64| count / all * 100.0;
    let (bound, count) = buckets.into_iter().find(|(_, count)| all > 0.0 && share(*count) >= wanted)?;
    Some((bound.to_string(), format!("{:.2}", share(count))))
}

/// Reads the text format. A line that is no sample is left away: this is a proposal, and people look at it.
fn families(text: &str) -> BTreeMap<String, Family> {
    let mut all: BTreeMap<String, Family> = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let mut words = rest.split_whitespace();
            if let (Some(name), Some(kind)) = (words.next(), words.next()) {
                all.entry(name.to_owned()).or_default().kind = kind.to_owned();
            }
        } else if !line.starts_with('#')
            && let Some(sample) = sample(line)
        {
            let parts = ["_bucket", "_count", "_sum", "_total"].iter().filter_map(|s| sample.name.strip_suffix(s));
            let family = [sample.name.as_str()].into_iter().chain(parts).find(|name| all.contains_key(*name));
            if let Some(family) = family.map(str::to_owned).and_then(|name| all.get_mut(&name)) {
                family.samples.push(sample);
            }
        }
    }
    all
}

/// Reads `name{label="value",...} 1 ...`.
fn sample(line: &str) -> Option<Sample> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at_checked(end)?;
    let mut labels = BTreeMap::new();
    let mut rest = rest.trim_start();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            inside = inside.trim_start_matches([',', ' ']);
            if let Some(after) = inside.strip_prefix('}') {
                rest = after;
                break;
            }
            let (label, value) = inside.split_once("=\"")?;
            let (value, after) = quoted(value)?;
            labels.insert(label.trim().to_owned(), value);
            inside = after;
        }
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: name.to_owned(), labels, value })
}

/// A text up to its closing quote, and what is after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, text.split_at_checked(at + 1)?.1)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}
