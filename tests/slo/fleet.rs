//! A service in seconds: what really happened, and what Prometheus got to see of it.

use std::collections::BTreeMap;

/// Prometheus scrapes this often.
pub const SCRAPE: u64 = 15;

/// How many requests a second there are at a time, and which share of them is bad, in thousandths.
pub type Traffic = fn(u64) -> (f64, f64);

/// A process that counts, from its first second to its last.
#[derive(Clone)]
pub struct Process {
    pub name: String,
    pub from: u64,
    pub to: u64,
    /// It is restarted under the same name so often.
    pub restarts: Option<u64>,
}

/// When a process cannot be scraped.
pub type Unseen = fn(name: &str, time: u64) -> bool;

/// What happened, second by second, and the samples of every series.
pub struct Course {
    bad: Vec<u64>,
    total: Vec<u64>,
    pub series: Vec<(String, String)>,
}

impl Course {
    /// Events of the seconds from `from` on, before `to`.
    pub fn between(&self, from: u64, to: u64) -> (u64, u64) {
        let sum = |counts: &[u64]| counts.iter().take(to as usize).skip(from as usize).sum();
        (sum(&self.bad), sum(&self.total))
    }
}

/// Runs the processes, which share the traffic, to the end.
pub fn run(processes: &[Process], traffic: Traffic, unseen: Unseen, end: u64) -> Course {
    let mut course = Course { bad: vec![0; end as usize], total: vec![0; end as usize], series: Vec::new() };
    let mut samples: BTreeMap<(String, &'static str), BTreeMap<u64, u64>> = BTreeMap::new();
    for process in processes {
        let Process { name, from, to, restarts } = process;
        let (mut good, mut bad) = (0_u64, 0_u64);
        // What is not yet a whole event is kept for the next second.
        let (mut rest, mut bad_rest) = (0.0, 0.0);
        for time in *from..(*to).min(end) {
            if time % SCRAPE == 0 && !unseen(name, time) {
                samples.entry((name.clone(), "200")).or_default().insert(time, good);
                // As of most clients, the counter of errors appears with the first one.
                if bad > 0 {
                    samples.entry((name.clone(), "500")).or_default().insert(time, bad);
                }
            }
            if restarts.is_some_and(|every| time > *from && (time - from).is_multiple_of(every)) {
                (good, bad) = (0, 0);
            }
            let (rate, thousandths) = traffic(time);
            let share = rate / processes.iter().filter(|p| p.from <= time && time < p.to).count() as f64;
            let (errors, all) = (share * thousandths / 1000.0 + bad_rest, share + rest);
            let (new_bad, new) = (errors.floor(), all.floor().max(errors.floor()));
            (rest, bad_rest) = ((all - new).max(0.0), errors - new_bad);
            bad += new_bad as u64;
            good += (new - new_bad) as u64;
            course.bad[time as usize] += new_bad as u64;
            course.total[time as usize] += new as u64;
        }
    }
    course.series = samples.into_iter().map(|((name, code), seen)| (series(&name, code), values(&seen, end))).collect();
    course
}

fn series(name: &str, code: &str) -> String {
    format!("http_requests_total{{job=\"checkout\",instance=\"{name}\",code=\"{code}\"}}")
}

/// The samples from time 0 on; after its last one a series is stale, as when its target is gone.
fn values(seen: &BTreeMap<u64, u64>, end: u64) -> String {
    let last = seen.keys().next_back().copied().unwrap_or_default();
    let one = |time: u64| match seen.get(&time) {
        Some(value) => value.to_string(),
        None if time == last + SCRAPE => "stale".to_owned(),
        None => "_".to_owned(),
    };
    (0..end).step_by(SCRAPE as usize).map(one).collect::<Vec<_>>().join(" ")
}
