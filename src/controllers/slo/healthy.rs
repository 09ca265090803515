//! Which pod templates ran well: each that was there at many measurements in a row while the budget was not spent. One that came
//! just before the budget ran out may be why it did; back to that nobody goes without a plan.

use std::collections::{BTreeMap, HashMap};

use crate::api::GatedKind;
use crate::api::v1alpha1::HealthyTemplate;
use crate::constitution::ObjectRef;
use crate::units::{Digest, Seconds, UnixSeconds};

use super::templates::OfNamespace;

/// At so many measurements a template must have run while the budget was not spent: an hour at the usual resolution.
const PROVEN: u32 = 12;
/// How many templates of one workload are remembered; the oldest goes.
const MOST_EACH: usize = 5;
/// How many templates are remembered for one objective: its status is one object of at most 1 MiB.
const MOST: usize = 1000;

/// A template on its way to be proven, and since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    measurements: u32,
    seen: UnixSeconds,
}

/// The templates of each workload, the newest last.
type Runs = BTreeMap<(GatedKind, String), Vec<(Digest, Run)>>;

/// What ran well under each objective.
#[derive(Debug, Default)]
pub(super) struct Healthy {
    runs: HashMap<ObjectRef, Runs>,
}

impl Healthy {
    /// Takes up what a status says from before this process: those are proven.
    pub(super) fn resume(&mut self, object: &ObjectRef, statuses: &[HealthyTemplate]) {
        let runs = self.runs.entry(object.clone()).or_default();
        for HealthyTemplate { kind, name, template, seen } in statuses {
            if let (Some(kind), Ok(template), Ok(seen)) = (GatedKind::from_kind(kind), template.parse(), seen.parse()) {
                runs.entry((kind, name.clone())).or_default().push((template, Run { measurements: PROVEN, seen }));
            }
        }
    }

    /// Whether anything is known of an objective.
    pub(super) fn knows(&self, object: &ObjectRef) -> bool {
        self.runs.contains_key(object)
    }

    /// What was running at a measurement that found the budget not spent.
    pub(super) fn ran_well(
        &mut self,
        object: &ObjectRef,
        running: impl Iterator<Item = ((GatedKind, String), Digest)>,
        now: UnixSeconds,
    ) {
        let runs = self.runs.entry(object.clone()).or_default();
        for (workload, template) in running {
            let of_workload = runs.entry(workload).or_default();
            let position = of_workload.iter().position(|(known, _)| *known == template);
            // The newest stands last.
            let before = position.map(|i| of_workload.remove(i).1.measurements).unwrap_or_default();
            of_workload.push((template, Run { measurements: before.saturating_add(1), seen: now }));
            if of_workload.len() > MOST_EACH {
                of_workload.remove(0);
            }
        }
    }

    /// What a measurement that found the budget spent, or nothing, says: whoever was not proven by then begins anew.
    pub(super) fn ran_badly(&mut self, object: &ObjectRef) {
        if let Some(runs) = self.runs.get_mut(object) {
            runs.values_mut().for_each(|of_workload| of_workload.retain(|(_, run)| run.measurements >= PROVEN));
        }
    }

    /// What is proven and was seen inside of the window, the newest first.
    pub(super) fn proven(&self, object: &ObjectRef, window: Seconds, now: UnixSeconds) -> Vec<HealthyTemplate> {
        let runs = self.runs.get(object).into_iter().flatten();
        let all = runs.flat_map(|((kind, name), of_workload)| of_workload.iter().map(move |run| (*kind, name, run)));
        let first = now.minus(window);
        let mut proven: Vec<_> =
            all.filter(|(_, _, (_, run))| run.measurements >= PROVEN && run.seen >= first).collect();
        proven.sort_by(|(a_kind, a_name, (a, a_run)), (b_kind, b_name, (b, b_run))| {
            b_run.seen.cmp(&a_run.seen).then((a_kind, a_name, a.0).cmp(&(b_kind, b_name, b.0)))
        });
        proven.truncate(MOST);
        let told = |(kind, name, (template, run)): (GatedKind, &String, &(Digest, Run))| HealthyTemplate {
            kind: kind.as_str().to_owned(),
            name: name.clone(),
            template: template.to_string(),
            seen: run.seen.to_string(),
        };
        proven.into_iter().map(told).collect()
    }

    /// Forgets objectives that are not measured any more.
    pub(super) fn keep(&mut self, measured: impl Fn(&ObjectRef) -> bool) {
        self.runs.retain(|object, _| measured(object));
    }
}

/// The workloads of a namespace that a gate binds.
pub(super) fn bound(
    running: OfNamespace,
    binds: impl Fn(GatedKind, &str) -> bool,
) -> impl Iterator<Item = ((GatedKind, String), Digest)> {
    running.into_iter().filter(move |((kind, name), _)| binds(*kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object() -> ObjectRef {
        ObjectRef { kind: "SLO".into(), namespace: "shop".into(), name: "a".into() }
    }

    fn checkout(template: u8) -> impl Iterator<Item = ((GatedKind, String), Digest)> {
        std::iter::once(((GatedKind::Deployment, "checkout".to_owned()), Digest([template; 32])))
    }

    fn proven(healthy: &Healthy, now: i64) -> Vec<(u8, String)> {
        let all = healthy.proven(&object(), Seconds(1000), UnixSeconds::new(now));
        let short = |t: HealthyTemplate| (t.template.parse::<Digest>().expect("a digest").0[0], t.seen);
        all.into_iter().map(short).collect()
    }

    #[test]
    fn what_came_just_before_the_budget_ran_out_is_not_proven() {
        let mut healthy = Healthy::default();
        for round in 0..PROVEN {
            assert_eq!(proven(&healthy, 100), []);
            healthy.ran_well(&object(), checkout(1), UnixSeconds::new(i64::from(round)));
        }
        let last = UnixSeconds::new(11).to_string();
        assert_eq!(proven(&healthy, 100), [(1, last.clone())]);
        healthy.ran_well(&object(), checkout(2), UnixSeconds::new(20));
        healthy.ran_badly(&object());
        for _ in 1..PROVEN {
            healthy.ran_well(&object(), checkout(2), UnixSeconds::new(30));
        }
        assert_eq!(proven(&healthy, 100), [(1, last)], "the second one begins anew");
        healthy.ran_well(&object(), checkout(2), UnixSeconds::new(40));
        assert_eq!(proven(&healthy, 100).len(), 2);
        assert_eq!(
            proven(&healthy, 1012),
            [(2, UnixSeconds::new(40).to_string())],
            "the first one is out of the window"
        );
    }

    #[test]
    fn a_restart_goes_on_from_the_status_and_few_templates_are_kept() {
        let mut healthy = Healthy::default();
        for template in 1..=6 {
            for _ in 0..PROVEN {
                healthy.ran_well(&object(), checkout(template), UnixSeconds::new(i64::from(template)));
            }
        }
        let told = healthy.proven(&object(), Seconds(1000), UnixSeconds::new(10));
        assert_eq!(told.len(), MOST_EACH);
        let mut after = Healthy::default();
        assert!(!after.knows(&object()));
        after.resume(&object(), &told);
        assert_eq!(after.proven(&object(), Seconds(1000), UnixSeconds::new(10)), told);
        after.keep(|_| false);
        assert!(!after.knows(&object()));
    }
}
