//! A real Prometheus: scrapes what a test exports, evaluates rules every moment, and is asked as the one of a cluster is.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::binaries::{Tool, binary};
use crate::certificates::{Authority, write};
use crate::control_plane::free_ports;
use crate::error::ClusterError;
use crate::kubectl::Output;
use crate::process::{Component, Janitor};
use crate::wait::eventually_within;

const READY_SECONDS: u64 = 60;
const NAME: &str = "prometheus";
/// What its log says when the configuration and its rules are loaded, and when they are not.
const LOADED: &str = "Completed loading of configuration file";
const NOT_LOADED: &str = "Error reloading config";

/// Who may ask it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Door {
    /// Everybody, without TLS.
    #[default]
    Open,
    /// Who proves a certificate of its authority.
    ClientCertificate,
}

/// How a Prometheus is started.
#[derive(Clone, Debug)]
pub struct PrometheusBuilder {
    targets: Vec<String>,
    rules: BTreeMap<String, String>,
    history: Option<String>,
    interval: Duration,
    arguments: Vec<String>,
    door: Door,
    /// Whether histograms with buckets are kept as native ones too.
    native: bool,
}

/// A running Prometheus with a directory of its own. It ends when this is dropped, or when this process is gone.
pub struct Prometheus {
    // In the order in which they end.
    server: Option<Component>,
    janitor: Janitor,
    program: PathBuf,
    arguments: Vec<String>,
    url: String,
    door: Door,
}

impl PrometheusBuilder {
    /// Scrapes this address.
    #[must_use]
    pub fn target(mut self, address: SocketAddr) -> Self {
        self.targets.push(address.to_string());
        self
    }

    /// Has this file of rules; the name has no ending.
    #[must_use]
    pub fn rules(mut self, name: &str, text: &str) -> Self {
        self.rules.insert(name.to_owned(), text.to_owned());
        self
    }

    /// Begins with these samples, in the `OpenMetrics` format with a time each: weeks that a test cannot wait for.
    #[must_use]
    pub fn history(mut self, text: &str) -> Self {
        self.history = Some(text.to_owned());
        self
    }

    /// How often it scrapes, and evaluates rules whose group says nothing else; otherwise 250 ms.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Keeps each histogram with buckets also as a native one, with the same bounds, under its name.
    #[must_use]
    pub fn native_histograms(mut self) -> Self {
        self.native = true;
        self
    }

    /// Answers with TLS, and nobody but who proves a certificate of its authority: `client.crt` and `client.key` in its directory
    /// are one, `ca.crt` is the authority.
    #[must_use]
    pub fn mutual_tls(mut self) -> Self {
        self.door = Door::ClientCertificate;
        self
    }

    /// Adds an argument to those of the server.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// Those of [`binary`]; [`ClusterError::Promtool`] when the history is not one; [`ClusterError::NotReady`] with the end of its
    /// log, for example when a rule is wrong; [`ClusterError::Io`].
    pub fn start(self) -> Result<Prometheus, ClusterError> {
        let Self { targets, rules, history, interval, arguments: more, door, native } = self;
        let program = binary(Tool::Prometheus)?;
        let directory = tempfile::Builder::new().prefix("miax-prometheus-").tempdir();
        let directory = directory.map_err(ClusterError::io("no temporary directory"))?.keep();
        let janitor = Janitor::start(directory.clone(), "")?;
        std::fs::create_dir(directory.join("rules")).map_err(ClusterError::io("no directory for rules"))?;
        for (name, text) in rules {
            write(&rule_file(&directory, &name), &text)?;
        }
        write(&directory.join("prometheus.json"), &configuration(&targets, interval, native))?;
        if let Some(history) = history {
            let (file, data) = (directory.join("history"), directory.join("data"));
            write(&file, &history)?;
            let words = ["tsdb", "create-blocks-from", "openmetrics"].map(str::to_owned);
            run_promtool(words.into_iter().chain([text(&file), text(&data)]))?;
        }
        let [port] = free_ports()?;
        let scheme = open(door, &directory)?;
        let mut arguments = [
            "--config.file=prometheus.json",
            "--storage.tsdb.path=data",
            "--web.config.file=web.json",
            &format!("--web.listen-address=127.0.0.1:{port}"),
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(more);
        let url = format!("{scheme}://127.0.0.1:{port}");
        let mut prometheus = Prometheus { server: None, janitor, program, arguments, url, door };
        prometheus.start_again()?;
        Ok(prometheus)
    }
}

impl Prometheus {
    /// A Prometheus that scrapes nothing yet, without rules.
    #[must_use]
    pub fn builder() -> PrometheusBuilder {
        PrometheusBuilder {
            targets: Vec::new(),
            rules: BTreeMap::new(),
            history: None,
            interval: Duration::from_millis(250),
            arguments: Vec::new(),
            door: Door::Open,
            native: false,
        }
    }

    /// Where it is asked.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Directory with its data, rules and certificates; gone with it.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.janitor.directory()
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.as_ref().map(Component::log).unwrap_or_default()
    }

    /// Writes or replaces a file of rules, and waits until it is loaded.
    ///
    /// # Errors
    /// [`ClusterError::Reload`] when Prometheus refuses it and goes on with what it had; [`ClusterError::NotReady`].
    pub fn set_rules(&self, name: &str, text: &str) -> Result<(), ClusterError> {
        write(&rule_file(self.directory(), name), text)?;
        self.reload()
    }

    /// Removes a file of rules, and waits until it is forgotten.
    ///
    /// # Errors
    /// Those of [`Prometheus::set_rules`], and [`ClusterError::Io`] when there is no such file.
    pub fn remove_rules(&self, name: &str) -> Result<(), ClusterError> {
        let path = rule_file(self.directory(), name);
        std::fs::remove_file(&path).map_err(ClusterError::io(format!("{} cannot be removed", path.display())))?;
        self.reload()
    }

    fn reload(&self) -> Result<(), ClusterError> {
        let Some(server) = &self.server else { return Ok(()) };
        let before = server.log().len();
        server.signal("HUP")?;
        let said = || server.log().get(before..).unwrap_or_default().to_owned();
        let end = || said().lines().any(|line| line.contains(LOADED) || line.contains(NOT_LOADED)).then_some(());
        if eventually_within(Duration::from_secs(READY_SECONDS), end).is_none() {
            return Err(server.not_ready(READY_SECONDS));
        }
        let said = said();
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("level=ERROR")).collect();
        if errors.is_empty() { Ok(()) } else { Err(ClusterError::Reload(errors.join("\n"))) }
    }

    /// Ends it; its data stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Starts it, again on its port and data, and waits until it is ready.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`], [`ClusterError::Io`].
    pub fn start_again(&mut self) -> Result<(), ClusterError> {
        self.server = None;
        let directory = self.directory().to_owned();
        let mut server = Component::start(NAME, &self.program, &self.arguments, &directory)?;
        let url = format!("--url={}", self.url);
        let config = format!("--http.config.file={}", directory.join(CLIENT).display());
        let mut asked = vec!["check", "ready", &url];
        if self.door == Door::ClientCertificate {
            asked.push(&config);
        }
        let ready = eventually_within(Duration::from_secs(READY_SECONDS), || {
            let answers = promtool(&asked).is_ok_and(|output| output.ok);
            (answers || !server.is_running()).then_some(answers)
        });
        if ready != Some(true) {
            return Err(server.not_ready(READY_SECONDS));
        }
        self.server = Some(server);
        Ok(())
    }
}

/// Runs promtool, for example `["check", "rules", file]`, whatever it answers.
///
/// # Errors
/// Those of [`binary`], and [`ClusterError::Io`] when it cannot be run.
pub fn promtool(arguments: &[&str]) -> Result<Output, ClusterError> {
    let output = Command::new(binary(Tool::Promtool)?)
        .args(arguments)
        .env_remove("HTTP_PROXY")
        .env_remove("HTTPS_PROXY")
        .env_remove("http_proxy")
        .env_remove("https_proxy")
        .stdin(Stdio::null())
        .output()
        .map_err(ClusterError::io("promtool cannot be run"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Output { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
}

fn run_promtool(arguments: impl Iterator<Item = String>) -> Result<(), ClusterError> {
    let arguments: Vec<String> = arguments.collect();
    let Output { ok, stdout, stderr } = promtool(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    if ok { Ok(()) } else { Err(ClusterError::Promtool { arguments: arguments.join(" "), output: stdout + &stderr }) }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn rule_file(directory: &Path, name: &str) -> PathBuf {
    directory.join("rules").join(format!("{name}.yaml"))
}

/// Its configuration. JSON is YAML.
fn configuration(targets: &[String], interval: Duration, native: bool) -> String {
    let interval = format!("{}ms", interval.as_millis());
    json!({
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval},
        "rule_files": ["rules/*.yaml"],
        "scrape_configs": [{
            "job_name": "test",
            "static_configs": [{"targets": targets}],
            "convert_classic_histograms_to_nhcb": native,
            "always_scrape_classic_histograms": true,
        }],
    })
    .to_string()
}

/// How promtool proves itself, in the directory.
const CLIENT: &str = "client.json";

/// Writes what the door needs; gives the scheme of the address.
fn open(door: Door, directory: &Path) -> Result<&'static str, ClusterError> {
    let (scheme, web) = match door {
        Door::Open => ("http", json!({})),
        Door::ClientCertificate => {
            let authority = Authority::make(directory)?;
            authority.issue("server", NAME, None, &[IpAddr::V4(Ipv4Addr::LOCALHOST)])?;
            authority.issue("client", "miax", None, &[])?;
            let tls = json!({
                "cert_file": "server.crt",
                "key_file": "server.key",
                "client_auth_type": "RequireAndVerifyClientCert",
                "client_ca_file": "ca.crt",
            });
            let client = json!({"ca_file": "ca.crt", "cert_file": "client.crt", "key_file": "client.key"});
            write(&directory.join(CLIENT), &json!({"tls_config": client}).to_string())?;
            ("https", json!({"tls_server_config": tls}))
        }
    };
    write(&directory.join("web.json"), &web.to_string())?;
    Ok(scheme)
}
