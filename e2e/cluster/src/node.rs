//! A control plane with one node that runs real pods: scheduler, containerd, kubelet, kube-proxy. Linux and root; one at a
//! time on a machine, because the bridge and its addresses are the machine's.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::binaries::{Tool, binary};
use crate::certificates::write;
use crate::control_plane::ControlPlane;
use crate::error::ClusterError;
use crate::image::{self, pack};
use crate::process::Component;
use crate::wait::eventually_within;

/// Address of the node on its bridge; pods get the rest of the network.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 85, 0, 1));
const BRIDGE: &str = "miax0";
/// containerd's sockets and mounts: paths of sockets must be short.
const RUN: &str = "/run/miax-cluster";
const PAUSE: &str = "docker.io/local/pause:1";
const READY: Duration = Duration::from_secs(120);

/// What the node does outside of the cluster's directory, undone: shims, mounts, cgroups, the bridge, packet rules. The brackets
/// keep the pattern from finding the shell that runs it.
const UNDO: &str = r#"
for p in $(pgrep -f '[c]ontainerd-shim-runc-v2.* -address /run/miax-cluster/'); do
    pkill -KILL -P "$p"; kill -KILL "$p"
done
for try in 1 2 3; do
    grep -E " ($1|/run/miax-cluster)/" /proc/self/mounts | cut -d' ' -f2 | sort -r | while read -r m; do umount -l "$m"; done
done
find /sys/fs/cgroup -depth -type d -path '*miax-cluster*' -exec rmdir {} \; 2>/dev/null
ip link del miax0; ip -o link | grep -o 'veth[^@:]*' | while read -r l; do ip link del "$l"; done
nft delete table ip kube-proxy; nft delete table ip6 kube-proxy
rm -rf /run/miax-cluster
"#;

/// A running node with its control plane.
pub struct Node {
    // In the order in which they end.
    parts: Vec<Component>,
    plane: ControlPlane,
    /// Held while the node runs: a second one waits.
    _lock: File,
}

/// A program of Debian that the node needs.
fn need(program: &'static str, path: &str, remedy: &'static str) -> Result<(), ClusterError> {
    if Path::new(path).exists() { Ok(()) } else { Err(ClusterError::Missing { program, remedy }) }
}

/// Runs a command of the machine that must succeed.
fn run(line: &str) -> Result<(), ClusterError> {
    let output = Command::new("sh").args(["-c", line]).output().map_err(ClusterError::io("sh cannot be run"))?;
    if output.status.success() {
        return Ok(());
    }
    let what = format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Err(ClusterError::Io { what, source: std::io::Error::other("the command failed (root is needed)") })
}

impl Node {
    /// Starts a control plane with a node and waits until pods can run.
    ///
    /// # Errors
    /// [`ClusterError::Missing`] with the package to install, [`ClusterError::NotReady`] with the end of a log.
    pub fn start() -> Result<Self, ClusterError> {
        need("runc", "/usr/sbin/runc", "apt install runc")?;
        need("the CNI plugin bridge", "/usr/lib/cni/bridge", "apt install containernetworking-plugins")?;
        need("nft", "/usr/sbin/nft", "apt install nftables")?;
        need("conntrack", "/usr/sbin/conntrack", "apt install conntrack")?;
        need("iptables", "/usr/sbin/iptables", "apt install iptables")?;
        need("ip", "/usr/sbin/ip", "apt install iproute2")?;
        let lock = File::create("/tmp/miax-cluster-node.lock").map_err(ClusterError::io("no lock for the node"))?;
        lock.lock().map_err(ClusterError::io("the node cannot be locked"))?;
        run(&format!(
            "ip link show {BRIDGE} >/dev/null 2>&1 || {{ ip link add {BRIDGE} type bridge && ip addr add {ADDRESS}/16 dev {BRIDGE} \
             && ip link set {BRIDGE} up; }}; mkdir -p {RUN}; sysctl -qw net.ipv4.ip_forward=1"
        ))?;
        let plane = ControlPlane::builder().for_node(ADDRESS, UNDO).start()?;
        let mut node = Self { parts: Vec::new(), plane, _lock: lock };
        node.start_scheduler()?;
        node.start_containerd()?;
        node.start_kubelet()?;
        node.start_proxy()?;
        node.wait_until_ready()?;
        Ok(node)
    }

    /// The control plane.
    #[must_use]
    pub fn plane(&self) -> &ControlPlane {
        &self.plane
    }

    /// Makes an image known to the node: one layer with these files, the first of which is the entry point.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when containerd refuses it.
    pub fn load_image(&self, name: &str, files: &[image::File]) -> Result<(), ClusterError> {
        let archive = pack(name, files).map_err(ClusterError::io("the image cannot be packed"))?;
        let path = self.plane.directory().join("image.tar");
        std::fs::write(&path, archive).map_err(ClusterError::io("the image cannot be written"))?;
        let ctr = binary(Tool::Ctr)?;
        run(&format!("{} -a {RUN}/containerd.sock -n k8s.io images import {}", ctr.display(), path.display()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.plane.directory().join(name)
    }

    fn start_part(&mut self, name: &str, tool: Tool, arguments: &[String]) -> Result<(), ClusterError> {
        let part = self.plane.spawn(name, &binary(tool)?, arguments)?;
        self.parts.insert(0, part);
        Ok(())
    }

    fn identity(&self, name: &str, user: &str, group: Option<&str>) -> Result<String, ClusterError> {
        self.plane.authority().issue(name, user, group, &[ADDRESS])?;
        Ok(self.plane.authority().kubeconfig(name, self.plane.server())?.display().to_string())
    }

    fn start_scheduler(&mut self) -> Result<(), ClusterError> {
        let config = self.identity("scheduler", "system:kube-scheduler", None)?;
        let arguments = [format!("--kubeconfig={config}"), "--leader-elect=false".into(), "--secure-port=0".into()];
        self.start_part("kube-scheduler", Tool::KubeScheduler, &arguments)
    }

    fn start_containerd(&mut self) -> Result<(), ClusterError> {
        let programs = self.file("bin");
        let cni = self.file("cni");
        std::fs::create_dir(&programs).map_err(ClusterError::io("no directory for programs"))?;
        std::fs::create_dir(&cni).map_err(ClusterError::io("no directory for CNI"))?;
        // containerd looks for its shim by this name.
        let shim = programs.join("containerd-shim-runc-v2");
        std::os::unix::fs::symlink(binary(Tool::ContainerdShim)?, shim)
            .map_err(ClusterError::io("no link to the shim"))?;
        write(&cni.join("10-bridge.conflist"), &cni_config())?;
        let config = self.file("containerd.toml");
        write(&config, &containerd_config(&self.file("containerd"), &cni))?;
        self.start_part("containerd", Tool::Containerd, &["-c".into(), config.display().to_string()])?;
        let pause =
            std::fs::read(binary(Tool::Pause)?).map_err(ClusterError::io("the pause program cannot be read"))?;
        let files = [image::File { path: "pause".into(), content: pause }];
        let loaded = eventually_within(READY, || self.load_image(PAUSE, &files).ok());
        loaded.ok_or_else(|| self.not_ready("containerd"))
    }

    fn start_kubelet(&mut self) -> Result<(), ClusterError> {
        let config = self.identity("kubelet", "system:node:n1", Some("system:nodes"))?;
        // In the first cgroup version each controller has a tree of its own, and a new cpuset may use nothing.
        run("for c in /sys/fs/cgroup/*/; do [ -f \"$c/cgroup.procs\" ] && mkdir -p \"$c/miax-cluster\"; done; \
             [ -f /sys/fs/cgroup/cgroup.controllers ] && mkdir -p /sys/fs/cgroup/miax-cluster; \
             for f in cpus mems; do cp /sys/fs/cgroup/cpuset/cpuset.$f /sys/fs/cgroup/cpuset/miax-cluster/cpuset.$f 2>/dev/null; \
             done; true")?;
        let path = self.file("kubelet.yaml");
        write(&path, &kubelet_config(self.plane.directory()))?;
        let arguments = [
            format!("--config={}", path.display()),
            format!("--kubeconfig={config}"),
            "--hostname-override=n1".into(),
            format!("--node-ip={ADDRESS}"),
            format!("--root-dir={}", self.file("kubelet").display()),
            format!("--cert-dir={}", self.file("kubelet-pki").display()),
        ];
        self.start_part("kubelet", Tool::Kubelet, &arguments)
    }

    fn start_proxy(&mut self) -> Result<(), ClusterError> {
        let config = self.identity("proxy", "system:kube-proxy", None)?;
        let path = self.file("proxy.yaml");
        write(
            &path,
            &format!(
                "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nclientConnection: {{kubeconfig: {config}}}\n\
                 mode: nftables\nclusterCIDR: 10.85.0.0/16\nhostnameOverride: n1\nconntrack: {{maxPerCore: 0}}\n"
            ),
        )?;
        self.start_part("kube-proxy", Tool::KubeProxy, &[format!("--config={}", path.display())])
    }

    fn wait_until_ready(&self) -> Result<(), ClusterError> {
        let path = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
        let get = ["get", "node", "n1", "-o", path];
        let ready = eventually_within(READY, || self.plane.kubectl().run(&get).ok().filter(|s| s == "True"));
        ready.map(drop).ok_or_else(|| self.not_ready("kubelet"))
    }

    fn not_ready(&self, name: &str) -> ClusterError {
        match self.parts.iter().find(|p| p.name() == name) {
            Some(part) => part.not_ready(READY.as_secs()),
            None => ClusterError::Missing { program: "a part of the node", remedy: "see the other error" },
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The kubelet first, or it starts pods anew while they are removed; the janitor undoes the rest.
        self.parts.clear();
    }
}

fn cni_config() -> String {
    serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "bridge",
        "plugins": [{
            "type": "bridge",
            "bridge": BRIDGE,
            "isGateway": true,
            "hairpinMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.85.0.0/16", "rangeStart": "10.85.1.0"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": format!("{RUN}/ipam"),
            },
        }],
    })
    .to_string()
}

fn containerd_config(root: &Path, cni: &Path) -> String {
    format!(
        "version = 3\nroot = \"{}\"\nstate = \"{RUN}/containerd\"\n[grpc]\n  address = \"{RUN}/containerd.sock\"\n\
         [plugins.'io.containerd.cri.v1.images'.pinned_images]\n  sandbox = \"{PAUSE}\"\n\
         [plugins.'io.containerd.cri.v1.runtime']\n  restrict_oom_score_adj = true\n\
         [plugins.'io.containerd.cri.v1.runtime'.cni]\n  bin_dirs = [\"/usr/lib/cni\"]\n  conf_dir = \"{}\"\n\
         [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n  runtime_type = \"io.containerd.runc.v2\"\n\
         [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  BinaryName = \"/usr/sbin/runc\"\n",
        root.display(),
        cni.display()
    )
}

fn kubelet_config(directory: &Path) -> String {
    serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/miax-cluster",
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{RUN}/containerd.sock"),
        "authentication": {
            "x509": {"clientCAFile": directory.join("ca.crt")},
            "webhook": {"enabled": true},
            "anonymous": {"enabled": false},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "volumePluginDir": directory.join("volume-plugins"),
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    })
    .to_string()
}
