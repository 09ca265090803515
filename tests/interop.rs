//! Signatures are SSH's own: what `ssh-keygen` makes we accept, and what we make it accepts.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax::trust::{PublicKey, SignatureError, SignatureFormat, SigningKey, verify};

#[path = "shared/hardware_key.rs"]
mod hardware_key;

use hardware_key::{hardware_key, hardware_signature};

const MESSAGE: &[u8] = b"DSSEv1 28 application/vnd.in-toto+json 2 {}";

fn ssh_keygen(directory: &Path, arguments: &[&str], input: &[u8]) -> (bool, Vec<u8>) {
    let mut child = Command::new("ssh-keygen")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ssh-keygen is installed (Debian: apt install openssh-client)");
    std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), input).expect("written");
    let output = child.wait_with_output().expect("ends");
    (output.status.success(), output.stdout)
}

fn key(directory: &Path, kind: &str) -> (SigningKey, PublicKey) {
    assert!(ssh_keygen(directory, &["-q", "-t", kind, "-N", "", "-f", kind], b"").0);
    let text = std::fs::read_to_string(directory.join(kind)).expect("private key");
    let line = std::fs::read_to_string(directory.join(format!("{kind}.pub"))).expect("public key");
    (SigningKey::read(&text, None).expect("reads"), PublicKey::parse_ssh_line(&line).expect("reads"))
}

fn unarmor(text: &[u8]) -> String {
    let text = String::from_utf8(text.to_vec()).expect("text");
    text.lines().filter(|l| !l.starts_with("-----")).collect()
}

fn armor(value: &str) -> String {
    format!("-----BEGIN SSH SIGNATURE-----\n{value}\n-----END SSH SIGNATURE-----\n")
}

#[test]
fn ssh_keygen_and_miax_accept_each_other() {
    for kind in ["ed25519", "ecdsa"] {
        let directory = tempfile::tempdir().expect("directory");
        let (private, public) = key(directory.path(), kind);
        assert_eq!(private.public().expect("public").id(), public.id(), "{kind}");

        let (ok, theirs) = ssh_keygen(directory.path(), &["-Y", "sign", "-n", "miax.dev", "-f", kind], MESSAGE);
        assert!(ok, "{kind}");
        let value = unarmor(&theirs);
        assert_eq!(verify(&public, SignatureFormat::Sshsig, &value, MESSAGE), Ok(()), "{kind}");
        let other = verify(&public, SignatureFormat::Sshsig, &value, b"another message");
        assert_eq!(other, Err(SignatureError::BadSignature), "{kind}");

        let (_, theirs) = ssh_keygen(directory.path(), &["-Y", "sign", "-n", "git", "-f", kind], MESSAGE);
        let wrong = verify(&public, SignatureFormat::Sshsig, &unarmor(&theirs), MESSAGE);
        assert_eq!(wrong, Err(SignatureError::WrongNamespace { found: "git".into() }), "{kind}");

        let (format, ours) = private.sign(MESSAGE).expect("signs");
        assert_eq!(format, SignatureFormat::Sshsig);
        let line = std::fs::read_to_string(directory.path().join(format!("{kind}.pub"))).expect("public key");
        std::fs::write(directory.path().join("signers"), format!("dana {line}")).expect("written");
        std::fs::write(directory.path().join("sig"), armor(&ours)).expect("written");
        let check = ["-Y", "verify", "-n", "miax.dev", "-f", "signers", "-I", "dana", "-s", "sig"];
        assert!(ssh_keygen(directory.path(), &check, MESSAGE).0, "{kind}: ssh-keygen refuses our signature");
        assert!(!ssh_keygen(directory.path(), &check, b"another message").0, "{kind}");
    }
}

#[test]
fn a_hardware_key_must_have_been_touched() {
    let (key, touched) = (hardware_key(5), hardware_signature(5, 1, MESSAGE));
    assert_eq!(verify(&key, SignatureFormat::Sshsig, &touched, MESSAGE), Ok(()));
    assert_eq!(verify(&key, SignatureFormat::Sshsig, &touched, b"x"), Err(SignatureError::BadSignature));
    let untouched = hardware_signature(5, 0, MESSAGE);
    assert_eq!(verify(&key, SignatureFormat::Sshsig, &untouched, MESSAGE), Err(SignatureError::PresenceMissing));
}

#[test]
fn raw_keys_sign_and_verify_strictly() {
    let key = SigningKey::from_ed25519_seed(&[3; 32]);
    let (format, value) = key.sign(MESSAGE).expect("signs");
    let public = key.public().expect("public");
    assert_eq!(verify(&public, format, &value, MESSAGE), Ok(()));
    // The same signature with S + L is the same for a lax verifier; it must not be a second signature for us.
    let mut bytes = STANDARD.decode(&value).expect("base64");
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0_u16;
    for (byte, add) in bytes[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = u8::try_from(carry & 0xff).expect("a byte");
        carry >>= 8;
    }
    assert!(verify(&public, format, &STANDARD.encode(bytes), MESSAGE).is_err());
    let file = key.to_raw_file().expect("a raw key");
    let back = SigningKey::read(&file, None).expect("reads");
    assert_eq!(back.public().expect("public").id(), public.id());
    let p256 = SigningKey::read(&format!("miax-key-v1 ecdsaP256 {}", STANDARD.encode([9; 32])), None).expect("reads");
    let (format, value) = p256.sign(MESSAGE).expect("signs");
    let public = p256.public().expect("public");
    assert_eq!(verify(&public, format, &value, MESSAGE), Ok(()));
    assert_eq!(verify(&public, format, &value, b"x"), Err(SignatureError::BadSignature));
}
