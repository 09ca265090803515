//! Which changes stop when a budget is spent.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::api::{GatedKind, v1alpha1 as raw};
use crate::units::Seconds;

use super::error::{Problem, SloError};
use super::name::is_subdomain;
use super::objective::Margin;
use super::window::duration;

/// Which changes stop when a budget is spent, and when they may go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The workloads that it binds, in the namespace of the objective.
    pub binds: Bound,
    /// What happens while nobody knows how much is left.
    pub on_unknown: OnUnknown,
    /// How much must be left before it opens again: more than this.
    pub margin: Margin,
    /// How long that much must be left.
    pub dwell: Seconds,
}

/// The workloads that a gate binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Every workload of the namespace.
    Everything,
    /// These.
    Named(BTreeSet<Workload>),
}

/// A workload by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Its kind.
    pub kind: GatedKind,
    /// Its name.
    pub name: String,
}

/// What a gate does while nobody knows how much budget is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnUnknown {
    /// As if it were spent.
    Deny,
    /// The change passes with a warning.
    Warn,
    /// The change passes.
    Allow,
}

/// Longest dwell.
const LONGEST_DWELL: Seconds = Seconds(7 * 86_400);

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl Bound {
    /// Whether it binds the workload.
    #[must_use]
    pub fn contains(&self, kind: GatedKind, name: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Named(workloads) => workloads.iter().any(|w| w.kind == kind && w.name == name),
        }
    }

    /// What two gates of one namespace both bind, for people; `None` when they share nothing.
    #[must_use]
    pub fn shared(&self, other: &Self) -> Option<String> {
        match (self, other) {
            (Self::Everything, Self::Everything) => Some("every workload".to_owned()),
            (Self::Named(named), Self::Everything) | (Self::Everything, Self::Named(named)) => {
                Some(words(named.iter()))
            }
            (Self::Named(a), Self::Named(b)) => {
                let both = words(a.intersection(b));
                (!both.is_empty()).then_some(both)
            }
        }
    }
}

fn words<'a>(workloads: impl Iterator<Item = &'a Workload>) -> String {
    workloads.map(Workload::to_string).collect::<Vec<_>>().join(", ")
}

impl OnUnknown {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "Deny",
            Self::Warn => "Warn",
            Self::Allow => "Allow",
        }
    }
}

impl Gate {
    /// How long a budget must have recovered when nothing is written: two intervals of 5 minutes.
    pub const DWELL: Seconds = Seconds(600);

    /// Reads a gate.
    ///
    /// # Errors
    /// [`SloError`] below `path` when it binds nothing, something unknown, or twice the same.
    pub fn read(path: &str, spec: &raw::Gate) -> Result<Self, SloError> {
        let raw::Gate { workloads, all_workloads, on_unknown, margin, dwell } = spec;
        let binds = match (workloads, all_workloads) {
            (Some(workloads), None) => Bound::Named(read_workloads(&format!("{path}.workloads"), workloads)?),
            (None, Some(true)) => Bound::Everything,
            (None, Some(false)) => {
                let problem = Problem::Choice { found: "false".to_owned(), allowed: "true; or leave it away" };
                return Err(SloError::new(format!("{path}.allWorkloads"), problem));
            }
            (Some(_), Some(_)) | (None, None) => {
                return Err(SloError::new(path, Problem::ExactlyOne("workloads, allWorkloads")));
            }
        };
        let on_unknown = match on_unknown.as_deref() {
            None | Some("Deny") => OnUnknown::Deny,
            Some("Warn") => OnUnknown::Warn,
            Some("Allow") => OnUnknown::Allow,
            Some(other) => {
                let problem = Problem::Choice { found: other.to_owned(), allowed: "Deny, Warn, Allow" };
                return Err(SloError::new(format!("{path}.onUnknown"), problem));
            }
        };
        let margin = match margin {
            None => Margin::DEFAULT,
            Some(text) => Margin::read(&format!("{path}.margin"), text)?,
        };
        let dwell = match dwell {
            None => Self::DWELL,
            Some(text) => read_dwell(&format!("{path}.dwell"), text)?,
        };
        Ok(Self { binds, on_unknown, margin, dwell })
    }
}

fn read_dwell(path: &str, text: &str) -> Result<Seconds, SloError> {
    let dwell = duration(path, text)?;
    if dwell > LONGEST_DWELL {
        return Err(SloError::new(path, Problem::Range { found: text.to_owned(), range: "at most 7d" }));
    }
    Ok(dwell)
}

fn read_workloads(path: &str, workloads: &[raw::WorkloadRef]) -> Result<BTreeSet<Workload>, SloError> {
    if workloads.is_empty() || workloads.len() > MOST_WORKLOADS {
        let found = format!("{} workloads", workloads.len());
        return Err(SloError::new(path, Problem::Range { found, range: "1 to 64 workloads" }));
    }
    let mut named = BTreeSet::new();
    for (index, raw::WorkloadRef { kind, name }) in workloads.iter().enumerate() {
        let allowed = "CronJob, DaemonSet, Deployment, Job, Pod, ReplicaSet, StatefulSet";
        let gated = GatedKind::from_kind(kind).ok_or_else(|| {
            SloError::new(format!("{path}[{index}].kind"), Problem::Choice { found: kind.clone(), allowed })
        })?;
        if !is_subdomain(name) {
            return Err(SloError::new(format!("{path}[{index}].name"), Problem::Name(name.clone())));
        }
        let workload = Workload { kind: gated, name: name.clone() };
        if named.contains(&workload) {
            return Err(SloError::new(format!("{path}[{index}]"), Problem::Duplicate(workload.to_string())));
        }
        named.insert(workload);
    }
    Ok(named)
}

/// Most workloads of one gate.
const MOST_WORKLOADS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn workloads(list: &[(&str, &str)]) -> raw::Gate {
        let of = |(kind, name): &(&str, &str)| raw::WorkloadRef { kind: (*kind).to_owned(), name: (*name).to_owned() };
        let workloads = Some(list.iter().map(of).collect());
        raw::Gate { workloads, all_workloads: None, on_unknown: None, margin: None, dwell: None }
    }

    #[track_caller]
    fn check(spec: &raw::Gate, expected: Result<(&str, &str, &str), &str>) {
        let found = Gate::read("spec.gate", spec).map_err(|e| e.to_string());
        match (&found, expected) {
            (Ok(gate), Ok((unknown, margin, dwell))) => {
                assert_eq!(gate.on_unknown.as_str(), unknown);
                assert_eq!((gate.margin.to_string().as_str(), gate.dwell.to_string().as_str()), (margin, dwell));
            }
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_gate_denies_what_nobody_knows_unless_it_says_otherwise() {
        let shop = workloads(&[("Deployment", "shop")]);
        check(&shop, Ok(("Deny", "1", "10m")));
        let text = |t: &str| Some(t.to_owned());
        let other = raw::Gate { on_unknown: text("Warn"), margin: text("2.5"), dwell: text("1h"), ..shop.clone() };
        check(&other, Ok(("Warn", "2.5", "1h")));
        check(&raw::Gate { on_unknown: text("Ask"), ..shop.clone() }, Err("spec.gate.onUnknown: `Ask` is not one of"));
        check(&raw::Gate { margin: text("100"), ..shop.clone() }, Err("spec.gate.margin: `100` is out of range"));
        check(&raw::Gate { dwell: text("8d"), ..shop.clone() }, Err("spec.gate.dwell: `8d` is out of range"));
        check(&raw::Gate { all_workloads: Some(true), ..shop.clone() }, Err("exactly one of workloads, allWorkloads"));
        check(&raw::Gate { workloads: None, ..shop.clone() }, Err("exactly one of workloads, allWorkloads"));
        let nothing = raw::Gate { workloads: None, all_workloads: Some(false), ..shop };
        check(&nothing, Err("spec.gate.allWorkloads: `false` is not one of true"));
    }

    #[test]
    fn a_gate_binds_workloads_that_can_exist_each_once() {
        check(&workloads(&[]), Err("spec.gate.workloads: `0 workloads` is out of range"));
        check(&workloads(&[("Rollout", "shop")]), Err("spec.gate.workloads[0].kind: `Rollout` is not one of"));
        check(&workloads(&[("Deployment", "Shop")]), Err("spec.gate.workloads[0].name: `Shop` is not a name"));
        check(&workloads(&[("Deployment", "")]), Err("is not a name of Kubernetes"));
        check(&workloads(&[("Pod", "a"), ("Pod", "a")]), Err("spec.gate.workloads[1]: `Pod/a` stands twice"));
    }

    #[test]
    fn two_gates_say_what_they_both_bind() {
        let binds = |list: &[(&str, &str)]| Gate::read("x", &workloads(list)).expect("a gate").binds;
        let (a, b) = (binds(&[("Deployment", "a"), ("Job", "b")]), binds(&[("Deployment", "a"), ("Pod", "b")]));
        assert_eq!(a.shared(&b).as_deref(), Some("Deployment/a"));
        assert_eq!(a.shared(&binds(&[("Pod", "b")])), None);
        assert_eq!(a.shared(&Bound::Everything).as_deref(), Some("Deployment/a, Job/b"));
        assert!(a.contains(GatedKind::Job, "b") && !a.contains(GatedKind::Pod, "b"));
        assert!(Bound::Everything.contains(GatedKind::Pod, "x"));
    }
}
