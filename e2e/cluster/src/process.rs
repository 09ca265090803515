//! Child processes that never outlive us.
//!
//! Each component runs in a process group of its own, so that Ctrl-C does not reach it before we stop it in order. A janitor
//! (a shell that waits for the end of a pipe from us) kills what is left and removes the directory: also when we panic or
//! are killed, because then the kernel closes the pipe.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::error::ClusterError;

/// The janitor's program. `$1` is the directory, `$2` what has to be undone beside it.
const JANITOR: &str = r#"
cat >/dev/null
for pid in "$1"/*.pid; do [ -f "$pid" ] && kill -KILL "$(cat "$pid")" 2>/dev/null; done
eval "$2"
rm -rf "$1"
"#;
/// Writes the process's number before it becomes the component, so that the janitor knows it whenever we die.
const STARTER: &str = r#"echo $$ > "$1"; shift; exec "$@""#;

/// Lines of a log that an error shows.
const TAIL: usize = 12;

/// Removes processes and directory of a cluster when it is dropped, or when this process is gone.
pub(crate) struct Janitor {
    directory: PathBuf,
    shell: Child,
    pipe: Option<ChildStdin>,
}

impl Janitor {
    /// `more` is a shell program that undoes what the cluster does outside of its directory.
    pub(crate) fn start(directory: PathBuf, more: &str) -> Result<Self, ClusterError> {
        let mut shell = Command::new("sh")
            .args(["-c", JANITOR, "sh"])
            .arg(&directory)
            .arg(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(ClusterError::io("sh cannot be started"))?;
        let pipe = shell.stdin.take();
        Ok(Self { directory, shell, pipe })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.pipe.take());
        let _ = self.shell.wait();
    }
}

/// A running component.
pub struct Component {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Component {
    pub(crate) fn start(
        name: &str,
        program: &Path,
        arguments: &[String],
        directory: &Path,
    ) -> Result<Self, ClusterError> {
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log);
        let output = output.map_err(ClusterError::io(format!("{} cannot be written", log.display())))?;
        let errors = output.try_clone().map_err(ClusterError::io("a log cannot be shared"))?;
        // containerd finds its shim and runc there; a proxy in the environment would answer for the cluster's addresses.
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new("sh")
            .env("PATH", format!("{}:/usr/sbin:/sbin:{path}", directory.join("bin").display()))
            .env_remove("HTTP_PROXY")
            .env_remove("HTTPS_PROXY")
            .env_remove("http_proxy")
            .env_remove("https_proxy")
            .args(["-c", STARTER, "sh"])
            .arg(directory.join(format!("{name}.pid")))
            .arg(program)
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(ClusterError::io(format!("{name} cannot be started")))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the process is still there.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal, for example `HUP`.
    ///
    /// # Errors
    /// [`ClusterError::Io`] when it is gone.
    pub fn signal(&self, name: &str) -> Result<(), ClusterError> {
        let wrong = || ClusterError::io(format!("{} cannot be sent {name}", self.name));
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        match sent.map_err(wrong())?.success() {
            true => Ok(()),
            false => Err(wrong()(std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Asks it to end (SIGTERM) and waits until it did; gives whether it ended well.
    pub fn terminate(&mut self) -> bool {
        self.signal("TERM").is_ok() && self.child.wait().is_ok_and(|s| s.success())
    }

    /// Kills it (SIGKILL), as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The error that says that this component did not become ready.
    #[must_use]
    pub fn not_ready(&self, seconds: u64) -> ClusterError {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(TAIL)).copied().collect::<Vec<_>>().join("\n");
        ClusterError::NotReady { component: self.name.clone(), seconds, log: self.log.clone(), tail }
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        // The state goes with the cluster; a graceful end would only take longer.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
