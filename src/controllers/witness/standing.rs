//! What a process knows of who vouches for the log, from the ConfigMap that the leading controller keeps; by it webhooks refuse.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::Client;

use crate::api::reason::Reason;
use crate::ledger::{Checkpoint, LogKeys, WitnessLag};
use crate::store::{Anchor, Clock, HeldKeys, Ledger, read_anchor};
use crate::trust::{WitnessMode, WitnessPolicy};
use crate::units::UnixSeconds;

/// How often the ConfigMap is read.
const PERIOD: Duration = Duration::from_secs(1);

/// What is known, and what follows from it by the policy.
pub struct Vouching {
    policy: WitnessPolicy,
    held: HeldKeys,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    lag: WitnessLag,
    contradiction: Option<Checkpoint>,
}

impl Vouching {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(policy: WitnessPolicy, held: HeldKeys) -> Self {
        Self { policy, held, known: Mutex::default() }
    }

    /// Takes in what the cluster says about its log, whose keys and size are these. What does not verify counts for nothing: it neither stops anything nor takes
    /// back what stopped it. A contradiction is taken back by an empty one alone.
    pub fn take_in(&self, anchor: &Anchor, (keys, size): (&LogKeys, u64), now: UnixSeconds) {
        let keys = self.held.borrow().beside(keys, size);
        let open = |note: &str| keys.open(note).ok();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match (anchor.contradiction.as_str(), open(&anchor.contradiction)) {
            ("", _) => known.contradiction = None,
            (_, Some(shown)) => known.contradiction = Some(shown),
            (_, None) => {}
        }
        let reached = self.policy.quorum.reached(&anchor.witnessed, now).ok().flatten();
        if let (Some(checkpoint), Some(since)) = (open(&anchor.witnessed), reached) {
            known.lag.witnessed(checkpoint.size, since, now);
        }
    }

    /// Why nothing governed may be allowed now on a log of this size; `None` when witnesses do not stand against it.
    #[must_use]
    pub fn doubt(&self, size: u64, now: UnixSeconds) -> Option<(Reason, String)> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.lag.saw(size, now);
        if let Some(Checkpoint { origin: _, size, root: _ }) = &known.contradiction {
            let message = format!(
                "a witness holds a checkpoint over {size} entries that the log's key signed and that contradicts this \
                 ledger; the controllers' log says more"
            );
            return Some((Reason::LedgerBroken, message));
        }
        let (most, lag) = (self.policy.max_age, &known.lag);
        match (self.policy.mode, lag.late(most, now)) {
            (WitnessMode::Require, Some(since)) => {
                // 1970 stands for never.
                let since = if lag.size() == 0 { "so far".to_owned() } else { format!("since {since}") };
                let message = format!(
                    "too few witnesses have vouched for the ledger {since}, which may last for {most}; it is allowed again \
                     when {} of them answer",
                    self.policy.quorum.needed()
                );
                Some((Reason::Unwitnessed, message))
            }
            (WitnessMode::Require, None) | (WitnessMode::Warn | WitnessMode::Off, _) => None,
        }
    }
}

/// Follows the ConfigMap for ever. While it cannot be read, what was known before ages.
pub async fn follow_anchor(client: Client, vouching: Arc<Vouching>, ledger: Ledger, clock: Clock) {
    loop {
        let now = clock().into();
        match read_anchor(client.clone()).await {
            Ok(Some(anchor)) => {
                let head = &ledger.view().head;
                vouching.take_in(&anchor, (head.log_keys(), head.next_index().0), now);
            }
            Ok(None) => tracing::warn!("the ConfigMap miax-checkpoint is gone; what was known before ages"),
            Err(error) => tracing::warn!(%error, "what the cluster says about its log cannot be read"),
        }
        // Also without requests the size is followed: age counts from the entry, not from the next question.
        let _ = vouching.doubt(ledger.view().head.next_index().0, now);
        tokio::time::sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::held;
    use crate::trust::{Cosigner, NoteSigner, Quorum, SigningKey};
    use crate::units::{Digest, Seconds};

    const LOG: &str = "miax.dev/ecm/c/0";

    fn at(seconds: i64) -> UnixSeconds {
        UnixSeconds::new(seconds)
    }

    fn witness(seed: u8) -> Cosigner {
        let key = SigningKey::from_ed25519_seed(&[seed; 32]);
        Cosigner::try_new(&format!("w/{seed}"), &key).expect("name").expect("Ed25519")
    }

    fn note(size: u64, by: &[u8], time: i64) -> String {
        let key = NoteSigner::try_new(LOG, &[9; 32]).expect("name");
        let note = Checkpoint { origin: LOG.into(), size, root: Digest([7; 32]) }.sign(&key).expect("signed");
        let text = note.split_at(note.find("\n\n").expect("a note") + 1).0.to_owned();
        by.iter().fold(note, |note, w| note + &witness(*w).cosign(&text, at(time)).expect("cosigned"))
    }

    fn vouching(mode: WitnessMode) -> Vouching {
        let quorum = Quorum::try_new([1, 2, 3].map(|w| witness(w).verifier()).into(), 2).expect("a quorum");
        let key = NoteSigner::try_new(LOG, &[9; 32]).expect("name");
        Vouching::new(WitnessPolicy { mode, quorum, max_age: Seconds(60) }, held(key))
    }

    /// Takes an anchor in on a log of five entries that began with this key.
    fn take_in(known: &Vouching, anchor: &Anchor, now: UnixSeconds) {
        let key = NoteSigner::try_new(LOG, &[9; 32]).expect("name").verifier();
        known.take_in(anchor, (&LogKeys::new(LOG, key), 5), now);
    }

    fn anchor(witnessed: String) -> Anchor {
        Anchor { witnessed, ..Anchor::default() }
    }

    #[test]
    fn unwitnessed_for_too_long_nothing_is_allowed_if_the_policy_requires_it() {
        let check = |mode, size, now, expected: Option<Reason>| {
            let known = vouching(mode);
            take_in(&known, &anchor(note(5, &[1, 2], 1000)), at(1000));
            assert_eq!(known.doubt(5, at(1000)), None, "what is witnessed stands");
            let _ = known.doubt(size, at(1001));
            assert_eq!(known.doubt(size, at(now)).map(|(reason, _)| reason), expected, "{mode:?} {size} {now}");
        };
        check(WitnessMode::Require, 6, 1060, None);
        check(WitnessMode::Require, 6, 1062, Some(Reason::Unwitnessed));
        check(WitnessMode::Require, 5, 1060, None);
        check(WitnessMode::Require, 5, 1061, Some(Reason::Unwitnessed));
        check(WitnessMode::Warn, 6, 9000, None);
        check(WitnessMode::Off, 6, 9000, None);
    }

    #[test]
    fn what_no_quorum_signed_counts_for_nothing() {
        let known = vouching(WitnessMode::Require);
        assert_eq!(known.doubt(0, at(1000)), None, "a log without entries needs no witness");
        assert_eq!(known.doubt(5, at(1000)), None);
        for wrong in [note(5, &[1], 1070), note(5, &[1, 4], 1070), note(5, &[1, 2], 1400), String::new(), "x".into()] {
            take_in(&known, &anchor(wrong), at(1070));
        }
        assert!(known.doubt(5, at(1070)).is_some_and(|(reason, _)| reason == Reason::Unwitnessed));
        take_in(&known, &anchor(note(5, &[1, 3], 1070)), at(1070));
        assert_eq!(known.doubt(5, at(1070)), None);
        let fresh = vouching(WitnessMode::Require);
        assert!(fresh.doubt(5, at(1000)).is_some(), "a process that starts allows nothing before it has heard");
    }

    #[test]
    fn a_checkpoint_that_contradicts_stops_everything_in_every_mode() {
        for mode in [WitnessMode::Require, WitnessMode::Warn] {
            let known = vouching(mode);
            let mut anchor = anchor(note(5, &[1, 2], 1000));
            anchor.contradiction = note(9, &[1], 1000).replace("\n9\n", "\n8\n");
            take_in(&known, &anchor, at(1000));
            assert_eq!(known.doubt(5, at(1000)), None, "one that the log's key did not sign means nothing");
            anchor.contradiction = note(9, &[1], 1000);
            take_in(&known, &anchor, at(1000));
            let (reason, message) = known.doubt(5, at(1000)).expect("refused");
            assert!(reason == Reason::LedgerBroken && message.contains("9 entries"), "{message}");
            anchor.contradiction = "x".into();
            take_in(&known, &anchor, at(1000));
            assert!(known.doubt(5, at(1000)).is_some(), "what does not verify takes nothing back");
            anchor.contradiction = String::new();
            take_in(&known, &anchor, at(1000));
            assert_eq!(known.doubt(5, at(1000)), None, "the controllers took it back");
        }
    }
}
