//! The rules of a charter, and the floors below them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::Seconds;

use super::PrincipalKind;

/// How much is at stake; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Impact {
    /// Routine.
    Normal,
    /// More than routine.
    High,
    /// Production is at stake.
    Critical,
}

/// What a rule is about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// Commands.
    Commands {
        /// With one of these actions.
        actions: BTreeSet<String>,
        /// Of this impact; `None` means any.
        impact: Option<Impact>,
        /// With a target in one of these namespaces; empty means any.
        namespaces: BTreeSet<String>,
    },
    /// Manifests with one of these bodies.
    Manifests(BTreeSet<String>),
    /// Other signed objects.
    Objects {
        /// Of one of these kinds.
        kinds: BTreeSet<String>,
        /// In one of these namespaces; empty means any.
        namespaces: BTreeSet<String>,
    },
}

/// Seats to fill.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// The organs whose holders may fill them.
    pub seats: BTreeSet<String>,
    /// How many.
    pub amount: Amount,
    /// Whether machines may fill them.
    pub by: FilledBy,
    /// Whether only signatures of hardware keys fill them.
    pub hardware: bool,
}

/// How many different principals a requirement needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// Exactly this many seats, each filled by somebody who fills no other seat of the rule.
    Count(u32),
    /// This share of all different holders, whether or not they fill another seat of the rule.
    Fraction {
        /// Above the line.
        numerator: u32,
        /// Below it.
        denominator: u32,
    },
}

/// Who may fill a seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilledBy {
    /// Persons only.
    Person,
    /// Persons and machines.
    Any,
}

/// A rule of the charter.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The article that it implements.
    pub article: String,
    /// What it is about.
    pub scope: Scope,
    /// Organs that may author.
    pub authors: BTreeSet<String>,
    /// All of these must be met.
    pub require: Vec<Requirement>,
    /// How long a document may be valid.
    pub max_validity: Option<Seconds>,
    /// How soon an emergency charter must be ratified.
    pub ratify_within: Option<Seconds>,
    /// How soon after a command began its post-mortem is due.
    pub post_mortem_within: Option<Seconds>,
    /// How soon an override must be acknowledged.
    pub acknowledge_within: Option<Seconds>,
    /// How soon after the budget of an objective was spent a plan must stand.
    pub mitigate_within: Option<Seconds>,
    /// Whether it decides, or only tells what it would decide.
    pub mode: Mode,
    /// What becomes of a command that still waits for people.
    pub pending: Pending,
    /// For Override: the organs whose decisions may be overridden.
    pub overrides: BTreeSet<String>,
}

/// Whether a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// It decides.
    Enforce,
    /// It decides nothing; whoever submits is told what it would refuse.
    Warn,
    /// It decides nothing; only the entry tells what it would refuse.
    Observe,
}

/// What becomes of a command that is right but for people who have not signed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// It is refused; signatures are collected in the file.
    Refuse,
    /// It is stored and does nothing; signatures are added in the cluster.
    Hold,
}

/// The fewest persons who must agree, whatever the rules say.
#[derive(Clone, Debug)]
pub struct Floor {
    /// Actions; empty means any.
    pub actions: BTreeSet<String>,
    /// Namespaces; empty means any.
    pub namespaces: BTreeSet<String>,
    /// The lowest impact that it covers.
    pub impact: Impact,
    /// How many different persons.
    pub min_persons: u32,
}

impl FilledBy {
    /// Whether a principal of this kind may fill the seat.
    #[must_use]
    pub fn accepts(self, kind: PrincipalKind) -> bool {
        match self {
            Self::Any => true,
            Self::Person => kind == PrincipalKind::Person,
        }
    }
}

impl Mode {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "Enforce",
            Self::Warn => "Warn",
            Self::Observe => "Observe",
        }
    }
}

impl Impact {
    /// Reads the word of the API.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Normal" => Some(Self::Normal),
            "High" => Some(Self::High),
            "Critical" => Some(Self::Critical),
            _ => None,
        }
    }

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}

impl Rule {
    /// Whether it is about commands that change workloads.
    pub(in super::super) fn covers_workloads(&self) -> bool {
        let of_workloads =
            |name: &String| ["Scale", "Restart", "Rollback", "Patch", "Isolate"].contains(&name.as_str());
        matches!(&self.scope, Scope::Commands { actions, .. } if actions.iter().any(of_workloads))
    }

    /// How denials cite the rule.
    #[must_use]
    pub fn citation(&self) -> String {
        format!("{}, Article {}", self.name, self.article)
    }
}
