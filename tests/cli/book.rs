//! A ledger with a history: a charter in force, a command refused, approved, stored, begun and done.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::api::GovernedKind;
use miax::api::reason::Reason;
use miax::constitution::{
    ArchiveSealEvent, Effect, EffectEndEvent, Event, Facts, KeyEvent, Manifest, ObjectRef, Operation, Proposal,
    PruneEvent, Reply, Request, State, StoredEvent, TargetFact, TargetState, deliberate,
};
use miax::ledger::{Block, BlockParts, Checkpoint, Head, KeyChange, LogTrust, TileCheck, Writer, block_name};
use miax::store::{encode, pack_snapshot, replay, snapshot_name, write_snapshot};
use miax::trust::{NoteSigner, parse_yaml_strict, sha256, to_yaml};
use miax::units::{BlockNumber, Digest, Seconds, UnixMillis, UnixSeconds};
use serde_json::{Value, json};

use crate::desk::{Desk, Run, UID};

/// Who sends every request.
pub const SYNCER: &str = "system:serviceaccount:argocd:syncer";

/// Blocks in `dump/`, each of one step; the charter in `charter.yaml` and the command in `cmd.yaml`.
pub struct Book {
    pub desk: Desk,
    pub origin: String,
    /// The key that the log began with.
    pub key: String,
    /// The one that signs its checkpoints.
    pub newest: String,
    pub command: Digest,
    log_key: NoteSigner,
    writer: Writer,
    head: Head,
    parts: Vec<(String, BlockParts)>,
    state: State,
    genesis: Digest,
    now: UnixSeconds,
}

/// A block as the API server stores it.
pub fn config_map(name: &str, parts: &BlockParts) -> Value {
    let BlockParts { header, seal, entries, edge } = parts;
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "miax-ledger"},
        "data": {"header": header, "seal": seal},
        "binaryData": {"entries": STANDARD.encode(entries), "edge": STANDARD.encode(edge)},
    })
}

fn read(desk: &Desk, file: &str) -> Value {
    parse_yaml_strict(&desk.text(file)).expect("yaml").pop().expect("a document")
}

fn create(object: &Value) -> Proposal {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Proposal::Review(Box::new(Request {
        uid: String::new(),
        operation: Operation::Create,
        kind: GovernedKind::from_kind(&text("/kind")).expect("governed"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        object: Some(object.clone()),
        old: None,
        actor: SYNCER.to_owned(),
    }))
}

impl Book {
    /// The whole history, with a checkpoint over it in `dump/checkpoint.yaml` and `kept.txt`. An earlier one, over the
    /// charter alone, is in `old.txt`.
    pub fn new() -> Self {
        let desk = Desk::with_charter();
        desk.draft();
        let unsigned = read(&desk, "cmd.yaml");
        desk.approve_all();
        std::fs::create_dir(desk.path("dump")).expect("directory");
        let (charter, command) = (read(&desk, "charter.yaml"), read(&desk, "cmd.yaml"));
        let signed_at: UnixSeconds =
            command["spec"]["signatures"][3]["signedAt"].as_str().expect("a time").parse().expect("a time");
        let origin = format!("miax.dev/ecm/{UID}/0");
        let log_key = NoteSigner::try_new(&origin, &[1; 32]).expect("key");
        let trust = LogTrust { origin: origin.clone(), epoch: 0, key: log_key.verifier() };
        let mut book = Self {
            command: miax::constitution::Command::read(&command).expect("a command").document.digest,
            writer: Writer::try_new(&origin, &log_key, "w", &[2; 32], UnixMillis(1 << 50)).expect("writer"),
            head: Head::genesis(trust),
            parts: Vec::new(),
            state: State::default(),
            genesis: Manifest::read(&charter).expect("charter").document.digest,
            now: signed_at.plus(Seconds(30)),
            key: log_key.verifier().to_string(),
            newest: log_key.verifier().to_string(),
            origin,
            log_key,
            desk,
        };
        book.propose(&create(&charter));
        book.propose(&Proposal::Adopt(Box::new(charter)));
        book.desk.write("old.txt", &book.checkpoint());
        book.propose(&create(&unsigned));
        book.propose(&create(&command));
        book.carry_out(&command);
        book.close();
        book
    }

    /// The same with a key that followed the first one, which vouches for nothing more: checkpoints are by the next alone.
    pub fn rotated() -> Self {
        let mut book = Self::new();
        let next = NoteSigner::try_new(&book.origin, &[5; 32]).expect("key");
        for (change, event) in [
            (KeyChange::Add(next.verifier()), Event::KeyAdd as fn(KeyEvent) -> Event),
            (KeyChange::Retire(book.log_key.verifier()), Event::KeyRetire),
        ] {
            let text = change.text(&book.origin);
            let lines: String = [&book.log_key, &next].map(|key| key.line(&text).expect("signs")).concat();
            book.record(&[event(KeyEvent { fields: change.fields(&format!("{text}\n{lines}")) })]);
        }
        book.newest = next.verifier().to_string();
        book.log_key = next;
        book.close();
        book
    }

    /// The command is seen stored, begun and done.
    fn carry_out(&mut self, command: &Value) {
        let object = ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: "checkout-3".into() };
        let (uid, resource_version) = ("u-1".to_owned(), "77".to_owned());
        self.propose(&Proposal::Stored(StoredEvent {
            object: object.clone(),
            digest: self.command,
            uid,
            resource_version,
        }));
        let Reply::Begin(_) = self.propose(&Proposal::Begin(Box::new(command.clone()))) else {
            panic!("the command cannot be begun");
        };
        let (digest, began) = (self.command, self.state.running().next().expect("it runs").2);
        self.propose(&Proposal::End(Effect::Done(EffectEndEvent {
            object,
            digest,
            began,
            reason: Reason::EffectDone,
            message: "scaled from 2 to 3".into(),
            resource_version: Some("78".into()),
        })));
    }

    /// Judges and records, in a block of its own.
    fn propose(&mut self, proposal: &Proposal) -> Reply {
        let target = TargetState { uid: "t".to_owned(), generation: 5, resource_version: "9".to_owned() };
        let facts = Facts {
            now: self.now,
            cluster_uid: UID.to_owned(),
            genesis: Some(self.genesis),
            target: TargetFact::Found(target),
            budgets: Vec::new(),
        };
        let outcome = deliberate(proposal, &self.state, &facts);
        self.record(&outcome.events);
        outcome.reply
    }

    fn record(&mut self, events: &[Event]) {
        let at = UnixMillis(u64::try_from(self.now.get()).expect("after 1970") * 1000);
        let mut entries: Vec<Vec<u8>> = events.iter().map(|e| encode(e, at, "w").expect("entry")).collect();
        if !self.head.knows(&self.writer) {
            entries.insert(0, self.writer.introduce(at).expect("introduction"));
        }
        let name = block_name(0, self.head.next_block());
        let parts = self.head.propose(&entries, &self.writer, at, at).expect("block");
        let block = self.head.fold(&parts).expect("folds");
        replay(&block, &mut self.state).expect("makes sense");
        self.desk.write(&format!("dump/{name}.yaml"), &to_yaml(&config_map(&name, &parts)));
        self.parts.push((name, parts));
        self.now = self.now.plus(Seconds(1));
    }

    /// Records events that nobody judged, and vouches for them.
    pub fn append(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.record(std::slice::from_ref(event)));
        self.close();
    }

    /// Records the seal of an archive as it must be, changed by `edit`.
    pub fn seal_archive(&mut self, edit: impl FnOnce(&mut ArchiveSealEvent)) {
        self.seal("cold", edit);
    }

    fn seal(&mut self, store: &str, edit: impl FnOnce(&mut ArchiveSealEvent)) {
        let opened: Vec<Block> = self.parts.iter().map(|(_, p)| Block::open(p).expect("opens").0).collect();
        let blocks: Vec<_> = self.parts.iter().zip(&opened).map(|((n, p), b)| (n.as_str(), p, b)).collect();
        let (from, to) = (self.state.archived(store).map_or(0, |a| a.size), self.head.next_index().0);
        let (root, growth) = TileCheck::new(&blocks).growth(from, to).expect("the end of a block");
        let (store, count, objects, now) = (store.to_owned(), growth.count(), growth.digest(), self.now);
        let mut seal = ArchiveSealEvent { store, from, to, root, count, objects, now };
        edit(&mut seal);
        self.record(&[Event::ArchiveSeal(seal)]);
        self.close();
    }

    /// Lets the blocks before this one leave the dump: two archives hold them, a snapshot stands in their place, and an entry
    /// means it. Gives the name of the file with the snapshot.
    pub fn prune(&mut self, block: usize) -> String {
        self.seal("cold", |_| {});
        self.seal("far", |_| {});
        let (mut head, mut state) = (Head::genesis(self.head.trust().clone()), State::default());
        for (_, parts) in &self.parts[..block] {
            replay(&head.fold(parts).expect("folds"), &mut state).expect("makes sense");
        }
        let bytes = write_snapshot(&head, &state).expect("written");
        let (size, root, number) = (head.next_index().0, head.root(), head.next_block());
        let event = PruneEvent { block: number, size, root, snapshot: sha256(&bytes), now: self.now };
        self.record(&[Event::Prune(event)]);
        self.close();
        for (name, _) in &self.parts[..block] {
            std::fs::remove_file(self.desk.path(&format!("dump/{name}.yaml"))).expect("removed");
        }
        self.write_snapshot(number, &bytes)
    }

    /// Puts these bytes where the snapshot at a block stands.
    pub fn write_snapshot(&self, block: BlockNumber, bytes: &[u8]) -> String {
        let name = snapshot_name(0, block, 0);
        let packed = pack_snapshot(bytes).expect("packed").pop().expect("small");
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "miax-ledger"},
            "binaryData": {"packed": STANDARD.encode(packed)},
        });
        let file = format!("dump/{name}.yaml");
        self.desk.write(&file, &to_yaml(&map));
        file
    }

    /// Lets the ledger grow to this many entries, in blocks as large as they may be.
    pub fn fill(&mut self, size: u64) {
        let object = ObjectRef { kind: "ControlCommand".into(), namespace: "shop".into(), name: "filler".into() };
        while self.head.next_index().0 < size {
            let first = self.head.next_index().0;
            let end = size.min((first / 256 + 1) * 256);
            let stored = |index: u64| {
                let (uid, resource_version) = (index.to_string(), "1".to_owned());
                Event::Stored(StoredEvent { object: object.clone(), digest: self.command, uid, resource_version })
            };
            self.record(&(first..end).map(stored).collect::<Vec<_>>());
        }
        self.close();
    }

    fn checkpoint(&self) -> String {
        let (size, root) = (self.head.next_index().0, self.head.root());
        Checkpoint { origin: self.origin.clone(), size, root }.sign(&self.log_key).expect("note")
    }

    fn close(&self) {
        let anchor = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "miax-checkpoint", "namespace": "miax-system"},
            "data": {"origin": self.origin, "key": self.key, "checkpoint": self.checkpoint()},
        });
        self.desk.write("dump/checkpoint.yaml", &to_yaml(&anchor));
        self.desk.write("kept.txt", &self.checkpoint());
    }

    /// Runs `miax ledger` on the dump.
    pub fn ledger(&self, arguments: &[&str]) -> Run {
        self.desk.miax(&[&["ledger"], arguments, &["--dump", "dump", "--key", &self.key]].concat())
    }

    /// Runs `miax ledger verify` with the log's key.
    pub fn verify(&self, arguments: &[&str]) -> Run {
        self.desk.miax(&[&["ledger", "verify"], arguments, &["--key", &self.key]].concat())
    }
}
