//! The door of the webhook on a real API server: only who proves a client certificate is answered.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use miax_cluster::{ControlPlane, Output, eventually};
use miax_stage::Stage;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::support::{
    accepts, apply, approved, draft, rejects, scale, shows_the_admission_settings, stage_with, wait_done,
};

const NAME: &str = "kube-apiserver-webhook-client";

/// An authority whose certificate stands in `<directory>/<name>.crt`.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn make(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let certificate = params.self_signed(&key).expect("signed").pem();
        std::fs::write(directory.join(format!("{name}.crt")), certificate).expect("written");
        Self { issuer: Issuer::new(params, key) }
    }

    /// A client certificate that ends with this year.
    fn issue(&self, name: &str, end: i32) -> Identity {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(end, 12, 31);
        let key = KeyPair::generate().expect("key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed").pem();
        Identity { certificate, key: key.serialize_pem() }
    }
}

/// Puts another file behind a link at once, as Kubernetes does with mounted ConfigMaps.
fn swap(directory: &Path, file: &str) {
    let next = directory.join("next");
    std::os::unix::fs::symlink(file, &next).expect("a link");
    std::fs::rename(next, directory.join("ca.crt")).expect("swapped");
}

/// Asks the webhook as the API server would, over TLS with this identity; gives the first line of the answer.
fn knock(stage: &Stage, identity: Option<&Identity>) -> Result<String, String> {
    let get = ["get", "validatingwebhookconfiguration", "miax-governed", "-o"];
    let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
    let bundle = stage.plane().kubectl().run(&[&get[..], &[path]].concat()).expect("the bundle");
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(&STANDARD.decode(bundle.trim()).expect("base64")) {
        roots.add(root.expect("pem")).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(Identity { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("pem")];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("pem");
            builder.with_client_auth_cert(chain, key).expect("an identity")
        }
    };
    let name = ServerName::try_from("127.0.0.1").expect("name");
    let connection = rustls::ClientConnection::new(config.into(), name).expect("connection");
    let socket = TcpStream::connect(("127.0.0.1", stage.webhook_port())).expect("connects");
    let mut stream = rustls::StreamOwned::new(connection, socket);
    let request = "POST /governed HTTP/1.1\r\nHost: miax\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    match answer.lines().next() {
        Some(line) => Ok(line.to_owned()),
        None => Err(format!("{asked:?}")),
    }
}

#[test]
fn only_who_proves_a_client_certificate_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name);
    let ours = Authority::make(directory.path(), "ours");
    let foreign = Authority::make(directory.path(), "foreign");
    std::os::unix::fs::symlink("ours.crt", file("ca.crt")).expect("a link");
    let server = ours.issue(NAME, 2099);
    std::fs::write(file("client.crt"), &server.certificate).expect("written");
    std::fs::write(file("client.key"), &server.key).expect("written");
    let plane = ControlPlane::builder().webhook_client(&file("client.crt"), &file("client.key"));
    let more = ["--client-ca", &file("ca.crt").display().to_string(), "--client-name", NAME].map(str::to_owned);
    let mut stage = stage_with(plane, more.to_vec());
    shows_the_admission_settings(&stage, "docs/operations/client-certificate.md");

    let command = approved(&stage, "through", &scale("2"));
    accepts(&stage, &command);
    wait_done(&stage, "through");
    let other = approved(&stage, "other", &scale("3"));
    rejects(&stage, &draft(&stage, "unsigned", &scale("3")), "Unsigned");

    assert_eq!(knock(&stage, Some(&server)).expect("answered"), "HTTP/1.1 200 OK");
    let refused = |name: &str, identity: Option<Identity>, alert: &str| {
        let error = || knock(&stage, identity.as_ref()).expect_err(name);
        // A connection that is closed while we still write may take the alert with it.
        assert!(eventually(|| error().contains(alert).then_some(())).is_some(), "{name}: {}", error());
    };
    refused("no certificate", None, "CertificateRequired");
    refused("a foreign authority", Some(foreign.issue(NAME, 2099)), "UnknownCA");
    refused("an expired certificate", Some(ours.issue(NAME, 2021)), "CertificateExpired");
    refused("another name", Some(ours.issue("somebody", 2099)), "AccessDenied");
    assert!(stage.webhook.log().contains("a client certificate was refused"), "{}", stage.webhook.log());

    // Bad content changes nothing.
    std::fs::write(file("bad.crt"), "not a certificate").expect("written");
    swap(directory.path(), "bad.crt");
    let complained = || stage.webhook.log().contains("the old ones stay").then_some(());
    assert!(eventually(complained).is_some(), "{}", stage.webhook.log());
    assert!(knock(&stage, Some(&server)).is_ok());

    // Another authority: the API server's certificate is worth nothing, and what is governed is refused, not waved through.
    swap(directory.path(), "foreign.crt");
    let shut = || knock(&stage, Some(&server)).is_err().then_some(());
    assert!(eventually(shut).is_some(), "{}", stage.webhook.log());
    assert!(knock(&stage, Some(&foreign.issue(NAME, 2099))).is_ok(), "the new authority counts at once");
    // The API server keeps its connection; a new webhook shows what a new connection gets.
    stage.webhook.terminate();
    stage.restart_webhook().expect("it starts");
    let Output { ok, stderr, .. } = apply(&stage, &other);
    assert!(!ok && stderr.contains("failed calling webhook"), "{stderr}");

    // And back, without a restart of anything: by another certificate for the API server, or by the authority.
    let judged = || apply(&stage, &other).ok.then_some(());
    let next = foreign.issue(NAME, 2099);
    std::fs::write(file("client.key"), &next.key).expect("written");
    std::fs::write(file("client.crt"), &next.certificate).expect("written");
    assert!(eventually(judged).is_some(), "{}", apply(&stage, &other).stderr);
    wait_done(&stage, "other");
    swap(directory.path(), "ours.crt");
    assert!(eventually(|| knock(&stage, Some(&server)).ok()).is_some(), "{}", stage.webhook.log());
}

#[test]
fn a_webhook_does_not_start_with_authorities_that_it_cannot_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let plane = ControlPlane::start().expect("a control plane");
    std::fs::write(directory.path().join("bad.crt"), "not a certificate").expect("written");
    let kubeconfig = plane.kubeconfig().display().to_string();
    let check = |file: &str, part: &str| {
        let path = directory.path().join(file).display().to_string();
        let fixed = ["webhook", "--kubeconfig", &kubeconfig, "--probes", "127.0.0.1:0", "--client-ca", &path];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_miax-operator")).args(fixed).output();
        let output = output.expect("runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains(part) && text.contains(file), "{file}: {text}");
    };
    check("bad.crt", "it holds no certificate; put the authority's certificate there, in PEM");
    check("missing.crt", "No such file");
}
