//! Which entries are meant: filters that must all fit.

use serde_json::Map;

use crate::api::reason::Reason;
use crate::cli::output::Failure;
use crate::constitution::{Event, EventError, ObjectRef};
use crate::store::Recorded;
use crate::units::UnixSeconds;

use super::told::Told;

/// Which entries are meant; every filter that is given must fit.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only entries of this kind, for example decision or effect.done.
    #[arg(long, value_parser = parse_kind)]
    kind: Option<String>,
    /// Only requests of this account, by its whole name.
    #[arg(long)]
    actor: Option<String>,
    /// Only entries about this object: KIND/NAMESPACE/NAME, or whole parts of it, for example shop/checkout-3.
    #[arg(long)]
    object: Option<String>,
    /// Only entries with this reason; miax explain lists all of them.
    #[arg(long, value_parser = parse_reason)]
    reason: Option<Reason>,
    /// Only entries that carry a signature for a seat of this organ.
    #[arg(long)]
    organ: Option<String>,
    /// Only entries from this time on.
    #[arg(long)]
    since: Option<UnixSeconds>,
    /// Only entries before this time.
    #[arg(long)]
    until: Option<UnixSeconds>,
}

impl Filters {
    /// The entries that every filter fits, in the order of the log.
    pub(super) fn choose<'a>(&self, entries: &'a [Recorded]) -> Result<Vec<&'a Recorded>, Failure> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(Failure::new(format!("nothing is from {since} on and before {until}"))
                .with_next("give a --since that is earlier than --until"));
        }
        Ok(entries.iter().filter(|r| self.fits(r)).collect())
    }

    fn fits(&self, recorded: &Recorded) -> bool {
        let Self { kind, actor, object, reason, organ, since, until } = self;
        let told = Told::from(&recorded.event);
        let time = UnixSeconds::from(recorded.time);
        kind.as_deref().is_none_or(|k| k == recorded.event.kind())
            && actor.as_deref().is_none_or(|a| told.actor == Some(a))
            && object.as_deref().is_none_or(|o| told.object.is_some_and(|found| is_part(found, o)))
            && reason.is_none_or(|r| told.reasons.contains(&r))
            && organ.as_deref().is_none_or(|o| told.signers.iter().any(|s| s.seat == o))
            && since.is_none_or(|s| time >= s)
            && until.is_none_or(|u| time < u)
    }
}

/// Whether the parts of `wanted` stand in the object's in one piece.
fn is_part(object: &ObjectRef, wanted: &str) -> bool {
    let ObjectRef { kind, namespace, name } = object;
    let parts: Vec<&str> = [kind.as_str(), namespace, name].into_iter().filter(|p| !p.is_empty()).collect();
    let wanted: Vec<&str> = wanted.split('/').collect();
    parts.windows(wanted.len()).any(|w| w == wanted)
}

fn parse_kind(text: &str) -> Result<String, String> {
    // Without fields no entry can be read; only an unknown kind says so in this way.
    match Event::read(text, Map::new()) {
        Err(error @ EventError::Kind(_)) => Err(error.to_string()),
        Ok(_) | Err(EventError::Fields { .. }) => Ok(text.to_owned()),
    }
}

fn parse_reason(text: &str) -> Result<Reason, String> {
    let found = Reason::ALL.iter().copied().find(|r| r.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| "there is no such reason; miax explain lists all of them".to_owned())
}
