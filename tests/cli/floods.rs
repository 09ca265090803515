//! Floods in a ledger: shown in plain words, judged again by their sample, and counted against what the refused were told.

use std::sync::Arc;

use miax::constitution::{
    DecisionEvent, Event, Facts, FloodEvent, FloodSource, Operation, Outcome, Proposal, deliberate,
};
use miax::ledger::{Folded, root_of};
use miax::store::refusal_leaf;

use crate::desk::{Run, UID};
use crate::replay::{Book, found, read, request};

const COUNT: u64 = 7;

/// A ledger with a flood of refusals of the unsigned command, and what each of them was told.
fn flooded(change: impl Fn(&mut FloodEvent)) -> (Book, Vec<Folded>) {
    let mut book = Book::new();
    let unsigned = read(&book.desk, "documents/unsigned.yaml");
    let target = found(4);
    let facts =
        Facts { now: book.now, cluster_uid: UID.to_owned(), genesis: Some(book.genesis), target, budgets: Vec::new() };
    let refusals: Vec<Arc<DecisionEvent>> = (0..COUNT)
        .map(|number| {
            let Proposal::Review(mut review) = request(Operation::Create, Some(&unsigned), None) else {
                unreachable!("it is a review")
            };
            review.uid = format!("uid-{number}");
            let Outcome { events, reply: _ } = deliberate(&Proposal::Review(review), &book.state, &facts);
            let [Event::Decision(event)] = events.as_slice() else { unreachable!("one decision") };
            event.clone()
        })
        .collect();
    let hashes: Vec<_> = refusals.iter().map(|r| refusal_leaf(r).expect("canonical").0).collect();
    let mut window = [0; 8];
    window.copy_from_slice(&hashes[0].0[..8]);
    let told = (0..).zip(&hashes).map(|(position, hash)| Folded { window, position, hash: *hash }).collect();
    let mut flood = FloodEvent {
        source: FloodSource::of(&refusals[0]),
        count: COUNT,
        first: book.now,
        last: book.now,
        root: root_of(hashes),
        after: book.state.next_index(),
        sample: refusals[0].clone(),
    };
    change(&mut flood);
    // What comes between the judgement of the sample and the entry does not change what was judged.
    let command = book.keep("cmd.yaml");
    book.propose(request(Operation::Create, Some(&command), None), found(4));
    book.record(vec![Event::Flood(Box::new(flood))]);
    (book, told)
}

fn verify(book: &Book, lines: &[String]) -> Run {
    book.desk.write("folded.txt", &lines.join("\n"));
    book.desk.miax(&["ledger", "verify", "dump", "--key", &book.key, "--folded", "folded.txt"])
}

#[test]
fn the_sample_of_a_flood_is_judged_again() {
    let (book, _) = flooded(|_| {});
    let run = book.replay().expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&run.out).expect("json");
    assert_eq!(report["differ"], serde_json::json!([]));
    // The charter's request and adoption, the command, and the sample.
    assert_eq!(report["same"], 4, "{report}");

    let (book, _) = flooded(|flood| {
        let mut wrong = flood.sample.as_ref().clone();
        wrong.findings[0].message = "because we say so".to_owned();
        flood.sample = Arc::new(wrong);
    });
    let run = book.replay().expect_code(1);
    assert!(run.out.contains("because we say so"), "{}", run.out);
}

#[test]
fn a_flood_is_told_in_plain_words() {
    let (book, _) = flooded(|_| {});
    let index = (book.state.next_index().0 - 1).to_string();
    let dump = ["--dump", "dump", "--key", &book.key];
    let shown = book.desk.miax(&[&["ledger", "show", &index], &dump[..]].concat()).expect_code(0);
    for part in ["asked by   robot", "7 refusals about objects of the kind ControlCommand", "first reason Unsigned"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let listed = book.desk.miax(&[&["ledger", "list", "--kind", "flood", "--actor", "robot"], &dump[..]].concat());
    assert!(listed.out.contains("7 refusals from"), "{}", listed.out);
}

#[test]
fn the_count_of_a_flood_is_checked_against_what_was_told() {
    let (book, told) = flooded(|_| {});
    let mut lines: Vec<String> = told.iter().map(ToString::to_string).collect();
    // In any order, as an audit log of several API servers has it.
    lines.reverse();
    verify(&book, &lines).expect_code(0);
    let check = |lines: &[String], code: i32, part: &str| {
        let run = verify(&book, lines).expect_code(code);
        assert!(run.out.contains(part), "{part}: {}", run.out);
    };
    check(&lines[1..], 2, "incomplete folded.txt, entry 6: it counts 7 refusals, of which 6 are in the file");
    let more = Folded { position: 7, ..told[0] }.to_string();
    check(&[&lines[..], &[more]].concat(), 1, "tampered folded.txt, entry 6: it counts 7 refusals, but 8 were told");
    let mut other = lines.clone();
    other[0] = Folded { hash: told[0].hash, ..told[6] }.to_string();
    check(&other, 1, "its root is not the one over the refusals in the file");
    let lost = Folded { window: [9; 8], ..told[0] }.to_string();
    check(&[&lines[..], &[lost]].concat(), 2, "no entry counts the window 0909090909090909");
    let run = verify(&book, &["what is this".to_owned()]).expect_code(2);
    assert!(run.err.contains("line 1") && run.err.contains("WINDOW/POSITION HASH"), "{}", run.err);
}

#[test]
fn a_flood_that_hides_refusals_is_found() {
    let (book, told) = flooded(|flood| flood.count = 6);
    let lines: Vec<String> = told.iter().map(ToString::to_string).collect();
    let run = verify(&book, &lines).expect_code(1);
    assert!(run.out.contains("it counts 6 refusals, but 7 were told that they are in it"), "{}", run.out);
}
