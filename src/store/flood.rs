//! Floods, where ledger and constitution meet: the hash of a refusal that is folded, and what a `flood` entry must satisfy.

use std::sync::Arc;

use serde_json::Value;

use crate::constitution::{DecisionEvent, Event, FloodEvent};
use crate::ledger::leaf_hash;
use crate::trust::canonical_json;
use crate::units::{Digest, LogIndex};

/// The leaf of a refusal that is folded, by its hash, and how many bytes it has: the canonical JSON of its fields. Without
/// time and writer of an entry, which nobody gives it.
///
/// `None` for what has no canonical bytes.
#[must_use]
pub fn refusal_leaf(event: &Arc<DecisionEvent>) -> Option<(Digest, usize)> {
    let fields = Event::Decision(event.clone()).fields().ok()?;
    let bytes = canonical_json(&Value::Object(fields)).ok()?;
    Some((leaf_hash(bytes.as_slice()), bytes.as_slice().len()))
}

/// Checks what can be told from the entry alone: that its fields agree, and that its sample is its only refusal if it stands
/// for one.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn check_flood(index: LogIndex, event: &FloodEvent) -> Result<(), &'static str> {
    if let Some(what) = event.contradiction() {
        return Err(what);
    }
    if event.after > index {
        return Err("its sample was judged by entries that came later");
    }
    match refusal_leaf(&event.sample) {
        None => Err("its sample has no canonical bytes"),
        Some((hash, _)) if event.count == 1 && event.root != hash => {
            Err("its root is not the hash of its only refusal")
        }
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reason::Reason;
    use crate::constitution::{Decision, FloodSource, ObjectRef, Operation, TargetFact, Verdict};
    use crate::trust::sha256;
    use crate::units::UnixSeconds;

    fn refusal() -> DecisionEvent {
        DecisionEvent {
            request: "u".into(),
            operation: Operation::Create,
            object: ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: "a".into() },
            digest: None,
            inputs: None,
            commitment: None,
            summary: None,
            actor: "eve".into(),
            verdict: Verdict::Deny,
            findings: Decision::refusal(Reason::Unsigned, "it carries no signature").findings,
            rules: Vec::new(),
            seats: Vec::new(),
            advice: Vec::new(),
            signers: Vec::new(),
            charter: None,
            now: UnixSeconds::new(100),
            target: TargetFact::NotNamed,
            budgets: Vec::new(),
            plans: Vec::new(),
        }
    }

    fn flood(sample: DecisionEvent) -> FloodEvent {
        let source = FloodSource::of(&refusal());
        let (first, last) = (UnixSeconds::new(100), UnixSeconds::new(107));
        FloodEvent { source, count: 9, first, last, root: sha256(b"x"), after: LogIndex(4), sample: Arc::new(sample) }
    }

    #[test]
    fn a_flood_that_contradicts_itself_is_refused() {
        let whole = flood(refusal());
        assert_eq!(check_flood(LogIndex(4), &whole), Ok(()));
        assert_eq!(check_flood(LogIndex(4), &FloodEvent { source: None, ..whole.clone() }), Ok(()));
        let check = |flood: FloodEvent, part: &str| {
            let error = check_flood(LogIndex(4), &flood).expect_err(part);
            assert!(error.contains(part), "{error}");
        };
        check(FloodEvent { count: 0, ..whole.clone() }, "stands for nothing");
        check(FloodEvent { count: 1, ..whole.clone() }, "not the hash of its only refusal");
        check(FloodEvent { after: LogIndex(5), ..whole.clone() }, "came later");
        check(FloodEvent { first: UnixSeconds::new(99), ..whole.clone() }, "times contradict");
        check(FloodEvent { last: UnixSeconds::new(99), ..whole }, "times contradict");
        check(flood(DecisionEvent { verdict: Verdict::Allow, ..refusal() }), "no refusal");
        check(flood(DecisionEvent { actor: "ann".into(), ..refusal() }), "not of the source");
        let other = Decision::refusal(Reason::SeatsMissing, "x").findings;
        check(flood(DecisionEvent { findings: other, ..refusal() }), "not of the source");
        let (root, _) = refusal_leaf(&Arc::new(refusal())).expect("canonical");
        assert_eq!(check_flood(LogIndex(4), &FloodEvent { count: 1, root, ..flood(refusal()) }), Ok(()));
    }
}
