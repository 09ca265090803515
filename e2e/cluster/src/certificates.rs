//! The cluster's certificates and kubeconfigs.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use serde_json::json;

use crate::error::ClusterError;

/// A certificate authority with the directory that its certificates are written to.
pub(crate) struct Authority {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), ClusterError> {
    std::fs::write(path, text).map_err(ClusterError::io(format!("{} cannot be written", path.display())))
}

impl Authority {
    /// Makes the authority and the key pair that service account tokens are signed with.
    pub(crate) fn make(directory: &Path) -> Result<Self, ClusterError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "miax-cluster");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        write(&directory.join("ca.crt"), &params.self_signed(&key)?.pem())?;
        let tokens = KeyPair::generate()?;
        write(&directory.join("sa.key"), &tokens.serialize_pem())?;
        write(&directory.join("sa.pub"), &tokens.public_key_pem())?;
        Ok(Self { directory: directory.to_owned(), issuer: Issuer::new(params, key) })
    }

    /// Writes `<name>.crt` and `<name>.key` for this user, group and addresses.
    pub(crate) fn issue(
        &self,
        name: &str,
        user: &str,
        group: Option<&str>,
        addresses: &[IpAddr],
    ) -> Result<(), ClusterError> {
        let key = KeyPair::generate()?;
        let names = ["localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut params = CertificateParams::new(names)?;
        params.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&self.directory.join(format!("{name}.crt")), &certificate.pem())?;
        write(&self.directory.join(format!("{name}.key")), &key.serialize_pem())
    }

    /// Writes `<name>.conf`, a kubeconfig for the certificate of this name.
    pub(crate) fn kubeconfig(&self, name: &str, server: &str) -> Result<PathBuf, ClusterError> {
        let file = |end: &str| self.directory.join(format!("{name}.{end}"));
        let user = json!({"client-certificate": file("crt"), "client-key": file("key")});
        let path = file("conf");
        write(&path, &self.config_text(server, &user, "default"))?;
        Ok(path)
    }

    /// The text of a kubeconfig. JSON is YAML.
    pub(crate) fn config_text(&self, server: &str, user: &serde_json::Value, namespace: &str) -> String {
        let cluster = json!({"server": server, "certificate-authority": self.directory.join("ca.crt")});
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "miax", "cluster": cluster}],
            "users": [{"name": "me", "user": user}],
            "contexts": [{"name": "miax", "context": {"cluster": "miax", "user": "me", "namespace": namespace}}],
            "current-context": "miax",
        })
        .to_string()
    }
}
