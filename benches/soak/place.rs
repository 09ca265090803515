//! Where the load runs: a control plane with Miax, a witness and two archives, and what is looked at there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax_cluster::{Component, ControlPlane, eventually_within, free_ports};
use miax_stage::{Binaries, Options, Stage};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::operators::{Operator, operators};

/// How long a command may take under load, and the archives after it.
const PATIENCE: Duration = Duration::from_secs(60);
const MIAX: &str = env!("CARGO_BIN_EXE_miax");
const OPERATOR: &str = env!("CARGO_BIN_EXE_miax-operator");

pub(crate) struct Place {
    stage: Stage,
    archives: [PathBuf; 2],
    key: String,
    unsigned: Value,
    _witness: Component,
}

/// What the ledger holds at the end: what is in the cluster, and before it what is in an archive.
pub(crate) struct Written {
    pub(crate) decisions: u64,
    pub(crate) counted: u64,
    pub(crate) doubled: u64,
    pub(crate) pruned: u64,
    pub(crate) archives: u32,
}

impl Place {
    pub(crate) fn prepare(cap: u64) -> Self {
        let [port] = free_ports().expect("a port");
        let secrets = std::env::temp_dir().join(format!("miax-soak-{}", std::process::id()));
        std::fs::create_dir_all(&secrets).expect("a directory");
        let (key, store) = (secrets.join("witness.key"), secrets.join("witness"));
        miax(&["key", "new", &key.display().to_string()]);
        let witness = |more: &[&str]| -> Vec<String> {
            let (key, store) = (key.display().to_string(), store.display().to_string());
            let fixed = ["ledger", "witness", "--key", &key, "--store", &store, "--name", "witness.example/soak"];
            fixed.iter().chain(more).map(|a| (*a).to_owned()).collect()
        };
        let init = witness(&["--init"]);
        let public = miax(&init.iter().map(String::as_str).collect::<Vec<_>>());
        let named = format!("--witness=http://127.0.0.1:{port}+{}", public.trim());
        let common = vec![named, "--witness-max-age=60s".to_owned(), format!("--ledger-cap={cap}")];
        let options = Options {
            binaries: Binaries { miax: MIAX.into(), operator: OPERATOR.into() },
            plane: ControlPlane::builder(),
            webhook_arguments: Vec::new(),
            common_arguments: common,
        };
        let mut stage = Stage::raise(options).expect("the stage is up");
        let head: Value =
            serde_json::from_str(&stage.cli().run(&["ledger", "head", "-o", "json"]).expect("head")).expect("json");
        let log = head["key"].as_str().expect("a key").to_owned();
        let arguments = witness(&["--listen", &format!("127.0.0.1:{port}"), "--log", &log]);
        let running = stage.plane().spawn("witness", MIAX.as_ref(), &arguments).expect("a witness starts");
        let archives = ["cold", "far"].map(|name| {
            let directory = stage.plane().directory().join(format!("archive-{name}"));
            std::fs::create_dir(&directory).expect("a directory");
            directory
        });
        allow_pruning(&stage);
        let named = ["cold", "far"].iter().zip(&archives);
        let mut more: Vec<String> =
            named.map(|(name, path)| format!("--archive={name}=file://{}", path.display())).collect();
        more.extend(["--archive-patience=1", "--prune", "--keep-blocks=64"].map(str::to_owned));
        stage.controller.terminate();
        stage.restart_controller_with(&more).expect("the controller starts");
        stage.adopt_charter().expect("the charter is in force");
        let kubectl = stage.plane().kubectl();
        kubectl.run(&["create", "namespace", "shop"]).expect("a namespace");
        let deployment = ["-n", "shop", "create", "deployment", "checkout", "--image", "registry.example/checkout:1"];
        kubectl.run(&deployment).expect("a deployment");
        let unsigned = draft(&stage, "unsigned", 2);
        let unsigned = std::fs::read_to_string(stage.file(&unsigned)).expect("drafted");
        let unsigned = miax::trust::parse_yaml_strict(&unsigned).expect("yaml").pop().expect("a document");
        Self { stage, archives, key: log, unsigned, _witness: running }
    }

    pub(crate) fn port(&self) -> u16 {
        self.stage.webhook_port()
    }

    /// A command without signatures, as the API server sends it.
    pub(crate) fn unsigned(&self) -> Value {
        self.unsigned.clone()
    }

    /// What believes the webhook's authority.
    pub(crate) fn tls(&self) -> Arc<rustls::ClientConfig> {
        let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        let get = ["get", "validatingwebhookconfiguration", "miax-governed", "-o", path];
        let bundle = STANDARD.decode(self.stage.plane().kubectl().run(&get).expect("a bundle").trim()).expect("base64");
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&bundle) {
            roots.add(certificate.expect("PEM")).expect("a root");
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        Arc::new(builder.expect("versions").with_root_certificates(roots).with_no_client_auth())
    }

    /// Submits a command with all its signatures; gives how long it took from the request to its effect.
    pub(crate) fn command(&self, number: u32) -> Option<Duration> {
        let (name, replicas) = (format!("command-{number}"), 2 + number % 7);
        let file = draft(&self.stage, &name, replicas);
        let organisation = self.stage.organisation();
        organisation.sign("sign", &file, "alpha-bot", "ALPHA").expect("signed");
        for (who, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            organisation.sign("approve", &file, who, seat).expect("approved");
        }
        let (kubectl, started) = (self.stage.plane().kubectl(), Instant::now());
        let apply = ["apply", "-f", &self.stage.file(&file)];
        let path = "jsonpath={.status.conditions[?(@.type==\"Succeeded\")].status}";
        let get = ["-n", "shop", "get", "controlcommand", &name, "-o", path];
        let done = || {
            let there = kubectl.run(&get).ok();
            match there.as_deref().map(str::trim) {
                Some("True") => Some(()),
                Some(_) => None,
                None => kubectl.run(&apply).ok().and(None),
            }
        };
        eventually_within(PATIENCE, done).map(|()| started.elapsed())
    }

    /// Bytes of the blocks that are in the cluster, as they are stored.
    pub(crate) fn hot_bytes(&self) -> u64 {
        let list = self.stage.plane().kubectl().run(&["get", "--raw", "/api/v1/namespaces/miax-ledger/configmaps"]);
        let list: Value = serde_json::from_str(&list.expect("listed")).expect("json");
        let text = |value: &Value| value.as_str().map_or(0, str::len);
        let decoded = |value: &Value| text(value) / 4 * 3;
        let of = |map: &Value| {
            let (data, binary) = (&map["data"], &map["binaryData"]);
            text(&data["header"]) + text(&data["seal"]) + decoded(&binary["entries"]) + decoded(&binary["edge"])
        };
        let items = list["items"].as_array().expect("items");
        items
            .iter()
            .filter(|i| i["metadata"]["name"].as_str().is_some_and(|n| n.starts_with("ecm-")))
            .map(of)
            .sum::<usize>() as u64
    }

    /// Resident memory of the webhook and of the controller, in bytes.
    pub(crate) fn memory(&self) -> [u64; 2] {
        let directory = self.stage.plane().directory();
        ["webhook", "controller"].map(|role| operators(role, directory).iter().map(Operator::resident).sum())
    }

    /// Ends the webhook and starts another; gives how long it took until that was ready, its process included.
    pub(crate) fn cold_start(&mut self) -> Duration {
        self.stage.webhook.terminate();
        let started = Instant::now();
        self.stage.restart_webhook().expect("it begins at the snapshot");
        started.elapsed()
    }

    /// Waits until what was told is in the ledger, and reads both archives.
    pub(crate) fn settle(self, told: u64) -> Written {
        let count = |written: &Written| written.decisions + written.counted >= told;
        let written = eventually_within(PATIENCE * 2, || self.written().filter(count));
        if written.is_none() {
            println!("{}\n{}", self.stage.webhook.log(), self.stage.controller.log());
        }
        let mut written = written.or_else(|| self.written()).expect("the ledger can be read");
        let verifies = |path: &Path| {
            let arguments = ["ledger", "verify", &path.display().to_string(), "--key", &self.key];
            self.stage.cli().ask(&arguments).is_ok_and(|output| output.ok)
        };
        written.archives = u32::try_from(self.archives.iter().filter(|path| verifies(path)).count()).expect("two");
        written
    }

    fn written(&self) -> Option<Written> {
        let place = self.archives.first()?.display().to_string();
        let list = ["ledger", "list", "--archive", &place, "--key", &self.key, "-o", "json"];
        let entries: Vec<Value> = serde_json::from_str(&self.stage.cli().run(&list).ok()?).ok()?;
        let ours = |e: &&Value| e["actor"].as_str().is_some_and(|a| a.starts_with("soak-"));
        let decided: Vec<&Value> = entries.iter().filter(|e| e["kind"] == "decision").filter(ours).collect();
        let uids: BTreeSet<&str> = decided.iter().filter_map(|e| e["request"].as_str()).collect();
        let floods = entries.iter().filter(|e| e["kind"] == "flood");
        let pruned = entries.iter().filter(|e| e["kind"] == "prune");
        Some(Written {
            decisions: decided.len() as u64,
            counted: floods.filter_map(|e| e["count"].as_u64()).sum(),
            doubled: (decided.len() - uids.len()) as u64,
            pruned: pruned.filter_map(|e| e["block"].as_u64()).max().unwrap_or(0),
            archives: 0,
        })
    }
}

fn miax(arguments: &[&str]) -> String {
    let output = Command::new(MIAX).args(arguments).output().expect("miax runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn draft(stage: &Stage, name: &str, replicas: u32) -> String {
    let (file, replicas) = (format!("{name}.yaml"), replicas.to_string());
    let action = ["draft", "scale", "deployment/checkout", "--replicas", &replicas, "-n", "shop", "--audience", "demo"];
    let more = ["--impact", "Critical", "--reason", "soak", "--name", name, "--out", &file];
    stage.cli().run(&[&action[..], &more].concat()).expect("drafted");
    file
}

/// Lets the controllers delete what is archived.
fn allow_pruning(stage: &Stage) {
    let url = format!("https://127.0.0.1:{}", stage.webhook_port());
    let output = Command::new(OPERATOR).args(["manifests", "--url", &url, "--prune"]).output().expect("runs");
    let manifests = String::from_utf8(output.stdout).expect("UTF-8");
    stage.plane().kubectl().run_with(&["apply", "--server-side", "-f", "-"], &manifests).expect("applied");
}
