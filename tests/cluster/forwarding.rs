//! Two replicas of which one appends for both, on a real API server, and what happens when it goes.

use std::collections::BTreeSet;

use miax_cluster::{ControlPlane, eventually, free_ports};
use miax_stage::Stage;

use crate::load::{assert_recorded_once, decisions, flood};
use crate::support::{entries, stage_with};

pub(crate) const LEADS: &str = "this replica is the sequencer";
pub(crate) const FOLLOWS: &str = "proposals go to the sequencer";

/// How many decisions about objects of this prefix each replica wrote: the sequencer, and the one that the API server calls.
fn written(stage: &Stage, prefix: &str) -> [usize; 2] {
    let all = entries(stage);
    let of = |writer: &str| {
        let named = all.iter().filter(|e| e["object"]["name"].as_str().is_some_and(|n| n.starts_with(prefix)));
        named.filter(|e| e["writer"].as_str().is_some_and(|w| w.contains(writer))).count()
    };
    [of("/sequencer-"), of("/webhook-")]
}

#[test]
fn a_sequencer_that_is_killed_under_load_loses_and_doubles_nothing() {
    let peers = ["--peer-listen", "127.0.0.1:0", "--peer-ip", "127.0.0.1"].map(str::to_owned).to_vec();
    let mut stage = stage_with(ControlPlane::builder(), peers);
    let [port] = free_ports().expect("a port");
    let mut sequencer = stage.another_webhook(port, "sequencer").expect("another replica");
    // Asked to end, the first replica gives the lease back.
    assert!(eventually(|| sequencer.log().contains(FOLLOWS).then_some(())).is_some(), "{}", sequencer.log());
    assert!(stage.webhook.terminate(), "it ends well");
    assert!(eventually(|| sequencer.log().contains(LEADS).then_some(())).is_some(), "{}", sequencer.log());
    stage.restart_webhook().expect("the webhook starts again");
    let follows = || stage.webhook.log().contains(FOLLOWS).then_some(());
    assert!(eventually(follows).is_some(), "{}", stage.webhook.log());

    // The API server calls one replica, and the other appends.
    let told = flood(&stage, "calm", 4, 25);
    assert_recorded_once(&stage, "calm", &told);
    let [there, here] = written(&stage, "calm-");
    // A full machine may be late for some.
    assert!(there > here, "{there} were appended by the sequencer and {here} by the replica that was asked");

    let told = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| flood(&stage, "storm", 8, 25));
        let begun = || decisions(&stage, "storm").len().ge(&20).then_some(());
        assert!(eventually(begun).is_some(), "decisions are made");
        sequencer.kill();
        flooding.join().expect("every request is answered")
    });
    assert_recorded_once(&stage, "storm", &told);
    // On a full machine the replica may have given the sequencer up before that was killed.
    let [_, here] = written(&stage, "storm-");
    assert!(here > 0, "the replica that was asked appends by itself when the sequencer is gone");
    let leads = || stage.webhook.log().matches(LEADS).count().ge(&2).then_some(());
    assert!(eventually(leads).is_some(), "{}", stage.webhook.log());
    let uids: Vec<String> = entries(&stage).iter().filter_map(|e| e["request"].as_str().map(str::to_owned)).collect();
    assert_eq!(uids.iter().collect::<BTreeSet<_>>().len(), uids.len(), "no request is answered by two entries");
}
