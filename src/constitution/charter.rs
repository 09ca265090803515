//! The charter as closed types: parsed once when it comes into force, then only read.

mod error;
mod parse;
mod parse_rule;
mod rule;
mod signal;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::trust::{KeyId, Keyring, PublicKey};
use crate::units::UnixSeconds;

use super::action::Action;

pub use error::CharterError;
pub use rule::{Amount, FilledBy, Floor, Impact, Mode, Pending, Requirement, Rule, Scope};
pub use signal::Signal;

/// How urgent a signal is; ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Whenever there is time.
    Low,
    /// The usual.
    Medium,
    /// Before the usual.
    High,
    /// Before everything.
    Critical,
}

/// Whether a principal is a human being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person; fills seats.
    Person,
    /// A program; authors, and fills only seats that a rule opens to machines.
    Machine,
}

/// A person or machine with keys and seats.
#[derive(Clone, Debug)]
pub struct Principal {
    /// Person or machine.
    pub kind: PrincipalKind,
    /// Its keys with the identities that we computed (R2).
    pub keys: Vec<(KeyId, PublicKey)>,
    /// The organs it signs for.
    pub seats: BTreeSet<String>,
}

/// A row of the routing table.
#[derive(Clone, Debug)]
pub struct Route {
    /// Who may originate the signal.
    pub from: BTreeSet<String>,
    /// Who receives it; the first one executes.
    pub to: Vec<String>,
    /// How urgent it is.
    pub priority: Priority,
}

/// Lets a principal sign for an organ whose seat they do not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The organ that delegates.
    pub from: String,
    /// The principal who may sign for it.
    pub to: String,
    /// Only for these actions.
    pub actions: BTreeSet<String>,
    /// Only about these namespaces.
    pub namespaces: BTreeSet<String>,
    /// Not from this time on.
    pub until: UnixSeconds,
}

/// The charter, parsed.
#[derive(Clone, Debug)]
pub struct Charter {
    /// Cluster names and their UIDs.
    pub clusters: BTreeMap<String, String>,
    /// Organs and their ranks.
    pub organs: BTreeMap<String, u32>,
    /// Principals by name.
    pub principals: BTreeMap<String, Principal>,
    /// Routes by signal.
    pub routes: BTreeMap<Signal, Route>,
    /// Rules in the order of the document.
    pub rules: Vec<Rule>,
    /// Where impact is raised: actions, namespaces (empty: any), lowest impact.
    impacts: Vec<(BTreeSet<String>, BTreeSet<String>, Impact)>,
    /// What no rule can relax.
    pub floors: Vec<Floor>,
    /// Accepted findings: name and subject, with the reason.
    pub waivers: BTreeMap<(String, String), String>,
    /// Who may sign for an organ without holding its seat.
    pub delegations: Vec<Delegation>,
    /// Owners of keys, by fingerprint.
    owners: HashMap<String, String>,
    /// When keys end, by fingerprint; most have no end.
    key_ends: BTreeMap<String, UnixSeconds>,
}

/// The kind of objectives, as rules call it.
pub(super) const SLO: &str = "SLO";
/// The body of manifests that rules call so.
pub(super) const CHARTER: &str = "charter";
/// A charter with `ratifyBy`.
pub(super) const EMERGENCY_CHARTER: &str = "emergencyCharter";
/// The organ's rank under whose authority charters stand (Article I).
pub(super) const ROOT_RANK: u32 = 1;

/// Whether a key is one in hardware.
pub(super) fn is_hardware(key: &PublicKey) -> bool {
    key.key_type().is_hardware()
}

impl Keyring for Charter {
    fn keys_of(&self, principal: &str) -> Option<&[(KeyId, PublicKey)]> {
        self.principals.get(principal).map(|p| p.keys.as_slice())
    }

    fn owner_of(&self, fingerprint: &str) -> Option<&str> {
        self.owners.get(fingerprint).map(String::as_str)
    }
}

impl Charter {
    /// The name that this cluster has in the charter.
    #[must_use]
    pub fn cluster_name(&self, uid: &str) -> Option<&str> {
        self.clusters.iter().find(|(_, u)| *u == uid).map(|(name, _)| name.as_str())
    }

    /// The impact of an action after the charter raised it; never below `written`.
    #[must_use]
    pub fn impact(&self, action: &Action, namespace: &str, written: Impact) -> Impact {
        let applies = |set: &BTreeSet<String>, value: &str| set.is_empty() || set.contains(value);
        self.impacts
            .iter()
            .filter(|(actions, namespaces, _)| applies(actions, action.name()) && applies(namespaces, namespace))
            .map(|(_, _, least)| *least)
            .fold(written, Impact::max)
    }

    /// Whether every command with one of `actions` in one of `namespaces` (empty: any) is raised above `impact`.
    pub(super) fn always_above(
        &self,
        actions: &BTreeSet<String>,
        namespaces: &BTreeSet<String>,
        impact: Impact,
    ) -> bool {
        let covers = |floor: &BTreeSet<String>, asked: &BTreeSet<String>| {
            floor.is_empty() || (!asked.is_empty() && asked.is_subset(floor))
        };
        self.impacts.iter().any(|(a, n, least)| *least > impact && covers(a, actions) && covers(n, namespaces))
    }

    /// Where the impact is raised: actions and namespaces (empty: any), and the lowest impact there.
    pub fn impact_floors(&self) -> impl Iterator<Item = (&BTreeSet<String>, &BTreeSet<String>, Impact)> {
        self.impacts.iter().map(|(actions, namespaces, least)| (actions, namespaces, *least))
    }

    /// When a key ends, by its fingerprint; `None` when it has no end.
    #[must_use]
    pub fn key_end(&self, fingerprint: &str) -> Option<UnixSeconds> {
        self.key_ends.get(fingerprint).copied()
    }

    /// Names of all principals of `kind` who hold one of `seats`.
    pub fn holders<'a>(&'a self, seats: &'a BTreeSet<String>, by: FilledBy) -> impl Iterator<Item = &'a str> {
        self.principals
            .iter()
            .filter(move |(_, p)| by.accepts(p.kind) && !p.seats.is_disjoint(seats))
            .map(|(name, _)| name.as_str())
    }

    /// Names of all principals who could fill a seat of the requirement, with a key that may.
    pub fn eligible<'a>(&'a self, requirement: &'a Requirement) -> impl Iterator<Item = &'a str> {
        let has_key = |name: &str| {
            !requirement.hardware
                || self.principals.get(name).is_some_and(|p| p.keys.iter().any(|(_, k)| is_hardware(k)))
        };
        self.holders(&requirement.seats, requirement.by).filter(move |name| has_key(name))
    }

    /// The charter as it stands for commands with this action about this namespace: whoever an organ delegated that to holds
    /// its seat. Everything else is as it was, so that nothing but the seats can widen.
    #[must_use]
    pub fn acting(&self, action: &str, namespace: &str, now: UnixSeconds) -> Cow<'_, Self> {
        let applies = |d: &&Delegation| now < d.until && d.actions.contains(action) && d.namespaces.contains(namespace);
        let mut acting = Cow::Borrowed(self);
        for delegation in self.delegations.iter().filter(applies) {
            if let Some(principal) = acting.to_mut().principals.get_mut(&delegation.to) {
                principal.seats.insert(delegation.from.clone());
            }
        }
        acting
    }

    /// What was delegated to a principal for a seat, whatever it is for and whether or not it has ended.
    pub fn delegated<'a>(&'a self, principal: &'a str, seat: &'a str) -> impl Iterator<Item = &'a Delegation> {
        self.delegations.iter().filter(move |d| d.to == principal && d.from == seat)
    }

    /// Whether the principal holds the seat.
    #[must_use]
    pub fn holds(&self, principal: &str, seat: &str) -> bool {
        self.principals.get(principal).is_some_and(|p| p.seats.contains(seat))
    }

    /// How many principals a requirement needs: the count, or the share of the eligible ones, rounded up.
    #[must_use]
    pub fn needed(&self, requirement: &Requirement) -> u32 {
        match requirement.amount {
            Amount::Count(count) => count,
            Amount::Fraction { numerator, denominator } => {
                let eligible = self.eligible(requirement).count();
                let eligible = u64::try_from(eligible).unwrap_or(u64::MAX);
                let needed = eligible.saturating_mul(u64::from(numerator)).div_ceil(u64::from(denominator.max(1)));
                // A share of nobody would be zero, and zero seats must never be "nothing to check" (R3).
                u32::try_from(needed.max(1)).unwrap_or(u32::MAX)
            }
        }
    }
}

impl PrincipalKind {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Person => "Person",
            Self::Machine => "Machine",
        }
    }
}

impl Priority {
    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}
