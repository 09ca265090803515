//! Who may say so: the bytes that are signed and hashed, keys, signatures, and the proof type [`Verified`].
//!
//! Must not: decide what a signature is worth. That is counted in `constitution`.

mod canonical;
mod canonical_form;
mod commitment;
mod cosignature;
mod key;
mod note;
mod note_p256;
mod parse;
mod signature;
mod signed;
mod signer;
mod statement;
mod witness_policy;

pub use canonical::{
    CanonicalBytes, CanonicalError, MAX_DEPTH, MAX_DOCUMENT, canonical_json, read_canonical, sha256, signed_view,
};
pub use canonical_form::is_canonical;
pub use commitment::Salt;
pub use cosignature::{Cosignature, Cosigner, Quorum, QuorumError, WitnessKey};
pub use key::{KeyError, KeyId, KeyType, PublicKey};
pub use note::{NoteError, NoteSigner, NoteVerifier, open_note};
pub use note_p256::Unsigned;
pub use parse::{ParseError, parse_json_strict, parse_yaml_of_others, parse_yaml_strict, to_yaml};
pub use signature::{SignatureError, SignatureFormat, verify};
pub use signed::{Claim, ClaimError, ClaimErrorKind, Keyring, Verified, VerifiedSignature, verify_all};
pub use signer::{SignerError, SigningKey, assemble_agent_signature, ssh_signed_data};
pub use statement::{PAYLOAD_TYPE, Statement, Subject, Verb};
pub use witness_policy::{WitnessMode, WitnessPolicy};
