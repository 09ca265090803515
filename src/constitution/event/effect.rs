//! Events about what commands and charters lead to, after they were judged.

use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;
use crate::units::{Digest, LogIndex, UnixSeconds};

use super::super::action::{StateAction, Target};
use super::super::facts::TargetState;
use super::{CharterRef, ObjectRef, SignerRef};

/// An emergency charter that was not ratified in time; the one before it is in force again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LapseEvent {
    /// Which object.
    pub object: ObjectRef,
    /// The charter that lapsed.
    pub charter: CharterRef,
    /// When it had to be ratified.
    pub ratify_by: UnixSeconds,
    /// When it was seen to have lapsed.
    pub now: UnixSeconds,
}

/// An executor is about to act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectBeginEvent {
    /// The command.
    pub object: ObjectRef,
    /// Its digest: consumed from here on.
    pub digest: Digest,
    /// What is about to be done.
    pub summary: String,
    /// The workload.
    pub target: Target,
    /// When the effect ends by itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixSeconds>,
    /// The organ that acts; its service account is impersonated.
    pub executor: String,
    /// The target right before.
    pub observed: TargetState,
    /// The verified signatures that carry it.
    pub signers: Vec<SignerRef>,
    /// The charter in force.
    pub charter: CharterRef,
    /// The rules of it that allowed the command.
    pub rules: Vec<String>,
    /// When its post-mortem is due, if a rule asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_mortem_due: Option<UnixSeconds>,
    /// The time that the last check used.
    pub now: UnixSeconds,
}

/// A command changed State.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnactEvent {
    /// The command.
    pub object: ObjectRef,
    /// Its digest: consumed from here on.
    pub digest: Digest,
    /// What it does, in a few words.
    pub summary: String,
    /// What it does.
    pub action: StateAction,
    /// The verified signatures that carry it.
    pub signers: Vec<SignerRef>,
    /// The charter in force.
    pub charter: CharterRef,
    /// The rules of it that allowed the command.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// When an override must be acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledge_due: Option<UnixSeconds>,
    /// The time that the last check used.
    pub now: UnixSeconds,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectEndEvent {
    /// The command.
    pub object: ObjectRef,
    /// Its digest.
    pub digest: Digest,
    /// Index of the `effect.begin`.
    pub began: LogIndex,
    /// Why, in one word.
    pub reason: Reason,
    /// Why, in a sentence.
    pub message: String,
    /// Resource version of the target afterwards, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// What an action did for a time was taken back, because its time is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectUndoneEvent {
    /// The command.
    pub object: ObjectRef,
    /// Its digest.
    pub digest: Digest,
    /// Index of the `effect.begin`.
    pub began: LogIndex,
    /// When it was taken back.
    pub now: UnixSeconds,
}
