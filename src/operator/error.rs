//! Why the operator ends: what is wrong and what to do next, in one message.

/// Why the operator does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An archive does not open.
    #[error(transparent)]
    Archive(#[from] crate::store::ArchivePlaceError),
    /// No certificate for the webhook.
    #[error("the webhook has no certificate: {0}")]
    Certificate(#[from] super::authority::CertificateError),
    /// The checkpoint in the cluster is not one of this log.
    #[error("the checkpoint in the cluster does not open: {0}")]
    Checkpoint(#[from] crate::ledger::VouchError),
    /// The authorities of client certificates.
    #[error(transparent)]
    ClientCa(#[from] super::client_ca::ClientCaError),
    /// The cluster cannot be identified.
    #[error("the namespace kube-system has no uid; this cluster cannot be identified")]
    ClusterUid,
    /// No epoch is opened.
    #[error(transparent)]
    Epoch(#[from] super::epoch::EpochError),
    /// A socket or a signal.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Kubernetes did not answer or refused.
    #[error("{0}")]
    Kube(#[from] kube::Error),
    /// No kubeconfig.
    #[error("no cluster to talk to: {0}")]
    Kubeconfig(String),
    /// No log key.
    #[error("the ledger cannot be written: {0}")]
    LogKey(#[from] super::log_key::LogKeyError),
    /// Leadership was lost; another process takes over.
    #[error("the lease was lost; another controller leads now")]
    LeaseLost,
    /// Metrics cannot be set up.
    #[error("{0}")]
    Metrics(#[from] crate::telemetry::MetricsError),
    /// The flags about Prometheus.
    #[error(transparent)]
    Measuring(#[from] super::measuring::MeasuringError),
    /// What pruning needs is not there.
    #[error("--prune needs two archives and witnesses that are asked: give --archive twice, and --witness")]
    Prune,
    /// The ledger was pruned, and where it begins cannot be read.
    #[error("the snapshot that the ledger begins with cannot be read: {0}")]
    Snapshot(#[from] crate::store::PruneError),
    /// The operating system has no randomness.
    #[error("the operating system gives no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    /// The flags about witnesses.
    #[error(transparent)]
    Witnesses(#[from] super::witnesses::WitnessesError),
    /// The blocks of the ledger cannot be listed.
    #[error("{0}")]
    Read(#[from] crate::store::ReadError),
    /// The webhook cannot listen.
    #[error("{0}")]
    Serve(#[from] crate::admission::ServeError),
    /// A task that must never end did.
    #[error("the {0} stopped; the process ends so that it is started anew")]
    TaskEnded(&'static str),
}
