//! A client of ssh-agent: the two requests that signing needs, over its socket
//! (<https://datatracker.ietf.org/doc/draft-ietf-sshm-ssh-agent/>).

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::trust::{PublicKey, assemble_agent_signature};

use super::output::{Failure, failure};

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// Largest answer that is read; an agent with a thousand keys says less.
const MAX_ANSWER: u32 = 1 << 20;
/// A person may have to touch a key or type a passphrase.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection to the agent.
pub(super) struct Agent {
    stream: UnixStream,
    /// The key as the agent knows it.
    blob: Vec<u8>,
}

impl Agent {
    /// Connects, and finds the wanted key, or the only one that Miax can use.
    pub(super) fn connect(wanted: Option<&PublicKey>) -> Result<(Self, PublicKey), Failure> {
        let path = std::env::var_os("SSH_AUTH_SOCK").ok_or_else(|| {
            Failure::new("there is no ssh-agent: SSH_AUTH_SOCK is not set").with_next("eval $(ssh-agent); ssh-add FILE")
        })?;
        let stream =
            UnixStream::connect(&path).map_err(|e| Failure::new(format!("ssh-agent cannot be reached: {e}")))?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(|e| failure(&e))?;
        let mut agent = Self { stream, blob: Vec::new() };
        let mut keys = agent.keys()?;
        keys.retain(|(_, key)| wanted.is_none_or(|w| w.id() == key.id()));
        let none = || {
            let what = wanted.map(|w| format!("the key {}", w.id()));
            Failure::new(format!("ssh-agent does not hold {}", what.as_deref().unwrap_or("a key that Miax can use")))
                .with_next("ssh-add FILE")
        };
        match (keys.pop(), keys.is_empty()) {
            (Some((blob, key)), true) => {
                agent.blob = blob;
                Ok((agent, key))
            }
            (Some(_), false) => {
                Err(Failure::new("ssh-agent holds several keys").with_next("choose one with --key FILE.pub"))
            }
            (None, _) => Err(none()),
        }
    }

    /// Signs; gives the value for the object.
    pub(super) fn sign(&mut self, key: &PublicKey, data: &[u8]) -> Result<String, Failure> {
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, &self.blob)?;
        put(&mut request, data)?;
        request.extend_from_slice(&0_u32.to_be_bytes());
        let answer = self.ask(&request)?;
        let signature = match answer.split_first() {
            Some((&SIGN_RESPONSE, mut rest)) => take(&mut rest),
            _ => None,
        };
        let refused =
            || Failure::new("ssh-agent did not sign").with_next("touch the key, or unlock the agent, and try again");
        assemble_agent_signature(key, signature.ok_or_else(refused)?).map_err(|e| failure(&e))
    }

    /// The keys that Miax can use.
    fn keys(&mut self) -> Result<Vec<(Vec<u8>, PublicKey)>, Failure> {
        let answer = self.ask(&[REQUEST_IDENTITIES])?;
        let wrong = || Failure::new("ssh-agent's answer cannot be read");
        let Some((&IDENTITIES_ANSWER, mut rest)) = answer.split_first() else { return Err(wrong()) };
        let count = take_number(&mut rest).ok_or_else(wrong)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            let blob = take(&mut rest).ok_or_else(wrong)?;
            take(&mut rest).ok_or_else(wrong)?;
            if let Some(key) = PublicKey::from_ssh_blob(blob) {
                keys.push((blob.to_vec(), key));
            }
        }
        Ok(keys)
    }

    fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut message = Vec::new();
        put(&mut message, request)?;
        let wrong = |e: std::io::Error| Failure::new(format!("ssh-agent does not answer: {e}"));
        self.stream.write_all(&message).map_err(wrong)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(wrong)?;
        let length = u32::from_be_bytes(length);
        if length > MAX_ANSWER {
            return Err(Failure::new("ssh-agent's answer is too long"));
        }
        let mut answer = vec![0; usize::try_from(length).unwrap_or(0)];
        self.stream.read_exact(&mut answer).map_err(wrong)?;
        Ok(answer)
    }
}

fn put(message: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Failure> {
    let length = u32::try_from(bytes.len()).map_err(|e| failure(&e))?;
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(bytes);
    Ok(())
}

fn take_number(rest: &mut &[u8]) -> Option<u32> {
    let (number, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*number))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    let (bytes, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(bytes)
}
