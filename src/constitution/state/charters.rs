//! Which charter is in force: the newest, or the one before an emergency charter that was not ratified in time.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::{Digest, LogIndex, UnixSeconds};

use super::in_force::InForce;

/// The charters that are and were in force.
#[derive(Clone, Debug, Default)]
pub(super) struct Charters {
    current: Option<Arc<InForce>>,
    /// The charter that an emergency one stands on, until that is ratified or lapses.
    base: Option<Arc<InForce>>,
    adopted: imbl::OrdMap<Digest, LogIndex>,
    newest: u64,
    first: Option<Digest>,
    /// An emergency charter that lapsed, until an amendment with the whole quorum follows.
    lapsed: Option<LogIndex>,
    changed: Option<LogIndex>,
}

/// The charters as a value. Of those that count the text is kept, from which everything else is read again.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ChartersForm {
    current: Option<Adopted>,
    base: Option<Adopted>,
    adopted: imbl::OrdMap<Digest, LogIndex>,
    newest: u64,
    first: Option<Digest>,
    lapsed: Option<LogIndex>,
    changed: Option<LogIndex>,
}

/// A charter by its text and its `adopt` entry.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Adopted {
    text: Arc<str>,
    since: LogIndex,
}

/// An emergency charter that is neither ratified nor lapsed.
#[derive(Clone, Copy, Debug)]
pub struct Emergency<'a> {
    /// The emergency charter.
    pub charter: &'a InForce,
    /// The charter before it: by its rules it is ratified.
    pub base: &'a InForce,
    /// When it lapses.
    pub ratify_by: UnixSeconds,
}

impl Charters {
    pub(super) fn form(self) -> ChartersForm {
        let Self { current, base, adopted, newest, first, lapsed, changed } = self;
        let of = |charter: Arc<InForce>| Adopted { text: charter.text.clone(), since: charter.since };
        ChartersForm { current: current.map(of), base: base.map(of), adopted, newest, first, lapsed, changed }
    }

    /// Reads the charters again; or tells what is wrong with one.
    pub(super) fn of_form(form: ChartersForm) -> Result<Self, String> {
        let ChartersForm { current, base, adopted, newest, first, lapsed, changed } = form;
        let read = |found: Option<Adopted>| {
            found.map(|Adopted { text, since }| InForce::read(text, since).map(Arc::new)).transpose()
        };
        Ok(Self { current: read(current)?, base: read(base)?, adopted, newest, first, lapsed, changed })
    }

    pub(super) fn at(&self, now: UnixSeconds) -> Option<&InForce> {
        match self.emergency() {
            // Time alone makes it lapse, also before anybody has written it down.
            Some(e) if now >= e.ratify_by => Some(e.base),
            Some(_) | None => self.current.as_deref(),
        }
    }

    pub(super) fn emergency(&self) -> Option<Emergency<'_>> {
        let (charter, base) = (self.current.as_deref()?, self.base.as_deref()?);
        charter.ratify_by.map(|ratify_by| Emergency { charter, base, ratify_by })
    }

    pub(super) fn adopted(&self, digest: &Digest) -> Option<LogIndex> {
        self.adopted.get(digest).copied()
    }

    pub(super) fn first(&self) -> Option<Digest> {
        self.first
    }

    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) fn lapsed(&self) -> Option<LogIndex> {
        self.lapsed
    }

    pub(super) fn changed(&self) -> Option<LogIndex> {
        self.changed
    }

    pub(super) fn adopt(&mut self, index: LogIndex, charter: InForce) {
        let before = self.current.take();
        self.base = before.filter(|_| charter.ratify_by.is_some());
        self.lapsed = self.lapsed.filter(|_| charter.ratify_by.is_some());
        self.adopted.insert(charter.reference.digest, index);
        self.first = self.first.or(Some(charter.reference.digest));
        self.newest = self.newest.max(charter.reference.version);
        self.current = Some(Arc::new(charter));
        self.changed = Some(index);
    }

    /// The emergency charter stays; nothing is left to lapse.
    pub(super) fn ratify(&mut self, index: LogIndex) {
        self.base = None;
        self.changed = Some(index);
    }

    /// The charter before the emergency one is in force again; the version number is used up.
    pub(super) fn lapse(&mut self, index: LogIndex) {
        if let Some(base) = self.base.take() {
            self.current = Some(base);
            self.lapsed = Some(index);
            self.changed = Some(index);
        }
    }
}
