//! What an operator asks of its witnesses: which they are, how many must agree, and what happens while they do not.

use serde::{Deserialize, Serialize};

use crate::units::{Digest, Seconds};

use super::canonical::sha256;
use super::cosignature::Quorum;

/// What happens while too few witnesses vouch for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum WitnessMode {
    /// Nothing governed is allowed once the log has been unwitnessed for too long.
    #[serde(rename = "require")]
    Require,
    /// It is measured, logged and recorded.
    #[serde(rename = "warn")]
    Warn,
    /// No witness is asked.
    #[serde(rename = "off")]
    Off,
}

/// The policy of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    /// What happens while too few vouch.
    pub mode: WitnessMode,
    /// Who they are, and how many must vouch.
    pub quorum: Quorum,
    /// How long the log may have outgrown what they vouch for.
    pub max_age: Seconds,
}

impl WitnessMode {
    /// The word that stands in flags, entries and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Require => "require",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for WitnessMode {
    type Err = String;

    /// Reads the word.
    ///
    /// # Errors
    /// The words that there are.
    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Require, Self::Warn, Self::Off];
        all.into_iter().find(|mode| mode.as_str() == text).ok_or_else(|| "it is require, warn or off".to_owned())
    }
}

impl WitnessPolicy {
    /// Digest of the witnesses' public keys: SHA-256 of them in their order of bytes, each with a newline.
    #[must_use]
    pub fn keys(&self) -> Digest {
        let mut keys: Vec<String> = self.quorum.witnesses().iter().map(|w| format!("{w}\n")).collect();
        keys.sort_unstable();
        sha256(keys.concat().as_bytes())
    }

    /// From how many witnesses one must have heard to know the newest checkpoint that ever had a quorum: among so many there
    /// is one of every quorum.
    #[must_use]
    pub fn hearing(&self) -> usize {
        self.quorum.witnesses().len() + 1 - self.quorum.needed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{Cosigner, SigningKey, WitnessKey};

    #[test]
    fn the_order_of_the_keys_means_nothing_and_the_words_read_back() {
        let key = |n: u8| -> WitnessKey {
            let key = SigningKey::from_ed25519_seed(&[n; 32]);
            Cosigner::try_new(&format!("w/{n}"), &key).expect("name").expect("Ed25519").verifier()
        };
        let policy = |keys: Vec<WitnessKey>| {
            let quorum = Quorum::try_new(keys, 2).expect("a quorum");
            WitnessPolicy { mode: WitnessMode::Warn, quorum, max_age: Seconds(300) }
        };
        let three = policy(vec![key(1), key(2), key(3)]);
        assert_eq!(three.keys(), policy(vec![key(3), key(1), key(2)]).keys());
        assert_ne!(three.keys(), policy(vec![key(1), key(2), key(4)]).keys());
        assert_eq!((three.hearing(), policy(vec![key(1), key(2)]).hearing()), (2, 1));
        for mode in [WitnessMode::Require, WitnessMode::Warn, WitnessMode::Off] {
            assert_eq!(mode.as_str().parse(), Ok(mode));
            assert_eq!(serde_json::to_value(mode).expect("json"), mode.as_str());
        }
        assert!("Require".parse::<WitnessMode>().is_err());
    }
}
