//! The programs of Miax.

use std::path::{Path, PathBuf};
use std::process::Command;

use miax_cluster::Output;

use crate::StageError;

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The CLI.
    pub miax: PathBuf,
    /// The operator.
    pub operator: PathBuf,
}

impl Binaries {
    /// The programs in the directory of this program, where cargo puts them.
    ///
    /// # Errors
    /// [`StageError::Command`] when they are not there.
    pub fn beside_me() -> Result<Self, StageError> {
        let own = std::env::current_exe().map_err(StageError::io("this program has no path"))?;
        let directory = own.parent().unwrap_or(Path::new("."));
        let found = |name: &str| {
            let path = directory.join(name);
            let missing = || StageError::Command {
                command: path.display().to_string(),
                what: "is not built; run: cargo build --bins".to_owned(),
            };
            if path.is_file() { Ok(path.clone()) } else { Err(missing()) }
        };
        Ok(Self { miax: found("miax")?, operator: found("miax-operator")? })
    }
}

/// The CLI in a directory, against a cluster.
#[derive(Clone, Debug)]
pub struct Cli {
    program: PathBuf,
    directory: PathBuf,
    kubeconfig: PathBuf,
}

impl Cli {
    /// The CLI, run in `directory`.
    #[must_use]
    pub fn new(binaries: &Binaries, directory: &Path, kubeconfig: &Path) -> Self {
        Self { program: binaries.miax.clone(), directory: directory.to_owned(), kubeconfig: kubeconfig.to_owned() }
    }

    /// Runs a command, whatever it answers.
    ///
    /// # Errors
    /// [`StageError::Io`] when the program cannot be run.
    pub fn ask(&self, arguments: &[&str]) -> Result<Output, StageError> {
        let output = Command::new(&self.program)
            .args(arguments)
            .current_dir(&self.directory)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .map_err(StageError::io("miax cannot be run"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output { ok: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) })
    }

    /// Runs a command that must succeed; gives its standard output.
    ///
    /// # Errors
    /// [`StageError::Command`] when it fails.
    pub fn run(&self, arguments: &[&str]) -> Result<String, StageError> {
        let Output { ok, stdout, stderr } = self.ask(arguments)?;
        let command = || format!("miax {}", arguments.join(" "));
        if ok { Ok(stdout) } else { Err(StageError::Command { command: command(), what: format!("{stdout}{stderr}") }) }
    }
}
