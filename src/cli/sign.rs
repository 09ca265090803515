//! `miax sign`, `approve`, `object`, `withdraw`: adds a signature to a file, after saying what it would authorise.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::constitution::Manifest;
use crate::trust::{KeyId, Keyring as _, PublicKey, SignatureFormat, SigningKey, Statement, Verb, ssh_signed_data};
use crate::units::UnixSeconds;

use super::agent::Agent;
use super::clock::now;
use super::files::{Existing, Signed, read_charter, read_object, write_object};
use super::key::{read_private, read_public};
use super::output::{Answer, Failure, failure, tell};
use super::show::describe;
use super::verify::judge_offline;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax sign -f cmd.yaml --as alpha-bot --seat ALPHA --key alpha-bot.key --yes
  miax approve -f cmd.yaml --as dana --seat SRE --key ~/.ssh/id_ed25519
  miax approve -f cmd.yaml --as dana --seat SRE --agent --key ~/.ssh/id_ed25519_sk.pub
  miax object -f cmd.yaml --as erin --seat TCC --key erin --comment 'not during the sale'

The file is written again; comments in it are lost. `ssh-keygen -Y verify` can check the signature too.")]
pub(super) struct Arguments {
    /// The document.
    #[arg(short, long)]
    file: PathBuf,
    /// The seat: the organ that you sign for.
    #[arg(long)]
    seat: String,
    /// Your name in the charter; with --charter it is found by the key.
    #[arg(long = "as", value_name = "PRINCIPAL")]
    principal: Option<String>,
    /// Private key file; with --agent the public one.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Sign with ssh-agent: keys in hardware, or encrypted ones.
    #[arg(long)]
    agent: bool,
    /// A remark, signed too.
    #[arg(long)]
    comment: Option<String>,
    /// The charter in force; then the seats that are still empty are told.
    #[arg(long)]
    charter: Option<PathBuf>,
    /// Sign without asking.
    #[arg(short, long)]
    yes: bool,
}

/// What signs.
enum Signer {
    File(Box<SigningKey>),
    Agent(Agent),
}

impl Signer {
    fn open(arguments: &Arguments) -> Result<(Self, PublicKey), Failure> {
        if arguments.agent {
            let wanted = arguments.key.as_deref().map(read_public).transpose()?;
            let (agent, key) = Agent::connect(wanted.as_ref())?;
            return Ok((Self::Agent(agent), key));
        }
        let file = arguments.key.as_deref().ok_or_else(|| {
            Failure::new("no key is given").with_next("--key FILE, or --agent to sign with ssh-agent")
        })?;
        let key = read_private(file)?;
        let public = key.public().map_err(|e| failure(&e))?;
        Ok((Self::File(Box::new(key)), public))
    }

    fn sign(&mut self, public: &PublicKey, message: &[u8]) -> Result<(SignatureFormat, String), Failure> {
        match self {
            Self::File(key) => key.sign(message).map_err(|e| failure(&e)),
            Self::Agent(agent) => {
                let data = ssh_signed_data(message).map_err(|e| failure(&e))?;
                Ok((SignatureFormat::Sshsig, agent.sign(public, &data)?))
            }
        }
    }
}

pub(super) fn run(arguments: &Arguments, verb: Verb) -> Result<Answer, Failure> {
    let mut object = read_object(&arguments.file)?;
    let signed = Signed::read(&object)?;
    let at = now();
    if at >= signed.document().expires_at {
        return Err(
            Failure::new(format!("it expired at {}", signed.document().expires_at)).with_next("draft a new one")
        );
    }
    let charter = arguments.charter.as_deref().map(read_charter).transpose()?.map(|(_, manifest)| manifest);
    let (mut signer, public) = Signer::open(arguments)?;
    let principal = principal(arguments, charter.as_ref(), &public.id())?;
    tell(&describe(&signed, &object, None));
    let word = verb.as_str();
    confirm(arguments, &format!("{word} as {principal} for {}?", arguments.seat))?;
    let statement = Statement {
        subject: &signed.document().subject(),
        digest: signed.document().digest,
        verb,
        seat: &arguments.seat,
        principal: &principal,
        audience: &signed.document().audience,
        signed_at: at,
        comment: arguments.comment.as_deref(),
    };
    let message = statement.signed_bytes().map_err(|e| failure(&e))?;
    let (format, value) = signer.sign(&public, &message)?;
    add(&mut object, arguments, verb, &principal, at, &public.id(), format, &value)?;
    // What was just made must read back, before the file is replaced.
    Signed::read(&object)?;
    write_object(&arguments.file, &object, Existing::Replace)?;
    tell(&format!("{}: {word} by {principal} for {} is added", arguments.file.display(), arguments.seat));
    match arguments.charter.as_deref() {
        Some(charter) => tell_next(&object, charter, at),
        None => Ok(Answer::Yes),
    }
}

/// The name that signs: as given, or as the charter knows the key.
fn principal(arguments: &Arguments, charter: Option<&Manifest>, key: &KeyId) -> Result<String, Failure> {
    let owner = charter.and_then(|m| m.charter.owner_of(key.as_str()));
    match (&arguments.principal, owner) {
        (Some(name), Some(owner)) if name != owner => {
            Err(Failure::new(format!("the key {key} belongs to `{owner}`, not to `{name}`")))
        }
        (Some(name), _) => Ok(name.clone()),
        (None, Some(owner)) => Ok(owner.to_owned()),
        (None, None) => Err(Failure::new(format!("it is not known who signs with the key {key}"))
            .with_next("--as NAME, or --charter FILE with a charter that knows the key")),
    }
}

fn confirm(arguments: &Arguments, question: &str) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new("nobody can be asked: this is not a terminal")
            .with_next("read the text above, then add --yes"));
    }
    tell(&format!("{question} [y/N]"));
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(|e| failure(&e))?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(Failure::new("not signed")) }
}

#[expect(clippy::too_many_arguments, reason = "these are the fields of a signature, written once, here")]
fn add(
    object: &mut Value,
    arguments: &Arguments,
    verb: Verb,
    principal: &str,
    at: UnixSeconds,
    key: &KeyId,
    format: SignatureFormat,
    value: &str,
) -> Result<(), Failure> {
    let mut signature = json!({
        "principal": principal,
        "verb": verb.as_str(),
        "seat": arguments.seat,
        "signedAt": at.to_string(),
        "key": key.as_str(),
        "format": format.as_str(),
        "value": value,
    });
    if let (Some(comment), Some(map)) = (&arguments.comment, signature.as_object_mut()) {
        map.insert("comment".to_owned(), Value::from(comment.as_str()));
    }
    let spec = object.get_mut("spec").and_then(Value::as_object_mut).ok_or_else(|| Failure::new("there is no spec"))?;
    let list = spec.entry("signatures").or_insert_with(|| json!([]));
    let list = list.as_array_mut().ok_or_else(|| Failure::new("spec.signatures is not a list"))?;
    let same = |s: &Value| ["principal", "verb", "seat"].iter().all(|k| s.get(k) == signature.get(k));
    if list.iter().any(same) {
        return Err(Failure::new(format!("`{principal}` signed `{}` for {} already", verb.as_str(), arguments.seat))
            .with_next("remove the old signature from the file first, if it is to be replaced"));
    }
    list.push(signature);
    Ok(())
}

/// Tells what is still missing; the signature itself is added in any case.
fn tell_next(object: &Value, charter: &Path, at: UnixSeconds) -> Result<Answer, Failure> {
    let decision = judge_offline(object, charter, at, None)?;
    tell(&decision.message());
    Ok(Answer::Yes)
}
