//! The log's keys follow what its owner puts into the Secret: a key that is new there is added, one that is gone from there is
//! retired, one that is named as revoked is revoked. Each change is signed by a key that stays.

use std::sync::Arc;
use std::time::Duration;

use crate::constitution::{Facts, KeyEvent, LogKeyStep, Proposal, TargetFact};
use crate::ledger::{KeyChange, LogKeys};
use crate::store::{AppendError, Clock, Health, HeldKeys, Ledger, LogKeyring, LogSigner, SignError, sign_note};
use crate::trust::NoteVerifier;

/// How often the keys are compared.
const PERIOD: Duration = Duration::from_secs(2);

/// Keeps the log's keys as their owner wants them.
pub struct LogKeyKeeper {
    /// The ledger.
    pub ledger: Ledger,
    /// What this process holds.
    pub keys: HeldKeys,
    /// The time.
    pub clock: Clock,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("{0}")]
    Append(#[from] AppendError),
    #[error("{0}")]
    Sign(#[from] SignError),
}

/// Compares for ever.
pub async fn keep_log_keys(keeper: LogKeyKeeper) {
    loop {
        tokio::time::sleep(PERIOD).await;
        match keeper.step().await {
            Ok(None) => {}
            Ok(Some(change)) => tracing::warn!(kind = change.kind(), "the keys of the log were changed"),
            Err(error) => tracing::error!(%error, "the keys of the log cannot be changed"),
        }
    }
}

impl LogKeyKeeper {
    async fn step(&self) -> Result<Option<KeyChange>, KeepError> {
        let view = self.ledger.view();
        if view.health != Health::Whole {
            return Ok(None);
        }
        let LogKeyring { signers, revoked } = self.keys.borrow().clone();
        let held: Vec<NoteVerifier> = signers.iter().map(|s| s.verifier()).collect();
        let keys = view.head.log_keys();
        let Some((change, by)) = plan(&held, revoked.as_ref(), keys, view.head.next_index().0) else { return Ok(None) };
        let by: Vec<Arc<dyn LogSigner>> = signers.into_iter().filter(|s| by.contains(&s.verifier())).collect();
        let proof = sign_note(&change.text(&view.head.trust().origin), &by).await?;
        let step = match &change {
            KeyChange::Add(_) => LogKeyStep::Add,
            KeyChange::Retire(_) => LogKeyStep::Retire,
            KeyChange::Revoke { .. } => LogKeyStep::Revoke,
        };
        let event = KeyEvent { fields: change.fields(&proof) };
        let now = (self.clock)().into();
        let facts =
            Facts { now, cluster_uid: String::new(), genesis: None, target: TargetFact::NotNamed, budgets: Vec::new() };
        self.ledger.append(Proposal::LogKey(step, event), facts).await?;
        Ok(Some(change))
    }
}

/// The next change, with who must sign it; `None` when everything is as it should be, or no key is held that could sign.
fn plan(
    held: &[NoteVerifier],
    revoked: Option<&(NoteVerifier, u64)>,
    keys: &LogKeys,
    size: u64,
) -> Option<(KeyChange, Vec<NoteVerifier>)> {
    let signs = |other_than: &NoteVerifier| {
        let current: Vec<&NoteVerifier> = keys.current().collect();
        held.iter().find(|k| *k != other_than && current.contains(k)).cloned()
    };
    if let Some((key, last_good)) = revoked
        && keys.knows(key)
        && keys.end(key).is_none_or(|end| end > *last_good)
        && *last_good <= size
        && let Some(by) = signs(key)
    {
        return Some((KeyChange::Revoke { key: key.clone(), last_good: *last_good }, vec![by]));
    }
    let new = held.iter().find(|k| !keys.knows(k));
    if let Some(key) = new
        && let Some(by) = signs(key)
    {
        return Some((KeyChange::Add(key.clone()), vec![by, key.clone()]));
    }
    let gone = keys.current().find(|k| !held.contains(k))?;
    Some((KeyChange::Retire(gone.clone()), vec![signs(gone)?]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::NoteSigner;
    use crate::units::LogIndex;

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::try_new(ORIGIN, &[seed; 32]).expect("name")
    }

    fn key(seed: u8) -> NoteVerifier {
        signer(seed).verifier()
    }

    /// Plans and takes in until nothing is left to do; gives what was done, by the seeds of the keys.
    fn follow(keys: &mut LogKeys, held: &[u8], revoked: Option<(u8, u64)>) -> Vec<String> {
        let verifiers: Vec<NoteVerifier> = held.iter().map(|s| key(*s)).collect();
        let revoked = revoked.map(|(seed, size)| (key(seed), size));
        let mut done = Vec::new();
        while let Some((change, by)) = plan(&verifiers, revoked.as_ref(), keys, 100) {
            let text = change.text(ORIGIN);
            let signs = |seed: &u8| by.contains(&key(*seed)).then(|| signer(*seed).line(&text).expect("signs"));
            let proof = format!("{text}\n{}", held.iter().filter_map(signs).collect::<String>());
            keys.apply(LogIndex(100), &change, &proof).expect("the ledger takes what is planned");
            let subject = match &change {
                KeyChange::Add(k) | KeyChange::Retire(k) | KeyChange::Revoke { key: k, .. } => k,
            };
            let seed = (1..9).find(|s| key(*s) == *subject).expect("one of ours");
            done.push(format!("{} {seed}", change.kind()));
        }
        done
    }

    #[test]
    fn keys_follow_the_secret_step_by_step() {
        let mut keys = LogKeys::new(ORIGIN, key(1));
        let mut check = |held: &[u8], revoked, expected: &[&str]| {
            assert_eq!(follow(&mut keys, held, revoked), expected, "{held:?}");
        };
        check(&[1], None, &[]);
        check(&[1, 2], None, &["key.add 2"]);
        check(&[1, 2], None, &[]);
        check(&[2], None, &["key.retire 1"]);
        // A key that nobody vouches for is no key: nothing is done with a Secret that was replaced.
        check(&[3], None, &[]);
        check(&[], None, &[]);
        // What is retired never comes back.
        check(&[2, 1], None, &[]);
        check(&[2, 3], None, &["key.add 3"]);
        check(&[3], Some((2, 40)), &["key.revoke 2"]);
        check(&[3], Some((2, 40)), &[]);
        check(&[3], Some((1, 200)), &[]);
        // Not even its owner revokes the only key that is left.
        check(&[3], Some((3, 40)), &[]);
    }
}
