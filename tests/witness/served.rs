//! A witness as a process, with its key and its store in a directory.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use miax::trust::WitnessKey;

use crate::http::{Answer, ask};

pub const NAME: &str = "witness.example/w1";

/// A directory with a key and a store.
pub struct Home {
    dir: tempfile::TempDir,
    pub key: WitnessKey,
}

/// A running server; killed when dropped.
pub struct Served {
    child: Child,
    pub address: SocketAddr,
    errors: Option<std::thread::JoinHandle<String>>,
}

fn miax(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miax"));
    command.args(arguments).current_dir(dir).env_clear();
    command
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("directory");
        let made = miax(dir.path(), &["key", "new", "witness.key"]).output().expect("runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut begin = miax(dir.path(), &["ledger", "witness", "--init", "--key", "witness.key", "--store", "store"]);
        let begun = begin.args(["--name", NAME]).output().expect("runs");
        assert!(begun.status.success(), "{}", String::from_utf8_lossy(&begun.stderr));
        let key = String::from_utf8(begun.stdout).expect("UTF-8").trim().parse().expect("a key of a witness");
        Self { dir, key }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = miax(self.dir.path(), &["ledger", "witness", "--listen", "127.0.0.1:0"]);
        command.args(["--key", "witness.key", "--name", NAME, "--store", "store"]).args(more);
        command
    }

    /// Runs it to its end: for what is refused.
    pub fn run(&self, more: &[&str]) -> Output {
        self.command(more).output().expect("runs")
    }

    pub fn serve(&self, more: &[&str]) -> Served {
        Served::start(&mut self.command(more))
    }

    /// Starts it through a shell that first does something, such as lowering a limit.
    pub fn serve_after(&self, first: &str, more: &[&str]) -> Served {
        let plain = self.command(more);
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &format!("{first}; exec \"$0\" \"$@\"")]).arg(plain.get_program()).args(plain.get_args());
        Served::start(shell.current_dir(self.dir.path()).env_clear())
    }
}

impl Served {
    fn start(command: &mut Command) -> Self {
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("starts");
        let mut errors = BufReader::new(child.stderr.take().expect("stderr"));
        let mut before = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(errors.read_line(&mut line).expect("read") > 0, "it ended: {before}");
            if let Some(address) = line.trim().strip_prefix("listening on ") {
                break address.parse().expect("an address");
            }
            before.push_str(&line);
        };
        let rest = std::thread::spawn(move || {
            let _ = errors.read_to_string(&mut before);
            before
        });
        Self { child, address, errors: Some(rest) }
    }

    pub fn add(&self, body: &str) -> Answer {
        ask(self.address, "POST", "/add-checkpoint", body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, b"")
    }

    pub fn metric(&self, line: &str) -> u64 {
        let text = self.get("/metrics").body;
        let found =
            text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("{line} is not in {text}"));
        found.trim().parse().expect("a number")
    }

    pub fn id(&self) -> String {
        self.child.id().to_string()
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    /// Asks it to end, and gives whether it ended well, and what it logged.
    pub fn terminate(mut self) -> (bool, String) {
        let asked = Command::new("kill").args(["-TERM", &self.id()]).status().expect("kill");
        assert!(asked.success());
        let ended = self.child.wait().expect("waited for").success();
        (ended, self.errors.take().expect("once").join().expect("read"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
