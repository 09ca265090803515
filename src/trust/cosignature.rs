//! Cosignatures (<https://c2sp.org/tlog-cosignature>, Ed25519): a witness states that, as of a time, a checkpoint is the
//! largest that it has seen of a log, and continues every earlier one. They stand as further lines under the checkpoint.

use ed25519_dalek::{Signer as _, SigningKey as SecretKey, VerifyingKey};

use crate::units::UnixSeconds;

use super::note::{Note, NoteError, check_name, key_hash, read_key, signature_line, write_key};
use super::signer::SigningKey;

/// Signature type of timestamped Ed25519 cosignatures in the note format.
const TYPE_COSIGNATURE: u8 = 0x04;
/// How far the clock of a witness may be ahead of ours.
const CLOCK_TOLERANCE: i64 = 300;

/// A witness's secret key.
pub struct Cosigner {
    name: String,
    key: SecretKey,
}

/// A witness as others know it: a named public key, written `name+hash+key` with the type of cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    hash: [u8; 4],
    key: VerifyingKey,
}

/// That a witness cosigned a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosignature {
    /// Which witness.
    pub witness: String,
    /// When, by its own clock.
    pub time: UnixSeconds,
    /// The signature line.
    pub line: String,
}

/// The witnesses that are believed, and how many of them must have cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

/// Why witnesses and a number are not a quorum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// The number asks for nothing, or for more than there are.
    #[error("a quorum of {needed} out of {witnesses} witnesses makes no sense; it is between 1 and their number")]
    Number {
        /// The number.
        needed: usize,
        /// How many witnesses there are.
        witnesses: usize,
    },
    /// One key or one name counts twice.
    #[error("the witnesses `{0}` and `{1}` share a name or a key; each must be another one")]
    Twice(String, String),
}

impl std::fmt::Debug for Cosigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Cosigner").field(&self.name).finish()
    }
}

/// What is signed: the first line keeps these signatures apart from all others of the same key.
fn message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

impl Cosigner {
    /// A witness from a key; `None` when it is not a raw Ed25519 key.
    ///
    /// # Errors
    /// [`NoteError::Name`].
    pub fn try_new(name: &str, key: &SigningKey) -> Result<Option<Self>, NoteError> {
        check_name(name)?;
        Ok(key.ed25519().map(|key| Self { name: name.to_owned(), key: key.clone() }))
    }

    /// The public part.
    #[must_use]
    pub fn verifier(&self) -> WitnessKey {
        let key = self.key.verifying_key();
        WitnessKey { name: self.name.clone(), hash: key_hash(&self.name, TYPE_COSIGNATURE, &key), key }
    }

    /// The signature line for the text of a checkpoint, as of now.
    ///
    /// # Errors
    /// [`NoteError::Malformed`] when the text does not end in a newline, or the time is before 1970.
    pub fn cosign(&self, text: &str, now: UnixSeconds) -> Result<String, NoteError> {
        let time = u64::try_from(now.get()).map_err(|_| NoteError::Malformed)?;
        if !text.ends_with('\n') {
            return Err(NoteError::Malformed);
        }
        let mut blob = self.verifier().hash.to_vec();
        blob.extend_from_slice(&time.to_be_bytes());
        blob.extend_from_slice(&self.key.sign(message(time, text).as_bytes()).to_bytes());
        Ok(signature_line(&self.name, &blob))
    }
}

impl WitnessKey {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When this witness cosigned the note, if it did: the latest time of its lines.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]; [`NoteError::Wrong`] when a line of this witness does not verify.
    pub fn cosigned(&self, note: &str) -> Result<Option<Cosignature>, NoteError> {
        let note = Note::split(note)?;
        let mut latest: Option<Cosignature> = None;
        for blob in note.of(&self.name, &self.hash) {
            let time = self.verify(note.text, blob).ok_or_else(|| NoteError::Wrong(self.name.clone()))?;
            if latest.as_ref().is_none_or(|known| known.time < time) {
                let line = signature_line(&self.name, blob);
                latest = Some(Cosignature { witness: self.name.clone(), time, line });
            }
        }
        Ok(latest)
    }

    /// Opens a note: gives its text when this witness cosigned it.
    ///
    /// # Errors
    /// [`NoteError::Malformed`], [`NoteError::Unsigned`], [`NoteError::Wrong`].
    pub fn open<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        self.cosigned(note)?.ok_or_else(|| NoteError::Unsigned(self.name.clone()))?;
        Ok(Note::split(note)?.text)
    }

    fn verify(&self, text: &str, blob: &[u8]) -> Option<UnixSeconds> {
        let (time, signature) = blob.get(4..)?.split_first_chunk::<8>()?;
        let time = u64::from_be_bytes(*time);
        let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
        self.key.verify_strict(message(time, text).as_bytes(), &signature).ok()?;
        // The format allows no time beyond this.
        i64::try_from(time).ok().map(UnixSeconds::new)
    }
}

impl std::fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_key(f, &self.name, TYPE_COSIGNATURE, &self.key)
    }
}

impl std::str::FromStr for WitnessKey {
    type Err = NoteError;

    /// Reads `name+hash+key`.
    ///
    /// # Errors
    /// [`NoteError::Key`] for anything else, a key of another type included; [`NoteError::Name`].
    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, hash, key) = read_key(text, TYPE_COSIGNATURE)?;
        Ok(Self { name, hash, key })
    }
}

impl Quorum {
    /// A quorum of `needed` of these witnesses.
    ///
    /// # Errors
    /// Every variant of [`QuorumError`].
    pub fn try_new(witnesses: Vec<WitnessKey>, needed: usize) -> Result<Self, QuorumError> {
        for (i, one) in witnesses.iter().enumerate() {
            // The signed text does not hold the witness's name: one key under two names would count as two.
            if let Some(other) = witnesses.iter().skip(i + 1).find(|w| w.name == one.name || w.key == one.key) {
                return Err(QuorumError::Twice(one.name.clone(), other.name.clone()));
            }
        }
        match needed {
            1.. if needed <= witnesses.len() => Ok(Self { witnesses, needed }),
            _ => Err(QuorumError::Number { needed, witnesses: witnesses.len() }),
        }
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// How many of them must have cosigned.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Who cosigned the note. A time that lies ahead of ours does not count: it says nothing of what was seen by now.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]; [`NoteError::Wrong`] when a line of one of the witnesses does not verify.
    pub fn cosignatures(&self, note: &str, now: UnixSeconds) -> Result<Vec<Cosignature>, NoteError> {
        let latest = now.get().saturating_add(CLOCK_TOLERANCE);
        let found = self.witnesses.iter().map(|w| w.cosigned(note)).collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().flatten().filter(|c| c.time.get() <= latest).collect())
    }

    /// Since when a quorum vouches for the note: the earliest of the latest times that are needed; `None` without a quorum.
    ///
    /// # Errors
    /// Those of [`Quorum::cosignatures`].
    pub fn reached(&self, note: &str, now: UnixSeconds) -> Result<Option<UnixSeconds>, NoteError> {
        let mut times: Vec<UnixSeconds> = self.cosignatures(note, now)?.iter().map(|c| c.time).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        Ok(times.get(self.needed - 1).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::{NoteSigner, open_note};

    /// Key and note of an independent implementation: github.com/transparency-dev/formats/note at v0.1.1.
    const KEY: &str = "witness.example/w1+567cde09+BG56HN0psLeP0Tr0xVmP7/TvKpcWbjym8uT7/M2AUFvx";
    const LOG: &str = "miax.dev/ecm/c/0+beb3eb4d+Af0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";
    const TEXT: &str = "miax.dev/ecm/c/0\n7\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n";
    const LINES: &str = "\u{2014} miax.dev/ecm/c/0 vrPrTTAkYT+xxcOv8LiFj0zhSm25e8mgAYA0V/8O3H4YsBQ5sx5GrtDzRo9KZzvU4OphBuJcEEmY/1hMM7izekrGlAM=\n\u{2014} witness.example/w1 VnzeCQAAAABrBmwPWvMQZbkDl+W+t369HK2AokOkFAZLy3xl7aklcutppSoKWKMA5xXAJqnvkRLGcMRO2dMqBfXBym2vZZFi2Qn9CA==\n";
    const TIME: i64 = 0x6b06_6c0f;

    fn witness(name: &str, seed: u8) -> Cosigner {
        Cosigner::try_new(name, &SigningKey::from_ed25519_seed(&[seed; 32])).expect("name").expect("Ed25519")
    }

    #[test]
    fn a_cosignature_of_another_implementation_verifies() {
        let key: WitnessKey = KEY.parse().expect("key");
        let note = format!("{TEXT}\n{LINES}");
        assert_eq!(open_note(&note, &LOG.parse().expect("key")), Ok(TEXT));
        let found = key.cosigned(&note).expect("verifies").expect("is there");
        assert_eq!((found.witness.as_str(), found.time), ("witness.example/w1", UnixSeconds::new(TIME)));
        assert!(LINES.ends_with(&found.line));
        assert_eq!(key.to_string(), KEY);
    }

    #[test]
    fn the_same_bytes_are_made_as_by_another_implementation() {
        let ours = witness("witness.example/w1", 5);
        assert_eq!(ours.verifier().to_string(), KEY);
        let line = ours.cosign(TEXT, UnixSeconds::new(TIME)).expect("signed");
        assert!(LINES.ends_with(&line), "{line}");
    }

    #[test]
    fn a_cosignature_vouches_for_its_text_its_time_and_its_name_only() {
        let key: WitnessKey = KEY.parse().expect("key");
        let wrong = Err(NoteError::Wrong("witness.example/w1".into()));
        let changed = format!("{}\n{LINES}", TEXT.replace("\n7\n", "\n8\n"));
        assert_eq!(key.cosigned(&changed), wrong);
        // One bit of the time.
        assert_eq!(key.cosigned(&format!("{TEXT}\n{}", LINES.replace("rBmwP", "rBmwO"))), wrong);
        let renamed = format!("{TEXT}\n{}", LINES.replace("witness.example/w1", "witness.example/w2"));
        assert_eq!(key.cosigned(&renamed), Ok(None), "a line of nobody that is known is ignored");
        assert_eq!(key.open(&renamed), Err(NoteError::Unsigned("witness.example/w1".into())));
        assert_eq!(key.open(&format!("{TEXT}\n{LINES}")), Ok(TEXT));
        // The same secret as a log's key has another hash: neither kind passes for the other.
        let log = NoteSigner::try_new("witness.example/w1", &[5; 32]).expect("name");
        assert_eq!(key.cosigned(&log.sign(TEXT).expect("signed")), Ok(None));
        assert_eq!(
            log.verifier().to_string().parse::<WitnessKey>().map_err(|e| matches!(e, NoteError::Key(_))),
            Err(true)
        );
        assert!(KEY.parse::<crate::trust::NoteVerifier>().is_err());
    }

    #[test]
    fn a_quorum_counts_witnesses_and_not_lines() {
        let (a, b, c) = (witness("w/a", 1), witness("w/b", 2), witness("w/c", 3));
        let keys = || vec![a.verifier(), b.verifier(), c.verifier()];
        let quorum = Quorum::try_new(keys(), 2).expect("a quorum");
        let log = NoteSigner::try_new("miax.dev/ecm/c/0", &[9; 32]).expect("name").sign(TEXT).expect("signed");
        let at = |witness: &Cosigner, time| witness.cosign(TEXT, UnixSeconds::new(time)).expect("signed");
        let reached = |lines: &[String]| {
            let note = format!("{log}{}", lines.concat());
            quorum.reached(&note, UnixSeconds::new(1000)).map(|time| time.map(UnixSeconds::get))
        };
        assert_eq!(reached(&[]), Ok(None));
        assert_eq!(reached(&[at(&a, 10), at(&a, 20)]), Ok(None));
        assert_eq!(reached(&[at(&a, 10), at(&witness("w/x", 7), 20)]), Ok(None));
        assert_eq!(reached(&[at(&a, 10), at(&b, 20)]), Ok(Some(10)));
        assert_eq!(reached(&[at(&a, 10), at(&b, 20), at(&c, 30)]), Ok(Some(20)));
        assert_eq!(reached(&[at(&a, 10), at(&b, 1300)]), Ok(Some(10)));
        assert_eq!(reached(&[at(&a, 10), at(&b, 1301)]), Ok(None), "a time ahead of ours does not count");
        let forged = at(&b, 20).replace("w/b", "w/c");
        assert_eq!(reached(&[at(&a, 10), forged]), Ok(None), "another name has another hash");
    }

    #[test]
    fn a_quorum_that_makes_no_sense_is_refused() {
        let keys = |names: &[(&str, u8)]| names.iter().map(|(n, s)| witness(n, *s).verifier()).collect::<Vec<_>>();
        let two = keys(&[("w/a", 1), ("w/b", 2)]);
        assert_eq!(Quorum::try_new(two.clone(), 0), Err(QuorumError::Number { needed: 0, witnesses: 2 }));
        assert_eq!(Quorum::try_new(two, 3), Err(QuorumError::Number { needed: 3, witnesses: 2 }));
        let twice = Err(QuorumError::Twice("w/a".into(), "w/b".into()));
        assert_eq!(Quorum::try_new(keys(&[("w/a", 1), ("w/b", 1)]), 1), twice);
        assert!(Quorum::try_new(keys(&[("w/a", 1), ("w/a", 2)]), 1).is_err());
    }
}
