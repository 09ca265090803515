//! A control plane with Miax on it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use miax_cluster::{Component, ControlPlane, ControlPlaneBuilder, eventually, free_ports};

use crate::StageError;
use crate::miax::{Binaries, Cli};
use crate::organisation::Organisation;

/// How the stage is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// The programs.
    pub binaries: Binaries,
    /// The control plane.
    pub plane: ControlPlaneBuilder,
    /// What the webhook is started with besides the usual.
    pub webhook_arguments: Vec<String>,
    /// What both roles are started with besides the usual.
    pub common_arguments: Vec<String>,
}

/// A control plane with Miax on it and an organisation in charge.
pub struct Stage {
    binaries: Binaries,
    organisation: Organisation,
    cli: Cli,
    webhook_port: u16,
    webhook_arguments: Vec<String>,
    common_arguments: Vec<String>,
    /// The controllers.
    pub controller: Component,
    /// The webhook.
    pub webhook: Component,
    // Last, so that the cluster ends last.
    plane: ControlPlane,
}

/// A process of the operator with its probes.
struct Launch {
    role: &'static str,
    probes: u16,
    more: Vec<String>,
}

impl Stage {
    /// Starts everything; the charter is signed, but not submitted yet.
    ///
    /// # Errors
    /// [`StageError`]: what did not start, with the end of its log.
    pub fn raise(options: Options) -> Result<Self, StageError> {
        let Options { binaries, plane, webhook_arguments, common_arguments } = options;
        let plane = plane.start()?;
        let directory = plane.directory().join("organisation");
        std::fs::create_dir(&directory).map_err(StageError::io("no directory for the organisation"))?;
        let cli = Cli::new(&binaries, &directory, plane.kubeconfig());
        let uid = plane.kubectl().run(&["get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}"])?;
        let organisation = Organisation::found(&directory, &cli, uid.trim())?;
        plane.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &cli.run(&["crds"])?)?;
        let [webhook_port] = free_ports()?;
        install(&plane, &binaries, webhook_port)?;
        let genesis = organisation.genesis().to_owned();
        let controller = launch_controller(&plane, &binaries, &genesis, &common_arguments)?;
        let more = [&webhook_arguments[..], &common_arguments].concat();
        let webhook = launch_webhook(&plane, &binaries, &genesis, webhook_port, "webhook", &more)?;
        let stage = Self {
            binaries,
            organisation,
            cli,
            webhook_port,
            webhook_arguments,
            common_arguments,
            controller,
            webhook,
            plane,
        };
        stage.wait_for_bundle()?;
        Ok(stage)
    }

    /// The control plane.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// The control plane, to stop and start its API server.
    pub fn plane_mut(&mut self) -> &mut ControlPlane {
        &mut self.plane
    }

    /// The organisation.
    #[must_use]
    pub fn organisation(&self) -> &Organisation {
        &self.organisation
    }

    /// The CLI as the administrator.
    #[must_use]
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// Path of a file of the organisation, as text.
    #[must_use]
    pub fn file(&self, name: &str) -> String {
        self.organisation.file(name).display().to_string()
    }

    /// Submits the first charter and waits until it is in force.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when it is refused, [`StageError::Timeout`].
    pub fn adopt_charter(&self) -> Result<(), StageError> {
        self.plane.kubectl().run(&["apply", "--server-side", "-f", &self.file("constitution-v1.yaml")])?;
        self.wait_for("manifest/constitution-v1", &[], "Active")
    }

    /// Waits until a condition of an object is true.
    ///
    /// # Errors
    /// [`StageError::Timeout`].
    pub fn wait_for(&self, object: &str, scope: &[&str], condition: &str) -> Result<(), StageError> {
        let path = format!("jsonpath={{.status.conditions[?(@.type==\"{condition}\")].status}}");
        let arguments = [scope, &["get", object, "-o", &path]].concat();
        let holds = || self.plane.kubectl().run(&arguments).ok().filter(|s| s.trim() == "True").map(|_| ());
        eventually(holds).ok_or_else(|| StageError::Timeout(format!("{object}: {condition}")))
    }

    /// Number of entries in the ledger, verified.
    ///
    /// # Errors
    /// [`StageError::Command`] when the ledger does not verify.
    pub fn ledger_size(&self) -> Result<u64, StageError> {
        let text = self.cli.run(&["ledger", "head", "-o", "json"])?;
        let wrong = || StageError::Command { command: "miax ledger head".to_owned(), what: text.clone() };
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|_| wrong())?;
        value.get("entries").and_then(serde_json::Value::as_u64).ok_or_else(wrong)
    }

    /// Starts the controllers again, after they were stopped.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when they do not become ready.
    pub fn restart_controller(&mut self) -> Result<(), StageError> {
        self.restart_controller_with(&[])
    }

    /// The same with more arguments.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when they do not become ready.
    pub fn restart_controller_with(&mut self, more: &[String]) -> Result<(), StageError> {
        let (genesis, more) = (self.organisation.genesis(), [&self.common_arguments[..], more].concat());
        self.controller = launch_controller(&self.plane, &self.binaries, genesis, &more)?;
        Ok(())
    }

    /// Starts the webhook again, after it was stopped.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when it does not become ready.
    pub fn restart_webhook(&mut self) -> Result<(), StageError> {
        let genesis = self.organisation.genesis().to_owned();
        let (port, more) = (self.webhook_port, self.all_webhook_arguments());
        self.webhook = launch_webhook(&self.plane, &self.binaries, &genesis, port, "webhook", &more)?;
        Ok(())
    }

    fn all_webhook_arguments(&self) -> Vec<String> {
        [&self.webhook_arguments[..], &self.common_arguments].concat()
    }

    /// Starts both roles anew with other arguments.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when they do not become ready.
    pub fn reconfigure(&mut self, common_arguments: Vec<String>) -> Result<(), StageError> {
        self.common_arguments = common_arguments;
        self.controller.kill();
        self.webhook.kill();
        self.restart_controller()?;
        self.restart_webhook()
    }

    /// Starts both roles again and does not wait until they are ready: for a ledger that is broken.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when they cannot be started.
    pub fn start_unready(&mut self) -> Result<(), StageError> {
        let genesis = self.organisation.genesis().to_owned();
        let launch = webhook(self.webhook_port, &self.all_webhook_arguments())?;
        self.webhook = start(&self.plane, &self.binaries, &genesis, "webhook", &launch)?;
        let launch = controller(&self.common_arguments)?;
        self.controller = start(&self.plane, &self.binaries, &genesis, "controller", &launch)?;
        Ok(())
    }

    /// Starts one more replica of the webhook on this port, under this name.
    ///
    /// # Errors
    /// [`StageError::Cluster`] when it does not become ready.
    pub fn another_webhook(&self, port: u16, name: &str) -> Result<Component, StageError> {
        let genesis = self.organisation.genesis();
        launch_webhook(&self.plane, &self.binaries, genesis, port, name, &self.all_webhook_arguments())
    }

    /// Port of the webhook.
    #[must_use]
    pub fn webhook_port(&self) -> u16 {
        self.webhook_port
    }

    /// The API server can call the webhook once it knows the authority.
    fn wait_for_bundle(&self) -> Result<(), StageError> {
        let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
        let get = ["get", "validatingwebhookconfiguration", "miax-governed", "-o", path];
        let known = || self.plane.kubectl().run(&get).ok().filter(|b| !b.is_empty()).map(|_| ());
        eventually(known).ok_or_else(|| StageError::Timeout("the webhook's caBundle".to_owned()))
    }
}

fn install(plane: &ControlPlane, binaries: &Binaries, port: u16) -> Result<(), StageError> {
    let url = format!("https://127.0.0.1:{port}");
    let output = std::process::Command::new(&binaries.operator)
        .args(["manifests", "--url", &url])
        .output()
        .map_err(StageError::io("miax-operator cannot be run"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    plane.kubectl().run_with(&["apply", "--server-side", "-f", "-"], &text)?;
    Ok(())
}

fn launch_controller(
    plane: &ControlPlane,
    binaries: &Binaries,
    genesis: &str,
    more: &[String],
) -> Result<Component, StageError> {
    launch(plane, binaries, genesis, "controller", &controller(more)?)
}

fn launch_webhook(
    plane: &ControlPlane,
    binaries: &Binaries,
    genesis: &str,
    port: u16,
    name: &str,
    more: &[String],
) -> Result<Component, StageError> {
    launch(plane, binaries, genesis, name, &webhook(port, more)?)
}

fn controller(more: &[String]) -> Result<Launch, StageError> {
    let [probes] = free_ports()?;
    Ok(Launch { role: "controller", probes, more: more.to_vec() })
}

fn webhook(port: u16, more: &[String]) -> Result<Launch, StageError> {
    let [probes] = free_ports()?;
    let usual = ["--listen", &format!("127.0.0.1:{port}"), "--name", "127.0.0.1", "--drain", "0"].map(str::to_owned);
    Ok(Launch { role: "webhook", probes, more: [&usual, more].concat() })
}

/// Starts a process and waits until it is ready.
fn launch(
    plane: &ControlPlane,
    binaries: &Binaries,
    genesis: &str,
    name: &str,
    launch: &Launch,
) -> Result<Component, StageError> {
    let mut process = start(plane, binaries, genesis, name, launch)?;
    let address = format!("127.0.0.1:{}", launch.probes);
    let ready = eventually(|| (is_ready(&address) || !process.is_running()).then(|| is_ready(&address)));
    if ready == Some(true) { Ok(process) } else { Err(process.not_ready(30).into()) }
}

fn start(
    plane: &ControlPlane,
    binaries: &Binaries,
    genesis: &str,
    name: &str,
    launch: &Launch,
) -> Result<Component, StageError> {
    let Launch { role, probes, more } = launch;
    let kubeconfig = plane.kubeconfig_of_account("miax-system", &format!("miax-{role}"))?.display().to_string();
    let address = format!("127.0.0.1:{probes}");
    let fixed = [*role, "--genesis", genesis, "--probes", &address, "--replica", name, "--kubeconfig", &kubeconfig];
    let arguments: Vec<String> = fixed.iter().map(|a| (*a).to_owned()).chain(more.iter().cloned()).collect();
    Ok(plane.spawn(&format!("miax-{name}"), &binaries.operator, &arguments)?)
}

/// Whether `/readyz` answers 200.
fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}
