//! Where the programs of a cluster come from: `$KUBEBUILDER_ASSETS`, setup-envtest's directory, or built once from pinned Go
//! modules into the user's cache directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest as _, Sha256};

use crate::error::ClusterError;

/// A program that a cluster, or a test of one, needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The store.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// The controllers of Kubernetes.
    KubeControllerManager,
    /// The command line.
    Kubectl,
    /// The package manager.
    Helm,
    /// Puts pods on nodes.
    KubeScheduler,
    /// Runs pods.
    Kubelet,
    /// Leads services to pods.
    KubeProxy,
    /// Runs containers.
    Containerd,
    /// Holds a container for containerd.
    ContainerdShim,
    /// Talks to containerd.
    Ctr,
    /// The container that holds a pod's namespaces.
    Pause,
    /// Says of objects what Argo CD and kstatus say.
    Health,
    /// Collects samples, evaluates rules, answers queries.
    Prometheus,
    /// Checks and tests rules.
    Promtool,
}

/// Versions that the programs report; those of the pinned modules.
const KUBERNETES: &str = "1.36.3";
const PROMETHEUS: &str = "3.16.0";

impl Tool {
    /// Every program.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::Kubectl,
        Self::Helm,
        Self::Prometheus,
        Self::Promtool,
    ];

    /// Name of the program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::Kubectl => "kubectl",
            Self::Helm => "helm",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
            Self::Containerd => "containerd",
            Self::ContainerdShim => "containerd-shim-runc-v2",
            Self::Ctr => "ctr",
            Self::Pause => "pause",
            Self::Health => "health",
            Self::Prometheus => "prometheus",
            Self::Promtool => "promtool",
        }
    }

    /// Directory of the module that pins it, and the package in there.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Self::Etcd => ("etcd", "go.etcd.io/etcd/server/v3"),
            Self::KubeApiserver => ("kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver"),
            Self::KubeControllerManager => ("kubernetes", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            Self::Kubectl => ("kubernetes", "k8s.io/kubernetes/cmd/kubectl"),
            Self::Helm => ("helm", "helm.sh/helm/v4/cmd/helm"),
            Self::KubeScheduler => ("kubernetes", "k8s.io/kubernetes/cmd/kube-scheduler"),
            Self::Kubelet => ("kubernetes", "k8s.io/kubernetes/cmd/kubelet"),
            Self::KubeProxy => ("kubernetes", "k8s.io/kubernetes/cmd/kube-proxy"),
            Self::Containerd => ("containerd", "github.com/containerd/containerd/v2/cmd/containerd"),
            Self::ContainerdShim => ("containerd", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
            Self::Ctr => ("containerd", "github.com/containerd/containerd/v2/cmd/ctr"),
            Self::Pause => ("pause", "."),
            Self::Health => ("health", "."),
            Self::Prometheus => ("prometheus", "github.com/prometheus/prometheus/cmd/prometheus"),
            Self::Promtool => ("prometheus", "github.com/prometheus/prometheus/cmd/promtool"),
        }
    }

    /// What the builder leaves out. Prometheus finds its targets in many clouds, and no test has one; its pages need npm, and
    /// are only built in when one asks for it.
    fn tags(self) -> &'static str {
        match self {
            Self::Prometheus | Self::Promtool => "remove_all_sd",
            Self::Etcd
            | Self::KubeApiserver
            | Self::KubeControllerManager
            | Self::Kubectl
            | Self::Helm
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Containerd
            | Self::ContainerdShim
            | Self::Ctr
            | Self::Pause
            | Self::Health => "",
        }
    }

    /// The files that say what is built: the sums of what it is made of, and the source that is ours.
    fn pins(self) -> &'static [&'static str] {
        match self {
            Self::Pause => &["main.go"],
            Self::Health => &["main.go", "go.sum"],
            Self::Etcd
            | Self::KubeApiserver
            | Self::KubeControllerManager
            | Self::Kubectl
            | Self::Helm
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Containerd
            | Self::ContainerdShim
            | Self::Ctr
            | Self::Prometheus
            | Self::Promtool => &["go.sum"],
        }
    }

    /// Whether setup-envtest's archives hold it. kube-controller-manager is not in there.
    fn is_in_envtest(self) -> bool {
        match self {
            Self::Etcd | Self::KubeApiserver | Self::Kubectl => true,
            Self::KubeControllerManager
            | Self::Helm
            | Self::KubeScheduler
            | Self::Kubelet
            | Self::KubeProxy
            | Self::Containerd
            | Self::ContainerdShim
            | Self::Ctr
            | Self::Pause
            | Self::Health
            | Self::Prometheus
            | Self::Promtool => false,
        }
    }
}

/// The program, found or built.
///
/// # Errors
/// [`ClusterError::Missing`] when it must be built and there is no Go, [`ClusterError::Build`], [`ClusterError::Io`].
pub fn binary(tool: Tool) -> Result<PathBuf, ClusterError> {
    let given = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
    let directories = [given, envtest_directory()].into_iter().flatten().filter(|_| tool.is_in_envtest());
    if let Some(found) = directories.map(|d| d.join(tool.name())).find(|p| p.is_file()) {
        return Ok(found);
    }
    let path = cached_path(tool)?;
    if !path.is_file() {
        build(tool, &path)?;
    }
    Ok(path)
}

/// Builds or finds every program.
///
/// # Errors
/// Those of [`binary`].
pub fn build_all() -> Result<(), ClusterError> {
    Tool::ALL.into_iter().try_for_each(|tool| {
        let path = binary(tool)?;
        eprintln!("{:<24} {}", tool.name(), path.display());
        Ok(())
    })
}

fn home() -> PathBuf {
    std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// The newest Kubernetes that setup-envtest has unpacked.
fn envtest_directory() -> Option<PathBuf> {
    let data = std::env::var_os("XDG_DATA_HOME").map_or_else(|| home().join(".local/share"), PathBuf::from);
    let versions = std::fs::read_dir(data.join("kubebuilder-envtest/k8s")).ok()?;
    let number = |path: &Path| -> Vec<u32> {
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        name.split(['.', '-']).map_while(|part| part.parse().ok()).collect()
    };
    versions.filter_map(|entry| Some(entry.ok()?.path())).max_by_key(|path| number(path))
}

/// Path in the cache: the name holds what the module pins, so that a new pin is a new file.
fn cached_path(tool: Tool) -> Result<PathBuf, ClusterError> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home().join(".cache"), PathBuf::from);
    let mut digest = Sha256::new();
    for pin in tool.pins().iter().map(|name| module_directory(tool).join(name)) {
        digest.update(std::fs::read(&pin).map_err(ClusterError::io(format!("{} cannot be read", pin.display())))?);
    }
    let pin: String = digest.finalize().iter().take(6).map(|b| format!("{b:02x}")).collect();
    Ok(cache.join("miax/bin").join(format!("{}-{pin}", tool.name())))
}

fn module_directory(tool: Tool) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(tool.source().0)
}

/// Builds into a file beside the place, then renames: nobody ever sees half a program.
fn build(tool: Tool, path: &Path) -> Result<(), ClusterError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(ClusterError::io(format!("{} cannot be made", directory.display())))?;
    let lock = directory.join("build.lock");
    let lock = File::create(&lock).map_err(ClusterError::io(format!("{} cannot be made", lock.display())))?;
    // One build at a time: two would only take each other's processor.
    lock.lock().map_err(ClusterError::io("the build cannot be locked"))?;
    if path.is_file() {
        return Ok(());
    }
    eprintln!("building {} from its pinned module (once; up to some minutes) ...", tool.name());
    let part = path.with_extension("part");
    let (_, package) = tool.source();
    let version = "k8s.io/component-base/version";
    let flags = format!(
        "-s -w -X {version}.gitVersion=v{KUBERNETES} -X {version}.gitMajor=1 -X {version}.gitMinor=36 \
         -X github.com/prometheus/common/version.Version={PROMETHEUS}"
    );
    let output = Command::new("go")
        .current_dir(module_directory(tool))
        .env("CGO_ENABLED", "0")
        .args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-tags",
            tool.tags(),
            "-ldflags",
            &flags,
            "-o",
        ])
        .arg(&part)
        .arg(package)
        .stdin(Stdio::null())
        .output();
    let output = output.map_err(|_| ClusterError::Missing {
        program: "go",
        remedy: "install Go 1.26 or newer from https://go.dev/dl, or point KUBEBUILDER_ASSETS at a directory with the programs",
    })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let tail = text.lines().rev().take(10).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n");
        return Err(ClusterError::Build { program: tool.name(), output: tail });
    }
    std::fs::rename(&part, path).map_err(ClusterError::io(format!("{} cannot be put in its place", path.display())))
}
