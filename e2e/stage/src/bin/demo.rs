//! The demo: one governed command, end to end, on a real API server. Each step shows its real command and checks what the
//! cluster answers, so that the demo is also a test.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use miax_cluster::{ControlPlane, Kubectl, Output, eventually};
use miax_stage::{Binaries, Options, Stage, StageError};
use serde_json::Value;

/// Where the workload lives.
const SHOP: [&str; 2] = ["-n", "shop"];
const COMMAND: &str = "scale-checkout.yaml";

/// Speaks to the audience.
struct Narrator {
    colour: bool,
}

impl Narrator {
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn title(&self, text: &str) {
        println!("\n{}", self.paint("1;36", text));
    }

    fn command(&self, text: &str) {
        println!("{}", self.paint("2", &format!("  $ {text}")));
    }

    fn answer(&self, good: bool, text: &str) {
        let mark = if good { self.paint("32", "+") } else { self.paint("33", "-") };
        text.trim().lines().for_each(|line| println!("  {mark} {line}"));
    }
}

struct Demo {
    stage: Stage,
    narrator: Narrator,
}

fn wrong(command: &str, what: impl Into<String>) -> StageError {
    StageError::Command { command: command.to_owned(), what: what.into() }
}

impl Demo {
    fn kubectl(&self) -> &Kubectl {
        self.stage.plane().kubectl()
    }

    /// Applies a file; the cluster must refuse it with this reason.
    fn refused(&self, file: &str, reason: &str, more: &[&str]) -> Result<String, StageError> {
        let shown = format!("kubectl apply -f {file} {}", more.join(" "));
        self.narrator.command(shown.trim());
        let path = self.stage.file(file);
        let Output { ok, stderr, .. } = self.kubectl().ask(&[&["apply", "-f", &path], more].concat(), "")?;
        // kubectl puts the name of the webhook before the message; the message begins with the reason.
        let message = stderr.split("denied the request: ").nth(1).unwrap_or(&stderr).to_owned();
        if ok || !message.starts_with(reason) {
            return Err(wrong(&shown, format!("should be refused as {reason}, but: {stderr}")));
        }
        self.narrator.answer(false, &message);
        Ok(message)
    }

    fn cli(&self, arguments: &[&str]) -> Result<String, StageError> {
        self.narrator.command(&format!("miax {}", arguments.join(" ")));
        self.stage.cli().run(arguments)
    }

    fn sign(&self, verb: &str, name: &str, seat: &str, file: &str) -> Result<(), StageError> {
        self.cli(&[verb, "-f", file, "--as", name, "--seat", seat, "--key", name, "--yes"]).map(drop)
    }

    /// Copies the command under another name, so that a step can spoil it.
    fn copy(&self, to: &str, change: impl Fn(String) -> String) -> Result<(), StageError> {
        let io = |source| StageError::Io { what: format!("{to} cannot be written"), source };
        let text = std::fs::read_to_string(self.stage.file(COMMAND)).map_err(io)?;
        std::fs::write(self.stage.file(to), change(text))
            .map_err(|source| StageError::Io { what: to.to_owned(), source })
    }

    fn run(&self) -> Result<(), StageError> {
        self.found()?;
        self.unsigned_and_unapproved()?;
        self.spoiled()?;
        self.dry_runs()?;
        self.allowed()?;
        self.consumed()?;
        self.ledger()
    }

    fn found(&self) -> Result<(), StageError> {
        self.narrator
            .title("The constitution: 15 people, one machine; adopted by the digest that the operator was started for");
        self.narrator.command("kubectl apply --server-side -f constitution-v1.yaml");
        self.stage.adopt_charter()?;
        self.narrator.answer(true, &format!("in force: {}", self.stage.organisation().genesis()));
        self.kubectl().run(&["create", "namespace", "shop"])?;
        self.narrator.command("kubectl create deployment checkout -n shop --image registry.example/checkout:1");
        let image = ["create", "deployment", "checkout", "--image", "registry.example/checkout:1"];
        self.kubectl().run(&[&SHOP[..], &image].concat())?;
        self.narrator.answer(true, "deployment checkout, 1 replica");
        Ok(())
    }

    fn unsigned_and_unapproved(&self) -> Result<(), StageError> {
        self.narrator.title("(a) An unsigned command is refused");
        let draft = [
            "draft",
            "scale",
            "deployment/checkout",
            "-n",
            "shop",
            "--replicas",
            "3",
            "--impact",
            "Critical",
            "--reason",
            "black friday",
            "--audience",
            "demo",
            "--name",
            "scale-checkout",
            "--out",
            COMMAND,
        ];
        self.cli(&draft)?;
        self.refused(COMMAND, "Unsigned", &[])?;

        self.narrator
            .title("(b) Signed by its author, but without a quorum: the message says who is missing and what to run");
        self.sign("sign", "alpha-bot", "ALPHA", COMMAND)?;
        let message = self.refused(COMMAND, "SeatsMissing", &[])?;
        for part in ["SRE (1 of: fay, frank, sam)", "TCC", "ALPHA", "run: miax approve -f scale-checkout.yaml --seat"] {
            if !message.contains(part) {
                return Err(wrong("kubectl apply", format!("the denial does not say `{part}`: {message}")));
            }
        }
        Ok(())
    }

    fn spoiled(&self) -> Result<(), StageError> {
        self.narrator.title("(c) One person in two seats is refused: sam holds SRE and TCC, but fills one seat");
        self.copy("two-seats.yaml", |text| text)?;
        self.sign("approve", "sam", "SRE", "two-seats.yaml")?;
        self.sign("approve", "sam", "TCC", "two-seats.yaml")?;
        self.refused("two-seats.yaml", "DuplicatePrincipal", &[])?;

        for (name, seat) in [("frank", "SRE"), ("dana", "TCC"), ("alma", "ALPHA")] {
            self.sign("approve", name, seat, COMMAND)?;
        }
        self.narrator.title("(d) One byte changed after approval is refused");
        self.copy("changed.yaml", |text| text.replace("replicas: 3", "replicas: 9"))?;
        self.narrator.command("sed 's/replicas: 3/replicas: 9/' scale-checkout.yaml > changed.yaml");
        self.refused("changed.yaml", "SignatureInvalid", &[]).map(drop)
    }

    fn dry_runs(&self) -> Result<(), StageError> {
        self.narrator.title("(g) A dry run gets the same verdict, and the ledger does not grow");
        let before = self.stage.ledger_size()?;
        self.refused("changed.yaml", "SignatureInvalid", &["--dry-run=server"])?;
        self.narrator.command("kubectl apply -f scale-checkout.yaml --dry-run=server");
        let path = self.stage.file(COMMAND);
        let answer = self.kubectl().run(&["apply", "--dry-run=server", "-f", &path])?;
        self.narrator.answer(true, &answer);
        let after = self.stage.ledger_size()?;
        if before != after {
            return Err(wrong("kubectl apply --dry-run=server", format!("the ledger grew from {before} to {after}")));
        }
        self.narrator.answer(true, &format!("{after} entries before and after"));
        Ok(())
    }

    fn allowed(&self) -> Result<(), StageError> {
        self.narrator.title("(e) With SRE, TCC and ALPHA, three different people, it is allowed and carried out");
        self.narrator.command("kubectl apply -f scale-checkout.yaml");
        let answer = self.kubectl().run(&["apply", "-f", &self.stage.file(COMMAND)])?;
        self.narrator.answer(true, &answer);
        let get = [&SHOP[..], &["get", "deployment", "checkout", "-o", "jsonpath={.spec.replicas}"]].concat();
        let scaled = || self.kubectl().run(&get).ok().filter(|r| r == "3");
        eventually(scaled).ok_or_else(|| StageError::Timeout("3 replicas".to_owned()))?;
        self.stage.wait_for("controlcommand/scale-checkout", &SHOP, "Succeeded")?;
        self.narrator.command("kubectl get mxcmd -n shop");
        self.narrator.answer(true, &self.kubectl().run(&[&SHOP[..], &["get", "mxcmd"]].concat())?);
        self.narrator.answer(true, "deployment checkout has 3 replicas");
        Ok(())
    }

    fn consumed(&self) -> Result<(), StageError> {
        self.narrator.title("(f) The same command again, also after its deletion, is refused: a command works once");
        self.narrator.command("kubectl delete mxcmd scale-checkout -n shop");
        self.kubectl().run(&[&SHOP[..], &["delete", "mxcmd", "scale-checkout"]].concat())?;
        self.refused(COMMAND, "CommandConsumed", &[]).map(drop)
    }

    fn ledger(&self) -> Result<(), StageError> {
        self.narrator.title("(h) The ledger holds all of it, verifies offline, and a changed byte is named");
        let list = self.cli(&["ledger", "list", "--kind", "decision"])?;
        self.narrator.answer(true, &list);
        self.narrator.command("kubectl get configmap -n miax-ledger -o json > ledger.json");
        let dump = self.kubectl().run(&["get", "configmap", "-n", "miax-ledger", "-o", "json"])?;
        let anchor = self.kubectl().run(&["get", "configmap", "-n", "miax-system", "miax-checkpoint", "-o", "json"])?;
        let directory = self.stage.organisation().file("dump");
        let io = |source| StageError::Io { what: "the dump cannot be written".to_owned(), source };
        std::fs::create_dir(&directory).map_err(io)?;
        let write = |name: &str, text: &str| {
            let what = format!("{name} cannot be written");
            std::fs::write(directory.join(name), text).map_err(|source| StageError::Io { what, source })
        };
        write("ledger.json", &dump)?;
        write("checkpoint.json", &anchor)?;
        let verified = self.cli(&["ledger", "verify", "dump"])?;
        self.narrator.answer(true, &verified);
        let (changed, block) = change_one_byte(&dump)?;
        write("ledger.json", &changed)?;
        self.narrator.command("(one byte of the dump is changed) miax ledger verify dump");
        let Output { ok, stdout, .. } = self.stage.cli().ask(&["ledger", "verify", "dump"])?;
        if ok || !stdout.contains(&block) || !stdout.contains("entry ") {
            return Err(wrong("miax ledger verify", format!("the changed byte in {block} was not named: {stdout}")));
        }
        self.narrator.answer(false, &stdout);
        Ok(())
    }
}

/// Changes one character in the packed entries of a block in the middle; gives the dump and the block's name.
fn change_one_byte(dump: &str) -> Result<(String, String), StageError> {
    let broken = || wrong("kubectl get configmap", "the dump holds no blocks");
    let mut list: Value = serde_json::from_str(dump).map_err(|_| broken())?;
    let items = list.get_mut("items").and_then(Value::as_array_mut).ok_or_else(broken)?;
    let middle = items.len() / 2;
    let block = items.get_mut(middle).ok_or_else(broken)?;
    let name = block.pointer("/metadata/name").and_then(Value::as_str).ok_or_else(broken)?.to_owned();
    let entries = block.pointer_mut("/binaryData/entries").ok_or_else(broken)?;
    let mut text: Vec<char> = entries.as_str().ok_or_else(broken)?.chars().collect();
    let at = text.len() / 2;
    let place = text.get_mut(at).ok_or_else(broken)?;
    *place = if *place == 'A' { 'B' } else { 'A' };
    *entries = Value::from(text.into_iter().collect::<String>());
    Ok((list.to_string(), name))
}

fn demo() -> Result<(), StageError> {
    let narrator = Narrator { colour: std::io::stdout().is_terminal() };
    narrator.title("A real control plane (etcd, kube-apiserver, kube-controller-manager) with Miax beside it");
    let binaries = Binaries::beside_me()?;
    let (webhook_arguments, common_arguments) = (Vec::new(), Vec::new());
    let options = Options { binaries, plane: ControlPlane::builder(), webhook_arguments, common_arguments };
    let stage = Stage::raise(options)?;
    narrator.answer(true, &format!("ready: KUBECONFIG={}", stage.plane().kubeconfig().display()));
    Demo { stage, narrator }.run()
}

fn main() -> ExitCode {
    match demo() {
        Ok(()) => {
            println!("\nAll of it happened as it should.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nThe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}
