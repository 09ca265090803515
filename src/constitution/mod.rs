//! What is allowed: the charter as closed types, State as a fold of events, and the judge.
//!
//! Must not: read a clock, a file, the network or the environment, use randomness, or know how the ledger orders bytes.
//! Everything that is not in the ledger arrives as [`Facts`].

mod action;
mod charter;
mod command;
mod count;
mod decision;
mod document;
mod event;
mod facts;
mod gate;
mod judge;
mod lint;
mod manifest;
mod proposal;
mod record;
mod request;
mod rules;
mod slo_document;
mod state;

pub use action::{
    Action, Calendar, CalendarError, FREEZE, GatedTarget, Mitigation, OpenEpoch, Patch, StateAction, Target,
    WorkloadAction, WorkloadKind, YEAR_AHEAD,
};
pub use charter::{
    Amount, Charter, CharterError, Delegation, FilledBy, Floor, Impact, Mode, Pending, Principal, PrincipalKind,
    Priority, Requirement, Route, Rule, Scope, Signal,
};
pub use command::Command;
pub use count::{Quorum, Vacancy};
pub use decision::{Advice, Decision, Finding, NextStep, SeatView, Verdict};
pub use document::{Document, DocumentError};
pub use event::{
    AdoptEvent, ArchiveSealEvent, BudgetVerdict, CharterRef, DecisionEvent, DocumentEvent, EffectBeginEvent,
    EffectEndEvent, EffectUndoneEvent, EnactEvent, EpochOpenEvent, Event, EventError, FloodEvent, FloodSource,
    GateTerms, KeyEvent, LapseEvent, ObjectRef, PolicySetEvent, PruneEvent, RecoverEvent, SignerRef, SloSetEvent,
    SloVerdictEvent, StoredEvent, UnwitnessedEvent,
};
pub use facts::{BudgetFact, Facts, TargetFact, TargetState};
pub use gate::{GateRequest, Gated, gate};
pub use judge::{judge, recheck, unchanged};
pub use lint::{LintFinding, LintLevel, LintName, lint};
pub use manifest::Manifest;
pub use proposal::{Effect, EffectPlan, LogKeyStep, Outcome, Proposal, Reply, deliberate};
pub use record::executor;
pub use request::{Operation, Request, authority};
pub use slo_document::SloDocument;
pub use state::{
    Archived, CommandState, Emergency, Freeze, InForce, Lifetime, Measured, Objective, Obligation, Owed, Plan, Pruned,
    Standing, State, StateError, StateFormError, Waiver,
};
