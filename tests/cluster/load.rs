//! Many requests at once: two replicas, and an API server that is full.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use miax_cluster::{ControlPlane, eventually, free_ports};
use miax_stage::Stage;

use crate::support::{approved, draft, entries, scale, stage, stage_on, wait_done};

/// Passes connections on to the ports in turn, as a Service does.
fn balance(front: u16, backs: [u16; 2]) {
    let listener = TcpListener::bind(("127.0.0.1", front)).expect("the port is free");
    let turn = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let back = backs[turn.fetch_add(1, Ordering::Relaxed) % 2];
            let Ok(server) = TcpStream::connect(("127.0.0.1", back)) else { continue };
            for (from, to) in [(&client, &server), (&server, &client)] {
                let (from, to) = (from.try_clone().expect("socket"), to.try_clone().expect("socket"));
                std::thread::spawn(move || pump(from, to));
            }
        }
    });
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if buffer.get(..count).is_none_or(|some| to.write_all(some).is_err()) {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// Submits many unsigned commands at once; none may pass. Gives the names of those that were refused as unsigned: a slow
/// machine refuses some without a verdict, since a decision does not wait for its entry longer than its deadline.
pub(crate) fn flood(stage: &Stage, prefix: &str, threads: usize, each: usize) -> BTreeSet<String> {
    let file = draft(stage, prefix, &scale("3"));
    let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
    let submit = |thread: usize| {
        let documents: Vec<String> = (0..each)
            .map(|i| text.replace(&format!("name: {prefix}"), &format!("name: {prefix}-{thread}-{i}")))
            .collect();
        // Each is somebody else: of what one person is refused too often only the count is written.
        let person = [format!("--as={prefix}-{thread}"), "--as-group=system:masters".to_owned()];
        let create = ["create", "-f", "-", &person[0], &person[1]];
        let output = stage.plane().kubectl().ask(&create, &documents.join("\n---\n")).expect("kubectl runs");
        let denied = |reason: &str| output.stderr.matches(&format!("denied the request: {reason}: ")).count();
        assert_eq!(denied("Unsigned") + denied("LedgerUnavailable"), each, "{}", output.stderr);
        let named = |line: &str| Some(line.split_once("miax sign -f ")?.1.split_once(".yaml")?.0.to_owned());
        output.stderr.lines().filter_map(named).collect::<BTreeSet<String>>()
    };
    let told: BTreeSet<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || submit(thread))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("submits")).collect()
    });
    assert!(told.len() * 2 > threads * each, "most are decided: {} of {}", told.len(), threads * each);
    told
}

/// Every verdict that was told is recorded, and nothing is recorded twice.
pub(crate) fn assert_recorded_once(stage: &Stage, prefix: &str, told: &BTreeSet<String>) {
    let found = decisions(stage, prefix);
    let distinct: BTreeSet<String> = found.iter().cloned().collect();
    assert_eq!(found.len(), distinct.len(), "nothing is recorded twice");
    assert_eq!(told.difference(&distinct).next(), None, "every verdict that was told is recorded");
}

pub(crate) fn decisions(stage: &Stage, prefix: &str) -> Vec<String> {
    let named = |e: &serde_json::Value| e["object"]["name"].as_str().map(str::to_owned);
    let all = entries(stage);
    let of = all.iter().filter(|e| e["kind"] == "decision").filter_map(named);
    of.filter(|n| n.starts_with(&format!("{prefix}-"))).collect()
}

#[test]
fn two_replicas_under_load_lose_and_double_nothing() {
    let mut stage = stage();
    let [a, b] = free_ports().expect("ports");
    stage.webhook.kill();
    let first = stage.another_webhook(a, "webhook-a").expect("one replica");
    let second = stage.another_webhook(b, "webhook-b").expect("another replica");
    balance(stage.webhook_port(), [a, b]);
    let told = flood(&stage, "flood", 8, 25);
    assert_recorded_once(&stage, "flood", &told);
    let writers: BTreeSet<String> =
        entries(&stage).iter().filter(|e| e["kind"] == "decision").map(|e| e["writer"].to_string()).collect();
    assert!(writers.iter().any(|w| w.contains("webhook-a")) && writers.iter().any(|w| w.contains("webhook-b")));
    drop((first, second));
}

#[test]
fn an_api_server_that_is_full_still_takes_the_appends() {
    // Four requests at once in all: those that wait for the webhook would fill it, were it not for our own priority level.
    let plane = ControlPlane::builder()
        .api_server_argument("--max-requests-inflight=2")
        .api_server_argument("--max-mutating-requests-inflight=4");
    let stage = stage_on(plane);
    let told = flood(&stage, "full", 16, 10);
    assert_recorded_once(&stage, "full", &told);
}

#[test]
fn a_flood_of_refusals_is_counted_while_commands_pass() {
    let stage = stage();
    let file = draft(&stage, "loop", &scale("9"));
    let command = approved(&stage, "meanwhile", &scale("4"));
    let text = std::fs::read_to_string(stage.file(&file)).expect("reads");
    let before = entries(&stage).len();
    let each = 100;
    let told: usize = std::thread::scope(|scope| {
        let callers = [0, 1, 2, 3].map(|thread| {
            let (text, kubectl) = (&text, stage.plane().kubectl());
            scope.spawn(move || {
                let of = |i| text.replace("name: loop", &format!("name: loop-{thread}-{i}"));
                let documents: Vec<String> = (0..each).map(of).collect();
                // One account in an endless loop, ten times beyond what is written in full.
                let create = ["create", "-f", "-", "--as=looper", "--as-group=system:masters"];
                let output = kubectl.ask(&create, &documents.join("\n---\n")).expect("kubectl runs");
                // On a machine that is too slow for the ledger's deadline some are refused without a verdict.
                assert_eq!(output.stderr.matches("denied the request: ").count(), each, "{}", output.stderr);
                output.stderr.matches("denied the request: Unsigned: ").count()
            })
        });
        let apply = || stage.plane().kubectl().run(&["apply", "-f", &stage.file(&command)]);
        assert!(eventually(|| apply().ok()).is_some(), "an approved command is accepted");
        wait_done(&stage, "meanwhile");
        callers.into_iter().map(|caller| caller.join().expect("ends")).sum()
    });
    let count = |all: &[serde_json::Value]| -> u64 {
        all.iter().filter(|e| e["kind"] == "flood").filter_map(|e| e["count"].as_u64()).sum()
    };
    let (told, total) = (u64::try_from(told).expect("few"), 4 * u64::try_from(each).expect("few"));
    let full = |all: &[serde_json::Value]| -> u64 {
        let of_loop = |e: &&serde_json::Value| e["kind"] == "decision" && e["actor"] == "looper";
        u64::try_from(all.iter().filter(of_loop).count()).expect("few")
    };
    let written = eventually(|| {
        let all = entries(&stage);
        (told..=total).contains(&(count(&all) + full(&all))).then_some(all)
    });
    let all = written.expect("every verdict is written or counted, and nothing twice");
    assert!(told > total / 4, "{told} of {total} refusals were verdicts");
    assert!(full(&all) < 40, "{} are written in full", full(&all));
    assert!(all.len() - before < 70, "{} entries for {total} refusals", all.len() - before);
    let flood = all.iter().find(|e| e["kind"] == "flood").expect("a flood");
    assert_eq!(flood["source"], serde_json::json!({"actor": "looper", "reason": "Unsigned", "kind": "ControlCommand"}));
    let shown = stage.cli().run(&["ledger", "show", &flood["index"].to_string()]).expect("shown");
    assert!(shown.contains("counted and not written one by one"), "{shown}");
}
