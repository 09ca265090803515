//! Commitments: a keyed digest that hides what it commits to until its salt is shown, and proves it then (ADR 0020).
//!
//! HMAC-SHA-256 (RFC 2104) with a salt of its own for each: without the salt nobody can try whether a guess is right, and who
//! erases the salt erases the last trace of the content.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::units::{Digest, hex, unhex};

/// 32 secret bytes from the operating system's randomness, for one commitment alone. `Debug` does not show them.
#[derive(Clone)]
pub struct Salt(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt")
    }
}

impl Salt {
    /// A salt from random bytes that the caller brings.
    #[must_use]
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// The commitment to this payload.
    #[must_use]
    pub fn commit(&self, payload: &[u8]) -> Digest {
        // A key of any length is taken; only the type knows of lengths that are not.
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).map(|mac| mac.chain_update(payload));
        mac.map_or(Digest([0; 32]), |mac| Digest(mac.finalize().into_bytes().into()))
    }

    /// 64 hex digits, to be kept outside of the ledger.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_slice()))
    }

    /// Reads what [`Salt::reveal`] gave; `None` for anything else.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        unhex(text.trim())?.try_into().ok().map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commitments_are_hmac_sha_256() {
        // RFC 4231, test case 1, with its 20 bytes filled up with zeros: HMAC does the same.
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(Salt::new(key).commit(b"Hi There").hex(), expected);
    }

    #[test]
    fn a_commitment_tells_nothing_without_its_salt() {
        let (one, other) = (Salt::new([1; 32]), Salt::new([2; 32]));
        assert_ne!(one.commit(b"yes"), other.commit(b"yes"), "the same content twice looks different");
        assert_ne!(one.commit(b"yes"), one.commit(b"no"));
        assert_eq!(format!("{one:?}"), "Salt");
        let read = Salt::read(&one.reveal()).expect("reads back");
        assert_eq!(read.commit(b"yes"), one.commit(b"yes"));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64)] {
            assert!(Salt::read(wrong).is_none(), "{wrong}");
        }
    }
}
