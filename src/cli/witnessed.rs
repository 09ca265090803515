//! Whether enough witnesses have seen the log as it is here.

use crate::ledger::{Check, Finding, FindingClass};
use crate::trust::{NoteError, Quorum, WitnessKey};

use super::clock::now;
use super::output::{Failure, failure};
use super::source::Published;

/// The witnesses that are believed.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Witnesses {
    /// Key of a witness whose cosignature of the checkpoint counts; once for each.
    #[arg(long = "witness", value_name = "KEY")]
    keys: Vec<String>,
    /// How many of them must have cosigned; without it all.
    #[arg(long, value_name = "N", requires = "keys")]
    quorum: Option<usize>,
}

impl Witnesses {
    /// The quorum that was asked for; `None` when no witness is named.
    pub(super) fn quorum(&self) -> Result<Option<Quorum>, Failure> {
        let Self { keys, quorum } = self;
        if keys.is_empty() {
            return Ok(None);
        }
        let keys: Result<Vec<WitnessKey>, NoteError> = keys.iter().map(|key| key.parse()).collect();
        let keys = keys.map_err(|e| {
            failure(&e)
                .with_next("give the key of a witness as it prints it: name+hash+key, of the type of cosignatures")
        })?;
        let needed = quorum.unwrap_or(keys.len());
        Quorum::try_new(keys, needed).map(Some).map_err(|e| failure(&e))
    }
}

/// What is wrong with the cosignatures of the checkpoint.
pub(super) fn check(quorum: &Quorum, published: Option<&Published>, object: &str) -> Option<Finding> {
    let finding = |class, message: String| Some(Finding::new(Check::WitnessQuorum, class, object, None, message));
    let Some(published) = published else {
        return finding(FindingClass::Unwitnessed, "there is no checkpoint that a witness could have seen".to_owned());
    };
    match quorum.cosignatures(&published.note, now()) {
        Err(error) => finding(FindingClass::Tampered, error.to_string()),
        Ok(found) if found.len() >= quorum.needed() => None,
        Ok(found) => {
            let names: Vec<&str> = found.iter().map(|c| c.witness.as_str()).collect();
            let who = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            let (needed, of, size) = (quorum.needed(), quorum.witnesses().len(), published.size());
            let message =
                format!("{needed} of {of} witnesses must have seen the checkpoint over {size} entries: {who} has");
            finding(FindingClass::Unwitnessed, message)
        }
    }
}
