//! The operator's command line.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::api::GatedKind;
use crate::controllers::WitnessAddress;
use crate::controllers::prometheus::PrometheusUrl;
use crate::store::ArchivePlace;
use crate::trust::WitnessMode;
use crate::units::{Digest, Seconds};

/// The operator of Miax: the admission webhook and the controllers.
#[derive(Debug, Parser)]
#[command(name = "miax-operator", version, about, after_help = EXAMPLES)]
pub struct Arguments {
    /// What to run.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Examples:
  miax-operator webhook --genesis sha256:…           # one replica of the admission webhook
  miax-operator controller --genesis sha256:…        # the controllers and the log's checkpoints
  miax-operator manifests --url https://127.0.0.1:9443 | kubectl apply -f -
  miax-operator manifests --static > /etc/kubernetes/miax/policies/miax.yaml";

/// What to run.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Answer admission reviews.
    Webhook(Webhook),
    /// Bring charters into force, carry commands out, sign checkpoints, keep archives.
    Controller(Controller),
    /// Go on with what is left of a ledger whose end is lost for good, by a signed command. Stop the operator first.
    #[command(after_help = "Example:
  miax draft open-epoch ledger.yaml --key KEY --reason 'the disk of etcd is gone' --audience prod-eu --out epoch.yaml
  miax sign -f epoch.yaml --seat CTK …                # and the others whom the charter names
  miax-operator open-epoch epoch.yaml

You need the right to impersonate miax-controller. See docs/operations/ledger-alarm.md.")]
    OpenEpoch(OpenEpoch),
    /// Print what has to be in the cluster: namespaces, accounts, rights, webhook, flow control.
    Manifests(Manifests),
}

/// Options of both roles.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Digest of the first charter, as `miax init` prints it; without it no first charter is accepted.
    #[arg(long, env = "MIAX_GENESIS")]
    pub genesis: Option<Digest>,
    /// Domain that owns the ledger; the first part of its origin.
    #[arg(long, env = "MIAX_OWNER", default_value = "miax.dev")]
    pub owner: String,
    /// Name of this replica; unique among those that run.
    #[arg(long, env = "POD_NAME", default_value = "local")]
    pub replica: String,
    /// MiB of the ledger that may be in the cluster. At 15/16 of it nothing more is decided; the rest ends what was begun.
    #[arg(long, env = "MIAX_LEDGER_CAP", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    pub ledger_cap: u64,
    /// Where probes and metrics are served, without TLS.
    #[arg(long, env = "MIAX_PROBES", default_value = "0.0.0.0:8080")]
    pub probes: SocketAddr,
    /// Seconds between two audits of the whole ledger, each of which hashes every byte again.
    #[arg(long, env = "MIAX_AUDIT_PERIOD", default_value_t = 600, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    pub audit_period: u64,
    /// Kubeconfig file; without it $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// What is logged, for example `info` or `miax=debug,warn`.
    #[arg(long, env = "MIAX_LOG", default_value = "info,kube_runtime=warn")]
    pub log: String,
    /// Log one JSON object a line.
    #[arg(long, env = "MIAX_LOG_JSON")]
    pub log_json: bool,
    /// Who outside of the cluster vouches for the log.
    #[command(flatten)]
    pub witnessing: Witnessing,
}

/// Options about witnesses; the same for both roles.
#[derive(Clone, Debug, Args)]
pub struct Witnessing {
    /// A witness: its address, a plus sign, and its public key as `miax ledger witness --init` prints it.
    #[arg(long = "witness", env = "MIAX_WITNESSES", value_name = "URL+KEY", value_delimiter = ',')]
    pub witnesses: Vec<WitnessAddress>,
    /// How many of them must cosign; without it more than half of them.
    #[arg(long, env = "MIAX_WITNESS_QUORUM", requires = "witnesses")]
    pub witness_quorum: Option<usize>,
    /// What happens while too few have cosigned for too long: `require` refuses everything governed, `warn` tells and records
    /// it, `off` asks no witness.
    #[arg(long, env = "MIAX_WITNESS_MODE", default_value = "warn")]
    pub witness_mode: WitnessMode,
    /// How long the log may have outgrown what they vouch for, for example 5m.
    #[arg(long, env = "MIAX_WITNESS_MAX_AGE", default_value = "5m")]
    pub witness_max_age: Seconds,
    /// Authorities of the witnesses' certificates, in PEM; without it those of the system.
    #[arg(long, env = "MIAX_WITNESS_CA", value_name = "FILE")]
    pub witness_ca: Option<PathBuf>,
}

/// Options about the Prometheus that objectives are measured with.
#[derive(Clone, Debug, Args)]
pub struct Measuring {
    /// The Prometheus that objectives are measured with: https://HOST[:PORT][/PATH]. Without it nobody knows how much error
    /// budget is left.
    #[arg(long, env = "MIAX_PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<PrometheusUrl>,
    /// Ask it without TLS although it is on another host: whoever is on the way can then say that every budget is whole.
    #[arg(long, env = "MIAX_PROMETHEUS_ALLOW_HTTP", requires = "prometheus_url")]
    pub prometheus_allow_http: bool,
    /// Authorities of its certificate, in PEM; without it those of the system. This and the other files are read again when
    /// their content changes.
    #[arg(long, env = "MIAX_PROMETHEUS_CA", value_name = "FILE", requires = "prometheus_url")]
    pub prometheus_ca: Option<PathBuf>,
    /// Our certificate, in PEM, for a Prometheus that asks for one.
    #[arg(long, env = "MIAX_PROMETHEUS_CERT", value_name = "FILE", requires_all = ["prometheus_url", "prometheus_key"])]
    pub prometheus_cert: Option<PathBuf>,
    /// Its key, in PEM.
    #[arg(long, env = "MIAX_PROMETHEUS_KEY", value_name = "FILE", requires = "prometheus_cert")]
    pub prometheus_key: Option<PathBuf>,
    /// A file with a bearer token.
    #[arg(long, env = "MIAX_PROMETHEUS_TOKEN_FILE", value_name = "FILE", requires = "prometheus_url")]
    pub prometheus_token_file: Option<PathBuf>,
    /// How often events are counted and budgets are measured, from 1s to 10m; at least twice as long as between two scrapes. What was
    /// recorded at another resolution counts no more.
    #[arg(long, env = "MIAX_SLO_RESOLUTION", default_value = "5m", requires = "prometheus_url")]
    pub slo_resolution: Seconds,
    /// Directory for the rules of objectives, which Prometheus reads: without it they become PrometheusRule objects where that kind
    /// exists, else ConfigMaps in miax-system.
    #[arg(long, env = "MIAX_SLO_RULES", value_name = "DIRECTORY", requires = "prometheus_url")]
    pub slo_rules: Option<PathBuf>,
}

/// Options of the controllers.
#[derive(Clone, Debug, Args)]
pub struct Controller {
    /// Options of both roles.
    #[command(flatten)]
    pub common: Common,
    /// An archive of the ledger: NAME=file:///DIRECTORY, which must be there, NAME=s3://BUCKET/PREFIX or NAME=gs://BUCKET/PREFIX
    /// with credentials from the environment. May be given several times.
    #[arg(long = "archive", env = "MIAX_ARCHIVES", value_delimiter = ',')]
    pub archives: Vec<ArchivePlace>,
    /// Seconds that entries wait at most before they are archived, when they do not fill a bundle of 256.
    #[arg(long, env = "MIAX_ARCHIVE_PATIENCE", default_value_t = 600)]
    pub archive_patience: u64,
    /// Let the oldest blocks leave the cluster when every archive holds them (at least two) and every witness has seen past
    /// them. The manifests must allow it: `miax-operator manifests --prune`.
    #[arg(long, env = "MIAX_PRUNE")]
    pub prune: bool,
    /// Blocks that stay in the cluster at least.
    #[arg(long, env = "MIAX_KEEP_BLOCKS", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..))]
    pub keep_blocks: u64,
    /// What the gate judges.
    #[command(flatten)]
    pub gate: Gate,
    /// What objectives are measured with.
    #[command(flatten)]
    pub measuring: Measuring,
}

/// What the gate judges; the same for the manifests and the controllers, which watch over them.
#[derive(Clone, Debug, Args)]
pub struct Gate {
    /// Kinds that the gate judges beside Deployments, StatefulSets and DaemonSets: ReplicaSet, Job, CronJob, Pod.
    #[arg(long = "gate-kind", env = "MIAX_GATE_KINDS", value_name = "KIND", value_delimiter = ',')]
    pub gate_kinds: Vec<GatedKind>,
}

/// Options of the webhook.
#[derive(Clone, Debug, Args)]
pub struct Webhook {
    /// Options of both roles.
    #[command(flatten)]
    pub common: Common,
    /// Where reviews are answered, with TLS.
    #[arg(long, env = "MIAX_LISTEN", default_value = "0.0.0.0:9443")]
    pub listen: SocketAddr,
    /// Names that the API server calls the webhook by; in the certificate.
    #[arg(long = "name", env = "MIAX_NAMES", value_delimiter = ',', default_value = "miax-webhook.miax-system.svc")]
    pub names: Vec<String>,
    /// Authorities of client certificates, in PEM: whoever does not prove a certificate of them is not answered. Read again
    /// when its content changes. Without it everybody who reaches the port is answered.
    #[arg(long, env = "MIAX_CLIENT_CA")]
    pub client_ca: Option<PathBuf>,
    /// The common name or DNS name that the client certificate must bear.
    #[arg(long, env = "MIAX_CLIENT_NAME", requires = "client_ca")]
    pub client_name: Option<String>,
    /// Where proposals of other replicas are taken, with TLS of the operator's own authority. With it the replica stands for
    /// being the one that appends for all.
    #[arg(long, env = "MIAX_PEER_LISTEN", requires = "peer_ip")]
    pub peer_listen: Option<SocketAddr>,
    /// The address that other replicas reach this one by.
    #[arg(long, env = "MIAX_PEER_IP")]
    pub peer_ip: Option<IpAddr>,
    /// Directory where the salts of commitments are kept, a file for each entry. Without it each is forgotten at once: then
    /// nobody can prove later what an entry was about beyond what it says.
    #[arg(long, env = "MIAX_SALTS")]
    pub salts: Option<PathBuf>,
    /// Seconds between being not ready and taking no more connections, so that nobody is sent to a closed door.
    #[arg(long, default_value_t = 3)]
    pub drain: u64,
}

/// Options of `open-epoch`.
#[derive(Clone, Debug, Args)]
pub struct OpenEpoch {
    /// The signed command.
    pub file: PathBuf,
    /// Domain that owns the ledger; the first part of its origin.
    #[arg(long, env = "MIAX_OWNER", default_value = "miax.dev")]
    pub owner: String,
    /// Kubeconfig file; without it $KUBECONFIG, ~/.kube/config, or the pod's service account.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
}

/// Options of `manifests`.
#[derive(Clone, Debug, Args)]
pub struct Manifests {
    /// Print the guards alone, in the form that an API server loads from files, out of reach of the API.
    #[arg(long = "static", conflicts_with_all = ["url", "seats"])]
    pub static_guards: bool,
    /// The controllers prune: they may delete what is in the ledger's namespace.
    #[arg(long)]
    pub prune: bool,
    /// What the gate judges.
    #[command(flatten)]
    pub gate: Gate,
    /// Call the webhook by this URL instead of by its service: for an operator that runs outside of the cluster.
    #[arg(long)]
    pub url: Option<String>,
    /// Organs that carry actions out; each gets a service account.
    #[arg(long = "seat", value_delimiter = ',', default_value = "SRE,TCC")]
    pub seats: Vec<String>,
}
