//! The log's own keys: one in the beginning, and those that entries add, retire and revoke. Each vouches for writers and for
//! checkpoints, inside of its window.
//!
//! An entry changes them only as the first of its block, so that who walks the chain need not read every entry.

use serde::{Deserialize, Serialize};

use crate::trust::{NoteError, NoteVerifier, open_note};
use crate::units::LogIndex;

use super::chain::LogTrust;
use super::checkpoint::{Checkpoint, CheckpointError};
use super::key_change::KeyChange;

/// A key with the sizes of the log that it vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    key: NoteVerifier,
    from: u64,
    to: Option<u64>,
}

/// The same in words, for who remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyWindow {
    public: String,
    from: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<u64>,
}

/// The log's keys, as the entries so far have left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogKeys {
    origin: String,
    windows: Vec<Window>,
}

/// Why a checkpoint is not vouched for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VouchError {
    /// It does not open with any key of the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Only keys signed it that do not vouch for a log of its size.
    #[error("the checkpoint is over {size} entries, and no key signed it that vouches for that")]
    OutsideOfWindow {
        /// Its size.
        size: u64,
        /// The largest size that the key vouches for; `None` when it vouches only for larger ones.
        last: Option<u64>,
    },
}

impl Window {
    fn covers(&self, size: u64) -> bool {
        self.from <= size && self.to.is_none_or(|to| size <= to)
    }
}

impl LogKeys {
    /// The log's first key.
    #[must_use]
    pub fn new(origin: &str, first: NoteVerifier) -> Self {
        Self { origin: origin.to_owned(), windows: vec![Window { key: first, from: 0, to: None }] }
    }

    /// Keys of a log of which no entry was read yet: each counts for every size, until the log says more.
    #[must_use]
    pub fn unread(origin: &str, keys: impl IntoIterator<Item = NoteVerifier>) -> Self {
        let windows = keys.into_iter().map(|key| Window { key, from: 0, to: None }).collect();
        Self { origin: origin.to_owned(), windows }
    }

    /// The same with keys that no entry of the log names, but that its owner holds: they count for logs of more than `size`
    /// entries. By them a log is noticed that was set back to before such an entry.
    #[must_use]
    pub fn with_held(&self, size: u64, held: impl IntoIterator<Item = NoteVerifier>) -> Self {
        let mut all = self.clone();
        let unknown = held.into_iter().filter(|key| !self.knows(key));
        all.windows.extend(unknown.map(|key| Window { key, from: size.saturating_add(1), to: None }));
        all
    }

    /// The same keys, named by the origin of another epoch of the log.
    pub(super) fn renamed(&self, origin: &str) -> Self {
        let renamed = |w: &Window| Window { key: w.key.renamed(origin), ..w.clone() };
        Self { origin: origin.to_owned(), windows: self.windows.iter().map(renamed).collect() }
    }

    /// Origin of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Every key that the log ever had, the first in front.
    pub fn all(&self) -> impl Iterator<Item = &NoteVerifier> {
        self.windows.iter().map(|w| &w.key)
    }

    /// The keys that vouch now.
    pub fn current(&self) -> impl Iterator<Item = &NoteVerifier> {
        self.windows.iter().filter(|w| w.to.is_none()).map(|w| &w.key)
    }

    /// Whether this key vouches for a log of this size.
    #[must_use]
    pub fn vouches(&self, key: &NoteVerifier, size: u64) -> bool {
        self.windows.iter().any(|w| w.key == *key && w.covers(size))
    }

    /// Whether this ever was a key of the log.
    #[must_use]
    pub fn knows(&self, key: &NoteVerifier) -> bool {
        self.windows.iter().any(|w| w.key == *key)
    }

    /// Every key with its window, the first in front.
    pub(super) fn windows(&self) -> Vec<KeyWindow> {
        let known = |Window { key, from, to }: &Window| KeyWindow { public: key.to_string(), from: *from, to: *to };
        self.windows.iter().map(known).collect()
    }

    /// Reads what [`LogKeys::windows`] gave; `None` when it is not of this log.
    pub(super) fn of_windows(trust: &LogTrust, windows: &[KeyWindow]) -> Option<Self> {
        let read = |KeyWindow { public, from, to }: &KeyWindow| {
            Some(Window { key: public.parse().ok()?, from: *from, to: *to })
        };
        let windows: Vec<Window> = windows.iter().map(read).collect::<Option<_>>()?;
        let first = windows.first().is_some_and(|first| first.key == trust.key);
        first.then(|| Self { origin: trust.origin.clone(), windows })
    }

    /// Whether there was ever another one than the first.
    #[must_use]
    pub fn is_rotated(&self) -> bool {
        self.windows.len() > 1
    }

    /// The largest size that a key vouches for; `None` when it vouches on, or never did.
    #[must_use]
    pub fn end(&self, key: &NoteVerifier) -> Option<u64> {
        self.windows.iter().find(|w| w.key == *key).and_then(|w| w.to)
    }

    /// Opens a checkpoint that one of the keys signed whose window covers its size.
    ///
    /// # Errors
    /// Every variant of [`VouchError`].
    pub fn open(&self, note: &str) -> Result<Checkpoint, VouchError> {
        let mut refused = None;
        for window in &self.windows {
            match Checkpoint::open(note, &self.origin, &window.key) {
                Ok(checkpoint) if window.covers(checkpoint.size) => return Ok(checkpoint),
                Ok(checkpoint) => {
                    let size = checkpoint.size;
                    refused = Some(VouchError::OutsideOfWindow { size, last: window.to });
                }
                // That another key did not sign says less than why this one does not count.
                Err(error @ CheckpointError::Note(NoteError::Unsigned(_))) => refused = refused.or(Some(error.into())),
                Err(error) => return Err(error.into()),
            }
        }
        Err(refused.unwrap_or(VouchError::Checkpoint(CheckpointError::Malformed)))
    }

    /// The checkpoint with every key that signed it, whatever each vouches for.
    pub(super) fn signed(&self, note: &str) -> Result<(Checkpoint, Vec<&NoteVerifier>), CheckpointError> {
        let (mut found, mut refused) = (None, CheckpointError::Malformed);
        let mut by = Vec::new();
        for key in self.all() {
            match Checkpoint::open(note, &self.origin, key) {
                Ok(checkpoint) => {
                    by.push(key);
                    found = Some(checkpoint);
                }
                Err(error) => refused = error,
            }
        }
        found.map(|checkpoint| (checkpoint, by)).ok_or(refused)
    }

    /// The text of a note that one of the keys signed that vouch now.
    pub(super) fn vouched<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let mut opened = self.current().map(|key| open_note(note, key));
        let first = opened.next().unwrap_or(Err(NoteError::Malformed));
        opened.fold(first, |so_far, next| so_far.or(next))
    }

    /// Takes a change in that stands at this index.
    ///
    /// # Errors
    /// A sentence that says why it is none.
    pub fn apply(&mut self, index: LogIndex, change: &KeyChange, proof: &str) -> Result<(), String> {
        let text = change.text(&self.origin);
        let signed_by = |key: &NoteVerifier| open_note(proof, key).is_ok_and(|signed| signed == text);
        let other = |subject: &NoteVerifier| self.current().any(|key| key != subject && signed_by(key));
        let unsigned = || Err("no other key that vouches for the log signed it".to_owned());
        match change {
            KeyChange::Add(key) if key.name() != self.origin => Err("its name is not the origin of the log".to_owned()),
            KeyChange::Add(key) if self.knows(key) => Err("it is or was a key of the log already".to_owned()),
            KeyChange::Add(key) if !other(key) => unsigned(),
            KeyChange::Add(key) if !signed_by(key) => Err("it did not sign that it is there".to_owned()),
            KeyChange::Add(key) => {
                self.windows.push(Window { key: key.clone(), from: index.0.saturating_add(1), to: None });
                Ok(())
            }
            KeyChange::Retire(key) | KeyChange::Revoke { key, .. } if !other(key) => unsigned(),
            KeyChange::Retire(key) => match self.windows.iter_mut().find(|w| w.key == *key && w.to.is_none()) {
                Some(window) => {
                    window.to = Some(index.0);
                    Ok(())
                }
                None => Err("it does not vouch for the log".to_owned()),
            },
            KeyChange::Revoke { last_good, .. } if *last_good > index.0 => {
                Err(format!("the log has {index} entries, and not {last_good}"))
            }
            KeyChange::Revoke { key, last_good } => match self.windows.iter_mut().find(|w| w.key == *key) {
                Some(window) if window.to.is_none_or(|to| to > *last_good) => {
                    window.to = Some(*last_good);
                    Ok(())
                }
                Some(_) => Err("it vouches for less already".to_owned()),
                None => Err("it never was a key of the log".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::NoteSigner;
    use crate::units::Digest;

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::try_new(ORIGIN, &[seed; 32]).expect("name")
    }

    fn proof(change: &KeyChange, signers: &[&NoteSigner]) -> String {
        let text = change.text(ORIGIN);
        let lines: String = signers.iter().map(|s| s.line(&text).expect("signs")).collect();
        format!("{text}\n{lines}")
    }

    fn keys() -> LogKeys {
        LogKeys::new(ORIGIN, signer(1).verifier())
    }

    fn checkpoint(size: u64, signers: &[&NoteSigner]) -> String {
        let text = Checkpoint { origin: ORIGIN.into(), size, root: Digest([9; 32]) }.text();
        let lines: String = signers.iter().map(|s| s.line(&text).expect("signs")).collect();
        format!("{text}\n{lines}")
    }

    #[test]
    fn a_key_is_followed_by_another_with_an_overlap() {
        let (old, new) = (signer(1), signer(2));
        let mut keys = keys();
        let add = KeyChange::Add(new.verifier());
        keys.apply(LogIndex(10), &add, &proof(&add, &[&old, &new])).expect("added");
        for (signers, size, expected) in [
            (&[&old][..], 5, true),
            (&[&old], 50, true),
            (&[&old, &new], 50, true),
            (&[&new], 11, true),
            (&[&new], 10, false),
        ] {
            assert_eq!(keys.open(&checkpoint(size, signers)).is_ok(), expected, "{signers:?} at {size}");
        }
        let retire = KeyChange::Retire(old.verifier());
        keys.apply(LogIndex(60), &retire, &proof(&retire, &[&new])).expect("retired");
        assert!(keys.open(&checkpoint(60, &[&old])).is_ok(), "what it vouched for before holds");
        let late = keys.open(&checkpoint(61, &[&old])).expect_err("it vouches no more");
        assert_eq!(late, VouchError::OutsideOfWindow { size: 61, last: Some(60) });
        assert!(keys.open(&checkpoint(61, &[&old, &new])).is_ok(), "the other line counts");
        assert_eq!(keys.current().collect::<Vec<_>>(), [&new.verifier()]);
    }

    #[test]
    fn a_key_that_its_owner_holds_counts_for_what_is_not_read_yet() {
        let (old, new) = (signer(1), signer(2));
        let ahead = keys().with_held(10, [old.verifier(), new.verifier()]);
        assert!(ahead.open(&checkpoint(11, &[&new])).is_ok(), "the log was set back to before its key.add");
        assert!(ahead.open(&checkpoint(10, &[&new])).is_err(), "here it would be known");
        assert!(ahead.open(&checkpoint(10, &[&old])).is_ok());
        let unread = LogKeys::unread(ORIGIN, [old.verifier(), new.verifier()]);
        assert!(unread.open(&checkpoint(5, &[&new])).is_ok() && unread.open(&checkpoint(5, &[&signer(3)])).is_err());
    }

    #[test]
    fn a_revoked_key_vouches_for_nothing_beyond_the_last_good_size() {
        let (old, new) = (signer(1), signer(2));
        let mut keys = keys();
        let add = KeyChange::Add(new.verifier());
        keys.apply(LogIndex(10), &add, &proof(&add, &[&old, &new])).expect("added");
        let revoke = KeyChange::Revoke { key: old.verifier(), last_good: 20 };
        keys.apply(LogIndex(30), &revoke, &proof(&revoke, &[&new])).expect("revoked");
        assert!(keys.open(&checkpoint(20, &[&old])).is_ok());
        assert!(keys.open(&checkpoint(21, &[&old])).is_err());
        assert!(keys.open(&checkpoint(21, &[&old, &new])).is_ok(), "the successor signed too");
        // Its window only shrinks, also after it was retired.
        let more = KeyChange::Revoke { key: old.verifier(), last_good: 25 };
        keys.apply(LogIndex(31), &more, &proof(&more, &[&new])).expect_err("not more");
        let less = KeyChange::Revoke { key: old.verifier(), last_good: 5 };
        keys.apply(LogIndex(32), &less, &proof(&less, &[&new])).expect("less");
        assert!(keys.open(&checkpoint(6, &[&old])).is_err());
    }

    #[test]
    fn a_change_that_is_not_vouched_for_is_refused() {
        let (old, new, stranger) = (signer(1), signer(2), signer(3));
        let check = |change: KeyChange, signers: &[&NoteSigner], part: &str| {
            let mut keys = keys();
            let error = keys.apply(LogIndex(7), &change, &proof(&change, signers)).expect_err(part);
            assert!(error.contains(part), "{error}");
            assert_eq!(keys, self::keys(), "{part}: nothing changed");
        };
        let add = || KeyChange::Add(new.verifier());
        check(add(), &[&new], "no other key");
        check(add(), &[&stranger, &new], "no other key");
        check(add(), &[&old], "did not sign that it is there");
        check(KeyChange::Add(old.verifier()), &[&old], "already");
        check(KeyChange::Retire(old.verifier()), &[&old], "no other key");
        check(KeyChange::Retire(new.verifier()), &[&old], "does not vouch");
        check(KeyChange::Revoke { key: old.verifier(), last_good: 3 }, &[&old], "no other key");
        check(KeyChange::Revoke { key: new.verifier(), last_good: 3 }, &[&old], "never was");
        check(KeyChange::Revoke { key: new.verifier(), last_good: 8 }, &[&old], "has 7 entries");
        let elsewhere = NoteSigner::try_new("miax.dev/ecm/d/0", &[2; 32]).expect("name");
        check(KeyChange::Add(elsewhere.verifier()), &[&old, &elsewhere], "not the origin");
        // The proof of one change is none of another.
        let mut keys = keys();
        let other = proof(&KeyChange::Add(stranger.verifier()), &[&old, &new]);
        keys.apply(LogIndex(7), &add(), &other).expect_err("another text");
    }

    #[test]
    fn a_key_that_is_gone_never_comes_back() {
        let (old, new) = (signer(1), signer(2));
        let mut keys = keys();
        for change in [KeyChange::Add(new.verifier()), KeyChange::Retire(old.verifier())] {
            keys.apply(LogIndex(7), &change, &proof(&change, &[&old, &new])).expect("taken in");
        }
        let again = KeyChange::Add(old.verifier());
        keys.apply(LogIndex(8), &again, &proof(&again, &[&old, &new])).expect_err("it was one");
        let last = KeyChange::Retire(new.verifier());
        keys.apply(LogIndex(8), &last, &proof(&last, &[&old, &new])).expect_err("one must stay");
    }

    #[test]
    fn what_is_remembered_of_the_keys_reads_back() {
        let (old, new) = (signer(1), signer(2));
        let mut keys = keys();
        for change in [KeyChange::Add(new.verifier()), KeyChange::Retire(old.verifier())] {
            keys.apply(LogIndex(7), &change, &proof(&change, &[&old, &new])).expect("taken in");
        }
        let trust = |key: &NoteSigner| LogTrust { origin: ORIGIN.into(), epoch: 0, key: key.verifier() };
        assert_eq!(LogKeys::of_windows(&trust(&old), &keys.windows()), Some(keys.clone()));
        assert_eq!(LogKeys::of_windows(&trust(&new), &keys.windows()), None, "another log began with that key");
    }
}
