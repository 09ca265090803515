//! Lets one archive grow to the newest checkpoint.

use crate::constitution::{ArchiveSealEvent, Archived};
use crate::ledger::{ArchiveName, ArchiveObject, Growth, Head, SignedCheckpoint, TileName, Tiling};
use crate::trust::sha256;
use crate::units::{BlockNumber, UnixSeconds};

use super::super::block_store::BlockStore;
use super::{ArchiveError, ArchiveStore};

/// One archive and how far it is.
pub struct ArchiveRun {
    store: ArchiveStore,
    /// The end of what is sealed; read from the archive itself when it is not known.
    end: Option<Tiling>,
}

/// What an archive grows by.
#[derive(Clone, Copy, Debug)]
pub struct Growing<'a> {
    /// What the ledger says that it holds.
    pub sealed: Option<Archived>,
    /// The checkpoint to grow to, with its signatures.
    pub note: &'a str,
    /// What the log's key vouches for in it.
    pub signed: &'a SignedCheckpoint,
    /// The end of the ledger, whose writers are known.
    pub log: &'a Head,
    /// When it grows.
    pub now: UnixSeconds,
}

impl ArchiveRun {
    /// A run that knows nothing of its archive yet.
    #[must_use]
    pub fn new(store: ArchiveStore) -> Self {
        Self { store, end: None }
    }

    /// The archive.
    #[must_use]
    pub fn store(&self) -> &ArchiveStore {
        &self.store
    }

    /// Writes everything that the archive lacks for the checkpoint, reads it back, and gives the seal to record. Repeated
    /// until that is recorded, it finds its own objects.
    ///
    /// # Errors
    /// Every variant of [`ArchiveError`]; what was written stays and is found by the next run.
    pub async fn grow(
        &mut self,
        blocks: &impl BlockStore,
        growing: Growing<'_>,
    ) -> Result<ArchiveSealEvent, ArchiveError> {
        let Growing { sealed, note, signed, log, now } = growing;
        let to = signed.checkpoint().size;
        let newest = self.newest(growing).await?;
        let mut tiling = self.continued(sealed, log).await?;
        let from = tiling.size();
        let key = ArchiveObject { name: ArchiveName::Key, bytes: format!("{}\n", log.trust().key).into_bytes() };
        self.store.create(&key).await?;
        let mut growth = Growth::default();
        while tiling.size() < to {
            let number = tiling.next_block();
            let wrong = |what: String| ArchiveError::Ledger { number: number.0, what };
            let found = blocks.read(log.trust().epoch, number).await.map_err(|e| wrong(e.to_string()))?;
            let parts = found.ok_or_else(|| wrong("it is not in the ledger".to_owned()))?;
            for object in tiling.append(&parts, log).map_err(|e| wrong(e.to_string()))? {
                self.add(&object, &mut growth).await?;
            }
        }
        if (tiling.size(), tiling.root()) != (to, signed.checkpoint().root) {
            let what = format!("the blocks do not lead to the checkpoint over {to} entries");
            return Err(ArchiveError::Ledger { number: BlockNumber(tiling.next_block().0.saturating_sub(1)).0, what });
        }
        for object in tiling.edge() {
            self.add(&object, &mut growth).await?;
        }
        self.keep(note, signed, log).await?;
        if newest < to {
            let bytes = note.as_bytes().to_vec();
            self.store.replace(&ArchiveObject { name: ArchiveName::Checkpoint, bytes }).await?;
        }
        let (store, root) = (self.store.name().to_owned(), tiling.root());
        let (count, objects) = (growth.count(), growth.digest());
        self.end = Some(tiling);
        Ok(ArchiveSealEvent { store, from, to, root, count, objects, now })
    }

    /// Keeps a checkpoint for ever. One that an earlier run kept may have other cosignatures; it vouches for the same.
    async fn keep(&self, note: &str, signed: &SignedCheckpoint, log: &Head) -> Result<(), ArchiveError> {
        let name = ArchiveName::CheckpointAt(signed.checkpoint().size);
        let differs = match self.store.create(&ArchiveObject { name, bytes: note.as_bytes().to_vec() }).await {
            Err(error @ ArchiveError::Differs { .. }) => error,
            other => return other,
        };
        let known = self.store.read(name).await?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let known = known.and_then(|note| SignedCheckpoint::open_with(&note, log.log_keys()).ok());
        if known.is_some_and(|known| known.checkpoint() == signed.checkpoint()) { Ok(()) } else { Err(differs) }
    }

    async fn add(&self, object: &ArchiveObject, growth: &mut Growth) -> Result<(), ArchiveError> {
        self.store.create(object).await?;
        growth.add(&object.name, &sha256(&object.bytes));
        Ok(())
    }

    /// The size of the newest checkpoint; 0 without one. An archive that vouches for more than the ledger has says that the
    /// ledger was set back.
    async fn newest(&self, growing: Growing<'_>) -> Result<u64, ArchiveError> {
        let Growing { sealed: _, note: _, signed, log, now: _ } = growing;
        let Some(bytes) = self.store.read(ArchiveName::Checkpoint).await? else { return Ok(0) };
        let text = String::from_utf8_lossy(&bytes);
        let newest = SignedCheckpoint::open_with(&text, log.log_keys())
            .map_err(|e| ArchiveError::Ahead(format!("its checkpoint: {e}")))?;
        let contradicts = |what: String| ArchiveError::Contradicts { note: text.clone().into_owned(), what };
        let (kept, here) = (newest.checkpoint(), signed.checkpoint());
        if kept.size > log.next_index().0 {
            let (kept, here) = (kept.size, log.next_index());
            return Err(contradicts(format!("it holds {kept} entries, the ledger only {here}: it was set back")));
        }
        if kept.size == here.size && kept.root != here.root {
            return Err(contradicts(format!("it vouches for other {} entries than the ledger", kept.size)));
        }
        Ok(kept.size)
    }

    /// The end of the archive as far as the ledger says that it holds it.
    async fn continued(&mut self, sealed: Option<Archived>, log: &Head) -> Result<Tiling, ArchiveError> {
        let Some(Archived { size, root, index: _ }) = sealed else { return Ok(Tiling::default()) };
        if let Some(end) = self.end.as_ref().filter(|end| (end.size(), end.root()) == (size, root)) {
            return Ok(end.clone());
        }
        let name = ArchiveName::CheckpointAt(size);
        let missing = ArchiveError::Differs { name, what: "was sealed, but is not there" };
        let note = self.store.read(name).await?.ok_or(missing)?;
        let signed = SignedCheckpoint::open_with(&String::from_utf8_lossy(&note), log.log_keys())
            .ok()
            .filter(|c| (c.checkpoint().size, c.checkpoint().root) == (size, root))
            .ok_or(ArchiveError::Differs { name, what: "is not the checkpoint that was sealed" })?;
        let mut objects: Vec<(TileName, Option<Vec<u8>>)> = Vec::new();
        for tile in Tiling::needed(size) {
            objects.push((tile, self.store.read(ArchiveName::Tile(tile)).await?));
        }
        let read = |name| objects.iter().find(|(tile, _)| *tile == name).and_then(|(_, bytes)| bytes.clone());
        let end = Tiling::resume(&signed, log, read)?;
        self.end = Some(end.clone());
        Ok(end)
    }
}
