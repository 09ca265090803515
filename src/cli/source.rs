//! Where a ledger is read from, and what is believed about it beforehand. Nothing leaves here that was not verified.

use std::path::{Path, PathBuf};

use crate::api::names::CHECKPOINT_CONFIG_MAP;
use crate::constitution::State;
use crate::ledger::{
    Block, BlockParts, Check, Checkpoint, Finding, FindingClass, HashTree, Head, LogKeys, LogTrust, Report, Scope,
    SignedCheckpoint, leaf_hash,
};
use crate::store::Recorded;
use crate::trust::{NoteVerifier, Quorum};
use crate::units::LogIndex;

use super::clock::now;
use super::dump::{Claims, Dump};
use super::files::read_text;
use super::output::{Failure, Format, failure, tell};
use super::pruned::Began;
use super::walk::{verify, walk};
use super::witnessed::Witnesses;

/// Where the ledger is read from.
#[derive(Debug, clap::Args)]
pub(super) struct Source {
    /// Read this dump instead of the cluster.
    #[arg(long)]
    dump: Option<PathBuf>,
    /// An archive that holds what has left the cluster: what was before the first block is read from there.
    #[arg(long, value_name = "DIR")]
    archive: Option<PathBuf>,
    #[cfg(feature = "client")]
    #[command(flatten)]
    cluster: super::online::Cluster,
    #[command(flatten)]
    trust: Trust,
    /// How to print.
    #[arg(short, long, default_value = "text")]
    pub(super) output: Format,
}

/// What the verifier believes beforehand.
#[derive(Debug, clap::Args)]
pub(super) struct Trust {
    /// The log's key, as `miax ledger head` prints it. Of a ledger it is the one that it began with. What proves something
    /// across a change of the key is checked with both: give it twice.
    #[arg(id = "log_key", long = "key", value_name = "KEY", env = "MIAX_LOG_KEY", hide_env_values = true)]
    keys: Vec<String>,
    /// Origin of the log; without it the name in the key.
    #[arg(long)]
    origin: Option<String>,
    /// A checkpoint that was kept elsewhere; the log must contain it.
    #[arg(long)]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    witnesses: Witnesses,
}

/// A ledger after its verification.
pub(super) struct Verified {
    pub(super) report: Report,
    /// What was there to check.
    pub(super) scope: Scope,
    pub(super) trust: LogTrust,
    pub(super) entries: Vec<Recorded>,
    pub(super) claims: Claims,
    /// The blocks that are right, with the bytes of their entries.
    pub(super) blocks: Vec<Block>,
    /// The same blocks as they were stored, by name.
    pub(super) parts: Vec<(String, BlockParts)>,
    pub(super) published: Option<Published>,
    /// The keys that the log ever had, with what each vouches for.
    pub(super) keys: LogKeys,
    /// Where it begins, when what was before has left the cluster.
    pub(super) began: Option<Began>,
}

/// A checkpoint as it was published, with what its signature vouches for.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) note: String,
    pub(super) signed: SignedCheckpoint,
}

impl Published {
    /// Reads a checkpoint that was kept in a file.
    pub(super) fn read(path: &Path, keys: &LogKeys) -> Result<Self, Failure> {
        let note = read_text(path)?;
        let signed = SignedCheckpoint::open_with(&note, keys);
        let signed = signed.map_err(|e| Failure::new(format!("{}: {e}", path.display())))?;
        Ok(Self { note, signed })
    }

    /// Number of entries that it covers.
    pub(super) fn size(&self) -> u64 {
        self.signed.checkpoint().size
    }
}

impl Verified {
    /// The bytes of an entry, exactly as they were hashed.
    pub(super) fn bytes(&self, index: LogIndex) -> Option<&[u8]> {
        let block = self.blocks.get(self.blocks.partition_point(|b| b.header.first <= index).checked_sub(1)?)?;
        block.entries().nth(usize::try_from(index.0 - block.header.first.0).ok()?)
    }

    /// The tree over all entries, to make proofs from.
    pub(super) fn tree(&self) -> Result<HashTree, Failure> {
        let mut tree = HashTree::default();
        self.all_blocks()?.iter().flat_map(Block::entries).for_each(|entry| tree.append(leaf_hash(entry)));
        Ok(tree)
    }

    /// The checkpoint that proofs stand on: the one that the user brings, else that of the dump.
    pub(super) fn published(&self) -> Result<&Published, Failure> {
        self.published.as_ref().ok_or_else(|| {
            Failure::new("there is no checkpoint; without one a proof proves nothing")
                .with_next("dump the ConfigMap miax-checkpoint of miax-system too, or give --checkpoint FILE")
        })
    }
}

impl Source {
    /// Verifies the ledger.
    pub(super) fn read(&self) -> Result<Verified, Failure> {
        verify(self.dump()?, &self.trust).map(|(ledger, _)| ledger)
    }

    /// Verifies and replays the ledger, for other commands.
    pub(super) fn replay(&self) -> Result<(Verified, State), Failure> {
        verify(self.dump()?, &self.trust)
    }

    /// The same of the cluster, with the end of the chain: from there whoever follows the log goes on.
    #[cfg(feature = "client")]
    pub(super) fn replay_to_follow(&self) -> Result<(Verified, State, Head), Failure> {
        walk(self.read_cluster()?, &self.trust, None)
    }

    /// What the verifier believes beforehand.
    pub(super) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The cluster that is read when there is no dump.
    #[cfg(feature = "client")]
    pub(super) fn cluster(&self) -> &super::online::Cluster {
        &self.cluster
    }

    /// State of a ledger that is whole, with the origin of the log, which names the cluster.
    pub(super) fn replay_whole(&self) -> Result<(String, State), Failure> {
        self.whole().map(|(ledger, state)| (ledger.trust.origin, state))
    }

    /// A ledger that is whole: what is proven or handed on must not stand on a doubt.
    pub(super) fn whole(&self) -> Result<(Verified, State), Failure> {
        self.whole_with_head().map(|(ledger, state, _)| (ledger, state))
    }

    /// The same, with the end of the chain.
    pub(super) fn whole_with_head(&self) -> Result<(Verified, State, Head), Failure> {
        let (ledger, state, head) = walk(self.dump()?, &self.trust, None)?;
        match ledger.report.is_whole() {
            true => Ok((ledger, state, head)),
            false => Err(Failure::new("the ledger does not verify; the cluster would refuse everything")
                .with_next("miax ledger verify tells what is wrong")),
        }
    }

    /// A dump, with the key of its log.
    pub(super) fn of_dump(path: PathBuf, key: Option<String>) -> Self {
        Self {
            dump: Some(path),
            archive: None,
            #[cfg(feature = "client")]
            cluster: super::online::Cluster::default(),
            trust: Trust {
                keys: key.into_iter().collect(),
                origin: None,
                checkpoint: None,
                witnesses: Witnesses::default(),
            },
            output: Format::default(),
        }
    }

    /// For what has a form of its own: to print it in another one cannot be asked for.
    pub(super) fn only_json(&self, what: &str) -> Result<(), Failure> {
        match self.output {
            Format::Text | Format::Json => Ok(()),
            Format::Yaml => {
                Err(Failure::new(format!("{what} is JSON; it has no other form")).with_next("leave -o out"))
            }
        }
    }

    /// What is read, not verified.
    pub(super) fn dump(&self) -> Result<Dump, Failure> {
        let mut dump = match &self.dump {
            Some(path) => Dump::read(path)?,
            None => self.read_cluster()?,
        };
        if let Some(archive) = &self.archive {
            dump.complete(Dump::read(archive)?);
        }
        Ok(dump)
    }

    #[cfg(feature = "client")]
    fn read_cluster(&self) -> Result<Dump, Failure> {
        self.cluster.read_ledger()
    }

    #[cfg(not(feature = "client"))]
    #[expect(clippy::unused_self, reason = "the other build uses it")]
    fn read_cluster(&self) -> Result<Dump, Failure> {
        Err(Failure::new("this build of miax talks to no cluster").with_next("give --dump FILE"))
    }
}

/// What a verification starts with.
pub(super) struct Resolved {
    pub(super) checkpoints: Vec<(Checkpoint, String)>,
    pub(super) published: Option<Published>,
    /// The checkpoint of the dump, when the log's key did not sign it.
    pub(super) wrong: Option<Finding>,
}

impl Trust {
    /// Belief in a log that is known already.
    pub(super) fn of_log(origin: &str, key: &NoteVerifier) -> Self {
        let (keys, origin) = (vec![key.to_string()], Some(origin.to_owned()));
        Self { keys, origin, checkpoint: None, witnesses: Witnesses::default() }
    }

    /// Which log it is, by the key that the user brings, else by what the dump says about itself.
    pub(super) fn log_of(&self, claims: &Claims) -> Result<LogTrust, Failure> {
        let text = match self.keys.first() {
            Some(key) => key.clone(),
            None if claims.key.is_empty() => {
                return Err(Failure::new("the log's key is not in the dump")
                    .with_next("give --key, or dump the ConfigMap miax-checkpoint of miax-system too"));
            }
            None => {
                tell("note: the key is taken from the dump itself; give --key to be sure whose ledger it is");
                claims.key.clone()
            }
        };
        let (origin, key) = self.log(&text)?;
        Ok(LogTrust { epoch: epoch_of(&origin)?, origin, key })
    }

    /// The checkpoints to compare, opened with the log's keys.
    pub(super) fn resolve(&self, claims: &Claims, keys: &LogKeys) -> Result<Resolved, Failure> {
        let (mut checkpoints, mut published, mut wrong) = (Vec::new(), None, None);
        // The newest one may be so new that the witnesses have not answered yet: then the one before it counts for them.
        let enough = |note: &str, quorum: &Quorum| quorum.reached(note, now()).is_ok_and(|time| time.is_some());
        let newest = self.quorum()?.is_none_or(|quorum| enough(&claims.checkpoint, &quorum));
        let claimed =
            [(&claims.checkpoint, "the checkpoint in the dump"), (&claims.witnessed, "the witnessed checkpoint")];
        for (note, name) in claimed.into_iter().filter(|(note, _)| !note.is_empty()) {
            match SignedCheckpoint::open_with(note, keys) {
                Ok(signed) => {
                    checkpoints.push((signed.checkpoint().clone(), name.to_owned()));
                    if published.is_none() || !newest {
                        published = Some(Published { note: note.clone(), signed });
                    }
                }
                Err(error) => {
                    let (check, class) = (Check::CheckpointSignatures, FindingClass::Tampered);
                    wrong = Some(Finding::new(check, class, CHECKPOINT_CONFIG_MAP, None, error.to_string()));
                }
            }
        }
        if let Some(path) = &self.checkpoint {
            let kept = Published::read(path, keys)?;
            checkpoints.push((kept.signed.checkpoint().clone(), path.display().to_string()));
            published = Some(kept);
        }
        Ok(Resolved { checkpoints, published, wrong })
    }

    /// The log of a dump: by the key that the user brings, else by what the dump says about itself.
    #[cfg(feature = "client")]
    pub(super) fn of(&self, dump: &Dump) -> Result<LogTrust, Failure> {
        self.log_of(&dump.claims.clone().unwrap_or_default())
    }

    /// The keys by which checkpoints of a log are believed whose first entries are not here: those that the user names, else the
    /// one by which the dump says that it is known.
    pub(super) fn believed(&self, log: &LogTrust) -> Result<LogKeys, Failure> {
        match self.keys.is_empty() {
            true => Ok(LogKeys::new(&log.origin, log.key.clone())),
            false => self.named(),
        }
    }

    /// The keys of the log, which the user must name: a proof cannot vouch for itself, nor say for which sizes a key vouches.
    pub(super) fn named(&self) -> Result<LogKeys, Failure> {
        let keys = self.keys.iter().map(|text| self.log(text)).collect::<Result<Vec<_>, _>>()?;
        let (origin, _) = keys.first().ok_or_else(|| {
            Failure::new("the log's key is not given; a proof cannot vouch for itself")
                .with_next("give --key; `miax ledger head` prints it in the cluster")
        })?;
        Ok(LogKeys::unread(origin, keys.iter().map(|(_, key)| key.clone())))
    }

    /// The same with the epoch of the log.
    pub(super) fn named_with_epoch(&self) -> Result<(LogKeys, u16), Failure> {
        let keys = self.named()?;
        let epoch = epoch_of(keys.origin())?;
        Ok((keys, epoch))
    }

    /// The witnesses that must have seen the log, when the user names some.
    pub(super) fn quorum(&self) -> Result<Option<Quorum>, Failure> {
        self.witnesses.quorum()
    }

    fn log(&self, key: &str) -> Result<(String, NoteVerifier), Failure> {
        let key: NoteVerifier = key.parse().map_err(|e| failure(&e))?;
        Ok((self.origin.clone().unwrap_or_else(|| key.name().to_owned()), key))
    }
}

/// The last part of an origin is the epoch of the log.
fn epoch_of(origin: &str) -> Result<u16, Failure> {
    let epoch = origin.rsplit_once('/').and_then(|(_, epoch)| epoch.parse().ok());
    epoch.ok_or_else(|| {
        Failure::new(format!("`{origin}` is not the origin of a ledger"))
            .with_next("it looks like OWNER/ecm/CLUSTER_UID/EPOCH; see `miax ledger head`")
    })
}
