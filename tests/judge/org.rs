//! An organisation in memory: people with deterministic keys, the default charter, signed documents.

use std::collections::BTreeMap;

use miax::constitution::{Event, Facts, Operation, Proposal, Request, State, TargetFact, TargetState, deliberate};
use miax::trust::{SigningKey, Statement, Subject, Verb, parse_yaml_strict, signed_view};
use miax::units::{LogIndex, Seconds, UnixSeconds};
use miax::{api::GovernedKind, constitution::Manifest};
use serde_json::{Value, json};

/// 2026-11-24T10:00:00Z.
pub static NOW: std::sync::LazyLock<UnixSeconds> = std::sync::LazyLock::new(|| UnixSeconds::new(1_795_514_400));
pub const CLUSTER: &str = "11111111-2222-3333-4444-555555555555";

/// Name, kind, seats.
pub const PRINCIPALS: [(&str, &str, &[&str]); 17] = [
    ("carol", "Person", &["CEK"]),
    ("cyrus", "Person", &["CEK"]),
    ("anna", "Person", &["APXGP"]),
    ("abel", "Person", &["APXGP"]),
    ("tina", "Person", &["CTK"]),
    ("tom", "Person", &["CTK"]),
    ("theo", "Person", &["TC"]),
    ("thea", "Person", &["TC"]),
    ("alma", "Person", &["ALPHA"]),
    ("alec", "Person", &["ALPHA"]),
    ("frank", "Person", &["SRE"]),
    ("fay", "Person", &["SRE"]),
    ("dana", "Person", &["TCC"]),
    ("eve", "Person", &["TCC"]),
    ("sam", "Person", &["SRE", "TCC"]),
    ("alpha-bot", "Machine", &["ALPHA"]),
    ("sre-bot", "Machine", &["SRE"]),
];

/// Article X: CTK proposes, APXGP reviews, CEK ratifies; with TC they are two thirds of six.
pub const QUORUM: [(&str, Verb, &str); 5] = [
    ("tina", Verb::Author, "CTK"),
    ("anna", Verb::Approve, "APXGP"),
    ("carol", Verb::Approve, "CEK"),
    ("cyrus", Verb::Approve, "CEK"),
    ("theo", Verb::Approve, "TC"),
];

/// The organisation.
pub struct Org {
    keys: BTreeMap<&'static str, SigningKey>,
    pub charter: Value,
}

impl Org {
    /// Everybody, and the signed first charter.
    pub fn new() -> Self {
        let keys = (1..).zip(PRINCIPALS).map(|(seed, (name, ..))| (name, SigningKey::from_ed25519_seed(&[seed; 32])));
        let mut org = Self { keys: keys.collect(), charter: Value::Null };
        org.charter = org.charter_with(|_| {});
        org
    }

    /// The first charter after a change, signed by its founders.
    pub fn charter_with(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.unsigned_charter();
        change(&mut object);
        self.ratify(&mut object);
        object
    }

    /// The charter of this version after a change, not signed.
    pub fn amendment(&self, version: u64, change: impl FnOnce(&mut Value)) -> Value {
        let mut object = self.unsigned_charter();
        object["metadata"]["name"] = Value::from(format!("constitution-v{version}"));
        object["spec"]["version"] = Value::from(version);
        change(&mut object);
        object
    }

    /// Signatures of the usual quorum of an amendment, as name, verb and seat.
    pub fn ratify(&self, object: &mut Value) {
        for (name, verb, seat) in QUORUM {
            self.sign(object, name, verb, seat);
        }
    }

    fn unsigned_charter(&self) -> Value {
        let text = include_str!("../../config/charter/default.yaml");
        let mut object = parse_yaml_strict(text).expect("yaml").pop().expect("a document");
        let spec = &mut object["spec"];
        spec["audience"] = json!(["test"]);
        spec["expiresAt"] = Value::from(NOW.plus(Seconds(365 * 86_400)).to_string());
        spec["signatures"] = json!([]);
        spec["body"]["charter"]["clusters"] = json!([{"name": "test", "uid": CLUSTER}]);
        let principals = PRINCIPALS.iter().map(|(name, kind, seats)| {
            let key = self.keys[name].public().expect("public");
            json!({"name": name, "kind": kind, "seats": seats, "keys": [{"type": key.key_type().as_str(), "public": key.text()}]})
        });
        spec["body"]["charter"]["principals"] = principals.collect();
        object
    }

    /// Signs at [`NOW`].
    pub fn sign(&self, object: &mut Value, name: &str, verb: Verb, seat: &str) {
        self.sign_at(object, name, verb, seat, *NOW);
    }

    /// Signs at some time.
    pub fn sign_at(&self, object: &mut Value, name: &str, verb: Verb, seat: &str, at: UnixSeconds) {
        let key = &self.keys[name];
        let signature = signature(object, key, name, verb, seat, at);
        object["spec"]["signatures"].as_array_mut().expect("signatures").push(signature);
    }

    /// A command that scales shop/checkout to 3, signed by its author.
    pub fn command(&self, impact: &str) -> Value {
        let mut object = draft(impact);
        self.sign(&mut object, "alpha-bot", Verb::Author, "ALPHA");
        object
    }

    /// The critical command with all three approvals.
    pub fn approved(&self) -> Value {
        let mut object = self.command("Critical");
        for (name, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            self.sign(&mut object, name, Verb::Approve, seat);
        }
        object
    }

    /// State with the charter in force.
    pub fn state(&self) -> State {
        state_with(&self.charter)
    }

    /// The secret key of a principal.
    pub fn key(&self, name: &str) -> &SigningKey {
        &self.keys[name]
    }
}

/// The unsigned command.
pub fn draft(impact: &str) -> Value {
    json!({
        "apiVersion": "miax.dev/v1alpha1",
        "kind": "ControlCommand",
        "metadata": {"name": "scale", "namespace": "shop"},
        "spec": {
            "audience": ["test"],
            "action": {"type": "Scale", "scale": {
                "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}, "replicas": 3,
            }},
            "impact": impact,
            "reason": "sale",
            "expiresAt": NOW.plus(Seconds(3600)).to_string(),
            "signatures": [],
        },
    })
}

/// The bytes that an approval of the object at [`NOW`] is over.
pub fn statement_of(object: &Value, name: &str, seat: &str) -> Vec<u8> {
    signed_bytes(object, name, Verb::Approve, seat, *NOW)
}

fn signed_bytes(object: &Value, name: &str, verb: Verb, seat: &str, at: UnixSeconds) -> Vec<u8> {
    let kind = GovernedKind::from_kind(object["kind"].as_str().expect("kind")).expect("governed");
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let subject = Subject::new(kind.plural(), namespace, object["metadata"]["name"].as_str().expect("name"));
    let audience: Vec<String> = serde_json::from_value(object["spec"]["audience"].clone()).expect("audience");
    let digest = signed_view(object).expect("canonical").digest();
    let statement = Statement {
        subject: &subject,
        digest,
        verb,
        seat,
        principal: name,
        audience: &audience,
        signed_at: at,
        comment: None,
    };
    statement.signed_bytes().expect("bytes")
}

/// A signature over the object as it is.
pub fn signature(object: &Value, key: &SigningKey, name: &str, verb: Verb, seat: &str, at: UnixSeconds) -> Value {
    let (format, value) = key.sign(&signed_bytes(object, name, verb, seat, at)).expect("signed");
    json!({
        "principal": name, "verb": verb.as_str(), "seat": seat, "signedAt": at.to_string(),
        "key": key.public().expect("public").id().as_str(), "format": format.as_str(), "value": value,
    })
}

/// State after this charter came into force, folded as the sequencer does.
pub fn state_with(charter: &Value) -> State {
    let mut state = State::default();
    let mut facts = facts();
    facts.genesis = Some(Manifest::read(charter).expect("charter").document.digest);
    let outcome = deliberate(&Proposal::Adopt(Box::new(charter.clone())), &state, &facts);
    assert!(!outcome.events.is_empty(), "the charter is refused: {:?}", outcome.reply);
    apply(&mut state, &outcome.events);
    state
}

/// Applies events at the end of State, which is written down and read again: nothing may depend on how it came about.
pub fn apply(state: &mut State, events: &[Event]) {
    for event in events {
        let index: LogIndex = state.next_index();
        state.apply(index, event).expect("applies");
    }
    let text = |state: &State| serde_json::to_string(state).expect("JSON");
    let written = text(state);
    let read = State::from_json(&written).expect("reads back");
    assert_eq!(text(&read), written, "State reads back as it was");
    let sorted: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(sorted.to_string(), written, "keys are in their order");
    *state = read;
}

/// The usual facts: now, this cluster, the target is there.
pub fn facts() -> Facts {
    let target = TargetState { uid: "t".into(), generation: 4, resource_version: "9".into() };
    Facts {
        now: *NOW,
        cluster_uid: CLUSTER.into(),
        genesis: None,
        target: TargetFact::Found(target),
        budgets: Vec::new(),
    }
}

/// A request to create the object.
pub fn create(object: &Value) -> Request {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Request {
        uid: "u1".into(),
        operation: Operation::Create,
        kind: GovernedKind::from_kind(&text("/kind")).unwrap_or(GovernedKind::ControlCommand),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        object: Some(object.clone()),
        old: None,
        actor: "robot".into(),
    }
}
