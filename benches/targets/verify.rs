//! Offline verification: inflate, hash, tree, seals, chain; and with the meaning of every entry.

use std::sync::Arc;

use miax::constitution::{DecisionEvent, Event, ObjectRef, Operation, State, TargetFact, Verdict};
use miax::ledger::{BlockParts, CompactRange, Head, LogTrust, Verifier, Writer, block_name, boundary_room, leaf_hash};
use miax::store::{encode, replay};
use miax::trust::{NoteSigner, sha256};
use miax::units::{UnixMillis, UnixSeconds};

use crate::{Row, now, per_second};

const ORIGIN: &str = "miax.dev/ecm/bench/0";
const ENTRIES: usize = 200_000;

/// A decision like those of the demo: about 530 bytes.
fn decision(number: usize, writer: &str) -> Vec<u8> {
    let event = DecisionEvent {
        request: format!("705ab4f5-6393-11e8-b7cc-{number:012}"),
        operation: Operation::Create,
        object: ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: format!("scale-{number}") },
        digest: Some(sha256(&number.to_be_bytes())),
        inputs: Some(sha256(&number.to_be_bytes())),
        commitment: None,
        summary: Some("Scale Deployment shop/checkout to 3".into()),
        actor: "system:serviceaccount:argocd:argocd-application-controller".into(),
        verdict: Verdict::Deny,
        findings: Vec::new(),
        rules: vec!["runtime-critical".into()],
        seats: Vec::new(),
        advice: Vec::new(),
        signers: Vec::new(),
        charter: None,
        now: UnixSeconds::new(1_795_514_400),
        target: TargetFact::Missing,
        budgets: Vec::new(),
        plans: Vec::new(),
    };
    encode(&Event::Decision(Arc::new(event)), UnixMillis(1_795_514_400_000), writer).expect("an entry")
}

pub(crate) fn rows() -> Vec<Row> {
    let key = NoteSigner::try_new(ORIGIN, &[1; 32]).expect("name");
    let trust = LogTrust { origin: ORIGIN.into(), epoch: 0, key: key.verifier() };
    let writer = Writer::try_new(ORIGIN, &key, "bench", &[2; 32], UnixMillis(1 << 50)).expect("writer");
    let mut head = Head::genesis(trust.clone());
    let mut blocks: Vec<(String, BlockParts)> = Vec::new();
    let (mut count, mut bytes, mut raw) = (0, 0, 0);
    while count < ENTRIES {
        let mut entries = Vec::new();
        if !head.knows(&writer) {
            entries.push(writer.introduce(UnixMillis(1)).expect("introduction"));
        }
        entries.extend((entries.len()..boundary_room(head.next_index())).map(|i| decision(count + i, "bench")));
        let parts = head.propose(&entries, &writer, UnixMillis(1), UnixMillis(1)).expect("a block");
        blocks.push((block_name(0, head.next_block()), parts.clone()));
        head.fold(&parts).expect("folds");
        count += entries.len();
        raw += entries.iter().map(Vec::len).sum::<usize>();
        bytes += parts.entries.len() + parts.header.len() + parts.seal.len() + parts.edge.len();
    }
    let started = now();
    let mut verifier = Verifier::new(trust.clone(), Vec::new());
    blocks.iter().for_each(|(name, parts)| drop(verifier.block(name, parts)));
    let report = verifier.finish();
    let speed = per_second(count, started.elapsed());
    assert!(report.is_whole() && report.root == head.root());
    let started = now();
    let (mut verifier, mut state) = (Verifier::new(trust, Vec::new()), State::default());
    for (name, parts) in &blocks {
        let block = verifier.block(name, parts).expect("right");
        replay(&block, &mut state).expect("makes sense");
    }
    let full = per_second(count, started.elapsed());
    let each = bytes / count;
    // The floor: nothing but the hashes of the same leaves and of as many nodes.
    let entry = decision(0, "bench");
    let started = now();
    let mut range = CompactRange::default();
    (0..count).for_each(|_| range.append(leaf_hash(std::hint::black_box(&entry))));
    let hashing = per_second(count, started.elapsed());
    assert_eq!(range.size(), u64::try_from(count).unwrap_or(0));
    vec![
        Row::new(
            format!("offline verify, entries of {} B in full blocks, one core", raw / count),
            format!("{speed:.0}/s"),
            ">= 1,000,000/s",
            speed >= 1e6,
        ),
        Row::reference("SHA-256 of such leaves and of their tree alone", format!("{hashing:.0}/s")),
        Row::new(
            "offline verify with canonical check and meaning",
            format!("{full:.0}/s"),
            ">= 150,000/s",
            full >= 150e3,
        ),
        Row::new("stored bytes per decision in full blocks", format!("{each} B"), "<= 160 B", each <= 160),
    ]
}
