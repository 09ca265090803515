//! The tamper run: random changes, each from a seed, of blocks, of proofs and of the objects of an archive. None may be missed, and
//! the first bad place must be named. A few hundred run as a test; `make tamper` runs ten thousand.

use std::collections::BTreeMap;

use miax::ledger::{
    ArchiveName, ArchiveObject, Block, Finding, HashTree, Head, InclusionText, ProofText, SignedCheckpoint, TileCheck,
    TileKind, Tiling, Verifier, leaf_hash, read_blocks, tiles_of,
};
use miax::trust::sha256;
use miax::units::LogIndex;

use crate::log::{Blocks, NEXT, checkpoint, next_key, trust, two_epochs};

/// A source of numbers that a seed gives, for ever the same.
pub(crate) struct Dice {
    seed: u64,
    thrown: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, thrown: 0 }
    }

    /// A number below `sides`.
    fn throw(&mut self, sides: usize) -> usize {
        self.thrown += 1;
        let digest = sha256(format!("{} {}", self.seed, self.thrown).as_bytes());
        let number = u64::from_be_bytes(digest.0.first_chunk().copied().expect("32 bytes"));
        usize::try_from(number % u64::try_from(sides.max(1)).expect("a size")).expect("below it")
    }

    /// Changes bytes in one place.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.throw(bytes.len());
        match self.throw(5) {
            _ if bytes.is_empty() => bytes.push(0),
            0 => drop(bytes.remove(at)),
            1 => bytes.insert(at, u8::try_from(self.throw(256)).expect("a byte")),
            2 => bytes.truncate(at),
            _ => bytes[at] ^= 1 << self.throw(8),
        }
    }

    fn change_text(&mut self, text: &mut String) {
        let mut bytes = std::mem::take(text).into_bytes();
        self.change(&mut bytes);
        *text = String::from_utf8_lossy(&bytes).into_owned();
    }
}

/// What is changed: the same log of two epochs as blocks, as a proof, as an archive.
pub(crate) struct Sample {
    blocks: Blocks,
    head: Head,
    proof: String,
    objects: BTreeMap<String, Vec<u8>>,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let (blocks, head) = two_epochs(&[3, 40, 2, 4], &[204, 20, 9]);
        let (mut objects, mut tiling) = (BTreeMap::new(), Tiling::default());
        for (_, parts) in &blocks {
            objects.extend(tiling.append(parts, &head).expect("the next block").into_iter().map(named));
        }
        objects.extend(tiling.edge().into_iter().map(named));
        let mut tree = HashTree::default();
        let opened = blocks.iter().map(|(_, parts)| Block::open(parts).expect("opens").1);
        opened.flatten().for_each(|leaf| tree.append(leaf));
        let proof = tree.inclusion(PROVEN, tree.size()).expect("a proof");
        let checkpoint = checkpoint(&head).sign(&next_key()).expect("signs");
        let proof = InclusionText { extra: None, proof, checkpoint }.to_string();
        Self { blocks, head, proof, objects }
    }
}

/// The entry that the proof is about.
const PROVEN: LogIndex = LogIndex(70);

fn named(object: ArchiveObject) -> (String, Vec<u8>) {
    let ArchiveObject { name, bytes } = object;
    (name.to_string(), bytes)
}

/// Makes the change of this number and looks whether it is found. `None` when nothing was changed: a flip of a bit that
/// makes no other text, or two equal things that changed places.
///
/// # Errors
/// What was missed, or not named.
pub(crate) fn tamper(sample: &Sample, seed: u64) -> Result<Option<&'static str>, String> {
    let mut dice = Dice::new(seed);
    match dice.throw(4) {
        0 | 1 => tamper_blocks(sample, &mut dice),
        2 => Ok(tamper_proof(sample, &mut dice)?),
        _ => tamper_archive(sample, &mut dice),
    }
}

fn tamper_blocks(sample: &Sample, dice: &mut Dice) -> Result<Option<&'static str>, String> {
    let mut blocks = sample.blocks.clone();
    let (one, other) = (dice.throw(blocks.len()), dice.throw(blocks.len()));
    match dice.throw(10) {
        0 => drop(blocks.remove(one)),
        1 => blocks.insert(other, sample.blocks[one].clone()),
        2 => {
            let parts = blocks[one].1.clone();
            blocks[one].1 = std::mem::replace(&mut blocks[other].1, parts);
        }
        3 => blocks.truncate(one),
        4 => dice.change(&mut blocks[one].1.edge),
        5 => dice.change_text(&mut blocks[one].1.header),
        6 => dice.change_text(&mut blocks[one].1.seal),
        7 => dice.change_text(&mut blocks[one].0),
        _ => dice.change(&mut blocks[one].1.entries),
    }
    if blocks == sample.blocks {
        return Ok(None);
    }
    let touched = blocks.iter().zip(&sample.blocks).take_while(|(a, b)| a == b).count();
    let first = sample.blocks.iter().take(touched).map(|(_, parts)| Block::open(parts).expect("opens").0.header.size);
    let first = first.max().unwrap_or_default();
    let (findings, whole) = verify(&blocks, &sample.head);
    let finding = findings.first().ok_or_else(|| "a change of the blocks was missed".to_owned())?;
    let named = finding.entry.is_some_and(|entry| entry.0 >= first) && whole == touched;
    if named { Ok(Some("blocks")) } else { Err(format!("the first bad entry is at {first} or after it: {finding:?}")) }
}

/// What is wrong, and how many blocks are right before it.
fn verify(blocks: &Blocks, head: &Head) -> (Vec<Finding>, usize) {
    let mut verifier = Verifier::new(trust(), vec![(checkpoint(head), "the checkpoint".to_owned())]);
    blocks.iter().for_each(|(name, parts)| drop(verifier.block(name, parts)));
    let report = verifier.finish();
    (report.findings, usize::try_from(report.blocks).expect("few"))
}

fn tamper_proof(sample: &Sample, dice: &mut Dice) -> Result<Option<&'static str>, String> {
    let mut text = sample.proof.clone();
    dice.change_text(&mut text);
    if text == sample.proof {
        return Ok(None);
    }
    let Ok(ProofText::Inclusion(InclusionText { extra: _, proof, checkpoint })) = text.parse() else {
        return Ok(Some("proofs"));
    };
    let Ok(signed) = SignedCheckpoint::open(&checkpoint, NEXT, &next_key().verifier()) else {
        return Ok(Some("proofs"));
    };
    let leaf = sample.blocks.iter().find_map(|(_, parts)| {
        let block = Block::open(parts).expect("opens").0;
        let at = PROVEN.0.checked_sub(block.header.first.0)?;
        block.entries().nth(usize::try_from(at).expect("small")).map(leaf_hash)
    });
    match proof.verify(&leaf.expect("the entry"), &signed) {
        Ok(()) => Err(format!("a changed proof proves:\n{text}")),
        Err(_) => Ok(Some("proofs")),
    }
}

fn tamper_archive(sample: &Sample, dice: &mut Dice) -> Result<Option<&'static str>, String> {
    let mut objects = sample.objects.clone();
    let names: Vec<String> = objects.keys().cloned().collect();
    let (one, other) = (&names[dice.throw(names.len())], &names[dice.throw(names.len())]);
    match dice.throw(8) {
        0 => drop(objects.remove(one)),
        1 => drop(objects.insert(one.clone(), sample.objects[other].clone())),
        _ => dice.change(objects.get_mut(one).expect("an object")),
    }
    if objects == sample.objects {
        return Ok(None);
    }
    let findings = verify_archive(&objects, &sample.head);
    let finding = findings.first().ok_or_else(|| format!("a change of {one} was missed"))?;
    let Ok(ArchiveName::Tile(tile)) = one.parse() else { return Err(format!("{one} is not a tile")) };
    // What lies after a block that is damaged is not looked at, so that the first bad entry is the block's.
    let covered = tile.first()..tile.end().max(tile.first() + 1);
    if finding.entry.is_some_and(|entry| covered.contains(&entry.0)) {
        Ok(Some("archive"))
    } else {
        Err(format!("a change of {one}, which has the entries {covered:?}, was called {finding:?}"))
    }
}

fn verify_archive(objects: &BTreeMap<String, Vec<u8>>, head: &Head) -> Vec<Finding> {
    let size = head.next_index().0;
    let mut verifier = Verifier::new(trust(), vec![(checkpoint(head), "the checkpoint".to_owned())]);
    let mut right = Vec::new();
    for tile in tiles_of(size).filter(|tile| tile.kind == TileKind::Blocks) {
        let Some(bytes) = objects.get(&tile.to_string()) else { continue };
        for block in read_blocks(bytes) {
            match block {
                Ok((name, parts)) => {
                    if let Some(block) = verifier.block(&name, &parts) {
                        right.push((name, parts, block));
                    }
                }
                Err(error) => verifier.unreadable(&tile.to_string(), error.to_string()),
            }
        }
    }
    let mut findings = verifier.finish().findings;
    let right: Vec<_> = right.iter().map(|(name, parts, block)| (name.as_str(), parts, block)).collect();
    findings.extend(TileCheck::new(&right).objects(objects, size));
    findings
}
