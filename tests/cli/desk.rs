//! A directory with the keys of an organisation, and the binary that works in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Everybody and their seats: two holders of each, so that no lost key blocks a rule.
const PEOPLE: [(&str, &str); 13] = [
    ("alice", "CEK"),
    ("amir", "CEK"),
    ("bea", "APXGP"),
    ("bob", "APXGP"),
    ("carl", "CTK"),
    ("cora", "CTK"),
    ("dana", "SRE"),
    ("dirk", "SRE"),
    ("emil", "TCC"),
    ("eve", "TCC"),
    ("al", "ALPHA"),
    ("ann", "ALPHA"),
    ("tom", "TC"),
];
pub const UID: &str = "0f7c0000-0000-4000-8000-000000000001";

pub struct Desk {
    dir: tempfile::TempDir,
}

/// What a run gave.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The exit code is part of what every command promises.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn expect_err(self, part: &str) -> Self {
        assert!(self.err.contains(part), "`{part}` is not in stderr:\n{}", self.err);
        self
    }

    #[track_caller]
    pub fn expect_out(self, part: &str) -> Self {
        assert!(self.out.contains(part), "`{part}` is not in stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).expect(&self.out)
    }
}

/// Runs the binary in `dir` with `input` on stdin; never with the environment of whoever runs the tests.
pub fn run(dir: &Path, arguments: &[&str], environment: &[(&str, &str)], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_miax"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // A command that needs no input may have ended already.
    let _ = std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), input);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the binary ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Run { code: status.code().expect("no signal"), out: text(stdout), err: text(stderr) }
}

impl Desk {
    /// Keys for everybody, and a charter that its people signed.
    pub fn with_charter() -> Self {
        let desk = Self::with_keys();
        desk.init().expect_code(0);
        desk.sign_charter();
        desk
    }

    /// The signatures that a charter needs.
    pub fn sign_charter(&self) {
        let sign = |verb: &str, who: &str, seat: &str| {
            self.miax(&[verb, "-f", "charter.yaml", "--as", who, "--seat", seat, "--key", who, "--yes"]).expect_code(0);
        };
        sign("sign", "carl", "CTK");
        for (who, seat) in [("bea", "APXGP"), ("bob", "APXGP"), ("alice", "CEK"), ("amir", "CEK")] {
            sign("approve", who, seat);
        }
    }

    /// Keys for everybody.
    pub fn with_keys() -> Self {
        let desk = Self::empty();
        PEOPLE.iter().for_each(|(name, _)| desk.ssh_key(name, ""));
        desk.miax(&["key", "new", "bot.key"]).expect_code(0);
        desk
    }

    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("directory") }
    }

    /// Makes the charter.
    pub fn init(&self) -> Run {
        let principals: Vec<String> = PEOPLE.iter().map(|(n, s)| format!("--principal={n}={s}:{n}.pub")).collect();
        let cluster = format!("prod-eu={UID}");
        let mut arguments = vec!["init", "--out", "charter.yaml", "--cluster", &cluster];
        arguments.extend(principals.iter().map(String::as_str));
        arguments.extend(["--machine", "bot=ALPHA:bot.key.pub"]);
        self.miax(&arguments)
    }

    pub fn ssh_key(&self, name: &str, passphrase: &str) {
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", name])
            .current_dir(self.dir.path())
            .status();
        assert!(status.expect("ssh-keygen").success());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect(name);
    }

    pub fn miax(&self, arguments: &[&str]) -> Run {
        run(self.dir.path(), arguments, &[], b"")
    }

    pub fn miax_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        run(self.dir.path(), arguments, environment, b"")
    }

    /// A critical command in `cmd.yaml`, without signatures.
    pub fn draft(&self) {
        self.miax(&[
            "draft",
            "scale",
            "deployment/checkout",
            "-n",
            "shop",
            "--replicas",
            "3",
            "--impact",
            "Critical",
            "--reason",
            "sale",
            "--audience",
            "prod-eu",
            "--name",
            "checkout-3",
            "--out",
            "cmd.yaml",
        ])
        .expect_code(0);
    }

    /// Signs `cmd.yaml` with the key of the same name.
    pub fn sign(&self, verb: &str, who: &str, seat: &str) -> Run {
        self.miax(&[verb, "-f", "cmd.yaml", "--as", who, "--seat", seat, "--key", who, "--yes"])
    }

    /// Author and all three seats.
    pub fn approve_all(&self) {
        self.miax(&["sign", "-f", "cmd.yaml", "--as", "bot", "--seat", "ALPHA", "--key", "bot.key", "--yes"])
            .expect_code(0);
        for (who, seat) in [("dana", "SRE"), ("eve", "TCC"), ("al", "ALPHA")] {
            self.sign("approve", who, seat).expect_code(0);
        }
    }

    pub fn verify(&self) -> Run {
        self.miax(&["verify", "-f", "cmd.yaml", "--charter", "charter.yaml", "-o", "json"])
    }
}
