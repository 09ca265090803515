//! The end-to-end test with real pods: the operator from its Helm chart, in the image that the Dockerfile's steps build.
//!
//! Usage: `miax-pods PATH_OF_THE_STATIC_OPERATOR`; Linux and root.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

use miax_cluster::{ClusterError, File, Kubectl, Node, Output, Tool, binary, eventually_within};
use miax_stage::{Binaries, Cli, Organisation, StageError};

const IMAGE: &str = "docker.io/library/miax:0.1.0";
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/miax");
/// Pods start in seconds; a first one on a busy machine takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// A workload with real pods: the image is the node's own.
const SHOP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: checkout, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      dnsPolicy: Default
      terminationGracePeriodSeconds: 0
      containers: [{name: checkout, image: "docker.io/local/pause:1", imagePullPolicy: Never}]
"#;

struct Story {
    node: Node,
    cli: Cli,
    organisation: Organisation,
}

fn wrong(what: &str, found: impl Into<String>) -> StageError {
    StageError::Command { command: what.to_owned(), what: found.into() }
}

fn say(step: &str) {
    println!("== {step}");
}

impl Story {
    fn begin(operator: &Path) -> Result<Self, StageError> {
        say("a node with real pods");
        let node = Node::start()?;
        let content = std::fs::read(operator)
            .map_err(|source| StageError::Io { what: operator.display().to_string(), source })?;
        node.load_image(IMAGE, &[File { path: "miax-operator".into(), content }])?;
        let directory = node.plane().directory().join("organisation");
        std::fs::create_dir(&directory).map_err(|source| StageError::Io { what: "organisation".into(), source })?;
        let cli = Cli::new(&Binaries::beside_me()?, &directory, node.plane().kubeconfig());
        let uid = node.plane().kubectl().run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"])?;
        let organisation = Organisation::found(&directory, &cli, uid.trim())?;
        Ok(Self { node, cli, organisation })
    }

    fn kubectl(&self) -> &Kubectl {
        self.node.plane().kubectl()
    }

    fn helm(&self, arguments: &[&str]) -> Result<(), StageError> {
        let run = Command::new(binary(Tool::Helm)?)
            .arg("--kubeconfig")
            .arg(self.node.plane().kubeconfig())
            .args(arguments)
            .output()
            .map_err(|source| StageError::Io { what: "helm".into(), source })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if run.status.success() { Ok(()) } else { Err(wrong("helm", text(&run.stderr) + &self.pods())) }
    }

    /// What the operator's pods say, for an error.
    fn pods(&self) -> String {
        let show = |arguments: &[&str]| self.kubectl().run(arguments).unwrap_or_default();
        let system = ["-n", "miax-system"];
        [
            show(&[&system[..], &["get", "pods", "-o", "wide"]].concat()),
            show(&[&system[..], &["get", "events"]].concat()),
            show(&[&system[..], &["logs", "-l", "app.kubernetes.io/name=miax", "--prefix", "--tail=10"]].concat()),
        ]
        .join("\n")
    }

    /// Waits until a field is as expected.
    fn wait(&self, arguments: &[&str], expected: &str) -> Result<(), StageError> {
        let get = || self.kubectl().run(arguments).ok();
        let found = eventually_within(PATIENCE, || get().filter(|text| text.trim() == expected));
        let command = arguments.join(" ");
        found.map(drop).ok_or_else(|| wrong(&command, format!("{:?} instead of {expected}\n{}", get(), self.pods())))
    }

    fn file(&self, name: &str) -> String {
        self.organisation.file(name).display().to_string()
    }

    fn install(&self) -> Result<(), StageError> {
        say("helm install, two replicas of each role");
        let genesis = format!("genesis={}", self.organisation.genesis());
        let values = ["--set", &genesis, "--set", "image.pullPolicy=Never", "--wait", "--timeout", "3m"];
        let fixed = ["install", "miax", CHART, "-n", "miax-system", "--create-namespace"];
        self.helm(&[&fixed[..], &values].concat())?;
        let bundle = [
            "get",
            "validatingwebhookconfiguration",
            "miax-governed",
            "-o",
            "jsonpath={.webhooks[0].clientConfig.caBundle}",
        ];
        let known = eventually_within(PATIENCE, || self.kubectl().run(&bundle).ok().filter(|b| !b.is_empty()));
        known.ok_or_else(|| wrong("helm install", format!("no caBundle\n{}", self.pods())))?;
        self.reachable()?;
        self.kubectl().run(&["apply", "--server-side", "-f", &self.file("constitution-v1.yaml")])?;
        let active = r#"jsonpath={.status.conditions[?(@.type=="Active")].status}"#;
        self.wait(&["get", "mxman", "constitution-v1", "-o", active], "True")
    }

    /// Waits until the node routes the webhook's Service: kube-proxy learns of ready pods a moment after `helm --wait` does, and
    /// until then a connection is refused. Only that is waited for; any verdict of the webhook ends it.
    fn reachable(&self) -> Result<(), StageError> {
        let file = self.file("constitution-v1.yaml");
        let ask = || self.kubectl().ask(&["apply", "--server-side", "--dry-run=server", "-f", &file], "").ok();
        let unreachable = |output: &Output| output.stderr.contains("failed calling webhook");
        let answered = eventually_within(PATIENCE, || ask().filter(|output| !unreachable(output)));
        answered.map(drop).ok_or_else(|| wrong("the webhook's Service", self.pods()))
    }

    /// Drafts, signs and applies a command that scales shop/checkout.
    fn command(&self, name: &str, replicas: &str) -> Result<String, StageError> {
        let file = format!("{name}.yaml");
        self.cli.run(&[
            "draft",
            "scale",
            "deployment/checkout",
            "-n",
            "shop",
            "--replicas",
            replicas,
            "--impact",
            "Critical",
            "--reason",
            "e2e",
            "--audience",
            "demo",
            "--name",
            name,
            "--out",
            &file,
        ])?;
        self.organisation.sign("sign", &file, "alpha-bot", "ALPHA")?;
        for (person, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            self.organisation.sign("approve", &file, person, seat)?;
        }
        Ok(file)
    }

    fn ready_replicas(&self, expected: &str) -> Result<(), StageError> {
        let get = ["-n", "shop", "get", "deployment", "checkout", "-o", "jsonpath={.status.readyReplicas}"];
        self.wait(&get, expected)
    }

    fn govern(&self) -> Result<(), StageError> {
        say("an unsigned command is refused, an approved one makes three real pods");
        self.kubectl().run_with(&["apply", "-f", "-"], SHOP)?;
        self.ready_replicas("1")?;
        let file = self.command("to-three", "3")?;
        let text = std::fs::read_to_string(self.file(&file))
            .map_err(|source| StageError::Io { what: file.clone(), source })?;
        let unsigned = text.split("  signatures:").next().unwrap_or_default().replace("to-three", "unsigned");
        let Output { ok, stderr, .. } = self.kubectl().ask(&["apply", "-f", "-"], &unsigned)?;
        if ok || !stderr.contains("Unsigned") {
            return Err(wrong("an unsigned command", stderr));
        }
        self.kubectl().run(&["apply", "-f", &self.file(&file)])?;
        self.ready_replicas("3")
    }

    fn drills(&self) -> Result<(), StageError> {
        say("a rolling restart of the webhook refuses nobody");
        let mut rollout = Command::new(binary(Tool::Kubectl)?);
        rollout.arg("--kubeconfig").arg(self.node.plane().kubeconfig());
        self.kubectl().run(&["-n", "miax-system", "rollout", "restart", "deployment/miax-webhook"])?;
        let mut waiting = rollout
            .args(["-n", "miax-system", "rollout", "status", "deployment/miax-webhook", "--timeout=120s"])
            .spawn()
            .map_err(|source| StageError::Io { what: "kubectl".into(), source })?;
        let mut asked = 0;
        while waiting.try_wait().is_ok_and(|status| status.is_none()) {
            let dry_run = ["apply", "--dry-run=server", "-f", &self.file("constitution-v1.yaml"), "--server-side"];
            let labelled = ["label", "mxman", "constitution-v1", &format!("round=r{asked}"), "--overwrite"];
            self.kubectl().run(&dry_run)?;
            self.kubectl().run(&labelled)?;
            asked += 1;
        }
        println!("   {asked} rounds of two requests during the restart, none refused");

        say("all pods of the operator gone: refused, not allowed; back again: allowed");
        self.kubectl().run(&["-n", "miax-system", "scale", "deployment/miax-webhook", "--replicas=0"])?;
        let pods = ["-n", "miax-system", "get", "pods", "-l", "app.kubernetes.io/component=webhook", "-o", "name"];
        self.wait(&pods, "")?;
        let file = self.command("to-two", "2")?;
        let Output { ok, stderr, .. } = self.kubectl().ask(&["apply", "-f", &self.file(&file)], "")?;
        if ok || !stderr.contains("failed calling webhook") {
            return Err(wrong("a command without a webhook", stderr));
        }
        self.kubectl().run(&["-n", "miax-system", "scale", "deployment/miax-webhook", "--replicas=2"])?;
        let applied = eventually_within(PATIENCE, || self.kubectl().run(&["apply", "-f", &self.file(&file)]).ok());
        applied.ok_or_else(|| wrong("a command after the webhook is back", self.pods()))?;
        self.ready_replicas("2")
    }

    fn uninstall(&self) -> Result<(), StageError> {
        say("helm uninstall removes the webhook and keeps the ledger");
        let before = self.cli.run(&["ledger", "list"])?;
        let anchor = self.kubectl().run(&["-n", "miax-system", "get", "configmap", "miax-checkpoint", "-o", "yaml"])?;
        self.helm(&["uninstall", "miax", "-n", "miax-system", "--wait"])?;
        let Output { ok, .. } = self.kubectl().ask(&["get", "validatingwebhookconfiguration", "miax-governed"], "")?;
        if ok {
            return Err(wrong("helm uninstall", "the webhook configuration is still there"));
        }
        let dump = self.kubectl().run(&["-n", "miax-ledger", "get", "configmap", "-o", "yaml"])?;
        let write = |name: &str, text: &str| {
            std::fs::write(self.organisation.file("dump").join(name), text)
                .map_err(|source| StageError::Io { what: name.to_owned(), source })
        };
        std::fs::create_dir(self.organisation.file("dump"))
            .map_err(|source| StageError::Io { what: "dump".into(), source })?;
        write("ledger.yaml", &dump)?;
        write("anchor.yaml", &anchor)?;
        print!("{}", self.cli.run(&["ledger", "verify", "dump"])?);
        if !before.contains("effect.done") {
            return Err(wrong("miax ledger list", before));
        }
        Ok(())
    }
}

fn pods(operator: &Path) -> Result<(), StageError> {
    let story = Story::begin(operator)?;
    story.install()?;
    story.govern()?;
    story.drills()?;
    story.uninstall()
}

fn main() -> ExitCode {
    let Some(operator) = std::env::args_os().nth(1) else {
        eprintln!("usage: miax-pods PATH_OF_THE_STATIC_OPERATOR");
        return ExitCode::from(2);
    };
    match pods(Path::new(&operator)) {
        Ok(()) => {
            println!("1 passed, 0 failed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            if let StageError::Cluster(ClusterError::Missing { .. }) = &error {
                eprintln!("this machine lacks something:");
            }
            eprintln!("error: {error}");
            println!("0 passed, 1 failed");
            ExitCode::FAILURE
        }
    }
}
