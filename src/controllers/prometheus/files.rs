//! Credentials and authorities, in files that are replaced while we run: projected tokens and certificates rotate.

use std::path::{Path, PathBuf};

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

use super::place::PrometheusUrl;

/// Where the files are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Authorities of the server's certificate, in PEM; without it those of the system.
    pub authorities: Option<PathBuf>,
    /// Our certificate with its chain, and its key, in PEM.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A bearer token.
    pub token: Option<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It holds no certificate.
    #[error("{} holds no certificate in PEM", .0.display())]
    Authorities(PathBuf),
    /// Certificate and key do not make a client.
    #[error("{} and its key cannot be used: {what}", .path.display())]
    Certificate {
        /// Where the certificate is.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// It cannot be read.
    #[error("{} cannot be read: {source}", .path.display())]
    Read {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        source: std::io::Error,
    },
    /// It holds no token.
    #[error("{} holds no token: one line of visible characters", .0.display())]
    Token(PathBuf),
}

/// What the files hold now. Content is compared, not times: mounted Secrets change by a swapped link.
#[derive(PartialEq, Eq)]
pub(super) struct Contents {
    authorities: Option<Vec<u8>>,
    certificate: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
}

impl Credentials {
    /// Whether anything of it proves who we are.
    pub(super) fn prove_something(&self) -> bool {
        self.certificate.is_some() || self.token.is_some()
    }

    /// What connections are made with.
    pub(super) fn read(&self) -> Result<Contents, FileError> {
        let Self { authorities, certificate, token: _ } = self;
        let pair = |(certificate, key): &(PathBuf, PathBuf)| Ok((read(certificate)?, Zeroizing::new(read(key)?)));
        Ok(Contents {
            authorities: authorities.as_deref().map(read).transpose()?,
            certificate: certificate.as_ref().map(pair).transpose()?,
        })
    }

    /// The header that a question is sent with.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, FileError> {
        let Some(path) = &self.token else { return Ok(None) };
        let bytes = Zeroizing::new(read(path)?);
        let wrong = || FileError::Token(path.clone());
        let token = std::str::from_utf8(&bytes).map_err(|_| wrong())?.trim();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong());
        }
        let text = Zeroizing::new(format!("Bearer {token}"));
        let mut header = HeaderValue::from_str(&text).map_err(|_| wrong())?;
        header.set_sensitive(true);
        Ok(Some(header))
    }

    /// How connections are made with these contents.
    pub(super) fn config(&self, url: &PrometheusUrl, contents: &Contents) -> Result<Config, FileError> {
        let Contents { authorities, certificate } = contents;
        let mut config = Config::new(url.uri().clone());
        config.default_retry = false;
        config.root_cert = match (authorities, &self.authorities) {
            (Some(pem), Some(path)) => Some(certificates(pem).ok_or_else(|| FileError::Authorities(path.clone()))?),
            // Not the system's authorities, which an image without any would stumble over.
            _ => (!url.is_tls()).then(Vec::new),
        };
        if let Some((certificate, key)) = certificate {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate));
            config.auth_info.client_key_data = Some(STANDARD.encode(key.as_slice()).into());
        }
        Ok(config)
    }

    /// Says which file it is that no client can be made of.
    pub(super) fn unusable(&self, error: &kube::Error) -> FileError {
        let path = self.certificate.as_ref().map(|(path, _)| path).or(self.authorities.as_ref());
        FileError::Certificate { path: path.cloned().unwrap_or_default(), what: super::error::chain(error) }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })
}

/// The certificates of a PEM file, if it holds any and nothing that is none.
fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let all: Result<Vec<Vec<u8>>, _> =
        CertificateDer::pem_slice_iter(pem).map(|one| one.map(|der| der.as_ref().to_vec())).collect();
    all.ok().filter(|all| !all.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_and_never_shown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("token");
        let credentials = Credentials { token: Some(path.clone()), ..Credentials::default() };
        let check = |content: &[u8], expected: Option<&str>| {
            std::fs::write(&path, content).expect("written");
            let found = credentials.authorization();
            let shown = format!("{found:?} {credentials:?}");
            assert!(!shown.contains("secret"), "{shown}");
            match (found, expected) {
                (Ok(Some(header)), Some(text)) => assert_eq!(header.to_str().expect("visible"), text),
                (Err(FileError::Token(_)), None) => {}
                (other, _) => panic!("{expected:?}: {other:?}"),
            }
        };
        check(b"secret.a-b_c\n", Some("Bearer secret.a-b_c"));
        check(b"secret2", Some("Bearer secret2"));
        check(b"", None);
        check(b" \n", None);
        check(b"secret\nX-Other: 1", None);
        check(b"secret\xff", None);
        std::fs::remove_file(&path).expect("removed");
        assert!(matches!(credentials.authorization(), Err(FileError::Read { .. })));
    }
}
