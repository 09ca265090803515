//! etcd, kube-apiserver and kube-controller-manager: a real control plane without nodes, for any user.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::admission::Admission;
use crate::binaries::{Tool, binary};
use crate::certificates::{Authority, write};
use crate::error::ClusterError;
use crate::kubectl::Kubectl;
use crate::process::{Component, Janitor};
use crate::wait::eventually_within;

/// How long each component may take.
const READY_SECONDS: u64 = 60;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Address of the service `kubernetes`: the first of the range.
const SERVICE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

/// How a control plane is started.
#[derive(Clone, Debug, Default)]
pub struct ControlPlaneBuilder {
    api_server_arguments: Vec<String>,
    admission: Admission,
    /// Address that pods reach the API server by; only with a node.
    node_address: Option<IpAddr>,
    /// What the janitor undoes beside the directory.
    undo: String,
}

/// A running control plane. It ends when this is dropped, or when this process is gone.
pub struct ControlPlane {
    // In the order in which they end: the API server before its store, the janitor last.
    controllers: Option<Component>,
    api_server: Option<Component>,
    etcd: Option<Component>,
    /// The program of etcd and its arguments.
    store_program: (PathBuf, Vec<String>),
    janitor: Janitor,
    authority: Authority,
    api_server_program: PathBuf,
    api_server_arguments: Vec<String>,
    server: String,
    kubectl: Kubectl,
}

impl ControlPlaneBuilder {
    /// Adds an argument to kube-apiserver's.
    #[must_use]
    pub fn api_server_argument(mut self, argument: &str) -> Self {
        self.api_server_arguments.push(argument.to_owned());
        self
    }

    /// Lets the API server prove itself to webhooks with this certificate and key.
    #[must_use]
    pub fn webhook_client(mut self, certificate: &Path, key: &Path) -> Self {
        self.admission.webhook_client = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// Lets the API server load these policies and bindings from a file, where the API cannot reach them.
    #[must_use]
    pub fn static_policies(mut self, text: &str) -> Self {
        self.admission.static_policies = Some(text.to_owned());
        self
    }

    /// Makes it a control plane for a node: reachable by pods at this address.
    pub(crate) fn for_node(mut self, address: IpAddr, undo: &str) -> Self {
        self.node_address = Some(address);
        undo.clone_into(&mut self.undo);
        self
    }

    /// Starts everything and waits until it is ready.
    ///
    /// # Errors
    /// Those of [`binary`], and [`ClusterError::NotReady`] with the end of the component's log.
    pub fn start(self) -> Result<ControlPlane, ClusterError> {
        let [etcd, api_server, controllers] =
            [Tool::Etcd, Tool::KubeApiserver, Tool::KubeControllerManager].map(binary);
        let (etcd, api_server_program, controllers) = (etcd?, api_server?, controllers?);
        let directory = tempfile::Builder::new().prefix("miax-cluster-").tempdir();
        let directory = directory.map_err(ClusterError::io("no temporary directory"))?.keep();
        let janitor = Janitor::start(directory.clone(), &self.undo)?;
        let authority = Authority::make(&directory)?;
        authority.issue("admin", "admin", Some("system:masters"), &[])?;
        let addresses: Vec<IpAddr> = [LOOPBACK, SERVICE].into_iter().chain(self.node_address).collect();
        authority.issue("apiserver", "kube-apiserver", Some("system:masters"), &addresses)?;
        authority.issue("controllers", "system:kube-controller-manager", None, &[])?;
        let [client, peer, secure] = free_ports()?;
        let server = format!("https://127.0.0.1:{secure}");
        let admin = authority.kubeconfig("admin", &server)?;
        authority.kubeconfig("controllers", &server)?;
        let store = format!("http://127.0.0.1:{client}");
        let store_program = (etcd, etcd_arguments(&store, peer));
        let etcd = Component::start("etcd", &store_program.0, &store_program.1, &directory)?;
        let mut arguments = api_server_arguments(&store, secure, self.node_address);
        arguments.extend(self.admission.write(&directory)?);
        arguments.extend(self.api_server_arguments);
        let mut plane = ControlPlane {
            controllers: None,
            api_server: None,
            etcd: Some(etcd),
            store_program,
            janitor,
            authority,
            api_server_program,
            api_server_arguments: arguments,
            server,
            kubectl: Kubectl::new(&admin)?,
        };
        plane.start_api_server()?;
        plane.controllers =
            Some(Component::start("kube-controller-manager", &controllers, &controller_arguments(), &directory)?);
        plane.wait_for_accounts()?;
        Ok(plane)
    }
}

impl ControlPlane {
    /// Starts a control plane with the usual settings.
    ///
    /// # Errors
    /// Those of [`ControlPlaneBuilder::start`].
    pub fn start() -> Result<Self, ClusterError> {
        Self::builder().start()
    }

    /// A control plane with other settings.
    #[must_use]
    pub fn builder() -> ControlPlaneBuilder {
        ControlPlaneBuilder::default()
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    /// kubectl as the cluster's administrator.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.kubectl.kubeconfig()
    }

    /// URL of the API server.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Directory with certificates, logs and data; gone with the cluster.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.janitor.directory()
    }

    /// Writes a kubeconfig with a fresh token of a service account, as a pod of it would have.
    ///
    /// # Errors
    /// [`ClusterError::Kubectl`] when there is no such account, [`ClusterError::Io`].
    pub fn kubeconfig_of_account(&self, namespace: &str, account: &str) -> Result<PathBuf, ClusterError> {
        let token = self.kubectl.run(&["-n", namespace, "create", "token", account, "--duration=24h"])?;
        let path = self.directory().join(format!("{namespace}-{account}.conf"));
        let user = json!({"token": token.trim()});
        write(&path, &self.authority.config_text(&self.server, &user, namespace))?;
        Ok(path)
    }

    /// Starts a program that belongs to the cluster: it ends with it at the latest, and its log is in the directory.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when it cannot be started.
    pub fn spawn(&self, name: &str, program: &Path, arguments: &[String]) -> Result<Component, ClusterError> {
        Component::start(name, program, arguments, self.directory())
    }

    /// Kills the API server; the data stays.
    pub fn stop_api_server(&mut self) {
        self.api_server = None;
    }

    /// Stops the API server and etcd, does something with the directory that etcd keeps its data in, and starts both again.
    ///
    /// # Errors
    /// What `change` gives, and those of [`ControlPlane::start_api_server`].
    pub fn with_data_at_rest(
        &mut self,
        change: impl FnOnce(&Path) -> Result<(), ClusterError>,
    ) -> Result<(), ClusterError> {
        self.api_server = None;
        self.etcd = None;
        let directory = self.directory().to_owned();
        change(&directory.join(STORE_DATA))?;
        let (program, arguments) = &self.store_program;
        self.etcd = Some(Component::start("etcd", program, arguments, &directory)?);
        self.start_api_server()
    }

    /// Starts the API server, again on its port and data, and waits until it is ready.
    ///
    /// # Errors
    /// [`ClusterError::NotReady`], [`ClusterError::Io`].
    pub fn start_api_server(&mut self) -> Result<(), ClusterError> {
        let directory = self.directory().to_owned();
        let mut server =
            Component::start("kube-apiserver", &self.api_server_program, &self.api_server_arguments, &directory)?;
        let ready = eventually_within(Duration::from_secs(READY_SECONDS), || {
            let answers = self.kubectl.run(&["get", "--raw", "/readyz"]).is_ok();
            (answers || !server.is_running()).then_some(answers)
        });
        if ready != Some(true) {
            return Err(server.not_ready(READY_SECONDS));
        }
        self.api_server = Some(server);
        Ok(())
    }

    /// Pods and tokens need the default account and the root certificate; the controllers make both.
    fn wait_for_accounts(&self) -> Result<(), ClusterError> {
        let wanted = ["get", "serviceaccount/default", "configmap/kube-root-ca.crt", "-n", "default"];
        let made = eventually_within(Duration::from_secs(READY_SECONDS), || self.kubectl.run(&wanted).ok());
        match (made, &self.controllers) {
            (None, Some(controllers)) => Err(controllers.not_ready(READY_SECONDS)),
            _ => Ok(()),
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.controllers = None;
        self.api_server = None;
        self.etcd = None;
    }
}

/// Ports that nobody uses now. They are held together, so that they are different.
///
/// # Errors
/// [`ClusterError::Io`] when there is none.
pub fn free_ports<const N: usize>() -> Result<[u16; N], ClusterError> {
    let wrong = || ClusterError::io("no free port");
    let bind = || TcpListener::bind((LOOPBACK, 0)).map_err(wrong());
    let mut held = Vec::new();
    for _ in 0..N {
        held.push(bind()?);
    }
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&held) {
        *port = listener.local_addr().map_err(wrong())?.port();
    }
    Ok(ports)
}

fn words(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|a| (*a).to_owned()).collect()
}

/// Where etcd keeps its data, in the cluster's directory.
const STORE_DATA: &str = "etcd-data";

fn etcd_arguments(store: &str, peer: u16) -> Vec<String> {
    let peer = format!("http://127.0.0.1:{peer}");
    words(&[
        &format!("--data-dir={STORE_DATA}"),
        &format!("--listen-client-urls={store}"),
        &format!("--advertise-client-urls={store}"),
        &format!("--listen-peer-urls={peer}"),
        &format!("--initial-advertise-peer-urls={peer}"),
        &format!("--initial-cluster=default={peer}"),
        "--log-level=warn",
    ])
}

fn api_server_arguments(store: &str, port: u16, node: Option<IpAddr>) -> Vec<String> {
    let mut arguments = words(&[
        &format!("--etcd-servers={store}"),
        &format!("--secure-port={port}"),
        "--client-ca-file=ca.crt",
        "--tls-cert-file=apiserver.crt",
        "--tls-private-key-file=apiserver.key",
        "--cert-dir=certificates",
        "--service-account-key-file=sa.pub",
        "--service-account-signing-key-file=sa.key",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/24",
        "--authorization-mode=Node,RBAC",
    ]);
    arguments.extend(match node {
        Some(address) => words(&[
            "--bind-address=0.0.0.0",
            &format!("--advertise-address={address}"),
            "--allow-privileged=true",
            "--kubelet-client-certificate=apiserver.crt",
            "--kubelet-client-key=apiserver.key",
            "--kubelet-preferred-address-types=InternalIP",
        ]),
        // Nobody reaches it by the service kubernetes here; a loopback address may not be advertised.
        None => {
            words(&["--bind-address=127.0.0.1", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none"])
        }
    });
    arguments
}

fn controller_arguments() -> Vec<String> {
    words(&[
        "--kubeconfig=controllers.conf",
        "--root-ca-file=ca.crt",
        "--service-account-private-key-file=sa.key",
        "--use-service-account-credentials",
        "--leader-elect=false",
        // Several clusters side by side would fight for the port; nobody asks it anything.
        "--secure-port=0",
    ])
}
