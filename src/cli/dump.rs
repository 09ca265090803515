//! Ledgers as people keep them: a directory, a tarball, or what `kubectl get -o yaml` or `-o json` prints.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::ledger::{BlockParts, parse_block_name};

use super::output::{Failure, failure};

/// Largest file that is read at once; kubectl's output of a full ledger stays below.
const MAX_FILE: u64 = 1 << 30;
/// What a gzip file begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
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
}

/// A ledger, read but not verified.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Blocks by name, in the order of the log, each with what is wrong when it cannot be read.
    pub(super) blocks: Vec<(String, Result<BlockParts, String>)>,
    /// What the dump says about itself.
    pub(super) claims: Option<Claims>,
}

/// A ConfigMap or a list of them, as far as it matters here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMap {
    metadata: RawMetadata,
    data: BTreeMap<String, String>,
    binary_data: BTreeMap<String, String>,
    items: Vec<RawMap>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMetadata {
    name: String,
}

impl Dump {
    /// Reads a file, a directory, or stdin for `-`.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        let mut dump = Self::default();
        if path.is_dir() {
            dump.add_directory(path)?;
        } else if path == Path::new("-") {
            dump.add_bytes("stdin", &limited(std::io::stdin(), "stdin")?)?;
        } else {
            let place = path.display().to_string();
            let file = std::fs::File::open(path).map_err(|e| Failure::new(format!("{place}: {e}")))?;
            dump.add_bytes(&place, &limited(file, &place)?)?;
        }
        if dump.blocks.is_empty() {
            return Err(Failure::new(format!("{}: no ledger block is in there", path.display()))
                .with_next("kubectl get configmap -n miax-ledger -o yaml > ledger.yaml"));
        }
        // Names are of fixed width: their order is the order of the log.
        dump.blocks.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(dump)
    }

    fn add_directory(&mut self, path: &Path) -> Result<(), Failure> {
        let wrong = |e: std::io::Error| Failure::new(format!("{}: {e}", path.display()));
        for entry in std::fs::read_dir(path).map_err(wrong)? {
            let file = entry.map_err(wrong)?.path();
            if file.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
                let place = file.display().to_string();
                let reader = std::fs::File::open(&file).map_err(|e| Failure::new(format!("{place}: {e}")))?;
                self.add_bytes(&place, &limited(reader, &place)?)?;
            }
        }
        Ok(())
    }

    fn add_bytes(&mut self, place: &str, bytes: &[u8]) -> Result<(), Failure> {
        if bytes.starts_with(&GZIP) {
            let inner = limited(flate2::read::GzDecoder::new(bytes), place)?;
            return self.add_bytes(place, &inner);
        }
        if bytes.get(TAR_MAGIC) == Some(b"ustar") {
            return self.add_tar(place, bytes);
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

    fn add_tar(&mut self, place: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut archive = tar::Archive::new(Cursor::new(bytes));
        for entry in archive.entries().map_err(|e| failure(&e))? {
            let entry = entry.map_err(|e| Failure::new(format!("{place}: {e}")))?;
            if entry.header().entry_type().is_file() {
                let name = entry.path().map(|p| format!("{place}: {}", p.display())).unwrap_or_default();
                let inner = limited(entry, &name)?;
                self.add_bytes(&name, &inner)?;
            }
        }
        Ok(())
    }

    fn add_map(&mut self, map: RawMap) {
        let RawMap { metadata: RawMetadata { name }, data, binary_data, items } = map;
        items.into_iter().for_each(|item| self.add_map(item));
        let text = |key: &str| data.get(key).cloned();
        if name == CHECKPOINT_CONFIG_MAP {
            let text = |key: &str| text(key).unwrap_or_default();
            self.claims = Some(Claims { origin: text("origin"), key: text("key"), checkpoint: text("checkpoint") });
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

fn limited(reader: impl Read, place: &str) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reader.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(Failure::new(format!("{place}: larger than {} MiB", MAX_FILE >> 20))
            .with_next("dump the ledger into a directory, one file a block"));
    }
    Ok(bytes)
}
