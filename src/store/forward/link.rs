//! The asking end of a connection: many questions at once on one stream.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::sync::{Notify, mpsc, oneshot};

use super::wire::{Answer, Frame, read_frame, write_frame};

/// Questions that wait to be sent, and questions that wait for their answer; more are appended where they came in.
const MOST_WAITING: usize = 1024;
/// So many late answers in a row end a connection: the sequencer hangs, and every question would only lose time there.
const PATIENCE: u32 = 4;

/// Why a question got no answer. It may be recorded all the same, now or a moment later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// The connection is gone.
    Lost,
    /// No answer came in time.
    Late,
    /// Too many questions wait.
    Full,
}

struct Sent {
    body: Vec<u8>,
    answer: oneshot::Sender<Answer>,
}

/// A connection to the sequencer.
#[derive(Clone)]
pub struct Link {
    questions: mpsc::Sender<Sent>,
    late: Arc<AtomicU32>,
    hang_up: Arc<Notify>,
}

impl Link {
    /// A link over a stream whose other end was authenticated, and the conversation: a future that must run, and that ends with
    /// the connection or when nobody holds the link any more.
    pub fn over<S>(stream: S) -> (Self, impl Future<Output = io::Result<()>> + Send)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let (questions, inbox) = mpsc::channel(MOST_WAITING);
        let (late, hang_up) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let link = Self { questions, late, hang_up: hang_up.clone() };
        (link, converse(stream, inbox, hang_up))
    }

    /// Whether the connection is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.questions.is_closed()
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&self, body: Vec<u8>, within: Duration) -> Result<Answer, Miss> {
        let (answer, receiver) = oneshot::channel();
        self.questions.try_send(Sent { body, answer }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Miss::Full,
            mpsc::error::TrySendError::Closed(_) => Miss::Lost,
        })?;
        match tokio::time::timeout(within, receiver).await {
            Ok(Ok(answer)) => {
                self.late.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(_)) => Err(Miss::Lost),
            Err(_) => {
                if self.late.fetch_add(1, Ordering::Relaxed) + 1 >= PATIENCE {
                    self.hang_up.notify_one();
                }
                Err(Miss::Late)
            }
        }
    }
}

/// Who waits for an answer, by the number of the question.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, oneshot::Sender<Answer>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Answer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there was room. Those who have given up make room.
    fn add(&self, number: u64, answer: oneshot::Sender<Answer>) -> bool {
        let mut all = self.lock();
        if all.len() >= MOST_WAITING {
            all.retain(|_, waiting| !waiting.is_closed());
        }
        let room = all.len() < MOST_WAITING;
        if room {
            all.insert(number, answer);
        }
        room
    }
}

async fn converse<S>(stream: S, inbox: mpsc::Receiver<Sent>, hang_up: Arc<Notify>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let (reader, writer) = tokio::io::split(stream);
    let waiting = Waiting::default();
    // Whichever ends first ends the connection; whoever still waits learns that the answer is lost.
    tokio::select! {
        result = send(BufWriter::new(writer), inbox, &waiting) => result,
        result = receive(BufReader::new(reader), &waiting) => result,
        () = hang_up.notified() => Err(io::Error::new(io::ErrorKind::TimedOut, "the sequencer answers too late")),
    }
}

async fn send<W>(mut writer: W, mut inbox: mpsc::Receiver<Sent>, waiting: &Waiting) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
{
    let mut number = 0;
    while let Some(first) = inbox.recv().await {
        let mut next = Some(first);
        while let Some(Sent { body, answer }) = next {
            number += 1;
            // Who has given up meanwhile has appended the proposal already, or has answered without it.
            if !answer.is_closed() && waiting.add(number, answer) {
                write_frame(&mut writer, &Frame { number, body }).await?;
            }
            next = inbox.try_recv().ok();
        }
        writer.flush().await?;
    }
    writer.shutdown().await
}

async fn receive<R: AsyncRead + Unpin>(mut reader: R, waiting: &Waiting) -> io::Result<()> {
    while let Some(Frame { number, body }) = read_frame(&mut reader).await? {
        let answer: Answer = serde_json::from_slice(&body)?;
        if let Some(asker) = waiting.lock().remove(&number) {
            let _ = asker.send(answer);
        }
    }
    Ok(())
}
