//! A signature as an object carries it: the fields of the signed statement, not a copy of its bytes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TIME_PATTERN;

/// One signature over the object's digest, made by one principal for one seat. The verifier rebuilds the signed bytes (an
/// in-toto statement in DSSE encoding) from these fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// Name of the principal in the charter.
    #[schemars(length(min = 1, max = 63))]
    pub principal: String,
    /// What the principal says: `author` (exactly one), `approve`, `object`, `withdraw`.
    #[schemars(extend("enum" = ["author", "approve", "object", "withdraw"]))]
    pub verb: String,
    /// The organ that the principal signs for.
    #[schemars(length(min = 1, max = 63))]
    pub seat: String,
    /// When it was signed, by the signer's clock, in UTC with whole seconds.
    #[schemars(regex(pattern = TIME_PATTERN), length(max = 20))]
    pub signed_at: String,
    /// Fingerprint of the key, as `ssh-keygen -l` prints it. It only selects one of the principal's keys; the verifier
    /// computes the fingerprint itself.
    #[schemars(length(min = 1, max = 64))]
    pub key: String,
    /// How `value` is encoded: `sshsig`, `ed25519` or `ecdsaP256`.
    #[schemars(extend("enum" = ["sshsig", "ed25519", "ecdsaP256"]))]
    pub format: String,
    /// The signature in base64.
    #[schemars(length(min = 1, max = 2048))]
    pub value: String,
    /// A remark of the signer; it is part of the signed bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub comment: Option<String>,
}
