//! The cluster's verdict before anything is submitted, and long after: `miax simulate` and `miax test` say what the webhook
//! says, word for word, and `miax ledger replay` gets from every entry what the entry says.

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::trust::{parse_yaml_strict, to_yaml};
use miax_cluster::Output;
use miax_stage::Stage;
use serde_json::{Value, json};

use crate::support::{accepts, approve, approved, draft, entries, rejects, scale, stage, wait_done};

/// Documents, each under a name that says what becomes of it: `<kind>-<what>-ok.yaml` or `<kind>-<what>-denied-<Reason>.yaml`.
struct Fixtures<'a> {
    stage: &'a Stage,
    files: Vec<(String, Value)>,
}

fn read(stage: &Stage, file: &str) -> Value {
    let text = std::fs::read_to_string(stage.file(file)).expect(file);
    parse_yaml_strict(&text).expect(file).pop().expect("a document")
}

impl Fixtures<'_> {
    /// A document after a change, with the target as the command wants it.
    fn add(&mut self, from: &str, name: &str, change: impl FnOnce(&mut Value)) {
        self.add_with(from, name, Value::Null, change);
    }

    /// The same with the target as a suite writes it.
    fn add_with(&mut self, from: &str, name: &str, target: Value, change: impl FnOnce(&mut Value)) {
        let mut object = read(self.stage, from);
        change(&mut object);
        let file = format!("fixtures/{name}.yaml");
        std::fs::write(self.stage.file(&file), to_yaml(&object)).expect("written");
        self.files.push((file, target));
    }

    fn add_commands(&mut self) {
        let (stage, organisation) = (self.stage, self.stage.organisation());
        let sign = |file: &str, signatures: &[(&str, &str, &str)]| {
            signatures.iter().for_each(|(verb, who, seat)| {
                organisation.sign(verb, file, who, seat).expect("signed");
            });
        };
        let good = approved(stage, "good", &scale("3"));
        self.add(&good, "controlcommand-good-ok", |_| {});
        self.add(&good, "controlcommand-changed-denied-SignatureInvalid", |o| {
            o["spec"]["action"]["scale"]["replicas"] = json!(4);
        });
        self.add(&good, "controlcommand-foreign-denied-AudienceForeign", |o| o["spec"]["audience"] = json!(["prod"]));
        self.add(&good, "controlcommand-stranger-denied-PrincipalUnknown", |o| {
            o["spec"]["signatures"][1]["principal"] = json!("nobody");
        });
        self.add(&good, "controlcommand-borrowed-denied-KeyOfAnotherPrincipal", |o| {
            let key = o["spec"]["signatures"][2]["key"].clone();
            o["spec"]["signatures"][1]["key"] = key;
        });
        self.add(&good, "controlcommand-late-denied-Expired", |o| {
            o["spec"]["expiresAt"] = json!("2026-01-01T00:00:00Z");
        });
        self.add(&good, "controlcommand-early-denied-NotYetValid", |o| {
            o["spec"]["notBefore"] = json!("2098-01-01T00:00:00Z");
            o["spec"]["expiresAt"] = json!("2099-01-01T00:00:00Z");
        });
        self.add(&good, "controlcommand-elsewhere-denied-TargetInOtherNamespace", |o| {
            o["spec"]["action"]["scale"]["target"]["namespace"] = json!("bank");
        });
        self.add(&good, "controlcommand-generated-denied-NameInvalid", |o| {
            o["metadata"] = json!({"generateName": "good-", "namespace": "shop"});
        });
        let unsigned = draft(stage, "unsigned", &scale("3"));
        self.add(&unsigned, "controlcommand-unsigned-denied-Unsigned", |_| {});
        sign(&unsigned, &[("sign", "alpha-bot", "ALPHA"), ("approve", "frank", "SRE")]);
        self.add(&unsigned, "controlcommand-partly-denied-SeatsMissing", |_| {});
        sign(&unsigned, &[("approve", "sam", "SRE"), ("approve", "sam", "TCC"), ("approve", "alma", "ALPHA")]);
        self.add(&unsigned, "controlcommand-twice-denied-DuplicatePrincipal", |_| {});
        let objected = approved(stage, "objected", &scale("3"));
        sign(&objected, &[("object", "eve", "TCC")]);
        self.add(&objected, "controlcommand-objected-denied-ObjectionPresent", |_| {});
        let gone = approved(stage, "gone", &["scale", "deployment/nowhere", "--replicas", "3"]);
        self.add_with(&gone, "controlcommand-gone-denied-TargetMissing", json!("missing"), |_| {});
        let path = ["-n", "shop", "get", "deployment", "checkout", "-o", "jsonpath={.metadata.generation}"];
        let generation: i64 = stage.plane().kubectl().run(&path).expect("there").trim().parse().expect("a number");
        for (name, wanted, becomes) in
            [("exact", generation, "ok"), ("moved", generation + 1, "denied-PreconditionFailed")]
        {
            let file = draft(stage, name, &scale("3"));
            let mut object = read(stage, &file);
            object["spec"]["precondition"] = json!({"generation": wanted});
            std::fs::write(stage.file(&file), to_yaml(&object)).expect("written");
            approve(stage, &file);
            let target = json!({"generation": generation});
            self.add_with(&file, &format!("controlcommand-{name}-{becomes}"), target, |_| {});
        }
    }

    fn add_manifests(&mut self) {
        let next = self.stage.cli().run(&["charter", "next", "-f", "constitution-v1.yaml"]).expect("drafted");
        self.add(next.trim(), "manifest-next-denied-Unsigned", |_| {});
        self.add("constitution-v1.yaml", "manifest-same-ok", |_| {});
        self.add("constitution-v1.yaml", "manifest-other-denied-VersionReused", |o| {
            o["spec"]["authority"] = json!("CTK")
        });
        self.add("constitution-v1.yaml", "manifest-skipped-denied-VersionNotNext", |o| {
            o["metadata"]["name"] = json!("constitution-v3");
            o["spec"]["version"] = json!(3);
        });
        self.add("constitution-v1.yaml", "manifest-misnamed-denied-NameInvalid", |o| {
            o["metadata"]["name"] = json!("constitution");
        });
    }
}

/// The reason that a fixture's name tells; `None` when it is allowed.
fn named_reason(file: &str) -> Option<&str> {
    let stem = file.strip_suffix(".yaml").expect("yaml");
    assert!(stem.ends_with("-ok") || stem.contains("-denied-"), "{file}: its name says what becomes of it");
    stem.rsplit_once("-denied-").map(|(_, reason)| reason)
}

/// The webhook's words, by a dry run; nothing when it allows.
fn webhook(stage: &Stage, file: &str) -> Option<String> {
    let arguments = ["create", "--dry-run=server", "-f", &stage.file(file)];
    let Output { ok, stderr, .. } = stage.plane().kubectl().ask(&arguments, "").expect("kubectl runs");
    // A dry run of an object that is stored already is allowed by the webhook and then a conflict.
    let allowed = ok || stderr.contains("AlreadyExists");
    (!allowed).then(|| stderr.split_once("denied the request: ").expect(&stderr).1.trim().to_owned())
}

/// The words of `miax simulate`; nothing when it allows.
fn simulate(stage: &Stage, file: &str, more: &[&str]) -> Option<String> {
    let Output { stdout, stderr, .. } =
        stage.cli().ask(&[&["simulate", "-f", file], more].concat()).expect("miax runs");
    let (verdict, words) = stdout.split_once('\n').expect(&stderr);
    assert!(["allowed", "refused"].contains(&verdict), "{stdout}{stderr}");
    (verdict == "refused").then(|| words.trim().to_owned())
}

/// What a suite's target and time are on the command line of `miax simulate`.
fn options(target: &Value, at: Option<&str>) -> Vec<String> {
    let mut options = match (target.as_str(), target["generation"].as_i64()) {
        (Some(_), _) => vec!["--target-missing".to_owned()],
        (None, Some(generation)) => vec!["--target-generation".to_owned(), generation.to_string()],
        (None, None) => Vec::new(),
    };
    options.extend(at.iter().flat_map(|at| ["--at".to_owned(), (*at).to_owned()]));
    options
}

/// The time at which the webhook judged, where its words tell it: they count seconds.
fn told_time(words: &str) -> Option<&str> {
    words.split_once("; it is ")?.1.split_once(" now").map(|(time, _)| time)
}

/// Keeps the ledger as a file; gives the log's key.
fn dump(stage: &Stage, file: &str) -> String {
    let list = stage.plane().kubectl().run(&["get", "configmap", "-n", "miax-ledger", "-o", "json"]).expect("dumped");
    std::fs::write(stage.file(file), list).expect("written");
    let head = stage.cli().run(&["ledger", "head", "-o", "json"]).expect("head");
    serde_json::from_str::<Value>(&head).expect("json")["key"].as_str().expect("key").to_owned()
}

#[test]
fn webhook_and_simulate_agree_on_every_fixture() {
    let stage = stage();
    std::fs::create_dir(stage.file("fixtures")).expect("directory");
    let mut fixtures = Fixtures { stage: &stage, files: Vec::new() };
    let used = approved(&stage, "used", &scale("2"));
    accepts(&stage, &used);
    wait_done(&stage, "used");
    stage.plane().kubectl().run(&["-n", "shop", "delete", "mxcmd", "used"]).expect("deleted");
    fixtures.add(&used, "controlcommand-used-denied-CommandConsumed", |_| {});
    fixtures.add_commands();
    fixtures.add_manifests();
    let before = entries(&stage).len();

    let mut cases = Vec::new();
    for (file, target) in &fixtures.files {
        let words = webhook(&stage, file);
        let reason = words.as_ref().map(|w| w.split_once(": ").expect(w).0.to_owned());
        assert_eq!(reason.as_deref(), named_reason(file), "{file}: {words:?}");
        let at = words.as_deref().and_then(told_time);
        let options = options(target, at);
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        assert_eq!(simulate(&stage, file, &options), words, "{file}");
        let expect = json!({"allowed": words.is_none(), "reason": reason, "message": words});
        cases.push(json!({"name": file, "file": file, "target": target, "at": at, "expect": expect}));
    }
    assert_eq!(entries(&stage).len(), before, "nothing was recorded");

    // Away from the cluster, from a dump, the suite of the webhook's own answers holds, and so does simulate.
    let key = dump(&stage, "dump.json");
    let suite = json!({"ledger": "dump.json", "key": key, "cases": cases});
    std::fs::write(stage.file("webhook.suite.yaml"), to_yaml(&suite)).expect("written");
    let report = stage.cli().ask(&["test", "webhook.suite.yaml"]).expect("miax runs");
    assert!(report.ok, "{}{}", report.stdout, report.stderr);
    assert!(report.stdout.contains(&format!("{} ok, 0 failed", cases.len())), "{}", report.stdout);
    let good = "fixtures/controlcommand-good-ok.yaml";
    assert_eq!(simulate(&stage, good, &["--dump", "dump.json", "--key", &key]), None);
}

/// Replays a dump as people do away from the cluster; gives the exit code and what it said.
fn replay(stage: &Stage, dump: &str, key: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_miax"))
        .args(["ledger", "replay", "--dump", &stage.file(dump), "--key", key, "--documents", &stage.file("kept")])
        .output()
        .expect("miax runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// A bundle with its first refusal turned into an approval.
fn forge(packed: &[u8]) -> Option<Vec<u8>> {
    let bundle = zstd::bulk::decompress(packed, 1 << 24).expect("inflates");
    let (mut rest, mut forged, mut found) = (bundle.as_slice(), Vec::new(), false);
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(u16::from_be_bytes(*length).into());
        let text = std::str::from_utf8(entry).expect("UTF-8");
        let changed =
            if found { text.to_owned() } else { text.replacen("\"verdict\":\"Deny\"", "\"verdict\":\"Allow\"", 1) };
        found |= changed != text;
        forged.extend(u16::try_from(changed.len()).expect("short").to_be_bytes());
        forged.extend(changed.as_bytes());
        rest = after;
    }
    found.then(|| zstd::bulk::compress(&forged, 3).expect("packs"))
}

#[test]
fn every_decision_of_a_cluster_is_judged_again_and_is_the_same() {
    let stage = stage();
    let organisation = stage.organisation();
    std::fs::create_dir(stage.file("kept")).expect("directory");
    let keep = |file: &str, name: &str| {
        std::fs::copy(stage.file(file), stage.file(&format!("kept/{name}.yaml"))).expect("copied");
    };
    let file = draft(&stage, "first", &scale("3"));
    organisation.sign("sign", &file, "alpha-bot", "ALPHA").expect("signed");
    keep(&file, "partly");
    rejects(&stage, &file, "SeatsMissing");
    for (who, seat) in crate::support::APPROVALS {
        organisation.sign("approve", &file, who, seat).expect("approved");
    }
    keep(&file, "first");
    accepts(&stage, &file);
    wait_done(&stage, "first");
    accepts(&stage, &file);
    organisation.sign("approve", &file, "fay", "SRE").expect("approved");
    keep(&file, "more");
    rejects(&stage, &file, "CommandConsumed");
    stage.plane().kubectl().run(&["-n", "shop", "delete", "mxcmd", "first"]).expect("deleted");
    rejects(&stage, &file, "CommandConsumed");
    let public = std::fs::read_to_string(stage.file("dana.pub")).expect("key");
    let key = miax::trust::PublicKey::parse(miax::trust::KeyType::SshEd25519, public.trim()).expect("key").id();
    let fixed = ["--reason", "lost", "--audience", "demo", "--name", "lost", "--out", "lost.yaml"];
    stage.cli().run(&[&["draft", "revoke-key", key.as_str()], &fixed[..]].concat()).expect("drafted");
    organisation.sign("sign", "lost.yaml", "dana", "TCC").expect("signed");
    keep("lost.yaml", "lost");
    accepts(&stage, "lost.yaml");
    stage.wait_for("controlcommand/lost", &["-n", "miax-system"], "Succeeded").expect("revoked");
    let late = approved(&stage, "late", &scale("4"));
    keep(&late, "late");
    rejects(&stage, &late, "KeyRevoked");

    let online = stage.cli().run(&["ledger", "replay", "--documents", "kept", "-o", "json"]).expect("all the same");
    let online: Value = serde_json::from_str(&online).expect("json");
    let judged = entries(&stage)
        .iter()
        .filter(|e| ["decision", "adopt", "effect.begin", "enact"].contains(&e["kind"].as_str().expect("kind")))
        .count();
    // The charter twice, seven decisions about commands, a begin and an enactment.
    assert_eq!((&online["same"], judged), (&json!(judged), 11), "{online}");

    let key = dump(&stage, "dump.json");
    let (code, said) = replay(&stage, "dump.json", &key);
    assert_eq!(code, Some(0), "{said}");
    let text = std::fs::read_to_string(stage.file("kept/partly.yaml")).expect("kept");
    std::fs::write(stage.file("kept/partly.yaml"), text.replace("replicas: 3", "replicas: 30")).expect("written");
    let (code, said) = replay(&stage, "dump.json", &key);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("10 re-judged and the same, 0 differ, 1 without a document"), "{said}");

    let mut list: Value =
        serde_json::from_str(&std::fs::read_to_string(stage.file("dump.json")).expect("dump")).expect("json");
    let blocks =
        list["items"].as_array_mut().expect("items").iter_mut().filter_map(|o| o.pointer_mut("/binaryData/entries"));
    let forged = blocks.into_iter().find_map(|entries| {
        let bytes = forge(&STANDARD.decode(entries.as_str().expect("text")).expect("base64"))?;
        *entries = STANDARD.encode(bytes).into();
        Some(())
    });
    assert!(forged.is_some(), "a refusal was there");
    std::fs::write(stage.file("forged.json"), list.to_string()).expect("written");
    let (code, said) = replay(&stage, "forged.json", &key);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the ledger does not verify"), "{said}");
}
