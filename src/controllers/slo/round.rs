//! What Prometheus recorded of all objectives, asked together: a query for each quantity, whatever the number of objectives.

use std::collections::{BTreeMap, BTreeSet};

use crate::controllers::prometheus::{Number, Points, Prometheus, PrometheusError, Series, SeriesError};
use crate::slo::budget::Sample;
use crate::slo::rules::{
    BAD, BAD_WINDOW, Group, INDICATOR_LABEL, POINTS_WINDOW, Recordings, SLO_LABEL, TOTAL, TOTAL_WINDOW, newest_query,
};
use crate::slo::{Resolution, Window};
use crate::units::{Seconds, UnixMillis, UnixSeconds};

/// Names that one query chooses from at most; Prometheus looks so many up without trying its whole index.
const CHUNK: usize = 200;
/// The time that "of late" is.
const RECENT: Seconds = Seconds(3600);

/// An objective to be measured.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its rules.
    pub group: &'a Group,
    /// Over which time.
    pub window: &'a Window,
}

/// What is known of one objective.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The sums of its window; nothing when nothing is recorded.
    pub sample: Result<Option<Sample>, SeriesError>,
    /// Bad events and all events of the last hour, when both are recorded.
    pub recent: Option<(Number, Number)>,
    /// The shares of bad events that are recorded for alerts, by their time; what is not recorded, or no number, is left out.
    pub ratios: BTreeMap<Seconds, Number>,
}

/// The measurements of one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Round {
    /// The moment, by the clock of Prometheus.
    pub at: UnixMillis,
    /// What is known of each objective, in their order.
    pub recorded: Vec<Recorded>,
}

/// The labels that tell the series of one objective, and of what it counts, from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    slo: String,
    indicator: String,
}

type ByKey<T> = BTreeMap<Key, Result<T, SeriesError>>;

impl Key {
    fn of(labels: &BTreeMap<String, String>) -> Self {
        let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
        Self { slo: label(SLO_LABEL), indicator: label(INDICATOR_LABEL) }
    }

    fn named(recordings: &Recordings) -> Self {
        Self::of(&recordings.labels().into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

/// Measures all objectives at one moment.
///
/// # Errors
/// Those of [`Prometheus::clock`] and [`Prometheus::query`]: then nothing is known of any of them.
pub async fn measure(
    prometheus: &Prometheus,
    wanted: &[Wanted<'_>],
    resolution: Resolution,
) -> Result<Round, PrometheusError> {
    let at = prometheus.clock().await?;
    let questions = Questions { prometheus, resolution, at };
    let newest = questions.newest().await?;
    let recent = [questions.sums(BAD, RECENT, None).await?, questions.sums(TOTAL, RECENT, None).await?];
    // One answer for each time: all of them together would be of more bytes than an answer may have.
    let times: BTreeSet<Seconds> = wanted.iter().flat_map(|w| w.group.ratios()).collect();
    let mut ratios: BTreeMap<Key, BTreeMap<Seconds, Number>> = BTreeMap::new();
    for over in times {
        for (key, share) in questions.read(&Recordings::ratio_name(over)).await? {
            if let Ok(share) = share {
                ratios.entry(key).or_default().insert(over, share);
            }
        }
    }
    let mut windows = Sums::default();
    if wanted.iter().any(|w| matches!(w.window, Window::Rolling(_))) {
        windows.add(questions.rolling().await?);
    }
    // All that turn over at the same moment are asked for together.
    let mut pages: BTreeMap<UnixSeconds, Vec<&Recordings>> = BTreeMap::new();
    for Wanted { group, window } in wanted {
        if let Window::Calendar(_) = window {
            pages.entry(window.at(seconds(at)).from).or_default().push(group.recordings());
        }
    }
    for (from, page) in pages {
        for chunk in page.chunks(CHUNK) {
            windows.add(questions.page(from, chunk).await?);
        }
    }
    let recorded = wanted.iter().map(|Wanted { group, window: _ }| {
        let key = Key::named(group.recordings());
        let [bad, total] = recent.each_ref().map(|sums| sums.get(&key).and_then(|sum| sum.clone().ok()));
        let sample = windows.sample(&key, newest.get(&key), &questions);
        Recorded { sample, recent: bad.zip(total), ratios: ratios.remove(&key).unwrap_or_default() }
    });
    Ok(Round { at, recorded: recorded.collect() })
}

/// Sums of windows: bad, all, and how many points they are of.
#[derive(Default)]
struct Sums([ByKey<Number>; 3]);

impl Sums {
    fn add(&mut self, more: [ByKey<Number>; 3]) {
        self.0.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
    }

    fn sample(
        &self,
        key: &Key,
        newest: Option<&UnixMillis>,
        questions: &Questions<'_>,
    ) -> Result<Option<Sample>, SeriesError> {
        let [bad, total, points] = self.0.each_ref().map(|sums| sums.get(key).cloned().transpose());
        let (Some(bad), Some(total), Some(points)) = (bad?, total?, points?) else { return Ok(None) };
        // Sums go on while nothing is recorded any more. How old the newest point is then is not known; it is older than may be.
        let oldest = Seconds(questions.resolution.oldest().0 + 1);
        let newest = newest.map_or_else(|| seconds(questions.at).minus(oldest), |time| seconds(*time));
        Ok(Some(Sample { bad: bad.get(), total: total.get(), points: points.get(), newest }))
    }
}

struct Questions<'a> {
    prometheus: &'a Prometheus,
    resolution: Resolution,
    at: UnixMillis,
}

impl Questions<'_> {
    /// When the newest point of each was recorded.
    async fn newest(&self) -> Result<BTreeMap<Key, UnixMillis>, PrometheusError> {
        let series = self.prometheus.points(&newest_query(self.resolution), self.at).await?;
        let newest = |Points { labels, points }: Points| Some((Key::of(&labels), points.last()?.0));
        Ok(series.into_iter().filter_map(newest).collect())
    }

    /// The sums of rolling windows, as they were last recorded, all three in one evaluation.
    async fn rolling(&self) -> Result<[ByKey<Number>; 3], PrometheusError> {
        let mut all = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        for (of, name) in all.iter_mut().zip([BAD_WINDOW, TOTAL_WINDOW, POINTS_WINDOW]) {
            let range = format!("{name}[{}]", self.resolution.oldest());
            for Points { labels, points } in self.prometheus.points(&range, self.at).await? {
                unambiguous(of, Key::of(&labels), Ok(points));
            }
        }
        Ok(at_one_moment(&all))
    }

    /// The sums of a page of the calendar.
    async fn page(&self, from: UnixSeconds, of: &[&Recordings]) -> Result<[ByKey<Number>; 3], PrometheusError> {
        let over = seconds(self.at).since(from).max(Seconds(1));
        let names: BTreeSet<String> = of.iter().map(|r| pattern(&r.slo().to_string())).collect();
        let names: Vec<String> = names.into_iter().collect();
        let matcher = format!("{{{SLO_LABEL}=~\"{}\"}}", names.join("|"));
        let points = self.read(&format!("count_over_time({BAD}{matcher}[{over}])")).await?;
        Ok([self.sums(BAD, over, Some(&matcher)).await?, self.sums(TOTAL, over, Some(&matcher)).await?, points])
    }

    async fn sums(&self, name: &str, over: Seconds, matcher: Option<&str>) -> Result<ByKey<Number>, PrometheusError> {
        self.read(&format!("sum_over_time({name}{}[{over}])", matcher.unwrap_or_default())).await
    }

    async fn read(&self, expression: &str) -> Result<ByKey<Number>, PrometheusError> {
        let mut all = BTreeMap::new();
        for Series { labels, value } in self.prometheus.query(expression, self.at).await?.series {
            unambiguous(&mut all, Key::of(&labels), value);
        }
        Ok(all)
    }
}

/// Two series of one objective say nothing: nobody knows which of both counts.
fn unambiguous<T>(all: &mut ByKey<T>, key: Key, value: Result<T, SeriesError>) {
    all.entry(key).and_modify(|known| *known = Err(SeriesError::Duplicate)).or_insert(value);
}

type History = Vec<(UnixMillis, Result<Number, SeriesError>)>;

/// The newest values that all three series of an objective have at the same moment: while a group is evaluated, some have a newer
/// one already.
fn at_one_moment(all: &[ByKey<History>; 3]) -> [ByKey<Number>; 3] {
    let [bad, total, points] = all;
    let mut newest = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
    for key in bad.keys() {
        let of = [bad, total, points].map(|series| series.get(key));
        let values = match of {
            [Some(Ok(bad)), Some(Ok(total)), Some(Ok(points))] => {
                let value = |history: &History, when| history.iter().find(|(t, _)| *t == when).map(|(_, v)| v.clone());
                let together = |(when, bad): &(UnixMillis, Result<Number, SeriesError>)| {
                    Some([bad.clone(), value(total, *when)?, value(points, *when)?])
                };
                bad.iter().rev().find_map(together)
            }
            _ => {
                of.into_iter().flatten().find_map(|s| s.clone().err()).map(|e| [Err(e.clone()), Err(e.clone()), Err(e)])
            }
        };
        if let Some(values) = values {
            newest.iter_mut().zip(values).for_each(|(of, value)| {
                of.insert(key.clone(), value);
            });
        }
    }
    newest
}

/// A name of Kubernetes as a pattern that nothing else fits. Points are all that means something in one.
fn pattern(name: &str) -> String {
    name.replace('.', "\\\\.")
}

fn seconds(at: UnixMillis) -> UnixSeconds {
    UnixSeconds::from(at)
}
