//! What a log makes of the answers of witnesses (<https://c2sp.org/tlog-witness>). A witness may lie: nothing that it says counts
//! unless it is signed, by its own key for a cosignature, by the log's for a contradiction (ADR 0016).

use crate::trust::{Cosignature, WitnessKey};
use crate::units::UnixSeconds;

use super::checkpoint::{Checkpoint, SignedCheckpoint};
use super::log_keys::LogKeys;
use super::proof::HashTree;

/// What begins a signature line.
const LINE: &str = "\u{2014} ";
/// How far the clock of a witness may be ahead of ours, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

/// What an answer to a request to cosign means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CosigningAnswer {
    /// It cosigned; each line was verified.
    Cosigned(Vec<Cosignature>),
    /// It says that it knows this size, and not the one that the proof began at. Nobody signed that.
    Knows(u64),
    /// It says that the proof proves nothing.
    Inconsistent,
    /// It does not answer the question: the status code.
    Refused(u16),
    /// It said yes, but no key of it signed this checkpoint.
    Unsigned,
}

/// Two checkpoints that the log's key signed and that cannot both be of one history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Contradiction {
    /// One is over more entries than there are.
    #[error(
        "the log's key signed a checkpoint over {size} entries, but only {here} are here: the ledger was rolled back"
    )]
    Beyond {
        /// Size of the checkpoint.
        size: u64,
        /// Size of the log.
        here: u64,
    },
    /// One is over other entries.
    #[error(
        "the log's key signed a checkpoint over {size} entries that are not the ones here: there are two histories"
    )]
    Forked {
        /// Size of the checkpoint.
        size: u64,
    },
}

/// Reads the answer to the question whether a witness with these keys cosigns the checkpoint `note`.
#[must_use]
pub fn read_answer(code: u16, body: &str, note: &str, keys: &[WitnessKey], now: UnixSeconds) -> CosigningAnswer {
    match code {
        200 => {
            let found = cosignatures(body, note, keys, now);
            if found.is_empty() { CosigningAnswer::Unsigned } else { CosigningAnswer::Cosigned(found) }
        }
        409 => {
            let digits = body.strip_suffix('\n').unwrap_or(body);
            let size = digits.parse::<u64>().ok().filter(|n| n.to_string() == digits);
            size.map_or(CosigningAnswer::Refused(code), CosigningAnswer::Knows)
        }
        422 => CosigningAnswer::Inconsistent,
        other => CosigningAnswer::Refused(other),
    }
}

fn cosignatures(body: &str, note: &str, keys: &[WitnessKey], now: UnixSeconds) -> Vec<Cosignature> {
    // Lines and nothing else: with an empty line among them the text above would be another one than ours.
    if !body.ends_with('\n') || !body.lines().all(|line| line.starts_with(LINE)) {
        return Vec::new();
    }
    let whole = format!("{note}{body}");
    let latest = now.get().saturating_add(CLOCK_TOLERANCE);
    let found = keys.iter().filter_map(|key| key.cosigned(&whole).ok().flatten());
    found.filter(|cosignature| cosignature.time.get() <= latest).collect()
}

/// Whether a checkpoint that somebody shows contradicts this log. `None` when the log's key did not sign it, or when it is of
/// this history, as far as the tree reaches back.
#[must_use]
pub fn contradicts(note: &str, keys: &LogKeys, tree: &HashTree) -> Option<Contradiction> {
    let signed = SignedCheckpoint::open_with(note, keys).ok()?;
    let Checkpoint { origin: _, size, root } = signed.checkpoint();
    match tree.root(*size) {
        Some(here) if here == *root => None,
        Some(_) => Some(Contradiction::Forked { size: *size }),
        None if *size > tree.size() => Some(Contradiction::Beyond { size: *size, here: tree.size() }),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::leaf_hash;
    use crate::trust::{Cosigner, NoteSigner, SigningKey};

    const LOG: &str = "miax.dev/ecm/c/0";

    fn now() -> UnixSeconds {
        UnixSeconds::new(1000)
    }

    fn log(seed: u8) -> NoteSigner {
        NoteSigner::try_new(LOG, &[seed; 32]).expect("name")
    }

    fn tree(salt: &str, size: u32) -> HashTree {
        let mut tree = HashTree::default();
        (0..size).for_each(|n| tree.append(leaf_hash(format!("{salt}{n}").as_bytes())));
        tree
    }

    fn note(tree: &HashTree, size: u64, key: &NoteSigner) -> String {
        Checkpoint { origin: LOG.into(), size, root: tree.root(size).expect("root") }.sign(key).expect("signed")
    }

    fn witness(seed: u8) -> Cosigner {
        let key = SigningKey::from_ed25519_seed(&[seed; 32]);
        Cosigner::try_new(&format!("w/{seed}"), &key).expect("name").expect("Ed25519")
    }

    fn text(note: &str) -> &str {
        note.split_at(note.find("\n\n").expect("a note") + 1).0
    }

    #[test]
    fn only_what_its_keys_signed_is_a_cosignature() {
        let ours = note(&tree("a", 20), 12, &log(1));
        let line = |who: &Cosigner, of: &str, at| who.cosign(text(of), UnixSeconds::new(at)).expect("signed");
        let keys = [witness(1).verifier(), witness(2).verifier()];
        let count = |body: &str| match read_answer(200, body, &ours, &keys, now()) {
            CosigningAnswer::Cosigned(found) => found.len(),
            CosigningAnswer::Unsigned => 0,
            other => panic!("{other:?}"),
        };
        let good = line(&witness(1), &ours, 900);
        assert_eq!(count(&good), 1);
        assert_eq!(count(&format!("{good}{}", line(&witness(2), &ours, 900))), 2);
        assert_eq!(count(&format!("{}{good}", line(&witness(3), &ours, 900))), 1, "lines of strangers mean nothing");
        assert_eq!(count(&line(&witness(3), &ours, 900)), 0);
        assert_eq!(count(&line(&witness(1), &note(&tree("a", 20), 13, &log(1)), 900)), 0, "of another size");
        assert_eq!(count(&line(&witness(1), &note(&tree("b", 20), 12, &log(1)), 900)), 0, "of another root");
        assert_eq!(count(&line(&witness(1), &ours, 1301)), 0, "of a time to come");
        assert_eq!(count(""), 0);
        assert_eq!(count(good.trim_end()), 0);
        // A text of its own, properly cosigned, hung below ours.
        let own = format!("{}more\n", ours);
        let hidden = format!("more\n\n{}", witness(1).cosign(&own, now()).expect("signed"));
        assert!(witness(1).verifier().cosigned(&format!("{ours}{hidden}")).expect("verifies").is_some());
        assert_eq!(count(&hidden), 0);
    }

    #[test]
    fn every_other_answer_is_taken_for_what_it_says() {
        let read = |code, body: &str| read_answer(code, body, "", &[], now());
        assert_eq!(read(409, "7\n"), CosigningAnswer::Knows(7));
        assert_eq!(read(409, "7"), CosigningAnswer::Knows(7));
        for wrong in ["07\n", "-1\n", "x", "", "18446744073709551616\n"] {
            assert_eq!(read(409, wrong), CosigningAnswer::Refused(409), "{wrong}");
        }
        assert_eq!(read(422, "x"), CosigningAnswer::Inconsistent);
        for code in [301, 400, 403, 404, 500, 503] {
            assert_eq!(read(code, ""), CosigningAnswer::Refused(code));
        }
    }

    #[test]
    fn only_the_logs_own_signature_contradicts_it() {
        let (here, other) = (tree("a", 12), tree("b", 20));
        let longer = tree("a", 20);
        let keys = LogKeys::new(LOG, log(1).verifier());
        let check = |note: &str| contradicts(note, &keys, &here);
        assert_eq!(check(&note(&longer, 12, &log(1))), None);
        assert_eq!(check(&note(&longer, 3, &log(1))), None);
        assert_eq!(check(&note(&longer, 20, &log(1))), Some(Contradiction::Beyond { size: 20, here: 12 }));
        assert_eq!(check(&note(&other, 5, &log(1))), Some(Contradiction::Forked { size: 5 }));
        assert_eq!(check(&note(&longer, 20, &log(2))), None, "a witness can make any number of logs up");
        assert_eq!(check("miax.dev/ecm/c/0\n20\nx\n"), None);
        let mut forgetful = here.clone();
        forgetful.forget_before(8);
        assert_eq!(contradicts(&note(&other, 5, &log(1)), &keys, &forgetful), None);
    }
}
