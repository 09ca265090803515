//! What an audit makes of what lay in the store: every byte is hashed again, from the first block on, or from the snapshot at which a
//! pruned ledger begins.

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::constitution::Pruned;
use crate::ledger::{
    BlockParts, Check, Checkpoint, Finding, FindingClass, Head, Lineage, LogKeys, LogTrust, Report, SignedCheckpoint,
    Verifier, parse_block_name,
};
use crate::store::{Anchor, ReadError, Snapshot, read_entries, read_snapshot, snapshot_name};
use crate::units::BlockNumber;

/// What lay in the store and beside it.
pub(super) struct Material {
    pub(super) blocks: Vec<(String, Result<BlockParts, ReadError>)>,
    pub(super) anchor: Anchor,
    pub(super) remembered: Option<Checkpoint>,
    /// The log's keys, as this replica has read them.
    pub(super) keys: LogKeys,
    /// Where the ledger begins that was pruned; or what is wrong with the snapshot there.
    pub(super) begin: Option<(Pruned, Result<Vec<u8>, String>)>,
}

/// Hashes everything; gives the blocks back when they are right.
pub(super) fn examine(trust: LogTrust, material: Material) -> (Report, BlockNumber, Vec<BlockParts>) {
    let Material { blocks, anchor, remembered, keys, begin } = material;
    let mut checkpoints = Vec::new();
    let mut wrong = Vec::new();
    let begin = begin.and_then(|(pruned, bytes)| match begin_at(&pruned, bytes, &trust) {
        Ok(head) => Some(head),
        Err(what) => {
            let (check, class) = (Check::ArchiveAndPrune, FindingClass::Tampered);
            wrong.push(Finding::new(check, class, snapshot_name(trust.epoch, pruned.block, 0), None, what));
            None
        }
    });
    if !anchor.checkpoint.is_empty() {
        match SignedCheckpoint::open_with(&anchor.checkpoint, &keys) {
            Ok(signed) => checkpoints.push((signed.checkpoint().clone(), "the checkpoint".to_owned())),
            Err(error) => {
                let (check, class) = (Check::CheckpointSignatures, FindingClass::Tampered);
                wrong.push(Finding::new(check, class, CHECKPOINT_CONFIG_MAP, None, error.to_string()));
            }
        }
    }
    checkpoints.extend(remembered.map(|checkpoint| (checkpoint, "the memory of this replica".to_owned())));
    let lineage = Lineage::claimed(blocks.iter().filter_map(|(name, _)| parse_block_name(name)));
    let begin = begin.unwrap_or_else(|| Head::genesis(trust));
    let first = begin.next_block();
    let mut verifier = Verifier::resume(begin, checkpoints);
    let mut right = Vec::new();
    for (name, parts) in blocks {
        // What was lost when a later epoch was opened is no part of the ledger; what was pruned may still be there, or not.
        let counts = |(epoch, number)| number >= first && lineage.holds(epoch, number);
        match parts {
            Ok(_) | Err(_) if !parse_block_name(&name).is_some_and(counts) => {}
            Ok(parts) => {
                let read = verifier.block(&name, &parts).map(|block| read_entries(&block));
                if let Some(Err(error)) = read {
                    let (check, class) = match error.is_unsupported() {
                        true => (Check::UnknownForms, FindingClass::Unsupported),
                        false => (Check::EntryForm, FindingClass::Tampered),
                    };
                    wrong.push(Finding::new(check, class, name, Some(error.index()), error.to_string()));
                }
                right.push(parts);
            }
            Err(error) => verifier.unreadable(&name, error.to_string()),
        }
    }
    let mut report = verifier.finish();
    report.findings.extend(wrong);
    report.findings.iter_mut().for_each(Finding::of_the_log_itself);
    (report, first, right)
}

/// The end of the chain where a pruned ledger begins; or what is wrong.
fn begin_at(pruned: &Pruned, bytes: Result<Vec<u8>, String>, trust: &LogTrust) -> Result<Head, String> {
    let Snapshot { head, state: _, digest } = read_snapshot(&bytes?, trust).map_err(|e| e.to_string())?;
    match digest == pruned.snapshot && head.next_block() == pruned.block {
        true => Ok(head),
        false => Err(format!("it is not the snapshot that entry {} means", pruned.index)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constitution::State;
    use crate::ledger::{Entry, KeyChange, Writer, block_name};
    use crate::store::{replay, write_snapshot};
    use crate::trust::{NoteSigner, sha256};
    use crate::units::{LogIndex, UnixMillis};

    const ORIGIN: &str = "miax.dev/ecm/c/0";

    fn key() -> NoteSigner {
        NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name")
    }

    fn trust() -> LogTrust {
        LogTrust { origin: ORIGIN.to_owned(), epoch: 0, key: key().verifier() }
    }

    /// A ledger of four blocks as it lies in the store, with its checkpoint, and with what a replica remembers.
    fn material() -> Material {
        let writer = Writer::try_new(ORIGIN, &key(), "w", &[2; 32], UnixMillis(1 << 40)).expect("writer");
        let (mut head, mut blocks) = (Head::genesis(trust()), Vec::new());
        for number in 0..4 {
            let introduction = writer.introduce(UnixMillis(number)).expect("entry");
            let parts = head.propose(&[introduction], &writer, UnixMillis(number), UnixMillis(number)).expect("block");
            blocks.push((block_name(0, head.next_block()), Ok(parts.clone())));
            head.fold(&parts).expect("folds");
        }
        let end = Checkpoint { origin: ORIGIN.to_owned(), size: head.next_index().0, root: head.root() };
        let checkpoint = end.sign(&key()).expect("signs");
        let (origin, key) = (ORIGIN.to_owned(), trust().key.to_string());
        let anchor = Anchor { origin, key, checkpoint, ..Anchor::default() };
        Material { blocks, anchor, remembered: Some(end), keys: head.log_keys().clone(), begin: None }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Material), check: Check, class: FindingClass, part: &str) {
        let mut material = material();
        change(&mut material);
        let (report, _, _) = examine(trust(), material);
        let found = report.findings.first().expect("something is wrong");
        assert_eq!((found.check, found.class), (Some(check), class), "{}", found.message);
        assert!(found.message.contains(part), "{}", found.message);
    }

    #[test]
    fn a_whole_ledger_is_found_whole_and_given_back() {
        let (report, _, blocks) = examine(trust(), material());
        assert!(report.is_whole() && blocks.len() == 4, "{report:?}");
        // Whoever puts a block of another epoch there opens none; but it is seen.
        let mut claimed = material();
        claimed.blocks.push((block_name(1, BlockNumber(4)), Err(ReadError::Unavailable("x".to_owned()))));
        assert!(!examine(trust(), claimed).0.is_whole());
    }

    #[test]
    fn every_way_to_touch_the_ledger_is_named() {
        use FindingClass::{Tampered, Unsupported};
        check(|m| drop(m.blocks.remove(1)), Check::DenseBlocks, Tampered, "the block is missing");
        let swap = |m: &mut Material| {
            let (a, b) = (m.blocks[1].1.clone(), m.blocks[2].1.clone());
            (m.blocks[1].1, m.blocks[2].1) = (b, a);
        };
        check(swap, Check::DenseBlocks, Tampered, "block 2 stands where block 1 should");
        let edit = |m: &mut Material| {
            if let Ok(parts) = &mut m.blocks[2].1 {
                parts.edge[0] ^= 1;
            }
        };
        check(edit, Check::TreeRoot, Tampered, "the edge of the tree was changed");
        check(|m| drop(m.blocks.pop()), Check::LargestKnownSize, Tampered, "vouches for 4 entries, but only 3");
        let unreadable = |m: &mut Material| {
            m.blocks[0].1 = Err(ReadError::NotABlock { name: "x".to_owned(), what: "data.seal is missing" });
        };
        check(unreadable, Check::DenseBlocks, Tampered, "data.seal is missing");
        let stranger = |m: &mut Material| m.anchor.checkpoint = m.anchor.checkpoint.replace("\n4\n", "\n5\n");
        check(stranger, Check::CheckpointSignatures, Tampered, "does not verify");
        let newer = |m: &mut Material| {
            if let Ok(parts) = &mut m.blocks[3].1 {
                parts.header = parts.header.replace("\"v\":1,", "\"v\":2,");
            }
        };
        check(newer, Check::UnknownForms, Unsupported, "use a newer one");
    }

    #[test]
    fn a_ledger_that_was_set_back_with_its_checkpoint_is_known_by_memory() {
        let set_back = |m: &mut Material| {
            m.blocks.truncate(2);
            m.anchor.checkpoint = String::new();
        };
        check(set_back, Check::LargestKnownSize, FindingClass::Tampered, "the memory of this replica vouches for 4");
    }

    #[test]
    fn the_checkpoint_is_opened_with_the_keys_that_vouch_now() {
        let (old, new) = (key(), NoteSigner::try_new(ORIGIN, &[3; 32]).expect("name"));
        let mut keys = LogKeys::new(ORIGIN, old.verifier());
        for (index, change) in [(1, KeyChange::Add(new.verifier())), (2, KeyChange::Retire(old.verifier()))] {
            let text = change.text(ORIGIN);
            let lines: String = [&old, &new].map(|key| key.line(&text).expect("signs")).concat();
            keys.apply(LogIndex(index), &change, &format!("{text}\n{lines}")).expect("taken in");
        }
        let signed_by = |signer: &NoteSigner| {
            let mut material = material();
            let end = material.remembered.clone().expect("an end");
            (material.anchor.checkpoint, material.keys) = (end.sign(signer).expect("signs"), keys.clone());
            examine(trust(), material).0
        };
        assert!(signed_by(&new).is_whole());
        let found = signed_by(&old).findings.first().map(|f| f.check);
        assert_eq!(found, Some(Some(Check::CheckpointSignatures)), "the first key vouches for nothing more");
    }

    #[test]
    fn an_entry_of_another_kind_is_not_skipped() {
        let mut material = material();
        let writer = Writer::try_new(ORIGIN, &key(), "w", &[2; 32], UnixMillis(1 << 40)).expect("writer");
        let mut head = Head::genesis(trust());
        material.blocks.iter().for_each(|(_, parts)| drop(head.fold(parts.as_ref().expect("a block")).expect("folds")));
        let fields = serde_json::Map::new();
        let entry = Entry { kind: "tomorrow".to_owned(), time: UnixMillis(9), writer: "w".to_owned(), fields };
        let entries = [entry.encode().expect("entry")];
        let parts = head.propose(&entries, &writer, UnixMillis(9), UnixMillis(9)).expect("block");
        material.blocks.push((block_name(0, BlockNumber(4)), Ok(parts)));
        let (report, _, _) = examine(trust(), material);
        assert_eq!(
            report.findings.first().map(|f| (f.class, f.entry.map(|e| e.0))),
            Some((FindingClass::Unsupported, Some(4)))
        );
    }

    #[test]
    fn a_pruned_ledger_is_audited_from_its_snapshot_on() {
        let pruned = |edit: fn(&mut Pruned, &mut Result<Vec<u8>, String>)| {
            let mut material = material();
            let (mut head, mut state) = (Head::genesis(trust()), State::default());
            for (_, parts) in material.blocks.drain(..2) {
                replay(&head.fold(&parts.expect("a block")).expect("folds"), &mut state).expect("makes sense");
            }
            let bytes = write_snapshot(&head, &state).expect("written");
            let (block, size) = (head.next_block(), head.next_index().0);
            let mut pruned = Pruned { index: LogIndex(3), block, size, snapshot: sha256(&bytes) };
            let mut bytes = Ok(bytes);
            edit(&mut pruned, &mut bytes);
            material.begin = Some((pruned, bytes));
            examine(trust(), material)
        };
        let (report, first, blocks) = pruned(|_, _| {});
        assert!(report.is_whole() && first == BlockNumber(2) && blocks.len() == 2, "{report:?}");
        let wrong = |edit: fn(&mut Pruned, &mut Result<Vec<u8>, String>)| {
            let (report, _, _) = pruned(edit);
            let about = |f: &Finding| f.object.starts_with("ecm-snapshot-") && f.class == FindingClass::Tampered;
            assert!(report.findings.iter().any(about), "{report:?}");
        };
        wrong(|pruned, _| pruned.snapshot.0[0] ^= 1);
        wrong(|pruned, _| pruned.block = BlockNumber(3));
        wrong(|_, bytes| *bytes = Err("it is missing".to_owned()));
    }
}
