//! A block: up to 256 entries with a header, a seal and the tree's edge, as they are stored in one immutable ConfigMap.

use serde::{Deserialize, Serialize};

use crate::trust::{NoteError, NoteSigner, NoteVerifier, canonical_json, open_note, parse_json_strict, sha256};
use crate::units::{BlockNumber, Digest, LogIndex, UnixMillis, hex, unhex};

use super::entry::MAX_ENTRY_BYTES;
use super::tree::leaf_hash;

/// Most entries in a block. A block never crosses a multiple of it, so that archiving to tlog-tiles is concatenation.
pub const MAX_BLOCK_ENTRIES: usize = 256;
/// Most bytes of compressed entries in a block; larger ones stall other users of etcd.
pub const MAX_BLOCK_BYTES: usize = 64 * 1024;
/// Most bytes that a block may inflate to: checked before and while inflating.
const MAX_BUNDLE_BYTES: usize = MAX_BLOCK_ENTRIES * (MAX_ENTRY_BYTES + 2);
/// Version of the form of blocks.
const FORMAT: u32 = 1;
/// zstd level: 3 packs a million entries a second, and higher levels gain little on JSON.
const LEVEL: i32 = 3;
/// Bytes of a leaf hash that the header repeats, so that a changed entry can be named although only their sum is signed.
const LEAF_PREFIX: usize = 4;

/// What a block's ConfigMap holds, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockParts {
    /// `data.header`: canonical JSON.
    pub header: String,
    /// `data.seal`: a signed note by the writer's key.
    pub seal: String,
    /// `binaryData.entries`: zstd of the entries, each with its length as two bytes, big-endian (the bundle of tlog-tiles).
    pub entries: Vec<u8>,
    /// `binaryData.edge`: the compact range after the block.
    pub edge: Vec<u8>,
}

/// What the seal vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the form.
    pub v: u32,
    /// Epoch of the log; a new one only after a disaster.
    pub epoch: u16,
    /// Number of the block.
    pub number: BlockNumber,
    /// Index of its first entry.
    pub first: LogIndex,
    /// How many entries it holds.
    pub count: u32,
    /// Digest of the previous block's header; all zero before the first block.
    pub previous: Digest,
    /// Number of entries in the log after this block.
    pub size: u64,
    /// RFC 6962 root after this block.
    pub root: Digest,
    /// Digest of the entries as packed here. An archive that packs them in another way has `root`, which commits to every
    /// entry.
    pub packed: Digest,
    /// The first 4 bytes of each leaf hash, in hex.
    pub leaves: String,
    /// Name of the writer key that seals it.
    pub writer: String,
    /// When its first entry was made, by the writer's clock.
    pub from: UnixMillis,
    /// When it was sealed, by the writer's clock.
    pub to: UnixMillis,
}

/// A block whose inside is consistent: header, bundle and entries fit each other. Whether it belongs into the chain is told
/// by [`super::Head::fold`].
#[derive(Clone, Debug)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// SHA-256 of the header's bytes: the block's identity.
    pub digest: Digest,
    bundle: Vec<u8>,
    ends: Vec<usize>,
}

/// Why parts are not a block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The entries do not fit the header, from this one on.
    #[error("the entry was changed: its hash is not the one that the block's seal vouches for")]
    EntryChanged {
        /// The first one that is wrong.
        index: LogIndex,
    },
    /// The entries cannot be inflated.
    #[error("the entries from here on are damaged and cannot be read")]
    EntriesDamaged {
        /// The first one that cannot be read.
        index: LogIndex,
    },
    /// The form is of another version.
    #[error("the block has the form {0}; this version of miax reads {FORMAT}; use a newer one")]
    Format(u32),
    /// The header is not readable or not canonical.
    #[error("the header was changed: {0}")]
    Header(String),
    /// A limit is passed.
    #[error("{what} is {found}; at most {most} is allowed")]
    Limit {
        /// What.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        most: usize,
    },
    /// The numbers of entries contradict each other, or cross a multiple of 256.
    #[error("the header was changed: {0}")]
    Numbers(&'static str),
    /// The packed bytes were changed in a way that leaves the entries as they were.
    #[error("the packed bytes were changed; the entries inside are still what the seal vouches for")]
    Packing,
    /// The block cannot be packed.
    #[error("the block cannot be packed: {0}")]
    Pack(String),
    /// The seal does not verify.
    #[error("the seal is wrong: {0}")]
    Seal(NoteError),
    /// The seal is over another header.
    #[error("the header was changed: the seal is over another one")]
    SealOfAnother,
}

/// Name of a block's ConfigMap: of fixed width, so that the order of names is the order of the log.
#[must_use]
pub fn block_name(epoch: u16, number: BlockNumber) -> String {
    format!("ecm-{epoch:04x}-{:016x}", number.0)
}

/// Epoch and number in the name of a block's ConfigMap; `None` for any other name.
#[must_use]
pub fn parse_block_name(name: &str) -> Option<(u16, BlockNumber)> {
    let (epoch, number) = name.strip_prefix("ecm-")?.split_once('-')?;
    let found = (u16::from_str_radix(epoch, 16).ok()?, BlockNumber(u64::from_str_radix(number, 16).ok()?));
    (block_name(found.0, found.1) == name).then_some(found)
}

/// The text that a writer signs for a block.
fn seal_text(origin: &str, number: BlockNumber, digest: &Digest) -> String {
    format!("miax.dev/block/v1\n{origin}\n{number}\n{digest}\n")
}

/// The entries one after another, each with its length in two bytes.
pub(super) fn pack(entries: &[Vec<u8>]) -> Result<Vec<u8>, BlockError> {
    let mut bundle = Vec::with_capacity(entries.iter().map(|e| e.len() + 2).sum());
    for entry in entries {
        let limit = || BlockError::Limit { what: "an entry's size", found: entry.len(), most: MAX_ENTRY_BYTES };
        let length = u16::try_from(entry.len()).map_err(|_| limit())?;
        if entry.len() > MAX_ENTRY_BYTES {
            return Err(limit());
        }
        bundle.extend_from_slice(&length.to_be_bytes());
        bundle.extend_from_slice(entry);
    }
    Ok(bundle)
}

pub(super) fn compress(bundle: &[u8]) -> Result<Vec<u8>, BlockError> {
    zstd::bulk::compress(bundle, LEVEL).map_err(|e| BlockError::Pack(e.to_string()))
}

/// The leaf prefixes as the header holds them.
pub(super) fn leaf_prefixes(leaves: &[Digest]) -> String {
    leaves.iter().map(|l| hex(l.0.get(..LEAF_PREFIX).unwrap_or_default())).collect()
}

/// Writes header and seal.
pub(super) fn seal(origin: &str, header: &Header, writer: &NoteSigner) -> Result<(String, String), BlockError> {
    let value = serde_json::to_value(header).map_err(|e| BlockError::Pack(e.to_string()))?;
    let bytes = canonical_json(&value).map_err(|e| BlockError::Pack(e.to_string()))?;
    let note = writer.sign(&seal_text(origin, header.number, &bytes.digest())).map_err(BlockError::Seal)?;
    let header = String::from_utf8(bytes.into_vec()).map_err(|e| BlockError::Pack(e.to_string()))?;
    Ok((header, note))
}

impl Block {
    /// Opens the parts and checks them against the header, which is not trusted before [`Block::check_seal`]. Gives the
    /// leaf hashes too.
    ///
    /// # Errors
    /// Every variant of [`BlockError`] except those of the seal. A changed entry is named as exactly as can be.
    pub fn open(parts: &BlockParts) -> Result<(Self, Vec<Digest>), BlockError> {
        let BlockParts { header: text, seal: _, entries: packed, edge: _ } = parts;
        let header = Header::read(text)?;
        if packed.len() > MAX_BLOCK_BYTES {
            return Err(BlockError::Limit { what: "the packed size", found: packed.len(), most: MAX_BLOCK_BYTES });
        }
        let (bundle, whole) = inflate(packed);
        let (ends, complete) = split(&bundle, header.count);
        let block = Self { header, digest: sha256(text.as_bytes()), bundle, ends };
        let leaves: Vec<Digest> = block.entries().map(leaf_hash).collect();
        // The prefixes in the header tell which entry is wrong; they only name it. What accepts an entry is the root.
        let prefixes = unhex(&block.header.leaves).ok_or_else(|| BlockError::Header("leaves is not hex".to_owned()))?;
        let named = prefixes.chunks(LEAF_PREFIX);
        let good = leaves.iter().zip(named.clone()).take_while(|(leaf, prefix)| leaf.0.starts_with(prefix)).count();
        if whole && complete && good == leaves.len() && good == named.len() {
            // zstd has bits that mean nothing; a change of one loses nothing, but nobody changed it for nothing.
            return match sha256(packed) == block.header.packed {
                true => Ok((block, leaves)),
                false => Err(BlockError::Packing),
            };
        }
        let index = LogIndex(block.header.first.0 + u64::try_from(good).unwrap_or(0));
        Err(match (good == leaves.len(), whole && complete) {
            (false, _) => BlockError::EntryChanged { index },
            (true, false) => BlockError::EntriesDamaged { index },
            (true, true) => BlockError::Numbers("it names another number of entries"),
        })
    }

    /// Checks that `writer` sealed this block of the log `origin`.
    ///
    /// # Errors
    /// [`BlockError::Seal`], [`BlockError::SealOfAnother`].
    pub fn check_seal(&self, seal: &str, origin: &str, writer: &NoteVerifier) -> Result<(), BlockError> {
        self.header.check_seal(&self.digest, seal, origin, writer)
    }

    /// The entries inflated, each with its length in two bytes before it: the bundle of tlog-tiles.
    #[must_use]
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// The bytes of the entries, in order.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| self.bundle.get(start + 2..*end).unwrap_or_default())
    }
}

impl Header {
    /// Reads a header and checks what can be told of it alone.
    pub(super) fn read(text: &str) -> Result<Self, BlockError> {
        let wrong = |e: &dyn std::fmt::Display| BlockError::Header(e.to_string());
        let value = parse_json_strict(text.as_bytes()).map_err(|e| wrong(&e))?;
        let canonical = canonical_json(&value).map_err(|e| wrong(&e))?;
        if canonical.as_slice() != text.as_bytes() {
            return Err(wrong(&"it is not canonical JSON"));
        }
        if let Some(v) = value.get("v").and_then(serde_json::Value::as_u64)
            && v != u64::from(FORMAT)
        {
            return Err(BlockError::Format(u32::try_from(v).unwrap_or(u32::MAX)));
        }
        let header: Self = serde_json::from_value(value).map_err(|e| wrong(&e))?;
        let count = usize::try_from(header.count).unwrap_or(usize::MAX);
        if count == 0
            || count > MAX_BLOCK_ENTRIES
            || header.first.0.checked_add(u64::from(header.count)) != Some(header.size)
        {
            return Err(BlockError::Numbers("its numbers of entries contradict each other"));
        }
        let room = MAX_BLOCK_ENTRIES - usize::try_from(header.first.0 % MAX_BLOCK_ENTRIES as u64).unwrap_or(0);
        if count > room {
            return Err(BlockError::Numbers("it crosses a multiple of 256 entries"));
        }
        Ok(header)
    }

    /// Checks that `writer` sealed this header, whose bytes have this digest.
    pub(super) fn check_seal(
        &self,
        digest: &Digest,
        seal: &str,
        origin: &str,
        writer: &NoteVerifier,
    ) -> Result<(), BlockError> {
        let text = open_note(seal, writer).map_err(BlockError::Seal)?;
        if text == seal_text(origin, self.number, digest) { Ok(()) } else { Err(BlockError::SealOfAnother) }
    }

    /// The version of the form that this program writes.
    pub(super) const FORMAT: u32 = FORMAT;
}

/// Inflates as much as can be, within the limit; and whether that was all.
fn inflate(packed: &[u8]) -> (Vec<u8>, bool) {
    // What the frame says of its own size spares the room for the largest one; it is no more than a hint.
    let claimed = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten();
    let room = claimed.and_then(|size| usize::try_from(size).ok()).unwrap_or(MAX_BUNDLE_BYTES).min(MAX_BUNDLE_BYTES);
    if let Ok(bundle) = zstd::bulk::decompress(packed, room) {
        return (bundle, true);
    }
    // Damaged: what can still be read tells which entry is the first wrong one.
    let mut bundle = Vec::new();
    if let Ok(reader) = zstd::stream::read::Decoder::new(packed) {
        let limit = u64::try_from(MAX_BUNDLE_BYTES).unwrap_or(u64::MAX);
        let _ = std::io::Read::read_to_end(&mut std::io::Read::take(reader, limit), &mut bundle);
    }
    (bundle, false)
}

/// Ends of the entries in the bundle, and whether they are exactly `count` and fill it.
fn split(bundle: &[u8], count: u32) -> (Vec<usize>, bool) {
    let mut ends = Vec::with_capacity(MAX_BLOCK_ENTRIES);
    let mut at = 0;
    for _ in 0..count {
        let Some([high, low]) = bundle.get(at..at + 2).and_then(|b| <[u8; 2]>::try_from(b).ok()) else { break };
        let end = at + 2 + usize::from(u16::from_be_bytes([high, low]));
        if end > bundle.len() {
            break;
        }
        ends.push(end);
        at = end;
    }
    let complete = at == bundle.len() && u32::try_from(ends.len()) == Ok(count);
    (ends, complete)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_names_sort_as_the_log_and_read_back() {
        let name = block_name(1, BlockNumber(255));
        assert_eq!(name, "ecm-0001-00000000000000ff");
        assert_eq!(parse_block_name(&name), Some((1, BlockNumber(255))));
        for other in ["ecm-1-ff", "ecm-0001-00000000000000FF", "ecm-0001-00000000000000ff-x", "kube-root-ca.crt"] {
            assert_eq!(parse_block_name(other), None, "{other}");
        }
    }

    #[test]
    fn what_inflates_beyond_the_limit_is_not_inflated() {
        let bomb = zstd::bulk::compress(&vec![0; MAX_BUNDLE_BYTES + 1], 19).expect("packs");
        assert!(bomb.len() < MAX_BLOCK_BYTES);
        let (bundle, whole) = inflate(&bomb);
        assert!(!whole && bundle.len() <= MAX_BUNDLE_BYTES);
    }

    #[test]
    fn an_entry_beyond_its_limit_is_not_packed() {
        assert!(pack(&[vec![0; MAX_ENTRY_BYTES]]).is_ok());
        assert!(matches!(pack(&[vec![0; MAX_ENTRY_BYTES + 1]]), Err(BlockError::Limit { .. })));
    }
}
