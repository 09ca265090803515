//! What is said on a connection between two replicas: frames of a length (4 bytes, big endian), a number that joins a question
//! with its answer (8 bytes), and JSON.

use std::borrow::Cow;
use std::io;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::constitution::{Facts, GateRequest, Proposal, Request, StoredEvent};
use crate::units::Digest;

/// Most bytes of a body. A command has a few thousand; what is larger is appended where it came in.
pub(super) const MAX_BODY: usize = 512 * 1024;
/// Bytes of the number before a body.
const NUMBER: usize = 8;

/// A proposal that may be asked of another replica: one whose answer this replica can read from its own State afterwards. The
/// begin and the end of an action cannot: only who appended them knows that they are his.
#[derive(Serialize, Deserialize)]
enum Asked<'a> {
    Review(Cow<'a, Request>),
    Gate(Cow<'a, GateRequest>),
    Stored(Cow<'a, StoredEvent>),
}

impl<'a> Asked<'a> {
    fn of(proposal: &'a Proposal) -> Option<Self> {
        match proposal {
            Proposal::Review(request) => Some(Self::Review(Cow::Borrowed(request))),
            Proposal::Gate(request) => Some(Self::Gate(Cow::Borrowed(request))),
            Proposal::Stored(event) => Some(Self::Stored(Cow::Borrowed(event))),
            Proposal::Adopt(_)
            | Proposal::Begin(_)
            | Proposal::Enact(_)
            | Proposal::SetObjective(_)
            | Proposal::Verdict(_)
            | Proposal::Lapse
            | Proposal::Undone(_)
            | Proposal::Flood(_)
            | Proposal::Recover(_)
            | Proposal::LogKey(..)
            | Proposal::Policy(_)
            | Proposal::Unwitnessed(_)
            | Proposal::Archived(_)
            | Proposal::Prune(_)
            | Proposal::End(_) => None,
        }
    }

    fn proposal(self) -> Proposal {
        match self {
            Self::Review(request) => Proposal::Review(Box::new(request.into_owned())),
            Self::Gate(request) => Proposal::Gate(Box::new(request.into_owned())),
            Self::Stored(event) => Proposal::Stored(event.into_owned()),
        }
    }
}

/// In which queue a proposal waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum Class {
    /// Before every refusal.
    First,
    /// A refusal, in the places that are left.
    Refusal,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question<'a> {
    class: Class,
    asked: Asked<'a>,
    facts: Cow<'a, Facts>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commitment: Option<Digest>,
}

/// A proposal, what is known beside it, and the commitment for its decision; its salt stays with the asker.
pub(super) type Asking<'a> = (&'a Proposal, &'a Facts, Option<Digest>);

/// The bytes of a question; `None` for what is not asked of others.
pub(super) fn question(class: Class, (proposal, facts, commitment): Asking<'_>) -> Option<Vec<u8>> {
    let question = Question { class, asked: Asked::of(proposal)?, facts: Cow::Borrowed(facts), commitment };
    serde_json::to_vec(&question).ok().filter(|body| body.len() <= MAX_BODY)
}

/// A question that was read, but for its class.
pub(super) type Submitted = (Proposal, Facts, Option<Digest>);

/// Reads a question.
pub(super) fn read_question(body: &[u8]) -> Result<(Class, Submitted), serde_json::Error> {
    let Question { class, asked, facts, commitment } = serde_json::from_slice(body)?;
    Ok((class, (asked.proposal(), facts.into_owned(), commitment)))
}

/// What the sequencer says. It is only a hint where to look: the reply is made from the asker's own State.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The first `size` entries of the ledger answer the question.
    Recorded {
        /// Number of entries.
        size: u64,
    },
    /// The store refused the block.
    Refused(String),
    /// The decision cannot be an entry.
    Unrecordable(String),
    /// The sequencer did not take the question: it is full, stopping, or its own view of the ledger is not whole.
    Declined,
}

pub(super) struct Frame {
    pub(super) number: u64,
    pub(super) body: Vec<u8>,
}

/// Writes a frame; the caller flushes.
pub(super) async fn write_frame<W: AsyncWrite + Unpin>(to: &mut W, frame: &Frame) -> io::Result<()> {
    let Frame { number, body } = frame;
    let length = u32::try_from(NUMBER + body.len()).map_err(io::Error::other)?;
    to.write_u32(length).await?;
    to.write_u64(*number).await?;
    to.write_all(body).await
}

/// Reads a frame; `None` at the end of the connection.
pub(super) async fn read_frame<R: AsyncRead + Unpin>(from: &mut R) -> io::Result<Option<Frame>> {
    let length = match from.read_u32().await {
        Ok(length) => usize::try_from(length).map_err(io::Error::other)?,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(rest) = length.checked_sub(NUMBER).filter(|rest| *rest <= MAX_BODY) else {
        let what = format!("a frame of {length} bytes; from {NUMBER} to {} are allowed", NUMBER + MAX_BODY);
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    let number = from.read_u64().await?;
    let mut body = vec![0; rest];
    from.read_exact(&mut body).await?;
    Ok(Some(Frame { number, body }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::GovernedKind;
    use crate::constitution::{Effect, EffectEndEvent, ObjectRef, Operation, TargetFact};
    use crate::trust::sha256;
    use crate::units::UnixSeconds;
    use serde_json::json;

    fn facts() -> Facts {
        Facts {
            now: UnixSeconds::new(7),
            cluster_uid: "c".into(),
            genesis: Some(sha256(b"g")),
            target: TargetFact::Stale,
            budgets: Vec::new(),
        }
    }

    #[test]
    fn a_question_arrives_as_it_was_asked() {
        let object = json!({"spec": {"ratio": 0.1 + 0.2, "tiny": 5e-324, "big": u64::MAX, "text": "ü\u{0}"}});
        let request = Request {
            uid: "u".into(),
            operation: Operation::Update,
            kind: GovernedKind::ControlCommand,
            namespace: "shop".into(),
            name: "scale".into(),
            object: Some(object),
            old: None,
            actor: "eve".into(),
        };
        let (proposal, salted) = (Proposal::Review(Box::new(request.clone())), Some(sha256(b"salted")));
        let body = question(Class::First, (&proposal, &facts(), salted)).expect("it may be asked");
        let (Class::First, (Proposal::Review(read), known, commitment)) = read_question(&body).expect("reads") else {
            panic!("another proposal")
        };
        assert_eq!((*read, known, commitment), (request.clone(), facts(), salted));
        let large = Request { actor: "x".repeat(MAX_BODY), ..request };
        assert!(
            question(Class::First, (&Proposal::Review(Box::new(large)), &facts(), None)).is_none(),
            "too large to be asked"
        );
        assert!(read_question(br#"{"class":"First","asked":{"Lapse":null},"facts":{}}"#).is_err());
    }

    #[test]
    fn what_only_its_appender_can_answer_is_not_asked() {
        let object = ObjectRef::new(GovernedKind::ControlCommand, "shop", "scale");
        let end = EffectEndEvent {
            object,
            digest: sha256(b"c"),
            began: crate::units::LogIndex(3),
            reason: crate::api::reason::Reason::EffectDone,
            message: String::new(),
            resource_version: None,
        };
        for proposal in [
            Proposal::Begin(Box::new(json!({}))),
            Proposal::Enact(Box::new(json!({}))),
            Proposal::Adopt(Box::new(json!({}))),
            Proposal::Lapse,
            Proposal::End(Effect::Done(end)),
        ] {
            assert!(question(Class::First, (&proposal, &facts(), None)).is_none(), "{proposal:?}");
        }
    }

    #[tokio::test]
    async fn a_frame_of_a_wrong_length_ends_the_connection() {
        let check = async |bytes: &[u8], expected: Option<io::ErrorKind>| {
            let mut from = bytes;
            let found = read_frame(&mut from).await;
            assert_eq!(found.err().map(|e| e.kind()), expected, "{bytes:?}");
        };
        let mut whole = Vec::new();
        write_frame(&mut whole, &Frame { number: 9, body: b"{}".to_vec() }).await.expect("written");
        check(&whole, None).await;
        check(&[], None).await;
        check(whole.split_last().expect("bytes").1, Some(io::ErrorKind::UnexpectedEof)).await;
        check(&[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0], Some(io::ErrorKind::InvalidData)).await;
        check(&[255; 16], Some(io::ErrorKind::InvalidData)).await;
    }
}
