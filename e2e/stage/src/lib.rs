//! A stage for the demo and the end-to-end tests: a control plane, Miax on it as processes with the tokens of its own service
//! accounts, and a small organisation whose people sign with SSH keys.

mod miax;
mod organisation;
mod stage;

pub use miax::{Binaries, Cli};
pub use organisation::{Organisation, PEOPLE};
pub use stage::{Options, Stage};

/// Why the stage is not ready, or a step of a story went wrong.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] miax_cluster::ClusterError),
    /// A command did not do what the story says.
    #[error("{command}: {what}")]
    Command {
        /// The command line.
        command: String,
        /// What it did.
        what: String,
    },
    /// A file.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Something that should have happened did not.
    #[error("this did not happen in time: {0}")]
    Timeout(String),
}

impl StageError {
    /// An error of a file or process.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
