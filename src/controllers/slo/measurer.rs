//! The rounds of measurements: which objectives hold, their rules where Prometheus reads them, what Prometheus says, the verdict on
//! each budget. A verdict that changes is an entry before anybody is told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::api::GovernedKind;
use crate::api::v1alpha1::HealthyTemplate;
use crate::constitution::{
    BudgetVerdict, Measured, ObjectRef, Objective, Proposal, SloDocument, SloVerdictEvent, State, TargetFact,
};
use crate::slo::budget::{self, Latch, Reading, Standing, Terms, Unmeasured, step};
use crate::slo::rules::{Group, render};
use crate::slo::{Resolution, SloName};
use crate::units::UnixSeconds;

use super::super::prometheus::Prometheus;
use super::super::stored::Stored;
use super::super::{Context, Error, resource};
use super::healthy::{Healthy, bound};
use super::loaded::{Known, RulesState, loaded};
use super::publish::{Publisher, RulesPlace};
use super::round::{Round, Wanted, measure};
use super::table::Measurement;
use super::templates::Templates;
use super::told::{Answer, Told};

/// Objectives of one answer of the API server.
const PAGE: u32 = 100;
/// Verdicts that are recorded together: the ledger puts them into one block.
const AT_ONCE: usize = 256;
/// The first round begins soon after the start, whatever the resolution is.
const FIRST: Duration = Duration::from_secs(1);

/// What measures objectives.
pub struct Measurer {
    /// The controllers' context.
    pub context: Arc<Context>,
    /// What is asked.
    pub prometheus: Prometheus,
    /// How often it is asked, and events are counted.
    pub resolution: Resolution,
    /// Where the rules are put.
    pub place: RulesPlace,
}

/// An objective that is measured.
struct Subject {
    object: ObjectRef,
    name: SloName,
    document: SloDocument,
    held: Objective,
    group: Group,
}

/// What was measured of an objective, and the verdict on it.
struct Judged<'a> {
    subject: &'a Subject,
    answer: &'a Answer,
    reading: Result<Reading, Unmeasured>,
    standing: Standing,
}

/// What a round needs of those before it.
struct Rounds {
    measurer: Measurer,
    templates: Templates,
    publisher: Publisher,
    healthy: Healthy,
    standings: HashMap<ObjectRef, Standing>,
    known: Known,
}

/// Measures for ever.
pub async fn keep_measuring(measurer: Measurer) {
    let period = Duration::from_secs(measurer.resolution.length().0);
    let mut rounds = Rounds {
        templates: Templates::start(&measurer.context.client),
        publisher: Publisher::new(measurer.context.client.clone(), measurer.place.clone()),
        measurer,
        healthy: Healthy::default(),
        standings: HashMap::new(),
        known: Known::default(),
    };
    let mut ticks = interval_at(Instant::now() + FIRST.min(period), period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        // What was measured last grows old, and counts as unknown then.
        if let Err(error) = rounds.run().await {
            tracing::warn!(%error, "objectives cannot be listed");
        }
    }
}

impl Rounds {
    async fn run(&mut self) -> Result<(), Error> {
        let Measurer { context, prometheus, resolution, place: _ } = &self.measurer;
        let subjects = subjects(context, *resolution, &mut self.healthy).await?;
        let groups: BTreeMap<&SloName, &Group> = subjects.iter().map(|s| (&s.name, &s.group)).collect();
        if let Err(error) = self.publisher.publish(&groups).await {
            tracing::warn!(%error, "the rules of objectives cannot be put where Prometheus reads them");
        }
        let answers = ask(prometheus, &subjects, *resolution, &mut self.known).await;
        let now: UnixSeconds = (context.clock)().into();
        let judged: Vec<Judged<'_>> = subjects.iter().zip(&answers).map(|(s, a)| self.judge(s, a, now)).collect();
        let mut round = HashMap::new();
        for some in judged.chunks(AT_ONCE) {
            let recorded = join_all(some.iter().map(|judged| record(&self.measurer.context, judged))).await;
            for (judged, recorded) in some.iter().zip(recorded) {
                let object = &judged.subject.object;
                match recorded {
                    Ok(()) => {
                        round.insert(object.clone(), Arc::new(self.tell(judged, now)));
                    }
                    // Nobody is told of what is not recorded; the next round tries again.
                    Err(error) => tracing::warn!(slo = %object, %error, "the verdict on a budget cannot be recorded"),
                }
            }
        }
        self.standings.retain(|object, _| round.contains_key(object));
        let measured: HashSet<&ObjectRef> = subjects.iter().map(|s| &s.object).collect();
        self.healthy.keep(|object| measured.contains(object));
        self.measurer.context.measurements.replace(round);
        Ok(())
    }

    /// The verdict on one budget.
    fn judge<'a>(&self, subject: &'a Subject, answer: &'a Answer, now: UnixSeconds) -> Judged<'a> {
        let reading = read(subject, answer, self.measurer.resolution, now);
        let before = self.standings.get(&subject.object).copied().or_else(|| resumed(subject.held.verdict));
        let budget = reading.as_ref().map(|r| r.budget);
        let standing = step(before.as_ref(), budget, subject.document.slo.hysteresis(), now);
        Judged { subject, answer, reading, standing }
    }

    /// What there is to tell of a verdict that is recorded.
    fn tell(&mut self, judged: &Judged<'_>, now: UnixSeconds) -> Measurement {
        let Judged { subject, answer: _, reading: _, standing } = judged;
        self.standings.insert(subject.object.clone(), *standing);
        note_templates(&mut self.healthy, &self.templates, subject, standing.verdict, now);
        let proven = self.healthy.proven(&subject.object, subject.held.window, now);
        judged.told().measurement(self.measurer.resolution, standing.latch, proven, now)
    }
}

impl Judged<'_> {
    fn told(&self) -> Told<'_> {
        let Self { subject, answer, reading, standing: _ } = self;
        Told { document: &subject.document, group: &subject.group, reading, answer }
    }
}

/// What Prometheus says about each objective, in their order.
async fn ask(prometheus: &Prometheus, subjects: &[Subject], resolution: Resolution, known: &mut Known) -> Vec<Answer> {
    let wanted: Vec<Wanted<'_>> =
        subjects.iter().map(|s| Wanted { group: &s.group, window: &s.document.slo.window }).collect();
    let Round { at, recorded } = match measure(prometheus, &wanted, resolution).await {
        Ok(round) => round,
        Err(error) => {
            tracing::warn!(%error, "Prometheus cannot be asked");
            let why = error.to_string();
            return subjects.iter().map(|_| Answer::unreachable(&why)).collect();
        }
    };
    let groups: Vec<&Group> = subjects.iter().map(|s| &s.group).collect();
    let rules = loaded(prometheus, &groups, resolution, at, known).await;
    recorded.into_iter().zip(rules).map(|(recorded, rules)| Answer { recorded: Ok(recorded), rules }).collect()
}

/// The objectives that hold and are stored: what is not stored cannot be measured, what does not hold must not be.
async fn subjects(context: &Context, resolution: Resolution, healthy: &mut Healthy) -> Result<Vec<Subject>, Error> {
    let api = Api::<Stored>::all_with(context.client.clone(), &resource(GovernedKind::Slo));
    let mut subjects = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list(&page).await?;
        let view = context.ledger.view();
        for stored in &list.items {
            let object = stored.object()?;
            let Some(subject) = subject(&object, &view.state, resolution)? else { continue };
            if !healthy.knows(&subject.object) {
                let before = object.data.pointer("/status/healthy").cloned().unwrap_or_default();
                let before: Vec<HealthyTemplate> = serde_json::from_value(before).unwrap_or_default();
                healthy.resume(&subject.object, &before);
            }
            subjects.push(subject);
        }
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(subjects),
        }
    }
}

fn subject(object: &DynamicObject, state: &State, resolution: Resolution) -> Result<Option<Subject>, Error> {
    let value = serde_json::to_value(object)?;
    let Ok(document) = SloDocument::read(&value) else { return Ok(None) };
    let object = document.document.object.clone();
    let Ok(name) = SloName::try_new(&object.namespace, &object.name) else { return Ok(None) };
    let held = super::held(state, &document).filter(|held| !held.retired).cloned();
    let group = render(&name, &document.slo, resolution);
    Ok(held.zip(group).map(|(held, group)| Subject { object, name, document, held, group }))
}

/// The budget that an answer says, or why nobody can tell.
fn read(subject: &Subject, answer: &Answer, resolution: Resolution, now: UnixSeconds) -> Result<Reading, Unmeasured> {
    let recorded = answer.recorded.as_ref().map_err(|why| Unmeasured::Unreachable(why.clone()))?;
    match &answer.rules {
        RulesState::Loaded => {}
        RulesState::NotThere
        | RulesState::Repeated { .. }
        | RulesState::Other { .. }
        | RulesState::Unhealthy { .. }
        | RulesState::NotEvaluated { .. }
        | RulesState::Unknown { .. } => return Err(Unmeasured::NotRecorded(answer.rules.to_string())),
    }
    let sample = recorded.sample.as_ref().map_err(|why| Unmeasured::NotANumber(why.to_string()))?;
    let slo = &subject.document.slo;
    let terms = Terms { span: slo.window.at(now), recorded_since: subject.held.counted_since, resolution, now };
    budget::measure(slo, sample.as_ref(), &terms)
}

/// What the ledger knows of an objective that this process measures for the first time. How long it had recovered is forgotten: the
/// dwell begins anew.
fn resumed(verdict: Option<Measured>) -> Option<Standing> {
    let Measured { verdict, since, spent, index: _ } = verdict?;
    let latch = spent.map_or(Latch::Open, |since| Latch::Spent { since, recovering: None });
    Some(Standing { verdict, since, latch })
}

/// Records a verdict if it is another one than the ledger knows.
async fn record(context: &Context, judged: &Judged<'_>) -> Result<(), Error> {
    let Judged { subject, answer: _, reading: _, standing: Standing { verdict, since, latch } } = judged;
    let (verdict, since) = (*verdict, *since);
    let spent = match latch {
        Latch::Open => None,
        Latch::Spent { since, recovering: _ } => Some(*since),
    };
    let known = subject.held.verdict.map(|v| (v.verdict, v.spent.is_some()));
    if known == Some((verdict, spent.is_some())) {
        return Ok(());
    }
    let message = judged.told().message();
    let event = SloVerdictEvent {
        object: subject.object.clone(),
        digest: subject.held.digest,
        verdict,
        spent,
        message: message.clone(),
        now: since,
    };
    context.ledger.append(Proposal::Verdict(Box::new(event)), context.facts(TargetFact::NotNamed)).await?;
    let word = verdict.as_str();
    tracing::info!(slo = %subject.object, verdict = word, message, "the verdict on an error budget changed");
    Ok(())
}

fn note_templates(
    healthy: &mut Healthy,
    templates: &Templates,
    subject: &Subject,
    verdict: BudgetVerdict,
    now: UnixSeconds,
) {
    let Some(gate) = &subject.held.gate else { return };
    match verdict {
        BudgetVerdict::Met => {
            let running = templates.of(&subject.object.namespace);
            healthy.ran_well(&subject.object, bound(running, |kind, name| gate.binds(kind, name)), now);
        }
        BudgetVerdict::Exhausted | BudgetVerdict::Unknown => healthy.ran_badly(&subject.object),
    }
}
