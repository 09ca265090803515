//! A small organisation: enough people that no lost key stops a rule, and one machine that authors for ALPHA.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::StageError;
use crate::miax::Cli;

/// People and the seats that they hold. Sam holds two: one person still fills one seat.
pub const PEOPLE: [(&str, &str); 15] = [
    ("carol", "CEK"),
    ("cyrus", "CEK"),
    ("anna", "APXGP"),
    ("abel", "APXGP"),
    ("tina", "CTK"),
    ("tom", "CTK"),
    ("theo", "TC"),
    ("thea", "TC"),
    ("alma", "ALPHA"),
    ("alec", "ALPHA"),
    ("frank", "SRE"),
    ("fay", "SRE"),
    ("dana", "TCC"),
    ("eve", "TCC"),
    ("sam", "SRE,TCC"),
];

/// Who signs the first charter: CTK authors, APXGP and CEK approve, with TC they are two thirds of six.
const FOUNDERS: [(&str, &str, &str); 5] = [
    ("sign", "tina", "CTK"),
    ("approve", "anna", "APXGP"),
    ("approve", "carol", "CEK"),
    ("approve", "cyrus", "CEK"),
    ("approve", "theo", "TC"),
];

/// The organisation, with its keys in a directory.
#[derive(Clone, Debug)]
pub struct Organisation {
    directory: PathBuf,
    cli: Cli,
    genesis: String,
}

impl Organisation {
    /// Makes keys for everybody and the signed first charter, for the cluster with this UID.
    ///
    /// # Errors
    /// [`StageError::Command`] when ssh-keygen or miax fails; [`StageError::Io`].
    pub fn found(directory: &Path, cli: &Cli, cluster_uid: &str) -> Result<Self, StageError> {
        PEOPLE.iter().try_for_each(|(name, _)| ssh_key(directory, name))?;
        cli.run(&["key", "new", "alpha-bot"])?;
        let mut arguments = vec!["init".to_owned(), "--cluster".to_owned(), format!("demo={cluster_uid}")];
        for (name, seats) in PEOPLE {
            arguments.extend(["--principal".to_owned(), format!("{name}={seats}:{name}.pub")]);
        }
        arguments.extend(["--machine".to_owned(), "alpha-bot=ALPHA:alpha-bot.pub".to_owned()]);
        let genesis = cli.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())?.trim().to_owned();
        let organisation = Self { directory: directory.to_owned(), cli: cli.clone(), genesis };
        for (verb, name, seat) in FOUNDERS {
            organisation.sign(verb, "constitution-v1.yaml", name, seat)?;
        }
        Ok(organisation)
    }

    /// Digest of the first charter.
    #[must_use]
    pub fn genesis(&self) -> &str {
        &self.genesis
    }

    /// Path of a file of the organisation.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Signs a file; `verb` is `sign`, `approve`, `object` or `withdraw`.
    ///
    /// # Errors
    /// [`StageError::Command`] when miax fails.
    pub fn sign(&self, verb: &str, file: &str, name: &str, seat: &str) -> Result<String, StageError> {
        self.cli.run(&[verb, "-f", file, "--as", name, "--seat", seat, "--key", name, "--yes"])
    }
}

fn ssh_key(directory: &Path, name: &str) -> Result<(), StageError> {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name])
        .current_dir(directory)
        .stdout(Stdio::null())
        .status()
        .map_err(StageError::io("ssh-keygen cannot be run (Debian: apt install openssh-client)"))?;
    let failed = || StageError::Command { command: "ssh-keygen".to_owned(), what: format!("no key for {name}") };
    if status.success() { Ok(()) } else { Err(failed()) }
}
