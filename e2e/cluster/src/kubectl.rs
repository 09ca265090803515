//! kubectl, as a person would call it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binaries::{Tool, binary};
use crate::error::ClusterError;

/// kubectl with one kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
}

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whether it succeeded.
    pub ok: bool,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Kubectl {
    /// kubectl with this kubeconfig.
    ///
    /// # Errors
    /// Those of [`binary`].
    pub fn new(kubeconfig: &Path) -> Result<Self, ClusterError> {
        Ok(Self { program: binary(Tool::Kubectl)?, kubeconfig: kubeconfig.to_owned() })
    }

    /// The kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Runs a command with this standard input, whatever it answers.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when kubectl itself cannot be run.
    pub fn ask(&self, arguments: &[&str], input: &str) -> Result<Output, ClusterError> {
        let wrong = || ClusterError::io("kubectl cannot be run");
        let mut child = Command::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(wrong())?;
        if let Some(mut pipe) = child.stdin.take() {
            // A command that does not read its input may be gone already.
            let _ = pipe.write_all(input.as_bytes());
        }
        let output = child.wait_with_output().map_err(wrong())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs a command that must succeed; gives its standard output.
    ///
    /// # Errors
    /// [`ClusterError::Kubectl`] when it fails, and those of [`Kubectl::ask`].
    pub fn run(&self, arguments: &[&str]) -> Result<String, ClusterError> {
        self.run_with(arguments, "")
    }

    /// Runs a command with this standard input; it must succeed.
    ///
    /// # Errors
    /// Those of [`Kubectl::run`].
    pub fn run_with(&self, arguments: &[&str], input: &str) -> Result<String, ClusterError> {
        let Output { ok, stdout, stderr } = self.ask(arguments, input)?;
        if ok { Ok(stdout) } else { Err(ClusterError::Kubectl { arguments: arguments.join(" "), stderr }) }
    }
}
