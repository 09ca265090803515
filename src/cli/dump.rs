//! Ledgers as people keep them: a directory, an archive, a tarball, or what `kubectl get -o yaml` or `-o json` prints.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::ledger::{BlockParts, Lineage, parse_block_name};
use crate::store::parse_snapshot_name;
use crate::units::BlockNumber;

use super::archived::Archived;
use super::output::{Failure, failure};
use super::pruned::Parts;

/// Largest file that is read at once; kubectl's output of a full ledger stays below.
const MAX_FILE: u64 = 1 << 30;
/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// How many files may be inside of each other: a tarball in gzip holds files of gzip at most.
const MAX_NESTING: usize = 4;
/// Where `ustar` stands in a tar file.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// What a dump says about its log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Origin of the log.
    pub(super) origin: String,
    /// Verifier key of the log.
    pub(super) key: String,
    /// The newest checkpoint; empty before the first.
    pub(super) checkpoint: String,
    /// The newest checkpoint that a quorum of the cluster's witnesses cosigned; empty when none is known.
    pub(super) witnessed: String,
    /// The block at which a pruned ledger begins.
    pub(super) snapshot: Option<BlockNumber>,
}

/// A ledger, read but not verified.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Blocks by name, in the order of the log, each with what is wrong when it cannot be read.
    pub(super) blocks: Vec<(String, Result<BlockParts, String>)>,
    /// Snapshots by epoch and block: where a ledger can begin that was pruned.
    pub(super) snapshots: BTreeMap<(u16, BlockNumber), Parts>,
    /// What the dump says about itself.
    pub(super) claims: Option<Claims>,
    /// The archive that it was read from, to be compared with its blocks.
    pub(super) archived: Option<Archived>,
    /// Whether it is what the cluster has now. Its checkpoint was read before its blocks, so that none can be missing which
    /// only was not copied.
    pub(super) live: bool,
}

/// A ConfigMap or a list of them, as far as it matters here.
#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMap {
    metadata: RawMetadata,
    data: Option<BTreeMap<String, String>>,
    binary_data: Option<BTreeMap<String, String>>,
    items: Vec<RawMap>,
}

#[derive(Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    name: String,
}

impl Dump {
    /// Which block belongs to which epoch, by the names of what is there.
    pub(super) fn lineage(&self) -> Lineage {
        Lineage::claimed(self.blocks.iter().filter_map(|(name, _)| parse_block_name(name)))
    }

    /// Reads a file, a directory, or stdin for `-`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let mut dump = Self::default();
        if Archived::is_at(path) {
            // Objects of an archive are in the order of the log; one that cannot be read stands in its place.
            return Archived::read(path).map(Archived::dump);
        }
        if path.is_dir() {
            dump.add_directory(path)?;
        } else if path == Path::new("-") {
            dump.add_bytes("stdin", &limited(std::io::stdin(), "stdin")?, 0)?;
        } else {
            dump.add_bytes(&path.display().to_string(), &read_file(path)?, 0)?;
        }
        // Without a block the checkpoint still tells that there was one.
        if dump.blocks.is_empty() && dump.claims.as_ref().is_none_or(|c| c.checkpoint.is_empty()) {
            return Err(Failure::new(format!("{}: no ledger block is in there", path.display()))
                .with_next("kubectl get configmap -n miax-ledger -o yaml > ledger.yaml"));
        }
        // Names are of fixed width: their order is the order of the log.
        dump.blocks.sort_by(|(a, _), (b, _)| a.cmp(b));
        // A backup may hold the same object twice; two different ones of a name both stay, and one of them is found.
        dump.blocks.dedup();
        Ok(dump)
    }

    fn add_directory(&mut self, path: &Path) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        for entry in std::fs::read_dir(path).map_err(wrong)? {
            let file = entry.map_err(wrong)?.path();
            if file.is_file() && file.extension().is_some_and(is_document) {
                self.add_bytes(&file.display().to_string(), &read_file(&file)?, 0)?;
            }
        }
        Ok(())
    }

    fn add_bytes(&mut self, place: &str, bytes: &[u8], nesting: usize) -> Result<(), Failure> {
        if nesting > MAX_NESTING {
            return Err(Failure::new(format!("{place}: archives inside of archives; unpack them first")));
        }
        if bytes.starts_with(&GZIP) {
            let inner = limited(flate2::read::MultiGzDecoder::new(bytes), place)?;
            return self.add_bytes(place, &inner, nesting + 1);
        }
        if bytes.get(TAR_MAGIC) == Some(b"ustar") {
            return self.add_tar(place, bytes, nesting + 1);
        }
        let text = std::str::from_utf8(bytes).map_err(|e| Failure::new(format!("{place}: {e}")))?;
        if text.trim_start().starts_with('{') {
            let map = serde_json::from_str(text).map_err(|e| Failure::new(format!("{place}: {e}")))?;
            self.add_map(map);
            return Ok(());
        }
        for document in serde_yaml::Deserializer::from_str(text) {
            let map = Option::<RawMap>::deserialize(document).map_err(|e| Failure::new(format!("{place}: {e}")))?;
            self.add_map(map.unwrap_or_default());
        }
        Ok(())
    }

    fn add_tar(&mut self, place: &str, bytes: &[u8], nesting: usize) -> Result<(), Failure> {
        let mut archive = tar::Archive::new(Cursor::new(bytes));
        for entry in archive.entries().map_err(|e| failure(&e))? {
            let entry = entry.map_err(|e| Failure::new(format!("{place}: {e}")))?;
            // Other files of a backup are none of our business.
            let document = entry.path().is_ok_and(|p| p.extension().is_some_and(is_document));
            if entry.header().entry_type().is_file() && document {
                let name = entry.path().map(|p| format!("{place}: {}", p.display())).unwrap_or_default();
                let inner = limited(entry, &name)?;
                self.add_bytes(&name, &inner, nesting)?;
            }
        }
        Ok(())
    }

    fn add_map(&mut self, map: RawMap) {
        let RawMap { metadata: RawMetadata { name }, data, binary_data, items } = map;
        items.into_iter().for_each(|item| self.add_map(item));
        let (data, binary_data) = (data.unwrap_or_default(), binary_data.unwrap_or_default());
        let text = |key: &str| data.get(key).cloned();
        if name == CHECKPOINT_CONFIG_MAP {
            let text = |key: &str| text(key).unwrap_or_default();
            let (origin, key) = (text("origin"), text("key"));
            let (checkpoint, witnessed) = (text("checkpoint"), text("witnessed"));
            let snapshot = text("snapshot").parse().ok().map(BlockNumber);
            self.claims = Some(Claims { origin, key, checkpoint, witnessed, snapshot });
        }
        if let Some((epoch, block, part)) = parse_snapshot_name(&name) {
            // What cannot be decoded is a part that is damaged.
            let packed = binary_data.get("packed").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
            self.snapshots.entry((epoch, block)).or_default().insert(part, packed);
        }
        if parse_block_name(&name).is_none() {
            return;
        }
        let bytes = |key: &str| -> Result<Vec<u8>, String> {
            let encoded = binary_data.get(key).ok_or_else(|| format!("binaryData.{key} is missing"))?;
            STANDARD.decode(encoded).map_err(|_| format!("binaryData.{key} is not base64"))
        };
        let parts = || -> Result<BlockParts, String> {
            Ok(BlockParts {
                header: text("header").ok_or("data.header is missing")?,
                seal: text("seal").ok_or("data.seal is missing")?,
                entries: bytes("entries")?,
                edge: bytes("edge")?,
            })
        };
        let parts = parts();
        self.blocks.push((name, parts));
    }
}

fn is_document(extension: &std::ffi::OsStr) -> bool {
    extension == "yaml" || extension == "yml" || extension == "json"
}

/// Reads a whole file, up to the limit.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    let place = path.display().to_string();
    let file = std::fs::File::open(path).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    limited(file, &place)
}

fn limited(reader: impl Read, place: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(Failure::new(format!("{place}: larger than {} MiB", MAX_FILE >> 20))
            .with_next("dump the ledger into a directory, one file a block"));
    }
    Ok(bytes)
}
