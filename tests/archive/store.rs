//! An object store in memory that does what it is told to do wrong, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt as _;
use futures::stream::BoxStream;
use miax::ledger::{BlockParts, parse_block_name};
use miax::store::{BlockStore, CreateError, ReadError};
use miax::units::BlockNumber;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What goes wrong with one call. Faults of writing leave reads alone, and the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write is refused.
    Full,
    /// A call is never answered.
    Late,
    /// A write is acknowledged and forgotten.
    Lost,
    /// A write is done, but never answered.
    StoredButLate,
    /// A write is done, and an error is answered.
    StoredButLost,
    /// Any call fails.
    Unreachable,
    /// A write stores other bytes.
    StoresOther,
    /// A read gives other bytes.
    ReadsOther,
}

#[derive(Clone, Debug, Default)]
pub struct FaultyStore {
    inner: Arc<InMemory>,
    plan: Option<(usize, Fault)>,
    calls: Arc<AtomicUsize>,
}

impl FaultyStore {
    pub fn failing_at(call: usize, fault: Fault) -> Self {
        Self { plan: Some((call, fault)), ..Self::default() }
    }

    /// Whether there were as many calls that something went wrong.
    pub fn was_hit(&self) -> bool {
        self.plan.is_some_and(|(at, _)| self.calls.load(Ordering::SeqCst) > at)
    }

    fn fault(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.plan.filter(|(at, _)| *at == call).map(|(_, fault)| fault)
    }

    /// Puts bytes there, past every fault.
    pub async fn store(&self, path: &str, bytes: &[u8]) {
        self.inner.put(&Path::from(path), bytes.to_vec().into()).await.expect("stored");
    }

    /// Everything below a prefix, by the rest of its name.
    pub async fn contents(&self, prefix: &str) -> BTreeMap<String, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut list = self.inner.list(None);
        while let Some(object) = list.next().await {
            let path = object.expect("listed").location;
            let bytes = self.inner.get(&path).await.expect("there").bytes().await.expect("bytes");
            let name = path.as_ref().strip_prefix(prefix).expect("below the prefix").to_owned();
            found.insert(name, bytes.to_vec());
        }
        found
    }
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultyStore")
    }
}

fn broken() -> Error {
    Error::Generic { store: "faulty", source: "no space left on device".into() }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let name = path.as_ref();
        let newest = name.ends_with("/checkpoint");
        assert_eq!(newest, options.mode == PutMode::Overwrite, "{name}: only the newest checkpoint is replaced");
        match self.fault() {
            Some(Fault::Full | Fault::Unreachable) => Err(broken()),
            Some(Fault::Late) => std::future::pending().await,
            Some(Fault::Lost) => Ok(PutResult { e_tag: None, version: None, extensions: Default::default() }),
            Some(Fault::StoredButLate) => {
                self.inner.put_opts(path, payload, options).await?;
                std::future::pending().await
            }
            Some(Fault::StoredButLost) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(broken())
            }
            Some(Fault::StoresOther) => self.inner.put_opts(path, b"other"[..].into(), options).await,
            Some(Fault::ReadsOther) | None => self.inner.put_opts(path, payload, options).await,
        }
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fault() {
            Some(Fault::Unreachable) => Err(broken()),
            Some(Fault::Late) => std::future::pending().await,
            Some(Fault::ReadsOther) => {
                let other = InMemory::new();
                other.put(path, b"other"[..].into()).await?;
                other.get_opts(path, options).await
            }
            Some(Fault::Full | Fault::Lost | Fault::StoredButLate | Fault::StoredButLost | Fault::StoresOther)
            | None => self.inner.get_opts(path, options).await,
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("an object of an archive is written in one piece")
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        panic!("nothing of an archive is deleted")
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("nothing of an archive is copied")
    }
}

/// The blocks of a log, to be read.
pub struct MemoryBlocks(pub Vec<(String, BlockParts)>);

impl BlockStore for MemoryBlocks {
    async fn create(&self, _: u16, _: BlockNumber, _: &BlockParts) -> std::result::Result<(), CreateError> {
        Err(CreateError::Refused("an archive writes no block".into()))
    }

    async fn read(&self, epoch: u16, number: BlockNumber) -> std::result::Result<Option<BlockParts>, ReadError> {
        let found = self.0.iter().find(|(name, _)| parse_block_name(name) == Some((epoch, number)));
        Ok(found.map(|(_, parts)| parts.clone()))
    }
}
