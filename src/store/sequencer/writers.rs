//! The keys by which this process seals blocks: each lives for a day, in memory only, and a key of the log vouches for it.

use std::sync::Arc;

use crate::ledger::{Head, Writer, WriterDraft};
use crate::units::{UnixMillis, hex};

use super::super::handle::AppendError;
use super::super::log_signer::{HeldKeys, LogSigner};
use super::{Seed, Sequencer};

/// How long a writer's key lives. A process that lives longer introduces its next one.
const WRITER_LIFE: u64 = 24 * 3600 * 1000;
/// How long before its end a writer's key is replaced.
const WRITER_MARGIN: u64 = 3600 * 1000;

/// Makes this process's writer keys. They live in memory only.
pub struct WriterSource {
    /// The log's keys that this process holds: one that vouches now introduces writers.
    pub log_keys: HeldKeys,
    /// Name of this replica; part of the writers' names.
    pub replica: String,
    /// Randomness.
    pub seed: Seed,
}

impl WriterSource {
    async fn fresh(&self, head: &Head, now: UnixMillis) -> Result<Writer, AppendError> {
        let origin = &head.trust().origin;
        let nonce = (self.seed)();
        let name = format!("{origin}/{}-{}", self.replica, hex(nonce.get(..4).unwrap_or_default()));
        let end = UnixMillis(now.0.saturating_add(WRITER_LIFE));
        let refused = |e: &dyn std::fmt::Display| AppendError::Refused(e.to_string());
        let draft = WriterDraft::try_new(origin, &name, &(self.seed)(), end).map_err(|e| refused(&e))?;
        let held = self.log_keys.borrow().signers.clone();
        let vouches = |signer: &&Arc<dyn LogSigner>| head.log_keys().current().any(|key| *key == signer.verifier());
        let signer = held.iter().find(vouches).ok_or_else(|| {
            refused(
                &"no key of the Secret miax-ledger-key vouches for this log now; restore the Secret from its backup",
            )
        })?;
        let line = signer.sign_line(draft.text()).await.map_err(|e| refused(&e))?;
        Ok(draft.introduced(&line))
    }
}

impl<S> Sequencer<S> {
    /// Sees to a writer that may write now, and gives the time for what it writes next.
    pub(super) async fn renew_writer(&mut self) -> Result<UnixMillis, AppendError> {
        let now = self.now();
        let lives = |w: &Writer| w.not_after().0 > now.0.saturating_add(WRITER_MARGIN);
        if !self.writer.as_ref().is_some_and(|w| lives(w) && may_write(w, &self.head, now)) {
            self.writer = Some(self.writers.fresh(&self.head, now).await?);
        }
        Ok(now)
    }
}

/// Whether the log knows the writer, or takes its introduction. The key that introduced it may have been retired or revoked
/// before it wrote anything: a block that begins with such an introduction would be nobody's.
fn may_write(writer: &Writer, head: &Head, now: UnixMillis) -> bool {
    head.knows(writer) || writer.introduce(now).is_ok_and(|entry| head.may_begin_with(&entry).is_ok())
}
