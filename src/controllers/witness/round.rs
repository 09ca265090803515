//! Rounds of questions to all witnesses at once: who cosigns the newest checkpoint, and who shows one that contradicts it.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::ledger::{
    AddCheckpoint, Checkpoint, Contradiction, CosigningAnswer, HashTree, Lineage, LogKeys, VouchError, contradicts,
    read_answer,
};
use crate::store::{BlockStore, Confirmed};
use crate::telemetry::WitnessResult;
use crate::trust::{Cosignature, WitnessPolicy};
use crate::units::{BlockNumber, UnixSeconds};

use super::endpoint::{CallError, Endpoint};
use super::leaves::{LeafError, Leaves};

/// How long a whole question may take: to ask, to prove from another size, to ask again, to look.
const DEADLINE: Duration = Duration::from_secs(4);
/// First pause after a witness failed; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How often a witness may name another size within one question.
const TRIES: usize = 3;

/// A checkpoint that is to be cosigned.
#[derive(Clone, Copy)]
pub(in super::super) struct Question<'a> {
    pub(in super::super) note: &'a str,
    pub(in super::super) end: Confirmed,
    /// The block after it.
    pub(in super::super) tip: BlockNumber,
    /// The log's keys.
    pub(in super::super) keys: &'a LogKeys,
    pub(in super::super) now: UnixSeconds,
}

/// What a witness does with a question.
#[derive(Debug)]
enum Outcome {
    Cosigned(Vec<Cosignature>),
    /// It does not cosign, and shows the checkpoint that it says it cosigned.
    Shows(String),
    /// The tree does not reach back to what it knows.
    KnowsLess,
    /// It claims to know more, or something else, and shows nothing that is signed.
    Claims(u64),
    Refused(u16),
    Unsigned,
    Failed(CallError),
}

/// One witness, with what is remembered of it.
struct Peer {
    endpoint: Endpoint,
    /// The size that it cosigned last, as far as is known.
    known: Option<u64>,
    /// The size that it cosigned for us, and when it is asked again.
    done: Option<(u64, Instant)>,
    pause: Duration,
    not_before: Instant,
}

/// What a round leads to.
#[derive(Debug, Default)]
pub(in super::super) struct Round {
    /// Whether a line came that was not there before.
    pub(in super::super) news: bool,
    /// A checkpoint that the log's key signed and that contradicts this ledger.
    pub(in super::super) contradiction: Option<(Contradiction, String)>,
    /// What each witness did that was asked, by its number.
    pub(in super::super) results: Vec<(usize, WitnessResult)>,
}

/// All witnesses of a log.
pub(in super::super) struct Witnesses<S> {
    pub(in super::super) policy: WitnessPolicy,
    peers: Vec<Peer>,
    leaves: Leaves<S>,
    /// The lines under the checkpoint of this size, by witness.
    lines: BTreeMap<String, Cosignature>,
    size: u64,
}

impl<S: BlockStore> Witnesses<S> {
    pub(in super::super) fn new(policy: WitnessPolicy, endpoints: Vec<Endpoint>, store: S, lineage: Lineage) -> Self {
        let now = Instant::now();
        let peer = |endpoint| Peer { endpoint, known: None, done: None, pause: FIRST_PAUSE, not_before: now };
        let (peers, leaves) = (endpoints.into_iter().map(peer).collect(), Leaves::new(store, lineage));
        Self { policy, peers, leaves, lines: BTreeMap::new(), size: 0 }
    }

    /// Asks every witness which checkpoint it cosigned last.
    pub(in super::super) async fn hear(&mut self, keys: &LogKeys) -> Heard {
        let endpoints: Vec<Endpoint> = self.peers.iter().map(|peer| peer.endpoint.clone()).collect();
        let heard = hear(&endpoints, keys).await;
        for (peer, size) in self.peers.iter_mut().zip(&heard.sizes) {
            peer.known = size.or(peer.known);
        }
        heard
    }

    /// Whether a checkpoint that a witness showed contradicts what is in the store.
    pub(in super::super) async fn compare(
        &mut self,
        shown: &str,
        question: &Question<'_>,
    ) -> Result<Option<Contradiction>, CompareError> {
        let Question { note: _, end, tip, keys, now: _ } = *question;
        let Checkpoint { origin: _, size, root: _ } = keys.open(shown)?;
        self.leaves.reach(size, end, tip).await?;
        Ok(contradicts(shown, keys, self.leaves.tree()))
    }

    /// How many entries every witness has cosigned for us; 0 while one has cosigned none, or there is none.
    pub(in super::super) fn least(&self) -> u64 {
        self.peers.iter().map(|peer| peer.done.map_or(0, |(size, _)| size)).min().unwrap_or(0)
    }

    /// Asks every witness that has not cosigned this checkpoint, or not for a while.
    pub(in super::super) async fn ask(&mut self, question: &Question<'_>) -> Result<Round, LeafError> {
        if self.peers.is_empty() {
            return Ok(Round::default());
        }
        let size = question.end.size;
        if size != self.size {
            (self.size, self.lines) = (size, BTreeMap::new());
        }
        let furthest = self.peers.iter().filter_map(|p| p.known).min().unwrap_or(size);
        self.leaves.reach(furthest, question.end, question.tip).await?;
        let now = Instant::now();
        let again = self.again();
        let tree = self.leaves.tree();
        let asked = self.peers.iter_mut().enumerate().filter(|(_, peer)| peer.is_due(size, now));
        let answers = join_all(asked.map(async |(number, peer)| (number, peer.question(question, tree).await))).await;
        let mut round = Round::default();
        for (number, outcome) in answers {
            let Some(peer) = self.peers.get_mut(number) else { continue };
            round.results.push((number, result_of(&outcome)));
            if let Outcome::Cosigned(cosignatures) = outcome {
                peer.done = Some((size, now + again));
                (peer.pause, peer.not_before) = (FIRST_PAUSE, now);
                round.news = true;
                self.lines.extend(cosignatures.into_iter().map(|c| (c.witness.clone(), c)));
                continue;
            }
            peer.fail(now, &outcome);
            if let Outcome::Shows(note) = outcome {
                round.contradiction = round.contradiction.or(match self.compare(&note, question).await {
                    Ok(found) => found.map(|contradiction| (contradiction, note)),
                    Err(error) => {
                        tracing::warn!(%error, "what a witness shows says nothing about this log");
                        None
                    }
                });
            }
        }
        let proven = self.peers.iter().map(|p| p.known.unwrap_or(0)).min().unwrap_or(0);
        self.leaves.forget_before(proven);
        Ok(round)
    }

    /// How long a cosignature is new; then it is asked for again, so that the silence of a log at rest is not taken for theirs.
    fn again(&self) -> Duration {
        Duration::from_secs((self.policy.max_age.0 / 3).clamp(1, 60))
    }

    /// The checkpoint with the lines of the witnesses.
    pub(in super::super) fn cosigned(&self, note: &str) -> String {
        self.lines.values().fold(note.to_owned(), |note, c| note + &c.line)
    }

    /// The size that each witness cosigned last, by its number; 0 when that is not known.
    pub(in super::super) fn sizes(&self) -> impl Iterator<Item = u64> {
        self.peers.iter().map(|peer| peer.known.unwrap_or(0))
    }
}

/// What witnesses told about a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// How many keys are behind the answers.
    pub keys: usize,
    /// The largest checkpoint that the log's key signed, and its note.
    pub largest: Option<(Checkpoint, String)>,
    /// The size that each witness cosigned last, where it told.
    sizes: Vec<Option<u64>>,
}

/// Asks every witness which checkpoint of the log it cosigned last. What no key of the log signed is not believed.
pub async fn hear(endpoints: &[Endpoint], keys: &LogKeys) -> Heard {
    let told = join_all(endpoints.iter().map(|endpoint| endpoint.newest(keys.origin()))).await;
    let mut heard = Heard::default();
    for (endpoint, told) in endpoints.iter().zip(told) {
        let place = endpoint.place();
        if told.is_ok() {
            heard.keys += endpoint.keys().len();
        }
        let opened = match told {
            Ok(None) => None,
            Ok(Some(note)) => match keys.open(&note) {
                Ok(checkpoint) => Some((checkpoint, note)),
                Err(error) => {
                    tracing::error!(place, %error, "a witness shows a checkpoint that is not of this log");
                    None
                }
            },
            Err(error) => {
                tracing::warn!(place, %error, "a witness was not heard");
                None
            }
        };
        heard.sizes.push(opened.as_ref().map(|(checkpoint, _)| checkpoint.size));
        let larger = |(known, _): &(Checkpoint, String)| opened.as_ref().is_some_and(|(new, _)| new.size > known.size);
        if heard.largest.as_ref().is_none_or(larger) {
            heard.largest = opened.or(heard.largest);
        }
    }
    heard
}

/// Why a checkpoint cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum CompareError {
    #[error("the checkpoint is not of this log: {0}")]
    Checkpoint(#[from] VouchError),
    #[error(transparent)]
    Leaves(#[from] LeafError),
}

fn result_of(outcome: &Outcome) -> WitnessResult {
    match outcome {
        Outcome::Cosigned(_) => WitnessResult::Cosigned,
        Outcome::Shows(_) | Outcome::KnowsLess | Outcome::Claims(_) => WitnessResult::Conflict,
        Outcome::Refused(_) => WitnessResult::Refused,
        Outcome::Unsigned => WitnessResult::Unsigned,
        Outcome::Failed(_) => WitnessResult::Unreachable,
    }
}

impl Peer {
    fn is_due(&self, size: u64, now: Instant) -> bool {
        now >= self.not_before && self.done.is_none_or(|(done, again)| done != size || now >= again)
    }

    fn fail(&mut self, now: Instant, outcome: &Outcome) {
        // A proof from further back is ready for the next round.
        if matches!(outcome, Outcome::KnowsLess) {
            return;
        }
        let place = self.endpoint.place();
        match outcome {
            Outcome::Claims(size) => {
                // Unsigned, it proves nothing: a witness that lies must not stop a cluster (ADR 0016).
                tracing::error!(
                    place,
                    size,
                    "a witness claims to know another log of ours, and shows nothing that is signed"
                );
            }
            Outcome::Shows(_) => tracing::error!(place, "a witness shows another checkpoint and does not cosign ours"),
            Outcome::Refused(code) => {
                tracing::warn!(place, code, "a witness does not cosign; does it know this log's key?")
            }
            Outcome::Unsigned => tracing::error!(place, "a witness answered without a cosignature of its keys"),
            Outcome::Failed(error) => tracing::warn!(place, %error, "a witness does not answer"),
            Outcome::Cosigned(_) | Outcome::KnowsLess => {}
        }
        self.not_before = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    async fn question(&mut self, question: &Question<'_>, tree: &HashTree) -> Outcome {
        let asked = tokio::time::timeout(DEADLINE, self.put(question, tree)).await;
        asked.unwrap_or(Outcome::Failed(CallError::Late))
    }

    /// Asks; where the witness stands elsewhere, proves from there. It may stand there because an answer of it was lost.
    async fn put(&mut self, question: &Question<'_>, tree: &HashTree) -> Outcome {
        let Question { note, end, tip: _, keys, now } = *question;
        let mut claimed = end.size;
        for _ in 0..TRIES {
            let old = self.known.unwrap_or(0);
            if old > end.size {
                break;
            }
            let Some(proof) = tree.consistency(old, end.size) else { return Outcome::KnowsLess };
            let request = AddCheckpoint { proof, note: note.to_owned() }.to_text();
            let (code, body) = match self.endpoint.add(request).await {
                Ok(answer) => answer,
                Err(error) => return Outcome::Failed(error),
            };
            match read_answer(code, &body, note, self.endpoint.keys(), now) {
                CosigningAnswer::Cosigned(found) => {
                    self.known = Some(end.size);
                    return Outcome::Cosigned(found);
                }
                CosigningAnswer::Knows(size) if size != old && size <= end.size => self.known = Some(size),
                CosigningAnswer::Knows(size) => {
                    claimed = size;
                    break;
                }
                CosigningAnswer::Inconsistent => break,
                CosigningAnswer::Refused(code) => return Outcome::Refused(code),
                CosigningAnswer::Unsigned => return Outcome::Unsigned,
            }
        }
        match self.endpoint.newest(keys.origin()).await {
            Ok(Some(note)) => Outcome::Shows(note),
            Ok(None) | Err(_) => Outcome::Claims(claimed),
        }
    }
}
