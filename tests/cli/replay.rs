//! Every recorded decision can be judged again from its entry and the documents, and says the same; a writer that recorded
//! anything else is found.

use std::sync::Arc;

use miax::api::GovernedKind;
use miax::api::reason::Reason;
use miax::constitution::{
    DecisionEvent, Effect, EffectEndEvent, Event, Facts, KeyEvent, Manifest, Operation, Proposal, Reply, Request,
    State, TargetFact, TargetState, Verdict, deliberate,
};
use miax::ledger::{Entry, Head, LogTrust, Writer, block_name};
use miax::store::encode;
use miax::trust::{NoteSigner, parse_yaml_strict, to_yaml};
use miax::units::{BlockNumber, Digest, LogIndex, Seconds, UnixMillis, UnixSeconds};
use serde_json::{Value, json};

use crate::desk::{Desk, Run, UID};
use crate::ledger::config_map;

/// A ledger that grows by proposals, as a sequencer writes it: `dump/` holds its blocks, `documents/` what was judged.
pub struct Book {
    pub desk: Desk,
    head: Head,
    writer: Writer,
    pub state: State,
    pub genesis: Digest,
    pub now: UnixSeconds,
    pub key: String,
}

pub fn read(desk: &Desk, file: &str) -> Value {
    parse_yaml_strict(&desk.text(file)).expect("yaml").pop().expect("a document")
}

pub fn request(operation: Operation, object: Option<&Value>, old: Option<&Value>) -> Proposal {
    let text =
        |pointer: &str| object.or(old).expect("one").pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    Proposal::Review(Box::new(Request {
        uid: String::new(),
        operation,
        kind: GovernedKind::from_kind(text("/kind")).expect("governed"),
        namespace: text("/metadata/namespace").to_owned(),
        name: text("/metadata/name").to_owned(),
        object: object.cloned(),
        old: old.cloned(),
        actor: "robot".to_owned(),
    }))
}

pub fn found(generation: i64) -> TargetFact {
    TargetFact::Found(TargetState { uid: "t".to_owned(), generation, resource_version: "9".to_owned() })
}

impl Book {
    /// An organisation, a charter in force, and a command in `cmd.yaml` that everybody approved.
    pub fn new() -> Self {
        let desk = Desk::with_charter();
        desk.draft();
        std::fs::create_dir_all(desk.path("documents/deep")).expect("directory");
        std::fs::create_dir(desk.path("dump")).expect("directory");
        desk.write("documents/unsigned.yaml", &desk.text("cmd.yaml"));
        desk.approve_all();
        let charter = read(&desk, "charter.yaml");
        let signed = read(&desk, "cmd.yaml")["spec"]["signatures"][3]["signedAt"].as_str().expect("a time").to_owned();
        let origin = format!("miax.dev/ecm/{UID}/0");
        let key = NoteSigner::try_new(&origin, &[1; 32]).expect("key");
        let trust = LogTrust { origin: origin.clone(), epoch: 0, key: key.verifier() };
        // A little later: some more will sign.
        let now = signed.parse::<UnixSeconds>().expect("a time").plus(Seconds(30));
        let mut book = Self {
            writer: Writer::try_new(&origin, &key, "w", &[2; 32], UnixMillis(1 << 50)).expect("writer"),
            head: Head::genesis(trust),
            state: State::default(),
            genesis: Manifest::read(&charter).expect("charter").document.digest,
            now,
            key: key.verifier().to_string(),
            desk,
        };
        book.propose(request(Operation::Create, Some(&charter), None), TargetFact::NotNamed);
        book.propose(Proposal::Adopt(Box::new(charter)), TargetFact::NotNamed);
        book
    }

    /// Judges and records, in a block of its own.
    pub fn propose(&mut self, proposal: Proposal, target: TargetFact) -> Reply {
        let facts = Facts {
            now: self.now,
            cluster_uid: UID.to_owned(),
            genesis: Some(self.genesis),
            target,
            budgets: Vec::new(),
        };
        let outcome = deliberate(&proposal, &self.state, &facts);
        self.record(outcome.events);
        outcome.reply
    }

    /// Records what somebody claims, judged or not.
    pub fn record(&mut self, mut events: Vec<Event>) {
        let at = UnixMillis(u64::try_from(self.now.get()).expect("after 1970") * 1000);
        let mut entries = Vec::new();
        if self.head.next_index() == LogIndex(0) {
            let bytes = self.writer.introduce(at).expect("introduction");
            let fields = Entry::decode(&bytes).expect("entry").fields;
            events.insert(0, Event::KeyAdd(KeyEvent { fields }));
            entries.push(bytes);
        }
        entries
            .extend(events.iter().skip(entries.len()).map(|e| encode(e, at, "w").expect("entry")).collect::<Vec<_>>());
        let name = block_name(0, self.head.next_block());
        let parts = self.head.propose(&entries, &self.writer, at, at).expect("block");
        self.head.fold(&parts).expect("folds");
        for event in &events {
            self.state.apply(self.state.next_index(), event).expect("applies");
        }
        self.desk.write(&format!("dump/{name}.yaml"), &to_yaml(&config_map(&name, &parts)));
    }

    /// Keeps a version of `cmd.yaml` among the documents.
    pub fn keep(&self, name: &str) -> Value {
        self.desk.write(&format!("documents/{name}"), &self.desk.text("cmd.yaml"));
        read(&self.desk, "cmd.yaml")
    }

    /// Has a command begun and done.
    pub fn use_up(&mut self, command: Value) {
        let Reply::Begin(plan) = self.propose(Proposal::Begin(Box::new(command)), found(5)) else {
            panic!("it does not begin");
        };
        let end = EffectEndEvent {
            object: plan.begin.object.clone(),
            digest: plan.digest,
            began: LogIndex(self.state.next_index().0 - 1),
            reason: Reason::EffectDone,
            message: "done".to_owned(),
            resource_version: None,
        };
        self.propose(Proposal::End(Effect::Done(end)), TargetFact::NotNamed);
    }

    pub fn replay(&self) -> Run {
        let dump = ["ledger", "replay", "--dump", "dump", "--key", &self.key, "-o", "json"];
        self.desk.miax(&[&dump[..], &["--documents", "documents"]].concat())
    }
}

/// A life: refused, allowed, asked again, one more signature, begun, done, used up, deleted; and a key that its holder
/// revokes.
fn lived() -> Book {
    let mut book = Book::new();
    let unsigned = read(&book.desk, "documents/unsigned.yaml");
    let command = book.keep("deep/cmd.yml");
    let create = |object: &Value| request(Operation::Create, Some(object), None);
    assert_reason(book.propose(create(&unsigned), found(4)), Reason::Unsigned);
    assert_reason(book.propose(create(&command), TargetFact::Missing), Reason::TargetMissing);
    assert_reason(book.propose(create(&command), found(4)), Reason::QuorumComplete);
    assert_reason(book.propose(create(&command), found(5)), Reason::QuorumComplete);
    book.desk.sign("approve", "dirk", "SRE").expect_code(0);
    let more = book.keep("more.yaml");
    assert_reason(
        book.propose(request(Operation::Update, Some(&more), Some(&command)), found(5)),
        Reason::QuorumComplete,
    );
    assert_reason(
        book.propose(request(Operation::Update, Some(&command), Some(&more)), found(5)),
        Reason::SignatureRemoved,
    );
    book.use_up(more.clone());
    assert_reason(book.propose(create(&more), found(6)), Reason::CommandConsumed);
    book.propose(request(Operation::Delete, None, Some(&more)), TargetFact::NotNamed);

    let text = book.desk.text("dana.pub");
    let key = miax::trust::PublicKey::parse(miax::trust::KeyType::SshEd25519, text.trim()).expect("key").id();
    let fixed = ["--reason", "lost", "--audience", "prod-eu", "--name", "lost", "--out", "documents/lost.json"];
    book.desk.miax(&[&["draft", "revoke-key", key.as_str()], &fixed[..]].concat()).expect_code(0);
    let sign = ["sign", "-f", "documents/lost.json", "--as", "dana", "--seat", "SRE", "--key", "dana", "--yes"];
    book.desk.miax(&sign).expect_code(0);
    let lost = read(&book.desk, "documents/lost.json");
    book.now = book.now.plus(Seconds(60));
    assert_reason(book.propose(create(&lost), TargetFact::NotNamed), Reason::QuorumComplete);
    assert!(matches!(book.propose(Proposal::Enact(Box::new(lost)), TargetFact::NotNamed), Reply::Done));
    assert_reason(book.propose(create(&more), found(6)), Reason::CommandConsumed);
    book
}

#[track_caller]
fn assert_reason(reply: Reply, reason: Reason) {
    let Reply::Judged(decision) = reply else { panic!("{reply:?} instead of {reason}") };
    assert_eq!(decision.reason(), reason, "{}", decision.message());
}

#[test]
fn every_decision_is_judged_again_and_is_the_same() {
    let book = lived();
    let report = book.replay().expect_code(0).json();
    // Ten reviews of commands, one of the charter, its adoption, one begin, one enactment.
    assert_eq!(report["same"], 14, "{report}");
    assert_eq!(report["differ"], json!([]));
    let text = ["ledger", "replay", "--dump", "dump", "--key", &book.key, "--documents", "documents"];
    book.desk.miax(&text).expect_code(0).expect_out("14 re-judged and the same, 0 differ, 0 without a document");
    // What kubectl prints as one list is as good as files.
    let items: Vec<Value> = ["unsigned.yaml", "deep/cmd.yml", "more.yaml", "lost.json"]
        .map(|file| read(&book.desk, &format!("documents/{file}")))
        .to_vec();
    book.desk.write("list.json", &json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string());
    let listed = ["ledger", "replay", "--dump", "dump", "--key", &book.key, "--documents", "list.json"];
    book.desk.miax(&listed).expect_code(0);
}

#[test]
fn an_emergency_charter_and_its_lapse_are_judged_again() {
    let mut book = Book::new();
    book.desk
        .miax(&["charter", "next", "-f", "charter.yaml", "--emergency", "48h", "--out", "next.yaml"])
        .expect_code(0);
    for (verb, who, seat) in [("sign", "amir", "CEK"), ("approve", "alice", "CEK"), ("approve", "al", "ALPHA")] {
        book.desk.miax(&[verb, "-f", "next.yaml", "--as", who, "--seat", seat, "--key", who, "--yes"]).expect_code(0);
    }
    let next = read(&book.desk, "next.yaml");
    assert_reason(
        book.propose(request(Operation::Create, Some(&next), None), TargetFact::NotNamed),
        Reason::QuorumComplete,
    );
    let adopted = book.propose(Proposal::Adopt(Box::new(next.clone())), TargetFact::NotNamed);
    assert!(matches!(adopted, Reply::Done), "{adopted:?}");
    book.now = book.now.plus(Seconds(49 * 3600));
    assert_reason(
        book.propose(request(Operation::Create, Some(&next), None), TargetFact::NotNamed),
        Reason::CharterLapsed,
    );
    book.propose(Proposal::Lapse, TargetFact::NotNamed);
    // Both charters are in the ledger; no document is needed.
    std::fs::remove_dir_all(book.desk.path("documents")).expect("removed");
    std::fs::create_dir(book.desk.path("documents")).expect("directory");
    let report = book.replay().expect_code(0).json();
    assert_eq!((&report["same"], &report["differ"]), (&json!(6), &json!([])), "{report}");
}

#[test]
fn a_document_that_changed_is_not_taken_for_the_one_that_was_judged() {
    let book = lived();
    let (file, text) = ("documents/more.yaml", book.desk.text("documents/more.yaml"));
    let indexes = |report: &Value| -> Vec<u64> {
        report["withoutDocument"].as_array().expect("list").iter().filter_map(|e| e["index"].as_u64()).collect()
    };
    let whole = book.replay().expect_code(0).json();
    for changed in
        [text.replace("reason: sale", "reason: whim"), text.replacen("value: ", "value: A", 1), String::new()]
    {
        book.desk.write(file, &changed);
        let report = book.replay().expect_code(2).json();
        // Its two updates, the begin, and both times that it came again.
        assert_eq!((indexes(&report).len(), &report["differ"]), (5, &json!([])), "{report}");
        assert_eq!(report["same"].as_u64(), whole["same"].as_u64().map(|n| n - 5));
    }
    // Where nothing of authority changed, it is the same document.
    book.desk.write(file, &text.replacen("metadata:\n", "metadata:\n  labels: {team: shop}\n", 1));
    book.replay().expect_code(0);
    book.desk.write("documents/broken.yaml", "a: 1\na: 2\n");
    book.replay().expect_code(0).expect_err("passed over: documents/broken.yaml");
}

#[test]
fn a_writer_that_records_another_verdict_is_found() {
    let lie = |change: &dyn Fn(&mut DecisionEvent)| {
        let mut book = Book::new();
        let unsigned = read(&book.desk, "documents/unsigned.yaml");
        let facts = Facts {
            now: book.now,
            cluster_uid: UID.to_owned(),
            genesis: Some(book.genesis),
            target: found(4),
            budgets: Vec::new(),
        };
        let outcome = deliberate(&request(Operation::Create, Some(&unsigned), None), &book.state, &facts);
        let [Event::Decision(decision)] = outcome.events.as_slice() else { panic!("{outcome:?}") };
        let mut decision = decision.clone();
        change(Arc::make_mut(&mut decision));
        book.record(vec![Event::Decision(decision)]);
        // Whoever holds a writer's key can write it so that every hash and seal is right.
        book.desk.miax(&["ledger", "verify", "dump", "--key", &book.key]).expect_code(0);
        let report = book.replay().expect_code(1).json();
        assert_eq!(report["differ"][0]["index"], book.state.next_index().0 - 1, "{report}");
        report["differ"][0]["differences"].clone()
    };
    let fields = |value: &Value| -> Vec<String> {
        value.as_array().expect("list").iter().map(|d| d["field"].as_str().expect("a field").to_owned()).collect()
    };
    let differences = lie(&|d| d.verdict = Verdict::Allow);
    assert_eq!(differences, json!([{"field": "verdict", "recorded": "Allow", "judged": "Deny"}]));
    assert_eq!(fields(&lie(&|d| d.findings[0].reason = Reason::SeatsMissing)), ["findings"]);
    assert_eq!(fields(&lie(&|d| d.rules.clear())), ["rules"]);
    assert_eq!(fields(&lie(&|d| d.charter = None)), ["charter"]);
    // A time at which the document was not valid any more.
    assert_eq!(fields(&lie(&|d| d.now = d.now.plus(Seconds(90 * 86_400)))), ["findings"]);
}

#[test]
fn a_begin_that_came_too_late_is_found() {
    let mut book = Book::new();
    let command = book.keep("cmd.yaml");
    book.propose(request(Operation::Create, Some(&command), None), found(4));
    let facts = Facts {
        now: book.now,
        cluster_uid: UID.to_owned(),
        genesis: Some(book.genesis),
        target: found(4),
        budgets: Vec::new(),
    };
    let outcome = deliberate(&Proposal::Begin(Box::new(command)), &book.state, &facts);
    let [Event::EffectBegin(begin)] = outcome.events.as_slice() else { panic!("{outcome:?}") };
    let mut late = begin.clone();
    let late_begin = Arc::make_mut(&mut late);
    late_begin.now = late_begin.now.plus(Seconds(90 * 86_400));
    book.record(vec![Event::EffectBegin(late)]);
    let report = book.replay().expect_code(1).json();
    let judged = report["differ"][0]["differences"][0]["judged"].as_str().expect("words");
    assert!(judged.contains("Expired: "), "{report}");
}

#[test]
fn what_cannot_be_replayed_is_neither_same_nor_different() {
    let book = lived();
    let replay = |more: &[&str]| book.desk.miax(&[&["ledger", "replay", "--key", &book.key], more].concat());
    replay(&["--dump", "dump"]).expect_code(2).expect_err("--documents");
    replay(&["--dump", "dump", "--documents", "nowhere"]).expect_code(2).expect_err("nowhere");
    std::fs::create_dir(book.desk.path("empty")).expect("directory");
    replay(&["--dump", "dump", "--documents", "empty"]).expect_code(2).expect_out("0 differ, 11 without a document");
    // Another genesis than the first charter's: its adoption would have been refused.
    let other = Digest([7; 32]).to_string();
    replay(&["--dump", "dump", "--documents", "documents", "--genesis", &other])
        .expect_code(1)
        .expect_out("GenesisMismatch");
    let file = format!("dump/{}.yaml", block_name(0, BlockNumber(3)));
    book.desk.write(&file, &book.desk.text(&file).replace("miax.dev/block/v1", "miax.dev/block/v2"));
    book.replay().expect_code(2).expect_err("the ledger does not verify");
}
