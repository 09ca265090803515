//! Charter lint: what a charter should not be, found before it is in force. The same findings are enforced at admission,
//! unless the charter itself waives one by name with a reason, so that the waiver is signed with it.

use std::collections::BTreeSet;

use crate::api::reason::Reason;

use super::charter::{
    Amount, Charter, Delegation, FilledBy, Impact, Principal, PrincipalKind, Rule, Scope, Signal, is_hardware,
};
use super::count::is_satisfiable;
use super::decision::{Finding, NextStep};

/// The kinds of finding; the word is what a waiver names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LintName {
    /// A delegation is for an action in which its organ has no say.
    DelegationWidens,
    /// The loss of one key makes a rule impossible to satisfy.
    LostKeyBlocksRule,
    /// A rule lets organs override, and no rule lets anybody acknowledge that.
    NoPathToAcknowledge,
    /// No rule covers the next charter.
    NoPathToAmend,
    /// A rule asks for a post-mortem, and no rule lets anybody write one.
    NoPathToReview,
    /// One person, with the machines, satisfies a rule alone.
    OnePersonSatisfiesRule,
    /// A key of a machine has no end.
    MachineKeyWithoutEnd,
    /// No seat asks for a key in hardware.
    NoHardwareSeat,
    /// Nobody holds a seat of the organ.
    OrganWithoutHolders,
    /// A signal has no row in the routing table.
    RouteMissing,
    /// A rule needs more people than there are.
    RuleImpossible,
    /// A rule never matches anything.
    RuleUnreachable,
}

/// How much a finding weighs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LintLevel {
    /// The charter is refused.
    Error,
    /// Worth knowing.
    Warning,
    /// The signers accept it for this reason.
    Waived(String),
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintFinding {
    /// Which one.
    pub name: LintName,
    /// What it is about: the name of a rule or an organ.
    pub subject: String,
    /// One sentence for people.
    pub message: String,
    /// How much it weighs.
    pub level: LintLevel,
}

impl LintName {
    /// Every name.
    pub const ALL: [Self; 12] = [
        Self::DelegationWidens,
        Self::LostKeyBlocksRule,
        Self::MachineKeyWithoutEnd,
        Self::NoHardwareSeat,
        Self::NoPathToAcknowledge,
        Self::NoPathToAmend,
        Self::NoPathToReview,
        Self::OnePersonSatisfiesRule,
        Self::OrganWithoutHolders,
        Self::RouteMissing,
        Self::RuleImpossible,
        Self::RuleUnreachable,
    ];

    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DelegationWidens => "DelegationWidens",
            Self::LostKeyBlocksRule => "LostKeyBlocksRule",
            Self::MachineKeyWithoutEnd => "MachineKeyWithoutEnd",
            Self::NoHardwareSeat => "NoHardwareSeat",
            Self::NoPathToAcknowledge => "NoPathToAcknowledge",
            Self::NoPathToAmend => "NoPathToAmend",
            Self::NoPathToReview => "NoPathToReview",
            Self::OnePersonSatisfiesRule => "OnePersonSatisfiesRule",
            Self::OrganWithoutHolders => "OrganWithoutHolders",
            Self::RouteMissing => "RouteMissing",
            Self::RuleImpossible => "RuleImpossible",
            Self::RuleUnreachable => "RuleUnreachable",
        }
    }
}

impl LintFinding {
    /// Whether the charter is refused for it.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.level == LintLevel::Error
    }
}

impl From<LintFinding> for Finding {
    fn from(lint: LintFinding) -> Self {
        let LintFinding { name, subject, message, level: _ } = lint;
        Self {
            reason: Reason::CharterLint,
            message: format!("{} ({subject}): {message}", name.as_str()),
            rule: None,
            next: Some(NextStep::Do(
                "change the charter, or accept the finding in spec.body.charter.waivers with a reason".to_owned(),
            )),
        }
    }
}

/// All findings, in the order of the charter.
#[must_use]
pub fn lint(charter: &Charter) -> Vec<LintFinding> {
    let mut findings = organs_without_holders(charter);
    for rule in &charter.rules {
        findings.extend(lint_rule(rule, charter));
    }
    let reviews = |rule: &Rule| match &rule.scope {
        Scope::Commands { actions, .. } => actions.contains("Review"),
        Scope::Manifests(_) | Scope::Objects { .. } => false,
    };
    if !charter.rules.iter().any(reviews) {
        let owing = charter.rules.iter().filter(|r| r.post_mortem_within.is_some());
        let message =
            "it asks for a post-mortem, but no rule matches Review; once one is due, it would stop itself for ever";
        findings.extend(owing.map(|r| error(LintName::NoPathToReview, &r.name, message.to_owned())));
    }
    let amends = |rule: &Rule| match &rule.scope {
        Scope::Manifests(bodies) => bodies.contains("charter"),
        Scope::Commands { .. } | Scope::Objects { .. } => false,
    };
    if !charter.rules.iter().any(amends) {
        let message = "no rule matches manifests with the body charter, so this charter could never be replaced";
        findings.push(error(LintName::NoPathToAmend, "rules", message.to_owned()));
    }
    findings.extend(unmet_overrides(charter));
    findings.extend(shut_doors(charter));
    findings.extend(floors_out_of_reach(charter));
    findings.extend(wide_delegations(charter));
    findings.extend(loose_keys(charter));
    findings.into_iter().map(|f| waive(f, charter)).collect()
}

fn floors_out_of_reach(charter: &Charter) -> Vec<LintFinding> {
    let persons = charter.principals.values().filter(|p| p.kind == PrincipalKind::Person).count();
    let persons = u32::try_from(persons).unwrap_or(u32::MAX);
    let high = charter.floors.iter().filter(|f| f.min_persons > persons);
    high.map(|f| {
        let message = format!("a floor asks for {} persons; there are {persons}", f.min_persons);
        error(LintName::RuleImpossible, "floors", message)
    })
    .collect()
}

/// An override that nobody could acknowledge would stop its rule for ever.
fn unmet_overrides(charter: &Charter) -> Vec<LintFinding> {
    let covers =
        |rule: &&Rule, action: &str| matches!(&rule.scope, Scope::Commands { actions, .. } if actions.contains(action));
    if charter.rules.iter().any(|r| covers(&r, "AcknowledgeOverride")) {
        return Vec::new();
    }
    let message = "it asks for an acknowledgement, but no rule matches AcknowledgeOverride; once one is due, it would stop itself for ever";
    let owing = charter.rules.iter().filter(|r| covers(r, "Override"));
    owing.map(|r| error(LintName::NoPathToAcknowledge, &r.name, message.to_owned())).collect()
}

/// A signal that has a door but no row is refused for everybody.
fn shut_doors(charter: &Charter) -> Vec<LintFinding> {
    let shut = Signal::WITH_DOOR.into_iter().filter(|s| !charter.routes.contains_key(s));
    shut.map(|signal| {
        let message = format!("the routing table has no row for {signal}; nobody may send it");
        error(LintName::RouteMissing, signal.as_str(), message)
    })
    .collect()
}

/// An organ cannot give away what it does not have.
fn wide_delegations(charter: &Charter) -> Vec<LintFinding> {
    let has_a_say = |organ: &str, action: &str| {
        charter.rules.iter().any(|rule| {
            let matches = matches!(&rule.scope, Scope::Commands { actions, .. } if actions.contains(action));
            matches && (rule.authors.contains(organ) || rule.require.iter().any(|r| r.seats.contains(organ)))
        })
    };
    let of = |d: &Delegation| {
        let wide: Vec<&str> = d.actions.iter().map(String::as_str).filter(|a| !has_a_say(&d.from, a)).collect();
        (!wide.is_empty()).then(|| {
            let message =
                format!("{} has no say in {}, so that it cannot delegate that to {}", d.from, wide.join(", "), d.to);
            error(LintName::DelegationWidens, &d.to, message)
        })
    };
    charter.delegations.iter().filter_map(of).collect()
}

/// What is worth knowing of keys: programs whose keys never end, and that nobody needs hardware.
fn loose_keys(charter: &Charter) -> Vec<LintFinding> {
    let endless = |p: &Principal| p.keys.iter().any(|(id, _)| charter.key_end(id.as_str()).is_none());
    let machines = charter.principals.iter().filter(|(_, p)| p.kind == PrincipalKind::Machine && endless(p));
    let message = "a key of this machine has no expiresAt; whoever copies it can author until somebody notices";
    let mut findings: Vec<LintFinding> =
        machines.map(|(name, _)| warning(LintName::MachineKeyWithoutEnd, name, message)).collect();
    if !charter.rules.iter().any(|rule| rule.require.iter().any(|r| r.hardware)) {
        let message = "no rule has requireHardware; one stolen laptop's keys may be enough for a seat";
        findings.push(warning(LintName::NoHardwareSeat, "rules", message));
    }
    findings
}

fn warning(name: LintName, subject: &str, message: &str) -> LintFinding {
    LintFinding { name, subject: subject.to_owned(), message: message.to_owned(), level: LintLevel::Warning }
}

fn error(name: LintName, subject: &str, message: String) -> LintFinding {
    LintFinding { name, subject: subject.to_owned(), message, level: LintLevel::Error }
}

fn waive(finding: LintFinding, charter: &Charter) -> LintFinding {
    let key = (finding.name.as_str().to_owned(), finding.subject.clone());
    match charter.waivers.get(&key) {
        Some(reason) => LintFinding { level: LintLevel::Waived(reason.clone()), ..finding },
        None => finding,
    }
}

fn organs_without_holders(charter: &Charter) -> Vec<LintFinding> {
    let is_held = |organ: &&String| charter.principals.values().any(|p| p.seats.contains(*organ));
    // A list of organs needs one that is held: any holder of any of them may sign.
    let lists = charter.rules.iter().flat_map(|r| [&r.authors].into_iter().chain(r.require.iter().map(|q| &q.seats)));
    let used: BTreeSet<&str> =
        lists.filter(|list| !list.iter().any(|o| is_held(&o))).flatten().map(String::as_str).collect();
    let empty = charter.organs.keys().filter(|o| !is_held(o));
    empty
        .map(|organ| {
            let used = used.contains(organ.as_str());
            let (level, message) = match used {
                true => (LintLevel::Error, "a rule names it and no other that somebody holds"),
                false => (LintLevel::Warning, "nobody holds a seat of it; no rule needs one"),
            };
            LintFinding {
                name: LintName::OrganWithoutHolders,
                subject: organ.clone(),
                message: message.to_owned(),
                level,
            }
        })
        .collect()
}

fn lint_rule(rule: &Rule, charter: &Charter) -> Vec<LintFinding> {
    let mut findings = Vec::new();
    if is_unreachable(rule, charter) {
        let message = "every command that it could match is raised to a higher impact".to_owned();
        findings.push(error(LintName::RuleUnreachable, &rule.name, message));
    }
    if !is_satisfiable(rule, charter, &|_, _| true) {
        findings.push(error(LintName::RuleImpossible, &rule.name, impossible(rule, charter)));
        // A rule that all people together cannot satisfy is trivially blocked by any lost key too.
        return findings;
    }
    let critical: Vec<&str> = charter
        .principals
        .iter()
        .filter(|(name, p)| blocks_when_lost(rule, charter, name, p))
        .map(|(n, _)| n.as_str())
        .collect();
    if !critical.is_empty() {
        let message = format!(
            "if one key of {} is lost, nobody can satisfy the rule; add a holder or a second key",
            critical.join(", ")
        );
        findings.push(error(LintName::LostKeyBlocksRule, &rule.name, message));
    }
    let is_machine = |name: &str| charter.principals.get(name).is_some_and(|p| p.kind == PrincipalKind::Machine);
    let alone: Vec<&str> = charter
        .principals
        .iter()
        .filter(|(_, p)| p.kind == PrincipalKind::Person)
        .map(|(name, _)| name.as_str())
        .filter(|only| is_satisfiable(rule, charter, &|name, _| name == *only || is_machine(name)))
        .collect();
    if !alone.is_empty() {
        let message = format!("{} could satisfy the rule alone, with a machine as the author", alone.join(" or "));
        findings.push(error(LintName::OnePersonSatisfiesRule, &rule.name, message));
    }
    findings
}

/// Whether the loss of some key of this principal leaves nobody who could satisfy the rule.
fn blocks_when_lost(rule: &Rule, charter: &Charter, owner: &str, principal: &Principal) -> bool {
    principal.keys.iter().any(|(lost, _)| {
        let mut left = principal.keys.iter().filter(|(id, _)| id != lost).peekable();
        let (any, hardware) = (left.peek().is_some(), left.any(|(_, key)| is_hardware(key)));
        let needs_hardware = rule.require.iter().any(|r| r.hardware);
        // Somebody who can sign all the same is not lost; asking would cost a matching.
        if any && (hardware || !needs_hardware) {
            return false;
        }
        let available = |name: &str, asked: bool| name != owner || (any && (hardware || !asked));
        !is_satisfiable(rule, charter, &available)
    })
}

fn impossible(rule: &Rule, charter: &Charter) -> String {
    let demand: Vec<String> = rule
        .require
        .iter()
        .map(|r| {
            let seats = r.seats.iter().cloned().collect::<Vec<_>>().join(" + ");
            let holders = charter.eligible(r).count();
            match r.amount {
                Amount::Count(count) => format!("{seats}: {count} of {holders}"),
                Amount::Fraction { numerator, denominator } => {
                    format!("{seats}: {numerator}/{denominator} of {holders}")
                }
            }
        })
        .collect();
    let authors = charter.holders(&rule.authors, FilledBy::Any).count();
    format!(
        "all people together cannot satisfy it, each filling one seat and the author none ({}; {authors} who may author)",
        demand.join(", ")
    )
}

fn is_unreachable(rule: &Rule, charter: &Charter) -> bool {
    match &rule.scope {
        Scope::Commands { actions, impact: Some(impact), namespaces } => {
            *impact < Impact::Critical && charter.always_above(actions, namespaces, *impact)
        }
        Scope::Commands { impact: None, .. } | Scope::Manifests(_) | Scope::Objects { .. } => false,
    }
}
