//! The witnesses that the flags name.

use std::time::Duration;

use crate::controllers::{Endpoint, EndpointError, Heard, hear};
use crate::ledger::{Checkpoint, LogKeys};
use crate::trust::{Quorum, QuorumError, WitnessMode, WitnessPolicy};
use crate::units::Seconds;

use super::args::Witnessing;

/// Shortest age limit: witnesses are asked again after a third of it, and answer within seconds.
const SHORTEST_AGE: Seconds = Seconds(10);

/// Why the flags make no sense.
#[derive(Debug, thiserror::Error)]
pub enum WitnessesError {
    /// The age limit is too short.
    #[error("--witness-max-age is {0}; it is at least {SHORTEST_AGE}")]
    Age(Seconds),
    /// A witness cannot be called.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// They are required, but there are none.
    #[error("--witness-mode is require, but no --witness is given; nothing could ever be allowed")]
    Nobody,
    /// Too few answered.
    #[error(
        "{keys} of {needed} witnesses were heard; the controller does not start before, for the ledger may be an older one"
    )]
    Unheard {
        /// How many answered.
        keys: usize,
        /// How many must.
        needed: usize,
    },
    /// Their number makes no sense.
    #[error("--witness, --witness-quorum: {0}")]
    Quorum(#[from] QuorumError),
}

/// The policy; `None` without witnesses.
fn policy(options: &Witnessing) -> Result<Option<WitnessPolicy>, WitnessesError> {
    let Witnessing { witnesses, witness_quorum, witness_mode, witness_max_age, witness_ca: _ } = options;
    if witnesses.is_empty() {
        return match witness_mode {
            WitnessMode::Require => Err(WitnessesError::Nobody),
            WitnessMode::Warn | WitnessMode::Off => Ok(None),
        };
    }
    if *witness_max_age < SHORTEST_AGE {
        return Err(WitnessesError::Age(*witness_max_age));
    }
    let keys: Vec<_> = witnesses.iter().map(|w| w.key().clone()).collect();
    let needed = witness_quorum.unwrap_or(keys.len() / 2 + 1);
    let quorum = Quorum::try_new(keys, needed)?;
    Ok(Some(WitnessPolicy { mode: *witness_mode, quorum, max_age: *witness_max_age }))
}

/// Where they are called.
fn endpoints(options: &Witnessing) -> Result<Vec<Endpoint>, WitnessesError> {
    match options.witness_mode {
        WitnessMode::Off => Ok(Vec::new()),
        WitnessMode::Require | WitnessMode::Warn => {
            Ok(Endpoint::all(&options.witnesses, options.witness_ca.as_deref())?)
        }
    }
}

/// The witnesses that the flags name, with the policy.
pub(super) struct Named {
    pub(super) policy: Option<WitnessPolicy>,
    pub(super) endpoints: Vec<Endpoint>,
}

impl Named {
    pub(super) fn by(options: &Witnessing) -> Result<Self, WitnessesError> {
        Ok(Self { policy: policy(options)?, endpoints: endpoints(options)? })
    }

    /// The largest checkpoint that a witness holds: what a process that starts must find in its ledger. Who does not answer is
    /// not waited for.
    pub(super) async fn hold(&self, keys: &LogKeys) -> Option<Checkpoint> {
        hear(&self.endpoints, keys).await.largest.map(|(checkpoint, _)| checkpoint)
    }

    /// The same for whoever acts on the ledger: if witnesses are required, so many must answer that the newest checkpoint of
    /// every quorum is among theirs.
    pub(super) async fn surely_hold(&self, log: &LogKeys) -> Result<Option<Checkpoint>, WitnessesError> {
        let required = self.policy.as_ref().filter(|policy| policy.mode == WitnessMode::Require);
        let needed = required.map_or(0, WitnessPolicy::hearing);
        let mut tries = TRIES;
        loop {
            let Heard { keys, largest, .. } = hear(&self.endpoints, log).await;
            tries -= 1;
            match keys >= needed {
                true => return Ok(largest.map(|(checkpoint, _)| checkpoint)),
                false if tries == 0 => return Err(WitnessesError::Unheard { keys, needed }),
                false => tokio::time::sleep(PAUSE).await,
            }
        }
    }
}

/// How often witnesses are asked before a controller gives up, and how long it waits between.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Cosigner, SigningKey};

    fn options(keys: &[u8], quorum: Option<usize>, mode: WitnessMode, age: u64) -> Witnessing {
        let address = |seed: &u8| {
            let key = SigningKey::from_ed25519_seed(&[*seed; 32]);
            let witness = Cosigner::try_new(&format!("w/{seed}"), &key).expect("name").expect("Ed25519");
            format!("https://w{seed}.example+{}", witness.verifier()).parse().expect("an address")
        };
        Witnessing {
            witnesses: keys.iter().map(address).collect(),
            witness_quorum: quorum,
            witness_mode: mode,
            witness_max_age: Seconds(age),
            witness_ca: None,
        }
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused() {
        let needed = |options| policy(&options).expect("fine").map(|policy| policy.quorum.needed());
        assert_eq!(needed(options(&[], None, WitnessMode::Warn, 300)), None);
        assert_eq!(needed(options(&[1], None, WitnessMode::Require, 300)), Some(1));
        assert_eq!(needed(options(&[1, 2, 3], None, WitnessMode::Require, 300)), Some(2));
        assert_eq!(needed(options(&[1, 2, 3], Some(3), WitnessMode::Off, 300)), Some(3));
        let check = |options, part: &str| {
            let error = policy(&options).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        check(options(&[], None, WitnessMode::Require, 300), "nothing could ever be allowed");
        check(options(&[1, 2], Some(3), WitnessMode::Warn, 300), "a quorum of 3 out of 2");
        check(options(&[1, 2], Some(0), WitnessMode::Warn, 300), "a quorum of 0 out of 2");
        check(options(&[1, 1], None, WitnessMode::Warn, 300), "share a name or a key");
        check(options(&[1], None, WitnessMode::Warn, 9), "it is at least 10s");
    }
}
