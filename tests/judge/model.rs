//! Random commands, vetoes, revocations, amendments and restarts, beside a model that a person can check by reading it.

use std::collections::{BTreeMap, BTreeSet};

use miax::api::GovernedKind;
use miax::api::reason::Reason;
use miax::constitution::{
    Effect, EffectEndEvent, Event, Facts, ObjectRef, Proposal, Reply, State, TargetFact, deliberate, judge,
};
use miax::trust::{SigningKey, Verb, signed_view};
use miax::units::{Digest, LogIndex};
use serde_json::{Value, json};

use crate::org::{NOW, Org, PRINCIPALS, create, draft, facts, signature};

const STEPS: u32 = 10_000;
/// Who approves commands: two for each seat.
const PEOPLE: [(&str, &str); 6] =
    [("frank", "SRE"), ("fay", "SRE"), ("dana", "TCC"), ("eve", "TCC"), ("alma", "ALPHA"), ("alec", "ALPHA")];

/// The key of a person's n-th generation; 0 is the one of the first charter.
fn key(person: usize, generation: u8) -> SigningKey {
    let first = PRINCIPALS.iter().position(|(name, ..)| *name == PEOPLE[person].0).expect("a principal") + 1;
    let mut seed = [u8::try_from(first).expect("few"); 32];
    seed[31] = seed[31].wrapping_add(generation);
    SigningKey::from_ed25519_seed(&seed)
}

/// A command as the model sees it.
struct Submitted {
    object: Value,
    digest: Digest,
    /// Person and generation of each approval.
    signers: [(usize, u8); 3],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Open,
    Running(LogIndex),
    Over,
}

/// What a person would write on paper.
#[derive(Default)]
struct Model {
    version: u64,
    /// The generation that the charter in force lists, by person.
    listed: [u8; 6],
    revoked: BTreeSet<(usize, u8)>,
    vetoed: BTreeSet<usize>,
    stages: BTreeMap<usize, Stage>,
}

impl Model {
    fn verdict(&self, id: usize, command: &Submitted) -> Reason {
        if self.stages.get(&id).is_some_and(|s| *s != Stage::Open) {
            Reason::CommandConsumed
        } else if self.vetoed.contains(&id) {
            Reason::Vetoed
        } else if command.signers.iter().any(|s| self.revoked.contains(s)) {
            Reason::KeyRevoked
        } else if command.signers.iter().any(|(person, generation)| self.listed[*person] != *generation) {
            Reason::KeyUnknown
        } else {
            Reason::QuorumComplete
        }
    }
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).expect("small")).expect("small")
    }
}

struct World {
    org: Org,
    state: State,
    /// Every entry as the ledger stores it.
    entries: Vec<(String, serde_json::Map<String, Value>)>,
    model: Model,
    commands: Vec<Submitted>,
    dice: Dice,
    /// State as it was written down at the last restart.
    snapshot: Option<String>,
}

impl World {
    fn take(&mut self, proposal: &Proposal, facts: &Facts) -> Reply {
        let outcome = deliberate(proposal, &self.state, facts);
        for event in &outcome.events {
            self.state.apply(self.state.next_index(), event).expect("applies");
            self.entries.push((event.kind().to_owned(), event.fields().expect("fields")));
        }
        outcome.reply
    }

    /// A process dies; the next one knows what is in the ledger and nothing else. One that begins at a snapshot, which was taken
    /// at the restart before, comes to the same.
    fn restart(&mut self) {
        let fold = |mut state: State| {
            let begin = usize::try_from(state.next_index().0).expect("small");
            for (kind, fields) in &self.entries[begin..] {
                let event = Event::read(kind, fields.clone()).expect("reads back");
                state.apply(state.next_index(), &event).expect("applies");
            }
            state
        };
        let text = |state: &State| serde_json::to_string(state).expect("JSON");
        self.state = fold(State::default());
        let now = text(&self.state);
        if let Some(kept) = self.snapshot.replace(now.clone()) {
            let begin = State::from_json(&kept).expect("reads back");
            self.state = fold(begin);
            assert!(text(&self.state) == now, "the fold from a snapshot is another one");
        }
    }

    fn submit(&mut self) {
        let mut object = draft("Critical");
        object["metadata"]["name"] = json!(format!("c{}", self.commands.len()));
        self.org.sign(&mut object, "alpha-bot", Verb::Author, "ALPHA");
        let mut signers = [(0, 0); 3];
        for (seat, signer) in signers.iter_mut().enumerate() {
            let person = 2 * seat + self.dice.roll(2);
            let newest = self.model.listed[person];
            // Now and then somebody signs with an old key.
            let generation = if self.dice.roll(16) == 0 { newest.saturating_sub(1) } else { newest };
            let (name, organ) = PEOPLE[person];
            let key = key(person, generation);
            let one = signature(&object, &key, name, Verb::Approve, organ, *NOW);
            object["spec"]["signatures"].as_array_mut().expect("list").push(one);
            *signer = (person, generation);
        }
        let digest = signed_view(&object).expect("canonical").digest();
        self.commands.push(Submitted { object, digest, signers });
        self.check(self.commands.len() - 1);
    }

    fn some_command(&mut self) -> Option<usize> {
        // Mostly young ones: old ones are over.
        let count = self.commands.len();
        (count > 0).then(|| count - 1 - self.dice.roll(count.min(8)))
    }

    #[track_caller]
    fn check(&mut self, id: usize) {
        let command = &self.commands[id];
        let decision = judge(&create(&command.object), &self.state, &facts());
        let expected = self.model.verdict(id, command);
        assert_eq!(decision.reason(), expected, "c{id}: {}", decision.message());
    }

    fn begin(&mut self, id: usize) {
        let expected = self.model.verdict(id, &self.commands[id]);
        let at = self.state.next_index();
        match self.take(&Proposal::Begin(Box::new(self.commands[id].object.clone())), &facts()) {
            Reply::Begin(_) => {
                assert_eq!(expected, Reason::QuorumComplete, "c{id} began");
                self.model.stages.insert(id, Stage::Running(at));
            }
            Reply::Judged(decision) => assert_eq!(decision.reason(), expected, "c{id}"),
            Reply::Done | Reply::Passed | Reply::JudgedBefore(..) => unreachable!("a begin is begun or judged"),
        }
    }

    fn end(&mut self, id: usize) {
        let Some(Stage::Running(began)) = self.model.stages.get(&id).copied() else { return };
        let name = format!("c{id}");
        let object = ObjectRef::new(GovernedKind::ControlCommand, "shop", &name);
        let digest = self.commands[id].digest;
        let (reason, message) = (Reason::EffectDone, "done".to_owned());
        let end = EffectEndEvent { object, digest, began, reason, message, resource_version: None };
        self.take(&Proposal::End(Effect::Done(end)), &facts());
        self.model.stages.insert(id, Stage::Over);
    }

    /// Enacts a command of two people; whether it was allowed.
    fn enact(&mut self, action: Value, people: [(&str, &str); 2]) -> bool {
        let mut object = draft("Normal");
        object["metadata"]["name"] = json!(format!("s{}", self.entries.len()));
        object["spec"]["action"] = action;
        for ((name, seat), verb) in people.into_iter().zip([Verb::Author, Verb::Approve]) {
            self.org.sign(&mut object, name, verb, seat);
        }
        let facts = Facts { target: TargetFact::NotNamed, ..facts() };
        matches!(self.take(&Proposal::Enact(Box::new(object)), &facts), Reply::Done)
    }

    fn veto(&mut self, id: usize) {
        let command = self.commands[id].digest;
        let open = self.model.stages.get(&id) != Some(&Stage::Over) && !self.model.vetoed.contains(&id);
        let action = json!({"type": "Veto", "veto": {"command": command}});
        assert_eq!(self.enact(action, [("carol", "CEK"), ("cyrus", "CEK")]), open, "veto of c{id}");
        if open {
            self.model.vetoed.insert(id);
        }
    }

    fn revoke(&mut self, person: usize) {
        let generation = self.model.listed[person];
        let id = key(person, generation).public().expect("public").id();
        let fresh = self.model.revoked.insert((person, generation));
        let action = json!({"type": "RevokeKey", "revokeKey": {"key": id.as_str()}});
        assert_eq!(self.enact(action, [("tina", "CTK"), ("carol", "CEK")]), fresh, "revocation of {person}");
    }

    /// The next charter gives a new key to everybody whose key is revoked; sometimes its number is wrong.
    fn amend(&mut self) {
        let mut listed = self.model.listed;
        for (person, generation) in listed.iter_mut().enumerate() {
            if self.model.revoked.contains(&(person, *generation)) {
                *generation += 1;
            }
        }
        let version = self.model.version + [1, 1, 1, 0, 2][self.dice.roll(5)];
        let keys: Vec<Value> = (0..PEOPLE.len())
            .map(|person| {
                let public = key(person, listed[person]).public().expect("public");
                json!([{"type": public.key_type().as_str(), "public": public.text()}])
            })
            .collect();
        let mut object = self.org.amendment(version, |o| {
            let principals = o["spec"]["body"]["charter"]["principals"].as_array_mut().expect("list");
            for (person, keys) in keys.into_iter().enumerate() {
                let known = principals.iter_mut().find(|p| p["name"] == PEOPLE[person].0);
                known.expect("listed")["keys"] = keys;
            }
        });
        self.org.ratify(&mut object);
        let facts = Facts { target: TargetFact::NotNamed, ..facts() };
        let reply = self.take(&Proposal::Adopt(Box::new(object)), &facts);
        let adopted = matches!(reply, Reply::Done);
        // The same text under the same number is the charter in force, again.
        let same = version == self.model.version && listed == self.model.listed;
        assert_eq!(adopted, version == self.model.version + 1 || same, "version {version}: {reply:?}");
        if adopted {
            (self.model.version, self.model.listed) = (version, listed);
        }
    }

    fn step(&mut self) {
        let id = self.some_command();
        match (self.dice.roll(100), id) {
            (0..40, _) | (_, None) => self.submit(),
            (40..60, Some(id)) => self.begin(id),
            (60..80, Some(id)) => self.end(id),
            (80..84, Some(id)) => self.veto(id),
            (84..96, Some(id)) => self.check(id),
            (96, _) => {
                let person = self.dice.roll(PEOPLE.len());
                self.revoke(person);
            }
            (97, _) if self.dice.roll(4) == 0 => self.restart(),
            (98.., _) if self.model.listed.iter().all(|g| *g < 200) => self.amend(),
            (_, Some(id)) => self.check(id),
        }
    }
}

#[test]
fn ten_thousand_random_steps_agree_with_the_model() {
    let org = Org::new();
    // A post-mortem would stop the rule after five days; the clock of this test stands still.
    let state = org.state();
    let model = Model { version: 1, ..Model::default() };
    let mut world = World {
        state,
        entries: Vec::new(),
        model,
        commands: Vec::new(),
        dice: Dice(0x9E37_79B9_7F4A_7C15),
        snapshot: None,
        org,
    };
    // The founding is in the ledger too.
    let founding = deliberate(
        &Proposal::Adopt(Box::new(world.org.charter.clone())),
        &State::default(),
        &Facts { genesis: Some(signed_view(&world.org.charter).expect("canonical").digest()), ..facts() },
    );
    world.entries = founding.events.iter().map(|e| (e.kind().to_owned(), e.fields().expect("fields"))).collect();
    (0..STEPS).for_each(|_| world.step());
    world.restart();
    let ids: Vec<usize> = (0..world.commands.len()).collect();
    ids.into_iter().for_each(|id| world.check(id));
    let (model, commands) = (&world.model, world.commands.len());
    let over = model.stages.values().filter(|s| **s == Stage::Over).count();
    let seen = (model.version, model.revoked.len(), model.vetoed.len(), over);
    assert!(seen.0 > 20 && seen.1 > 20 && seen.2 > 200 && over > 150, "{commands} commands, {seen:?}");
}
