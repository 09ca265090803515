//! A snapshot: State and the end of the chain at the begin of a block. Whoever starts on a pruned ledger begins here.
//!
//! Nobody signs it. It is believed when an entry `prune` after it holds its digest, and a checkpoint that the log's key signed
//! covers that entry: the checkpoint's root is made of the entries that are here and of the tree that the snapshot says was
//! before them, so that a snapshot of another history leads to another root.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::constitution::{State, StateFormError};
use crate::ledger::{AuditState, AuditStateError, Head, LogTrust};
use crate::trust::{CanonicalError, sha256};
use crate::units::{BlockNumber, Digest};

/// The form, in the field `format`.
const FORMAT: &str = "miax.dev/snapshot/v1";
/// Bytes of a part before packing. Whatever they pack to stays below what a ConfigMap holds.
const PART: usize = 768 * 1024;
/// Most parts of a snapshot: 192 MiB before packing.
const MAX_PARTS: usize = 256;
/// zstd level, as that of blocks.
const LEVEL: i32 = 3;

/// Where whoever starts begins.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The end of the chain: the next block is the first that must be there.
    pub head: Head,
    /// The fold of everything before.
    pub state: State,
    /// SHA-256 of its bytes: what an entry `prune` holds.
    pub digest: Digest,
}

/// Why bytes are not a snapshot of this log.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The end of the chain is not one.
    #[error("the snapshot is wrong: {0}")]
    Chain(#[from] AuditStateError),
    /// It cannot be written.
    #[error("the snapshot cannot be written: {0}")]
    Canonical(#[from] CanonicalError),
    /// Head and State are of different places.
    #[error("the snapshot is wrong: its State has {state} entries, its chain {chain}")]
    Places {
        /// Entries that State is the fold of.
        state: u64,
        /// Entries in the chain.
        chain: u64,
    },
    /// It is larger than a snapshot may be.
    #[error("the snapshot has {0} bytes; at most {most} are allowed", most = PART * MAX_PARTS)]
    Size(usize),
    /// State cannot be read.
    #[error("the snapshot is wrong: {0}")]
    State(#[from] StateFormError),
    /// The text is not of the form.
    #[error("this is not a snapshot: {0}")]
    Unreadable(String),
}

/// A snapshot while it is written, with fields in the order of their names.
#[derive(Serialize)]
struct Written<'a> {
    chain: String,
    format: &'a str,
    state: &'a State,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'a> {
    format: String,
    chain: String,
    /// Not read before its form is known.
    #[serde(borrow)]
    state: &'a RawValue,
}

/// The bytes of a snapshot.
///
/// # Errors
/// [`SnapshotError::Canonical`], [`SnapshotError::Places`], [`SnapshotError::Size`], [`SnapshotError::Unreadable`].
pub fn write_snapshot(head: &Head, state: &State) -> Result<Vec<u8>, SnapshotError> {
    at_one_place(head, state)?;
    // JSON without spaces, keys in their order: one spelling for equal States. It is larger than a document may be.
    let written = Written { chain: AuditState::of(head).to_text()?, format: FORMAT, state };
    let bytes = serde_json::to_vec(&written).map_err(|e| SnapshotError::Unreadable(e.to_string()))?;
    if bytes.len() > PART * MAX_PARTS { Err(SnapshotError::Size(bytes.len())) } else { Ok(bytes) }
}

/// Reads the bytes of a snapshot. Whether they are those that the ledger means is told by their digest.
///
/// # Errors
/// Every variant of [`SnapshotError`] but [`SnapshotError::Canonical`] and [`SnapshotError::Size`].
pub fn read_snapshot(bytes: &[u8], trust: &LogTrust) -> Result<Snapshot, SnapshotError> {
    let unreadable = |e: &dyn std::fmt::Display| SnapshotError::Unreadable(e.to_string());
    let Form { format, chain, state } = serde_json::from_slice(bytes).map_err(|e| unreadable(&e))?;
    if format != FORMAT {
        return Err(unreadable(&format!("it has the form `{format}`; this version of miax reads {FORMAT}")));
    }
    // It may be of an epoch before the one that the log is in now.
    let epochs = (0..=trust.epoch).rev().map(|epoch| trust.in_epoch(epoch));
    let of_epoch = |log: LogTrust| Some((AuditState::parse(&chain, &log.origin).ok()?, log));
    let head = match epochs.into_iter().find_map(of_epoch) {
        Some((end, log)) => end.resume(log)?,
        None => AuditState::parse(&chain, &trust.origin)?.resume(trust.clone())?,
    };
    let state = State::from_json(state.get())?;
    at_one_place(&head, &state)?;
    Ok(Snapshot { head, state, digest: sha256(bytes) })
}

fn at_one_place(head: &Head, state: &State) -> Result<(), SnapshotError> {
    let (state, chain) = (state.next_index().0, head.next_index().0);
    if state == chain { Ok(()) } else { Err(SnapshotError::Places { state, chain }) }
}

/// The parts in which a snapshot is kept, packed, in their order.
///
/// # Errors
/// [`SnapshotError::Unreadable`] when it cannot be packed.
pub fn pack_snapshot(bytes: &[u8]) -> Result<Vec<Vec<u8>>, SnapshotError> {
    let pack = |part: &[u8]| zstd::bulk::compress(part, LEVEL).map_err(|e| SnapshotError::Unreadable(e.to_string()));
    bytes.chunks(PART).map(pack).collect()
}

/// The bytes that were packed into these parts.
///
/// # Errors
/// [`SnapshotError::Unreadable`] when a part is damaged, or there are too many.
pub fn unpack_snapshot<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    for (number, part) in parts.enumerate() {
        // The limit holds before anything is inflated.
        let inflated = zstd::bulk::decompress(part, PART).ok().filter(|_| number < MAX_PARTS);
        bytes.extend(inflated.ok_or_else(|| SnapshotError::Unreadable(format!("part {number} is damaged")))?);
    }
    Ok(bytes)
}

/// Name of the object that holds a part of the snapshot at the begin of a block.
#[must_use]
pub fn snapshot_name(epoch: u16, block: BlockNumber, part: usize) -> String {
    format!("ecm-snapshot-{epoch:04x}-{:016x}-{part:02x}", block.0)
}

/// Epoch, block and part in the name of such an object; `None` for any other name.
#[must_use]
pub fn parse_snapshot_name(name: &str) -> Option<(u16, BlockNumber, usize)> {
    let mut fields = name.strip_prefix("ecm-snapshot-")?.split('-');
    let epoch = u16::from_str_radix(fields.next()?, 16).ok()?;
    let block = BlockNumber(u64::from_str_radix(fields.next()?, 16).ok()?);
    let part = usize::from_str_radix(fields.next()?, 16).ok()?;
    (snapshot_name(epoch, block, part) == name).then_some((epoch, block, part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::NoteSigner;

    fn trust() -> LogTrust {
        let key = NoteSigner::try_new("miax.dev/ecm/c/0", &[1; 32]).expect("name").verifier();
        LogTrust { origin: key.name().to_owned(), epoch: 0, key }
    }

    #[test]
    fn a_snapshot_reads_back_and_a_changed_one_does_not() {
        let bytes = write_snapshot(&Head::genesis(trust()), &State::default()).expect("written");
        let Snapshot { head, state, digest } = read_snapshot(&bytes, &trust()).expect("reads");
        assert_eq!(write_snapshot(&head, &state).expect("written"), bytes);
        assert_eq!(digest, sha256(&bytes));
        let text = String::from_utf8(bytes).expect("text");
        let check = |from: &str, to: &str, part: &str| {
            assert!(text.contains(from), "{from}");
            let error = read_snapshot(text.replace(from, to).as_bytes(), &trust()).expect_err("refused").to_string();
            assert!(error.contains(part), "{error}");
        };
        check("snapshot/v1", "snapshot/v2", "the form `miax.dev/snapshot/v2`");
        check("\"next\":0", "\"next\":7", "its State has 7 entries, its chain 0");
        check("ecm/c/0", "ecm/d/0", "of the log");
        check("\"waivers\"", "\"waiver\"", "not the State");
        check("{", "", "not a snapshot");
    }

    #[test]
    fn parts_are_limited_before_they_are_inflated() {
        let bytes = vec![7; 2 * PART + 5];
        let parts = pack_snapshot(&bytes).expect("packed");
        assert_eq!(parts.len(), 3);
        assert_eq!(unpack_snapshot(parts.iter().map(Vec::as_slice)).expect("unpacked"), bytes);
        let bomb = zstd::bulk::compress(&vec![0; PART + 1], LEVEL).expect("packed");
        assert!(unpack_snapshot([bomb.as_slice()].into_iter()).is_err());
        assert!(unpack_snapshot([&b"x"[..]].into_iter()).is_err());
    }

    #[test]
    fn names_are_read_as_they_are_written_and_no_other() {
        let name = snapshot_name(0, BlockNumber(258), 1);
        assert_eq!(name, "ecm-snapshot-0000-0000000000000102-01");
        assert_eq!(parse_snapshot_name(&name), Some((0, BlockNumber(258), 1)));
        for wrong in ["ecm-0000-0000000000000102", "ecm-snapshot-0-102-1", "ecm-snapshot-0000-0000000000000102-01-00"] {
            assert_eq!(parse_snapshot_name(wrong), None, "{wrong}");
        }
        assert_eq!(crate::ledger::parse_block_name(&name), None);
    }
}
