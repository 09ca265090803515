//! Flood folding: what one source repeats beyond a rate is not written one by one, but counted in windows, each with a sample
//! and the RFC 6962 root over the hashes of all that it stands for (ADR 0015).
//!
//! Must not: know what is folded (a source is any key, a sample any value) or what time it is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::units::{Digest, Millis, UnixSeconds, hex, unhex};

use super::tree::CompactRange;

/// How often something may happen: `burst` times at once, and once more after each `refill`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many at once.
    pub burst: u32,
    /// After how long one more.
    pub refill: Millis,
}

/// A token bucket. It is full in the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// When it is full again if nothing more is taken: that one number tells how much is in it.
    full_at: Millis,
}

/// What a [`Folding`] is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What each source may write in full.
    pub each: Rate,
    /// What all sources together may.
    pub all: Rate,
    /// Length of the first window of a flood; each that follows is twice as long as the one before.
    pub first_window: Millis,
    /// Length of the longest window: a crash loses the count of no more than this.
    pub longest_window: Millis,
    /// How many sources are told apart at once. Those beyond share one bucket and one window.
    pub most_sources: usize,
}

/// Decides what is written in full and counts the rest, by source `K`. Its memory is bounded by [`Limits::most_sources`].
#[derive(Clone, Debug)]
pub struct Folding<K, S> {
    limits: Limits,
    all: Bucket,
    sources: BTreeMap<K, Source<S>>,
    /// Sources beyond those that are told apart.
    rest: Source<S>,
}

/// One source.
#[derive(Clone, Debug)]
struct Source<S> {
    bucket: Bucket,
    window: Option<Window<S>>,
    /// Length of its next window.
    length: Millis,
}

/// What was folded since the window was opened. It does not grow with the count.
#[derive(Clone, Debug)]
struct Window<S> {
    closes: Millis,
    range: CompactRange,
    /// The hash of the sample, by which the window is known.
    first: Digest,
    sample: S,
    last: UnixSeconds,
}

/// A window that is closed: what an entry is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flood<K, S> {
    /// Whose; `None` for sources beyond those that are told apart.
    pub source: Option<K>,
    /// How many were folded.
    pub count: u64,
    /// RFC 6962 root over their hashes, in the order in which they came.
    pub root: Digest,
    /// The first of them.
    pub sample: S,
    /// When the last of them came.
    pub last: UnixSeconds,
}

/// Where something was folded to: what its sender is told, so that the count can be checked later. Written
/// `WINDOW/POSITION HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folded {
    /// The first eight bytes of the hash of the window's first.
    pub window: [u8; 8],
    /// Its position in the window; the first is 0.
    pub position: u64,
    /// Its own hash.
    pub hash: Digest,
}

/// Why a text does not say where something was folded to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not WINDOW/POSITION HASH: 16 hex digits, a number, 64 hex digits")]
pub struct FoldedError(String);

impl Bucket {
    /// Takes one, if one is there.
    pub fn take(&mut self, rate: Rate, now: Millis) -> bool {
        let Rate { burst, refill } = rate;
        let next = self.full_at.0.max(now.0).saturating_add(refill.0);
        let fits = next <= now.0.saturating_add(refill.0.saturating_mul(u64::from(burst)));
        if fits {
            self.full_at = Millis(next);
        }
        fits
    }

    /// Whether nothing is missing in it.
    #[must_use]
    pub fn is_full(&self, now: Millis) -> bool {
        self.full_at <= now
    }
}

impl<S> Source<S> {
    fn new(limits: &Limits) -> Self {
        Self { bucket: Bucket::default(), window: None, length: limits.first_window }
    }

    /// Whether it can be forgotten: a new one would be the same.
    fn is_idle(&self, now: Millis) -> bool {
        self.bucket.is_full(now) && self.window.is_none()
    }

    fn close<K>(&mut self, source: Option<K>) -> Option<Flood<K, S>> {
        let Window { closes: _, range, first: _, sample, last } = self.window.take()?;
        Some(Flood { source, count: range.size(), root: range.root(), sample, last })
    }
}

impl<K: Ord + Clone, S> Folding<K, S> {
    /// Nobody has written anything yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, all: Bucket::default(), sources: BTreeMap::new(), rest: Source::new(&limits) }
    }

    /// Whether the next one of this source is written in full. If so, it counts.
    pub fn admits(&mut self, source: &K, now: Millis) -> bool {
        let Limits { each, all, .. } = self.limits;
        self.source(source, now).bucket.take(each, now) && self.all.take(all, now)
    }

    /// Counts one that is not written in full; without a source, together with those that are not told apart. The sample is only
    /// made for the first of a window.
    pub fn fold(
        &mut self,
        source: Option<&K>,
        hash: Digest,
        at: UnixSeconds,
        now: Millis,
        sample: impl FnOnce() -> S,
    ) -> Folded {
        let Limits { longest_window, first_window, .. } = self.limits;
        let source = match source {
            Some(source) => self.source(source, now),
            None => &mut self.rest,
        };
        if source.window.is_none() {
            if source.bucket.is_full(now) {
                source.length = first_window;
            }
            let closes = Millis(now.0.saturating_add(source.length.0));
            source.length = Millis(source.length.0.saturating_mul(2)).min(longest_window);
            let sample = sample();
            source.window = Some(Window { closes, range: CompactRange::default(), first: hash, sample, last: at });
        }
        let mut folded = Folded { window: [0; 8], position: 0, hash };
        if let Some(Window { closes: _, range, first, sample: _, last }) = &mut source.window {
            folded.position = range.size();
            let (window, _) = first.0.as_chunks();
            folded.window = window.first().copied().unwrap_or_default();
            range.append(hash);
            *last = at.max(*last);
        }
        folded
    }

    /// Closes the windows whose time is over.
    pub fn close_due(&mut self, now: Millis) -> Vec<Flood<K, S>> {
        self.close(|window| window.closes <= now)
    }

    /// Closes every window.
    pub fn close_all(&mut self) -> Vec<Flood<K, S>> {
        self.close(|_| true)
    }

    fn close(&mut self, over: impl Fn(&Window<S>) -> bool) -> Vec<Flood<K, S>> {
        let each = self.sources.iter_mut().map(|(key, source)| (Some(key.clone()), source));
        let all = each.chain([(None, &mut self.rest)]);
        let due = all.filter(|(_, source)| source.window.as_ref().is_some_and(&over));
        due.filter_map(|(key, source)| source.close(key)).collect()
    }

    /// How many sources are told apart now.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    fn source(&mut self, key: &K, now: Millis) -> &mut Source<S> {
        if !self.sources.contains_key(key) && self.sources.len() >= self.limits.most_sources {
            self.sources.retain(|_, source| !source.is_idle(now));
            if self.sources.len() >= self.limits.most_sources {
                return &mut self.rest;
            }
        }
        self.sources.entry(key.clone()).or_insert_with(|| Source::new(&self.limits))
    }
}

impl fmt::Display for Folded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { window, position, hash } = self;
        write!(f, "{}/{position} {}", hex(window), hash.hex())
    }
}

impl FromStr for Folded {
    type Err = FoldedError;

    /// Reads `WINDOW/POSITION HASH`.
    ///
    /// # Errors
    /// [`FoldedError`] for anything else.
    fn from_str(text: &str) -> Result<Self, FoldedError> {
        let read = || {
            let (place, hash) = text.split_once(' ')?;
            let (window, position) = place.split_once('/')?;
            let position = position.parse::<u64>().ok().filter(|n| n.to_string() == position)?;
            let hash = Digest(unhex(hash)?.try_into().ok()?);
            Some(Self { window: unhex(window)?.try_into().ok()?, position, hash })
        };
        read().ok_or_else(|| FoldedError(text.chars().take(120).collect()))
    }
}

/// RFC 6962 root over these hashes, in this order.
#[must_use]
pub fn root_of(hashes: impl IntoIterator<Item = Digest>) -> Digest {
    let mut range = CompactRange::default();
    hashes.into_iter().for_each(|hash| range.append(hash));
    range.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::sha256;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits {
        each: Rate { burst: 3, refill: Millis(100) },
        all: Rate { burst: 8, refill: Millis(10) },
        first_window: Millis(10),
        longest_window: Millis(40),
        most_sources: 4,
    };

    fn hash(n: u64) -> Digest {
        sha256(&n.to_be_bytes())
    }

    fn fold(folding: &mut Folding<&'static str, u64>, source: &'static str, n: u64, now: u64) -> Folded {
        folding.fold(Some(&source), hash(n), UnixSeconds::new(i64::try_from(now).expect("small")), Millis(now), || n)
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_after_each_refill() {
        let rate = Rate { burst: 3, refill: Millis(100) };
        let mut bucket = Bucket::default();
        let mut check = |now, expected: bool| assert_eq!(bucket.take(rate, Millis(now)), expected, "at {now}");
        for (now, expected) in [(5, true), (5, true), (5, true), (5, false), (104, false), (105, true), (105, false)] {
            check(now, expected);
        }
        // A clock that goes back gives nothing away.
        check(0, false);
        // After a long time it is full, and not fuller.
        for expected in [true, true, true, false] {
            check(10_000, expected);
        }
        assert!(!bucket.is_full(Millis(10_299)) && bucket.is_full(Millis(10_300)));
        assert!(!Bucket::default().take(Rate { burst: 0, refill: Millis(1) }, Millis(5)));
    }

    #[test]
    fn a_source_is_held_to_its_rate_and_all_together_to_theirs() {
        let mut folding: Folding<&str, u64> = Folding::new(LIMITS);
        let mut full = |source, now| (0..10).filter(|_| folding.admits(&source, Millis(now))).count();
        assert_eq!([full("a", 0), full("b", 0), full("c", 0)], [3, 3, 2], "eight in all");
        assert_eq!([full("a", 100), full("d", 100)], [1, 3]);
    }

    #[test]
    fn a_window_tells_how_many_and_over_what() {
        let mut folding = Folding::new(LIMITS);
        let places: Vec<Folded> = (0..5).map(|n| fold(&mut folding, "a", n, 2 + n)).collect();
        assert_eq!(places.iter().map(|p| p.position).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert!(places.iter().all(|p| hash(0).0.starts_with(&p.window)));
        fold(&mut folding, "b", 9, 6);
        assert_eq!(folding.close_due(Millis(11)), []);
        let closed = folding.close_due(Millis(12));
        let root = root_of((0..5).map(hash));
        let of_a = Flood { source: Some("a"), count: 5, root, sample: 0, last: UnixSeconds::new(6) };
        assert_eq!(closed, [of_a]);
        let rest = folding.close_all();
        assert_eq!(rest.iter().map(|f| (f.source, f.count, f.sample)).collect::<Vec<_>>(), [(Some("b"), 1, 9)]);
        assert_eq!(folding.close_all(), [], "a window is closed once");
    }

    #[test]
    fn windows_of_a_flood_grow_to_the_longest_and_begin_anew_after_rest() {
        let mut folding = Folding::new(LIMITS);
        let mut lengths = Vec::new();
        while folding.admits(&"a", Millis(0)) {}
        let mut open = |start: u64| {
            fold(&mut folding, "a", 1, start);
            let closes = (start..).find(|now| !folding.close_due(Millis(*now)).is_empty()).expect("it closes");
            lengths.push(closes - start);
            closes
        };
        let mut now = 0;
        for _ in 0..4 {
            now = open(now);
        }
        open(now + 300);
        assert_eq!(lengths, [10, 20, 40, 40, 10]);
    }

    #[test]
    fn what_callers_can_make_it_remember_is_bounded() {
        let names: Vec<&'static str> = (0..1000).map(|n| &*format!("s{n}").leak()).collect();
        let mut folding: Folding<&str, u64> = Folding::new(LIMITS);
        for name in &names {
            while folding.admits(name, Millis(1)) {}
            fold(&mut folding, name, 1, 1);
        }
        assert_eq!(folding.sources(), 4);
        let closed = folding.close_all();
        assert_eq!(closed.len(), 5);
        assert_eq!(closed.iter().map(|f| f.count).sum::<u64>(), 1000, "nobody is forgotten");
        assert_eq!(closed.last().map(|f| (f.source, f.count)), Some((None, 996)));
        // Those that have been silent make room.
        assert!(folding.admits(&"new", Millis(10_000)));
        assert_eq!(folding.sources(), 1);
    }

    #[test]
    fn a_place_reads_back_and_nothing_else_does() {
        let place = Folded { window: [1, 2, 3, 4, 5, 6, 7, 255], position: 7, hash: hash(1) };
        let text = place.to_string();
        assert_eq!(text, format!("01020304050607ff/7 {}", hash(1).hex()));
        assert_eq!(text.parse(), Ok(place));
        for wrong in
            ["", "a/b c", &text.replace("/7", "/07"), &text.replace('/', " "), text.split_at(1).1, &format!("{text}0")]
        {
            assert!(wrong.parse::<Folded>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_written_beyond_the_rate_and_nothing_is_lost(
            steps in prop::collection::vec((0_usize..6, 0_u64..50), 1..300)
        ) {
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut folding: Folding<&str, u64> = Folding::new(LIMITS);
            let (mut now, mut full, mut counted) = (0, 0_u64, 0);
            for (n, (source, pause)) in (0..).zip(&steps) {
                now += pause;
                let source = names[*source];
                if folding.admits(&source, Millis(now)) {
                    full += 1;
                } else {
                    fold(&mut folding, source, n, now);
                }
                counted += folding.close_due(Millis(now)).iter().map(|f| f.count).sum::<u64>();
                prop_assert!(full <= 8 + now / 10, "all together");
            }
            counted += folding.close_all().iter().map(|f| f.count).sum::<u64>();
            prop_assert_eq!(full + counted, u64::try_from(steps.len()).expect("small"));
        }
    }
}
