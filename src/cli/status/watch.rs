//! `miax status --watch`: follows the ledger block by block. History is read and verified once; every further block continues
//! the chain, or the watch ends.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use crate::constitution::{Event, State};
use crate::ledger::{Head, block_name};
use crate::store::{BlockStore as _, ConfigMapStore, Recorded, replay};
use crate::units::UnixSeconds;

use super::super::clock::now;
use super::super::output::{Answer, Failure, Format, Tone, failure, one_line, paint, tell};
use super::super::source::{Source, Verified};
use super::facts::facts;
use super::overview::{History, Overview, Soundness};
use super::words::text;

/// How often the next block is asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Cursor to the corner, everything gone: what a terminal does for `clear`.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// What is followed.
struct Followed {
    head: Head,
    state: State,
    history: History,
    soundness: Soundness,
}

/// What was shown last, and how.
struct Screen {
    format: Format,
    terminal: bool,
    facts: Option<BTreeMap<String, String>>,
}

pub(super) fn run(source: &Source) -> Result<Answer, Failure> {
    let (Verified { report, entries, .. }, state, head) = source.replay_to_follow()?;
    let history = History::of(&entries);
    let mut followed = Followed { head, state, history, soundness: Soundness::of(&report) };
    let terminal = std::io::stdout().is_terminal();
    let mut screen = Screen { format: source.output, terminal, facts: None };
    if !screen.show(&followed, &[]) || !report.is_whole() {
        return Ok(if report.is_whole() { Answer::Yes } else { Answer::No });
    }
    source.cluster().with_client(async |client| {
        let store = ConfigMapStore::new(client);
        tokio::select! {
            ended = tokio::signal::ctrl_c() => ended.map(|()| Answer::Yes).map_err(|e| failure(&e)),
            ended = follow(&store, &mut followed, &mut screen) => ended,
        }
    })
}

/// Shows every change until the chain is broken or nobody reads any more.
async fn follow(store: &ConfigMapStore, followed: &mut Followed, screen: &mut Screen) -> Result<Answer, Failure> {
    let mut answers = true;
    loop {
        let epoch = followed.head.trust().epoch;
        let recorded = match store.read(epoch, followed.head.next_block()).await {
            Ok(Some(parts)) => {
                let name = block_name(epoch, followed.head.next_block());
                followed.take(&parts).map_err(|what| {
                    Failure::new(format!("the ledger is broken at {name}: {what}"))
                        .with_next("see what is wrong with: miax ledger head")
                })?
            }
            Ok(None) => Vec::new(),
            Err(error) => {
                if std::mem::replace(&mut answers, false) {
                    tell(&format!("the ledger cannot be read, it is tried again: {error}"));
                }
                tokio::time::sleep(ASK_EVERY).await;
                continue;
            }
        };
        if !std::mem::replace(&mut answers, true) {
            tell("the ledger can be read again");
        }
        // Time alone ends freezes and makes things overdue: also without a block there may be something to show.
        if !screen.show(followed, &recorded) {
            return Ok(Answer::Yes);
        }
        if recorded.is_empty() {
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

impl Followed {
    /// Takes the next block in; it must continue the chain and make sense.
    fn take(&mut self, parts: &crate::ledger::BlockParts) -> Result<Vec<Recorded>, String> {
        let block = self.head.fold(parts).map_err(|e| e.to_string())?;
        let recorded = replay(&block, &mut self.state).map_err(|e| e.to_string())?;
        recorded.iter().for_each(|r| self.history.take(r));
        (self.soundness.entries, self.soundness.blocks) = (self.head.next_index().0, self.head.next_block().0);
        Ok(recorded)
    }
}

impl Screen {
    /// Shows what changed, if anything did. `false` when nobody reads any more.
    fn show(&mut self, followed: &Followed, recorded: &[Recorded]) -> bool {
        let Followed { head: _, state, history, soundness } = followed;
        let overview = Overview::of(state, history, soundness.clone(), now());
        let facts = facts(&overview);
        let ended: Vec<String> = recorded.iter().filter_map(ended).collect();
        if self.facts.as_ref() == Some(&facts) && ended.is_empty() {
            return true;
        }
        let before = self.facts.replace(facts.clone());
        let shown = match (self.format, self.terminal) {
            (Format::Json, _) => format!("{}\n", overview.value()),
            (Format::Yaml, _) => format!("---\n{}", crate::trust::to_yaml(&overview.value())),
            (Format::Text, true) => {
                let ended: Vec<String> = ended.iter().map(|e| paint(e, Tone::Quiet)).collect();
                format!("{CLEAR}{}\n{}\n", text(&overview), ended.join("\n"))
            }
            (Format::Text, false) => lines(before.as_ref(), &facts, &ended, overview.now),
        };
        let mut out = std::io::stdout();
        out.write_all(shown.as_bytes()).and_then(|()| out.flush()).is_ok()
    }
}

/// A line for each fact that is new, other or gone, and for what ended.
fn lines(
    before: Option<&BTreeMap<String, String>>,
    facts: &BTreeMap<String, String>,
    ended: &[String],
    now: UnixSeconds,
) -> String {
    let known = |about: &str| before.and_then(|b| b.get(about));
    let come = facts.iter().filter(|(about, what)| known(about) != Some(what));
    let come = come.map(|(about, what)| format!("{about}: {what}"));
    let gone = before.into_iter().flatten().filter(|(about, _)| !facts.contains_key(*about));
    let gone = gone.map(|(about, _)| format!("no longer {about}"));
    come.chain(gone).chain(ended.iter().cloned()).map(|line| format!("{now} {}\n", one_line(&line))).collect()
}

/// What an entry says about something that is over, and that the status does not show.
fn ended(recorded: &Recorded) -> Option<String> {
    let index = recorded.index;
    match &recorded.event {
        Event::EffectDone(e) => Some(format!("done {}: {} (entry {index})", e.object, e.message)),
        Event::EffectFailed(e) => Some(format!("FAILED {}: {}: {} (entry {index})", e.object, e.reason, e.message)),
        Event::EffectUndone(e) => Some(format!("taken back {} (entry {index})", e.object)),
        Event::Enact(e) => Some(format!("done {}: {} (entry {index})", e.object, e.summary)),
        Event::Lapse(e) => Some(format!("lapsed {} (entry {index})", e.object)),
        Event::Decision(_)
        | Event::Stored(_)
        | Event::Document(_)
        | Event::Adopt(_)
        | Event::EffectBegin(_)
        | Event::Flood(_)
        | Event::SloSet(_)
        | Event::PolicySet(_)
        | Event::Unwitnessed(_)
        | Event::ArchiveSeal(_)
        | Event::Prune(_)
        | Event::KeyAdd(_)
        | Event::KeyRetire(_)
        | Event::KeyRevoke(_) => None,
        Event::SloVerdict(e) => {
            Some(format!("budget {} of {}: {} (entry {index})", e.verdict.as_str(), e.object, e.message))
        }
        Event::EpochOpen(e) => Some(format!("the epoch {} is open (entry {index})", e.epoch)),
        Event::Recover(e) => Some(format!("the ledger is whole again: {} (entry {index})", e.what)),
    }
}
