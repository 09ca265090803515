//! Events about who outside of the cluster vouches for the log.

use serde::{Deserialize, Serialize};

use crate::trust::WitnessMode;
use crate::units::{Digest, Seconds, UnixSeconds};

/// The operator runs by another policy for witnesses than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicySetEvent {
    /// What happens while too few vouch.
    pub mode: WitnessMode,
    /// How many must vouch.
    pub quorum: u32,
    /// Digest of the witnesses' public keys.
    pub witnesses: Digest,
    /// How long the log may have outgrown what they vouch for.
    pub max_age: Seconds,
    /// When it was seen.
    pub now: UnixSeconds,
}

/// The log was unwitnessed for longer than the policy allows; or that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UnwitnessedEvent {
    /// The largest size that a quorum vouches for.
    pub witnessed: u64,
    /// Since when the log was larger than what a quorum vouched for.
    pub since: UnixSeconds,
    /// When a quorum vouched for it again; in the entry that says that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<UnixSeconds>,
    /// When it was seen.
    pub now: UnixSeconds,
}
