//! Thousands of objectives against the fake.

use std::time::{Duration, Instant};

use miax::api::v1alpha1::SloStatus;
use miax::slo::Resolution;
use miax::slo::rules::Group;
use miax::units::{Seconds, UnixSeconds};
use miax_cluster::eventually_within;
use tokio::runtime::Runtime;

use crate::fake::Fake;
use crate::operators::operators;
use crate::place::{Place, group, now, objective};
use crate::{Row, seconds};

/// Rounds that are measured.
const ROUNDS: u32 = 5;
/// How long everything may take to be in force and measured.
const PATIENCE: Duration = Duration::from_secs(900);
const MIB: u64 = 1024 * 1024;

pub(crate) fn rows(number: usize, every: Seconds) -> Vec<Row> {
    let runtime = Runtime::new().expect("a runtime");
    let resolution = Resolution::try_new(every).expect("a resolution");
    let of = |n: usize, what: &str| format!("http_{what}_total{{job=\"service-{n}\"}}");
    let objects: Vec<_> = (0..number).map(|n| objective(n, &of(n, "errors"), &of(n, "requests"), "30d")).collect();
    let groups: Vec<Group> = objects.iter().map(|object| group(object, resolution)).collect();
    let fake = Fake::new(&groups, every, || now().0);
    let url = runtime.block_on(fake.serve());
    let mut place = runtime.block_on(Place::prepare());
    place.measure_with(&url, every, &[]);
    let started = Instant::now();
    runtime.block_on(place.accept(objects));
    println!("{number} objectives were signed and accepted in {}", seconds(started.elapsed()));
    // A list of all of them keeps the API server from its work.
    let met = || {
        std::thread::park_timeout(Duration::from_secs(5));
        let met = |status: &&SloStatus| status.verdict.as_deref() == Some("Met");
        (runtime.block_on(place.statuses()).iter().filter(met).count() == number).then_some(())
    };
    let all = eventually_within(PATIENCE, met);
    assert!(all.is_some(), "{:?}\n{}", fake.strange(), place.stage.controller.log());
    println!("all of them were measured {} later", seconds(started.elapsed()));

    let controller = operators("controller", place.stage.plane().directory()).pop().expect("the controller runs");
    let (asked, cpu) = (fake.asked().len(), controller.on_cpu());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(every.0) * ROUNDS {
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let cpu = controller.on_cpu().saturating_sub(cpu) / ROUNDS;
    let answers = fake.asked().split_off(asked);
    let largest = answers.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    let share = cpu.as_secs_f64() / f64::from(u32::try_from(every.0).expect("a short time"));
    let (resident, most) = (controller.resident() / MIB, controller.most_resident() / MIB);

    let oldest = runtime.block_on(place.statuses()).iter().map(age).max().flatten().expect("statuses with a time");
    let believed = Seconds(every.0 * 3 + 10);

    let passes = || place.refusal().is_none().then_some(());
    assert!(eventually_within(PATIENCE, passes).is_some(), "{:?}", place.refusal());
    let spent = Instant::now();
    fake.spend(0);
    let (mut known, mut stopped) = (None, None);
    let told = eventually_within(PATIENCE, || {
        stopped = stopped.or_else(|| place.is_stopped().then(|| spent.elapsed()));
        let is_told = || runtime.block_on(place.verdict_of_first()).as_deref() == Some("Exhausted");
        known = known.or_else(|| is_told().then(|| spent.elapsed()));
        known.zip(stopped)
    });
    let (known, stopped) = told.expect("the verdict changes, and stops changes");
    let limit = Duration::from_secs(every.0 * 2 + 10);
    assert_eq!(fake.strange(), Vec::<String>::new(), "the fake was asked what it does not know");
    assert_eq!(runtime.block_on(place.rules()), number, "objects with rules");
    let log = place.stage.controller.log();
    assert!(!log.contains("cannot be put"), "{log}");
    let within = |what: &str, time: Duration| {
        let what = format!("from what Prometheus says to {what}");
        Row::new(what, seconds(time), format!("<= {} s", limit.as_secs()), time <= limit)
    };
    let questions = format!("{}; {} KiB", answers.len() / ROUNDS as usize, largest / 1024);
    vec![
        Row::new(
            format!("controller at {number} objectives, a round every {every}, share of a core"),
            format!("{share:.3}"),
            "< 0.2",
            share < 0.2,
        ),
        Row::reference("processor time of a round, with all else that happens until the next", seconds(cpu)),
        Row::new("memory of the controller", format!("{resident} MiB"), "< 256 MiB", resident < 256),
        Row::new("the most that it ever was, since it started", format!("{most} MiB"), "< 256 MiB", most < 256),
        Row::new(
            "the oldest measurement in a status",
            oldest.to_string(),
            format!("<= {believed}"),
            oldest <= believed,
        ),
        Row::reference("questions for each round; largest answer", questions),
        within("the refusal at the webhook, by the entry in the ledger", stopped),
        within("the verdict in the status", known),
    ]
}

/// How long ago the measurement was that a status tells of.
fn age(status: &SloStatus) -> Option<Seconds> {
    let at: UnixSeconds = status.evaluated_at.as_ref()?.parse().ok()?;
    Some(UnixSeconds::from(now()).since(at))
}
