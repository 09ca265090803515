//! The webhook's certificates: an authority in a Secret that all replicas share, and a leaf for each replica in memory.
//!
//! Rotation never breaks a connection: the next authority is published in the bundle for a while before anything is signed
//! by it, and the previous one stays in the bundle while leaves of it may be in use.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::units::{Seconds, UnixSeconds};

/// How long an authority lives.
const AUTHORITY_LIFE: Seconds = Seconds(365 * 86_400);
/// How long before its end the next one is made.
const AUTHORITY_MARGIN: Seconds = Seconds(120 * 86_400);
/// How long the next one is published before anything is signed by it.
const PUBLISH_FIRST: Seconds = Seconds(3600);
/// How long a leaf lives, and how long before its end it is replaced.
const LEAF_LIFE: Seconds = Seconds(30 * 86_400);
const LEAF_MARGIN: Seconds = Seconds(10 * 86_400);
/// Certificates begin in the past, for clocks that are behind.
const BACKDATE: Seconds = Seconds(300);

/// Keys of the Secret.
const CURRENT: [&str; 2] = ["current.crt", "current.key"];
const NEXT: [&str; 2] = ["next.crt", "next.key"];
const PREVIOUS: &str = "previous.crt";

/// A certificate authority with its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
struct Root {
    certificate: String,
    key: String,
    begins: UnixSeconds,
    ends: UnixSeconds,
}

/// The authority as the Secret holds it.
#[derive(Clone, PartialEq, Eq)]
pub struct Authority {
    current: Root,
    next: Option<Root>,
    previous: Option<String>,
}

/// What has to be done with the authority now.
#[derive(Clone, PartialEq, Eq)]
pub enum AuthorityStep {
    /// Nothing.
    Keep,
    /// Store this one.
    Store(Box<Authority>),
}

/// What a replica is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerRole {
    /// It hands proposals over.
    Replica,
    /// It takes them.
    Sequencer,
}

impl PeerRole {
    /// The DNS name in its certificate, which nothing ever resolves.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Replica => "replica.miax.internal",
            Self::Sequencer => "sequencer.miax.internal",
        }
    }
}

/// A replica's certificate.
pub struct Leaf {
    /// The certificate and its key.
    pub certified: std::sync::Arc<CertifiedKey>,
    /// When it ends.
    pub ends: UnixSeconds,
    /// The authority that signed it.
    issuer: String,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The Secret does not hold what this program wrote.
    #[error("the Secret with the webhook's certificate authority is damaged at `{0}`; delete it, a new one is made")]
    Damaged(&'static str),
    /// A certificate cannot be made.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls refuses the certificate.
    #[error("the certificate cannot be served: {0}")]
    Serve(#[from] rustls::Error),
}

impl Root {
    fn make(now: UnixSeconds) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate()?;
        let (begins, ends) = (now.minus(BACKDATE), now.plus(AUTHORITY_LIFE));
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("miax webhook authority {now}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        validity(&mut params, begins, ends);
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { certificate, key: key.serialize_pem(), begins, ends })
    }

    fn read(certificate: String, key: String, at: &'static str) -> Result<Self, AuthorityError> {
        let damaged = || AuthorityError::Damaged(at);
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| damaged())?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|_| damaged())?;
        let begins = UnixSeconds::new(parsed.validity().not_before.timestamp());
        let ends = UnixSeconds::new(parsed.validity().not_after.timestamp());
        KeyPair::from_pem(&key).map_err(|_| damaged())?;
        Ok(Self { certificate, key, begins, ends })
    }
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// [`AuthorityError::Make`].
    pub fn make(now: UnixSeconds) -> Result<Self, AuthorityError> {
        Ok(Self { current: Root::make(now)?, next: None, previous: None })
    }

    /// Reads the data of the Secret.
    ///
    /// # Errors
    /// [`AuthorityError::Damaged`].
    pub fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, AuthorityError> {
        let text = |key: &'static str| {
            let bytes = data.get(key).map(|b| b.0.clone());
            bytes.map(|b| String::from_utf8(b).map_err(|_| AuthorityError::Damaged(key))).transpose()
        };
        let root = |[certificate, key]: [&'static str; 2]| match (text(certificate)?, text(key)?) {
            (Some(c), Some(k)) => Root::read(c, k, certificate).map(Some),
            (None, None) => Ok(None),
            _ => Err(AuthorityError::Damaged(certificate)),
        };
        let current = root(CURRENT)?.ok_or(AuthorityError::Damaged(CURRENT[0]))?;
        Ok(Self { current, next: root(NEXT)?, previous: text(PREVIOUS)? })
    }

    /// The data of the Secret.
    #[must_use]
    pub fn data(&self) -> BTreeMap<String, ByteString> {
        let Self { current, next, previous } = self;
        let mut data = BTreeMap::new();
        let mut put = |key: &str, text: &str| data.insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
        for ([certificate, key], root) in [(CURRENT, Some(current)), (NEXT, next.as_ref())] {
            if let Some(root) = root {
                put(certificate, &root.certificate);
                put(key, &root.key);
            }
        }
        if let Some(previous) = previous {
            put(PREVIOUS, previous);
        }
        data
    }

    /// What the API server shall trust: every authority that a leaf in use may be signed by, now or soon.
    #[must_use]
    pub fn bundle(&self) -> String {
        let Self { current, next, previous } = self;
        let all = [Some(&current.certificate), next.as_ref().map(|n| &n.certificate), previous.as_ref()];
        all.into_iter().flatten().map(|pem| format!("{}\n", pem.trim_end())).collect()
    }

    /// What has to be done now. Any replica may do it; the Secret's resourceVersion lets one win.
    ///
    /// # Errors
    /// [`AuthorityError::Make`].
    pub fn plan(&self, now: UnixSeconds) -> Result<AuthorityStep, AuthorityError> {
        let Self { current, next, previous } = self;
        let store = |authority| Ok(AuthorityStep::Store(Box::new(authority)));
        match next {
            None if now.plus(AUTHORITY_MARGIN) >= current.ends => {
                store(Self { current: current.clone(), next: Some(Root::make(now)?), previous: previous.clone() })
            }
            Some(next) if now >= next.begins.plus(BACKDATE).plus(PUBLISH_FIRST) => {
                store(Self { current: next.clone(), next: None, previous: Some(current.certificate.clone()) })
            }
            None | Some(_) => Ok(AuthorityStep::Keep),
        }
    }

    /// A leaf for the names that the API server calls us by.
    ///
    /// # Errors
    /// [`AuthorityError::Make`], [`AuthorityError::Serve`].
    pub fn sign_leaf(&self, names: &[String], now: UnixSeconds) -> Result<Leaf, AuthorityError> {
        self.sign(names, "miax webhook", ExtendedKeyUsagePurpose::ServerAuth, now)
    }

    /// A leaf for this end of a connection between replicas.
    ///
    /// # Errors
    /// [`AuthorityError::Make`], [`AuthorityError::Serve`].
    pub fn sign_peer(&self, role: PeerRole, now: UnixSeconds) -> Result<Leaf, AuthorityError> {
        let (common, usage) = match role {
            PeerRole::Replica => ("miax replica", ExtendedKeyUsagePurpose::ClientAuth),
            PeerRole::Sequencer => ("miax sequencer", ExtendedKeyUsagePurpose::ServerAuth),
        };
        self.sign(&[role.name().to_owned()], common, usage, now)
    }

    fn sign(
        &self,
        names: &[String],
        common: &str,
        usage: ExtendedKeyUsagePurpose,
        now: UnixSeconds,
    ) -> Result<Leaf, AuthorityError> {
        let ends = now.plus(LEAF_LIFE).min(self.current.ends);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        validity(&mut params, now.minus(BACKDATE), ends);
        let key = KeyPair::generate()?;
        let issuer = Issuer::from_ca_cert_pem(&self.current.certificate, KeyPair::from_pem(&self.current.key)?)?;
        let certificate = params.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|_| AuthorityError::Damaged("leaf"))?;
        let certified = CertifiedKey::from_der(vec![certificate.der().clone()], private, &default_provider())?;
        Ok(Leaf { certified: certified.into(), ends, issuer: self.current.certificate.clone() })
    }

    /// Whether the replica needs another leaf: its own ends soon, or the authority was changed.
    #[must_use]
    pub fn replaces(&self, leaf: &Leaf, now: UnixSeconds) -> bool {
        now.plus(LEAF_MARGIN) >= leaf.ends || leaf.issuer != self.current.certificate
    }
}

fn validity(params: &mut CertificateParams, begins: UnixSeconds, ends: UnixSeconds) {
    // rcgen takes its dates as a type of a crate that we do not depend on; a date and a duration make one.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |at: UnixSeconds| std::time::Duration::from_secs(u64::try_from(at.get()).unwrap_or(0));
    params.not_before = epoch + since(begins);
    params.not_after = epoch + since(ends);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_514_400;

    fn step(authority: &Authority, days: u64) -> Option<Authority> {
        match authority.plan(UnixSeconds::new(NOW).plus(Seconds(days * 86_400))).expect("plan") {
            AuthorityStep::Keep => None,
            AuthorityStep::Store(next) => Some(*next),
        }
    }

    #[test]
    fn rotation_publishes_before_it_signs_and_keeps_what_may_be_in_use() {
        let first = Authority::make(UnixSeconds::new(NOW)).expect("authority");
        assert!(step(&first, 240).is_none());
        let announced = step(&first, 246).expect("the next one is made");
        assert_eq!(announced.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        assert!(announced.current == first.current, "nothing is signed by the next one yet");
        assert!(step(&announced, 246).is_none(), "it is published first");
        let promoted = step(&announced, 247).expect("it is promoted");
        assert!(promoted.bundle().contains(first.current.certificate.trim_end()), "leaves of the first are in use");
        assert!(promoted.current == announced.next.clone().expect("next"));
        assert!(step(&promoted, 247).is_none());
    }

    #[test]
    fn the_secret_reads_back_and_damage_is_named() {
        let authority = Authority::make(UnixSeconds::new(NOW)).expect("authority");
        let announced = step(&authority, 300).expect("next");
        let data = announced.data();
        assert!(Authority::read(&data).expect("reads") == announced);
        for key in ["current.crt", "current.key", "next.key"] {
            let mut damaged = data.clone();
            damaged.insert(key.to_owned(), ByteString(b"x".to_vec()));
            assert!(matches!(Authority::read(&damaged), Err(AuthorityError::Damaged(_))), "{key}");
        }
    }

    #[test]
    fn a_leaf_is_replaced_in_time_and_with_its_authority() {
        let now = UnixSeconds::new(NOW);
        let authority = Authority::make(now).expect("authority");
        let leaf =
            authority.sign_leaf(&["miax-webhook.miax-system.svc".into(), "127.0.0.1".into()], now).expect("leaf");
        assert!(!authority.replaces(&leaf, now));
        assert!(authority.replaces(&leaf, now.plus(Seconds(21 * 86_400))));
        assert!(Authority::make(now).expect("other").replaces(&leaf, now));
    }
}
