//! Why there is no cluster: what failed, where to look, what to do next.

use std::path::PathBuf;

/// Why a cluster cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Building a program failed.
    #[error("`{program}` cannot be built: {output}")]
    Build {
        /// Which one.
        program: &'static str,
        /// The end of the builder's output.
        output: String,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A health script failed, or the object is not one.
    #[error("the health of an object cannot be told: {0}")]
    Health(String),
    /// A command of kubectl failed.
    #[error("kubectl {arguments}: {stderr}")]
    Kubectl {
        /// What was asked.
        arguments: String,
        /// What it said.
        stderr: String,
    },
    /// A file or process.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A program is missing on this machine.
    #[error("`{program}` is missing on this machine; {remedy}")]
    Missing {
        /// Which one.
        program: &'static str,
        /// How to get it.
        remedy: &'static str,
    },
    /// A component did not become ready.
    #[error("{component} did not become ready within {seconds} s; the end of its log {log}:\n{tail}")]
    NotReady {
        /// Which one.
        component: String,
        /// How long was waited.
        seconds: u64,
        /// Where its log is.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A command of promtool failed.
    #[error("promtool {arguments}: {output}")]
    Promtool {
        /// What was asked.
        arguments: String,
        /// What it said.
        output: String,
    },
    /// Prometheus refuses its rules and goes on with those that it had.
    #[error("Prometheus does not load its rules: {0}")]
    Reload(String),
}

impl ClusterError {
    /// An error of a file or process.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
