//! The sequencer: the one task of a process that appends to the ledger. It judges what is proposed against State as it
//! grows, packs the entries into the next block, and creates it; another writer's block means: fold it and judge again.
//!
//! The order, and the world after a crash at each step:
//! 1. judge and seal: nothing happened yet; the request fails or is repeated.
//! 2. create block N+1: from here on the decision stands, whether or not we live to answer.
//! 3. fold it into our own State: a restart does the same from what is stored.
//! 4. answer: if this is lost, the block stands, no `stored` follows, and a repeated question finds its UID.

mod begin;
mod clock;
mod observe;
mod room;
mod writers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::constitution::{Event, KeyEvent, Proposal, State};
use crate::ledger::{BlockError, BlockParts, Budget, Checkpoint, Entry, Head, HotSize, Writer, boundary_room};
use crate::units::{BlockNumber, LogIndex, UnixMillis};

use super::block_store::{BlockStore, CreateError};
use super::draft::{Draft, judge_safely};
use super::follow::StoreEvent;
use super::handle::{
    AppendError, Committed, Confirmed, Health, Kept, Ledger, SequencerInput, Stats, Submission, View, connect,
};
use super::replay::encode;
use begin::{Begin, Prints};
use room::class_of;

pub use writers::WriterSource;

/// Reads the wall clock.
pub type Clock = Arc<dyn Fn() -> UnixMillis + Send + Sync>;
/// Gives 32 secret random bytes.
pub type Seed = Arc<dyn Fn() -> [u8; 32] + Send + Sync>;

/// Most bytes of entries before packing that one block is filled with. JSON packs to a quarter or less, so that this stays
/// below the limit of a block; one that does not is halved.
const RAW_LIMIT: usize = 192 * 1024;
/// Bytes that an entry costs a block besides its own: its length and its place in the header.
const PER_ENTRY: usize = 10;
/// For how many of our own blocks we remember that we are not alone.
const RIVAL_MEMORY: u32 = 32;
/// How long the winner of a race waits at most.
const LONGEST_TURN: Duration = Duration::from_millis(100);
/// First pause before the store is asked again; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Appends to one log.
pub struct Sequencer<S> {
    store: S,
    clock: Clock,
    writers: WriterSource,
    writer: Option<Writer>,
    /// The latest time that the writer wrote.
    newest: UnixMillis,
    head: Head,
    state: State,
    /// What is known of the blocks in the store: what a later look at it is compared with.
    prints: Prints,
    /// The first block that we look at.
    first: BlockNumber,
    /// The snapshot that we began with, until the ledger vouches for it.
    begin: Option<Begin>,
    /// What is in the store, and how much may be.
    hot: HotSize,
    budget: Budget,
    health: Health,
    /// Whether the last block that we know may be gone: the watch was interrupted since it was seen.
    end_in_doubt: bool,
    /// Whether an audit that began can still say that the ledger is whole: nothing wrong was seen since.
    undisturbed: bool,
    /// What is broken is not in the store, but here or in what a witness holds: only a restart helps, which asks anew.
    past_help: bool,
    /// How many blocks we appended since another writer did.
    alone_for: u32,
    /// While the store is listed: the blocks known before that were not seen since.
    listing: Option<BTreeSet<BlockNumber>>,
    /// Ends of our own blocks that were not yet seen in the store, oldest first.
    unconfirmed: VecDeque<(BlockNumber, Confirmed)>,
    confirmed: Confirmed,
    /// A checkpoint of an earlier run that the blocks must lead to.
    promised: Option<Checkpoint>,
    view: watch::Sender<Arc<View>>,
    stats: Arc<Stats>,
}

/// What became of a block that we tried to create.
enum Created {
    Ours,
    Theirs(Box<BlockParts>),
    Refused(String),
}

impl<S: BlockStore> Sequencer<S> {
    /// A sequencer for the log that ends at `head` (usually its genesis), with a handle to it. The blocks of the store must
    /// lead to `promised`.
    pub fn new(
        store: S,
        head: Head,
        promised: Option<Checkpoint>,
        writers: WriterSource,
        clock: Clock,
    ) -> (Self, Ledger, SequencerInput) {
        let (state, health, confirmed) = (State::default(), Health::Starting, Confirmed::default());
        let (hot, budget) = (HotSize::default(), Budget::default());
        let view = View { state, head: head.clone(), health, confirmed, hot, budget };
        let (view, ledger, input) = connect(view);
        let sequencer = Self {
            store,
            clock,
            writers,
            writer: None,
            newest: UnixMillis(0),
            head,
            state: State::default(),
            prints: Prints::default(),
            first: BlockNumber(0),
            begin: None,
            hot,
            budget,
            health: Health::Starting,
            end_in_doubt: false,
            undisturbed: false,
            past_help: false,
            alone_for: u32::MAX,
            listing: None,
            unconfirmed: VecDeque::new(),
            confirmed: Confirmed::default(),
            promised: promised.filter(|c| c.size > 0),
            view,
            stats: ledger.stats.clone(),
        };
        (sequencer, ledger, input)
    }

    /// Runs until every handle is gone.
    pub async fn run(mut self, mut input: SequencerInput, mut events: mpsc::Receiver<StoreEvent>) {
        loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => self.observe(event),
                first = input.next() => {
                    let Some(first) = first else { return };
                    let waiting = input.gather(first, boundary_room(self.head.next_index()));
                    self.commit(waiting, &mut events).await;
                }
            }
        }
    }

    async fn commit(&mut self, mut waiting: VecDeque<Submission>, events: &mut mpsc::Receiver<StoreEvent>) {
        while !waiting.is_empty() {
            // The watch often knows the newest block before we would learn of it by losing.
            while let Ok(event) = events.try_recv() {
                self.observe(event);
            }
            if self.end_in_doubt
                && let Err(error) = self.look_at_end().await
            {
                for submission in waiting.drain(..) {
                    let _ = submission.answer.send(Err(error.clone()));
                }
                return;
            }
            let unable = match &self.health {
                Health::Whole => None,
                Health::Starting => Some(AppendError::Starting),
                Health::Broken(what) => Some(AppendError::Broken(what.clone())),
            };
            let able = match unable {
                Some(error) => Err(error),
                None => self.renew_writer().await,
            };
            let result = match able {
                Err(error) => Err(error),
                Ok(now) => match self.draft(&mut waiting, now) {
                    Ok(mut draft) => {
                        let result = self.put(&mut draft).await;
                        // What is not durable yet is judged again, before what came later.
                        for (_, submission, _) in draft.answers.into_iter().rev() {
                            waiting.push_front(submission);
                        }
                        result
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = result {
                for submission in waiting.drain(..) {
                    let _ = submission.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Judges what waits, one after another, each against what the ones before lead to, until a block is full.
    fn draft(&mut self, waiting: &mut VecDeque<Submission>, now: UnixMillis) -> Result<Draft, AppendError> {
        let mut draft = Draft::default();
        let mut state = self.state.clone();
        let mut next = self.head.next_index();
        let room = boundary_room(next);
        let known = self.head.clone();
        let writer = self.writer.as_ref().ok_or(AppendError::Stopped)?;
        let name = writer.name().to_owned();
        if !known.knows(writer) {
            let bytes = writer.introduce(now).map_err(|e| AppendError::Unrecordable(e.to_string()))?;
            let fields = Entry::decode(&bytes).map_err(|e| AppendError::Unrecordable(e.to_string()))?.fields;
            draft.push(Event::KeyAdd(KeyEvent { fields }), bytes, &mut state, &mut next)?;
        }
        let (mut size, mut key_waits) = (0, false);
        while size < RAW_LIMIT
            && draft.bytes.len() < room
            && let Some(submission) = waiting.pop_front()
        {
            // Whoever asked has given up and answered without us; recording it would be a decision that nobody made.
            if submission.answer.is_closed() {
                continue;
            }
            // A change of the log's keys counts only at the beginning of a block.
            if matches!(submission.proposal, Proposal::LogKey(..)) && !draft.bytes.is_empty() {
                waiting.push_front(submission);
                key_waits = true;
                break;
            }
            let outcome = match judge_safely(&submission.proposal, &state, &submission.facts) {
                Ok(outcome) => outcome.with_commitment(submission.commitment, &state),
                Err(error) => {
                    let _ = submission.answer.send(Err(error));
                    continue;
                }
            };
            let kept = if outcome.events.is_empty() { Kept::Nowhere } else { Kept::Entry(next) };
            let before = (draft.bytes.len(), next);
            let encoded: Result<Vec<Vec<u8>>, _> = outcome.events.iter().map(|e| encode(e, now, &name)).collect();
            let pushed = encoded.map_err(|e| AppendError::Unrecordable(e.to_string())).and_then(|entries| {
                let added: usize = entries.iter().map(|e| e.len() + PER_ENTRY).sum();
                self.find_room(size + added, class_of(&outcome.events).max(submission.worth))?;
                size += added;
                outcome.events.into_iter().zip(entries).try_for_each(|(event, bytes)| {
                    if let Event::KeyAdd(_) | Event::KeyRetire(_) | Event::KeyRevoke(_) = event {
                        known.may_begin_with(&bytes).map_err(|e| AppendError::Unrecordable(e.to_string()))?;
                    }
                    draft.push(event, bytes, &mut state, &mut next)
                })
            });
            if let Err(error) = pushed {
                if matches!(error, AppendError::Full { .. }) {
                    self.stats.full.fetch_add(1, Ordering::Relaxed);
                } else {
                    draft.truncate(before.0);
                    next = before.1;
                    // Rare, so that no copy of State is kept for it: a copy makes every change after it copy what it touches.
                    state = self.state_with(&draft)?;
                }
                let _ = submission.answer.send(Err(error));
                continue;
            }
            let committed = Committed { kept, reply: outcome.reply };
            draft.answers.push_back((draft.bytes.len(), submission, committed));
        }
        // Nothing but our own introduction: it can wait for the first real entry.
        if !key_waits && draft.answers.iter().all(|(_, _, c)| c.kept == Kept::Nowhere) {
            draft.truncate(0);
            draft.answers.iter_mut().for_each(|(needed, _, _)| *needed = 0);
        }
        Ok(draft)
    }

    /// State as the draft leads to it.
    fn state_with(&self, draft: &Draft) -> Result<State, AppendError> {
        let mut state = self.state.clone();
        let indices = (self.head.next_index().0..).map(LogIndex);
        let mut applied = indices.zip(&draft.events).map(|(index, event)| state.apply(index, event));
        applied.try_for_each(|a| a).map_err(|e| AppendError::Unrecordable(e.to_string()))?;
        Ok(state)
    }

    /// Makes the draft durable, block by block, and gives the answers. Stops without an error when another writer was
    /// faster; what is left in the draft must be judged again.
    async fn put(&mut self, draft: &mut Draft) -> Result<(), AppendError> {
        let mut durable = 0;
        draft.answer(durable);
        while durable < draft.bytes.len() {
            let rest = draft.bytes.get(durable..).unwrap_or_default();
            let (parts, count) = self.seal(rest)?;
            let asked = Instant::now();
            match self.create(&parts).await {
                Created::Ours => {
                    self.stats.blocks.fetch_add(1, Ordering::Relaxed);
                    self.stats.entries.fetch_add(u64::try_from(count).unwrap_or(0), Ordering::Relaxed);
                    self.adopt_own(&parts, draft.events.get(durable..durable + count).unwrap_or_default())?;
                    durable += count;
                    draft.answer(durable);
                    // Several writers: whoever has just won lets the others go first. Without this one of them can lose every
                    // race for longer than its requests can wait. The other has to lose, read and create meanwhile.
                    self.alone_for = self.alone_for.saturating_add(1);
                    if self.alone_for < RIVAL_MEMORY {
                        tokio::time::sleep((asked.elapsed() * 3).min(LONGEST_TURN)).await;
                    }
                }
                Created::Theirs(other) => {
                    self.stats.conflicts.fetch_add(1, Ordering::Relaxed);
                    self.take_in(&other);
                    return Ok(());
                }
                Created::Refused(what) => {
                    // What is tried next under this number are other bytes. One key never seals two blocks of one number, so
                    // that two such seals are proof of a fork (ADR 0017): the next block brings its own key.
                    self.writer = None;
                    return Err(AppendError::Refused(what));
                }
            }
        }
        Ok(())
    }

    /// Packs as many of `entries` as the next block holds.
    fn seal(&mut self, entries: &[Vec<u8>]) -> Result<(BlockParts, usize), AppendError> {
        // The writer that drafted seals, whatever the clock did in between.
        let now = (self.clock)().max(self.newest);
        let head = self.head.clone();
        let writer = self.writer.as_ref().ok_or(AppendError::Stopped)?;
        let mut count = entries.len().min(boundary_room(head.next_index()));
        loop {
            let some = entries.get(..count).unwrap_or_default();
            match head.propose(some, writer, now, now) {
                Ok(parts) => return Ok((parts, count)),
                Err(BlockError::Limit { .. }) if count > 1 => count /= 2,
                Err(error) => return Err(AppendError::Unrecordable(error.to_string())),
            }
        }
    }

    /// Creates a block. After a lost answer only the same bytes are tried under this number, until a quorum read tells what
    /// is there: a late first attempt then does no harm.
    async fn create(&self, parts: &BlockParts) -> Created {
        let (epoch, number) = (self.head.trust().epoch, self.head.next_block());
        let mut pause = FIRST_PAUSE;
        let mut doubt = false;
        loop {
            match self.store.create(epoch, number, parts).await {
                Ok(()) => return Created::Ours,
                Err(CreateError::Refused(what)) if !doubt => return Created::Refused(what),
                Err(CreateError::Refused(_) | CreateError::Exists) => {}
                Err(CreateError::Unknown(what)) => {
                    doubt = true;
                    self.stats.ambiguous.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(block = number.0, what, "the answer to a ledger append was lost");
                }
            }
            match self.store.read(epoch, number).await {
                Ok(Some(found)) if found == *parts => return Created::Ours,
                Ok(Some(found)) => return Created::Theirs(Box::new(found)),
                Ok(None) => {}
                Err(error) => tracing::warn!(block = number.0, %error, "a ledger block cannot be read"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes in the block that we created. It goes through the same fold as everybody's, so that a mistake of ours shows
    /// here and not at the next restart.
    fn adopt_own(&mut self, parts: &BlockParts, events: &[Event]) -> Result<(), AppendError> {
        let first = self.head.next_index();
        let applied = self.head.fold(parts).map_err(|e| e.to_string()).and_then(|_| {
            let indices = (first.0..).map(LogIndex);
            indices.zip(events).try_for_each(|(index, event)| self.state.apply(index, event)).map_err(|e| e.to_string())
        });
        if let Err(what) = applied {
            self.past_help = true;
            self.break_off(what.clone());
            return Err(AppendError::Broken(what));
        }
        let number = BlockNumber(self.head.next_block().0.saturating_sub(1));
        self.remember(number, parts);
        self.unconfirmed.push_back((number, self.end()));
        self.publish();
        Ok(())
    }
}
