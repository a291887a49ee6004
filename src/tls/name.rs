//! Lets only clients in whose certificate carries a name.

use std::sync::Arc;

use tokio_rustls::rustls::CertificateError;
use tokio_rustls::rustls::DigitallySignedStruct;
use tokio_rustls::rustls::DistinguishedName;
use tokio_rustls::rustls::Error;
use tokio_rustls::rustls::SignatureScheme;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::server::danger::ClientCertVerified;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Adds the name to what another verifier asks for.
#[derive(Debug)]
pub(super) struct Named {
    name: String,
    chain: Arc<dyn ClientCertVerifier>,
}

impl Named {
    pub(super) fn new(name: &str, chain: Arc<dyn ClientCertVerifier>) -> Self {
        Self {
            name: name.to_owned(),
            chain,
        }
    }
}

impl ClientCertVerifier for Named {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(certificate, issuers, now)?;
        let names =
            names(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if names.iter().any(|it| carries(it, &self.name)) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::NotValidForName))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The DNS names of a certificate; none when it is malformed.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let parsed = Certificate::from_der(certificate).ok()?;
    let found = parsed.tbs_certificate.get::<SubjectAltName>().ok()?;
    let names = found.map(|(_, names)| names.0).unwrap_or_default();
    let dns = names.into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        _ => None,
    });
    Some(dns.collect())
}

/// Whether a name in a certificate is, or stands for, this one: `*` stands for one first label.
///
/// Not rustls' own comparison, which takes no `*.x` for a single `x`, as Envoy Gateway's
/// certificates have it: `*.envoy-gateway-system`.
fn carries(written: &str, name: &str) -> bool {
    if written.eq_ignore_ascii_case(name) {
        return true;
    }
    let (Some(parent), Some((label, rest))) = (written.strip_prefix("*."), name.split_once('.'))
    else {
        return false;
    };
    !label.is_empty() && parent.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_compared_whole_and_in_any_case() {
        check("client.example.com", "Client.example.com", true);
        check("client.example.com", "example.com", false);
        check("client.example.com", "other.example.com", false);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        check("*.envoy-gateway-system", "envoy.envoy-gateway-system", true);
        check("*.envoy-gateway-system", "*.envoy-gateway-system", true);
        check("*.example.com", "a.b.example.com", false);
        check("*.example.com", "example.com", false);
        check("*.example.com", ".example.com", false);
        check("*", "envoy", false);
    }

    #[track_caller]
    fn check(written: &str, name: &str, expected: bool) {
        assert_eq!(carries(written, name), expected, "{written} {name}");
    }
}
