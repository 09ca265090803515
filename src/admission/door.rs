//! The door of the webhook: with an authority for client certificates, only whoever proves a certificate of it comes in.
//!
//! Must not: fall back to letting everybody in. What cannot be read or verified stays outside.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

/// Why there is no door.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A certificate in the file cannot be read.
    #[error("certificate {0} in it cannot be read: {1}")]
    Certificate(usize, String),
    /// The file holds no certificate.
    #[error("it holds no certificate; put the authority's certificate there, in PEM")]
    Empty,
    /// rustls refuses the authorities.
    #[error("the authorities cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// Who may come in. The authorities can be replaced while the webhook runs; new connections are held to the new ones.
#[derive(Debug)]
pub struct Door {
    verifier: RwLock<Arc<dyn ClientCertVerifier>>,
    name: Option<String>,
}

impl Door {
    /// A door for certificates of these authorities, in PEM; with a name only for the certificate that bears it, as its
    /// common name or as a DNS name.
    ///
    /// # Errors
    /// Every variant of [`DoorError`].
    pub fn try_new(authorities: &[u8], name: Option<String>) -> Result<Self, DoorError> {
        Ok(Self { verifier: RwLock::new(verifier(authorities)?), name })
    }

    /// Replaces the authorities.
    ///
    /// # Errors
    /// Every variant of [`DoorError`]; then the old ones stay.
    pub fn replace(&self, authorities: &[u8]) -> Result<(), DoorError> {
        let next = verifier(authorities)?;
        *self.verifier.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn current(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check_name(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let Some(wanted) = &self.name else { return Ok(()) };
        let parsed = x509_parser::parse_x509_certificate(certificate);
        let (_, parsed) = parsed.map_err(|_| CertificateError::BadEncoding)?;
        if names(&parsed).contains(&wanted.as_str()) {
            return Ok(());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }
}

fn verifier(authorities: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, DoorError> {
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(authorities)) {
        let wrong = |what: &dyn std::fmt::Display| DoorError::Certificate(number, what.to_string());
        roots.add(certificate.map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))?;
    }
    if roots.is_empty() {
        return Err(DoorError::Empty);
    }
    // Named, so that no other provider of the process is asked.
    let provider = Arc::new(default_provider());
    Ok(WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build()?)
}

/// The common names and DNS names of a certificate.
fn names<'a>(certificate: &'a X509Certificate<'a>) -> Vec<&'a str> {
    let common = certificate.subject().iter_common_name().filter_map(|n| n.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns = alternative.into_iter().flat_map(|a| &a.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    common.chain(dns).collect()
}

impl ClientCertVerifier for Door {
    /// No hints: they would tell a stranger whose certificate to steal, and they cannot follow a replacement.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.current().verify_client_cert(certificate, intermediates, now);
        let admitted = verified.and_then(|verified| self.check_name(certificate).map(|()| verified));
        if let Err(error) = &admitted {
            // The API server only reports a failed handshake; here stands why.
            tracing::warn!(%error, "a client certificate was refused");
        }
        admitted
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.current().verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current().supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    const NOW: u64 = 1_795_514_400;

    fn authority() -> (String, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("key");
        let pem = params.self_signed(&key).expect("signed").pem();
        (pem, Issuer::new(params, key))
    }

    /// A certificate that lives from 2020 to the first day of the year `end`.
    fn certificate(
        issuer: &Issuer<'static, KeyPair>,
        common: &str,
        dns: &[&str],
        purpose: ExtendedKeyUsagePurpose,
        end: i32,
    ) -> CertificateDer<'static> {
        let names: Vec<String> = dns.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        params.extended_key_usages = vec![purpose];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(end, 1, 1);
        params.signed_by(&KeyPair::generate().expect("key"), issuer).expect("signed").der().clone()
    }

    fn comes_in(door: &Door, certificate: &CertificateDer<'static>) -> bool {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(NOW));
        door.verify_client_cert(certificate, &[], now).is_ok()
    }

    #[test]
    fn only_a_valid_certificate_of_the_authority_comes_in() {
        let (ours, issuer) = authority();
        let (_, stranger) = authority();
        let any = Door::try_new(ours.as_bytes(), None).expect("a door");
        let named = Door::try_new(ours.as_bytes(), Some("api".to_owned())).expect("a door");
        let check = |name: &str, found: CertificateDer<'static>, expected: [bool; 2]| {
            assert_eq!([comes_in(&any, &found), comes_in(&named, &found)], expected, "{name}");
        };
        let client = || ExtendedKeyUsagePurpose::ClientAuth;
        let server = ExtendedKeyUsagePurpose::ServerAuth;
        check("the API server", certificate(&issuer, "api", &[], client(), 2030), [true, true]);
        check("by a DNS name", certificate(&issuer, "x", &["y", "api"], client(), 2030), [true, true]);
        check("another name", certificate(&issuer, "api2", &["api.example"], client(), 2030), [true, false]);
        check("a foreign authority", certificate(&stranger, "api", &[], client(), 2030), [false, false]);
        check("expired", certificate(&issuer, "api", &[], client(), 2026), [false, false]);
        check("for servers only", certificate(&issuer, "api", &[], server, 2030), [false, false]);
        check("not a certificate", CertificateDer::from(vec![1, 2, 3]), [false, false]);
    }

    #[test]
    fn authorities_are_replaced_and_bad_ones_are_not_taken() {
        let (first, first_issuer) = authority();
        let (second, second_issuer) = authority();
        let of = |issuer| certificate(issuer, "api", &[], ExtendedKeyUsagePurpose::ClientAuth, 2030);
        let (old, new) = (of(&first_issuer), of(&second_issuer));
        let door = Door::try_new(first.as_bytes(), None).expect("a door");
        let check = |name: &str, content: &str, part: &str| {
            let error = door.replace(content.as_bytes()).expect_err(name).to_string();
            assert!(error.contains(part), "{name}: {error}");
            assert!(comes_in(&door, &old) && !comes_in(&door, &new), "{name}: the old authorities stay");
        };
        check("empty", "", "holds no certificate");
        check("text", "hello", "holds no certificate");
        check("a half", first.split_at(first.len() / 2).0, "certificate 1 in it cannot be read");
        let broken = format!("{second}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        check("one of two", &broken, "certificate 2 in it cannot be read");
        door.replace(format!("{first}{second}").as_bytes()).expect("both");
        assert!(comes_in(&door, &old) && comes_in(&door, &new));
        door.replace(second.as_bytes()).expect("the second");
        assert!(!comes_in(&door, &old) && comes_in(&door, &new));
        assert!(door.client_auth_mandatory(), "a client without a certificate stays outside");
    }
}
