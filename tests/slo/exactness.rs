//! What the rules count is what happened, to one percent: by day and by night, with restarts, lost scrapes and new processes.

use miax::slo::Resolution;

use super::fleet::{Process, SCRAPE, Traffic, Unseen, run};
use super::promtool::{Case, check_case};
use super::{group, samples};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const RESOLUTION: u64 = 300;

fn process(name: &str, from: u64, to: u64, restarts: Option<u64>) -> Process {
    Process { name: name.to_owned(), from, to, restarts }
}

fn always(names: &[&str]) -> Vec<Process> {
    names.iter().map(|name| process(name, 0, u64::MAX, None)).collect()
}

fn is_day(time: u64) -> bool {
    (8 * HOUR..20 * HOUR).contains(&(time % DAY))
}

/// A hundred times more by day than by night, a little that is always bad, a burst of seconds, and an outage at each of the two.
fn day_and_night(time: u64) -> (f64, f64) {
    let rate = if is_day(time) { 100.0 } else { 1.0 };
    match time {
        t if (DAY + 2 * HOUR..DAY + 2 * HOUR + 1800).contains(&t) => (rate, 1000.0),
        t if (DAY + 10 * HOUR + 77..DAY + 10 * HOUR + 85).contains(&t) => (rate, 1000.0),
        t if (DAY + 15 * HOUR..DAY + 15 * HOUR + 900).contains(&t) => (rate, 300.0),
        _ => (rate, 1.0),
    }
}

fn seen(_: &str, _: u64) -> bool {
    false
}

/// Compares the sums over the last day with what happened, to `percent`.
#[track_caller]
fn check(processes: &[Process], traffic: Traffic, unseen: Unseen, percent: f64) {
    let (_, mut object) = samples().into_iter().find(|(name, _)| name == "slo-availability.yaml").expect("the sample");
    object["spec"]["window"]["rolling"] = "1d".into();
    let end = 2 * DAY + HOUR;
    let course = run(processes, traffic, unseen, end);
    let resolution = Resolution::DEFAULT;
    let at = end - RESOLUTION;
    // What is counted ends a lag before the evaluation.
    let counted = at - resolution.lag().0;
    let (bad, total) = course.between(counted - DAY, counted);
    assert!(bad > 50 && total > bad, "{bad} of {total}");
    let near = |name: &str, exact: u64| format!("sum(abs({name} / {exact} - 1) <= bool {})", percent / 100.0);
    let one = vec![
        near("miax:slo_bad:window", bad),
        near("miax:slo_total:window", total),
        format!("sum(miax:slo_points:window == bool {})", DAY / RESOLUTION),
    ];
    let case = Case {
        interval: SCRAPE,
        resolution: RESOLUTION,
        series: course.series,
        at,
        one,
        nothing: Vec::new(),
        alerts: Vec::new(),
    };
    check_case(&[group(&object, resolution)], &case);
}

#[test]
fn a_budget_is_exact_by_day_and_by_night() {
    check(&always(&["a", "b", "c"]), day_and_night, seen, 0.001);
}

#[test]
fn a_budget_is_exact_when_counters_are_reset() {
    // What a process counts between its last scrape and its end nobody sees: 7 seconds of half an hour.
    let restarts = [("a", 47 * 60 + 7), ("b", 61 * 60 + 13), ("c", 29 * 60 + 1)];
    let processes = restarts.map(|(name, every)| process(name, 0, u64::MAX, Some(every)));
    check(&processes, day_and_night, seen, 1.0);
}

#[test]
fn a_budget_is_exact_when_scrapes_are_lost() {
    // Three of a hundred scrapes, and one target for ten minutes while it answers with errors.
    let unseen: Unseen = |name, time| {
        let lost = (time / SCRAPE)
            .wrapping_mul(2_654_435_761)
            .wrapping_add(name.len() as u64 * 97 + u64::from(name.as_bytes()[0]))
            >> 7;
        lost % 100 < 3 || (name == "b" && (DAY + 15 * HOUR + 60..DAY + 15 * HOUR + 660).contains(&time))
    };
    check(&always(&["a", "b", "c"]), day_and_night, unseen, 0.001);
}

#[test]
fn a_budget_is_exact_when_processes_come_and_go() {
    let name = |i: u64, letter: char| format!("{letter}{i}");
    let each = |letter: char, length: u64| {
        (0..=2 * DAY / length + 1).map(move |i| process(&name(i, letter), i * length, (i + 1) * length + 40, None))
    };
    let processes: Vec<Process> = each('a', 3 * HOUR + 11).chain(each('b', 5 * HOUR + 7)).collect();
    check(&processes, day_and_night, seen, 1.0);
}

#[test]
fn a_budget_is_exact_when_errors_are_rare() {
    // Two errors in a thousand requests: a counter of errors that is new begins at its first error.
    let rare: Traffic = |time| if is_day(time) { (2.0, 2.0) } else { (0.1, 2.0) };
    let every =
        |letter: char| (0..20).map(move |i| process(&format!("{letter}{i}"), i * 3 * HOUR, (i + 1) * 3 * HOUR, None));
    check(&every('a').collect::<Vec<_>>(), rare, seen, 0.5);
}
