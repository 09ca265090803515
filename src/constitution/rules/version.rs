//! Versions go up by one and never come back (R16). The newest is remembered by the ledger, not by an object, so that
//! deleting one resets nothing.

use crate::api::reason::Reason;
use crate::units::Digest;

use super::super::decision::Finding;
use super::super::facts::Facts;
use super::super::manifest::Manifest;
use super::super::state::State;

/// Refuses a charter that is neither the one in force, nor its next version, nor the genesis.
pub(in super::super) fn version(manifest: &Manifest, state: &State, facts: &Facts) -> Option<Finding> {
    let digest = manifest.document.digest;
    let finding = |reason, message| Some(Finding { reason, message, rule: None, next: None });
    let Some(current) = state.charter() else {
        return genesis(manifest.version, digest, facts.genesis).and_then(|(reason, text)| finding(reason, text));
    };
    let newest = current.reference.version;
    if manifest.id != current.id {
        let message = format!("the charter in force is `{}`; a charter with another id cannot replace it", current.id);
        return finding(Reason::VersionNotNext, message);
    }
    if manifest.version == newest {
        return match digest == current.reference.digest {
            true => None,
            false => finding(Reason::VersionReused, format!("version {newest} is in force with other content")),
        };
    }
    if manifest.version == newest + 1 {
        return None;
    }
    let message =
        format!("version {} was submitted, but {newest} is in force and {} comes next", manifest.version, newest + 1);
    finding(Reason::VersionNotNext, message)
}

fn genesis(version: u64, digest: Digest, expected: Option<Digest>) -> Option<(Reason, String)> {
    if version != 1 {
        return Some((Reason::NoCharter, format!("no charter is in force; the first one is version 1, not {version}")));
    }
    match expected {
        Some(expected) if expected == digest => None,
        Some(expected) => {
            let message = format!("the charter has the digest {digest}, but the operator was started for {expected}");
            Some((Reason::GenesisMismatch, message))
        }
        None => {
            let message = format!("the operator was started without a genesis digest; this charter has {digest}");
            Some((Reason::GenesisMismatch, message))
        }
    }
}
