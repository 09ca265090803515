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
    let Some(current) = state.charter(facts.now) else {
        if manifest.ratify_by.is_some() {
            return finding(Reason::FieldInvalid, "spec.ratifyBy: the first charter amends nothing".to_owned());
        }
        return genesis(manifest.version, digest, facts.genesis).and_then(|(reason, text)| finding(reason, text));
    };
    if digest == current.reference.digest {
        return None;
    }
    if manifest.id != current.id {
        let message = format!("the charter in force is `{}`; a charter with another id cannot replace it", current.id);
        return finding(Reason::VersionNotNext, message);
    }
    let (version, newest) = (manifest.version, state.newest_version());
    if let Some(emergency) = state.emergency() {
        if digest == emergency.charter.reference.digest {
            let message =
                format!("it was not ratified until {}; {} is in force again", emergency.ratify_by, current.object);
            return finding(Reason::CharterLapsed, message);
        }
        // Else CEK and ALPHA could write themselves rules by which they amend for good.
        if facts.now < emergency.ratify_by {
            let message = format!(
                "the emergency charter {} must be ratified, or lapse at {}, before another charter",
                emergency.charter.object.name, emergency.ratify_by
            );
            return finding(Reason::RatificationPending, message);
        }
    }
    if version == newest {
        return finding(Reason::VersionReused, format!("version {newest} exists with other content"));
    }
    let unratified = state.emergency_lapsed().is_some() || state.emergency().is_some();
    if manifest.ratify_by.is_some() && unratified {
        let message =
            "the last emergency charter was not ratified; the next amendment needs the whole quorum".to_owned();
        return finding(Reason::ObligationOverdue, message);
    }
    if version == newest + 1 {
        return None;
    }
    let message = format!("version {version} was submitted, but the newest is {newest} and {} comes next", newest + 1);
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
