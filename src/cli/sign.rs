//! `miax sign`, `approve`, `object`, `withdraw`: adds a signature to a document, in a file or in a cluster, after saying what it
//! would authorise.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::constitution::Manifest;
use crate::trust::{
    KeyId, Keyring as _, PublicKey, SignatureFormat, SigningKey, Statement, Verb, ssh_signed_data, verify,
};
use crate::units::UnixSeconds;

use super::agent::Agent;
use super::clock::now;
use super::files::{Signed, read_charter};
use super::key::{read_private, read_public};
use super::meaning::terms;
use super::output::{Answer, Failure, Format, ask, failure, plain, print, tell};
use super::place::Place;
use super::show::describe;
use super::verify::judge_offline;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  miax sign -f cmd.yaml --as alpha-bot --seat ALPHA --key alpha-bot.key --yes
  miax approve -f cmd.yaml --as dana --seat SRE --key ~/.ssh/id_ed25519
  miax approve -f cmd.yaml --as dana --seat SRE --agent --key ~/.ssh/id_ed25519_sk.pub
  miax object -f cmd.yaml --as erin --seat TCC --key erin --comment 'not during the sale'
  miax approve controlcommand/checkout-3 -n shop --as dana --seat SRE --key ~/.ssh/id_ed25519    # held in the cluster

Without --key, ssh-agent signs. The file is written again; comments in it are lost. Of a document in the cluster only your own
signature is sent, as the field manager miax-PRINCIPAL.
The passphrase of a key file is read from the file that MIAX_PASSPHRASE_FILE names, or asked for.")]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// The seat: the organ that you sign for.
    #[arg(long)]
    seat: String,
    /// Your name in the charter; with --charter it is found by the key.
    #[arg(long = "as", value_name = "PRINCIPAL", env = "MIAX_PRINCIPAL", hide_env_values = true)]
    principal: Option<String>,
    /// Private key file; with --agent the public one.
    #[arg(long, env = "MIAX_KEY", hide_env_values = true)]
    key: Option<PathBuf>,
    /// Sign with ssh-agent: keys in hardware, or encrypted ones.
    #[arg(long)]
    agent: bool,
    /// A remark, signed too.
    #[arg(long)]
    comment: Option<String>,
    /// The charter in force; then the seats that are still empty are told.
    #[arg(long, env = "MIAX_CHARTER", hide_env_values = true)]
    charter: Option<PathBuf>,
    /// Sign without asking.
    #[arg(short, long)]
    yes: bool,
    /// How to print what was signed; as text nothing is on stdout.
    #[arg(short, long, default_value = "text")]
    output: Format,
}

/// Longest comment; the schema of the signatures has the same number.
const MAX_COMMENT: usize = 512;

/// What signs.
enum Signer {
    File(Box<SigningKey>),
    Agent(Agent),
}

impl Signer {
    fn open(arguments: &Arguments) -> Result<(Self, PublicKey), Failure> {
        let file = match (&arguments.key, arguments.agent) {
            (Some(file), false) => file,
            (wanted, _) => {
                let wanted = wanted.as_deref().map(read_public).transpose()?;
                let (agent, key) = Agent::connect(wanted.as_ref())?;
                return Ok((Self::Agent(agent), key));
            }
        };
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
    let Arguments { place, seat, .. } = arguments;
    place.check()?;
    let before = place.read()?;
    let signed = Signed::read(&before)?;
    let at = now();
    check_signable(arguments, &signed, at)?;
    let charter = arguments.charter.as_deref().map(read_charter).transpose()?.map(|(_, manifest)| manifest);
    let (mut signer, public) = Signer::open(arguments)?;
    let principal = principal(arguments, charter.as_ref(), &public.id())?;
    check_seat(arguments, charter.as_ref(), &principal)?;
    check_unsaid(arguments, &signed, verb, &principal)?;
    let known = charter.as_ref().map(|manifest| &manifest.charter);
    tell(&describe(&signed, &before, known, None));
    let key = public.id();
    let own = known.map(|charter| terms(&signed, charter, (&principal, seat, key.as_str()), at));
    own.into_iter().flatten().for_each(|term| tell(&format!("note: {}", plain(&term))));
    confirm(arguments, &format!("{} as {principal} for {seat}?", verb.as_str()))?;
    let statement = Statement {
        subject: &signed.document().subject(),
        digest: signed.document().digest,
        verb,
        seat,
        principal: &principal,
        audience: &signed.document().audience,
        signed_at: at,
        comment: arguments.comment.as_deref(),
    };
    let signature = make(&mut signer, &public, &statement)?;
    let (after, answer) = place.add(&before, &signature, &format!("{} by {principal} for {seat}", verb.as_str()))?;
    if arguments.output != Format::Text {
        let value = json!({"digest": signed.document().digest, "signature": signature});
        print(arguments.output, &value, String::new)?;
    }
    if let (Some(charter), Answer::Yes) = (arguments.charter.as_deref(), answer) {
        tell_next(&after, charter, at);
    }
    Ok(answer)
}

/// What can be refused before a key is touched.
fn check_signable(arguments: &Arguments, signed: &Signed, at: UnixSeconds) -> Result<(), Failure> {
    let end = signed.document().expires_at;
    if at >= end {
        return Err(Failure::new(format!("it expired at {end}")).with_next("draft a new one"));
    }
    let length = arguments.comment.as_deref().map_or(0, |c| c.chars().count());
    if length > MAX_COMMENT {
        return Err(Failure::new(format!("the comment has {length} characters; at most {MAX_COMMENT} are allowed")));
    }
    Ok(())
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

/// With a charter at hand a signature that could never count is not even made: it would refuse the whole document.
fn check_seat(arguments: &Arguments, charter: Option<&Manifest>, principal: &str) -> Result<(), Failure> {
    let Some(manifest) = charter else { return Ok(()) };
    let seat = &arguments.seat;
    match manifest.charter.principals.get(principal) {
        Some(known) if known.seats.contains(seat) || manifest.charter.delegated(principal, seat).next().is_some() => {
            Ok(())
        }
        Some(known) => {
            let seats: Vec<&str> = known.seats.iter().map(String::as_str).collect();
            Err(Failure::new(format!("`{principal}` does not hold the seat {seat}"))
                .with_next(format!("--seat with one of: {}", seats.join(", "))))
        }
        None => Err(Failure::new(format!("there is no `{principal}` in the charter"))
            .with_next("--as with a name of the charter")),
    }
}

fn confirm(arguments: &Arguments, question: &str) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    match ask(&format!("{question} [y/N]"))? {
        None => Err(Failure::new("nobody can be asked: this is not a terminal")
            .with_next("read the text above, then add --yes")),
        Some(answer) if answer.eq_ignore_ascii_case("y") => Ok(()),
        Some(_) => Err(Failure::new("not signed")),
    }
}

/// Nobody says a thing twice, and a document has one author.
fn check_unsaid(arguments: &Arguments, signed: &Signed, verb: Verb, principal: &str) -> Result<(), Failure> {
    let (seat, said) = (&arguments.seat, &signed.document().signatures);
    if said.iter().any(|s| s.principal == principal && s.verb == verb && s.seat == *seat) {
        return Err(Failure::new(format!("`{principal}` signed `{}` for {seat} already", verb.as_str()))
            .with_next(arguments.place.said_before()));
    }
    match said.iter().find(|s| s.verb == Verb::Author) {
        Some(first) if verb == Verb::Author => {
            Err(Failure::new(format!("`{}` is the author already; a document has one", first.principal))
                .with_next("miax approve, if you agree with it"))
        }
        _ => Ok(()),
    }
}

/// Signs, and gives the signature as the object carries it.
fn make(signer: &mut Signer, public: &PublicKey, statement: &Statement<'_>) -> Result<Value, Failure> {
    let message = statement.signed_bytes().map_err(|e| failure(&e))?;
    let (format, value) = signer.sign(public, &message)?;
    // An agent may answer with anything; a signature that does not verify would spoil the whole document.
    verify(public, format, &value, &message).map_err(|e| Failure::new(format!("the signature is no good: {e}")))?;
    let mut signature = json!({
        "principal": statement.principal,
        "verb": statement.verb.as_str(),
        "seat": statement.seat,
        "signedAt": statement.signed_at.to_string(),
        "key": public.id().as_str(),
        "format": format.as_str(),
        "value": value,
    });
    if let (Some(comment), Some(map)) = (statement.comment, signature.as_object_mut()) {
        map.insert("comment".to_owned(), Value::from(comment));
    }
    Ok(signature)
}

/// Tells what is still missing; the signature itself is added in any case.
fn tell_next(object: &Value, charter: &Path, at: UnixSeconds) {
    match judge_offline(object, charter, at, None) {
        Ok(decision) => tell(&plain(&decision.message())),
        Err(failure) => tell(&format!("what is missing cannot be told: {failure}")),
    }
}
