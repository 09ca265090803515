//! Version `v1alpha1` of the kinds.

mod action;
mod charter;
mod control_command;
mod freeze;
mod manifest;
mod signature;
mod slo;

pub use action::{
    AcknowledgeIncidentAction, AcknowledgeOverrideAction, Action, ContainerPatch, EnvPatch, IsolateAction,
    MitigateAction, OpenEpochAction, OverrideAction, PatchAction, RatifyAmendmentAction, RestartAction, ReviewAction,
    RevokeKeyAction, RollbackAction, ScaleAction, TargetRef, VetoAction, WaiveAction,
};
pub use charter::{
    Charter, Cluster, Delegation, Floor, ImpactFloor, KeySpec, Organ, Principal, Requirement, Route, Rule, RuleMatch,
    Waiver,
};
pub use control_command::{ControlCommand, ControlCommandSpec, ControlCommandStatus, Precondition};
pub use freeze::{FreezeAction, FreezeCalendar, FreezeWindow, ThawAction};
pub use manifest::{Manifest, ManifestBody, ManifestSpec, ManifestStatus};
pub use signature::Signature;
pub use slo::{
    AlertPair, Alerts, BudgetStatus, BurnStatus, CalendarWindow, Gate, GaugeIndicator, HealthyTemplate, Indicator,
    LatencyIndicator, RatioIndicator, Slo, SloSpec, SloStatus, TimeSlices, Window, WorkloadRef,
};

/// Pattern of the name of a namespace.
const NAMESPACE_PATTERN: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// Pattern of a digest.
const DIGEST_PATTERN: &str = "^sha256:[0-9a-f]{64}$";
/// Pattern of a time in a signed document: UTC, whole seconds, one spelling.
const TIME_PATTERN: &str = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$";
