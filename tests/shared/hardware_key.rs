//! What a hardware key makes (OpenSSH's PROTOCOL.u2f), with a software key in its place.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use miax::trust::{KeyType, PublicKey};
use sha2::{Digest as _, Sha256, Sha512};

const APPLICATION: &[u8] = b"ssh:";
const TYPE: &[u8] = b"sk-ssh-ed25519@openssh.com";

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(bytes.len()).expect("short").to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

fn public_bytes(secret: &SigningKey) -> Vec<u8> {
    [string(TYPE), string(secret.verifying_key().as_bytes()), string(APPLICATION)].concat()
}

/// The public key of the token with this seed.
pub fn hardware_key(seed: u8) -> PublicKey {
    let public = public_bytes(&SigningKey::from_bytes(&[seed; 32]));
    let line = format!("sk-ssh-ed25519@openssh.com {}", STANDARD.encode(&public));
    let key = PublicKey::parse_ssh_line(&line).expect("a hardware key");
    assert_eq!(key.key_type(), KeyType::SshSkEd25519);
    key
}

/// The SSHSIG of the token over a message; bit 0 of `flags` says that it was touched.
pub fn hardware_signature(seed: u8, flags: u8, message: &[u8]) -> String {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let hash = Sha512::digest(message);
    let signed = [b"SSHSIG".to_vec(), string(b"miax.dev"), string(b""), string(b"sha512"), string(&hash)].concat();
    let counter = 7_u32.to_be_bytes();
    let data = [&Sha256::digest(APPLICATION)[..], &[flags], &counter, &Sha256::digest(&signed)[..]].concat();
    let signature = [string(TYPE), string(&secret.sign(&data).to_bytes()), vec![flags], counter.to_vec()].concat();
    let blob = [
        b"SSHSIG".to_vec(),
        1_u32.to_be_bytes().to_vec(),
        string(&public_bytes(&secret)),
        string(b"miax.dev"),
        string(b""),
        string(b"sha512"),
        string(&signature),
    ];
    STANDARD.encode(blob.concat())
}
