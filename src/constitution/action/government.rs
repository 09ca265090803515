//! What commands do to the constitution's own state.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::{BlockNumber, Digest, UnixSeconds};

use super::{Calendar, GatedTarget, Target};

/// What a command does to the constitution's own state; its whole effect is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum StateAction {
    /// Lets no pod template of a namespace change, but by commands.
    Freeze {
        /// The namespace.
        namespace: String,
        /// When it ends by itself; `None` means when it is thawed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<UnixSeconds>,
        /// When it holds; `None` means always.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        calendar: Option<Calendar>,
        /// Organs that must all sign a waiver for it; empty means those that may thaw.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        way_out: BTreeSet<String>,
    },
    /// Ends freezes of a namespace, or lets them rest.
    Thaw {
        /// The namespace.
        namespace: String,
        /// Digest of the command that froze; `None` means all of them, but calendars do not end by this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        freeze: Option<Digest>,
        /// Until when they rest; `None` means that they end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<UnixSeconds>,
    },
    /// Takes one workload out of one rule, or out of a freeze.
    Waive {
        /// Name of the rule, or [`FREEZE`].
        rule: String,
        /// The workload.
        target: Target,
        /// When that ends.
        until: UnixSeconds,
    },
    /// Suspends a freeze or a veto of another organ.
    Override {
        /// Digest of the command that froze or vetoed.
        decision: Digest,
        /// When that ends.
        until: UnixSeconds,
    },
    /// The highest organ has seen an override.
    AcknowledgeOverride {
        /// Digest of the command that overrode.
        command: Digest,
    },
    /// An incident was seen.
    AcknowledgeIncident {
        /// Its name.
        incident: String,
    },
    /// Makes a key worthless from now on.
    RevokeKey {
        /// Its fingerprint.
        key: String,
    },
    /// Stops a command of a lower organ that is not done yet.
    Veto {
        /// Digest of the command.
        command: Digest,
    },
    /// The post-mortem of a command.
    Review {
        /// Digest of the command.
        command: Digest,
        /// What was found.
        findings: String,
    },
    /// Confirms an emergency amendment.
    RatifyAmendment {
        /// Digest of the charter.
        charter: Digest,
    },
    /// Goes on with what is left of a ledger (ADR 0025).
    OpenEpoch(Box<OpenEpoch>),
    /// Lets a workload change although an error budget is spent (Article VII).
    Mitigate(Box<Mitigation>),
}

/// What a new epoch begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenEpoch {
    /// Its number.
    pub epoch: u16,
    /// How many blocks are kept.
    pub blocks: BlockNumber,
    /// How many entries these hold.
    pub entries: u64,
    /// Root of the tree over them.
    pub root: Digest,
    /// The largest checkpoint that anybody holds; what it vouches for beyond `entries` is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// A plan for a spent error budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Mitigation {
    /// Name of the objective, in the namespace of the workload.
    pub slo: String,
    /// Digest of its version.
    pub objective: Digest,
    /// The workload.
    pub target: GatedTarget,
    /// Digest of the one pod template that it may have.
    pub template: Digest,
    /// How many changes it covers; at least 1.
    pub uses: u32,
    /// When it ends.
    pub until: UnixSeconds,
}

impl StateAction {
    /// What it does, in a few words.
    pub(in super::super) fn summary(&self) -> String {
        match self {
            Self::Freeze { namespace, until, calendar, way_out } => {
                let windows = calendar.as_ref().map(|c| format!(" in {c}")).unwrap_or_default();
                let end = until.map_or_else(|| "it is thawed".to_owned(), |until| until.to_string());
                let seats: Vec<&str> = way_out.iter().map(String::as_str).collect();
                let out = if seats.is_empty() { String::new() } else { format!(", way out by {}", seats.join(", ")) };
                format!("Freeze the namespace {namespace}{windows} until {end}{out}")
            }
            Self::Thaw { namespace, freeze, until } => {
                let which = freeze.map(|digest| format!(" from the freeze {digest}")).unwrap_or_default();
                let end = until.map(|until| format!(" until {until}")).unwrap_or_default();
                format!("Thaw the namespace {namespace}{which}{end}")
            }
            Self::Waive { rule, target, until } => format!("Waive {rule} for {target} until {until}"),
            Self::RevokeKey { key } => format!("Revoke the key {key}"),
            Self::RatifyAmendment { charter } => format!("Ratify the emergency charter {charter}"),
            Self::Override { decision, until } => format!("Override the decision {decision} until {until}"),
            Self::Veto { command } => format!("Veto the command {command}"),
            Self::AcknowledgeOverride { command } => format!("Acknowledge the override {command}"),
            Self::AcknowledgeIncident { incident } => format!("Acknowledge the incident {incident}"),
            Self::Review { command, .. } => format!("Review the command {command}"),
            Self::Mitigate(plan) => {
                let Mitigation { slo, objective: _, target, template, uses, until } = plan.as_ref();
                let uses = if *uses == 1 { "once".to_owned() } else { format!("up to {uses} times") };
                format!("Mitigate {slo}: let {target} have the pod template {template}, {uses}, until {until}")
            }
            Self::OpenEpoch(opening) => {
                let OpenEpoch { epoch, blocks, entries, root, checkpoint: _ } = opening.as_ref();
                format!("Open the epoch {epoch} of the ledger with {entries} entries in {blocks} blocks, root {root}")
            }
        }
    }
}
