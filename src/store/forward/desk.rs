//! The answering end of a connection: the sequencer takes proposals of other replicas.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::super::handle::{AppendError, Committed, Ledger};
use super::super::sequencer::Clock;
use super::ANSWER_WITHIN;
use super::wire::{Answer, Class, Frame, Submitted, read_frame, read_question, write_frame};
use crate::constitution::{Facts, Reply};
use crate::units::{Digest, LogIndex, Seconds, UnixSeconds};

/// Proposals of all other replicas that are worked on at once; more are declined.
const MOST_AT_ONCE: usize = 1024;
/// How long proposals that were taken may need after the shutdown began.
const DRAIN: Duration = Duration::from_secs(2);

/// How far the clock of another replica may be from ours. What is farther off is appended there, in its own name.
const SKEW: Seconds = Seconds(30);

/// Facts that every replica of the cluster must have in common.
#[derive(Clone)]
pub struct Common {
    /// UID of the cluster's `kube-system` namespace.
    pub cluster_uid: String,
    /// Digest of charter version 1, by this replica's configuration.
    pub genesis: Option<Digest>,
    /// Our clock.
    pub clock: Clock,
}

impl Common {
    /// Whether we could have said the same. Who holds a replica's certificate must not choose the first charter by it.
    fn agrees(&self, facts: &Facts) -> bool {
        let Self { cluster_uid, genesis, clock } = self;
        let Facts { now: theirs, cluster_uid: uid, genesis: first, target: _, budgets: _ } = facts;
        let ours: UnixSeconds = clock().into();
        let near = ours.minus(SKEW) <= *theirs && *theirs <= ours.plus(SKEW);
        (cluster_uid, genesis) == (uid, first) && near
    }
}

/// Where other replicas leave their proposals.
#[derive(Clone)]
pub struct Desk {
    ledger: Ledger,
    common: Common,
    places: Arc<Semaphore>,
}

impl Desk {
    /// A desk in front of the sequencer of this process.
    #[must_use]
    pub fn new(ledger: Ledger, common: Common) -> Self {
        Self { ledger, common, places: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }

    /// Answers on a stream whose other end was authenticated, until it ends, or until `stopping` holds `true` and everything
    /// that was taken is answered.
    ///
    /// # Errors
    /// When the stream breaks or the other end does not keep to the form. Proposals that nobody waits for any more are dropped,
    /// unless they are on their way to the store.
    pub async fn serve<S>(&self, stream: S, mut stopping: watch::Receiver<bool>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (reader, writer) = tokio::io::split(stream);
        let (answers, outbox) = mpsc::channel(MOST_AT_ONCE);
        let reading = async move {
            let mut tasks = JoinSet::new();
            let ended = tokio::select! {
                result = self.take(BufReader::new(reader), answers, &mut tasks) => Some(result),
                _ = stopping.wait_for(|s| *s) => None,
            };
            match ended {
                Some(result) => result,
                None => {
                    let all = async { while tasks.join_next().await.is_some() {} };
                    let _ = tokio::time::timeout(DRAIN, all).await;
                    Ok(())
                }
            }
        };
        let ((), ()) = tokio::try_join!(reading, give(BufWriter::new(writer), outbox))?;
        Ok(())
    }

    fn read(&self, body: &[u8]) -> Option<(Class, Submitted)> {
        read_question(body).ok().filter(|(_, (_, facts, _))| self.common.agrees(facts))
    }

    async fn take<R>(
        &self,
        mut reader: R,
        answers: mpsc::Sender<(u64, Answer)>,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
    {
        while let Some(Frame { number, body }) = read_frame(&mut reader).await? {
            while tasks.try_join_next().is_some() {}
            let answers = answers.clone();
            match self.places.clone().try_acquire_owned() {
                Ok(place) => {
                    let (ledger, question) = (self.ledger.clone(), self.read(&body));
                    tasks.spawn(answer(ledger, number, question, answers, place));
                }
                // Nobody reads answers: then this waits, and so does the other end.
                Err(_) => {
                    let _ = answers.send((number, Answer::Declined)).await;
                }
            }
        }
        Ok(())
    }
}

async fn answer(
    ledger: Ledger,
    number: u64,
    question: Option<(Class, Submitted)>,
    answers: mpsc::Sender<(u64, Answer)>,
    _place: OwnedSemaphorePermit,
) {
    let Some((class, (proposal, facts, commitment))) = question else {
        let _ = answers.send((number, Answer::Declined)).await;
        return;
    };
    // Whoever asked has given up then; a proposal that is dropped before it is judged leaves nothing behind.
    let appended = async {
        match class {
            Class::First => Some(ledger.append_here(proposal, facts, commitment).await),
            Class::Refusal => ledger.append_here_if_idle(proposal, facts, commitment).await,
        }
    };
    let Ok(result) = tokio::time::timeout(ANSWER_WITHIN, appended).await else { return };
    let known = ledger.view().head.next_index().0;
    let answer = match result {
        Some(Ok(committed)) => Answer::Recorded { size: size_of(&committed).unwrap_or(known) },
        Some(Err(AppendError::Refused(what))) => Answer::Refused(what),
        Some(Err(AppendError::Unrecordable(what))) => Answer::Unrecordable(what),
        // Whoever asked finds out in its own name, with its own numbers.
        Some(Err(AppendError::Broken(_) | AppendError::Full { .. } | AppendError::Starting | AppendError::Stopped))
        | None => Answer::Declined,
    };
    let _ = answers.send((number, answer)).await;
}

/// The size of the ledger from which on it answers the proposal, when there is an entry that does.
fn size_of(committed: &Committed) -> Option<u64> {
    let Committed { kept, reply } = committed;
    let entry = match reply {
        Reply::JudgedBefore(before, _) => Some(*before),
        Reply::Judged(_) | Reply::Passed | Reply::Begin(_) | Reply::Done => kept.index(),
    };
    entry.map(|LogIndex(i)| i.saturating_add(1))
}

async fn give<W: AsyncWrite + Unpin>(mut writer: W, mut outbox: mpsc::Receiver<(u64, Answer)>) -> io::Result<()> {
    while let Some(first) = outbox.recv().await {
        let mut next = Some(first);
        while let Some((number, answer)) = next {
            let body = serde_json::to_vec(&answer)?;
            write_frame(&mut writer, &Frame { number, body }).await?;
            next = outbox.try_recv().ok();
        }
        writer.flush().await?;
    }
    writer.shutdown().await
}
