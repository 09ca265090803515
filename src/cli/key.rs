//! `miax key`, and reading private keys: a file that others can read is refused.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::trust::{KeyType, PublicKey, SignerError, SigningKey};

use super::files::{Existing, read_text, write_text};
use super::output::{Answer, Failure, Format, failure, print, tell};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax key new alpha-bot.key        # for a machine; people use ssh-keygen or a hardware key
  miax key show ~/.ssh/id_ed25519.pub")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Make a raw Ed25519 key for a machine, in a file that only its owner can read, and its public part beside it.
    #[command(after_help = "Example:\n  miax key new alpha-bot.key")]
    New {
        /// The file; the public part goes to the same name with `.pub`.
        file: PathBuf,
        /// How to print.
        #[arg(short, long, default_value = "text")]
        output: Format,
    },
    /// Print the fingerprint and the public part of a key file, private or public.
    #[command(after_help = "Example:\n  miax key show alpha-bot.key.pub -o json")]
    Show {
        /// The file.
        file: PathBuf,
        /// How to print.
        #[arg(short, long, default_value = "text")]
        output: Format,
    },
}

pub(super) fn run(arguments: Arguments) -> Result<Answer, Failure> {
    match arguments.action {
        Action::New { file, output } => new(&file, output),
        Action::Show { file, output } => {
            let key = read_public(&file).or_else(|_| public_of_private(&file))?;
            print(output, &value_of(&key), || format!("{} {}\n{}", key.id(), key.key_type().as_str(), key.text()))?;
            Ok(Answer::Yes)
        }
    }
}

fn value_of(key: &PublicKey) -> Value {
    json!({"fingerprint": key.id().to_string(), "type": key.key_type().as_str(), "public": key.text()})
}

fn public_of_private(file: &Path) -> Result<PublicKey, Failure> {
    read_private(file)?.public().map_err(|e| failure(&e))
}

fn new(file: &Path, output: Format) -> Result<Answer, Failure> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(|e| Failure::new(format!("no random bytes: {e}")))?;
    let key = SigningKey::from_ed25519_seed(&seed);
    let text = key.to_raw_file().ok_or_else(|| Failure::new("the key cannot be written"))?;
    let public = key.public().map_err(|e| failure(&e))?;
    let place = file.display();
    let mut beside = file.as_os_str().to_owned();
    beside.push(".pub");
    let beside = Path::new(&beside);
    if beside.symlink_metadata().is_ok() {
        return Err(Failure::new(format!("{} exists", beside.display())).with_next("choose another name"));
    }
    // The mode is given at creation: there is no moment in which others could read it.
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let written = opened.and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()));
    written.map_err(|e| {
        Failure::new(format!("{place}: {e}")).with_next("an existing key is never replaced; choose another name")
    })?;
    let line = format!("{} {}\n", public.key_type().as_str(), public.text());
    write_text(beside, &line, Existing::Keep)?;
    tell(&format!("{place}: {} (keep it secret; give {} away)", public.id(), beside.display()));
    if output != Format::Text {
        print(output, &value_of(&public), String::new)?;
    }
    Ok(Answer::Yes)
}

/// Reads a public key: a line of OpenSSH, or `TYPE BASE64` as `miax key new` writes it.
pub(super) fn read_public(file: &Path) -> Result<PublicKey, Failure> {
    let text = read_text(file)?;
    let line = text.trim();
    let raw = line.split_once(' ').and_then(|(kind, value)| Some((KeyType::parse(kind)?, value)));
    let key = match raw {
        Some((kind, value)) if !kind.is_ssh() => PublicKey::parse(kind, value.trim()),
        _ => PublicKey::parse_ssh_line(line),
    };
    key.map_err(|e| Failure::new(format!("{}: {e}", file.display())))
}

/// Reads a private key. Asks for a passphrase when it is encrypted.
pub(super) fn read_private(file: &Path) -> Result<SigningKey, Failure> {
    let place = file.display();
    let metadata = std::fs::metadata(file).map_err(|e| Failure::new(format!("{place}: {e}")))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::new(format!("{place} can be read by others (mode {mode:04o})"))
            .with_next(format!("chmod 600 {place}")));
    }
    let text = Zeroizing::new(read_text(file)?);
    match SigningKey::read(&text, None) {
        Err(SignerError::Encrypted) => {
            let passphrase = passphrase(file)?;
            SigningKey::read(&text, Some(passphrase.as_str())).map_err(|e| Failure::new(format!("{place}: {e}")))
        }
        other => other.map_err(|e| Failure::new(format!("{place}: {e}"))),
    }
}

/// The passphrase, from the file that MIAX_PASSPHRASE_FILE names or from the terminal.
fn passphrase(file: &Path) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = std::env::var_os("MIAX_PASSPHRASE_FILE") {
        return Ok(Zeroizing::new(read_text(Path::new(&path))?.trim_end_matches('\n').to_owned()));
    }
    rpassword::prompt_password(format!("passphrase of {}: ", file.display())).map(Zeroizing::new).map_err(|e| {
        Failure::new(format!("no passphrase can be asked for: {e}"))
            .with_next("add the key to ssh-agent and sign with --agent, or set MIAX_PASSPHRASE_FILE")
    })
}
