//! Thousands of objectives against the fake.

use std::time::{Duration, Instant};

use miax::slo::Resolution;
use miax::slo::rules::Group;
use miax::units::Seconds;
use miax_cluster::eventually_within;
use tokio::runtime::Runtime;

use crate::fake::Fake;
use crate::operators::operators;
use crate::place::{Place, group, now, objective};
use crate::{Row, seconds};

/// How often the fake is asked. What a round takes does not depend on it; with the usual five minutes the run would take an hour.
const RESOLUTION: Seconds = Seconds(30);
/// Rounds that are measured.
const ROUNDS: u32 = 6;
/// How long everything may take to be in force and measured.
const PATIENCE: Duration = Duration::from_secs(900);
const MIB: u64 = 1024 * 1024;

pub(crate) fn rows(number: usize) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let resolution = Resolution::try_new(RESOLUTION).expect("a resolution");
    let of = |n: usize, what: &str| format!("http_{what}_total{{job=\"service-{n}\"}}");
    let objects: Vec<_> = (0..number).map(|n| objective(n, &of(n, "errors"), &of(n, "requests"), "30d")).collect();
    let groups: Vec<Group> = objects.iter().map(|object| group(object, resolution)).collect();
    let fake = Fake::new(&groups, RESOLUTION, || now().0);
    let url = runtime.block_on(fake.serve());
    let mut place = runtime.block_on(Place::prepare());
    place.measure_with(&url, RESOLUTION, &[]);
    let started = Instant::now();
    runtime.block_on(place.accept(objects));
    println!("{number} objectives were signed and accepted in {}", seconds(started.elapsed()));
    let met = || Some(runtime.block_on(place.with_verdict("Met"))).filter(|met| *met == number);
    let all = eventually_within(PATIENCE, met);
    assert!(all.is_some(), "{:?}\n{}", fake.strange(), place.stage.controller.log());
    println!("all of them were measured {} later", seconds(started.elapsed()));

    let controller = operators("controller", place.stage.plane().directory()).pop().expect("the controller runs");
    let (asked, cpu) = (fake.asked().len(), controller.on_cpu());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(RESOLUTION.0) * ROUNDS {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let cpu = controller.on_cpu().saturating_sub(cpu) / ROUNDS;
    let answers = fake.asked().split_off(asked);
    let largest = answers.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    let usual = cpu.as_secs_f64() / Resolution::DEFAULT.length().0 as f64;
    let (resident, most) = (controller.resident() / MIB, controller.most_resident() / MIB);

    let spent = Instant::now();
    fake.spend(0);
    let known =
        eventually_within(PATIENCE, || Some(runtime.block_on(place.with_verdict("Exhausted"))).filter(|n| *n == 1));
    let known = known.map(|_| spent.elapsed()).expect("the verdict changes");
    let stopped = eventually_within(PATIENCE, || (!place.may_change()).then(|| spent.elapsed())).expect("it stops");
    let limit = Duration::from_secs(RESOLUTION.0 * 2 + 10);
    assert_eq!(fake.strange(), Vec::<String>::new(), "the fake was asked what it does not know");
    vec![
        Row::new(
            format!("controller at {number} objectives, processor time of a round"),
            seconds(cpu),
            "< 60 s",
            usual < 0.2,
        ),
        Row::new("the same as a share of a core, a round in five minutes", format!("{usual:.3}"), "< 0.2", usual < 0.2),
        Row::new("memory of the controller", format!("{resident} MiB"), "< 256 MiB", resident < 256),
        Row::new(
            "the most that it ever was, while all objectives were new",
            format!("{most} MiB"),
            "< 256 MiB",
            most < 256,
        ),
        Row::reference(
            "questions for each round; largest answer",
            format!("{}; {} KiB", answers.len() / ROUNDS as usize, largest / 1024),
        ),
        Row::new(
            "from what Prometheus says to the verdict in the status",
            seconds(known),
            format!("<= {} s", limit.as_secs()),
            known <= limit,
        ),
        Row::new(
            "the same, to the refusal at the webhook",
            seconds(stopped),
            format!("<= {} s", limit.as_secs()),
            stopped <= limit,
        ),
    ]
}
